"""Statistics of the envelope: how sounds begin, end and waver, at a resolution of 3 ms.

A separator works on frames of 23 to 93 ms, or with networks that upsample, and gives onsets back too slow and too much
alike, some of each before it is due. Frames of 46 ms cannot see that; the power of each band over frames of 5.8 ms can.
On separators and sources that were not trained on they raised the area under the ROC curve of boosted trees by 0.01 to
0.03, and alone they tell as much as all of texture (see ``training/LOG.md``). Nothing here depends on gain, on polarity
or on which channel is left.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance.waveform import near_one

_Array: TypeAlias = npt.NDArray[np.float32]
_Floats: TypeAlias = npt.NDArray[np.floating]
_Places: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Band and frame of each of many."""

N_FRAME, HOP = 256, 128
_BLOCK = 256
"""So many frames are transformed at once: they stay in the cache."""
RATE_HZ = 44_100
EDGES = (0, 2, 6, 15, 30, 47, 70, 95, 120)
"""Edges of the bands in bins of 172 Hz: 0.3, 1, 2.6, 5.2, 8.1, 12, 16.4 and 20.7 kHz; one more series is their sum."""
RANGE_DB = 60.0
"""Power further below the loud frames counts as that."""
LOUD_SHARE = 0.95
PEAK_DB, PEAK_REACH = 15.0, 6
"""A peak lies at most so far below the loud frames, and no higher frame within so many to either side."""
RISE, ONSET_DB, ONSET_REACH = 4, 8.0, 8
"""An onset: power rises over so many frames by so many dB, and by no more within so many frames to either side."""
AFTER = (1, 2, 4, 8, 16, 32, 64)
BEFORE = (1, 2, 4, 8, 16, 32)
"""Frames of 2.9 ms after a peak and before an onset at which the power is compared with it."""
HUMPS = ((5, 12), (6, 20), (12, 32))
"""Pairs of such frames before an onset: more at the first than at the second is what comes before it is due."""
MODULATION_HZ = (0.3, 1, 2, 4, 8, 16, 32, 64, 128)
LINES_HZ = ((0.5, 4.0), (4.0, 16.0))
PERCENTILES = (10, 25, 50, 75, 90, 99)
RISES = ((1, (90, 98, 99.5)), (2, (98,)), (4, (90, 98, 99.5)), (8, (98,)))
FALLS = ((1, (2, 10)), (2, (2,)), (4, (2, 10)), (16, (2, 10)))
"""Steps over so many frames, and the percentiles of them that are taken."""
DUCKS = (2, 4, 8, 16)
DUCK_DB = 30.0
MAP_EDGES = (
    0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 23, 26, 29, 32, 36, 40, 44, 48, 52, 57, 62, 67, 72, 78, 84, 90, 97,
    104, 112, 120,
)  # fmt: skip
"""Edges of the bands of the map, in bins."""
N_MAP_BANDS = len(MAP_EDGES) - 1
MAP_RANGE_DB = (-75.0, 27.5)
BYTES_FROM_DB = -100.0
"""What the byte 0 stands for."""


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return the name of each statistic, in order."""
    each = [f"after_{what}_{k}" for k in AFTER for what in ("mean", "std")]
    each += [f"before_{what}_{k}" for k in BEFORE for what in ("mean", "std")]
    each += [f"hump_{what}_{a}-{b}" for a, b in HUMPS for what in ("mean", "std")]
    each += ["n_onsets", "n_peaks"]
    each += [f"modulation_{low:g}-{high:g}" for low, high in pairwise(MODULATION_HZ)]
    each += [f"line_{what}_{low:g}-{high:g}" for low, high in LINES_HZ for what in ("height", "hz")]
    each += [*(f"p{p}" for p in PERCENTILES), "max"]
    each += [f"rise_{k}_p{p}" for k, ps in RISES for p in ps] + [f"fall_{k}_p{p}" for k, ps in FALLS for p in ps]
    bands = [*(f"{a * 172}-{b * 172}" for a, b in pairwise(EDGES)), "all"]
    out = [f"envelope_{what}_{band}" for what in each for band in bands]
    out += [f"envelope_duck_{k}_{band}" for k in DUCKS for band in bands[:-1]]
    out += [f"envelope_joint_{what}_{band}" for what in ("mean", "std") for band in bands[:-1]]
    return (*out, *(f"envelope_neighbours_{band}" for band in bands[:-2]))


def power(wave: _Array) -> _Array:
    """Return the power of each bin of 172 Hz in frames of 5.8 ms, float32 (n_frames, 129).

    Args:
        wave: float32 (n,) at 44.1 kHz, n at least 256; its level is brought near one first.
    """
    window = _hann() * near_one(wave)
    frames = np.lib.stride_tricks.sliding_window_view(wave, N_FRAME)[::HOP]
    out = np.empty((len(frames), N_FRAME // 2 + 1), np.float32)
    for first in range(0, len(frames), _BLOCK):
        some = slice(first, first + _BLOCK)
        spectrum = np.fft.rfft(frames[some] * window, axis=1, norm="forward")  # another norm computes in float64
        np.multiply(spectrum.real, spectrum.real, out=out[some])
        out[some] += spectrum.imag * spectrum.imag
    return out


def compute(power: _Array) -> _Array:
    """Compute the statistics of a window.

    Args:
        power: of a window of at least 1 s that is not silent, from :func:`power`.

    Returns:
        float32, shape (len(names()),).
    """
    level = levels(power)
    onsets, rise = _onsets(level)
    parts = [_peaks(level), _before(level, onsets), _modulation(level), _levels(level), _steps(level)]
    parts += [_ducks(level), _joint(rise, onsets), _neighbours(rise)]
    out: _Array = np.concatenate(parts).astype(np.float32)
    return out


def levels(power: _Array) -> _Array:
    """Return the level of each band and of their sum in dB below its loud frames, float32 (n_bands + 1, n_frames).

    Args:
        power: from :func:`power`.
    """
    bands = np.add.reduceat(power[:, : EDGES[-1]], EDGES[:-1], axis=1).T
    bands = np.ascontiguousarray(np.concatenate([bands, bands.sum(axis=0, keepdims=True)]), np.float32)
    level = np.log10(bands + np.float32(1e-14))
    level *= np.float32(10)
    loud = _share(level, LOUD_SHARE)[:, None]
    return np.maximum(level - loud, np.float32(-RANGE_DB))


def steps_at_onsets(power: _Array, bands: slice) -> _Array:
    """Return by how much each onset stands above what sounds RISE frames earlier, float32 dB (n_onsets,).

    Args:
        power: from :func:`power`.
        bands: those in which onsets are looked for.
    """
    (band, at), rise = _onsets(levels(power)[bands])
    out: _Array = rise[band, at]
    return out


def draw(power: _Array, n_frames: int) -> _Array:
    """Draw the map that a network sees onsets in: levels of MAP_EDGES' bands in dB of the loud frames of the whole.

    Args:
        power: from :func:`power`.
        n_frames: of the spectrum map of the same window; this one ends with it.

    Returns:
        float32, shape (N_MAP_BANDS, n_map_frames(n_frames)), within MAP_RANGE_DB.
    """
    bands = np.add.reduceat(power[:, : MAP_EDGES[-1]], MAP_EDGES[:-1], axis=1)
    loud = _share(bands.sum(axis=1)[None], LOUD_SHARE)[0] + np.float32(1e-20)
    level = np.divide(bands[: n_map_frames(n_frames)].T, loud, order="C")
    level += np.float32(1e-11)
    np.log10(level, out=level)
    level *= np.float32(10)
    out: _Array = np.clip(level, *MAP_RANGE_DB, out=level)
    return out


def n_map_frames(n_frames: int) -> int:
    """Return how many frames the map has beside a spectrum map of so many.

    Args:
        n_frames: of 2048 samples, 1024 apart.
    """
    return 8 * (n_frames - 1) + 15


def to_bytes(drawn: _Array) -> npt.NDArray[np.uint8]:
    """Pack a map into eight bits, in steps of half a dB.

    Args:
        drawn: from :func:`draw`.
    """
    out: npt.NDArray[np.uint8] = np.rint((drawn - np.float32(BYTES_FROM_DB)) * 2).astype(np.uint8)
    return out


@lru_cache(maxsize=1)
def _hann() -> _Array:
    window: _Array = (1 - np.cos(2 * np.pi * np.arange(N_FRAME) / N_FRAME)).astype(np.float32)
    return window


def _share(values: _Array, share: float) -> _Array:
    """The value that so large a share of each row stays below."""
    k = min(values.shape[1] - 1, int(share * values.shape[1]))
    out: _Array = np.partition(values, k, axis=1)[:, k]
    return out


def _highest(values: _Array, reach: int) -> _Array:
    """The highest value within reach to either side of each place of a row."""
    out = values.copy()
    for k in range(1, reach + 1):
        np.maximum(out[:, k:], values[:, :-k], out=out[:, k:])
        np.maximum(out[:, :-k], values[:, k:], out=out[:, :-k])
    return out


def _mean_std(values: _Floats, of: npt.NDArray[np.int64], n: int) -> list[_Floats]:
    """Mean and spread of the values of each of n rows."""
    count = np.maximum(np.bincount(of, minlength=n), 1)
    mean = np.bincount(of, values, n) / count
    return [mean, np.sqrt(np.maximum(np.bincount(of, values * values, n) / count - mean * mean, 0))]


def _peaks(level: _Array) -> _Floats:
    is_peak = (level >= _highest(level, PEAK_REACH)) & (level > -PEAK_DB)
    is_peak[:, [0, -1]] = False
    band, at = np.nonzero(is_peak)
    out = []
    for k in AFTER:
        out += _mean_std(level[band, np.minimum(at + k, level.shape[1] - 1)] - level[band, at], band, len(level))
    return np.concatenate(out)


def _onsets(level: _Array) -> tuple[_Places, _Array]:
    """Band and frame of each onset, and the rise over the last frames at each."""
    rise = np.zeros_like(level)
    rise[:, RISE:] = level[:, RISE:] - level[:, :-RISE]
    band, at = np.nonzero((rise >= _highest(rise, ONSET_REACH)) & (rise > ONSET_DB))
    return (band, at), rise


def _before(level: _Array, onsets: _Places) -> _Floats:
    band, at = onsets
    n = len(level)
    earlier = {k: level[band, np.maximum(at - k, 0)] for k in {*BEFORE, *(k for pair in HUMPS for k in pair)}}
    here = level[band, at]
    out = []
    for k in BEFORE:
        out += _mean_std(earlier[k] - here, band, n)
    for near, far in HUMPS:
        out += _mean_std(earlier[near] - earlier[far], band, n)
    peaks = (level >= _highest(level, PEAK_REACH)).sum(axis=1)
    return np.concatenate([*out, np.log1p(np.bincount(band, minlength=n)), np.log(peaks)])


def _modulation(level: _Array) -> _Floats:
    n = level.shape[1]
    moving = np.fft.rfft((level - level.mean(axis=1, keepdims=True)) * _slow(n), axis=1, norm="forward")
    power = moving.real**2 + moving.imag**2
    hz = np.fft.rfftfreq(n, HOP / RATE_HZ)
    total = power[:, 1:].sum(axis=1) + 1e-9
    edges = np.searchsorted(hz, MODULATION_HZ)
    out = [10 * np.log10(power[:, a:b].sum(axis=1) / total + 1e-6) for a, b in pairwise(edges)]
    for a, b in np.searchsorted(hz, LINES_HZ):
        part = power[:, a:b]
        ordered = np.sort(part, axis=1)
        median = (ordered[:, (b - a - 1) // 2] + ordered[:, (b - a) // 2]) / 2
        out += [np.log((ordered[:, -1] + 1e-9) / (median + 1e-9)), hz[a:b][part.argmax(axis=1)]]
    return np.concatenate(out)


@lru_cache(maxsize=4)
def _slow(n: int) -> _Array:
    window: _Array = np.hanning(n).astype(np.float32)
    return window


def _levels(level: _Array) -> _Floats:
    ordered = np.sort(level, axis=1)
    return np.concatenate([*(ordered[:, int(p / 100 * level.shape[1])] for p in PERCENTILES), ordered[:, -1]])


def _steps(level: _Array) -> _Floats:
    ordered = {k: np.sort(level[:, k:] - level[:, :-k], axis=1) for k in {k for k, _ in (*RISES, *FALLS)}}
    return np.concatenate([ordered[k][:, int(p / 100 * ordered[k].shape[1])] for k, ps in (*RISES, *FALLS) for p in ps])


def _ducks(level: _Array) -> _Floats:
    """Whether a band gives way shortly after the whole was loud, as under a compressor."""
    whole, bands = level[-1] - level[-1].mean(), level[:-1]
    active = level[-1] > -DUCK_DB
    out = []
    for k in DUCKS:
        here = active[:-k] & active[k:]
        if here.sum() < 2:
            out.append(np.zeros(len(bands)))
            continue
        step = (bands[:, k:] - bands[:, :-k])[:, here]
        before = whole[:-k][here]
        step, before = step - step.mean(axis=1, keepdims=True), before - before.mean()
        out.append((step * before).sum(axis=1) / np.sqrt((step * step).sum(axis=1) * (before * before).sum() + 1e-3))
    return np.concatenate(out)


def _joint(rise: _Array, onsets: _Places) -> _Floats:
    """How the bands rise where the whole does."""
    band, at = onsets
    at = at[band == len(rise) - 1]
    if len(at) == 0:
        return np.zeros(2 * (len(rise) - 1))
    there = rise[:-1, at]
    return np.concatenate([there.mean(axis=1), there.std(axis=1)])


def _neighbours(rise: _Array) -> _Floats:
    """How alike neighbouring bands rise and fall."""
    moves = rise[:-1] - rise[:-1].mean(axis=1, keepdims=True)
    own = (moves * moves).sum(axis=1) + np.float32(1e-3)
    alike: _Floats = (moves[1:] * moves[:-1]).sum(axis=1) / np.sqrt(own[1:] * own[:-1])
    return alike
