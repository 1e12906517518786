"""Fit the networks of every fold side by side, on a GPU, while rows are being made for them:
``python -m training.nets MANIFEST... --out FOLDER``; then ``python -m training.fit ... --nets FOLDER``.

All maps lie in the GPU's memory. The cores make rows in passes that draw anew, and what is finished is learnt from, so
that the networks see many times the rows that the trees do.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from sklearn.metrics import roc_auc_score

from training import catalogue, checks, config, dataset, evaluate, examples, splits, texture_net
from training.options import N_WORKERS, DemucsRepo, Flags, Manifests, Networks, Scripts, Work, Workers
from training.separators.errors import SeparatorError
from training.texture_net import Ensemble, Learner, Network

RECORD = "nets.json"
REFRESH_S = 30.0
"""Between two looks at which rows are finished."""
WATCH_S = 120.0
"""Between two looks at how the networks rank rows that were held out; nothing is chosen by it."""
N_WARM = 200
"""Steps in which the learning rate rises."""
N_DRAWN = 64
"""Steps whose rows are drawn together."""
JUDGED_AT_ONCE = 128


class NetsError(Exception):
    """Networks that do not belong to a catalogue or a configuration."""


@dataclass
class Rows:
    """Rows that were taken in so far, their maps in the memory of a device.

    Args:
        maps: uint8 (capacity, 2, N_MAP_FRAMES, N_MAP_BINS).
        columns: of the rows.
        seeds: of the passes they came from.
        n_left_out: rows for which there was no room.
    """

    maps: torch.Tensor
    columns: list[dict[str, Any]] = field(default_factory=list)
    seeds: set[int] = field(default_factory=set)
    n_left_out: int = 0

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.columns)

    def take(self, job: dataset.Job, fold: int) -> None:
        """Read what a finished job made; what does not fit any more is left out and counted.

        Args:
            job: what was made.
            fold: of its clip.
        """
        for part in job.parts:
            file = dataset.file_of(job.clip, part, job.recipe, job.cache)
            if not file.exists():
                continue
            with np.load(file, allow_pickle=False) as data:
                columns = dataset.columns_of(data)
            at = len(self)
            if at + len(columns) > len(self.maps):
                self.n_left_out += len(columns)
            elif columns:
                packed = torch.from_numpy(np.load(file.with_suffix(".npy")))
                self.maps[at : at + len(columns)] = packed.to(self.maps.device)
                for row in columns:  # the draws of each pass have twins of their own
                    row |= {"fold": fold, "pair": row["pair"] and f"{row['pair']}@{job.recipe.seed}"}
                self.columns += columns
                self.seeds.add(job.recipe.seed)


class Draws:
    """What batches of one fold's network are drawn from: so many pairs and so many single rows in each.

    Args:
        meta: described rows.
        rows: numbers of those to learn from.
        family_power: as for :func:`training.labels.weights`.
        size: units a batch.
        device: where the numbers lie.
    """

    def __init__(
        self, meta: pd.DataFrame, rows: np.ndarray[Any, Any], family_power: float, size: int, device: torch.device
    ) -> None:
        members, chance = texture_net.units(rows, meta, family_power)
        paired = members[:, 1] >= 0
        self.n_pairs = min(size, max(int(paired.any()), round(size * float(chance[paired].sum()))))
        self.n_single = size - self.n_pairs if (~paired).any() else 0
        on = lambda values: torch.from_numpy(values).to(device)  # noqa: E731
        self._parts = [
            (on(members[here, :width]), on(chance[here]), n)
            for here, n, width in ((paired, self.n_pairs, 2), (~paired, self.n_single, 1))
            if n
        ]
        self._drawn: list[torch.Tensor] = []

    def next(self) -> torch.Tensor:
        """Return row numbers of a batch: extraction and twin in turn for the first ``2 * n_pairs``."""
        if not self._drawn:
            columns = []
            for members, chance, n in self._parts:
                chosen = torch.multinomial(chance, n * N_DRAWN, replacement=True)
                columns.append(members[chosen].reshape(N_DRAWN, n * members.shape[1]))
            self._drawn = list(torch.cat(columns, dim=1))
        return self._drawn.pop()


def crops(
    maps: torch.Tensor, rows: torch.Tensor, n_pairs: int, n_frames: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Cut two seconds out of each row's map; twins are cut at the same place, short maps are repeated.

    Args:
        maps: packed maps of all rows.
        rows: which.
        n_pairs: the first ``2 * n_pairs`` are twins in turn.
        n_frames: of all rows.
        generator: of the place.

    Returns:
        uint8 (n, 2, N_CROP, 1024).
    """
    length = n_frames[rows]
    place = torch.rand(len(rows), generator=generator, device=maps.device)
    place[1 : 2 * n_pairs : 2] = place[: 2 * n_pairs : 2]
    start = (place * (length - texture_net.N_CROP + 1).clamp_min(1)).long()
    frame = (start[:, None] + torch.arange(texture_net.N_CROP, device=maps.device)) % length[:, None]
    return maps[rows[:, None], :, frame].transpose(1, 2)


