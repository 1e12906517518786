"""What an audit measures beside the verdict, from the blocks the scorer reads: levels and landmarks.

Landmarks are pairs of spectral peaks, as in A. Wang, "An industrial-strength audio search algorithm", ISMIR 2003; of a
file those with the smallest mixed hashes are kept, so that two files with common passages keep common landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance.audio import Samples
from provenance.containers import Counts

_DECIMATION = 8
_N_PHASES = 4
_TAPS = _DECIMATION * _N_PHASES
_CUT_OFF = 0.7
"""Of the new Nyquist frequency. Of 32, 40, 48 and 64 taps none found more re-encoded takes of the corpus."""
_FRAME, _HOP = 512, 384
_AT_ONCE = 160_000
"""Samples at the lower rate, 29 s, from which frames are transformed: block by block it would cost twice as much."""
_BAND_BINS = (9, 20, 32, 48, 72, 108, 160, 230)
_REACH = 3
_MOST_AHEAD = 11
_MIN_GAP, _MAX_GAP = 2, 31
MAX_LANDMARKS = 160

_Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """What was measured on a file.

    Args:
        peak_db: highest sample in the file itself, dBFS; None in silence.
        rms_db: level over the file, dBFS; None in silence.
        clipped: samples flat at full scale, in the file itself: decoding and resampling overshoot it.
        landmarks: hashes of pairs of peaks.
        landmark_frames: when each begins, in frames of about 70 ms.
    """

    peak_db: float | None
    rms_db: float | None
    clipped: int
    landmarks: list[int]
    landmark_frames: list[int]


class Meter:
    """Sees the blocks of one file, and says at the end what was measured."""

    def __init__(self) -> None:
        self._energy = 0.0
        self._n = 0
        self._counts = Counts()
        self._rest = np.zeros(0, np.float32)
        self._phases = np.zeros((_N_PHASES, 0), np.float32)
        self._low: list[_Array] = []
        self._n_low = 0
        self._best: list[_Array] = []
        self._where: list[npt.NDArray[np.int16]] = []

    def see(self, block: Samples, counts: Counts) -> None:
        """Take in a block.

        Args:
            block: float32, shape (n, 1 or 2), 44.1 kHz; not changed.
            counts: what was counted in the source, which goes on counting.
        """
        self._counts = counts
        if not len(block):
            return
        flat = block.reshape(-1)
        self._energy += float(np.dot(flat, flat))
        self._n += block.size
        self._decimate(block)
        if self._n_low >= _AT_ONCE:
            self._find_peaks()

    def finish(self) -> Measured:
        """Return what was measured."""
        self._find_peaks()
        hashes, frames = self._landmarks()
        rms = (self._energy / self._n) ** 0.5 if self._n else 0.0
        return Measured(_db(self._counts.peak), _db(rms), self._counts.n_flat, hashes, frames)

    def _decimate(self, block: Samples) -> None:
        """Add one channel at an eighth of the rate, of all that is known so far and was not added before."""
        n_channels = block.shape[1]
        flat = block.reshape(-1) if not len(self._rest) else np.concatenate([self._rest, block.reshape(-1)])
        width = _DECIMATION * n_channels
        n_rows, n_held = len(flat) // width, self._phases.shape[1]
        self._rest = flat[n_rows * width :].copy()
        phases = np.empty((_N_PHASES, n_held + n_rows), np.float32)
        phases[:, :n_held] = self._phases
        np.matmul(_low_pass(n_channels), flat[: n_rows * width].reshape(n_rows, width).T, out=phases[:, n_held:])
        self._phases = phases[:, 1 - _N_PHASES :].copy()
        n_out = max(0, n_held + n_rows - _N_PHASES + 1)
        low = phases[0, :n_out].copy()
        for phase in range(1, _N_PHASES):
            low += phases[phase, phase : phase + n_out]
        self._low.append(low)
        self._n_low += n_out

    def _find_peaks(self) -> None:
        """Keep the loudest bin of every band in the frames that are complete."""
        low = np.concatenate(self._low) if self._low else np.zeros(0, np.float32)
        n_frames = max(0, (len(low) - _FRAME) // _HOP + 1)
        rest = low[n_frames * _HOP :]
        self._low, self._n_low = [rest], len(rest)
        if not n_frames:
            return
        frames = np.ndarray((n_frames, _FRAME), np.float32, low, 0, (_HOP * low.itemsize, low.itemsize))
        # numpy computes a float32 transform in double precision, five times as slowly, unless it is told to scale it.
        spectrum = np.fft.rfft(frames * _hann(_FRAME), axis=1, norm="forward")[:, : _BAND_BINS[-1]]
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
        bins = np.empty((n_frames, len(_BAND_BINS) - 1), np.int16)
        for band, (first, last) in enumerate(pairwise(_BAND_BINS)):
            bins[:, band] = power[:, first:last].argmax(axis=1) + first
        self._where.append(bins)
        self._best.append(power[np.arange(n_frames)[:, None], bins])

    def _landmarks(self) -> tuple[list[int], list[int]]:
        if not self._best:
            return [], []
        best, where = np.concatenate(self._best), np.concatenate(self._where)
        padded = np.zeros((len(best) + 2 * _REACH, best.shape[1]), np.float32)
        padded[_REACH:-_REACH] = best
        pairs = np.maximum(padded[:-1], padded[1:])
        fours = np.maximum(pairs[:-2], pairs[2:])
        around = np.maximum(fours[:-3], fours[3:])  # of the frame and three on either side
        frame, band = np.nonzero((best >= around) & (best > best.max() * 1e-7))
        peak = where[frame, band].astype(np.int64)
        ahead = np.arange(len(frame))[:, None] + np.arange(1, _MOST_AHEAD + 1)
        gaps = np.append(frame, np.full(_MOST_AHEAD, 2**40))[ahead] - frame[:, None]
        first, step = np.nonzero((gaps >= _MIN_GAP) & (gaps <= _MAX_GAP))
        found = (peak[first] << 13) | (peak[ahead[first, step]] << 5) | gaps[first, step]
        start = frame[first]
        mixed = (found * 2654435761) & 0xFFFFFFFF
        if len(mixed) > MAX_LANDMARKS:
            few = np.flatnonzero(mixed <= np.partition(mixed, MAX_LANDMARKS - 1)[MAX_LANDMARKS - 1])
            found, start, mixed = found[few], start[few], mixed[few]
        kept = np.lexsort((start, mixed))[:MAX_LANDMARKS]
        return found[kept].tolist(), np.minimum(start[kept], 2**31 - 1).tolist()


def _db(value: float) -> float | None:
    return round(20 * float(np.log10(value)), 2) if value > 1e-7 else None


@lru_cache(maxsize=2)
def _hann(n: int) -> _Array:
    return np.hanning(n + 1)[:-1].astype(np.float32)


@lru_cache(maxsize=2)
def _low_pass(n_channels: int) -> _Array:
    """A windowed sinc that also folds the channels to one.

    Shape (4, 8 n_channels): row k weighs the samples of the k-th group of eight under the filter.
    """
    t = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(t * _CUT_OFF / _DECIMATION) * np.hamming(_TAPS)
    rows = (taps / taps.sum() / n_channels).reshape(_N_PHASES, _DECIMATION)
    return np.ascontiguousarray(np.repeat(rows, n_channels, axis=1), np.float32)
