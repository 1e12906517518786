"""From the catalogue to a table of features: clips as they are, through the common chain, separated and processed.

Each clip's rows of one kind are one file, written by write-then-rename, so that an interrupted build goes on where it
stopped, and a changed recipe makes again only what it changes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from provenance import audio, frontend
from provenance.errors import UnreadableAudio
from training import examples
from training.catalogue import Clip
from training.catalogue.clips import shown
from training.examples import Recipe, Rows
from training.separators.separator import digest_of
from training.splits import unit_of

T = TypeVar("T")
Features = npt.NDArray[np.float32]
Maps = npt.NDArray[np.uint8]
ONSETS = ".onsets.npy"
RECIPE = 11
"""Raise it when rows would come out otherwise: cached files carry it in their name."""
MAX_READ_S = 60.0
KNOWN = [
    *("clip", "set", "kind", "window", "pair", "repo", "fold", "family_fold", "oracle"),
    *("origin", "processing", "wetness", "sdr_db", "effects", "family", "separator_kind", "layers", "stem"),
]
"""What heads learn of a row: where it comes from, whether they may learn from it, and its labels."""
_SEPARATORS = ("demucs_models", "network_names", "script_names", "whole_names", "remask_name", "drawn_names")
"""Settings of a recipe that name separators."""


@dataclass
class Table:
    """Rows of features with what is known of each.

    Args:
        features: float32, shape (n_rows, N_FEATURES).
        meta: one row each, columns :data:`training.examples.META`.
        maps: uint8, shape (n_rows, 2, N_MAP_FRAMES, N_MAP_BINS) as :func:`provenance.frontend.to_bytes` packs them;
            on disk, or None where the recipe keeps none.
        onsets: uint8, shape (n_rows, *ONSETS_SHAPE) as :func:`provenance.envelope.to_bytes` packs them, likewise.
        failures: one line for each clip that could not be read.
    """

    features: Features
    meta: pd.DataFrame
    maps: Maps | None = None
    onsets: Maps | None = None
    failures: list[str] = field(default_factory=list)

    @cached_property
    def digest(self) -> bytes:
        """What heads that learn from it depend on: the rows with their labels, and some of the features."""
        known = pd.util.hash_pandas_object(self.meta[KNOWN], index=False).to_numpy()
        found = hashlib.sha256(known.tobytes())
        found.update(np.ascontiguousarray(self.features[:: max(1, len(self.features) // 500)]).tobytes())
        return found.digest()

    def __getstate__(self) -> dict[str, Any]:
        """Tell another process which file the maps lie in, not their gigabytes."""
        on_disk = {name: value for name, value in vars(self).items() if isinstance(value, np.memmap)}
        return vars(self) | {name: str(value.filename) for name, value in on_disk.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the maps where they lie."""
        vars(self).update(state)
        for name in ("maps", "onsets"):
            if isinstance(state[name], str):
                setattr(self, name, np.load(state[name], mmap_mode="r"))


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
    failures: list[str] = []
    jobs = missing(clips, unit_fold, recipe, cache, rooms)
    if jobs:
        with ProcessPoolExecutor(n_workers, initializer=limit_threads) as pool:
            futures = [pool.submit(make, *job) for job in jobs]
            with tqdm(total=len(futures), desc="examples", unit="clip") as bar:
                failures = [message for message in results(futures, bar.update) if message]
    return _gather(clips, unit_fold, recipe, cache, sorted(failures))


def results(futures: Sequence[Future[T]], tell: Callable[[], object] = lambda: None) -> list[T]:
    """Return what jobs gave, as they end; where one fails, those that have not begun are dropped.

    Args:
        futures: of the jobs.
        tell: called after each.
    """
    found = []
    try:
        for future in as_completed(futures):
            found.append(future.result())
            tell()
    finally:
        for future in futures:
            future.cancel()
    return found


class Job(NamedTuple):
    """The parts of a clip that are to be made, and what from; arguments of :func:`make`."""

    clip: Clip
    parts: list[str]
    pool: list[Clip]
    recipe: Recipe
    cache: Path
    rooms: list[str]


