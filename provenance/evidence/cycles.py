"""Cycles: loudness that wavers in step with blocks of 1024 samples, as strided networks and transforms leave it.

A network that upsamples by strides of two or four, and a mask that changes from block to block, act differently on the
samples of a block: their output is cyclostationary (W. A. Gardner, A. Napolitano and L. Paura, Cyclostationarity: half
a century of research, Signal Processing 86(4), 2006), its power wavers at multiples of the block rate, inaudibly and
exactly in time. All strides of 2 to the power of k up to 1024 share the multiples of 44100 / 1024 Hz. Nothing that is
played or sung keeps that clock; a level that is ridden in steps of 1024 samples does.

In each of three bands the power, divided by its own mean over 93 ms, is read at 64 multiples of 43.07 Hz beside the 20
nearest frequencies; 1 says no more than chance. Codecs keep clocks of their own: MP3 at multiples of 1378 Hz, which are
left out; AAC this very one, in the bands where it switches whole frames off; WMA that of blocks twice as long, which
shows between the multiples. Software instruments and sequencers start their notes with a block. So onsets are left out,
multiples are taken by the highest power of two in them, the least of these classes counts, without the band that shows
most, and nothing is raised by a coder's clock.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.evidence.conclude import conclude
from provenance.evidence.view import Array, Clip, Reading
from provenance.verdict import Cue
from provenance.waveform import local_mean

NAME, UNIT = "cycles", "times chance"
VERSION = 2
"""Raise it when the cue comes out otherwise and none of the numbers below says so."""
BLOCK = 1024
N_BANDS = 3
"""Bands of an eighth of the sampling rate each, 0 to 16.5 kHz: above, coders at low rates hardly code at all."""
LOWEST_HZ = 150.0
MEAN_S = 0.093
"""What the power is divided by is its mean over so long."""
ONSET_RATIO, ONSET_S = 3.0, 0.023
"""An onset: so many times the power in the time of ONSET_S after a moment as in that before it."""
BEFORE_ONSET_S, AFTER_ONSET_S = 0.005, 0.03
"""What is left out around it."""
TALLEST = 6.0
"""A moment louder than so many times its surroundings counts as that."""
MOST = 4.0
"""A line higher than so many times chance counts as that: many lines are sought, not one."""
NEAREST, FARTHEST = 3, 12
"""A line's neighbours lie so many steps of one over the window's length to either side."""
LEAST_SHARE = 0.05
"""A band that sounds, away from onsets, for less than this share of a window is not read."""
LEAST_SIDE_DB = -50.0
"""A side channel weaker than this beside the mid is none."""
CODER_FROM = 1.25
"""Mean height from which lines at odd multiples of half the block rate are a coder's, where they are the higher."""
NOTHING_DB = -95.0
"""A band whose median level lies so far below the whole holds next to nothing: AAC leaves -102 and less where it
switches frames off, networks -81 and more."""
CLASSES = ((1,), (2,), (4,), (8, 16))
"""Highest powers of two in the multiples; those of 32 are MP3's."""
_STEP = 8
"""Samples of the waveform to one of a band."""
_N_LINES = BLOCK // _STEP // 2
_BAND_POWER = 2.0 * (_STEP / 2) ** 2
"""Of a band as it is transformed back, beside that of the waveform."""
_STEPS = [0, *range(NEAREST, FARTHEST + 1)]
"""A line and its neighbours to one side, in steps of one over the window's length."""


def contract() -> dict[str, object]:
    """Return the numbers by which the cue is measured, for its weight to carry and a loader to compare."""
    return {
        "version": VERSION,
        "block": BLOCK,
        "n_bands": N_BANDS,
        "lowest_hz": LOWEST_HZ,
        "mean_s": MEAN_S,
        "onset_ratio": ONSET_RATIO,
        "onsets_s": [ONSET_S, BEFORE_ONSET_S, AFTER_ONSET_S],
        "tallest": TALLEST,
        "most": MOST,
        "neighbours": [NEAREST, FARTHEST],
        "least_share": LEAST_SHARE,
        "least_side_db": LEAST_SIDE_DB,
        "classes": [list(of) for of in CLASSES],
    }


