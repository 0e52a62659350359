"""WAV files the phones speak with: 8 kHz, 16 bit, mono."""

from __future__ import annotations

import array
import math
import wave
from pathlib import Path

RATE = 8000


def write_speech(path: Path, seconds: float = 4.0) -> None:
    """Speech-like sound: a buzz whose loudness goes up and down with the syllables.

    Its mean loudness stays far above talk detection's 256 and it has no pause of
    500 ms, so one stretch of it is one stretch of talking.
    """

    def sample(moment: float) -> float:
        syllable = 0.55 + 0.45 * math.sin(2 * math.pi * 3.5 * moment)
        voice = sum(math.sin(2 * math.pi * 140 * n * moment) / n for n in (1, 2, 3, 5, 8))
        return 5000 * syllable * voice

    _write(path, [sample(n / RATE) for n in range(int(seconds * RATE))])


def write_silence(path: Path, seconds: float = 4.0) -> None:
    """Silence that is sent: without RTP the RTP timeout would end the call."""
    _write(path, [0.0] * int(seconds * RATE))


def write_tone(path: Path, *, frequency_hz: float, seconds: float) -> None:
    """One steady tone (music on hold)."""
    turn = 2 * math.pi * frequency_hz / RATE
    _write(path, [2000 * math.sin(turn * n) for n in range(int(seconds * RATE))])


def _write(path: Path, samples: list[float]) -> None:
    data = array.array("h", (max(-32767, min(32767, round(value))) for value in samples))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(data.tobytes())