def missing(
    clips: Sequence[Clip], unit_fold: dict[str, int], recipe: Recipe, cache: Path, rooms: Sequence[Path] = ()
) -> list[Job]:
    """Return what is not in the cache, slow and fast clips mixed.

    Args:
        clips, unit_fold, recipe, cache, rooms: as for :func:`build`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    pools = _pools(clips, unit_fold)
    names = [str(room) for room in rooms]
    jobs = []
    for clip in clips:
        files = {part: file_of(clip, part, recipe, cache) for part in parts_of(clip, recipe)}
        parts = [part for part, file in files.items() if not file.exists()]
        if parts:
            jobs.append(Job(clip, parts, pools[unit_fold[unit_of(clip)]], recipe, cache, names))
    return sorted(jobs, key=lambda job: hashlib.sha256(job.clip.name.encode()).digest())


def parts_of(clip: Clip, recipe: Recipe) -> list[str]:
    """Return the keys of :data:`training.examples.PARTS` whose rows a clip gives.

    Args:
        clip, recipe: whose and by which.
    """
    wanted = recipe.further_parts if clip.manifest else ()
    return [p for p in examples.PARTS if (not wanted or p in wanted) and examples.gives(clip, p, recipe)]


def _gather(
    clips: Sequence[Clip], unit_fold: dict[str, int], recipe: Recipe, cache: Path, failures: list[str]
) -> Table:
    features: list[Features] = []
    metas: list[pd.DataFrame] = []
    sources: list[Path] = []
    for clip in clips:
        for part in parts_of(clip, recipe):
            file = file_of(clip, part, recipe, cache)
            if not file.exists():
                continue
            with np.load(file, allow_pickle=False) as data:
                meta = pd.DataFrame(columns_of(data))
                if len(meta):
                    meta["fold"] = unit_fold[unit_of(clip)]
                    features.append(data["features"])
                    metas.append(meta)
                    sources.append(file)
    if not metas:
        raise ValueError("found no clip that gave a row; needed: readable clips of at least 0.4 s that are not silent")
    table = Table(np.concatenate(features), pd.concat(metas, ignore_index=True), failures=failures)
    if recipe.keep_maps:
        table.maps = _join(sources, ".npy", (len(table.meta), *examples.MAP_SHAPE), cache / "maps")
    if recipe.keep_onsets:
        table.onsets = _join(sources, ONSETS, (len(table.meta), *examples.ONSETS_SHAPE), cache / "onsets")
    return table


def columns_of(rows: Any) -> list[dict[str, Any]]:
    """Return the columns of each row in an open file of rows.

    Args:
        rows: as :func:`numpy.load` opens it.
    """
    return list(json.loads(str(rows["meta"])))


def _join(sources: list[Path], suffix: str, shape: tuple[int, ...], named: Path) -> Maps:
    """Copy the maps of all parts into one file on disk, in the order of the table, and open it."""
    digest = hashlib.sha256("".join(s.stem for s in sources).encode()).hexdigest()[:16]
    file = named.with_name(f"{named.name}-{digest}.npy")
    if not file.exists():
        part = file.with_suffix(f".{os.getpid()}.part")
        joined = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        at = 0
        for source in tqdm(sources, desc=named.name, unit="file"):
            rows = np.load(source.with_suffix(suffix))
            joined[at : at + len(rows)] = rows
            at += len(rows)
        joined.flush()
        os.replace(part, file)
    maps: Maps = np.load(file, mmap_mode="r")
    return maps


def limit_threads() -> None:
    """Let this process compute with one thread; of a pool it ends with the process that started it."""
    threadpool_limits(1)
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    """Wait for a process and end this one: killed, it tells nobody, and workers would wait for work for ever."""
    parent.join()
    os._exit(1)


def _pools(clips: Sequence[Clip], unit_fold: dict[str, int]) -> dict[int, list[Clip]]:
    """True stems of each fold: what may be mixed with what in it."""
    pools: dict[int, list[Clip]] = {}
    for clip in clips:
        pool = pools.setdefault(unit_fold[unit_of(clip)], [])
        if clip.origin == "studio" and not clip.oracle:
            pool.append(clip)
    return pools


def file_of(clip: Clip, part: str, recipe: Recipe, cache: Path) -> Path:
    """Return the file of a clip's rows of one part; maps lie beside it as ``.npy`` and ONSETS.

    It is named by the clip's labels too, so that one that was put right, or a rule of :mod:`training.families`, counts
    from the next run on, and by what the separators are that the rows are made with.

    Args:
        clip, part, recipe: what rows depend on.
        cache: folder.
    """
    settings = {name: getattr(recipe, name) for name in examples.PARTS[part].settings}
    family = (clip.family.name, clip.family.kind) if clip.family else ("", "")
    labels = [clip.origin, *family, clip.sdr_db, clip.wetness, clip.oracle]
    labels += [clip.set_name, clip.song, clip.stem, clip.reference]
    kept = [recipe.seed, recipe.keep_maps, recipe.keep_onsets]
    key = json.dumps(
        [RECIPE, frontend.contract(), clip.name, labels, part, *kept, settings, _separators(part, recipe)], default=str
    )
    return cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"


def _separators(part: str, recipe: Recipe) -> list[str]:
    """Digests of the separators that rows of a part are made with, in the order in which the recipe names them."""
    found = []
    for setting in (name for name in examples.PARTS[part].settings if name in _SEPARATORS):
        given = getattr(recipe, setting)
        for name in filter(None, [given] if isinstance(given, str) else given):
            if name in recipe.demucs_models and setting not in ("network_names", "script_names", "drawn_names"):
                found.append(_digest(recipe.demucs_repo, f"{name}*"))
            elif setting == "network_names":
                found.append(_digest(recipe.networks, f"{name}/network.json", f"{name}/weights.pt"))
            else:
                found.append(_digest(recipe.scripts, f"{name}.py"))
    return found


@lru_cache(maxsize=256)
def _digest(folder: str, *patterns: str) -> str:
    """Digest of a separator's files, once a process, as it is loaded once; nothing of those that are not there."""
    return digest_of([file for pattern in patterns for file in Path(folder).glob(pattern)]) if folder else ""