class Fold:
    """The networks that learn without one fold, or from all.

    Args:
        name: number of the fold, None for all.
        settings: of the networks.
        device: where they compute.
        seed: of weights and augmentation.
    """

    def __init__(self, name: int | None, settings: Network, device: torch.device, seed: int) -> None:
        self.name = name
        torch.manual_seed(seed)
        self.learners = [Learner(settings, device) for _ in range(settings.members)]
        self.generator = torch.Generator(device).manual_seed(seed)
        self.draws: Draws | None = None
        self.steps = 0

    def step(self, rows: Rows, truth: dict[str, torch.Tensor], n_frames: torch.Tensor, rate: float) -> None:
        """Let each network learn from a batch of its own.

        Args:
            rows: all rows.
            truth: their targets.
            n_frames: of their maps.
            rate: of learning.
        """
        assert self.draws is not None
        for learner in self.learners:
            chosen, n_pairs = self.draws.next(), self.draws.n_pairs
            packed = crops(rows.maps, chosen, n_pairs, n_frames, self.generator)
            x = texture_net.augment(texture_net.unpack(packed), n_pairs, self.generator)
            for group in learner.optimiser.param_groups:
                group["lr"] = rate * min(1.0, (self.steps + 1) / N_WARM)
            learner.step(x, {name: value[chosen] for name, value in truth.items()}, n_pairs)
        self.steps += 1

    def fitted(self) -> Ensemble:
        """Return the running means of the weights, on the CPU."""
        return Ensemble(learner.fitted() for learner in self.learners).eval()


