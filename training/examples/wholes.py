"""Whole mixes parted into all their stems, as vendors part them, and masked over by their own estimates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from provenance import audio
from training import augment, effects
from training.examples.mixing import MATE_S, SEPARABLE, levelled, mate, passage_of, read_rooms, stereo, with_effects
from training.examples.recipe import Recipe
from training.examples.rows import N_WINDOW, STUDIO, Context, Wave, add, extracted, is_silent, layers_of
from training.examples.separated import LEAST_NETWORK_GAIN_DB, demucs_repo, family_of_demucs, has_separated
from training.families import Family
from training.separators import demucs, networks, remask, script, surrogate

WHOLE, REMASK = "#whole-", "#remask-"
"""Names of pairs of estimates out of whole mixes and their true stems hold one of them; the second where the estimates
are masked over too."""
OUT_OF_MIXES = f"{WHOLE}|{REMASK}"
"""Pattern of either."""
N_REMASKS = 2
"""Ways in which the estimates out of a mix are masked over."""
WHOLE_S = 7.8
"""Length of whole mixes: what HTDemucs hears at once."""
MOST_SDR_DB = 20.0
"""An estimate better than this differs from a true stem by less than a studio's own processing, and is left out."""


def whole_mixes(c: Context) -> None:
    """A whole mix parted by each of ``whole_names`` into all its stems, as vendors do it; one twin for all."""
    if c.clip.set_name != "dry":
        _out_of_mix(c, WHOLE, lambda mix: [_parted(name, mix, c.recipe) for name in c.recipe.whole_names])


def masked_mixes(c: Context) -> None:
    """A whole mix parted by one separator, and masked over by what it found."""
    if c.clip.set_name == "dry" and c.clip.stem == "drums":  # single hits
        return

    def part(mix: Wave) -> list[Parted]:
        plain, how = _parted(c.recipe.remask_name, mix, c.recipe), ""
        out = [plain]
        for number in range(N_REMASKS):
            how = remask.draw(c.rng, how)
            masked = remask.apply(plain.estimates, mix, how, c.rng)
            out.append(Parted(masked, Family(plain.family.name, remask.KINDS[how]), "remask", number))
        return out

    _out_of_mix(c, REMASK, part)


@dataclass(frozen=True)
class Parted:
    """Stem name to estimate out of a mix, by which family, and of which kind and number its rows are."""

    estimates: dict[str, Wave]
    family: Family
    kind: str = "whole"
    number: int = 0


def _out_of_mix(c: Context, mark: str, part: Callable[[Wave], list[Parted]]) -> None:
    """Estimates of each stem of a whole mix beside the true stem, all through one chain."""
    clip, rng = c.clip, c.rng
    if clip.origin != "studio" or clip.oracle or clip.stem not in SEPARABLE:
        return
    stems = _whole(c)
    mix = np.asarray(sum(wave for wave, _ in stems.values()), np.float32)
    if len(stems) < 2 or is_silent(mix):
        return
    parted = part(mix)
    if "vocals" in stems and rng.random() < 0.5:
        band = np.asarray(mix - stems["vocals"][0], np.float32)
        stems[script.ACCOMPANIMENT] = (band, {"processing": "unknown", "effects": "", "layers": "submix"})
    for stem, (truth, known) in stems.items():
        pair, start = f"{clip.name}{mark}{stem}", int(rng.integers(0, len(mix) - N_WINDOW + 1))
        mono = c.samples.shape[1] == 1 and rng.random() < 0.3
        chain = augment.draw(rng) if rng.random() < 0.6 else None
        cut = slice(start, start + N_WINDOW)
        for made in parted:
            estimate = _estimate_of(stem, made.estimates, [*stems], mix, rng)
            if estimate is None or is_silent(truth[cut]):
                continue
            sdr = surrogate.sdr_db(truth[cut], estimate[cut])
            separated = has_separated(truth[cut], mix[cut], estimate[cut], sdr, LEAST_NETWORK_GAIN_DB)
            if separated and sdr <= MOST_SDR_DB:
                about = {**known, **extracted(made.family.name, sdr), "separator_kind": made.family.kind}
                add(c, estimate[cut], made.kind, made.number, pair, mono, chain, about)
        add(c, truth[cut], "twin", 0, pair, mono, chain, {**known, **STUDIO})


