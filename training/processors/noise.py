"""Noise reduction: hiss under a take, gates and gains that take it away again, and gates that are told no noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal, special

from training import augment

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
MOST_NOISE_DB = -30.0
"""What is louder than this beside the mean of all bands is taken for no noise: a held note has no quiet tenth."""
BY_BINS, SMOOTHLY = ("gate", "subtraction"), "wiener"
"""What opens and closes each bin by itself, and leaves islands of noise; and what looks at the frames before."""
SMOOTHINGS = ("none", "mean", "decay")
"""Of gains: over neighbours, or over earlier frames alone, so that a bin opens and closes by steps."""
SILENT = 0.4
"""How often bins that are closed by themselves are closed altogether."""


def clean(wave: Wave, strength: float, by_bins: bool, n_fft: int, hop: int, rng: np.random.Generator) -> Wave:
    """Lay noise under a stem and take it out again, or take out what lies still in it.

    The noise is known to the cleaner, as of a passage that somebody marked, or read off each band's quietest tenth.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        strength: 0 to 1: how deep noise is taken down and, but for the gate, how far beyond it.
        by_bins: by one of :data:`BY_BINS`, else smoothly.
        n_fft, hop: of the transform, in samples.
        rng: draws the noise, the rule and what the strength leaves open.

    Returns:
        The same shape.

    Source: S. Boll, *Suppression of acoustic noise in speech using spectral subtraction* (1979); the smoothed estimate
    of the signal is of Y. Ephraim and D. Malah (1984).
    """
    noisy = augment.over_noise(wave, rng, 60.0 if rng.random() < 0.7 else 75.0, 40.0) if rng.random() < 0.8 else wave
    hiss = np.asarray(noisy - wave, np.float32)
    is_told = bool(hiss.any()) and rng.random() < 0.6
    rule = str(rng.choice(BY_BINS, p=(0.7, 0.3))) if by_bins else SMOOTHLY
    if rule == "gate":  # power of noise is exponential: 0.1 to 40 % of its bins stay open, as islands
        beyond = np.sqrt(-rng.uniform(np.log(0.001), np.log(0.4)))
    else:
        beyond = 1.0 + strength * rng.uniform(0.5, 4.0)
    floor = 0.0 if by_bins and rng.random() < SILENT else 10 ** (-(6 + 44 * strength * rng.random()) / 20)
    smoothing = str(rng.choice(SMOOTHINGS))
    size, slowness = (int(rng.integers(1, 4)), int(rng.integers(1, 6))), float(rng.uniform(0.3, 0.8))
    out = np.empty_like(noisy)
    for channel in range(wave.shape[1]):
        spectrum = _stft(noisy[:, channel], n_fft, hop)
        power = spectrum.real**2 + spectrum.imag**2
        if is_told:
            found = np.abs(_stft(hiss[:, channel], n_fft, hop)) ** 2
            floor_power = found.mean(1, keepdims=True)
        else:
            quietest = 2.0 * np.quantile(power, 0.1, axis=1, keepdims=True)
            floor_power = np.minimum(quietest, power.mean() * 10 ** (MOST_NOISE_DB / 10))
        gain = gain_of(rule, power / (floor_power + 1e-20), beyond)
        if smoothing == "mean":
            gain = ndimage.uniform_filter(gain, size)
        elif smoothing == "decay":
            gain = signal.lfilter([1 - slowness], [1, -slowness], gain).astype(np.float32)
        out[:, channel] = _as_long(_istft(spectrum * np.maximum(gain, floor), n_fft, hop), len(wave))
    return out


def gate_by_own_level(wave: Wave, strength: float, n_fft: int, hop: int, rng: np.random.Generator) -> Wave:
    """Close each bin that lies low beside its own band, as noise reduction does that is told no noise.

    Beside the band's mean level over the passage, or beside how it moves: what is held long closes as noise would.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        strength: 0 to 1: how much of what is closed is taken away.
        n_fft, hop: of the transform, in samples.
        rng: draws the rule and its thresholds.

    Returns:
        The same shape.

    Source: T. Sainburg, *noisereduce* (2019), both of whose rules these are; values are drawn around its own.
    """
    moves, slowness_s = bool(rng.random() < 0.5), float(rng.uniform(0.5, 3.0))
    beyond = float(rng.uniform(1.0, 2.5)) if moves else float(rng.uniform(0.5, 1.75))
    over_bins, over_frames = 500 * n_fft // RATE_HZ, RATE_HZ // (20 * hop)  # 500 Hz and 50 ms either way
    size = 1 + 2 * int(rng.integers(0, over_bins + 1)), 1 + 2 * int(rng.integers(0, over_frames + 1))
    kept = 0.0 if rng.random() < SILENT else 0.4 * (1.0 - strength)
    out = np.empty_like(wave)
    for channel in range(wave.shape[1]):
        spectrum = _stft(wave[:, channel], n_fft, hop)
        amplitude = np.abs(spectrum) + 1e-9
        if moves:
            step = 1.0 - np.exp(-hop / (RATE_HZ * slowness_s))
            usual = signal.filtfilt([step], [1.0, step - 1.0], amplitude, axis=1, padtype=None)
            gain = special.expit(10.0 * (amplitude / np.maximum(usual, 1e-9) - 1.0 - beyond))
        else:
            level = np.log(amplitude)
            gain = np.asarray(level > level.mean(1, keepdims=True) + beyond * level.std(1, keepdims=True), np.float64)
        gain = ndimage.uniform_filter(ndimage.uniform_filter(gain, size), size)  # a triangle
        back = _istft(spectrum * np.asarray(kept + (1.0 - kept) * gain, np.float32), n_fft, hop)
        out[:, channel] = _as_long(back, len(wave))
    return out


def _stft(wave: npt.NDArray[np.float32], n_fft: int, hop: int) -> npt.NDArray[np.complex64]:
    found: npt.NDArray[np.complex64] = signal.stft(wave, RATE_HZ, nperseg=n_fft, noverlap=n_fft - hop)[2]
    return found


def _istft(spectrum: npt.NDArray[np.complex64], n_fft: int, hop: int) -> npt.NDArray[np.float32]:
    back: npt.NDArray[np.float32] = signal.istft(spectrum, RATE_HZ, nperseg=n_fft, noverlap=n_fft - hop)[1]
    return back


def _as_long(wave: npt.NDArray[np.float32], n: int) -> npt.NDArray[np.float32]:
    return wave[:n] if len(wave) >= n else np.pad(wave, (0, n - len(wave)))


def gain_of(rule: str, ratio: npt.NDArray[np.float32], beyond: float) -> npt.NDArray[np.float32]:
    """Return the gain of each bin, (n_bins, n_frames).

    Args:
        rule: one of :data:`BY_BINS`, or :data:`SMOOTHLY`.
        ratio: each bin's power over that of the noise in its band.
        beyond: how far above the noise a bin has to lie: of the gate as an amplitude, of the others as a power.
    """
    if rule == "gate":
        return np.asarray(ratio > beyond**2, np.float32)
    if rule == "subtraction":
        return np.sqrt(np.maximum(1 - beyond / np.maximum(ratio, 1e-9), 0)).astype(np.float32)
    kept = np.zeros(len(ratio), np.float32)
    out = np.empty_like(ratio)
    for frame in range(ratio.shape[1]):
        prior = 0.96 * kept + 0.04 * np.maximum(ratio[:, frame] / beyond - 1, 0)
        out[:, frame] = prior / (1 + prior)
        kept = out[:, frame] ** 2 * ratio[:, frame]
    return out