def main(
    manifest: Manifests,
    out: Annotated[Path, typer.Option(help="Folder of networks to write.")],
    flags: Flags = [],  # noqa: B006
    demucs_repo: DemucsRepo = "",
    networks: Networks = "",
    scripts: Scripts = "",
    config_file: Annotated[Path, typer.Option("--config", help="TOML file.")] = evaluate.CONFIG_FILE,
    work: Work = Path("work"),
    workers: Workers = N_WORKERS,
    minutes: Annotated[float, typer.Option(help="Of learning; its rate has come down to nothing then.")] = 15.0,
    passes: Annotated[int, typer.Option(help="Over the clips, each with other draws.")] = 3,
    batch: Annotated[
        int, typer.Option(help="Units a step, where a unit is an extraction with its twin or a row.")
    ] = 160,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 3e-3,
    wait: Annotated[float, typer.Option(help="Share of the first pass that must be made before learning.")] = 0.2,
    device: Annotated[str, typer.Option(help="Where torch computes; empty for a GPU where there is one.")] = "",
) -> None:
    """Make rows and fit the networks of all folds."""
    try:
        settings = config.load(config_file, demucs_repo, networks, scripts)
        settings = dataclasses.replace(settings, network=dataclasses.replace(settings.network, batch=batch, rate=rate))
        clips, _ = catalogue.load(manifest, flags)
        fit(clips, manifest, settings, out, work, workers, minutes, passes, wait, device)
    except (catalogue.CatalogueError, SeparatorError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def fit(
    clips: list[catalogue.Clip],
    manifests: list[Path],
    settings: config.Config,
    out: Path,
    work: Path,
    workers: int,
    minutes: float,
    passes: int = 1,
    wait: float = 1.0,
    device: str = "",
) -> None:
    """Make rows in ``work/rows`` and fit networks from them into ``out``, which is written anew every two minutes.

    Args:
        clips: the catalogue.
        manifests: files it was read from.
        settings: recipe, folds and networks, of which ``cycles`` and ``n_steps`` count for nothing here.
        out: folder of networks.
        work: folder of rows.
        workers: processes that make rows.
        minutes: of learning.
        passes: over the clips; the first with the seed of the recipe, each further one counts on.
        wait: share of the first pass that is made before learning begins.
        device: for torch; empty for a GPU where there is one.
    """
    deal = splits.deal(manifests, settings.n_folds, settings.seed)
    checks.before_rows(clips, deal[0], work / "rows", settings.recipe)
    recipe = dataclasses.replace(settings.recipe, keep_maps=True, degraded_share=0.0)
    rooms = catalogue.rooms(manifests)
    jobs, done = [], []
    for number in range(passes):
        again = dataclasses.replace(recipe, seed=recipe.seed + number)
        jobs += dataset.missing(clips, deal[0], again, work / "rows", rooms)
        done += _of_cache(clips, again, work / "rows")
    pool = ProcessPoolExecutor(workers, initializer=dataset.limit_threads)
    try:
        making = {pool.submit(dataset.make, *job): job for job in jobs}  # before CUDA: workers are forked
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.backends.cudnn.benchmark = True  # shapes never change while it learns
        school = School(clips, manifests, deal, settings, where)
        for job in done:
            school.rows.take(job, school.fold_of(job.clip))
        _learn(school, making, out, minutes, (1 - wait) * sum(j.recipe.seed == recipe.seed for j in jobs))
    finally:
        pool.shutdown(cancel_futures=True)


def _learn(
    school: School, making: dict[Future[str], dataset.Job], out: Path, minutes: float, n_may_lack: float
) -> None:
    """Take rows in as they come and let the networks learn for so many minutes, once the first pass lacks few."""
    first = school.settings.recipe.seed
    while sum(job.recipe.seed == first for job in making.values()) > n_may_lack:
        time.sleep(0.2)
        school.take(making)
    while making and not school.rows.columns:
        time.sleep(0.2)
        school.take(making)
    school.study()
    started = refreshed = watched = time.monotonic()
    share = 0.0
    while share < 1:
        now = time.monotonic()
        share = min(1.0, (now - started) / (60 * minutes))
        if now - refreshed > min(REFRESH_S, 6 * minutes):  # ten looks at least
            school.take(making)
            school.study()
            refreshed = time.monotonic()
        if share == 1 or now - watched > WATCH_S:
            watched = now
            school.save(out, round(now - started, 1), {"minutes": minutes})
        rate = school.settings.network.rate * 0.5 * (1 + float(np.cos(np.pi * share)))
        for fold in school.folds if share < 1 else ():
            fold.step(school.rows, school.truth, school.n_frames, rate)


class School:
    """The networks of all folds, and the rows they learn from.

    Args:
        clips: the catalogue.
        manifests: files it was read from.
        deal: fold of each unit and of each family.
        settings: of folds and networks.
        where: the maps lie and the networks compute.
    """

    def __init__(
        self,
        clips: list[catalogue.Clip],
        manifests: list[Path],
        deal: tuple[dict[str, int], dict[str, int]],
        settings: config.Config,
        where: torch.device,
    ) -> None:
        self.settings, self.where = settings, where
        self.rows = Rows(torch.empty((_capacity(where), *examples.MAP_SHAPE), dtype=torch.uint8, device=where))
        self.folds = [
            Fold(name, settings.network, where, settings.seed + 1000 * k)
            for k, name in enumerate([*range(settings.n_folds), None])
        ]
        self.failures: list[str] = []
        self.truth: dict[str, torch.Tensor] = {}
        self.n_frames = torch.empty(0)
        self._clips, self._manifests, self._deal = clips, manifests, deal
        self._meta = pd.DataFrame()
        self._watched: list[dict[str, Any]] = []

    def fold_of(self, clip: catalogue.Clip) -> int:
        """Return the fold that a clip lies in."""
        return self._deal[0][splits.unit_of(clip)]

    def take(self, making: dict[Future[str], dataset.Job]) -> None:
        """Take in the rows of finished jobs, and strike those off.

        Args:
            making: jobs under way.
        """
        for future in [f for f in making if f.done()]:
            job = making.pop(future)
            if future.result():
                self.failures.append(future.result())
            self.rows.take(job, self.fold_of(job.clip))

    def study(self) -> None:
        """Let the next batches be drawn from all rows there are.

        Raises:
            ValueError: there are none.
        """
        if not self.rows.columns:
            raise ValueError("found no clip that gave a row; needed: readable clips of at least 0.4 s, not silent")
        if len(self.rows) == len(self._meta):
            return
        self._meta = evaluate.describe_rows(
            pd.DataFrame(self.rows.columns), self._clips, self._manifests, self._deal[1]
        )
        network = self.settings.network
        self.truth = texture_net.Targets.of(self._meta).tensors(self.where)
        self.n_frames = torch.tensor(self._meta["n_frames"].to_numpy(), dtype=torch.int64, device=self.where)
        for fold in self.folds:
            chosen = np.flatnonzero(evaluate.training_rows(self._meta, fold.name))
            fold.draws = Draws(self._meta, chosen, network.family_power, network.batch, self.where)

    def save(self, out: Path, seconds: float, about: dict[str, Any]) -> None:
        """Write the networks as they are, and what is known of them.

        Args:
            out: folder.
            seconds: since learning began.
            about: goes into the record.
        """
        self._watched.append(_watch(self.folds, self.rows, self._meta, seconds))
        network, gpu = self.settings.network, self.where.type == "cuda"
        record = about | {
            "folds": [{unit: self._deal[0][unit] for unit in map(splits.unit_of, self._clips)}, self._deal[1]],
            "network": _plain(network),
            "batch": network.batch,
            "rate": network.rate,
            "passes": len(self.rows.seeds),
            "n_rows": len(self._meta),
            "n_rows_left_out": self.rows.n_left_out,
            "steps": [fold.steps for fold in self.folds],
            "device": torch.cuda.get_device_name(self.where) if gpu else self.where.type,
            "failures": sorted(set(self.failures)),
            "held_out_windows": self._watched,
        }
        write(out, {fold.name: fold.fitted() for fold in self.folds}, record)
        typer.echo(json.dumps(self._watched[-1]), err=True)
        if self.rows.n_left_out:
            typer.echo(
                f"{self.rows.n_left_out} rows are not learnt from: the memory holds {len(self.rows.maps)}", err=True
            )


def _of_cache(clips: Sequence[catalogue.Clip], recipe: examples.Recipe, cache: Path) -> list[dataset.Job]:
    """What an earlier run made, as jobs that are done."""
    made = []
    for clip in clips:
        parts = [p for p in dataset.parts_of(clip, recipe) if dataset.file_of(clip, p, recipe, cache).exists()]
        if parts:
            made.append(dataset.Job(clip, parts, [], recipe, cache, []))
    return made


def _capacity(where: torch.device) -> int:
    """How many maps fit into seven tenths of a GPU's free memory, or half of the machine's."""
    if where.type == "cuda":
        free = 0.7 * torch.cuda.mem_get_info(where)[0]
    else:
        free = 0.5 * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(free / np.prod(examples.MAP_SHAPE))


def _watch(folds: list[Fold], rows: Rows, meta: pd.DataFrame, seconds: float) -> dict[str, Any]:
    """How the networks rank windows of what was held out: the area under the curve by fold."""
    found: dict[str, Any] = {"seconds": seconds, "n_rows": len(meta), "steps": folds[0].steps}
    for fold in folds:
        if fold.name is None:
            continue
        held = evaluate.held_out_rows(meta, fold.name) & (meta["kind"] == "clean").to_numpy()
        chosen = np.flatnonzero(held & ~meta["oracle"].to_numpy(bool))
        truth = (meta["origin"] == "separated").to_numpy()[chosen]
        if truth.any() and not truth.all():
            logit = judge(fold.fitted().to(rows.maps.device), rows.maps, meta["n_frames"].to_numpy(), chosen)
            found[f"auc_{fold.name}"] = round(float(roc_auc_score(truth, logit)), 4)
    return found


def judge(
    net: Ensemble, maps: torch.Tensor, n_frames: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return log odds of whole windows, float32 (len(rows),).

    Args:
        net: on the device of the maps.
        maps: packed maps of all rows.
        n_frames: of all rows.
        rows: which.
    """
    out = np.zeros(len(rows), np.float32)
    with torch.no_grad():
        for length in np.unique(n_frames[rows]):
            same = np.flatnonzero(n_frames[rows] == length)
            for at in range(0, len(same), JUDGED_AT_ONCE):
                chosen = same[at : at + JUDGED_AT_ONCE]
                packed = maps[torch.from_numpy(rows[chosen]).to(maps.device), :, : int(length)]
                out[chosen] = net(texture_net.unpack(packed))[0][:, 0].cpu().numpy()
    return out


def write(out: Path, fitted: dict[int | None, Ensemble], record: dict[str, Any]) -> None:
    """Write networks and what is known of them.

    Args:
        out: folder.
        fitted: networks by the fold that they learnt without, None for all.
        record: goes beside them.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, net in fitted.items():
        texture_net.save(net, out / _name_of(name))
    part = out / f".{os.getpid()}.{RECORD}"
    part.write_text(json.dumps(record, indent=1), encoding="utf-8")
    os.replace(part, out / RECORD)


def _plain(settings: Network) -> dict[str, Any]:
    """Settings as JSON gives them back."""
    return dict(json.loads(json.dumps(dataclasses.asdict(settings))))


def _name_of(fold: int | None) -> str:
    return f"net-{'all' if fold is None else fold}.pt"


def load(
    folder: Path,
    fold: int | None,
    folds: tuple[dict[str, int], dict[str, int]],
    settings: Network,
) -> Ensemble:
    """Read a fold's networks; the first of them where fewer are wanted than were fitted.

    Args:
        folder: as :func:`fit` wrote it.
        fold: number, or None for all.
        folds: of the units and families they are to be judged by.
        settings: they are to have.

    Raises:
        NetsError: no networks there, networks that learnt by other folds, or of another shape.
    """
    record = record_of(folder)
    for name, theirs, ours in zip(("units", "families"), record["folds"], folds, strict=True):
        moved = [key for key in theirs if ours.get(key, theirs[key]) != theirs[key]]
        if moved:
            raise NetsError(
                f"{folder}: found {len(moved)} {name} in other folds ({moved[0]}); needed: networks that were fitted "
                "with the same manifests in the same order"
            )
    theirs, ours = record["network"], _plain(settings)
    if any(theirs[key] != ours[key] for key in ("channels", "width")) or theirs["members"] < ours["members"]:
        raise NetsError(f"{folder}: found networks of another shape; needed: the configuration they were fitted with")
    fitted = texture_net.load(folder / _name_of(fold), dataclasses.replace(settings, members=theirs["members"]))
    return Ensemble(list(fitted.members)[: settings.members]).eval()


def record_of(folder: Path) -> dict[str, Any]:
    """Read what is known of fitted networks.

    Args:
        folder: as :func:`fit` wrote it.

    Raises:
        NetsError: nothing of the kind there.
    """
    try:
        return dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise NetsError(f"{folder}: found no {RECORD}; needed: a folder that training.nets wrote") from error


if __name__ == "__main__":
    typer.run(main)
