"""Labelled effects chains: dry to hybrid to wet, with every effect's name and strength on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from training.augment import _peaking

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
EFFECTS = ("reverb", "delay", "compression", "eq", "de_essing", "saturation", "modulation")
SPACE = frozenset({"reverb", "delay"})


@dataclass(frozen=True)
class Applied:
    """A processed stem and what was done to it, in order.

    Args:
        wave: float32 (n, 2).
        effects: names out of :data:`EFFECTS` with a strength of 0 to 1.
        processing: ``hybrid`` or ``wet``.
    """

    wave: Wave
    effects: tuple[tuple[str, float], ...]
    processing: str


def produce(dry: Wave, processing: str, rng: np.random.Generator, rooms: Sequence[Wave] = ()) -> Applied:
    """Run a dry stem through a random chain.

    Args:
        dry: float32 (n, 1 or 2) at 44.1 kHz.
        processing: ``hybrid`` (one to three effects, no space) or ``wet`` (a space, and mostly the rest).
        rng: draws the chain.
        rooms: measured impulse responses, (n, 1 or 2); without any a synthetic one is made.

    Raises:
        ValueError: another processing.
    """
    if processing == "hybrid":
        names = list(rng.choice(["compression", "eq", "de_essing", "saturation"], int(rng.integers(1, 4)), False))
    elif processing == "wet":
        names = [n for n in ("eq", "compression", "de_essing", "saturation", "modulation") if rng.random() < 0.5]
        names += ["reverb"] if rng.random() < 0.85 else []
        names += ["delay"] if rng.random() < 0.35 or "reverb" not in names else []
    else:
        raise ValueError(f"found processing {processing!r}; needed: hybrid or wet")
    wave = dry if dry.shape[1] == 2 else np.repeat(dry, 2, 1)
    applied = []
    for name in names:
        strength = float(rng.uniform(0.15, 1.0))
        wave = _apply(str(name), wave, strength, rng, rooms)
        applied.append((str(name), strength))
    peak = float(np.abs(wave).max())
    return Applied((wave / max(peak, 1.0)).astype(np.float32), tuple(applied), processing)


def _apply(name: str, wave: Wave, strength: float, rng: np.random.Generator, rooms: Sequence[Wave]) -> Wave:
    if name == "reverb":
        return _reverb(wave, strength, rng, rooms)
    if name == "delay":
        return _delay(wave, strength, rng)
    if name == "compression":
        return _compress(wave, strength)
    if name == "eq":
        for _ in range(int(rng.integers(2, 5))):
            hz = float(np.exp(rng.uniform(np.log(100), np.log(12_000))))
            wave = signal.sosfilt(_peaking(hz, strength * float(rng.uniform(-12, 12)), 1.0), wave, axis=0)
        return np.asarray(wave, np.float32)
    if name == "de_essing":
        high = signal.sosfilt(signal.butter(2, 5500, "high", fs=RATE_HZ, output="sos"), wave, axis=0)
        return np.asarray(wave - high + _compress(high, strength), np.float32)
    if name == "saturation":
        gain = 1 + 9 * strength
        peak = np.abs(wave).max() + 1e-9
        return np.asarray(np.tanh(wave / peak * gain) / np.tanh(gain) * peak, np.float32)
    return _chorus(wave, strength, rng)


def _reverb(wave: Wave, strength: float, rng: np.random.Generator, rooms: Sequence[Wave]) -> Wave:
    if rooms and rng.random() < 0.6:
        room = rooms[int(rng.integers(len(rooms)))]
        room = room if room.shape[1] == 2 else np.repeat(room, 2, 1)
    else:
        decay_s = float(rng.uniform(0.4, 3.0))
        n = int(decay_s * RATE_HZ)
        t = np.arange(n)[:, None] / RATE_HZ
        room = rng.standard_normal((n, 2)) * 10 ** (-3 * t / decay_s)
        room = signal.sosfilt(
            signal.butter(1, float(rng.uniform(3000, 12_000)), fs=RATE_HZ, output="sos"), room, axis=0
        )
        room[: int(rng.uniform(0, 0.04) * RATE_HZ)] = 0
    wet = signal.fftconvolve(wave, room, axes=0)[: len(wave)]
    wet *= np.sqrt(np.mean(wave**2)) / (np.sqrt(np.mean(wet**2)) + 1e-9)
    return np.asarray(wave + wet * (0.1 + 0.7 * strength), np.float32)


def _delay(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    n = int(rng.uniform(0.08, 0.5) * RATE_HZ)
    out = wave.copy()
    gain = 0.15 + 0.45 * strength
    for k in range(1, 6):
        if k * n >= len(wave):
            break
        echo = wave[: -k * n] * np.float32(gain**k)
        out[k * n :] += echo if k % 2 else echo[:, ::-1]
    return out


def _compress(wave: Wave, strength: float) -> Wave:
    power = (wave**2).mean(1)
    a = np.exp(-1 / (0.02 * RATE_HZ))
    envelope = np.sqrt(signal.lfilter([1 - a], [1, -a], power) + 1e-12)
    threshold = np.percentile(envelope, 95) * 10 ** (-(6 + 18 * strength) / 20)
    over = np.maximum(envelope / threshold, 1.0)
    gain = over ** -(0.4 + 0.5 * strength)
    return np.asarray(wave * (gain / gain.max())[:, None], np.float32)


def _chorus(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    t = np.arange(len(wave))
    out = wave.copy()
    for channel in range(2):
        depth = rng.uniform(0.001, 0.004) * RATE_HZ * strength
        centre = rng.uniform(0.008, 0.02) * RATE_HZ
        position = t - centre - depth * np.sin(2 * np.pi * rng.uniform(0.2, 2.0) * t / RATE_HZ + channel)
        out[:, channel] += np.float32(0.3 + 0.5 * strength) * np.interp(position, t, wave[:, channel]).astype(
            np.float32
        )
    return out
