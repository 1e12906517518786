"""Space: reverberation by measured and simulated rooms, and echoes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import signal

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
_SOUND_M_S = 343.0


def reverb(wave: Wave, strength: float, rng: np.random.Generator, rooms: Sequence[Wave] = ()) -> Wave:
    """Add a room.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1; the room's level against the dry sound goes from -20 to -2 dB.
        rng: draws the room.
        rooms: measured impulse responses, (m, 1 or 2); without any, or in four of ten cases, one is simulated.
    """
    if rooms and rng.random() < 0.6:
        room = rooms[int(rng.integers(len(rooms)))]
        room = room if room.shape[1] == 2 else np.repeat(room, 2, 1)
    else:
        room = simulate(rng)
    wet = signal.fftconvolve(wave, room, axes=0)[: len(wave)]
    wet *= np.sqrt(np.mean(wave**2)) / (np.sqrt(np.mean(wet**2)) + 1e-9)
    return np.asarray(wave + wet * (0.1 + 0.7 * strength), np.float32)


def simulate(rng: np.random.Generator) -> Wave:
    """Return a room's impulse response: first reflections of a box, then a tail whose high end dies sooner.

    Args:
        rng: draws size, places, absorption and decay.

    Returns:
        float32 (m, 2).

    Source: J. B. Allen and D. A. Berkley, Image method for efficiently simulating small-room acoustics, 1979.
    """
    decay_s = float(np.exp(rng.uniform(np.log(0.25), np.log(3.5))))
    n = int(decay_s * RATE_HZ)
    t = np.arange(n)[:, None] / RATE_HZ
    white = rng.standard_normal((n, 2))
    low = signal.sosfilt(signal.butter(1, float(rng.uniform(1500, 8000)), fs=RATE_HZ, output="sos"), white, axis=0)
    tail = low * 10 ** (-3 * t / decay_s) + 0.3 * (white - low) * 10 ** (-3 * t / (decay_s * rng.uniform(0.3, 0.8)))
    tail[: int(rng.uniform(0.005, 0.05) * RATE_HZ)] = 0
    early = _reflections(rng, n)
    level = np.sqrt(np.sum(tail**2) / (np.sum(early**2) + 1e-12)) * 10 ** (rng.uniform(-10, 3) / 20)
    return np.asarray(tail + early * level, np.float32)


def _reflections(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    """Impulses of the images of a source in a box up to the second order, at two microphones 17 cm apart."""
    size = rng.uniform([3.0, 2.5, 2.2], [14.0, 10.0, 6.0])
    source, microphone = (rng.uniform(0.15, 0.85, 3) * size for _ in range(2))
    reflect = float(rng.uniform(0.5, 0.9))
    out = np.zeros((n, 2))
    orders = np.arange(-2, 3)
    for kx in orders:
        for ky in orders:
            for kz in orders:
                order = abs(kx) + abs(ky) + abs(kz)
                if order == 0 or order > 2:
                    continue
                k = np.array([kx, ky, kz])
                image = np.where(k % 2 == 0, k * size + source, (k + 1) * size - source)
                for ear, offset in enumerate((-0.085, 0.085)):
                    metres = float(np.linalg.norm(image - microphone - np.array([offset, 0, 0])))
                    at = int(metres / _SOUND_M_S * RATE_HZ)
                    if at < n:
                        out[at, ear] += reflect**order / metres
    return out


def delay(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Add up to eight echoes, on both sides or from side to side, each duller than the last.

    Args:
        wave: float32 (n, 2).
        strength: 0 to 1; the first echo is 16 to 4 dB below the sound.
        rng: draws time, filter and whether the echoes cross.
    """
    n = int(rng.uniform(0.08, 0.5) * RATE_HZ)
    dull = signal.butter(1, float(rng.uniform(2500, 14_000)), fs=RATE_HZ, output="sos")
    crossing = rng.random() < 0.5
    gain = np.float32(0.15 + 0.45 * strength)
    out, echo = wave.copy(), wave
    for k in range(1, 9):
        if k * n >= len(wave):
            break
        echo = np.asarray(signal.sosfilt(dull, echo, axis=0), np.float32) * gain
        placed = echo[: -k * n]
        out[k * n :] += placed[:, ::-1] if crossing and k % 2 else placed
    return out
