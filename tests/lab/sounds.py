"""WAV files the phones speak with: 8 kHz, 16 bit, mono."""

from __future__ import annotations

import array
import functools
import hashlib
import math
import shutil
import tempfile
import wave
from pathlib import Path

from callsteward.rating import prompts
from tests.lab.packages import cache_folder

RATE = 8000


def write_speech(path: Path, seconds: float = 4.0) -> None:
    """Speech-like sound: a buzz whose loudness goes up and down with the syllables.

    Its mean loudness stays far above talk detection's 256 and it has no pause of
    500 ms, so one stretch of it is one stretch of talking.
    """

    _write(path, _speech(seconds))


def _speech(seconds: float) -> list[float]:
    def sample(moment: float) -> float:
        syllable = 0.55 + 0.45 * math.sin(2 * math.pi * 3.5 * moment)
        voice = sum(math.sin(2 * math.pi * 140 * n * moment) / n for n in (1, 2, 3, 5, 8))
        return 5000 * syllable * voice

    return [sample(n / RATE) for n in range(int(seconds * RATE))]


def _mulaw(value: float) -> int:
    """One sample of 16 bits as G.711 has it: the sign, the octave, the four bits below its first."""
    sign = 0x80 if value < 0 else 0
    level = min(32635, abs(round(value))) + 132
    octave = level.bit_length() - 8
    return ~(sign | octave << 4 | level >> octave + 3 & 0x0F) & 0xFF


@functools.cache
def speech_mulaw(seconds: float = 4.0) -> bytes:
    """Speech-like sound as a phone sends it (G.711 mu-law), for a phone that sends it itself."""
    return bytes(_mulaw(value) for value in _speech(seconds))


def write_silence(path: Path, seconds: float = 4.0) -> None:
    """Silence that is sent: without RTP the RTP timeout would end the call."""
    _write(path, [0.0] * int(seconds * RATE))


def write_tone(path: Path, *, frequency_hz: float, seconds: float) -> None:
    """One steady tone (music on hold)."""
    turn = 2 * math.pi * frequency_hz / RATE
    _write(path, [2000 * math.sin(turn * n) for n in range(int(seconds * RATE))])


def rating_prompts() -> Path:
    """The rating's prompts as `callsteward prompts` makes them, made once and cached.

    Where there is no espeak-ng they are tones of the usual length.
    """
    spoken = shutil.which("espeak-ng") is not None
    recipe = hashlib.sha256(f"{spoken}{prompts.TEXTS}{Path(prompts.__file__).read_text()}".encode())
    folder = cache_folder() / f"prompts-{recipe.hexdigest()[:10]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="prompts-making-"))
    made.chmod(0o755)
    if spoken:
        prompts.generate(made)
    else:
        for language in prompts.TEXTS:
            (made / language).mkdir()
            for name in prompts.NAMES:
                length_s = 1.5 if name == "thanks" else 3.0
                write_tone(made / language / f"{name}.wav", frequency_hz=330, seconds=length_s)
    try:
        made.rename(folder)
    except OSError:
        # Another test session was quicker.
        shutil.rmtree(made)
    return folder


def _write(path: Path, samples: list[float]) -> None:
    data = array.array("h", (max(-32767, min(32767, round(value))) for value in samples))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(data.tobytes())
