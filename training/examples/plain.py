"""Examples of a clip by itself: as it is, through the common chain, through effects, over noise, degraded."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from provenance import audio
from provenance.windows import split
from training import augment, effects
from training.degrade import DEGRADATIONS
from training.examples.mixing import crop, cut, read_rooms, with_effects
from training.examples.rows import N_WINDOW, Context, add, is_silent, pair_of

DEGRADED = "degraded:"
"""Kinds of rows that are judged and never learnt from begin with it."""
AS_THEY_ARE = f"{DEGRADED}none"
"""The kind of the same seconds without any."""


def clean(c: Context) -> None:
    """Windows of the clip as it is, numbered with silent ones, so that one number of twins is the same seconds."""
    windows = list(split([c.samples]))
    sounding = [number for number, window in enumerate(windows) if not is_silent(window.samples)]
    if not sounding:
        return
    places = np.linspace(0, len(windows) - 1, min(len(windows), c.recipe.n_windows)).astype(int)
    for number in sorted({min(sounding, key=lambda n: abs(n - place)) for place in places}):
        pair = pair_of(c.clip)
        name = f"{pair}#clean{number}" if pair else ""
        c.rows.add(windows[number].samples, "clean", number, name, take=c.clip.name)


def augmented(c: Context) -> None:
    """Windows through the common chain, alike for twins of the matched set; they are a pair at the same seconds."""
    for number in range(c.recipe.n_augmented):
        of_place, of_effects, of_chain = c.rng.spawn(3)  # a place that is drawn again leaves the rest as it is
        part, n_silent = cut(c.samples, of_place)
        wave, used = with_effects(part, dataclasses.replace(c, rng=of_effects))
        pair = pair_of(c.clip)
        known: dict[str, object] = {"processing": "unknown" if used else c.clip.wetness, "effects": used}
        name = f"{pair}#augmented{number}.{n_silent}" if pair else ""
        add(c, wave, "augmented", number, name, False, augment.draw(of_chain), known)


def processed(c: Context) -> None:
    """Hybrid and wet versions of a dry clip, with the effects and strengths that were drawn."""
    if c.clip.origin != "studio" or c.clip.oracle or c.clip.wetness != "dry":
        return
    for number in range(c.recipe.n_processed):
        for processing in ("hybrid", "wet"):
            dry = crop(c.samples, c.rng, n_windows=c.recipe.n_take_windows)
            made = effects.produce(dry, processing, c.rng, read_rooms(c.rooms))
            chain = augment.draw(c.rng) if c.rng.random() < 0.5 else None
            mono = c.samples.shape[1] == 1 and c.rng.random() < 0.5
            known: dict[str, object] = {"processing": processing, "effects": json.dumps(made.effects)}
            name = f"{c.clip.name}#{processing}{number}"
            add(c, made.wave, "processed", number, "", mono, chain, known, name)


def grounded(c: Context) -> None:
    """Passages over noise, alike for all processings: how quiet the ground is tells neither a dry take nor a wet one.

    A dry clip gives as many hybrid and wet versions of itself; noise lies before the effects, as a preamplifier's does,
    or after them.
    """
    if c.clip.origin != "studio" or c.clip.oracle:
        return
    made = ("dry", "hybrid", "wet") if c.clip.wetness == "dry" else (c.clip.wetness,)
    for number in range(c.recipe.n_grounded):
        for processing in made:
            wave = crop(c.samples, c.rng, n_windows=c.recipe.n_take_windows)
            known: dict[str, object] = {"processing": processing, "effects": ""}
            before = c.rng.random() < 0.5
            if before:
                wave = augment.over_noise(wave, c.rng)
            if len(made) > 1 and processing != "dry":
                applied = effects.produce(wave, processing, c.rng, read_rooms(c.rooms))
                wave, known["effects"] = applied.wave, json.dumps(applied.effects)
            if not before:
                wave = augment.over_noise(wave, c.rng)
            chain = augment.draw(c.rng) if c.rng.random() < 0.5 else None
            mono = c.samples.shape[1] == 1 and c.rng.random() < 0.5
            name = f"{c.clip.name}#grounded{processing}{number}"
            add(c, wave, "grounded", number, "", mono, chain, known, name)


def degraded(c: Context) -> None:
    """A passage as it is and after each single degradation, window by window; judged, never learnt from.

    It begins with the first window that sounds and holds as many as are shown of a clip as it is.
    """
    begins = next((window.start_s for window in split([c.samples]) if not is_silent(window.samples)), None)
    if begins is None:
        return
    start = int(begins * audio.SAMPLE_RATE_HZ)
    passage = c.samples[start : start + c.recipe.n_windows * N_WINDOW]
    for name, degrade in {AS_THEY_ARE.removeprefix(DEGRADED): np.copy, **DEGRADATIONS}.items():
        for number, window in enumerate(split([degrade(passage)])):
            c.rows.add(window.samples, DEGRADED + name, number, take=f"{c.clip.name}#{name}")
