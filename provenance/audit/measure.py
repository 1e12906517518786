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

from provenance.audio import SAMPLE_RATE_HZ, Samples

_DECIMATION = 8
_N_PHASES = 8
_TAPS = _DECIMATION * _N_PHASES
_FRAME, _HOP = 512, 256
LANDMARK_RATE_HZ = SAMPLE_RATE_HZ / _DECIMATION / _HOP
"""Frames of landmark time in a second."""
_BAND_BINS = (9, 20, 32, 48, 72, 108, 160, 230)
_REACH = 4
_FAN_OUT = 3
_MIN_GAP, _MAX_GAP = 2, 31
MAX_LANDMARKS = 160

_Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """What was measured on a file.

    Args:
        peak_db: highest sample, dBFS; None in silence.
        rms_db: level over the file, dBFS; None in silence.
        clipped: samples at full scale.
        landmarks: hashes of pairs of peaks.
        landmark_frames: when each begins, in frames of about 46 ms.
    """

    peak_db: float | None
    rms_db: float | None
    clipped: int
    landmarks: list[int]
    landmark_frames: list[int]


class Meter:
    """Sees the blocks of one file, and says at the end what was measured."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._energy = 0.0
        self._n = 0
        self._clipped = 0
        self._rest = np.zeros(0, np.float32)
        self._phases = np.zeros((0, _N_PHASES), np.float32)
        self._low = np.zeros(0, np.float32)
        self._best: list[_Array] = []
        self._where: list[npt.NDArray[np.int16]] = []

    def see(self, block: Samples) -> None:
        """Take in a block.

        Args:
            block: float32, shape (n, 1 or 2), 44.1 kHz; not changed.
        """
        if not len(block):
            return
        high = max(float(block.max()), -float(block.min()))
        if high >= 0.9999:
            self._clipped += int((np.abs(block) >= 0.9999).sum())
        self._peak = max(self._peak, high)
        flat = block.reshape(-1)
        self._energy += float(np.dot(flat, flat))
        self._n += block.size
        self._see_peaks(block)

    def finish(self) -> Measured:
        """Return what was measured."""
        hashes, frames = self._landmarks()
        rms = (self._energy / self._n) ** 0.5 if self._n else 0.0
        return Measured(_db(self._peak), _db(rms), self._clipped, hashes, frames)

    def _see_peaks(self, block: Samples) -> None:
        n_channels = block.shape[1]
        flat = block.reshape(-1) if not len(self._rest) else np.concatenate([self._rest, block.reshape(-1)])
        width = _DECIMATION * n_channels
        n_rows = len(flat) // width
        self._rest = flat[n_rows * width :].copy()
        if n_rows:
            phases = flat[: n_rows * width].reshape(n_rows, width) @ _low_pass(n_channels)
            self._phases = np.concatenate([self._phases, phases])
        n_out = len(self._phases) - _N_PHASES + 1
        if n_out < 1:
            return
        low = self._phases[:n_out, 0].copy()
        for phase in range(1, _N_PHASES):
            low += self._phases[phase : phase + n_out, phase]
        self._phases = self._phases[n_out:]
        self._low = np.concatenate([self._low, low])
        n_frames = (len(self._low) - _FRAME) // _HOP + 1
        if n_frames < 1:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._low, _FRAME)[::_HOP][:n_frames]
        spectrum = np.fft.rfft(frames * _hann(_FRAME), axis=1)[:, : _BAND_BINS[-1]]
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
        bins = np.empty((n_frames, len(_BAND_BINS) - 1), np.int16)
        for band, (first, last) in enumerate(pairwise(_BAND_BINS)):
            bins[:, band] = power[:, first:last].argmax(axis=1) + first
        self._where.append(bins)
        self._best.append(np.take_along_axis(power, bins.astype(np.intp), axis=1))
        self._low = self._low[n_frames * _HOP :]

    def _landmarks(self) -> tuple[list[int], list[int]]:
        if not self._best:
            return [], []
        best, where = np.concatenate(self._best), np.concatenate(self._where)
        padded = np.pad(best, ((_REACH, _REACH), (0, 0)))
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1, axis=0).max(axis=2)
        frame, band = np.nonzero((best >= around) & (best > best.max() * 1e-7))
        peak = where[frame, band].astype(np.int64)
        hashes, starts = [], []
        for ahead in range(1, 4 * _FAN_OUT):
            gap = frame[ahead:] - frame[:-ahead]
            ok = (gap >= _MIN_GAP) & (gap <= _MAX_GAP)
            hashes.append(((peak[:-ahead] << 13) | (peak[ahead:] << 5) | gap)[ok])
            starts.append(frame[:-ahead][ok])
        found, start = np.concatenate(hashes), np.concatenate(starts)
        mixed = (found * 2654435761) & 0xFFFFFFFF
        kept = np.lexsort((start, mixed))[:MAX_LANDMARKS]
        return found[kept].tolist(), np.minimum(start[kept], 2**31 - 1).tolist()


def _db(value: float) -> float | None:
    return round(20 * float(np.log10(value)), 2) if value > 1e-7 else None


@lru_cache(maxsize=2)
def _hann(n: int) -> _Array:
    return np.hanning(n + 1)[:-1].astype(np.float32)


@lru_cache(maxsize=2)
def _low_pass(n_channels: int) -> _Array:
    """A windowed sinc at 0.85 of the new Nyquist frequency that also folds the channels to one.

    Shape (8 n_channels, 8): column k weighs the samples of the k-th group of eight under the filter.
    """
    t = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(t * 0.85 / _DECIMATION) * np.hamming(_TAPS)
    columns = (taps / taps.sum() / n_channels).reshape(_N_PHASES, _DECIMATION).T
    return np.ascontiguousarray(np.repeat(columns, n_channels, axis=0), np.float32)
