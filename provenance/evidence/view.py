"""What cues are measured on: views of a few windows of a file, and the readings taken from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance import frontend
from provenance.audio import SAMPLE_RATE_HZ, Samples

Array: TypeAlias = npt.NDArray[np.float32]
Reading: TypeAlias = "float | str"
"""A cue's value in one window, or why it cannot be measured there."""

ACTIVE_DB = -35.0
"""A frame this far below the loudest is no part of the performance."""
QUIET_SHARE = 0.1
BAND_EDGES_HZ = (200, 1000, 4000, 9000, 15_000)
"""Bands in which rises, falls and steps are looked for: what all of them share is no single sound."""
STEP = 512
"""Samples per step of the level envelope: 12 ms."""


@dataclass(frozen=True)
class View:
    """One window as cues see it.

    Args:
        samples: float32, shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent.
        spectra: its spectra.
    """

    samples: Samples
    spectra: frontend.Spectra

    @cached_property
    def magnitude(self) -> Array:
        """Magnitude of each sample, shape of ``samples``."""
        out: Array = np.abs(self.samples)
        return out

    @cached_property
    def peak(self) -> np.float32:
        """Largest magnitude of a sample."""
        out: np.float32 = self.magnitude.max()
        return out

    @cached_property
    def mean_level_db(self) -> Array:
        """Long-term level of each bin, shape (n_bins,)."""
        out: Array = self.spectra.level.mean(axis=0)
        return out

    @cached_property
    def mean_texture_db(self) -> Array:
        """Long-term level less its local mean over frequency, shape (n_bins,)."""
        out: Array = frontend.texture(self.mean_level_db[None])[0]
        return out

    @cached_property
    def frame_db(self) -> Array:
        """Energy of each frame above 60 Hz relative to the loudest, shape (n_frames,)."""
        energy = self.spectra.mid_power[:, 3:].sum(axis=1)  # without what is left of DC
        out: Array = 10 * np.log10(energy / max(float(energy.max()), 1e-30) + 1e-12)
        return out

    @cached_property
    def band_level_db(self) -> Array:
        """Mean level of each frame in four bands, 200 Hz to 15 kHz, shape (n_frames, 4)."""
        edges = [bin_of(hz) for hz in BAND_EDGES_HZ]
        return np.stack([self.spectra.level[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)

    @cached_property
    def quiet(self) -> npt.NDArray[np.int64]:
        """The quietest tenth of the frames."""
        n = max(1, round(QUIET_SHARE * len(self.frame_db)))
        out: npt.NDArray[np.int64] = np.argpartition(self.frame_db, n - 1)[:n]
        return out

    @cached_property
    def active_texture(self) -> Array:
        """Texture of every second frame that belongs to the performance."""
        out: Array = self.spectra.flat[self.frame_db > ACTIVE_DB][::2]
        return out

    @cached_property
    def envelope_db(self) -> Array:
        """Level of each 12 ms step relative to the loudest, shape (n_steps,), at least -90."""
        n = len(self.samples) // STEP * STEP
        mono = self.samples[:n, 0] + self.samples[:n, -1]
        mono = (mono - mono.mean()).reshape(-1, STEP)
        energy = np.einsum("ij,ij->i", mono, mono)
        out: Array = 10 * np.log10(energy / max(float(energy.max()), 1e-30) + 1e-9)
        return out

    @cached_property
    def slope_db_s(self) -> tuple[Array, Array, Array]:
        """Straight-line fits to the envelope over 140 ms: slope in dB/s, deviation in dB, last level in dB."""
        n = 12
        t = (np.arange(n) - (n - 1) / 2) * STEP / SAMPLE_RATE_HZ
        y = np.lib.stride_tricks.sliding_window_view(self.envelope_db, n)
        slope = y @ t.astype(np.float32) / np.float32(t @ t)
        variance = (y * y).mean(axis=1) - y.mean(axis=1) ** 2 - slope**2 * np.float32(t @ t / n)
        return slope, np.sqrt(np.maximum(variance, 0)), y[:, -1]


@dataclass(frozen=True)
class Clip:
    """The readings of a file.

    Args:
        readings: for each cue, its reading in each window that was looked at.
    """

    readings: Mapping[str, Sequence[Reading]]


def bin_of(hz: float) -> int:
    """Return the bin of a frequency.

    Args:
        hz: 0 to 22050.
    """
    return round(hz * frontend.N_FFT / SAMPLE_RATE_HZ)


def hz_of(k: int) -> float:
    """Return the frequency of a bin.

    Args:
        k: 0 to 1024.
    """
    return k * SAMPLE_RATE_HZ / frontend.N_FFT


def lagged(values: Array, lag: int, axis: int) -> float:
    """Return the correlation of a texture with itself ``lag`` steps on, -1 to 1, without taking its mean off.

    Args:
        values: shape (n_frames, n_bins).
        lag: steps, fewer than the axis is long.
        axis: 0 over time, 1 over frequency.
    """
    a, b = (values[lag:], values[:-lag]) if axis == 0 else (values[:, lag:], values[:, :-lag])
    product = float(np.einsum("ij,ij->", a, b)) / a.size
    return product / (float(np.einsum("ij,ij->", values, values)) / values.size + 1e-6)
