"""What an editor or a poor converter does to a stem: images of a low rate, gain in steps, pauses cut to silence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr
from scipy import ndimage

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
HOLD, LINEAR = 0, 1
"""Orders of interpolation: each sample held until the next, or a straight line between them."""
_FRAME = 441
_FADE = 220


def with_images(wave: Wave, rate_hz: int, order: int) -> Wave:
    """Return a stem as a poor converter plays it from a low rate: what lies below half of that shows mirrored above.

    Args:
        wave: float32 (n, channels) at 44.1 kHz; it is not changed.
        rate_hz: rate it is sampled at between.
        order: HOLD or LINEAR.

    Returns:
        The same shape.
    """
    there = soxr.resample(wave, RATE_HZ, rate_hz, "VHQ")
    at = np.minimum(np.arange(len(wave)) * (rate_hz / RATE_HZ), len(there) - 1)
    before = at.astype(int)
    if order == HOLD:
        return np.ascontiguousarray(there[before], np.float32)
    between = (at - before)[:, None]
    after = np.minimum(before + 1, len(there) - 1)
    return np.asarray((1.0 - between) * there[before] + between * there[after], np.float32)


def in_steps(wave: Wave, depth_db: float, n_step: int, rng: np.random.Generator) -> Wave:
    """Ride a stem's level by steps, as automation does that has one gain for each block.

    Args:
        wave: float32 (n, channels) at 44.1 kHz; it is not changed.
        depth_db: either way.
        n_step: samples of a block.
        rng: draws how fast, and where blocks begin.

    Returns:
        The same shape.
    """
    block = (np.arange(len(wave)) + int(rng.integers(n_step))) // n_step
    hz, phase = float(rng.uniform(0.1, 1.5)), float(rng.uniform(0.0, 2 * np.pi))
    gain_db = depth_db * np.sin(2 * np.pi * hz * block * n_step / RATE_HZ + phase)
    return np.asarray(wave * 10 ** (gain_db[:, None] / 20), np.float32)


def chopped(wave: Wave, least_db: float) -> Wave:
    """Cut what is quiet to digital silence, as an editor does between words, and a gate; cuts fade over 5 ms.

    Args:
        wave: float32 (n, channels) at 44.1 kHz; it is not changed.
        least_db: of 10 ms beside the loudest: what lies below is cut.

    Returns:
        The same shape.
    """
    padded = np.pad(wave, ((0, -len(wave) % _FRAME), (0, 0)))
    power = np.mean(padded.reshape(-1, _FRAME * wave.shape[1]).astype(np.float64) ** 2, axis=1)
    is_heard = np.repeat(power >= power.max() * 10 ** (least_db / 10), _FRAME)[: len(wave)]
    inside = ndimage.minimum_filter1d(is_heard.astype(np.float32), 2 * _FADE + 1)
    gain = np.maximum(ndimage.uniform_filter1d(inside, 2 * _FADE + 1), 0.0)
    return np.asarray(wave * gain[:, None], np.float32)
