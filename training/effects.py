"""Labelled effects chains: dry to hybrid to wet, with every effect's name, strength and order on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.processors import image, level, pitch, space, tone

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
EFFECTS = (
    "reverb", "delay", "compression", "eq", "de_essing", "saturation", "modulation", "pitch_correction",
    "stereo_imaging", "limiting",
)  # fmt: skip
"""The verdict's nine, and limiting, which counts as compression there."""
SPACE = frozenset({"reverb", "delay"})
_USUAL = ("pitch_correction", "eq", "de_essing", "compression", "saturation", "modulation")
_P_WET = {
    "pitch_correction": 0.25,
    "eq": 0.55,
    "de_essing": 0.4,
    "compression": 0.55,
    "saturation": 0.35,
    "modulation": 0.3,
}
_HYBRID = ("compression", "eq", "de_essing", "saturation", "pitch_correction", "limiting")
_P_HYBRID = (0.25, 0.25, 0.16, 0.14, 0.12, 0.08)


@dataclass(frozen=True)
class Applied:
    """A processed stem and what was done to it, in order.

    Args:
        wave: float32 (n, 2).
        effects: names out of :data:`EFFECTS` with a strength of 0 to 1, in the order in which they were applied.
        processing: ``hybrid`` or ``wet``.
    """

    wave: Wave
    effects: tuple[tuple[str, float], ...]
    processing: str


def produce(dry: Wave, processing: str, rng: np.random.Generator, rooms: Sequence[Wave] = ()) -> Applied:
    """Run a dry stem through a random chain.

    An effect that leaves the stem as it is, but for its level (pitch correction of drums, de-essing of a bass), is not
    on record; a chain never is empty.

    Args:
        dry: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        processing: ``hybrid`` (one to three effects, no space) or ``wet`` (a space, and mostly the rest).
        rng: draws the chain.
        rooms: measured impulse responses, (n, 1 or 2); without any a room is simulated.

    Raises:
        ValueError: another processing.
    """
    names = draw(processing, rng)
    wave = dry if dry.shape[1] == 2 else np.repeat(dry, 2, 1)
    applied: list[tuple[str, float]] = []
    for name in names:
        strength = float(rng.uniform(0.15, 1.0))
        made = apply(name, wave, strength, rng, rooms)
        if made is not None and level.change_db(wave, made) > level.LEAST_CHANGE_DB:
            wave = made
            applied.append((name, round(strength, 4)))
    if not applied:
        strength = float(rng.uniform(0.4, 1.0))
        wave = tone.equalise(wave, strength, rng)
        applied.append(("eq", round(strength, 4)))
    peak = float(np.abs(wave).max(initial=0.0))
    return Applied((wave / max(peak, 1.0)).astype(np.float32), tuple(applied), processing)


def draw(processing: str, rng: np.random.Generator) -> list[str]:
    """Draw the names of a chain, in order: the usual order of a studio, with two neighbours swapped now and then.

    Args:
        processing: ``hybrid`` or ``wet``.
        rng: source of randomness.

    Raises:
        ValueError: another processing.
    """
    if processing == "hybrid":
        names = [str(n) for n in rng.choice(_HYBRID, int(rng.integers(1, 4)), False, _P_HYBRID)]
        names.sort(key=lambda name: (*_USUAL, "limiting").index(name))
    elif processing == "wet":
        names = [name for name in _USUAL if rng.random() < _P_WET[name]]
        has_reverb = rng.random() < 0.85
        names += ["delay"] if rng.random() < 0.35 or not has_reverb else []
        names += ["reverb"] if has_reverb else []
        names += ["stereo_imaging"] if rng.random() < 0.3 else []
        names += ["limiting"] if rng.random() < 0.3 else []
    else:
        raise ValueError(f"found processing {processing!r}; needed: hybrid or wet")
    if len(names) > 1 and rng.random() < 0.4:
        k = int(rng.integers(len(names) - 1))
        names[k], names[k + 1] = names[k + 1], names[k]
    return names


def apply(name: str, wave: Wave, strength: float, rng: np.random.Generator, rooms: Sequence[Wave] = ()) -> Wave | None:
    """Apply one effect.

    Args:
        name: one of :data:`EFFECTS`.
        wave: float32 (n, 2) at 44.1 kHz; it is not changed.
        strength: 0 to 1.
        rng: draws what the strength leaves open.
        rooms: for reverb, measured impulse responses.

    Returns:
        float32 (n, 2), or None where the effect would change nothing.

    Raises:
        ValueError: an effect nobody listed.
    """
    if name == "reverb":
        return space.reverb(wave, strength, rng, rooms)
    processors = {
        "delay": space.delay,
        "compression": level.compress,
        "limiting": level.limit,
        "de_essing": level.de_ess,
        "saturation": level.saturate,
        "eq": tone.equalise,
        "modulation": tone.modulate,
        "pitch_correction": pitch.correct,
        "stereo_imaging": image.place,
    }
    if name not in processors:
        raise ValueError(f"found effect {name!r}; needed: one of {', '.join(EFFECTS)}")
    return processors[name](wave, strength, rng)


def folded(applied: Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Return what is still to be heard of a chain once the stem is folded to mono: no stereo image.

    Args:
        applied: names and strengths, in order.
    """
    return tuple((name, strength) for name, strength in applied if name != "stereo_imaging")
