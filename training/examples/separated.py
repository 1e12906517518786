"""Extractions of a clip out of a mix with others, each beside its true twin through the same chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from training import augment, rework
from training.examples.mixing import SEPARABLE, crop, read_rooms, target_of
from training.examples.recipe import Recipe
from training.examples.rows import CHAINED, STUDIO, Context, Wave, add, extracted
from training.families import Family, family_of
from training.separators import classical, demucs, networks, script, surrogate

LEAST_NETWORK_GAIN_DB = 2.0
"""By how much an output of a small network must be nearer to its target than the mix was."""
EASY_LEVEL_DB = (5.0, 18.0)
MOST_LIKE_MIX_DB = 30.0
"""An output nearer to the mix than this has not been separated."""


def surrogates(c: Context) -> None:
    """Corrupted masks and waveforms by known errors: see :mod:`training.separators.surrogate`."""
    if c.clip.origin != "studio" or c.clip.oracle:
        return
    n = c.recipe.n_surrogates if c.clip.set_name != "dry" else max(1, c.recipe.n_surrogates // 2)
    for number in range(n):
        found = target_of(c)
        if found is None:
            continue
        target, other, known = found
        estimate, sdr = surrogate.separate(target, other, c.rng)
        mono = c.samples.shape[1] == 1 and c.rng.random() < 0.5
        chain = augment.draw(c.rng) if c.rng.random() < 0.7 else None
        pair = f"{c.clip.name}#{number}"
        add(c, estimate, "surrogate", number, pair, mono, chain, {**known, **extracted("surrogate", sdr)})
        add(c, target, "twin", number, pair, mono, chain, {**known, **STUDIO})


Run: TypeAlias = Callable[[Wave, Wave], "tuple[Wave, str, str] | None"]
"""Target and what it is mixed with to an estimate of the target, its family and kind; None where there is none."""


@dataclass(frozen=True)
class Chosen:
    """A separator, and what its mixes may hold beside the target: stems of one kind, or anything."""

    run: Run
    beside: str = ""


def _by_separator(
    c: Context,
    kind: str,
    n: int,
    choose: Callable[[], Chosen | None],
    least_gain_db: float = -np.inf,
    level_db: tuple[float, float] = (-6.0, 6.0),
) -> None:
    """Rows of separators that hear the mix only, each beside its true twin through the same chain.

    What has not separated is left out.
    """
    if c.clip.origin != "studio" or c.clip.oracle:
        return
    for number in range(n):
        chosen = choose()
        found = target_of(c, True, chosen.beside) if chosen else None
        if chosen is None or found is None:
            continue
        target, other, known = found
        level = float(np.sqrt(np.mean(target**2)) / (np.sqrt(np.mean(other**2)) + 1e-9))
        other = other * np.float32(level * 10 ** (-c.rng.uniform(*level_db) / 20))
        made = chosen.run(target, other)
        if made is None:
            continue
        estimate, family, separator_kind = made
        mix = target + other
        sdr = surrogate.sdr_db(target, estimate)
        if not has_separated(target, mix, estimate, sdr, least_gain_db):
            continue
        chain = augment.draw(c.rng) if c.rng.random() < 0.5 else None
        about = {**extracted(family, sdr), "separator_kind": separator_kind}
        pair = f"{c.clip.name}#{kind}{number}"
        add(c, estimate, kind, number, pair, False, chain, {**known, **about})
        add(c, target, "twin", number, pair, False, chain, {**known, **STUDIO})


def has_separated(target: Wave, mix: Wave, estimate: Wave, sdr_db: float, least_gain_db: float) -> bool:
    """Whether an estimate is so much nearer to the target than the mix was, and is not the mix itself.

    One that is not would teach that a mix is an extraction.

    Args:
        target, mix, estimate: float32 (n, 2).
        sdr_db: of the estimate.
        least_gain_db: over the mix.
    """
    gain_db = sdr_db - surrogate.sdr_db(target, mix)
    return gain_db >= least_gain_db and surrogate.sdr_db(mix, estimate) <= MOST_LIKE_MIX_DB


def by_demucs(c: Context) -> None:
    """Mixes separated by the demucs package."""
    if c.recipe.demucs_models and c.clip.set_name != "dry" and c.clip.stem in SEPARABLE:
        _by_separator(c, "demucs", c.recipe.n_demucs, lambda: Chosen(lambda a, b: _run_demucs(c, a + b)))


def _run_demucs(c: Context, mix: Wave) -> tuple[Wave, str, str] | None:
    name = str(c.rng.choice(c.recipe.demucs_models))
    stems = demucs.separate(mix, name, demucs_repo(c.recipe), as_cli=c.rng.random() < 0.5)
    if c.clip.stem not in stems:
        return None
    family = family_of_demucs(name)
    return _direct_or_residual(c, stems, c.clip.stem, mix), family.name, family.kind


def demucs_repo(recipe: Recipe) -> Path | None:
    """Return the folder of local demucs weights, or None for the pretrained ones.

    Args:
        recipe: with or without one.
    """
    return Path(recipe.demucs_repo) if recipe.demucs_repo else None


def family_of_demucs(name: str) -> Family:
    """Return the family of a pretrained model, or of a local one, whose name is a signature.

    Args:
        name: as the demucs package knows it.
    """
    found = family_of(name)
    return found if found.name == "demucs" else Family("demucs", "waveform")


def _direct_or_residual(c: Context, stems: dict[str, Wave], stem: str, mix: Wave) -> Wave:
    if c.rng.random() < 0.75 or len(stems) < 2:
        return stems[stem]
    others = np.sum([wave for name, wave in stems.items() if name != stem], axis=0)
    return np.asarray(mix - others, np.float32)


def by_classical(c: Context) -> None:
    """Mixes separated without training."""
    if c.clip.set_name == "dry":
        return

    def run(target: Wave, other: Wave) -> tuple[Wave, str, str]:
        power = float(np.exp(c.rng.uniform(0, np.log(6))))
        return classical.separate(target + other, c.clip.stem, power), "classical", "classical"

    _by_separator(c, "classical", c.recipe.n_classical, lambda: Chosen(run))


def by_networks(c: Context) -> None:
    """Mixes separated by networks trained here, or by scripts."""
    if (c.recipe.network_names or c.recipe.script_names) and c.clip.stem in SEPARABLE:
        n = c.recipe.n_networks if c.clip.set_name != "dry" else 1
        _by_separator(c, "network", n, lambda: _network_or_script(c), LEAST_NETWORK_GAIN_DB)


def _network_or_script(c: Context) -> Chosen | None:
    """One of the networks, or of the scripts that give this stem; drawn by name, each alike."""
    stem, scripts = c.clip.stem, scripts_of(c)
    as_rest = script.ACCOMPANIMENT if stem != "vocals" else stem
    able = [name for name, loaded in scripts.items() if {stem, as_rest} & {*loaded.stems}]
    names = [*c.recipe.network_names, *able]
    if not names:
        return None
    name = str(c.rng.choice(names))
    if name not in scripts:
        return Chosen(lambda target, other: _run_network(c, name, target + other))
    found = scripts[name]
    key = stem if stem in found.stems else as_rest

    def run(target: Wave, other: Wave) -> tuple[Wave, str, str]:
        mix = target + other
        return _direct_or_residual(c, script.run(found, mix), key, mix), found.family.name, found.family.kind

    return Chosen(run, "" if key == stem else "vocals")


def scripts_of(c: Context) -> dict[str, script.Script]:
    """Return the recipe's separators in Python files, by name.

    Args:
        c: of the recipe.
    """
    return {name: script.load(Path(c.recipe.scripts) / f"{name}.py") for name in c.recipe.script_names}


def _run_network(c: Context, name: str, mix: Wave) -> tuple[Wave, str, str] | None:
    folder = Path(c.recipe.networks) / name
    network = networks.load(folder)
    if c.clip.stem not in network.sources:
        return None
    stems = networks.separate(mix, folder, as_cli=c.rng.random() < 0.3)
    return _direct_or_residual(c, stems, c.clip.stem, mix), network.family, network.kind


def easy(c: Context) -> None:
    """Mixes in which the clip is louder than the rest, separated by demucs, a network or a script."""
    recipe = c.recipe
    trained = bool(recipe.network_names or recipe.script_names)
    if c.clip.stem not in SEPARABLE or not (trained or recipe.demucs_models):
        return
    p_demucs = 0.3 if trained and recipe.demucs_models else float(bool(recipe.demucs_models))

    def choose() -> Chosen | None:
        if c.rng.random() < p_demucs:
            return Chosen(lambda target, other: _run_demucs(c, target + other))
        return _network_or_script(c)

    n = recipe.n_easy if c.clip.set_name != "dry" else min(1, recipe.n_easy)
    _by_separator(c, "easy", n, choose, level_db=EASY_LEVEL_DB)


def reworked(c: Context) -> None:
    """Extractions and true stems after the same heavy hand; what it makes of their processing is not known."""
    for number in range(c.recipe.n_reworked):
        _after(c, "reworked", number, rework.draw)


def edited(c: Context) -> None:
    """An extraction, or a true stem and its surrogate, after what an editor or a poor converter does."""
    _after(c, "edited", 0, rework.draw_edited)


def narrow(c: Context) -> None:
    """An extraction, or a true stem and its surrogate, in a narrow band and coded."""
    _after(c, "narrow", 0, rework.draw_narrow)


def gated(c: Context) -> None:
    """An extraction, or a true stem and its surrogate, after a noise reduction bin by bin: as separators mask."""
    for number in range(c.recipe.n_gated):
        _after(c, "gated", number, rework.draw_gated)


def cleaned(c: Context) -> None:
    """An extraction, or a true stem and its surrogate, after a smooth noise reduction."""
    _after(c, "cleaned", 0, rework.draw_cleaned)


def _after(c: Context, kind: str, number: int, draw: Callable[[np.random.Generator], rework.Rework]) -> None:
    """Rows of an extraction, or of a true stem and its surrogate, after what is drawn for them alike."""
    clip, rng = c.clip, c.rng
    if clip.oracle:
        return
    unknown: dict[str, object] = {"processing": "unknown", "effects": "", "layers": ""}
    made: list[tuple[Wave, dict[str, object]]] = []
    pair = f"{clip.name}#{kind}{number}"
    if clip.origin == "separated":
        made.append((crop(c.samples, rng), {}))
    else:
        found = target_of(c)
        if found is None:
            return
        target, other, _ = found
        estimate, sdr = surrogate.separate(target, other, rng)
        made.append((estimate, extracted("surrogate", sdr)))
        made.append((target, {}))
    hand = draw(rng)
    mono = c.samples.shape[1] == 1 and rng.random() < 0.5
    chain = augment.draw(rng) if rng.random() < CHAINED["edited"] else None
    for wave, about in made:
        worked = rework.apply(wave, hand, read_rooms(c.rooms))
        add(c, worked, kind, number, pair if len(made) == 2 else "", mono, chain, {**unknown, **about})
