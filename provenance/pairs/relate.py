"""What one aligned recording is to the other: the same sound, a filtered, squeezed or reverberant copy, or neither.

The thresholds were set on the corpus's ``fx_pairs`` (real dry and processed takes), its true and separated stems of the
same seconds, and clips of different songs; ``tests/pairs`` measures them there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.frontend import N_FFT, power, stft
from provenance.pairs.align import Wave, middle

_Array: TypeAlias = npt.NDArray[np.float64]

_FLOOR_DB = -50.0
_FRAME = 1024
_LONG = 8192
_HOP = 512
_BAND_BINS = 8
_BLOCK = 512
"""Frames transformed at once: a minute's worth of them would take 42 MB, several times over."""
_WIDEST = 99.0
_DECAY_DB_S = 40.0
_ABOVE_DB = 12.0
_ENVELOPE_HOP = 882
_ENVELOPE_EDGES = (1, 5, 9, 14, 20, 30, 45, 70, 110, 170, 260, 400, 700)


@dataclass(frozen=True)
class Envelope:
    """How alike two recordings rise and fall, whatever happened to pitch and phase.

    Args:
        correlation: of the changes of twelve bands' levels at the best offset, -1..1.
        peak: its height in standard deviations over all offsets.
        offset_samples: of the second, to 882 samples.
    """

    correlation: float
    peak: float
    offset_samples: int


def envelope(first: Wave, second: Wave) -> Envelope:
    """Compare how two recordings rise and fall; pitch shift and vibrato leave that, other performances do not.

    Args:
        first, second: float32, shape (n,), 44.1 kHz, at least 2048 samples.
    """
    x, y = _changes(first), _changes(second)
    n = 1 << (x.shape[1] + y.shape[1]).bit_length()
    found = np.fft.irfft((np.conj(np.fft.rfft(x, n)) * np.fft.rfft(y, n)).sum(axis=0), n)
    best = int(found.argmax())
    rest = found.copy()
    rest[max(0, best - 3) : best + 4] = 0.0
    offset = best if best < n // 2 else best - n
    return Envelope(float(found[best]), float(found[best] / (rest.std() or 1e-12)), offset * _ENVELOPE_HOP)