class Pool:
    """Readings of a file's windows, added up."""

    def __init__(self) -> None:
        self._sum = np.zeros((N_BANDS, len(CLASSES)))
        self._n = np.zeros((N_BANDS, len(CLASSES)))
        self._between = np.zeros(2)
        self._floor_db = np.zeros(N_BANDS)
        self._n_windows = 0

    def add(self, samples: Samples) -> None:
        """Read a window.

        Args:
            samples: float32, shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent.
        """
        total, n, between, floor_db = _look(samples)
        self._sum += total
        self._n += n
        self._between += between
        self._floor_db += floor_db
        self._n_windows += 1

    @property
    def value(self) -> float | None:
        """Mean height of the lines of the least class, less its standard error; None where nothing could be read.

        Of the bands that could be read the one whose absence lowers it most is left out.
        """
        found = [self._without(band) for band in range(N_BANDS) if self._n[band].all()]
        values = [value for value in found if value is not None]
        return min(values, default=None)

    @property
    def is_coder(self) -> bool:
        """Whether there is a clock that is a coder's: of longer blocks, or out of bands where next to nothing is.

        Blocks of WMA are twice as long. AAC switches whole frames off where a recording ends, in two bands of three
        where that is a dull one; what is left there lies far below what any network leaves.
        """
        value = self.value
        if value is None or value <= 1.0:
            return False
        total, n = self._between
        longer = n and total / n - 1 / np.sqrt(n) > max(CODER_FROM, value)
        return bool(longer or np.count_nonzero(self._floor_db / self._n_windows < NOTHING_DB) >= N_BANDS - 1)

    @property
    def counted(self) -> float | None:
        """The value where it counts: None where nothing could be read, and of a coder's clock."""
        return None if self.is_coder else self.value

    @property
    def reading(self) -> Reading:
        """The value, or why there is none."""
        if self.is_coder:
            return (
                "a coder's clock: that of longer blocks, as WMA's, or of frames switched off where nothing is, as AAC's"
            )
        value = self.value
        return "too few bands sound between onsets" if value is None else value

    def _without(self, band: int) -> float | None:
        total, n = (np.delete(values, band, axis=0).sum(axis=0) for values in (self._sum, self._n))
        return float((total / n - 1 / np.sqrt(n)).min()) if n.all() else None


