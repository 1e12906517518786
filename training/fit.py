"""Train a model from manifests: ``python -m training.fit MANIFEST... --out models/NAME``.

Features, the heads of every fold and every epoch of the network are kept in the work folder, so that an interrupted
run goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer

from provenance import bundle
from provenance.errors import ModelError
from training import (
    card,
    catalogue,
    checks,
    config,
    cycles,
    dataset,
    evaluate,
    folds,
    heads,
    nets,
    publish,
    report,
    shipped,
    splits,
    texture_net,
)
from training.heads import Outputs
from training.options import N_WORKERS, DemucsRepo, Flags, Manifests, Networks, Scripts, Unjudged, Work, Workers
from training.separators.errors import SeparatorError
from training.texture_net import Ensemble


def main(
    manifest: Manifests,
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    flags: Flags = [],  # noqa: B006
    demucs_repo: DemucsRepo = "",
    networks: Networks = "",
    scripts: Scripts = "",
    nets_folder: Annotated[
        Path | None, typer.Option("--nets", help="Networks that training.nets fitted; without it they are fitted here.")
    ] = None,
    shipped_model: Annotated[
        Path | None,
        typer.Option("--from", help="Model folder whose networks are fitted on, to stems that are new to it."),
    ] = None,
    further: Annotated[
        bool, typer.Option("--further", help="Fit the networks of --nets on, by the configuration's further_cycles.")
    ] = False,
    nets_out: Annotated[
        Path | None, typer.Option(help="Folder for networks that were fitted on: --nets of a later fit.")
    ] = None,
    net_of: Annotated[
        Path | None,
        typer.Option(help="Model folder whose networks are exported; the folds are judged with those fitted here."),
    ] = None,
    config_file: Annotated[Path, typer.Option("--config", help="TOML file.")] = evaluate.CONFIG_FILE,
    unjudged: Unjudged = [],  # noqa: B006
    work: Work = Path("work"),
    workers: Workers = N_WORKERS,
) -> None:
    """Train, judge on what was held out, export and describe a model."""
    try:
        settings = config.load(config_file, demucs_repo, networks, scripts)
        if further and nets_folder is None:
            raise ValueError("found --further without --nets; needed: the networks to go on from")
        if shipped_model is not None and nets_folder is not None:
            raise ValueError("found --from beside --nets; needed: one of them to begin with")
        if nets_out is not None and not further and shipped_model is None:
            raise ValueError("found --nets-out without --further; needed: networks that are fitted on")
        if nets_folder is not None and not further and not settings.network.cycles:
            raise ValueError("found --nets with a configuration without networks; needed: cycles in its [network]")
        if further or shipped_model is not None:
            settings = _further(settings)
        for line in config.left_out(config_file, settings):
            typer.echo(line, err=True)
        clips = load_checked(manifest, flags, settings)
        publish.check_place(out)
        table, _ = gather(clips, manifest, settings, work, workers, unjudged)
        if nets_folder is not None:
            adopt(nets_folder, table, manifest, settings, work / "heads")
        other = other_networks(net_of, table, settings) if net_of is not None else None
        if shipped_model is not None:
            begin_from(shipped_model, table, manifest, settings, work / "heads")
    except (ModelError, nets.NetsError, catalogue.CatalogueError, SeparatorError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    for failure in table.failures:
        typer.echo(f"left out: {failure}", err=True)
    folds.fit_missing(table, settings, work / "heads", workers)
    if nets_out is not None:
        keep(nets_out, table, settings, work / "heads")
    found = judge(table, clips, settings, work, workers)
    held, fusion = found.held, found.fusion
    trained = folds.load(table, settings, None, work / "heads")
    elsewhere = _record_of(table, settings, work / "heads")
    record = json.loads(elsewhere.read_text(encoding="utf-8")) if settings.network.cycles and elsewhere.exists() else {}
    weight = cycles.described_as(cycles.fit(found.clock))
    if other is not None:
        trained, fusion, record = dataclasses.replace(trained, net=other.net), other.fused(fusion), other.record
    publish.write(out, table, held, fusion, trained, found.figures, settings, clips, record, weight)
    typer.echo(f"written to {out}; {card.summary(found.figures)}", err=True)


def load_checked(manifests: list[Path], flags: list[Path], settings: config.Config) -> list[catalogue.Clip]:
    """Return the catalogue, once it is known that every fold can be learnt from and judged; tell of it on stderr.

    Args:
        manifests: files to read it from.
        flags: as for :func:`training.catalogue.load`.
        settings: recipe and folds.

    Raises:
        CatalogueError: a file cannot be used.
        ValueError: as for :func:`training.checks.of_folds`, or rows are asked for that only recordings give.
    """
    if settings.recipe.n_grounded:
        raise ValueError(
            f"found n_grounded = {settings.recipe.n_grounded}; needed: 0 where the origin is learnt, of whose two "
            "classes recordings alone would lie over noise (training.refit takes it)"
        )
    clips, left_out = catalogue.load(manifests, flags)
    for line in checks.notes(clips, left_out, flags):
        typer.echo(line, err=True)
    dealt = splits.deal(manifests, settings.n_folds, settings.seed)
    checks.of_folds(clips, dealt, settings.n_folds, settings.recipe.n_surrogates > 0)
    return clips


@dataclass(frozen=True)
class Judged:
    """What the models of the folds made of what they never saw.

    Args:
        held: fused outputs, with what the cue ``cycles`` adds.
        fusion: how they were fused.
        clock: that cue of each clip, as :func:`training.cycles.measure` returns it.
        figures: all of them, as a model's evaluation has them.
    """

    held: Outputs
    fusion: heads.Fusion
    clock: pd.DataFrame
    figures: dict[str, Any]


def judge(
    table: dataset.Table, clips: list[catalogue.Clip], settings: config.Config, work: Path, workers: int
) -> Judged:
    """Let the models of the folds judge, and return what came of it.

    Args:
        table: all rows, described.
        clips: the catalogue.
        settings: of the heads, and bounds of the thresholds.
        work: folder of fitted heads and of the cue ``cycles``.
        workers: processes.
    """
    held, fusion = folds.judge_folds(table, settings, work / "heads")
    clock = evaluate.without_struck(cycles.measure(clips, workers, work / "cycles.json"), table.meta)
    held["raised"] = cycles.raised(table.meta, clock)
    figures = report.report(table, held, settings) | {"cycles": cycles.judge(clock) | {"in_tables": True}}
    if figures["reworked"]:
        figures["reworked"]["allowance"] = round(fusion.allowance, 4)
    return Judged(held, fusion, clock, figures)


def gather(
    clips: list[catalogue.Clip],
    manifests: list[Path],
    settings: config.Config,
    work: Path,
    workers: int,
    unjudged: Sequence[Path] = (),
) -> tuple[dataset.Table, dict[str, int]]:
    """Build the described table.

    Args:
        clips: the catalogue.
        manifests: files it was read from.
        settings: recipe and folds.
        work: folder of rows.
        workers: processes.
        unjudged: as for :func:`training.evaluate.strike`.

    Returns:
        The table, and the fold of each separator family.

    Raises:
        ValueError: clips of one song lie in two folds, or none gave a row.
    """
    unit_fold, family_fold = splits.deal(manifests, settings.n_folds, settings.seed)
    checks.before_rows(clips, unit_fold, work / "rows", settings.recipe)
    table = dataset.build(clips, unit_fold, settings.recipe, work / "rows", catalogue.rooms(manifests), workers)
    table = evaluate.describe(table, clips, manifests, family_fold)
    return dataclasses.replace(table, meta=evaluate.strike(table.meta, unjudged)), family_fold


def adopt(folder: Path, table: dataset.Table, manifests: list[Path], settings: config.Config, cache: Path) -> None:
    """Take networks that were fitted elsewhere, as if they had been fitted here, or to go on from.

    Args:
        folder: as :mod:`training.nets` wrote it.
        table: described rows.
        manifests: files the catalogue was read from.
        settings: of the heads, and whether the networks are only where fits begin.
        cache: folder of fitted heads.

    Raises:
        nets.NetsError: no networks there, or such as learnt by other folds or have another shape.
    """
    cache.mkdir(parents=True, exist_ok=True)
    dealt = splits.deal(manifests, settings.n_folds, settings.seed)
    for fold in (*range(settings.n_folds), None):
        net = nets.load(folder, fold, dealt, settings.network)
        file = folds.file_of(table, settings, fold, "net", cache)
        if settings.network.begun:
            _begin_with(net, file)
        else:
            texture_net.save(net, file)
    _record(nets.record_of(folder), table, settings, cache)


def _record(record: dict[str, Any], table: dataset.Table, settings: config.Config, cache: Path) -> None:
    """Keep what is known of the networks a fit takes or begins with, and of how they are fitted on."""
    network = settings.network
    if network.begun:
        steps = network.n_steps * sum(network.cycles)
        on = {"steps": steps, "batch": network.batch, "rate": network.rate, "n_rows": len(table.meta)}
        record["further"] = [*record.get("further", []), on | {"share_of_start": network.share_of_start}]
    _record_of(table, settings, cache).write_text(json.dumps(record, indent=1), encoding="utf-8")


def begin_from(model: Path, table: dataset.Table, manifests: list[Path], settings: config.Config, cache: Path) -> None:
    """Let the fits of all folds begin with the networks of a model folder.

    Args:
        model: the folder.
        table: described rows, with maps.
        manifests: files the catalogue was read from.
        settings: of the heads, of networks that are fitted on.
        cache: folder of fitted heads.

    Raises:
        shipped.ShippedError: it learnt from some of these clips, or has no networks of this shape.
    """
    evaluation = shipped.check_new(model, set(table.meta["repo"]))
    if table.maps is None:
        raise shipped.ShippedError(f"{model}: found a recipe without maps; needed: keep_maps")
    net = shipped.networks_of(model, settings.network, _some_maps(table, settings))
    cache.mkdir(parents=True, exist_ok=True)
    for fold in (*range(settings.n_folds), None):
        _begin_with(net, folds.file_of(table, settings, fold, "net", cache))
    about = {"from": bundle.load(model).reference, "folds": splits.deal(manifests, settings.n_folds, settings.seed)}
    _record(evaluation.get("networks", {}) | about, table, settings, cache)


@dataclass(frozen=True)
class OtherNetworks:
    """Networks of another model folder, exported in place of those that learnt from all clips here.

    Args:
        net: the networks.
        spread: of their log odds on windows that were held out when they were fitted.
        record: what is known of them.
    """

    net: Ensemble
    spread: float
    record: dict[str, Any]

    def fused(self, fusion: heads.Fusion) -> heads.Fusion:
        """Return a fusion with their spread."""
        return dataclasses.replace(fusion, net=dataclasses.replace(fusion.net, spread=self.spread))


def other_networks(model: Path, table: dataset.Table, settings: config.Config) -> OtherNetworks:
    """Read the networks of a model folder, to be exported.

    They may have learnt from the same clips: figures come from the networks of the folds, which are fitted here.

    Args:
        model: the folder.
        table: described rows, with maps.
        settings: of the networks.

    Raises:
        shipped.ShippedError: it has no networks of this shape, or the recipe keeps no maps.
    """
    if table.maps is None or not settings.network.cycles:
        raise shipped.ShippedError(f"{model}: found a recipe without networks; needed: keep_maps, and cycles of them")
    net = shipped.networks_of(model, settings.network, _some_maps(table, settings))
    record = publish.read(bundle.find(str(model)))[1].get("networks", {})
    return OtherNetworks(net, shipped.spread_of(model), record | {"taken": True})


def _some_maps(table: dataset.Table, settings: config.Config) -> dataset.Maps:
    """Maps of whole windows, to measure norms on."""
    assert table.maps is not None
    n_frames = table.meta["n_frames"].to_numpy()
    whole = np.flatnonzero(n_frames == n_frames.max())
    rows = np.sort(np.random.default_rng(settings.seed).permutation(whole)[: shipped.N_MAPS])
    return table.maps[rows, :, : int(n_frames.max())]


def keep(folder: Path, table: dataset.Table, settings: config.Config, cache: Path) -> None:
    """Write networks that were fitted on as :mod:`training.nets` writes them, to go on from.

    Args:
        folder: to write.
        table: described rows.
        settings: of the heads.
        cache: folder of fitted heads.
    """
    models: list[int | None] = [*range(settings.n_folds), None]
    found = {fold: folds.load_networks(table, settings, fold, "net", cache) for fold in models}
    record = json.loads(_record_of(table, settings, cache).read_text(encoding="utf-8"))
    record["network"] = dataclasses.asdict(settings.network)
    nets.write(folder, found, record)


def _further(settings: config.Config) -> config.Config:
    """Settings of a fit that goes on from networks that were fitted elsewhere."""
    network = settings.network
    network = dataclasses.replace(network, cycles=network.further_cycles, rate=network.further_rate, begun=True)
    return dataclasses.replace(settings, network=network)


def _begin_with(net: Ensemble, file: Path) -> None:
    """Keep networks to go on from; what was fitted from others is forgotten."""
    start = folds.start_of(file)
    kept = torch.load(start, weights_only=True) if start.exists() else {}
    if not kept or not all(torch.equal(kept[name], value) for name, value in net.state_dict().items()):
        for stale in (file, *file.parent.glob(f"{file.stem}*.epoch")):
            stale.unlink(missing_ok=True)
        texture_net.save(net, start)


def _record_of(table: dataset.Table, settings: config.Config, cache: Path) -> Path:
    return folds.file_of(table, settings, None, "net", cache).with_suffix(".json")


if __name__ == "__main__":
    typer.run(main)