def _parted(name: str, mix: Wave, recipe: Recipe) -> Parted:
    """What one of the recipe's separators makes of a mix."""
    if name in recipe.demucs_models:
        return Parted(demucs.separate(mix, name, demucs_repo(recipe)), family_of_demucs(name))
    loaded = script.load(Path(recipe.scripts) / f"{name}.py")
    return Parted(script.run(loaded, mix), loaded.family)


def _whole(c: Context) -> dict[str, tuple[Wave, dict[str, object]]]:
    """Stems of a mix by name, (n, 2), and what is known of each: of the clip's own song at one moment where the clip
    lies among whole songs, else of several songs at random levels."""
    clip, rng, n = c.clip, c.rng, int(WHOLE_S * audio.SAMPLE_RATE_HZ)
    start = int(rng.integers(0, max(1, min(len(c.samples), MATE_S * audio.SAMPLE_RATE_HZ) - n + 1)))
    passage = lambda wave: np.resize(stereo(wave)[start : start + n], (n, 2))  # noqa: E731
    own, used = with_effects(passage(c.samples), c)
    about: dict[str, object] = {"processing": "unknown" if used else clip.wetness, "effects": used}
    if clip.set_name == "dry" and rng.random() < 0.5:
        made = effects.produce(own, str(rng.choice(["hybrid", "wet"])), rng, read_rooms(c.rooms))
        own, about = made.wave, {"processing": made.processing, "effects": json.dumps(made.effects)}
    stems = {clip.stem: (stereo(own), about)}
    of_song = clip.set_name == "pairs"
    kin = [o for o in c.pool if o.set_name != "dry" and (o.set_name == "pairs" and o.song == clip.song) == of_song]
    if not of_song:
        stems[clip.stem] = (levelled(stems[clip.stem][0]), about)
    for stem in SEPARABLE:
        able = [o for o in kin if o.stem == stem]
        if stem == clip.stem or not able or (not of_song and rng.random() < 0.15):
            continue
        other = able[int(rng.integers(0, len(able)))]
        wave = mate(other.path) if of_song else passage_of(other, n, rng, False)
        if wave is not None and len(wave) > start * of_song:
            known: dict[str, object] = {"processing": other.wetness, "effects": "", "layers": layers_of(other)}
            stems[stem] = (passage(wave) if of_song else wave, known)
    loudest = max(float(np.abs(sum(wave for wave, _ in stems.values())).max()), 1e-9)
    gain = np.float32(rng.uniform(0.3, 0.99) / loudest)
    return {stem: (np.asarray(wave * gain, np.float32), known) for stem, (wave, known) in stems.items()}


def _estimate_of(
    stem: str, estimates: dict[str, Wave], there: list[str], mix: Wave, rng: np.random.Generator
) -> Wave | None:
    """What a separator gave for a stem, or left beside the others, sometimes rounded as its command writes it.

    Where all instruments are one stem, its estimate is what is left of them together.
    """
    instruments = [name for name in SEPARABLE if name != "vocals"]
    voice = estimates.get("vocals")
    bundled = stem == script.ACCOMPANIMENT or (stem == "other" and not {"drums", "bass"} & {*there})
    if bundled:
        if all(name in estimates for name in instruments) and rng.random() < 0.5:
            out = np.sum([estimates[name] for name in instruments], axis=0)
        elif script.ACCOMPANIMENT in estimates and (voice is None or rng.random() < 0.7):
            out = estimates[script.ACCOMPANIMENT]
        elif voice is not None:
            out = mix - voice
        else:
            return None
    elif stem not in estimates:
        return None
    else:
        out = estimates[stem]
        others = [wave for name, wave in estimates.items() if name != stem]
        if others and rng.random() < 0.15:
            out = mix - np.sum(others, axis=0)
    out = np.asarray(out, np.float32)
    return networks.as_written(out) if rng.random() < 0.5 else out
