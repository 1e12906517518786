"""Small audio files for the audit's tests, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 22_050


def tone(seed: int, seconds: float = 0.4, level: float = 0.1, rate: int = RATE) -> np.ndarray:
    """Return a decaying tone with noise, float32 of shape (n,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * rng.uniform(100, 2000) * t) + 0.1 * rng.standard_normal(len(t))
    return (level * np.sqrt(2) * wave).astype(np.float32)


def files(folder: Path, names: list[str], loud: set[str] | frozenset[str] = frozenset()) -> list[Path]:
    """Write one file a name; those in ``loud`` are called separated by the fault scorer."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(i, level=0.4 if name in loud else 0.05), RATE)
        out.append(path)
    return out


def take(seed: int, seconds: float = 5.0, channels: int = 2) -> np.ndarray:
    """Return a performance like no other: notes at random times and pitches, pauses between; float32 (n, channels)."""
    rng = np.random.default_rng(seed + 1000)
    rate = 44_100
    out = np.zeros((int(seconds * rate), channels))
    now = 0.05
    while now < seconds - 0.2:
        start = int(now * rate)
        t = np.arange(min(int(rng.uniform(0.15, 0.5) * rate), len(out) - start)) / rate
        hz = rng.uniform(110, 880)
        note = sum(
            np.sin(2 * np.pi * hz * k * t + rng.uniform(0, 6.28)) / k**1.3 for k in range(1, 12) if hz * k < 16_000
        )
        note = note * np.minimum(1, t / 0.005) * np.exp(-t * rng.uniform(4, 14)) * rng.uniform(0.3, 1.0)
        out[start : start + len(t)] += note[:, None] * rng.uniform(0.8, 1.0, channels)
        now += rng.uniform(0.15, 0.7)
    out = 0.25 * out / np.abs(out).max() + 1e-5 * rng.standard_normal(out.shape)
    return out.astype(np.float32)
