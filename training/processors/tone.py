"""Tone: equalisation, and modulated delays and levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal

from training.augment import peaking

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100


def equalise(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Apply two to four peaking filters of up to 12 dB, and mostly a high-pass.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1; the largest gain is 3 to 12 dB.
        rng: draws the filters.
    """
    out = wave.astype(np.float64)
    if rng.random() < 0.6:
        out = signal.sosfilt(
            signal.butter(2, float(rng.uniform(40, 140)), "high", fs=RATE_HZ, output="sos"), out, axis=0
        )
    for _ in range(int(rng.integers(2, 5))):
        hz = float(np.exp(rng.uniform(np.log(100), np.log(14_000))))
        gain_db = float(rng.choice([-1, 1]) * rng.uniform(0.4, 1.0) * (3 + 9 * strength))
        out = signal.sosfilt(peaking(hz, gain_db, float(rng.uniform(0.5, 1.8))), out, axis=0)
    return np.asarray(out, np.float32)


def modulate(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Apply a chorus, flanger, vibrato or tremolo.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1.
        rng: draws which, its rate and its depth.
    """
    kind = str(rng.choice(["chorus", "chorus", "flanger", "vibrato", "tremolo"]))
    t = np.arange(len(wave)) / RATE_HZ
    rate_hz = float(np.exp(rng.uniform(np.log(0.2), np.log(6.0))))
    phase = 2 * np.pi * rng.random()
    if kind == "tremolo":
        depth = 0.2 + 0.7 * strength
        apart = rng.choice([0.0, np.pi])  # in phase, or from side to side
        swing = np.stack([np.sin(2 * np.pi * rate_hz * t + phase + k * apart) for k in range(2)], 1)
        return np.asarray(wave * (1 - depth * 0.5 * (1 + swing)), np.float32)
    centre_s, depth_s = {
        "chorus": (rng.uniform(0.008, 0.025), 0.001 + 0.003 * strength),
        "flanger": (rng.uniform(0.001, 0.004), 0.0009),
        "vibrato": (rng.uniform(0.004, 0.008), 0.0003 + 0.001 * strength),
    }[kind]
    wet = np.empty_like(wave)
    for channel in range(2):
        swing_s = depth_s * np.sin(2 * np.pi * rate_hz * t + phase + channel * float(rng.uniform(0, np.pi)))
        position = np.arange(len(wave)) - (centre_s + swing_s) * RATE_HZ
        wet[:, channel] = np.interp(position, np.arange(len(wave)), wave[:, channel])
    return wet if kind == "vibrato" else np.asarray(wave + wet * np.float32(0.3 + 0.5 * strength), np.float32)
