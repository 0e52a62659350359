"""The prompts: 8 kHz mono, in each language, never over a studio's recording."""

from __future__ import annotations

import array
import io
import math
import shutil
import wave
from itertools import pairwise
from pathlib import Path

import pytest

from callsteward.exceptions import CallstewardError
from callsteward.rating import prompts

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="no espeak-ng: `make lab` brings it"
)


def sound(hz: float, *, rate: int = 22_050, seconds: float = 0.5, channels: int = 1) -> bytes:
    samples = array.array(
        "h", (round(8000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(int(rate * seconds)))
    )
    out = io.BytesIO()
    with wave.open(out, "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(2)
        target.setframerate(rate)
        target.writeframes(samples.tobytes())
    return out.getvalue()


def heard(wav: bytes) -> array.array[int]:
    with wave.open(io.BytesIO(wav)) as source:
        assert (source.getframerate(), source.getnchannels(), source.getsampwidth()) == (8000, 1, 2)
        return array.array("h", source.readframes(source.getnframes()))


def loudness(samples: array.array[int]) -> float:
    middle = samples[400:-400]
    return math.sqrt(sum(value * value for value in middle) / len(middle))


@pytest.mark.parametrize("rate", [22_050, 16_000, 44_100, 8000])
def test_a_tone_keeps_its_pitch_and_loudness(rate: int) -> None:
    samples = heard(prompts.to_telephone(sound(1000, rate=rate)))
    assert len(samples) == pytest.approx(4000, abs=2)
    crossings = sum(1 for left, right in pairwise(samples) if left < 0 <= right)
    assert crossings == pytest.approx(500, abs=2)
    assert loudness(samples) == pytest.approx(8000 / math.sqrt(2), rel=0.05)


def test_sound_above_the_telephones_band_is_not_folded_back() -> None:
    samples = heard(prompts.to_telephone(sound(6000)))
    assert loudness(samples) < 100


def test_the_silence_at_the_end_is_cut() -> None:
    speech = heard(prompts.to_telephone(sound(1000, rate=8000)))
    quiet = io.BytesIO()
    with wave.open(quiet, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(8000)
        target.writeframes(speech.tobytes() + bytes(2 * 8000))
    assert len(heard(prompts.to_telephone(quiet.getvalue()))) == pytest.approx(4000 + 800, abs=5)
    # A file of silence alone stays unchanged.
    assert len(heard(prompts.to_telephone(sound(0, rate=8000)))) == 4000


def test_two_channels_are_refused() -> None:
    with pytest.raises(CallstewardError, match="mono"):
        prompts.to_telephone(sound(1000, channels=2))


def test_every_language_has_every_prompt() -> None:
    assert set(prompts.TEXTS) == {"ru", "en"}
    assert all(tuple(texts) == prompts.NAMES for texts in prompts.TEXTS.values())
    assert all(text for texts in prompts.TEXTS.values() for text in texts.values())


@needs_espeak
def test_they_are_made_once_and_a_recording_stays(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "ask.wav").write_bytes(b"from the studio")
    assert "en/ask" not in prompts.missing(tmp_path, ["en"])
    written = prompts.generate(tmp_path, ["en"])
    assert len(written) == len(prompts.NAMES) - 1
    assert (tmp_path / "en" / "ask.wav").read_bytes() == b"from the studio"
    assert prompts.missing(tmp_path, ["en"]) == []
    assert prompts.missing(tmp_path, ["ru"]) == [f"ru/{name}" for name in prompts.NAMES]
    for file in written:
        assert 4000 < len(heard(file.read_bytes())) < 8 * 8000
    assert prompts.generate(tmp_path, ["en"]) == []
    assert len(prompts.generate(tmp_path, ["en"], force=True)) == len(prompts.NAMES)


def test_a_prompt_that_cannot_be_made_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CallstewardError, match="no prompts in tlh; there are ru, en"):
        prompts.generate(tmp_path, ["tlh"])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(CallstewardError, match="apt install espeak-ng"):
        prompts.generate(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/false")
    with pytest.raises(CallstewardError, match="could not speak ru"):
        prompts.generate(tmp_path, ["ru"])
    (tmp_path / "file").write_text("")
    with pytest.raises(CallstewardError, match="cannot write the prompts"):
        prompts.generate(tmp_path / "file", ["ru"])
