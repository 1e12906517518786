"""Statistics of production: what was done to a stem after it was recorded, read from its spectrum over time.

A room and a delay lengthen falls and repeat onsets, a compressor and a limiter tie the bands to the whole, saturation
fills the top when it gets loud, a chorus or a flanger ripples the spectrum, an equaliser and a de-esser bend the
long-term one. Like :mod:`provenance.dynamics` they are computed from the map in eight bits, so that what is stored for
training and what is served are the same numbers.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance.dynamics import BIN_HZ, EDGES_HZ

_Array: TypeAlias = npt.NDArray[np.float32]

RANGE_DB = 60.0
"""Energy further below the loud frames counts as that."""
PEAK_DB = 20.0
"""A peak of energy lies at most so far below the loud frames."""
AFTER = (1, 2, 3, 5, 8, 13, 21)
BEFORE = (1, 2, 3, 5)
"""Frames of 23 ms after and before a peak at which the energy is compared with it."""
MODULATION_HZ = (0.3, 1.0, 2.0, 4.0, 8.0, 14.0, 22.0)
"""Edges of the bands of an energy's own spectrum."""
LOUD_DB = 40.0
"""Frames whose whole energy lies at most so far below the loud ones tell how bands follow it."""
CONTRASTS = ((4, 2), (5, 4), (3, 2), (4, 6))
"""Pairs of bands whose difference is followed; 6 is the whole."""
PERCENTILES = (5, 25, 50, 75, 95, 99)
THIRD_OCTAVES_HZ = (60.0, 19_000.0, 26)
"""Lowest and highest edge of the long-term spectrum's bands, and how many edges."""
RIPPLE_BINS = ((4, 516), (300, 812))
RIPPLE_EDGES = (4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 257)
"""Parts of the spectrum whose ripple is measured, and groups of ripples: n waves over 512 bins, 11 kHz."""
RIPPLE_SPARSE = 3
"""Ripple is measured in every third frame."""
REPEATS = tuple(range(3, 63, 4))
"""First lags, in frames, of the groups of four in which onsets are compared with themselves: 70 ms to 1.4 s."""


def names() -> tuple[str, ...]:
    """Return the name of each statistic, in order."""
    bands = [*(f"{low}-{high}" for low, high in pairwise(EDGES_HZ)), "all"]
    out = [f"after_{what}_{k}_{band}" for k in AFTER for what in ("mean", "std") for band in bands]
    out += [f"before_{k}_{band}" for k in BEFORE for band in bands]
    out += [f"modulation_{low:g}-{high:g}_{band}" for low, high in pairwise(MODULATION_HZ) for band in bands]
    out += [f"energy_{what}_{band}" for what in ("std", "skew", "kurtosis") for band in bands]
    out += [f"follow_{what}_{band}" for what in ("slope", "correlation", "rest") for band in bands[:-1]]
    out += [f"contrast_p{p}_{bands[a]}_{bands[b]}" for a, b in CONTRASTS for p in PERCENTILES]
    n = len(_third_octaves()) - 1
    out += [f"spectrum_{k}" for k in range(n)] + [f"spectrum_bend_{k}" for k in range(n - 2)]
    groups = [f"{a}-{b}" for a, b in pairwise(RIPPLE_EDGES)]
    out += [f"ripple_{part}_{what}_{group}" for part in ("low", "high")
            for what in ("mean", "peak", "steady_mean", "steady_peak", "spread_peak") for group in groups]  # fmt: skip
    out += [f"repeat_{lag}_{band}" for band in (bands[3], "all") for lag in REPEATS]
    return tuple(out)


def compute(power: _Array, energy: _Array, flat: npt.NDArray[np.uint8]) -> _Array:
    """Compute the statistics of a window.

    Args:
        power: float32 (n_frames, 1024), power of each bin from the first above DC; at least 40 frames.
        energy: float32 (n_bands + 1, n_frames) dB, of each band of ``dynamics.EDGES_HZ`` and of their sum.
        flat: uint8, every third frame of the map's texture, in steps of 0.25 dB.

    Returns:
        float32, shape (len(names()),).
    """
    loud = np.sort(energy, axis=1)[:, int(0.95 * energy.shape[1]), None]
    inside = np.maximum(energy, loud - np.float32(RANGE_DB))
    is_loud = inside[-1] > loud[-1] - LOUD_DB
    parts = [
        _around_peaks(inside, loud),
        _modulation(inside),
        _following(inside[:, is_loud]),
        _long_term(power, is_loud),
        *(_ripple(flat[:, low:high]) for low, high in RIPPLE_BINS),
        *(_repeats(inside[band]) for band in (3, -1)),
    ]
    return np.concatenate(parts).astype(np.float32)


@lru_cache(maxsize=1)
def _third_octaves() -> npt.NDArray[np.int64]:
    """Bins, counted from the first above DC, at which the bands of the long-term spectrum begin."""
    low, high, n = THIRD_OCTAVES_HZ
    return np.unique(np.round(np.geomspace(low, high, n) / BIN_HZ).astype(int))


