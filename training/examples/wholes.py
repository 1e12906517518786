"""Whole mixes parted into all their stems, as vendors part them, and masked over by their own estimates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from provenance import audio
from training import augment, effects
from training.examples.mixing import MATE_S, SEPARABLE, levelled, mate, passage_of, read_rooms, stereo, with_effects
from training.examples.recipe import Recipe
from training.examples.rows import CHAINED, N_WINDOW, STUDIO, Context, Wave, add, extracted, is_silent, layers_of
from training.examples.separated import LEAST_NETWORK_GAIN_DB, demucs_repo, family_of_demucs, has_separated
from training.families import Family
from training.separators import demucs, networks, remask, script, surrogate

WHOLE, REMASK, DRAWN = "#whole-", "#remask-", "#drawn-"
"""Names of pairs of estimates out of whole mixes and their true stems hold one of them; the second where the estimates
are masked over too, the third where one of several separators was drawn."""
OUT_OF_MIXES = f"{WHOLE}|{REMASK}|{DRAWN}"
"""Pattern of any."""
N_REMASKS = 2
"""Ways in which the estimates out of a mix are masked over."""
WHOLE_S = 7.8
"""Length of whole mixes: what HTDemucs hears at once."""
MOST_SDR_DB = 20.0
"""An estimate better than this differs from a true stem by less than a studio's own processing, and is left out."""
Stems: TypeAlias = dict[str, tuple[Wave, dict[str, object]]]
"""Stems of a mix by name, (n, 2), and what is known of each."""


def whole_mixes(c: Context) -> None:
    """A whole mix parted by each of ``whole_names`` into all its stems, as vendors do it; one twin for all."""
    if c.clip.set_name != "dry":
        _out_of_mix(c, WHOLE, lambda mix, _: [_parted(name, mix, c.recipe) for name in c.recipe.whole_names])


def masked_mixes(c: Context) -> None:
    """A whole mix parted by one separator, and masked over by what it found."""
    if c.clip.set_name == "dry" and c.clip.stem == "drums":  # single hits
        return

    def part(mix: Wave, _: Stems) -> list[Parted]:
        plain, how = _parted(c.recipe.remask_name, mix, c.recipe), ""
        out = [plain]
        for number in range(N_REMASKS):
            how = remask.draw(c.rng, how)
            masked = remask.apply(plain.estimates, mix, how, c.rng)
            out.append(Parted(masked, Family(plain.family.name, remask.KINDS[how]), "remask", number))
        return out

    _out_of_mix(c, REMASK, part)


def drawn_mixes(c: Context) -> None:
    """A mix parted by one of ``drawn_names``: a whole one, or two of the clip's kind by a script that parts those."""
    loaded = [script.load(Path(c.recipe.scripts) / f"{name}.py") for name in c.recipe.drawn_names]
    able = [s for s in loaded if (s.two_of == c.clip.stem if s.two_of else c.clip.set_name != "dry")]
    if not able:
        return
    drawn = able[int(c.rng.integers(0, len(able)))]

    def part(mix: Wave, stems: Stems) -> list[Parted]:
        estimates = script.run(drawn, mix)
        return [Parted(_in_order(estimates, stems) if drawn.two_of else estimates, drawn.family, "drawn")]

    _out_of_mix(c, DRAWN, part, _two if drawn.two_of else _whole, drawn.limit)


@dataclass(frozen=True)
class Parted:
    """Stem name to estimate out of a mix, by which family, and of which kind and number its rows are."""

    estimates: dict[str, Wave]
    family: Family
    kind: str = "whole"
    number: int = 0


def _out_of_mix(
    c: Context,
    mark: str,
    part: Callable[[Wave, Stems], list[Parted]],
    mixed: Callable[[Context], Stems] | None = None,
    limit: Callable[[Wave], Wave] | None = None,
) -> None:
    """Estimates of each stem of a mix beside the true stem, all through one chain.

    ``mixed`` puts the stems together, a whole mix by default. ``limit`` is done to estimates and true stems alike; then
    true stems of which nothing was estimated are left out.
    """
    clip, rng = c.clip, c.rng
    if clip.origin != "studio" or clip.oracle or clip.stem not in SEPARABLE:
        return
    stems = (mixed or _whole)(c)
    mix = np.asarray(sum(wave for wave, _ in stems.values()), np.float32)
    if len(stems) < 2 or is_silent(mix):
        return
    parted = part(mix, stems)
    if "vocals" in stems and rng.random() < 0.5:
        band = np.asarray(mix - stems["vocals"][0], np.float32)
        stems[script.ACCOMPANIMENT] = (band, {"processing": "unknown", "effects": "", "layers": "submix"})
    for stem, (truth, known) in stems.items():
        pair, start = f"{clip.name}{mark}{stem}", int(rng.integers(0, len(mix) - N_WINDOW + 1))
        mono = c.samples.shape[1] == 1 and rng.random() < 0.3
        chain = augment.draw(rng) if rng.random() < CHAINED["whole"] else None
        cut = slice(start, start + N_WINDOW)
        true, mixture, n_before = truth[cut], mix[cut], len(c.rows.meta)
        if limit:
            true, mixture = limit(true), limit(mixture)
        for made in parted:
            estimate = _estimate_of(stem, made.estimates, [*stems], mix, rng)
            if estimate is None or is_silent(truth[cut]):
                continue
            estimate = limit(estimate[cut]) if limit else estimate[cut]
            sdr = surrogate.sdr_db(true, estimate)
            separated = has_separated(true, mixture, estimate, sdr, LEAST_NETWORK_GAIN_DB)
            if separated and sdr <= MOST_SDR_DB:
                about = {**known, **extracted(made.family.name, sdr), "separator_kind": made.family.kind}
                add(c, estimate, made.kind, made.number, pair, mono, chain, about)
        if not limit or len(c.rows.meta) > n_before:
            add(c, true, "twin", 0, pair, mono, chain, {**known, **STUDIO})


