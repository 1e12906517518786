"""Masks of notes: a stem parted from others of its own kind, or into groups of its notes, by factorised spectra.

A magnitude spectrum is the sum of a few spectra, each sounding now and then (non-negative matrix factorisation under
the Kullback-Leibler divergence); those of a stem make a mask for it. So single strings of a guitar, drums of a kit and
voices of a choir are parted where a score or recordings of each are known.

Source: P. Smaragdis and J. C. Brown, Non-negative matrix factorization for polyphonic music transcription, WASPAA 2003;
S. Ewert and M. Müller, Using score-informed constraints for NMF-based source separation, ICASSP 2012.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import torch
from sklearn.decomposition import non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from training.separators import surrogate

Wave = npt.NDArray[np.float32]
_Spectrum = npt.NDArray[np.float32]
N_FFTS = (1024, 2048, 2048, 4096)
N_NOTES = (4, 16)
"""Spectra of a stem, at least and at most."""
N_ROUNDS = 20
SHARE = (0.02, 0.7)
"""How much of a stem's energy a group of its notes holds, at least and at most."""
N_TRIES = 8
LEAST_GAIN_DB = 2.0
_LEAST = np.float32(1e-8)


def separate(target: Wave, interference: Wave, rng: np.random.Generator) -> tuple[Wave, float] | None:
    """Extract ``target`` from its sum with ``interference``, knowing the notes of each but not when they sound.

    Where both have the same notes that parts nothing, and what is as good as the mix would teach that a mix is an
    extraction.

    Args:
        target: true stem, float32 (n, 2) at 44.1 kHz, not silent.
        interference: others, same shape.
        rng: draws level, resolution, number of notes and sharpness of the mask.

    Returns:
        The estimate, shape (n, 2), and its SDR in dB; None where, whatever its level, it is not LEAST_GAIN_DB nearer to
        the target than the mix was.
    """
    level = float(np.sqrt(np.mean(target**2)) / (np.sqrt(np.mean(interference**2)) + 1e-9))
    interference = interference * np.float32(level * 10 ** (rng.uniform(-6, 8) / 20))
    n_fft = int(rng.choice(N_FFTS))
    s, v, x = (
        surrogate.spectrum_of(np.asarray(wave, np.float32), n_fft, n_fft // 4)
        for wave in (target, interference, target + interference)
    )
    n = int(rng.integers(*N_NOTES))
    notes = np.concatenate([_factorise(_magnitude(each), n, rng)[1] for each in (s, v)])
    sounding = _factorise(_magnitude(x), 2 * n, rng, notes)[0]
    mask = _mask(sounding, notes, np.arange(2 * n) < n, rng)
    estimate = surrogate.wave_of(mask * x, n_fft, n_fft // 4, len(target))
    gained_db = _si_sdr_db(target, estimate) - _si_sdr_db(target, target + interference)
    return (estimate, surrogate.sdr_db(target, estimate)) if gained_db >= LEAST_GAIN_DB else None


def some_of(stem: Wave, rng: np.random.Generator) -> Wave | None:
    """Return some of a stem's notes, neighbours in pitch or any; None where none hold a fair share of its energy.

    Args:
        stem: float32 (n, 2) at 44.1 kHz, not silent.
        rng: draws resolution, number of notes, which of them, and sharpness of the mask.

    Returns:
        float32 (n, 2).
    """
    n_fft = int(rng.choice(N_FFTS))
    x = surrogate.spectrum_of(stem, n_fft, n_fft // 4)
    n = int(rng.integers(*N_NOTES))
    sounding, notes = _factorise(_magnitude(x), n, rng)
    pitch = notes @ np.log(1 + np.arange(notes.shape[1])) / (notes.sum(axis=1) + _LEAST)
    order = np.argsort(pitch) if rng.random() < 0.7 else rng.permutation(n)
    for _ in range(N_TRIES):
        first = int(rng.integers(0, n))
        chosen = np.zeros(n, bool)
        chosen[order[first : first + int(rng.integers(1, 1 + n // 2))]] = True
        mask = _mask(sounding, notes, chosen, rng)
        part = surrogate.wave_of(mask * x, n_fft, n_fft // 4, len(stem))
        if SHARE[0] < float(np.sum(part**2)) / float(np.sum(stem**2)) < SHARE[1]:
            return part
    return None


def _si_sdr_db(target: Wave, estimate: Wave) -> float:
    """SDR beside the target at the level at which it is in the estimate."""
    level = np.sum(target * estimate, dtype=np.float64) / np.sum(target * target, dtype=np.float64)
    return surrogate.sdr_db(target * np.float32(level), estimate)


def _magnitude(spectrum: torch.Tensor) -> _Spectrum:
    """The mean over channels, (n_frames, n_bins)."""
    return np.ascontiguousarray(spectrum.abs().mean(0).numpy().T) + _LEAST


def _factorise(
    magnitude: _Spectrum, n: int, rng: np.random.Generator, notes: _Spectrum | None = None
) -> tuple[_Spectrum, _Spectrum]:
    """How much of each note sounds when, (n_frames, n), and the notes, (n, n_bins), which may be known."""
    scale = np.float32(np.sqrt(magnitude.mean() / n))
    begun = drawn = None  # with known notes the library begins by itself
    if notes is None:
        begun = scale * (0.5 + rng.random((len(magnitude), n), dtype=np.float32))
        drawn = scale * (0.5 + rng.random((n, magnitude.shape[1]), dtype=np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a separator of few rounds is what is asked for
        sounding, found, _ = non_negative_factorization(
            magnitude, begun, drawn if notes is None else notes, n_components=n, init="custom", max_iter=N_ROUNDS,
            update_H=notes is None, solver="mu", beta_loss="kullback-leibler",
        )  # fmt: skip
    return sounding, found


def _mask(
    sounding: _Spectrum, notes: _Spectrum, chosen: npt.NDArray[np.bool_], rng: np.random.Generator
) -> torch.Tensor:
    """What the chosen notes hold of all, (1, n_bins, n_frames), more or less sharp, and never quite nothing."""
    power = float(rng.choice([1.0, 1.0, 2.0, 2.0, 4.0]))
    ours, rest = (np.maximum(sounding[:, which] @ notes[which], _LEAST) ** power for which in (chosen, ~chosen))
    mask = torch.from_numpy(np.ascontiguousarray((ours / (ours + rest)).T, np.float32))[None]
    mask = surrogate.smooth(mask, int(rng.integers(0, 2)), int(rng.integers(0, 2)))
    least = 0.0 if rng.random() < 0.6 else 10 ** (-float(rng.uniform(15, 50)) / 20)
    return mask.clamp_min(least)
