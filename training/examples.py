"""The examples that one clip gives: as it is, through the common chain, separated in many ways, and processed.

A clip and its extraction go through one drawn chain, so that only the separation tells them apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance import audio, frontend
from provenance.errors import UnreadableAudio
from provenance.windows import MIN_WINDOW_S, WINDOW_S, split
from training import augment, drum_loops, effects, rework
from training.catalogue import Clip
from training.degrade import DEGRADATIONS
from training.families import Family, family_of
from training.separators import classical, demucs, networks, remask, script, surrogate

Wave: TypeAlias = npt.NDArray[np.float32]
N_WINDOW = int(WINDOW_S * audio.SAMPLE_RATE_HZ)
N_LEAST = int(MIN_WINDOW_S * audio.SAMPLE_RATE_HZ)
N_MAP_FRAMES = frontend.n_map_frames(N_WINDOW)
MAP_SHAPE = (2, N_MAP_FRAMES, frontend.N_MAP_BINS)
SILENT_RMS = 1e-5
WHOLE, REMASK = "#whole-", "#remask-"
"""Names of pairs of estimates out of whole mixes and their true stems hold one of them; the second where the estimates
are masked over too."""
OUT_OF_MIXES = f"{WHOLE}|{REMASK}"
"""Pattern of either."""
N_REMASKS = 2
"""Ways in which the estimates out of a mix are masked over."""
DEGRADED = "degraded:"
"""Kinds of rows that are judged and never learnt from begin with it."""
LEAST_NETWORK_GAIN_DB = 2.0
"""By how much an output of a small network must be nearer to its target than the mix was."""
EASY_LEVEL_DB = (5.0, 18.0)
MATE_S = 20
"""So much of a stem is read to mix it with others."""
WHOLE_S = 7.8
"""Length of whole mixes: what HTDemucs hears at once."""
MOST_SDR_DB = 20.0
"""An estimate better than this differs from a true stem by less than a studio's own processing, and is left out."""
MOST_LIKE_MIX_DB = 30.0
"""An output nearer to the mix than this has not been separated."""
SEPARABLE = ("vocals", "drums", "bass", "other")
STUDIO: dict[str, object] = {"origin": "studio", "family": "", "sdr_db": None}
"""What is known of a true stem among examples that were made here."""
META = (
    "clip", "kind", "window", "pair", "origin", "family", "separator_kind", "sdr_db", "processing", "oracle", "fold",
    "effects", "layers", "n_frames",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How many examples of each kind a clip gives.

    Args:
        n_windows: windows of the clip as it is, at most.
        n_augmented: windows through the common chain.
        n_surrogates: surrogate separations of a studio clip, each with its twin through the same chain.
        n_demucs: mixes of a studio clip separated by the demucs package.
        n_classical: mixes of a studio clip separated without training.
        n_easy: mixes in which a studio clip is 5 to 18 dB louder than the rest, separated by demucs or a network: what
            small separators do to an easy mix is as good in SDR as what large ones do to a hard one.
        n_networks: mixes of a studio clip separated by networks that were trained here, or by scripts.
        n_processed: hybrid and wet versions of a dry clip, each.
        n_submixes: sums of a dry clip with other performances of its kind.
        n_bundles: sums of a produced stem with stems of other kinds: instrumentals, beside what a separator leaves of
            them when it takes a voice out, and whole mixes. Without them what is dense passes for extracted.
        n_reworked: windows that were pitched, stretched, put into a room or coded at a low rate afterwards: of an
            extraction as it is, of a studio clip and its surrogate alike.
        degraded_share: share of the clips whose first window is judged after each of
            :data:`training.degrade.DEGRADATIONS` too; nothing is learnt from these.
        p_effects: share of the examples of clips that are not dry which go through an effects chain, in both
            classes alike, so that distortion and space are no sign of either.
        demucs_repo: folder of local demucs weights, or empty for the pretrained ones, which are downloaded.
        demucs_models: names there.
        networks: folder of networks trained by ``training.separators.train``, or empty.
        network_names: names in it.
        scripts: folder of separators as Python files, as :mod:`training.separators.script` describes them, or empty.
        script_names: names in it.
        whole_names: names among those scripts or ``demucs_models`` that part whole mixes, each of them the same mix.
        whole_share: share of the produced stems around which such a mix is put together; of whole songs' twice that.
        remask_name: the one among them whose estimates out of further mixes are also masked over, as
            :mod:`training.separators.remask` does; empty for none.
        remask_share: as ``whole_share``, of dry stems too.
        further_parts: keys of :data:`PARTS`: the only rows that clips of the second manifest and those after it give;
            empty for all.
        seed: of everything drawn.
        keep_maps: store each example's map too, for the network (350 kB each).
    """

    n_windows: int = 3
    n_augmented: int = 2
    n_surrogates: int = 4
    n_demucs: int = 1
    n_classical: int = 1
    n_networks: int = 1
    n_easy: int = 0
    n_processed: int = 2
    n_submixes: int = 1
    n_bundles: int = 0
    n_reworked: int = 0
    degraded_share: float = 0.0
    p_effects: float = 0.3
    demucs_repo: str = ""
    demucs_models: tuple[str, ...] = ()
    networks: str = ""
    network_names: tuple[str, ...] = ()
    scripts: str = ""
    script_names: tuple[str, ...] = ()
    whole_names: tuple[str, ...] = ()
    whole_share: float = 0.0
    remask_name: str = ""
    remask_share: float = 0.0
    further_parts: tuple[str, ...] = ()
    seed: int = 0
    keep_maps: bool = False


class Rows:
    """The rows a clip has given so far.

    Args:
        clip: whose rows they are.
        keep_maps: keep each row's map too.
    """

    def __init__(self, clip: Clip, keep_maps: bool) -> None:
        self.clip = clip
        self.keep_maps = keep_maps
        self.features: list[npt.NDArray[np.float32]] = []
        self.maps: list[npt.NDArray[np.uint8]] = []
        self.meta: list[dict[str, object]] = []

    def add(self, wave: Wave, kind: str, window: int = 0, pair: str = "", **known: object) -> None:
        """Add a row; silence and broken samples are passed over.

        Args:
            wave: float32 (n, 1 or 2), 1 to 4 s at 44.1 kHz.
            kind: how it was made.
            window: number among its kind.
            pair: name that an extraction shares with its true twin.
            known: columns that differ from what is known of the clip.
        """
        if is_silent(wave) or not np.isfinite(wave).all():
            return
        clip = self.clip
        row: dict[str, object] = {
            "clip": clip.name,
            "kind": kind,
            "window": window,
            "pair": pair,
            "origin": clip.origin,
            "family": clip.family.name if clip.family else "",
            "separator_kind": clip.family.kind if clip.family else "",
            "sdr_db": clip.sdr_db,
            "processing": clip.wetness,
            "oracle": clip.oracle,
            "effects": "",
            "layers": layers_of(clip),
        }
        row.update(known)
        features, spectrum = frontend.compute_with_map(wave)
        row["n_frames"] = spectrum.shape[1]
        self.features.append(features)
        self.meta.append(row)
        if self.keep_maps:
            packed = np.zeros(MAP_SHAPE, np.uint8)
            packed[:, : spectrum.shape[1]] = frontend.to_bytes(spectrum)
            self.maps.append(packed)


def layers_of(clip: Clip) -> str:
    """Return whether a clip holds one performance or several, or nothing where nobody knows.

    Args:
        clip: a dry clip is one voice, one instrument or one hit; a drum stem of a song is a whole kit.
    """
    if clip.set_name == "dry":
        return "individual"
    return "submix" if clip.stem == "drums" and clip.set_name == "pairs" else ""


@dataclass(frozen=True)
class Context:
    """What a part draws from.

    Args:
        rows: where its rows go.
        clip: the clip.
        samples: of it, float32 (n, 1 or 2), at least one second.
        pool: true stems of the same fold.
        recipe: how many.
        rooms: measured impulse responses.
        rng: of this clip and part.
    """

    rows: Rows
    clip: Clip
    samples: Wave
    pool: list[Clip]
    recipe: Recipe
    rooms: tuple[str, ...]
    rng: np.random.Generator


@dataclass(frozen=True)
class Part:
    """A kind of example: who makes it and which settings of the recipe it depends on."""

    make: Callable[[Context], None]
    settings: tuple[str, ...]


def make(clip: Clip, samples: Wave, part: str, pool: list[Clip], recipe: Recipe, rooms: tuple[str, ...] = ()) -> Rows:
    """Make the rows of one part of a clip.

    Args:
        clip: the clip.
        samples: of it, float32 (n, 1 or 2) at 44.1 kHz.
        part: a key of :data:`PARTS`.
        pool: true stems of the clip's fold.
        recipe: how many.
        rooms: files of measured impulse responses.
    """
    rows = Rows(clip, recipe.keep_maps)
    if len(samples) < int(0.4 * audio.SAMPLE_RATE_HZ) or is_silent(samples):
        return rows
    if len(samples) < N_LEAST:
        samples = np.resize(samples, (N_LEAST, samples.shape[1]))
    twin = clip.reference if clip.set_name == "pairs" and clip.reference else clip.name
    seed = int(hashlib.sha256(f"{twin}/{part}".encode()).hexdigest()[:8], 16)  # twins are cut and processed alike
    PARTS[part].make(Context(rows, clip, samples, pool, recipe, rooms, np.random.default_rng([recipe.seed, seed])))
    return rows


def is_silent(wave: Wave) -> bool:
    """Whether a wave holds nothing but rounding.

    Args:
        wave: float32 (n, channels).
    """
    return len(wave) == 0 or float(np.sqrt(np.mean((wave - wave.mean(0)) ** 2))) < SILENT_RMS


def fit(wave: Wave) -> Wave:
    """Cut or loop to between one and four seconds.

    Args:
        wave: float32 (n, channels).
    """
    return wave[:N_WINDOW] if len(wave) >= N_LEAST else np.resize(wave, (N_LEAST, wave.shape[1]))


def _pair_of(clip: Clip) -> str:
    """Name that a clip of the matched set shares with its twins."""
    if clip.set_name != "pairs":
        return ""
    return clip.reference if clip.origin == "separated" else clip.name


def _clean(c: Context) -> None:
    windows = [w for w in split([c.samples]) if not is_silent(w.samples)]
    if not windows:
        return
    keep = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), c.recipe.n_windows)).astype(int))
    for number in keep:
        pair = _pair_of(c.clip)
        c.rows.add(windows[number].samples, "clean", int(number), f"{pair}#clean{number}" if pair else "")


def _augmented(c: Context) -> None:
    for number in range(c.recipe.n_augmented):
        wave, used = _with_effects(crop(c.samples, c.rng), c)
        pair = _pair_of(c.clip)
        c.rows.add(
            fit(augment.apply(wave, augment.draw(c.rng))), "augmented", number,
            f"{pair}#augmented{number}" if pair else "",
            processing="unknown" if used else c.clip.wetness, effects=used,
        )  # fmt: skip


def crop(samples: Wave, rng: np.random.Generator, full: bool = False) -> Wave:
    """Cut 4 s, or less, at a place that is not silent.

    Args:
        samples: float32 (n, channels).
        rng: of length and place.
        full: 4 s wherever the samples hold as much.
    """
    length = N_WINDOW if full or rng.random() < 0.6 else int(rng.uniform(1.2, WINDOW_S) * audio.SAMPLE_RATE_HZ)
    for _ in range(4):
        start = int(rng.integers(0, max(1, len(samples) - length + 1)))
        part = samples[start : start + length]
        if not is_silent(part):
            break
    return part


def _with_effects(wave: Wave, c: Context) -> tuple[Wave, str]:
    """Run a clip that is not dry through an effects chain, sometimes; dry ones are processed with labels elsewhere."""
    if c.clip.wetness == "dry" or c.rng.random() >= c.recipe.p_effects:
        return wave, ""
    made = effects.produce(wave, str(c.rng.choice(["hybrid", "wet"])), c.rng, read_rooms(c.rooms))
    if wave.shape[1] == 1:
        return made.wave.mean(1, keepdims=True), json.dumps(effects.folded(made.effects))
    return made.wave, json.dumps(made.effects)


def stereo(wave: Wave) -> Wave:
    """Return two channels.

    Args:
        wave: float32 (n, 1 or 2).
    """
    return wave if wave.shape[1] == 2 else np.repeat(wave, 2, 1)


@lru_cache(maxsize=256)
def _mate(path: Path) -> Wave | None:
    """The first seconds of a stem to mix with others, read-only; None where it cannot be read or is silent."""
    try:
        _, wave = audio.read(path, max_s=MATE_S)
    except UnreadableAudio:
        return None
    wave.setflags(write=False)
    return None if is_silent(wave) else wave


def _interference(c: Context, n: int, beside: str = "") -> Wave | None:
    """A sum of one to three other stems of the same fold; of the same song where the clip's set has whole songs.

    With ``beside`` they are of that kind alone.
    """
    clip, rng = c.clip, c.rng
    pool = [o for o in c.pool if o.stem == beside] if beside else c.pool
    mates = [m for m in pool if m.set_name == "pairs" and m.song == clip.song and m.stem != clip.stem]
    if clip.set_name == "pairs" and mates and rng.random() < 0.6:
        chosen = mates
    else:
        others = [o for o in pool if o.set_name != "dry" and o.stem != clip.stem and o.song != clip.song]
        if not others:
            return None
        chosen = [others[int(k)] for k in rng.integers(0, len(others), int(rng.integers(1, 4)))]
    total = np.zeros((n, 2), np.float32)
    for other in chosen:
        wave = _passage(other, n, rng, as_it_is=chosen is mates)
        if wave is not None:
            total += wave
    return None if is_silent(total) else total


def _passage(stem: Clip, n: int, rng: np.random.Generator, as_it_is: bool) -> Wave | None:
    """A passage of a stem, (n, 2), at its own level or at a random one; None where it cannot be read or is silent."""
    wave = _mate(stem.path)
    if wave is None:
        return None
    start = int(rng.integers(0, max(1, len(wave) - n + 1)))
    wave = np.resize(stereo(wave)[start : start + n], (n, 2))
    if as_it_is:
        return wave
    return np.asarray(wave * np.float32(10 ** (rng.uniform(-6, 6) / 20) / (np.sqrt(np.mean(wave**2)) + 1e-6) * 0.1))


def _target(c: Context, full: bool = False, beside: str = "") -> tuple[Wave, Wave, dict[str, object]] | None:
    """A true stem and what it is mixed with, both (n, 2), and what is known of its processing."""
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
        wave, used = _with_effects(wave, c)
        if used:
            known = {"processing": "unknown", "effects": used}
    if other is None or is_silent(wave) or is_silent(other):
        return None
    return wave, other, known


def _surrogate(c: Context) -> None:
    if c.clip.origin != "studio" or c.clip.oracle:
        return
    n = c.recipe.n_surrogates if c.clip.set_name != "dry" else max(1, c.recipe.n_surrogates // 2)
    for number in range(n):
        found = _target(c)
        if found is None:
            continue
        target, other, known = found
        estimate, sdr = surrogate.separate(target, other, c.rng)
        mono = c.samples.shape[1] == 1 and c.rng.random() < 0.5
        chain = augment.draw(c.rng) if c.rng.random() < 0.7 else None
        pair = f"{c.clip.name}#{number}"
        _add(c, estimate, "surrogate", number, pair, mono, chain, {**known, **_extracted("surrogate", sdr)})
        _add(c, target, "twin", number, pair, mono, chain, {**known, **STUDIO})


def _extracted(family: str, sdr: float) -> dict[str, object]:
    """What is known of an estimate that was made here."""
    return {"origin": "separated", "family": family, "sdr_db": sdr}


def _bundles(c: Context) -> None:
    """Instrumentals, true and with the voice taken out, and whole mixes."""
    clip, rng = c.clip, c.rng
    if clip.origin != "studio" or clip.oracle or clip.set_name == "dry" or clip.stem not in SEPARABLE:
        return
    known: dict[str, object] = {"processing": "unknown", "effects": "", "layers": "submix"}
    for number in range(c.recipe.n_bundles):
        band, voice = _bundle(c)
        pair = f"{clip.name}#bundle{number}"
        if rng.random() < 0.3 and voice is not None:
            band, voice, pair = band + voice, None, ""
        if is_silent(band):
            continue
        mono = c.samples.shape[1] == 1 and rng.random() < 0.5
        chain = augment.draw(rng) if rng.random() < 0.6 else None
        if voice is not None:
            estimate, about = _without_voice(c, band, voice)
            _add(c, estimate, "bundle", number, pair, mono, chain, {**known, **about})
        _add(c, band, "bundle", number, pair, mono, chain, {**known, **STUDIO})


def _bundle(c: Context) -> tuple[Wave, Wave | None]:
    """The instruments of a song, or of several beside each other, and the voice where there is one; (n, 2) each."""
    clip, rng = c.clip, c.rng
    stems = {clip.stem: stereo(crop(c.samples, rng, full=True))}
    n = len(stems[clip.stem])
    mates = [m for m in c.pool if m.set_name == "pairs" and m.song == clip.song]
    of_song = clip.set_name == "pairs" and rng.random() < 0.7
    if not of_song:
        stems[clip.stem] = _levelled(stems[clip.stem])
    for stem in SEPARABLE:
        kin = [m for m in (mates if of_song else c.pool) if m.stem == stem and m.set_name != "dry"]
        if stem == clip.stem or not kin or (not of_song and rng.random() < 0.2):
            continue
        wave = _passage(kin[int(rng.integers(0, len(kin)))], n, rng, of_song)
        if wave is not None:
            stems[stem] = wave
    voice = stems.pop("vocals", None)
    return np.asarray(sum(stems.values(), np.zeros((n, 2), np.float32)), np.float32), voice


def _levelled(wave: Wave) -> Wave:
    return np.asarray(wave / np.float32(np.sqrt(np.mean(wave**2)) + 1e-6) * 0.1, np.float32)


def _without_voice(c: Context, band: Wave, voice: Wave) -> tuple[Wave, dict[str, object]]:
    """What a script leaves of the instruments when it takes the voice out, or a surrogate, and what is known of it."""
    mix = band + voice
    able = [loaded for loaded in _scripts(c).values() if script.ACCOMPANIMENT in loaded.stems]
    if able and c.rng.random() < 0.5:
        found = able[int(c.rng.integers(0, len(able)))]
        estimate = script.run(found, mix)[script.ACCOMPANIMENT]
        sdr = surrogate.sdr_db(band, estimate)
        if _has_separated(band, mix, estimate, sdr, LEAST_NETWORK_GAIN_DB):
            return estimate, {**_extracted(found.family.name, sdr), "separator_kind": found.family.kind}
    estimate, sdr = surrogate.separate(band, voice, c.rng)
    return estimate, _extracted("surrogate", sdr)


def _add(
    c: Context,
    wave: Wave,
    kind: str,
    number: int,
    pair: str,
    mono: bool,
    chain: augment.Chain | None,
    known: dict[str, object],
) -> None:
    wave = wave.mean(1, keepdims=True) if mono else wave
    c.rows.add(fit(augment.apply(wave, chain) if chain else wave), kind, number, pair, **known)


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
        found = _target(c, True, chosen.beside) if chosen else None
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
        if not _has_separated(target, mix, estimate, sdr, least_gain_db):
            continue
        chain = augment.draw(c.rng) if c.rng.random() < 0.5 else None
        about = {**_extracted(family, sdr), "separator_kind": separator_kind}
        pair = f"{c.clip.name}#{kind}{number}"
        _add(c, estimate, kind, number, pair, False, chain, {**known, **about})
        if c.clip.set_name != "dry":
            _add(c, target, "twin", number, pair, False, chain, {**known, **STUDIO})


def _has_separated(target: Wave, mix: Wave, estimate: Wave, sdr_db: float, least_gain_db: float) -> bool:
    """Whether an estimate is so much nearer to the target than the mix was, and is not the mix itself.

    One that is not would teach that a mix is an extraction.
    """
    gain_db = sdr_db - surrogate.sdr_db(target, mix)
    return gain_db >= least_gain_db and surrogate.sdr_db(mix, estimate) <= MOST_LIKE_MIX_DB


def _demucs(c: Context) -> None:
    if c.recipe.demucs_models and c.clip.set_name != "dry" and c.clip.stem in SEPARABLE:
        _by_separator(c, "demucs", c.recipe.n_demucs, lambda: Chosen(lambda a, b: _run_demucs(c, a + b)))


def _run_demucs(c: Context, mix: Wave) -> tuple[Wave, str, str] | None:
    name = str(c.rng.choice(c.recipe.demucs_models))
    stems = demucs.separate(mix, name, _demucs_repo(c.recipe), as_cli=c.rng.random() < 0.5)
    if c.clip.stem not in stems:
        return None
    family = _family_of_demucs(name)
    return _direct_or_residual(c, stems, c.clip.stem, mix), family.name, family.kind


def _demucs_repo(recipe: Recipe) -> Path | None:
    return Path(recipe.demucs_repo) if recipe.demucs_repo else None


def _family_of_demucs(name: str) -> Family:
    """The family of a pretrained model, or of a local one, whose name is a signature."""
    found = family_of(name)
    return found if found.name == "demucs" else Family("demucs", "waveform")


def _direct_or_residual(c: Context, stems: dict[str, Wave], stem: str, mix: Wave) -> Wave:
    if c.rng.random() < 0.75 or len(stems) < 2:
        return stems[stem]
    others = np.sum([wave for name, wave in stems.items() if name != stem], axis=0)
    return np.asarray(mix - others, np.float32)


def _classical(c: Context) -> None:
    if c.clip.set_name == "dry":
        return

    def run(target: Wave, other: Wave) -> tuple[Wave, str, str]:
        power = float(np.exp(c.rng.uniform(0, np.log(6))))
        return classical.separate(target + other, c.clip.stem, power), "classical", "classical"

    _by_separator(c, "classical", c.recipe.n_classical, lambda: Chosen(run))


def _networks(c: Context) -> None:
    if (c.recipe.network_names or c.recipe.script_names) and c.clip.stem in SEPARABLE:
        n = c.recipe.n_networks if c.clip.set_name != "dry" else 1
        _by_separator(c, "network", n, lambda: _network_or_script(c), LEAST_NETWORK_GAIN_DB)


def _network_or_script(c: Context) -> Chosen | None:
    """One of the networks, or of the scripts that give this stem; drawn by name, each alike."""
    stem, scripts = c.clip.stem, _scripts(c)
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


def _scripts(c: Context) -> dict[str, script.Script]:
    """The recipe's separators in Python files, by name."""
    return {name: script.load(Path(c.recipe.scripts) / f"{name}.py") for name in c.recipe.script_names}


def gives(clip: Clip, part: str, recipe: Recipe) -> bool:
    """Whether a clip gives rows of a part at all: of whole mixes a share of the clips does, whichever they are.

    Args:
        clip, part, recipe: whose, of which part, by which recipe.
    """
    more = 2 if clip.set_name == "pairs" else 1
    if part == "whole":
        return bool(recipe.whole_names) and _lot(clip.name) < recipe.whole_share * more
    if part == "remask":
        return bool(recipe.remask_name) and _lot(f"{clip.name}/{part}") < recipe.remask_share * more
    return True


def _wholes(c: Context) -> None:
    """A whole mix parted by each of ``whole_names`` into all its stems, as vendors do it; one twin for all."""
    if c.clip.set_name != "dry":
        _out_of_mix(c, WHOLE, lambda mix: [_parted(name, mix, c.recipe) for name in c.recipe.whole_names])


def _remasks(c: Context) -> None:
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
            separated = _has_separated(truth[cut], mix[cut], estimate[cut], sdr, LEAST_NETWORK_GAIN_DB)
            if separated and sdr <= MOST_SDR_DB:
                about = {**known, **_extracted(made.family.name, sdr), "separator_kind": made.family.kind}
                _add(c, estimate[cut], made.kind, made.number, pair, mono, chain, about)
        _add(c, truth[cut], "twin", 0, pair, mono, chain, {**known, **STUDIO})


def _parted(name: str, mix: Wave, recipe: Recipe) -> Parted:
    """What one of the recipe's separators makes of a mix."""
    if name in recipe.demucs_models:
        return Parted(demucs.separate(mix, name, _demucs_repo(recipe)), _family_of_demucs(name))
    loaded = script.load(Path(recipe.scripts) / f"{name}.py")
    return Parted(script.run(loaded, mix), loaded.family)


def _whole(c: Context) -> dict[str, tuple[Wave, dict[str, object]]]:
    """Stems of a mix by name, (n, 2), and what is known of each: of the clip's own song at one moment where the clip
    lies among whole songs, else of several songs at random levels."""
    clip, rng, n = c.clip, c.rng, int(WHOLE_S * audio.SAMPLE_RATE_HZ)
    start = int(rng.integers(0, max(1, min(len(c.samples), MATE_S * audio.SAMPLE_RATE_HZ) - n + 1)))
    passage = lambda wave: np.resize(stereo(wave)[start : start + n], (n, 2))  # noqa: E731
    own, used = _with_effects(passage(c.samples), c)
    about: dict[str, object] = {"processing": "unknown" if used else clip.wetness, "effects": used}
    if clip.set_name == "dry" and rng.random() < 0.5:
        made = effects.produce(own, str(rng.choice(["hybrid", "wet"])), rng, read_rooms(c.rooms))
        own, about = made.wave, {"processing": made.processing, "effects": json.dumps(made.effects)}
    stems = {clip.stem: (stereo(own), about)}
    of_song = clip.set_name == "pairs"
    kin = [o for o in c.pool if o.set_name != "dry" and (o.set_name == "pairs" and o.song == clip.song) == of_song]
    if not of_song:
        stems[clip.stem] = (_levelled(stems[clip.stem][0]), about)
    for stem in SEPARABLE:
        able = [o for o in kin if o.stem == stem]
        if stem == clip.stem or not able or (not of_song and rng.random() < 0.15):
            continue
        other = able[int(rng.integers(0, len(able)))]
        wave = _mate(other.path) if of_song else _passage(other, n, rng, False)
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


def _run_network(c: Context, name: str, mix: Wave) -> tuple[Wave, str, str] | None:
    folder = Path(c.recipe.networks) / name
    network = networks.load(folder)
    if c.clip.stem not in network.sources:
        return None
    stems = networks.separate(mix, folder, as_cli=c.rng.random() < 0.3)
    return _direct_or_residual(c, stems, c.clip.stem, mix), network.family, network.kind


def _easy(c: Context) -> None:
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


def _processed(c: Context) -> None:
    if c.clip.origin != "studio" or c.clip.oracle or c.clip.wetness != "dry":
        return
    for number in range(c.recipe.n_processed):
        for processing in ("hybrid", "wet"):
            made = effects.produce(crop(c.samples, c.rng), processing, c.rng, read_rooms(c.rooms))
            chain = augment.draw(c.rng) if c.rng.random() < 0.5 else None
            mono = c.samples.shape[1] == 1 and c.rng.random() < 0.5
            used = effects.folded(made.effects) if mono else made.effects
            known: dict[str, object] = {"processing": processing, "effects": json.dumps(used)}
            _add(c, made.wave, "processed", number, "", mono, chain, known)


def _submixes(c: Context) -> None:
    """Several performances of one kind, bundled as vendors bundle lead, harmonies and ad-libs."""
    clip, rng = c.clip, c.rng
    if clip.origin != "studio" or clip.oracle or clip.set_name != "dry":
        return
    kin = [o for o in c.pool if o.set_name == "dry" and o.stem == clip.stem and o.name != clip.name]
    if not kin:
        return
    for number in range(c.recipe.n_submixes):
        total = _placed(stereo(crop(c.samples, rng, full=True)), rng)
        for k in rng.integers(0, len(kin), int(rng.integers(1, 4))):
            wave = _mate(kin[int(k)].path)
            if wave is not None:
                total = total + _placed(stereo(crop(wave, rng, full=True)), rng)
        known: dict[str, object] = {"processing": "dry", "effects": "", "layers": "submix"}
        if rng.random() < 0.6:
            made = effects.produce(total, str(rng.choice(["hybrid", "wet"])), rng, read_rooms(c.rooms))
            total, known = made.wave, {**known, "processing": made.processing, "effects": json.dumps(made.effects)}
        total = total * np.float32(0.5 / (np.abs(total).max() + 1e-9))
        chain = augment.draw(rng) if rng.random() < 0.5 else None
        _add(c, total, "submix", number, "", rng.random() < 0.3, chain, known)


def _placed(wave: Wave, rng: np.random.Generator) -> Wave:
    """Four seconds of a performance at a random level and place in the stereo image."""
    wave = np.resize(wave, (N_WINDOW, 2)) / (np.sqrt(np.mean(wave**2)) + 1e-6)
    pan = rng.uniform(0.25, 0.75)
    return np.asarray(wave * np.array([1 - pan, pan]) * 10 ** (rng.uniform(-9, 0) / 20), np.float32)


def _reworked(c: Context) -> None:
    """Extractions and true stems after the same heavy hand; what it makes of their processing is not known."""
    clip, rng = c.clip, c.rng
    if clip.oracle:
        return
    for number in range(c.recipe.n_reworked):
        unknown: dict[str, object] = {"processing": "unknown", "effects": "", "layers": ""}
        made: list[tuple[Wave, dict[str, object]]] = []
        pair = f"{clip.name}#reworked{number}"
        if clip.origin == "separated":
            made.append((crop(c.samples, rng), {}))
        else:
            found = _target(c)
            if found is None:
                continue
            target, other, _ = found
            estimate, sdr = surrogate.separate(target, other, rng)
            made.append((estimate, _extracted("surrogate", sdr)))
            made.append((target, {}))
        hand = rework.draw(rng)
        mono = c.samples.shape[1] == 1 and rng.random() < 0.5
        chain = augment.draw(rng) if rng.random() < 0.4 else None
        for wave, about in made:
            worked = rework.apply(wave, hand, read_rooms(c.rooms))
            _add(c, worked, "reworked", number, pair if len(made) == 2 else "", mono, chain, {**unknown, **about})


def _lot(name: str) -> float:
    """A number from 0 to 1 that hangs on a name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) / 16**6


def _degraded(c: Context) -> None:
    if _lot(_pair_of(c.clip) or c.clip.name) >= c.recipe.degraded_share or c.clip.oracle:
        return
    for window in split([c.samples]):
        if is_silent(window.samples):
            continue
        for name, degrade in DEGRADATIONS.items():
            c.rows.add(fit(degrade(window.samples)), DEGRADED + name)
        return


_COMMON = ("p_effects",)
PARTS: dict[str, Part] = {
    "clean": Part(_clean, ("n_windows",)),
    "augmented": Part(_augmented, ("n_augmented", *_COMMON)),
    "surrogate": Part(_surrogate, ("n_surrogates", *_COMMON)),
    "demucs": Part(_demucs, ("n_demucs", "demucs_models", *_COMMON)),
    "classical": Part(_classical, ("n_classical", *_COMMON)),
    "network": Part(_networks, ("n_networks", "network_names", "script_names", *_COMMON)),
    "whole": Part(_wholes, ("whole_names", *_COMMON)),
    "remask": Part(_remasks, ("remask_name", *_COMMON)),
    "easy": Part(_easy, ("n_easy", "demucs_models", "network_names", "script_names", *_COMMON)),
    "processed": Part(_processed, ("n_processed",)),
    "degraded": Part(_degraded, ("degraded_share",)),
    "submix": Part(_submixes, ("n_submixes",)),
    "bundle": Part(_bundles, ("n_bundles", "script_names")),
    "reworked": Part(_reworked, ("n_reworked", *_COMMON)),
}
"""The kinds of example, in the order in which a clip's rows are joined."""

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
