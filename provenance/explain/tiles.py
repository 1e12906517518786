"""Occlusion: which tiles of a window's spectrogram move the model, found by silencing them one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance import frontend
from provenance.audio import SAMPLE_RATE_HZ, Samples

Logits: TypeAlias = Callable[[Iterable[Samples]], npt.NDArray[np.float32]]
"""From windows to the raw log odds of extraction of each, such as ``Scorer.logits``."""
Grid: TypeAlias = npt.NDArray[np.bool_]
"""bool, shape (n_spans, N_BANDS): one flag a tile."""

N_BANDS = 16
"""Bands of 1378 Hz."""
SPAN_S = 0.5
MARKED_SHARE = 0.1
_NOTHING = 1e-6
ROUNDS = 2
"""Marks are taken in so many steps; each sees what the earlier ones left, for tiles stand in for each other."""
N_RANDOM = 4
_BAND = (frontend.N_FFT // 2) // N_BANDS


@dataclass(frozen=True)
class Tiles:
    """A window's spectrogram cut into tiles that can be silenced.

    Args:
        samples: float32, shape (n, 1 or 2) at 44.1 kHz.
    """

    samples: Samples

    @cached_property
    def spectra(self) -> list[npt.NDArray[np.complex64]]:
        """The transform of each channel."""
        return [frontend.stft(np.ascontiguousarray(channel)) for channel in self.samples.T]

    @cached_property
    def edges(self) -> npt.NDArray[np.int64]:
        """Frames at which spans begin, and the end of the last."""
        n_frames = len(self.spectra[0])
        n_spans = max(1, round(n_frames * frontend.HOP / SAMPLE_RATE_HZ / SPAN_S))
        return np.linspace(0, n_frames, n_spans + 1).round().astype(np.int64)

    @property
    def shape(self) -> tuple[int, int]:
        """Spans and bands."""
        return len(self.edges) - 1, N_BANDS

    def silence(self, marked: Grid) -> Samples:
        """Return the samples without the marked tiles: their bins are zero in the transform, the rest is as it was.

        Args:
            marked: which tiles.
        """
        out = self.samples.copy()
        for span in np.nonzero(marked.any(axis=1))[0]:
            first, last = int(self.edges[span]), int(self.edges[span + 1])
            bins = np.repeat(marked[span], _BAND)
            keep = np.append(bins, bins[-1])
            for channel, spectrum in enumerate(self.spectra):
                frames = np.fft.irfft(spectrum[first:last] * keep, n=frontend.N_FFT, axis=1) * (frontend.N_FFT / 4)
                for i, frame in enumerate(frames.astype(np.float32)):
                    start = (first + i) * frontend.HOP
                    out[start : start + frontend.N_FFT, channel] -= frame
        return out


@dataclass(frozen=True)
class Marks:
    """What moved the model in one window.

    Args:
        logit: of the window as it is.
        moves: float64, shape (n_spans, N_BANDS); by how much silencing the tile alone lowers the logit.
        marked: the tenth of the tiles that together lower (or raise) it most; none where no tile moves it, as in a
            window that is held at the line to ``separated`` for what was done to it.
        marked_drop: by how much silencing all of them lowers the logit.
        random_drop: the same for a random tenth, mean of several draws.
    """

    logit: float
    moves: npt.NDArray[np.float64]
    marked: Grid
    marked_drop: float
    random_drop: float


def mark(samples: Samples, logits: Logits, direction: int = 1, seed: int = 0) -> Marks:
    """Find the tenth of a window's tiles whose removal moves the model most, and check it against random tenths.

    Args:
        samples: a window, float32 of shape (n, 1 or 2), 1 to 4 s, not silent.
        logits: the model.
        direction: 1 for tiles that speak for extraction, -1 for those that speak against it.
        seed: of the random tenths.
    """
    tiles = Tiles(samples)
    n_marks = max(1, round(MARKED_SHARE * tiles.shape[0] * tiles.shape[1]))
    marked = np.zeros(tiles.shape, np.bool_)
    moves = np.zeros(tiles.shape)
    base = float(logits([samples])[0])
    for step in range(ROUNDS):
        todo = np.argwhere(~marked)
        drops = np.full(tiles.shape, -np.inf)
        drops[~marked] = direction * (base - logits(_each(tiles, marked, todo)).astype(np.float64))
        if step == 0:
            moves = direction * drops
            if np.abs(moves).max() < _NOTHING:
                return Marks(base, moves, marked, 0.0, 0.0)
        n_now = (n_marks * (step + 1)) // ROUNDS - int(marked.sum())
        for index in np.argsort(-drops, axis=None)[:n_now]:
            marked.flat[index] = True
    rng = np.random.default_rng(seed)
    random = [_tenth(tiles.shape, n_marks, rng) for _ in range(N_RANDOM)]
    after = logits(tiles.silence(grid) for grid in [marked, *random]).astype(np.float64)
    drop = base - after
    return Marks(base, moves, marked, float(drop[0]), float(drop[1:].mean()))


def _each(tiles: Tiles, marked: Grid, todo: npt.NDArray[np.int64]) -> Iterator[Samples]:
    without = Tiles(tiles.silence(marked)) if marked.any() else tiles
    for span, band in todo:
        one = np.zeros(tiles.shape, np.bool_)
        one[span, band] = True
        yield without.silence(one)


def _tenth(shape: tuple[int, int], n: int, rng: np.random.Generator) -> Grid:
    grid = np.zeros(shape, np.bool_)
    grid.flat[rng.choice(grid.size, n, replace=False)] = True
    return grid
