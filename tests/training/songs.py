"""Synthetic songs: four stems that differ as drums, bass, voice and the rest do, and manifests of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy import signal

RATE_HZ = 44_100
STEMS = ("drums", "bass", "other", "vocals")
COLUMNS = ("clip", "set", "song_id", "stem", "origin", "separator", "wetness", "source_repo", "licence")


def stem(kind: str, seconds: float, seed: int) -> npt.NDArray[np.float32]:
    """Return one stem, float32 (n, 2) with a peak of 0.3; the same seed gives the same samples."""
    rng = np.random.default_rng([seed, STEMS.index(kind)])
    n = int(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    if kind == "drums":
        wave = np.zeros(n)
        for start in range(0, n, int(0.25 * RATE_HZ)):
            hit = rng.standard_normal(min(3000, n - start))
            wave[start : start + len(hit)] += hit * np.exp(-np.arange(len(hit)) / 500)
    elif kind == "bass":
        wave = sum(np.sin(2 * np.pi * k * rng.uniform(50, 80) * t) / k for k in range(1, 4))
    elif kind == "vocals":
        phase = 2 * np.pi * np.cumsum(rng.uniform(180, 320) * (1 + 0.02 * np.sin(2 * np.pi * 5 * t))) / RATE_HZ
        wave = sum(np.sin(k * phase) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 0.7 * t) > -0.3)
    else:
        wave = signal.sosfilt(signal.butter(2, [400, 5000], "band", fs=RATE_HZ, output="sos"), rng.standard_normal(n))
    wave = wave / np.abs(wave).max() * 0.3
    side = 0.1 * np.roll(wave, 30)
    return np.stack([wave + side, wave - side], 1).astype(np.float32)


def write_song(folder: Path, seconds: float = 2.5, seed: int = 0, stems: tuple[str, ...] = STEMS) -> Path:
    """Write a song folder of WAV stems, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in stems:
        soundfile.write(folder / f"{kind}.wav", stem(kind, seconds, seed), RATE_HZ, "PCM_16")
    return folder


def write_manifest(folder: Path, names: tuple[str, ...], seconds: float = 2.5, set_name: str = "pairs") -> Path:
    """Write songs and a manifest of their stems, and return the manifest."""
    rows = []
    for seed, name in enumerate(names):
        write_song(folder / name, seconds, seed)
        rows += [
            {
                "clip": f"{name}/{kind}.wav", "set": set_name, "song_id": name, "stem": kind, "origin": "studio",
                "wetness": "wet", "source_repo": f"maker/{name}", "licence": "CC0-1.0",
            }
            for kind in STEMS
        ]  # fmt: skip
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return manifest
