"""Single degradations for judging: what may happen to a stem after it was made, each by itself and at a fixed strength.

The common chain of training draws from the same kinds; these are fixed, so that figures can be compared over time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import soxr
from scipy import signal

from training import augment

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
_SEED = 5


def coded(codec: str, bitrate_kbps: int) -> Callable[[Wave], Wave]:
    """Return a function that encodes a wave at a peak of 0.7 and decodes it, as :func:`training.augment.code` does.

    Args:
        codec, bitrate_kbps: as there.
    """

    def apply(wave: Wave) -> Wave:
        return augment.code(augment.at_peak(wave), codec, bitrate_kbps)

    return apply


def _resampled(rate_hz: int) -> Callable[[Wave], Wave]:
    return lambda wave: np.asarray(soxr.resample(soxr.resample(wave, RATE_HZ, rate_hz), rate_hz, RATE_HZ), np.float32)


def _pitched(semitones: float) -> Callable[[Wave], Wave]:
    def apply(wave: Wave) -> Wave:
        import librosa

        return np.ascontiguousarray(librosa.effects.pitch_shift(wave.T, sr=RATE_HZ, n_steps=semitones).T, np.float32)

    return apply


def _stretched(rate: float) -> Callable[[Wave], Wave]:
    def apply(wave: Wave) -> Wave:
        import librosa

        return np.ascontiguousarray(librosa.effects.time_stretch(wave.T, rate=rate).T, np.float32)

    return apply


def _reverberated(wave: Wave) -> Wave:
    rng = np.random.default_rng(_SEED)
    t = np.arange(int(1.2 * RATE_HZ)) / RATE_HZ
    room = rng.standard_normal((len(t), wave.shape[1])) * 10 ** (-3 * t / 1.2)[:, None]
    wet = signal.fftconvolve(wave, room, axes=0)[: len(wave)]
    wet *= np.sqrt(np.mean(wave**2)) / (np.sqrt(np.mean(wet**2)) + 1e-9)
    return np.asarray(wave + 0.35 * wet, np.float32)


def _equalised(wave: Wave) -> Wave:
    for hz, gain_db in ((120, -5.0), (2500, 4.0), (9000, 5.0)):
        wave = signal.sosfilt(augment.peaking(hz, gain_db, 0.9), wave, axis=0)
    return np.asarray(wave, np.float32)


def _limited(wave: Wave) -> Wave:
    gain = np.float32(10 ** (9 / 20) / (np.abs(wave).max() + 1e-9))
    return np.asarray(np.tanh(wave * gain), np.float32)


DEGRADATIONS: dict[str, Callable[[Wave], Wave]] = {
    "mp3_64": coded("mp3", 64),
    "mp3_128": coded("mp3", 128),
    "mp3_320": coded("mp3", 320),
    "aac_96": coded("aac", 96),
    "aac_256": coded("aac", 256),
    "opus_64": coded("opus", 64),
    "opus_128": coded("opus", 128),
    "resampled_48k": _resampled(48_000),
    "resampled_32k": _resampled(32_000),
    "pitch_shift": _pitched(1.0),
    "time_stretch": _stretched(0.95),
    "reverb": _reverberated,
    "eq": _equalised,
    "limiting": _limited,
    "mono": lambda wave: wave.mean(axis=1, keepdims=True),
    "trimmed_2s": lambda wave: wave[: 2 * RATE_HZ],
}
"""Name to function; each takes and returns float32 (n, 1 or 2) at 44.1 kHz and leaves its input as it is."""
