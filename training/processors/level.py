"""Level over time and amplitude: compression, limiting, de-essing and saturation; how much of a change is not level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr
from scipy import ndimage, signal

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
LEAST_CHANGE_DB = -45.0
"""An effect that changes less is not on record."""


def change_db(before: Wave, after: Wave) -> float:
    """Return what a gain does not explain of a change, in dB against the level of the result.

    Args:
        before, after: float32 (n, channels), of one shape.
    """
    x, y = before.astype(np.float64).ravel(), after.astype(np.float64).ravel()
    rest = y - x * (x @ y / (x @ x + 1e-12))
    return float(10 * np.log10((rest @ rest + 1e-12) / (y @ y + 1e-12)))


def compress(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Turn down what is above a threshold 6 to 24 dB below the loud passages, at ratios of 1.7 to 10.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1.
        rng: draws the time constant, 5 to 60 ms.
    """
    power = (wave.astype(np.float64) ** 2).mean(1)
    a = np.exp(-1 / (float(rng.uniform(0.005, 0.06)) * RATE_HZ))
    envelope = np.sqrt(signal.lfilter([1 - a], [1, -a], power) + 1e-12)
    threshold = np.percentile(envelope, 95) * 10 ** (-(6 + 18 * strength) / 20)
    gain = np.maximum(envelope / threshold, 1.0) ** -(0.4 + 0.5 * strength)
    return np.asarray(wave * (gain / gain.max())[:, None], np.float32)


def limit(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Push the wave 2 to 14 dB into a look-ahead limiter; no sample passes the former peak.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1.
        rng: draws look-ahead and release.
    """
    peak = float(np.abs(wave).max()) + 1e-9
    driven = wave * np.float32(10 ** ((2 + 12 * strength) / 20))
    need = np.minimum(1.0, peak / (np.abs(driven).max(1) + 1e-9))
    size = int(float(rng.uniform(0.002, 0.02)) * RATE_HZ) | 1
    gain = ndimage.uniform_filter1d(ndimage.minimum_filter1d(need, 2 * size + 1), size)
    return np.asarray(driven * gain[:, None], np.float32)


def de_ess(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Compress what is above 4.5 to 7.5 kHz, as sibilants are.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1.
        rng: draws the corner.
    """
    corner_hz = float(rng.uniform(4500, 7500))
    split = signal.butter(2, corner_hz, "high", fs=RATE_HZ, output="sos")
    high = np.asarray(signal.sosfiltfilt(split, wave, axis=0), np.float32)  # no phase shift, or the rest holds it too
    return np.asarray(wave - high + compress(high, strength, rng), np.float32)


def saturate(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Bend the wave: even or uneven soft clipping, at four times the rate in most cases.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1; a gain of 1 to 10 into the curve.
        rng: draws the curve, and whether it works at a higher rate.
    """
    peak = float(np.abs(wave).max()) + 1e-9
    gain = 1 + 9 * strength
    bias = float(rng.uniform(0, 0.4)) if rng.random() < 0.5 else 0.0
    factor = 4 if rng.random() < 0.7 else 1
    up = soxr.resample(wave, RATE_HZ, RATE_HZ * factor, "MQ") if factor > 1 else wave
    bent = np.tanh(up / peak * gain + bias) - np.tanh(bias)
    out = soxr.resample(bent.astype(np.float32), RATE_HZ * factor, RATE_HZ, "MQ") if factor > 1 else bent
    out = np.resize(out, wave.shape) if len(out) < len(wave) else out[: len(wave)]
    return np.asarray(out * (peak / (np.abs(out).max() + 1e-9)), np.float32)