def _two(c: Context) -> Stems:
    """Two performances of the clip's kind, of two songs."""
    clip, rng = c.clip, c.rng
    own, about = _own(c, int(rng.integers(0, max(1, len(c.samples) - N_WINDOW + 1))), N_WINDOW)
    own = levelled(own)
    others = [o for o in c.pool if o.stem == clip.stem and o.song != clip.song]
    wave = passage_of(others[int(rng.integers(0, len(others)))], N_WINDOW, rng, False) if others else None
    if wave is None:
        return {}
    known: dict[str, object] = {"processing": "unknown", "effects": ""}
    gain = np.float32(rng.uniform(0.3, 0.99) / max(float(np.abs(own + wave).max()), 1e-9))
    first, second = script.TWO
    return {first: (own * gain, about), second: (wave * gain, known)}


def _in_order(estimates: dict[str, Wave], stems: Stems) -> dict[str, Wave]:
    """Estimates of two of a kind, which come in any order, each under the name of what it is nearer to."""
    found = [estimates[name] for name in script.TWO]
    nearness = [[surrogate.sdr_db(stems[name][0], wave) for wave in found] for name in script.TWO]
    straight = nearness[0][0] + nearness[1][1] >= nearness[0][1] + nearness[1][0]
    return dict(zip(script.TWO, found if straight else found[::-1], strict=True))


def _parted(name: str, mix: Wave, recipe: Recipe) -> Parted:
    """What one of the recipe's separators makes of a mix."""
    if name in recipe.demucs_models:
        return Parted(demucs.separate(mix, name, demucs_repo(recipe)), family_of_demucs(name))
    loaded = script.load(Path(recipe.scripts) / f"{name}.py")
    return Parted(script.run(loaded, mix), loaded.family)


def _own(c: Context, start: int, n: int) -> tuple[Wave, dict[str, object]]:
    """A passage of the clip, (n, 2), through effects now and then, and what is known of it."""
    clip, rng = c.clip, c.rng
    own, used = with_effects(_passage(c.samples, start, n), c)
    about: dict[str, object] = {"processing": "unknown" if used else clip.wetness, "effects": used}
    if clip.set_name == "dry" and rng.random() < 0.5:
        made = effects.produce(own, str(rng.choice(["hybrid", "wet"])), rng, read_rooms(c.rooms))
        own, about = made.wave, {"processing": made.processing, "effects": json.dumps(made.effects)}
    return stereo(own), about


def _passage(wave: Wave, start: int, n: int) -> Wave:
    return np.resize(stereo(wave)[start : start + n], (n, 2))


def _whole(c: Context) -> Stems:
    """Stems of a mix: of the clip's own song at one moment where the clip lies among whole songs, else of several songs
    at random levels."""
    clip, rng, n = c.clip, c.rng, int(WHOLE_S * audio.SAMPLE_RATE_HZ)
    start = int(rng.integers(0, max(1, min(len(c.samples), MATE_S * audio.SAMPLE_RATE_HZ) - n + 1)))
    stems = {clip.stem: _own(c, start, n)}
    of_song = clip.set_name == "pairs"
    kin = [o for o in c.pool if o.set_name != "dry" and (o.set_name == "pairs" and o.song == clip.song) == of_song]
    if not of_song:
        own, about = stems[clip.stem]
        stems[clip.stem] = (levelled(own), about)
    for stem in SEPARABLE:
        able = [o for o in kin if o.stem == stem]
        if stem == clip.stem or not able or (not of_song and rng.random() < 0.15):
            continue
        other = able[int(rng.integers(0, len(able)))]
        wave = mate(other.path) if of_song else passage_of(other, n, rng, False)
        if wave is not None and len(wave) > start * of_song:
            known: dict[str, object] = {"processing": other.wetness, "effects": "", "layers": layers_of(other)}
            stems[stem] = (_passage(wave, start, n) if of_song else wave, known)
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