def _around_peaks(energy: _Array, loud: _Array) -> _Array:
    """How far the energy of each band lies below its peaks, shortly after and before them."""
    n_bands, n_frames = energy.shape
    middle = energy[:, 1:-1]
    is_peak = (middle >= energy[:, :-2]) & (middle > energy[:, 2:]) & (middle > loud - PEAK_DB)
    band, at = np.nonzero(is_peak)
    at += 1
    out = []
    for offset in (*AFTER, *(-k for k in BEFORE)):
        there = at + offset
        known = (there >= 0) & (there < n_frames)
        b = band[known]
        step = energy[b, there[known]] - energy[b, at[known]]
        n = np.maximum(np.bincount(b, minlength=n_bands), 1)
        mean = np.bincount(b, step, n_bands) / n
        out.append(mean)
        if offset > 0:
            out.append(np.sqrt(np.maximum(np.bincount(b, step * step, n_bands) / n - mean * mean, 0)))
    return np.concatenate(out)


def _modulation(energy: _Array) -> _Array:
    """Where the energy of each band moves, and the shape of its distribution."""
    n_frames = energy.shape[1]
    centred = energy - energy.mean(axis=1, keepdims=True)
    moving = np.abs(np.fft.rfft(centred * np.hanning(n_frames), axis=1)) ** 2
    hz = np.fft.rfftfreq(n_frames, 1024 / 44_100)
    total = moving[:, 1:].sum(axis=1) + 1e-6
    shares = [moving[:, (hz >= low) & (hz < high)].sum(axis=1) / total for low, high in pairwise(MODULATION_HZ)]
    std = energy.std(axis=1)
    z = centred / (std[:, None] + 0.1)
    square = z * z
    logs = [10 * np.log10(share + 1e-6) for share in shares]
    return np.concatenate([*logs, np.log(std + 0.01), (square * z).mean(axis=1), (square * square).mean(axis=1)])


def _following(energy: _Array) -> _Array:
    """How each band follows the whole while it is loud, and how bright it is then."""
    whole = energy[-1] - energy[-1].mean()
    bands = energy[:-1] - energy[:-1].mean(axis=1, keepdims=True)
    shared, own = bands @ whole, (bands * bands).sum(axis=1)
    of_whole = float(whole @ whole)
    slope = shared / (of_whole + 1e-3)
    rest = np.sqrt(np.maximum(own - slope * slope * of_whole, 0) / len(whole))
    contrasts = []
    for a, b in CONTRASTS:
        ordered = np.sort(energy[a] - energy[b])
        contrasts.append(ordered[[min(len(ordered) - 1, int(p / 100 * len(ordered))) for p in PERCENTILES]])
    return np.concatenate([slope, shared / np.sqrt(own * of_whole + 1e-3), rest, *contrasts])


def _long_term(power: _Array, is_loud: npt.NDArray[np.bool_]) -> _Array:
    """The spectrum of the loud frames by third octave, less its mean, and its bends."""
    starts = _third_octaves()
    mean = is_loud.astype(np.float32) @ power / np.float32(is_loud.sum())
    level = 10 * np.log10(np.add.reduceat(mean, starts)[:-1] / np.diff(starts) + 1e-11)
    return np.concatenate([level - level.mean(), np.diff(level, 2)])


def _ripple(flat: npt.NDArray[np.uint8]) -> _Array:
    """How regularly the spectrum rises and falls over frequency: in each frame, in all together, and unsteadily."""
    wave = flat.astype(np.float32)
    wave -= wave.mean(axis=1, keepdims=True)
    wave *= np.hanning(wave.shape[1]).astype(np.float32) * np.float32(0.25)
    ripple = np.abs(np.fft.rfft(wave, axis=1, norm="forward")) * np.float32(wave.shape[1])
    steady = np.abs(np.fft.rfft(wave.mean(axis=0)))
    out = []
    for values, has_mean in ((ripple.mean(axis=0), True), (steady, True), (ripple.std(axis=0), False)):
        mean = np.add.reduceat(values[: RIPPLE_EDGES[-1]], RIPPLE_EDGES[:-1]) / np.diff(RIPPLE_EDGES)
        peak = np.maximum.reduceat(values[: RIPPLE_EDGES[-1]], RIPPLE_EDGES[:-1]) / (mean + 1e-6)
        out += [np.log(mean + 1e-3)] if has_mean else []
        out.append(np.log(peak + 1e-3))
    return np.concatenate(out)


def _repeats(energy: _Array) -> _Array:
    """How the onsets of a series look like themselves some time later: the most of each group of lags."""
    onset = np.maximum(np.diff(energy), 0)
    onset = onset - onset.mean()
    n = len(onset)
    spectrum = np.fft.rfft(onset, 2 * n)
    alike = np.fft.irfft(spectrum * spectrum.conj())[:n] / np.arange(n, 0, -1)
    alike = np.pad(alike / (alike[0] + 1e-3), (0, max(0, REPEATS[-1] + 4 - n)))
    return np.array([alike[lag : lag + 4].max() for lag in REPEATS])
