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