def make(clip: Clip, parts: list[str], pool: list[Clip], recipe: Recipe, cache: Path, rooms: list[str]) -> str:
    """Make the rows of a clip, part by part; returns why the clip could not be read, or nothing.

    Args:
        clip, parts, pool, recipe, cache, rooms: as :class:`Job` has them.
    """
    try:
        _, samples = audio.read(clip.path, max_s=MAX_READ_S)
    except UnreadableAudio as error:
        return str(error).replace(str(clip.path), shown(clip.name))  # it goes into the evaluation
    for part in parts:
        rows = examples.make(clip, samples, part, pool, recipe, tuple(rooms))
        file = file_of(clip, part, recipe, cache)
        try:
            _write(rows, file, recipe)
        except OSError as error:  # numpy says how many bytes it could write, and not where
            raise OSError(
                f"{cache}: cannot be written ({error}); what was made is kept: see that the disk has room and run "
                "it again"
            ) from error
    return ""


def _write(rows: Rows, file: Path, recipe: Recipe) -> None:
    temporary = file.with_suffix(f".{os.getpid()}.part.npz")
    features = np.stack(rows.features) if rows.features else np.zeros((0, frontend.N_FEATURES), np.float32)
    np.savez(temporary, features=features, meta=np.array(json.dumps(rows.meta)))
    for suffix, wanted, kept, shape in (
        (".npy", recipe.keep_maps, rows.maps, examples.MAP_SHAPE),
        (ONSETS, recipe.keep_onsets, rows.onsets, examples.ONSETS_SHAPE),
    ):
        if wanted:
            np.save(file.with_suffix(suffix), np.stack(kept) if kept else np.zeros((0, *shape), np.uint8))
    os.replace(temporary, file)


def without_repo(recipe: Recipe) -> Recipe:
    """Return a recipe without the local folders, which differ from machine to machine.

    Args:
        recipe: any.
    """
    folders = {name: Path(getattr(recipe, name)).name for name in ("demucs_repo", "networks", "scripts")}
    return dataclasses.replace(recipe, **folders)
