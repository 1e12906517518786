"""Stems to be mixed: passages of a clip and of others of its fold, at what levels and through which effects."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from provenance import audio
from provenance.errors import UnreadableAudio
from provenance.windows import WINDOW_S
from training import drum_loops, effects
from training.catalogue import Clip
from training.examples.rows import Context, Wave, is_silent

MATE_S = 20
"""So much of a stem is read to mix it with others."""
SEPARABLE = ("vocals", "drums", "bass", "other")
"""Stems that the common separators give."""


def crop(samples: Wave, rng: np.random.Generator, full: bool = False, n_windows: int = 1) -> Wave:
    """Cut so many windows of 4 s, or less, at a place that is not silent.

    Args:
        samples: float32 (n, channels).
        rng: of length and place.
        full: as many wherever the samples hold them.
        n_windows: at most.
    """
    return cut(samples, rng, full, n_windows)[0]


def cut(samples: Wave, rng: np.random.Generator, full: bool = False, n_windows: int = 1) -> tuple[Wave, int]:
    """Cut as :func:`crop` does, and tell how many silent places were drawn before: twins that agree are cut alike.

    Args:
        samples, rng, full, n_windows: as for :func:`crop`.
    """
    longest_s = n_windows * WINDOW_S
    length = int((longest_s if full or rng.random() < 0.6 else rng.uniform(1.2, longest_s)) * audio.SAMPLE_RATE_HZ)

    def drawn() -> Wave:
        start = int(rng.integers(0, max(1, len(samples) - length + 1)))
        return samples[start : start + length]

    part, n_silent = drawn(), 0
    while n_silent < 3 and is_silent(part):
        part, n_silent = drawn(), n_silent + 1
    return part, n_silent


def stereo(wave: Wave) -> Wave:
    """Return two channels.

    Args:
        wave: float32 (n, 1 or 2).
    """
    return wave if wave.shape[1] == 2 else np.repeat(wave, 2, 1)


def levelled(wave: Wave) -> Wave:
    """Return a stem at -20 dB.

    Args:
        wave: float32 (n, channels).
    """
    return np.asarray(wave / np.float32(np.sqrt(np.mean(wave**2)) + 1e-6) * 0.1, np.float32)


def with_effects(wave: Wave, c: Context) -> tuple[Wave, str]:
    """Run a clip that is not dry through an effects chain, sometimes; dry ones are processed with labels elsewhere.

    Args:
        wave: of the clip, float32 (n, 1 or 2).
        c: what is drawn from.

    Returns:
        The wave, as many channels, and the effects as JSON, empty where there are none.
    """
    if c.clip.wetness == "dry" or c.rng.random() >= c.recipe.p_effects:
        return wave, ""
    made = effects.produce(wave, str(c.rng.choice(["hybrid", "wet"])), c.rng, read_rooms(c.rooms))
    if wave.shape[1] == 1:
        return made.wave.mean(1, keepdims=True), json.dumps(effects.folded(made.effects))
    return made.wave, json.dumps(made.effects)


@lru_cache(maxsize=256)
def mate(path: Path) -> Wave | None:
    """Return the first seconds of a stem to mix with others, read-only; None where it cannot be read or is silent.

    Args:
        path: of the stem.
    """
    try:
        _, wave = audio.read(path, max_s=MATE_S)
    except UnreadableAudio:
        return None
    wave.setflags(write=False)
    return None if is_silent(wave) else wave


def _interference(c: Context, n: int, beside: str = "") -> Wave | None:
    """A sum of one to three other stems of the same fold, or of one of each other kind of the clip's own song.

    With ``beside`` they are of that kind alone.
    """
    clip, rng = c.clip, c.rng
    pool = [o for o in c.pool if o.stem == beside] if beside else c.pool
    mates = [m for m in pool if m.set_name == "pairs" and m.song == clip.song and m.stem != clip.stem]
    of_song = clip.set_name == "pairs" and bool(mates) and rng.random() < 0.6
    if of_song:
        kinds = [[m for m in mates if m.stem == stem] for stem in sorted({m.stem for m in mates})]
        chosen = [kin[int(rng.integers(0, len(kin)))] for kin in kinds]
    else:
        others = [o for o in pool if o.set_name != "dry" and o.stem != clip.stem and o.song != clip.song]
        if not others:
            return None
        chosen = [others[int(k)] for k in rng.integers(0, len(others), int(rng.integers(1, 4)))]
    total = np.zeros((n, 2), np.float32)
    for other in chosen:
        wave = passage_of(other, n, rng, as_it_is=of_song)
        if wave is not None:
            total += wave
    return None if is_silent(total) else total


def passage_of(stem: Clip, n: int, rng: np.random.Generator, as_it_is: bool) -> Wave | None:
    """Return a passage of a stem, (n, 2); None where it cannot be read or is silent.

    Args:
        stem: any.
        n: samples.
        rng: of place and level.
        as_it_is: at its own level, not at a random one.
    """
    wave = mate(stem.path)
    if wave is None:
        return None
    start = int(rng.integers(0, max(1, len(wave) - n + 1)))
    wave = np.resize(stereo(wave)[start : start + n], (n, 2))
    if as_it_is:
        return wave
    return np.asarray(wave * np.float32(10 ** (rng.uniform(-6, 6) / 20) / (np.sqrt(np.mean(wave**2)) + 1e-6) * 0.1))


def target_of(c: Context, full: bool = False, beside: str = "") -> tuple[Wave, Wave, dict[str, object]] | None:
    """Return a true stem and what it is mixed with, both (n, 2), and what is known of its processing.

    Args:
        c: what is drawn from.
        full: four seconds wherever the clip holds as much.
        beside: the kind of stem it is mixed with, or empty for any.
    """
    clip, rng = c.clip, c.rng
    other: Wave | None
    if clip.set_name == "dry" and clip.stem == "drums" and not beside:
        wave, other = drum_loops.programme(clip, c.samples, c.pool, rng)
        if rng.random() < 0.4:
            more = _interference(c, len(wave))
            other = other if more is None else other + more
    else:
        wave = stereo(crop(c.samples, rng, full))
        other = _interference(c, len(wave), beside)
    known: dict[str, object] = {"processing": clip.wetness, "effects": ""}
    if clip.wetness == "dry" and rng.random() < 0.5:
        made = effects.produce(wave, str(rng.choice(["hybrid", "wet"])), rng, read_rooms(c.rooms))
        wave, known = made.wave, {"processing": made.processing, "effects": json.dumps(made.effects)}
    else:
        wave, used = with_effects(wave, c)
        if used:
            known = {"processing": "unknown", "effects": used}
    if other is None or is_silent(wave) or is_silent(other):
        return None
    return wave, other, known


_ROOMS: dict[tuple[str, ...], list[Wave]] = {}


def read_rooms(paths: tuple[str, ...]) -> list[Wave]:
    """Read measured impulse responses, once a process; those that cannot be read are passed over.

    Args:
        paths: files.
    """
    if paths not in _ROOMS:
        found = []
        for path in paths:
            try:
                found.append(audio.read(path, max_s=3.0)[1])
            except UnreadableAudio:
                continue
        _ROOMS[paths] = [room for room in found if not is_silent(room)]
    return _ROOMS[paths]
