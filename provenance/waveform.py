"""Statistics of the waveform: echoes, level and stereo image, which a spectrum over frames of 46 ms cannot resolve.

An echo ripples the spectrum of a whole window and is a peak of its cepstrum (B. P. Bogert, M. J. R. Healy and J. W.
Tukey, The quefrency alanysis of time series for echoes, 1963); a copy that comes later on one side is a peak of the
cross-correlation of the phases (C. H. Knapp and G. C. Carter, The generalized correlation method for estimation of time
delay, 1976); a compressor, a limiter and a saturator change how far peaks stand out of the level around them; a
high-pass shows below 100 Hz. Nothing here depends on gain, on polarity or on which channel is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Array: TypeAlias = npt.NDArray[np.float32]

RATE_HZ = 44_100
N_FFT = 1 << 17
"""At most so many samples, 3 s, from the middle of the window are transformed at once."""
BIN_HZ = RATE_HZ / N_FFT
ECHO_BANDS_HZ = ((60, 2_800), (300, 5_800))
ECHO_RANGES_MS = ((2, 5), (5, 10), (10, 20), (20, 40), (40, 80), (80, 160), (160, 320), (320, 600))
ECHO_SMOOTHING = 100
"""Half the width, in bins, of the local mean that is taken off the log spectrum: 34 Hz."""
ECHO_RANKS = (1, 4, 16)
LOW_END_HZ = (20, 30, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315)
FRAME_SIZES = (64, 256, 1_024, 4_096)
BELOW_PEAK_DB = (0.1, 0.5, 1.0, 3.0, 6.0)
CREST_PERCENTILES = (5, 25, 50, 75, 95)
LEVEL_PERCENTILES = (5, 25, 50, 75, 90, 95, 99)
LOUD_DB = -6.0
"""Frames above this, relative to the window's level, are loud: their peaks are compared with their level."""
LEVEL_RANGE_DB = 50.0
"""Frames further below the window's level are pauses."""
OF_PEAK = (0.999, 0.99, 0.95, 0.9, 0.8, 0.7)
STEREO_BAND_HZ = (100, 5_600)
STEREO_RANGES_MS = ((0.3, 1), (1, 4), (4, 10), (10, 20), (20, 35), (35, 100))
PAN_BANDS_HZ = (100, 400, 1_600, 5_000, 12_000)
NO_SIDE = -9.0
"""What stands for every statistic of the stereo image of a window that has none."""


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return the name of each statistic, in order."""
    out = [f"cepstrum_{what}_{a}-{b}ms_{low}-{high}" for low, high in ECHO_BANDS_HZ for a, b in ECHO_RANGES_MS
           for what in (*(f"peak{rank}" for rank in ECHO_RANKS), "median")]  # fmt: skip
    out += [f"low_end_{a}-{b}" for a, b in pairwise(LOW_END_HZ)]
    out += ["crest", "skew", "kurtosis", "uneven_time", "uneven_peak"]
    for size in FRAME_SIZES:
        out += [f"near_peak_{db}_{size}" for db in BELOW_PEAK_DB]
        out += [f"crest_p{p}_{size}" for p in CREST_PERCENTILES]
        out += [f"level_p{p}_{size}" for p in LEVEL_PERCENTILES]
    out += [f"above_{share}" for share in OF_PEAK]
    return (*out, *_stereo_names())


def _stereo_names() -> tuple[str, ...]:
    out = ["between_0"]
    out += [f"between_{what}_{a}-{b}ms" for a, b in STEREO_RANGES_MS for what in ("peak", "height", "median")]
    return (*out, "pan", "correlation", "width", "pan_spread", "pan_mean", "pan_range", "pan_tilt")


def compute(mid: _Array, side: _Array | None) -> _Array:
    """Compute the statistics of a window.

    Args:
        mid: float32 (n,) at 44.1 kHz, n at least 4,096, not silent.
        side: of the same length, or None where the window has none.

    Returns:
        float32, shape (len(names()),).
    """
    scale = near_one(mid)
    mid, side = mid * scale, side if side is None else side * scale
    spectrum = _transform(mid)
    power = spectrum.real * spectrum.real + spectrum.imag * spectrum.imag
    parts: list[npt.ArrayLike] = [_echoes(power, low, high) for low, high in ECHO_BANDS_HZ]
    parts += [_low_end(power), _amplitude(mid), _levels(mid), _of_peak(mid)]
    if side is None:
        parts.append(np.full(len(_stereo_names()), NO_SIDE))
    else:
        parts.append(_stereo(mid, side, spectrum))
    out: _Array = np.concatenate(parts).astype(np.float32)
    return out


def near_one(wave: _Array) -> np.float32:
    """Return the power of two that brings the highest sample near one: exact to multiply with, and nothing overflows.

    Args:
        wave: float32 (n,), n at least one.
    """
    highest = max(float(wave.max()), -float(wave.min()))
    return np.float32(2.0 ** -np.round(np.log2(highest + 1e-30)))


def _transform(wave: _Array) -> npt.NDArray[np.complex64]:
    """Spectrum of the middle of a wave, at most 3 s of it, up to half the rate."""
    n = min(len(wave), N_FFT)
    start = (len(wave) - n) // 2
    spectrum = np.fft.rfft(wave[start : start + n] * _hann(n), N_FFT, norm="forward")
    return spectrum.astype(np.complex64, copy=False)


@lru_cache(maxsize=2)
def _hann(n: int) -> _Array:
    window: _Array = np.hanning(n).astype(np.float32)
    return window


def _bins(low_hz: float, high_hz: float) -> slice:
    return slice(int(low_hz / BIN_HZ), int(high_hz / BIN_HZ))


def _place(delay_ms: float, size: int) -> int:
    """First place of a transform over ``size`` bins that is at least so late."""
    return int(np.ceil(delay_ms * 1e-3 * size * BIN_HZ))


def _mean(values: npt.NDArray[np.float32], low_hz: float, high_hz: float) -> float:
    return float(values[_bins(low_hz, high_hz)].mean(dtype=np.float64))


def _echoes(power: _Array, low_hz: float, high_hz: float) -> list[float]:
    """How far the highest points of the cepstrum stand out in each range of delays."""
    level = np.log(power[_bins(low_hz, high_hz)] + np.float32(1e-12 * float(power.max()) + 1e-30))
    n = len(level)
    total = np.concatenate([[0.0], np.cumsum(level, dtype=np.float64)])
    level -= local_mean(total, ECHO_SMOOTHING).astype(np.float32)
    size = 1 << (n - 1).bit_length()
    cepstrum = np.abs(np.fft.rfft(level, size, norm="forward")) * np.float32(size / n)
    out: list[float] = []
    for low_ms, high_ms in ECHO_RANGES_MS:
        found = np.sort(cepstrum[_place(low_ms, size) : _place(high_ms, size)])
        median = float(found[len(found) // 2]) + 1e-9
        out += [float(np.log(found[-min(rank, len(found))] / median + 1e-9)) for rank in ECHO_RANKS]
        out.append(float(np.log(median)))
    return out


def local_mean(total: npt.NDArray[np.float64], half: int) -> npt.NDArray[np.float64]:
    """Return the mean around each of n places.

    Args:
        total: float64 (n + 1,), the running sum of n values, from 0 on; n at least twice ``half`` and one.
        half: how many to either side belong to it, fewer at the ends.
    """
    n = len(total) - 1
    out = np.empty(n)
    np.subtract(total[2 * half + 1 :], total[: n - 2 * half], out=out[half : n - half])
    np.subtract(total[half + 1 : 2 * half + 1], total[0], out=out[:half])
    np.subtract(total[n], total[n - 2 * half : n - half], out=out[n - half :])
    out /= _counts(n, half)
    return out


@lru_cache(maxsize=8)
def _counts(n: int, half: int) -> npt.NDArray[np.int64]:
    """Of how many values each mean of :func:`local_mean` is."""
    k = np.arange(n)
    return np.minimum(k + half + 1, n) - np.maximum(k - half, 0)


def _low_end(power: _Array) -> list[float]:
    """Level in dB of narrow bands up to 315 Hz against the mean from 60 Hz to 12 kHz."""
    whole = _mean(power, 60, 12_000) + 1e-30
    return [float(10 * np.log10(_mean(power, a, b) / whole + 1e-9)) for a, b in pairwise(LOW_END_HZ)]


def _amplitude(wave: _Array) -> list[float]:
    """Crest factor in dB, shape of the distribution of samples, and how unlike the two polarities are."""
    n = len(wave)
    square = wave * wave
    mean_square = float(wave @ wave) / n + 1e-24
    high, low = float(wave.max()), -float(wave.min())
    peak = max(high, low) + 1e-12
    return [
        10 * np.log10(peak * peak / mean_square),
        abs(float(square @ wave)) / n / mean_square**1.5,
        float(np.log(float(square @ square) / n / mean_square**2 + 1e-9)),
        abs(np.count_nonzero(wave > 0) / n - 0.5),
        min(high, low) / peak,
    ]


def _levels(wave: _Array) -> list[float]:
    """Statistics of frames of each size; the larger ones are put together from the smaller."""
    frames = wave[: len(wave) // FRAME_SIZES[0] * FRAME_SIZES[0]].reshape(-1, FRAME_SIZES[0])
    highest = np.abs(frames).max(axis=1)
    energy = np.einsum("ij,ij->i", frames, frames)
    peak = float(highest.max()) + 1e-12
    out = _of_frames(highest, energy / np.float32(FRAME_SIZES[0]), peak)
    for smaller, size in pairwise(FRAME_SIZES):
        n = len(highest) * smaller // size
        highest = highest[: n * size // smaller].reshape(n, -1).max(axis=1)
        energy = energy[: n * size // smaller].reshape(n, -1).sum(axis=1)
        out += _of_frames(highest, energy / np.float32(size), peak)
    return out


def _of_frames(highest: _Array, power: _Array, peak: float) -> list[float]:
    """How many frames reach the peak, how far peaks stand out within loud frames, and the levels of all frames."""
    whole = float(power.mean(dtype=np.float64)) + 1e-24
    below = np.sort(-20 * np.log10(highest / np.float32(peak) + np.float32(1e-6)))
    out = (np.searchsorted(below, BELOW_PEAK_DB) / len(below)).tolist()
    level = 10 * np.log10(power / np.float32(whole) + np.float32(1e-9))
    loud = level > LOUD_DB
    out += _at(20 * np.log10(highest[loud] / np.sqrt(power[loud])), CREST_PERCENTILES)
    return list(out) + _at(level[level > -LEVEL_RANGE_DB], LEVEL_PERCENTILES)


def _at(values: _Array, percentiles: Sequence[int]) -> list[float]:
    """Percentiles by nearest rank; values holds at least one."""
    ordered = np.sort(values)
    return [float(ordered[min(len(ordered) - 1, int(p / 100 * len(ordered)))]) for p in percentiles]


def _of_peak(wave: _Array) -> list[float]:
    """Share of samples, as its logarithm to base ten, that come so near to the peak: a limiter's flat tops."""
    height = np.abs(wave)
    highest = float(height.max())
    height = height[height > OF_PEAK[-1] * highest] / np.float32(highest)
    return [float(np.log10(np.count_nonzero(height > share) / len(wave) + 1e-6)) for share in OF_PEAK]


