"""Stereo image: widening, the Haas effect, decorrelation and panning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100


def place(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Widen or place a stem; a mono one gets a side signal, a panned one a level difference.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1.
        rng: draws the method.
    """
    mid, side = wave.mean(1), (wave[:, 0] - wave[:, 1]) / 2
    has_side = float(np.mean(side**2)) > 1e-3 * float(np.mean(mid**2) + 1e-12)
    method = str(rng.choice(["haas", "decorrelate", "pan", "widen"] if has_side else ["haas", "decorrelate", "pan"]))
    if method == "widen":
        side = side * np.float32(1.3 + 1.7 * strength)
    elif method == "pan":
        angle = (0.15 + 0.75 * strength) * float(rng.choice([-1, 1]))
        turned = np.stack([wave[:, 0] * np.sqrt(1 - angle), wave[:, 1] * np.sqrt(1 + angle)], 1)
        return np.asarray(turned, np.float32)
    elif method == "haas":
        n = int(rng.uniform(0.004, 0.03) * RATE_HZ)
        late = np.concatenate([np.zeros(n, np.float32), wave[:-n, 1]]) if n < len(wave) else wave[:, 1]
        share = np.float32(0.3 + 0.7 * strength)
        return np.stack([wave[:, 0], (1 - share) * wave[:, 1] + share * late], 1)
    else:
        side = side + np.float32(0.2 + 0.6 * strength) * _all_pass(mid, rng)
    return np.stack([mid + side, mid - side], 1)


def _all_pass(wave: Wave, rng: np.random.Generator) -> Wave:
    """Scatter the phase with a chain of all-pass filters (M. R. Schroeder, 1962)."""
    for _ in range(4):
        n = int(rng.uniform(0.001, 0.012) * RATE_HZ)
        g = float(rng.uniform(0.4, 0.7))
        b = np.zeros(n + 1)
        a = np.zeros(n + 1)
        b[0], b[n], a[0], a[n] = -g, 1.0, 1.0, -g
        wave = np.asarray(signal.lfilter(b, a, wave), np.float32)
    return wave
