"""The prompts of the rating IVR, made with espeak-ng so that it works out of the box.

Each language is a folder of 8 kHz mono wav files, which every Asterisk plays; a studio's recordings under the
same names take their place. `espeak-ng` comes from the distribution (apt install espeak-ng).
"""

from __future__ import annotations

import array
import io
import math
import operator
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

from callsteward.exceptions import CallstewardError

RATE = 8000

TEXTS: dict[str, dict[str, str]] = {
    "ru": {
        "greeting": "Пожалуйста, оцените работу оператора.",
        "ask": "Нажмите цифру от одного до пяти, где пять означает отлично.",
        "again": "Мы не услышали вашу оценку.",
        "wrong": "Такой оценки нет.",
        "question": "Ваш вопрос решён? Если да, нажмите один. Если нет, нажмите два.",
        "comment": "Оставьте комментарий после сигнала, затем нажмите решётку или положите трубку.",
        "survey": "Здравствуйте! Вы недавно обращались на нашу горячую линию.",
        "thanks": "Спасибо, до свидания.",
    },
    "en": {
        "greeting": "Please rate how the operator served you.",
        "ask": "Press a key from one to five, where five means excellent.",
        "again": "We did not get your rating.",
        "wrong": "There is no such rating.",
        "question": "Has your question been settled? Press one for yes, two for no.",
        "comment": "Leave a comment after the tone, then press hash or hang up.",
        "survey": "Hello! You have recently called our hotline.",
        "thanks": "Thank you, goodbye.",
    },
}
"""The text of each prompt, by language and the file's name without its ending."""

NAMES = tuple(TEXTS["en"])

_TAPS = 32
# espeak-ng adds a stretch of silence; samples quieter than this are not speech.
_QUIET = 200
_TAIL_S = 0.1


def generate(out: Path, languages: Sequence[str] = tuple(TEXTS), *, force: bool = False) -> list[Path]:
    """Write `out/LANGUAGE/NAME.wav` for each language; returns the files written.

    A file that is there already stays, so that a studio's recording is not lost, unless `force`.
    Raises CallstewardError without espeak-ng, for a language that has no texts, or an unwritable folder.
    """
    unknown = [language for language in languages if language not in TEXTS]
    if unknown:
        message = f"no prompts in {', '.join(unknown)}; there are {', '.join(TEXTS)}"
        raise CallstewardError(message)
    program = shutil.which("espeak-ng")
    if program is None:
        message = "espeak-ng is not installed: apt install espeak-ng, or record the prompts yourself"
        raise CallstewardError(message)
    written = []
    for language in languages:
        folder = out / language
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in TEXTS[language].items():
                file = folder / f"{name}.wav"
                if file.exists() and not force:
                    continue
                file.write_bytes(to_telephone(_spoken(program, language, text)))
                written.append(file)
        except OSError as error:
            message = f"cannot write the prompts into {folder}: {error.strerror}"
            raise CallstewardError(message) from error
    return written


def missing(folder: Path, languages: Sequence[str]) -> list[str]:
    """The prompts that are missing in every format that Asterisk plays, as `ru/ask`."""
    return [
        f"{language}/{name}"
        for language in languages
        for name in NAMES
        if not any((folder / language).glob(f"{name}.*"))
    ]


def _spoken(program: str, language: str, text: str) -> bytes:
    result = subprocess.run(  # noqa: S603  # our own text to a program found by name
        [program, "-v", language, "-s", "145", "--stdout", "--", text],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if result.returncode or not result.stdout:
        told = result.stderr.decode(errors="replace").strip()
        message = f"espeak-ng could not speak {language}: {told or f'exit code {result.returncode}'}"
        raise CallstewardError(message)
    return result.stdout


def to_telephone(sound: bytes) -> bytes:
    """A 16 bit mono wav of any rate as one of 8 kHz."""
    with wave.open(io.BytesIO(sound)) as source:
        if source.getsampwidth() != 2 or source.getnchannels() != 1:
            message = "not a 16 bit mono wav"
            raise CallstewardError(message)
        rate = source.getframerate()
        samples = array.array("h", source.readframes(source.getnframes()))
    if sys.byteorder == "big":
        samples.byteswap()
    resampled = _trimmed(samples if rate == RATE else _resampled(samples, rate))
    if sys.byteorder == "big":
        resampled.byteswap()
    out = io.BytesIO()
    with wave.open(out, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes(resampled.tobytes())
    return out.getvalue()


def _trimmed(samples: array.array[int]) -> array.array[int]:
    """The samples without the silence at the end, for which the client would wait."""
    last = next((i for i in range(len(samples) - 1, -1, -1) if abs(samples[i]) > _QUIET), len(samples) - 1)
    return samples[: last + 1 + int(_TAIL_S * RATE)]


def _resampled(samples: array.array[int], rate: int) -> array.array[int]:
    """Band-limited to the telephone's 3.4 kHz: a windowed sinc, one row of taps for each phase."""
    divisor = math.gcd(rate, RATE)
    phases, step = RATE // divisor, rate // divisor
    cutoff = min(3400, rate * 0.45) / rate
    rows = [_taps(phase / phases, cutoff) for phase in range(phases)]
    padded = [0] * _TAPS + list(samples) + [0] * (2 * _TAPS)
    multiply: Callable[[float, float], float] = operator.mul
    out = array.array("h")
    for index in range(len(samples) * RATE // rate):
        whole, phase = divmod(index * step, phases)
        window = padded[whole : whole + 2 * _TAPS]
        value = sum(map(multiply, window, rows[phase]))
        out.append(max(-32767, min(32767, round(value))))
    return out


def _taps(offset: float, cutoff: float) -> list[float]:
    taps = []
    for place in range(2 * _TAPS):
        distance = place - _TAPS - offset
        x = 2 * cutoff * distance
        sinc = 1.0 if abs(x) < 1e-9 else math.sin(math.pi * x) / (math.pi * x)
        window = 0.5 + 0.5 * math.cos(math.pi * max(-1.0, min(1.0, distance / _TAPS)))
        taps.append(sinc * window)
    total = sum(taps)
    return [tap / total for tap in taps]
