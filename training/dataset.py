"""From the catalogue to a table of features: clips as they are, through the common chain, separated and processed.

Each clip's rows are one file, written by write-then-rename, so that an interrupted build goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from provenance import audio, frontend
from provenance.errors import UnreadableAudio
from provenance.windows import MIN_WINDOW_S, WINDOW_S, split
from training import augment, effects
from training.catalogue import Clip
from training.separators import classical, demucs, surrogate
from training.splits import unit_of

Wave = npt.NDArray[np.float32]
N_WINDOW = int(WINDOW_S * audio.SAMPLE_RATE_HZ)
RECIPE = 4
"""Raise it when rows would come out otherwise: cached files carry it in their name."""
_SILENT_RMS = 1e-5
META = ("clip", "kind", "window", "pair", "origin", "family", "sdr_db", "processing", "oracle", "fold", "effects")


@dataclass(frozen=True)
class Recipe:
    """How many examples of each kind a clip gives.

    Args:
        n_windows: windows of the clip as it is, at most.
        n_augmented: windows through the common chain.
        n_surrogates: surrogate separations of a studio clip, each with its twin through the same chain.
        n_demucs: mixes of a studio clip separated by the demucs package.
        n_classical: mixes of a studio clip separated without training.
        n_processed: hybrid and wet versions of a dry clip, each.
        p_effects: share of the examples of clips that are not dry which go through an effects chain, in both
            classes alike, so that distortion and space are no sign of either.
        demucs_repo: folder of local demucs weights, or None.
        demucs_models: names in it.
        seed: of everything drawn.
        keep_waves: store each example's samples too (int16, 0.7 MB each), for experiments on other front ends.
    """

    n_windows: int = 3
    n_augmented: int = 2
    n_surrogates: int = 4
    n_demucs: int = 1
    n_classical: int = 1
    n_processed: int = 2
    p_effects: float = 0.3
    demucs_repo: str = ""
    demucs_models: tuple[str, ...] = ()
    seed: int = 0
    keep_waves: bool = False


@dataclass
class Table:
    """Rows of features with what is known of each.

    Args:
        features: float32, shape (n_rows, N_FEATURES).
        meta: one row each, columns :data:`META`.
    """

    features: npt.NDArray[np.float32]
    meta: pd.DataFrame
    failures: list[str] = field(default_factory=list)


def build(
    clips: Sequence[Clip],
    unit_fold: dict[str, int],
    recipe: Recipe,
    cache: Path,
    rooms: Sequence[Path] = (),
    n_workers: int = 2,
) -> Table:
    """Build the table, or what is missing of it.

    Args:
        clips: the catalogue.
        unit_fold: fold of each unit; interference is only ever drawn from a clip's own fold.
        recipe: how many examples of each kind.
        cache: folder of finished rows.
        rooms: files with measured impulse responses.
        n_workers: processes.

    Returns:
        The table; its ``failures`` has one line for each clip that could not be read.
    """
    cache.mkdir(parents=True, exist_ok=True)
    pools = _pools(clips, unit_fold)
    jobs = [(clip, pools[unit_fold[unit_of(clip)]], recipe, cache, [str(r) for r in rooms]) for clip in clips]
    failures: list[str] = []
    todo = [job for job in jobs if not _file_of(job[0], recipe, cache).exists()]
    if todo:
        with ProcessPoolExecutor(n_workers, initializer=_limit_threads) as pool:
            futures = {pool.submit(_rows_of, *job): job[0].name for job in todo}
            for future in tqdm(as_completed(futures), total=len(futures), desc="examples", unit="clip"):
                message = future.result()
                if message:
                    failures.append(message)
    features, metas = [], []
    for clip in clips:
        file = _file_of(clip, recipe, cache)
        if not file.exists():
            continue
        with np.load(file, allow_pickle=False) as data:
            meta = pd.DataFrame(json.loads(str(data["meta"])))
            if len(meta):
                meta["fold"] = unit_fold[unit_of(clip)]
                features.append(data["features"])
                metas.append(meta)
    return Table(np.concatenate(features), pd.concat(metas, ignore_index=True), sorted(failures))


def _limit_threads() -> None:
    import torch

    torch.set_num_threads(1)


def _pools(clips: Sequence[Clip], unit_fold: dict[str, int]) -> dict[int, list[Clip]]:
    pools: dict[int, list[Clip]] = {}
    for clip in clips:
        pools.setdefault(unit_fold[unit_of(clip)], [])
        if clip.origin == "studio" and clip.set_name != "dry" and not clip.oracle:
            pools[unit_fold[unit_of(clip)]].append(clip)
    return pools


def _file_of(clip: Clip, recipe: Recipe, cache: Path) -> Path:
    key = json.dumps([RECIPE, frontend.contract(), clip.name, repr(recipe)], default=str)
    return cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"


def _rows_of(clip: Clip, pool: list[Clip], recipe: Recipe, cache: Path, rooms: list[str]) -> str:
    try:
        _, samples = audio.read(clip.path, max_s=60.0)
    except UnreadableAudio as error:
        return str(error)
    rng = np.random.default_rng([recipe.seed, int(hashlib.sha256(clip.name.encode()).hexdigest()[:8], 16)])
    rows = _Rows(clip, recipe.keep_waves)
    if len(samples) < int(0.4 * audio.SAMPLE_RATE_HZ) or _is_silent(samples):
        pass
    else:
        if len(samples) < int(MIN_WINDOW_S * audio.SAMPLE_RATE_HZ):
            samples = np.resize(samples, (int(MIN_WINDOW_S * audio.SAMPLE_RATE_HZ), samples.shape[1]))
            rows.looped = True
        _clean(rows, samples, recipe)
        _augmented(rows, samples, recipe, rng)
        if clip.origin == "studio" and not clip.oracle:
            _separated(rows, samples, pool, recipe, rng)
            if clip.wetness == "dry":
                _processed(rows, samples, recipe, rng, rooms)
    file = _file_of(clip, recipe, cache)
    part = file.with_suffix(f".{os.getpid()}.part.npz")
    features = np.stack(rows.features) if rows.features else np.zeros((0, frontend.N_FEATURES), np.float32)
    np.savez(part, features=features, meta=np.array(json.dumps(rows.meta)))
    if recipe.keep_waves:
        np.savez(file.with_suffix(".waves"), *rows.waves)
    os.replace(part, file)
    return ""


class _Rows:
    def __init__(self, clip: Clip, keep_waves: bool) -> None:
        self.clip = clip
        self.keep_waves = keep_waves
        self.waves: list[npt.NDArray[np.int16]] = []
        self.features: list[npt.NDArray[np.float32]] = []
        self.meta: list[dict[str, object]] = []
        self.looped = False

    def add(self, wave: Wave, kind: str, window: int = 0, pair: str = "", **known: object) -> None:
        if _is_silent(wave) or not np.isfinite(wave).all():
            return
        clip = self.clip
        row: dict[str, object] = {
            "clip": clip.name,
            "kind": kind,
            "window": window,
            "pair": pair,
            "origin": clip.origin,
            "family": clip.family.name if clip.family else "",
            "sdr_db": clip.sdr_db,
            "processing": clip.wetness,
            "oracle": clip.oracle,
            "effects": "",
        }
        row.update(known)
        self.features.append(frontend.compute(wave))
        self.meta.append(row)
        if self.keep_waves:
            self.waves.append(np.round(wave * (32767 / (np.abs(wave).max() + 1e-9))).astype(np.int16))


def _is_silent(wave: Wave) -> bool:
    return float(np.sqrt(np.mean((wave - wave.mean(0)) ** 2))) < _SILENT_RMS


def _clean(rows: _Rows, samples: Wave, recipe: Recipe) -> None:
    windows = [w for w in split([samples]) if not _is_silent(w.samples)]
    if not windows:
        return
    keep = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), recipe.n_windows)).astype(int))
    for number in keep:
        rows.add(windows[number].samples, "clean", int(number))


def _crop(samples: Wave, rng: np.random.Generator, full: bool = False) -> Wave:
    length = N_WINDOW if full or rng.random() < 0.6 else int(rng.uniform(1.2, WINDOW_S) * audio.SAMPLE_RATE_HZ)
    for _ in range(4):
        start = int(rng.integers(0, max(1, len(samples) - length + 1)))
        part = samples[start : start + length]
        if not _is_silent(part):
            break
    return part


def _augmented(rows: _Rows, samples: Wave, recipe: Recipe, rng: np.random.Generator) -> None:
    for number in range(recipe.n_augmented):
        wave, used = _with_effects(_crop(samples, rng), rows.clip, recipe, rng)
        processing = "unknown" if used else rows.clip.wetness
        wave = _fit(augment.apply(wave, augment.draw(rng)))
        rows.add(wave, "augmented", number, processing=processing, effects=used)


def _with_effects(wave: Wave, clip: Clip, recipe: Recipe, rng: np.random.Generator) -> tuple[Wave, str]:
    """Run a clip that is not dry through an effects chain, sometimes; dry ones are processed with labels elsewhere."""
    if clip.wetness == "dry" or rng.random() >= recipe.p_effects:
        return wave, ""
    made = effects.produce(wave, str(rng.choice(["hybrid", "wet"])), rng)
    used = made.wave.mean(1, keepdims=True) if wave.shape[1] == 1 else made.wave
    return used, json.dumps(made.effects)


def _fit(wave: Wave) -> Wave:
    """Cut or loop to between one and four seconds."""
    least = int(MIN_WINDOW_S * audio.SAMPLE_RATE_HZ)
    return wave[:N_WINDOW] if len(wave) >= least else np.resize(wave, (least, wave.shape[1]))


def _interference(clip: Clip, pool: list[Clip], n: int, rng: np.random.Generator) -> Wave | None:
    """A sum of one to three other stems of the same fold; of the same song where the clip's set has whole songs."""
    mates = [c for c in pool if c.set_name == "pairs" and c.song == clip.song and c.name != clip.name]
    if clip.set_name == "pairs" and mates and rng.random() < 0.6:
        chosen = mates
    else:
        others = [c for c in pool if c.stem != clip.stem and c.song != clip.song]
        if not others:
            return None
        chosen = [others[int(k)] for k in rng.integers(0, len(others), int(rng.integers(1, 4)))]
    total = np.zeros((n, 2), np.float32)
    for other in chosen:
        try:
            _, wave = audio.read(other.path, max_s=20.0)
        except UnreadableAudio:
            continue
        if len(wave) == 0 or _is_silent(wave):
            continue
        wave = wave if wave.shape[1] == 2 else np.repeat(wave, 2, 1)
        start = int(rng.integers(0, max(1, len(wave) - n + 1)))
        wave = np.resize(wave[start : start + n], (n, 2))
        if chosen is not mates:
            wave = wave * np.float32(10 ** (rng.uniform(-6, 6) / 20) / (np.sqrt(np.mean(wave**2)) + 1e-6) * 0.1)
        total += wave
    return None if _is_silent(total) else total