def look(samples: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the heights of each class of lines in each band of one window, added up, and how many lines there are.

    Args:
        samples: float32, shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent.

    Returns:
        Two arrays of shape (N_BANDS, len(CLASSES)).
    """
    total, n, *_ = _look(samples)
    return total, n


def _look(samples: Samples) -> tuple[npt.NDArray[np.float64], ...]:
    """As :func:`look`, with the sum and number of the lines between those, at odd multiples of half the block rate, and
    the median level of each band beside the whole, in dB."""
    left, right = samples[:, 0], samples[:, -1]
    mid, side = (left + right) * np.float32(0.5), (left - right) * np.float32(0.5)
    power_mid, power_side = (float(np.vdot(wave, wave)) for wave in (mid, side))
    waves = [mid] if power_mid > power_side * 10 ** (LEAST_SIDE_DB / 10) else []
    waves += [side] if power_side > power_mid * 10 ** (LEAST_SIDE_DB / 10) else []
    heights, between, floors_db = (np.stack(found) for found in zip(*(_heights(wave) for wave in waves), strict=True))
    read = np.asarray(np.isfinite(heights).all(axis=2))
    known = np.where(read[..., None], np.minimum(heights, MOST), 0)
    halves = between[np.isfinite(between)]
    total = np.array([np.minimum(halves, MOST).sum(), halves.size], np.float64)
    n_lines = read.sum(axis=0)[:, None] * _members().sum(axis=0)
    return known.sum(axis=0) @ _members(), n_lines, total, floors_db.max(axis=0)


def lines(wave: Array) -> Array:
    """Return the height of each line in each band, in times what lies beside it; NaN in a band without sound.

    Args:
        wave: float32 (n,) at 44.1 kHz, n at least 1 s.

    Returns:
        float32, shape (N_BANDS, 64); line k is the multiple k + 1 of 43.07 Hz.
    """
    return _heights(wave)[0]


def _heights(wave: Array) -> tuple[Array, Array, Array]:
    """As :func:`lines`, with the lines half a multiple below each (NaN where the number of blocks is odd, too), and the
    median level of each band beside the whole, in dB."""
    n_blocks = _smooth(len(wave) // BLOCK)
    spectrum = np.fft.rfft(wave[: n_blocks * BLOCK]).astype(np.complex64, copy=False)
    width = n_blocks * BLOCK // _STEP
    hz = SAMPLE_RATE_HZ / (n_blocks * BLOCK)
    spectrum[: int(LOWEST_HZ / hz)] = 0
    out, between = np.full((2, N_BANDS, _N_LINES), np.nan, np.float32)
    floor_db = np.empty(N_BANDS, np.float32)
    whole = float(np.vdot(wave, wave)) / len(wave) * _BAND_POWER + 1e-30
    for band in range(N_BANDS):
        held = np.fft.ifft(spectrum[band * width : (band + 1) * width])
        power_held = held.real**2 + held.imag**2
        median = float(np.median(power_held.reshape(n_blocks, -1).mean(axis=1)))
        floor_db[band] = 10 * np.log10(median / whole + 1e-20)
        rising = _rising(power_held)
        if rising is not None:
            blocks = rising.reshape(n_blocks, -1) * _hann(n_blocks)  # no matrix product: its threads cost more than it
            along = np.fft.rfft(blocks, axis=0, norm="forward")
            found = np.fft.fft(along[_STEPS], axis=1)
            power = found.real**2 + found.imag**2
            above, below = power[1:, 1 : _N_LINES + 1], power[1:, -_N_LINES:][:, ::-1]  # real blocks: mirrored
            beside = (above.sum(axis=0) + below.sum(axis=0)) / (2 * len(above))
            out[band] = power[0, 1 : _N_LINES + 1] / (beside + np.float32(1e-30 / n_blocks**2))
            if n_blocks % 2 == 0:
                found = np.fft.fft(along[[n_blocks // 2 - step for step in _STEPS]], axis=1)
                power = found.real**2 + found.imag**2
                beside = power[1:].mean(axis=0)
                between[band] = (power[0] / (beside + np.float32(1e-30 / n_blocks**2)))[:_N_LINES]
    return out, between, floor_db


def _rising(power: npt.NDArray[np.floating]) -> Array | None:
    """Power of a band beside its mean over 93 ms, less 1 or so; pauses and onsets are 0."""
    total = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    mean = local_mean(total, _steps(MEAN_S / 2))
    least = max(1e-7 * float(mean.max()), 1e-18)
    sounds = mean > least
    sounds &= ~_onsets(total)
    n_sounds = np.count_nonzero(sounds)
    if n_sounds < LEAST_SHARE * len(sounds):
        return None
    out: Array = np.divide(power, np.maximum(mean, least, out=mean), dtype=np.float32)
    np.minimum(out, np.float32(TALLEST), out=out)
    out *= sounds
    out -= sounds * np.float32(out.sum(dtype=np.float64) / n_sounds)
    return out


def _onsets(total: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which moments lie around an onset, from the running sum of a band's power."""
    n, span = len(total) - 1, _steps(ONSET_S)
    before, after = total[:-1].copy(), total[n] - total[:-1]
    before[span:] -= total[: n - span]
    np.subtract(total[span:], total[: n - span + 1], out=after[: n - span + 1])
    found = np.flatnonzero(after > ONSET_RATIO * before)
    edges = np.zeros(n + 1, np.int64)
    np.add.at(edges, np.maximum(found - _steps(BEFORE_ONSET_S), 0), 1)
    np.add.at(edges, np.minimum(found + _steps(AFTER_ONSET_S), n), -1)
    out: npt.NDArray[np.bool_] = np.cumsum(edges)[:-1] > 0
    return out


@lru_cache(maxsize=8)
def _smooth(n: int) -> int:
    """The most of n blocks whose number has no prime factor above seven: twice as fast to transform as 172 of them."""
    rest = n
    for factor in (2, 3, 5, 7):
        while rest % factor == 0:
            rest //= factor
    return n if rest == 1 else _smooth(n - 1)


def _steps(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ / _STEP)


@lru_cache(maxsize=4)
def _hann(n_blocks: int) -> Array:
    window: Array = np.hanning(n_blocks).astype(np.float32)[:, None]
    return window


@lru_cache(maxsize=1)
def _members() -> npt.NDArray[np.float64]:
    """Which lines are of which class, shape (64, len(CLASSES))."""
    k = np.arange(1, _N_LINES + 1)
    powers = k & -k
    return np.stack([np.isin(powers, of) for of in CLASSES], axis=1).astype(np.float64)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings, the one value of its :class:`Pool`.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 1.1:
        return "its power wavers in step with blocks of 1024 samples, as after networks with strides and block masks"
    return "no clock of blocks"