def _stereo(mid: _Array, side: _Array, spectrum: npt.NDArray[np.complex64]) -> list[float]:
    """Correlation of left and right at each delay, by phase alone, and how the image lies and widens."""
    of_side = _transform(side)
    left, right = spectrum + of_side, spectrum - of_side
    here = _bins(*STEREO_BAND_HZ)
    cross = left[here] * right[here].conj()
    cross /= np.abs(cross) + np.float32(1e-30)
    size = 1 << (len(cross) - 1).bit_length()
    found = np.abs(np.fft.fft(cross, size, norm="forward")) * np.float32(size / len(cross))
    nearest = _place(STEREO_RANGES_MS[0][0], size)
    out = [float(max(found[:nearest].max(), found[size - nearest + 1 :].max(initial=0.0)))]
    for low_ms, high_ms in STEREO_RANGES_MS:
        first, last = _place(low_ms, size), _place(high_ms, size)
        part = np.sort(np.concatenate([found[first:last], found[size - last + 1 : size - first + 1]]))
        median, highest = float(part[len(part) // 2]), float(part[-1])
        out += [np.log(highest / (median + 1e-9) + 1e-9), np.log(highest + 1e-6), np.log(median + 1e-6)]
    mid_energy, side_energy, both_energy = float(mid @ mid), float(side @ side), 2 * float(mid @ side)
    left_energy = max(mid_energy + side_energy + both_energy, 0.0) + 1e-12
    right_energy = max(mid_energy + side_energy - both_energy, 0.0) + 1e-12
    out += [
        abs(10 * np.log10(left_energy / right_energy)),
        (mid_energy - side_energy) / np.sqrt(left_energy * right_energy),
        10 * np.log10(side_energy / (mid_energy + 1e-12) + 1e-9),
    ]
    power = [value.real * value.real + value.imag * value.imag for value in (left, right)]
    pans = np.array(
        [
            10 * np.log10((_mean(power[0], a, b) + 1e-20) / (_mean(power[1], a, b) + 1e-20))
            for a, b in pairwise(PAN_BANDS_HZ)
        ]
    )
    return [*out, float(pans.std()), abs(float(pans.mean())), float(np.ptp(pans)), abs(float(pans[0] - pans[-1]))]