def linear_share(first: Wave, second: Wave) -> tuple[float, float]:
    """Return how much of each one's energy a fixed filter of 186 ms makes from the other.

    Args:
        first, second: float32, aligned, shape (n,).

    Returns:
        Share of the second explained by the first, and of the first by the second, 0..1: the magnitude-squared
        coherence weighted by energy, less its bias from few frames.
    """
    power_a, power_b = np.zeros((2, _LONG // 2 + 1))
    cross = np.zeros(_LONG // 2 + 1, np.complex128)
    n_frames = 0
    for a, b in zip(_long_stft(first), _long_stft(second), strict=True):
        power_a += power(a).sum(axis=0, dtype=np.float64)
        power_b += power(b).sum(axis=0, dtype=np.float64)
        cross += (np.conj(a) * b).sum(axis=0, dtype=np.complex128)
        n_frames += len(a)
    coherence = np.abs(cross) ** 2 / (power_a * power_b + 1e-20)
    bias = min(0.9, 2.0 / n_frames)
    coherence = np.clip((coherence - bias) / (1 - bias), 0.0, 1.0)
    return (
        float((coherence * power_b).sum() / (power_b.sum() + 1e-20)),
        float((coherence * power_a).sum() / (power_a.sum() + 1e-20)),
    )


def unexplained(first: Wave, second: Wave) -> float:
    """Return the share of the second's energy that sounds where the first has had nothing for the last while.

    Args:
        first, second: float32, aligned, shape (n,).

    Returns:
        0..1. What the first played may ring on in the second for 1.5 s and may be filtered; what exceeds that by 12 dB
        in a band comes from elsewhere.
    """
    a, b = _bands(first), _bands(second)
    level_a, level_b = 10 * np.log10(a + 1e-10), 10 * np.log10(b + 1e-10)
    reach = np.pad(level_a, ((0, 0), (1, 1)), constant_values=-200.0)
    reach = np.maximum(np.maximum(reach[:, :-2], reach[:, 2:]), level_a)
    reach[:-1] = np.maximum(reach[:-1], reach[1:])
    fall = _DECAY_DB_S * _HOP / SAMPLE_RATE_HZ
    for i in range(1, len(reach)):
        np.maximum(reach[i], reach[i - 1] - fall, out=reach[i])
    above = level_b - reach
    gain = np.array([np.median(above[level_b[:, k] > level_b[:, k].max() - 30, k]) for k in range(above.shape[1])])
    return float((b * (above - gain > _ABOVE_DB)).sum() / (b.sum() + 1e-20))


def dynamics(wave: Wave) -> tuple[float, float]:
    """Return mean and standard deviation of the short-time level in dB below the loudest, not below -50 dB.

    Args:
        wave: float32, shape (n,), at least 1024 samples.
    """
    frames = wave[: len(wave) // _FRAME * _FRAME].reshape(-1, _FRAME)
    level = 10 * np.log10((frames.astype(np.float64) ** 2).mean(axis=1) + 1e-12)
    level = np.maximum(level - level.max(), _FLOOR_DB)
    return float(level.mean()), float(level.std())


def width(samples: Samples) -> float:
    """Return the level of the side channel relative to the middle; 0 for mono, 99 at most.

    Args:
        samples: float32, shape (n, 1 or 2).
    """
    if samples.shape[1] == 1:
        return 0.0
    mid, side = samples.mean(axis=1), (samples[:, 0] - samples[:, 1]) / 2
    return min(_WIDEST, float(np.sqrt(np.mean(side**2) / (np.mean(mid**2) + 1e-12))))


def difference_db(first: Samples, second: Samples) -> tuple[float, float]:
    """Return how far the second's middle is from a scaled copy of the first's, and the scale.

    Args:
        first, second: float32, aligned, shape (n, channels).

    Returns:
        Energy of the rest relative to the second in dB (-120 at least), and the gain in dB.
    """
    a, b = middle(first).astype(np.float64), middle(second).astype(np.float64)
    gain = float(np.dot(a, b) / (np.dot(a, a) + 1e-20))
    rest = float(np.sum((b - gain * a) ** 2) / (np.sum(b**2) + 1e-20))
    return 10 * float(np.log10(max(rest, 1e-12))), 20 * float(np.log10(abs(gain) + 1e-12))


def _changes(wave: Wave) -> _Array:
    power = np.abs(stft(wave, _ENVELOPE_HOP)) ** 2
    level = np.stack([10 * np.log10(power[:, a:b].sum(axis=1) + 1e-12) for a, b in pairwise(_ENVELOPE_EDGES)])
    level = np.maximum(level, level.max(axis=1, keepdims=True) - 50)
    change = np.diff(level, axis=1)
    change -= change.mean(axis=1, keepdims=True)
    out: _Array = change / np.sqrt((change**2).sum() + 1e-9)
    return out


def _long_stft(wave: Wave) -> Iterator[npt.NDArray[np.complex64]]:
    frames = np.lib.stride_tricks.sliding_window_view(wave, _LONG)[:: _LONG // 4]
    window = np.hanning(_LONG + 1)[:-1].astype(np.float32)
    for first in range(0, len(frames), _BLOCK // 4):
        some = frames[first : first + _BLOCK // 4] * window
        yield np.fft.rfft(some, axis=1).astype(np.complex64, copy=False)


def _bands(wave: Wave) -> _Array:
    parts = []
    for first in range(0, (len(wave) - N_FFT) // _HOP + 1, _BLOCK):
        some = stft(wave[first * _HOP : (first + _BLOCK - 1) * _HOP + N_FFT], _HOP)[:, : N_FFT // 2]
        size = np.abs(some).astype(np.float64) ** 2
        parts.append(size.reshape(len(size), -1, _BAND_BINS).sum(axis=2))
    return np.concatenate(parts)