def _separated(rows: _Rows, samples: Wave, pool: list[Clip], recipe: Recipe, rng: np.random.Generator) -> None:
    clip = rows.clip
    n_surrogates = recipe.n_surrogates if clip.set_name != "dry" else max(1, recipe.n_surrogates // 2)
    for number in range(n_surrogates):
        target = _crop(samples, rng)
        stereo = target if target.shape[1] == 2 else np.repeat(target, 2, 1)
        processing, used = clip.wetness, ""
        if clip.wetness == "dry" and rng.random() < 0.5:
            made = effects.produce(stereo, str(rng.choice(["hybrid", "wet"])), rng)
            stereo, processing, used = made.wave, made.processing, json.dumps(made.effects)
        else:
            stereo, used = _with_effects(stereo, clip, recipe, rng)
            processing = "unknown" if used else processing
        other = _interference(clip, pool, len(stereo), rng)
        if other is None or _is_silent(stereo):
            continue
        estimate, sdr = surrogate.separate(stereo, other, rng)
        mono = samples.shape[1] == 1 and rng.random() < 0.5
        chain = augment.draw(rng) if rng.random() < 0.7 else None
        pair = f"{clip.name}#{number}"
        for wave, kind, origin, family, sdr_db in (
            (estimate, "surrogate", "separated", "surrogate", sdr),
            (stereo, "twin", "studio", "", None),
        ):
            wave = wave.mean(1, keepdims=True) if mono else wave
            wave = augment.apply(wave, chain) if chain else wave
            rows.add(
                _fit(wave), kind, number, pair, origin=origin, family=family, sdr_db=sdr_db,
                processing=processing, effects=used,
            )  # fmt: skip
    if clip.set_name != "dry":
        for number in range(recipe.n_classical):
            _by_classical(rows, samples, pool, rng, number)
    if recipe.demucs_models and clip.set_name != "dry" and clip.stem in ("vocals", "drums", "bass", "other"):
        for number in range(recipe.n_demucs):
            _by_demucs(rows, samples, pool, recipe, rng, number)


def _mixed(
    clip: Clip, samples: Wave, pool: list[Clip], rng: np.random.Generator
) -> tuple[Wave, Wave] | tuple[None, None]:
    """A target and what it is mixed with, both (n, 2)."""
    target = _crop(samples, rng, full=True)
    target = target if target.shape[1] == 2 else np.repeat(target, 2, 1)
    other = _interference(clip, pool, len(target), rng)
    if other is None or _is_silent(target):
        return None, None
    level = float(np.sqrt(np.mean(target**2)) / (np.sqrt(np.mean(other**2)) + 1e-9))
    return target, other * np.float32(level * 10 ** (rng.uniform(-6, 6) / 20))


def _by_demucs(
    rows: _Rows, samples: Wave, pool: list[Clip], recipe: Recipe, rng: np.random.Generator, number: int
) -> None:
    clip = rows.clip
    target, other = _mixed(clip, samples, pool, rng)
    if target is None or other is None:
        return
    name = str(rng.choice(recipe.demucs_models))
    stems = demucs.separate(target + other, name, Path(recipe.demucs_repo), as_cli=rng.random() < 0.5)
    if clip.stem not in stems:
        return
    estimate = stems[clip.stem]
    if rng.random() < 0.25:
        estimate = target + other - sum(wave for stem, wave in stems.items() if stem != clip.stem)
    _add_estimate(rows, np.asarray(estimate, np.float32), target, "demucs", "demucs", number, rng)


def _by_classical(rows: _Rows, samples: Wave, pool: list[Clip], rng: np.random.Generator, number: int) -> None:
    target, other = _mixed(rows.clip, samples, pool, rng)
    if target is None or other is None:
        return
    estimate = classical.separate(target + other, rows.clip.stem, float(np.exp(rng.uniform(0, np.log(6)))))
    _add_estimate(rows, estimate, target, "classical", "classical", number, rng)


def _add_estimate(
    rows: _Rows, estimate: Wave, target: Wave, kind: str, family: str, number: int, rng: np.random.Generator
) -> None:
    chain = augment.draw(rng) if rng.random() < 0.5 else None
    wave = augment.apply(estimate, chain) if chain else estimate
    rows.add(
        _fit(wave), kind, number, f"{rows.clip.name}#{kind}{number}", origin="separated", family=family,
        sdr_db=surrogate.sdr_db(target, estimate),
    )  # fmt: skip


def _processed(rows: _Rows, samples: Wave, recipe: Recipe, rng: np.random.Generator, rooms: list[str]) -> None:
    responses = _rooms(tuple(rooms))
    for number in range(recipe.n_processed):
        for processing in ("hybrid", "wet"):
            made = effects.produce(_crop(samples, rng), processing, rng, responses)
            chain = augment.draw(rng) if rng.random() < 0.5 else None
            wave = augment.apply(made.wave, chain) if chain else made.wave
            if samples.shape[1] == 1 and rng.random() < 0.5:
                wave = wave.mean(1, keepdims=True)
            rows.add(_fit(wave), "processed", number, processing=processing, effects=json.dumps(made.effects))


_ROOMS: dict[tuple[str, ...], list[Wave]] = {}


def _rooms(paths: tuple[str, ...]) -> list[Wave]:
    if paths not in _ROOMS:
        found = []
        for path in paths:
            try:
                found.append(audio.read(path, max_s=3.0)[1])
            except UnreadableAudio:
                continue
        _ROOMS[paths] = [r for r in found if len(r) and not _is_silent(r)]
    return _ROOMS[paths]
