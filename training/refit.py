"""Fit the heads of processing, effects and strengths anew, into a model: ``python -m training.refit MODEL MANIFEST``.

Both learn from statistics alone, of studio stems of known wetness, of chains of effects on the dry ones, and of both
after a separation. No network and no extraction of unknown processing is needed, so they can be made better in half an
hour of two cores without touching the verdict of origin, which is compared with the old graph's before anything is
written.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd
import typer

from provenance import envelope, frontend
from provenance.model import PROCESSINGS
from training import card, catalogue, config, dataset, evaluate, export, fit, folds, heads, publish, report
from training.heads import Outputs
from training.options import N_WORKERS, DemucsRepo, Flags, Manifests, Unjudged, Work, Workers, told

CONFIG_FILE = Path(__file__).with_name("stem-v1-production.toml")
HEADS = ("processing", "effects")
"""What a model must have to be given others."""
FITTED = (*HEADS, "strengths")
N_COMPARED = 200
"""Rows on which the old graph and the new one are compared, and the new one with scikit-learn."""
_N_FRAMES = 43


class RefitError(ValueError):
    """A model that cannot be given other heads: names what was found and what is needed."""


def main(
    model: Annotated[Path, typer.Argument(help="The model folder; its other heads stay as they are.")],
    manifest: Manifests,
    out: Annotated[Path, typer.Option(help="The model folder to write; it may be the same.")],
    flags: Flags = [],  # noqa: B006
    unjudged: Unjudged = [],  # noqa: B006
    demucs_repo: DemucsRepo = "",
    config_file: Annotated[Path, typer.Option("--config", help="TOML file.")] = CONFIG_FILE,
    work: Work = Path("work"),
    workers: Workers = N_WORKERS,
) -> None:
    """Fit two heads on what is known to be dry, hybrid or wet, judge them on held-out songs, and put them in."""
    with told(ValueError):
        described, evaluation = read(model)
        publish.check_place(out)
        settings = config.load(config_file, demucs_repo)
        listed, _ = catalogue.load(manifest, flags)
        clips = [clip for clip in listed if clip.origin == "studio" and clip.wetness in PROCESSINGS]
        typer.echo(f"{len(clips)} studio stems of known processing", err=True)
        table, _ = fit.gather(clips, manifest, settings, work, workers)
        meta = evaluate.strike(table.meta, unjudged, {clip.name for clip in listed})
        table = dataclasses.replace(table, meta=meta)
        folds.fit_missing(table, settings, work / "heads", workers, FITTED)
        held = judge(table.meta, table.features, settings, work / "heads")
        figures = {
            "processing": report.processing(table.meta, held, settings),
            "effects": report.effects(table.meta, held),
            "strengths": report.strengths(table.meta, held),
        }
        described["thresholds"]["processing"] = report.processing_threshold(table.meta, held, settings)
        write(model, out, described, evaluation, table, figures, settings, clips, work / "heads")
    made = figures["processing"].get("made", {})
    typer.echo(
        f"processing of chains: macro-F1 {made.get('macro_f1')}; effects: macro-F1 "
        f"{figures['effects'].get('studio', {}).get('macro_f1')}",
        err=True,
    )


def read(model: Path, needed: Collection[str] = HEADS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a model folder's config and evaluation, with the front end of today in the config.

    Args:
        model: the folder.
        needed: heads that are to be replaced.

    Raises:
        RefitError: the features it was made from are not the first of today's, or it lacks one of the heads.
        OSError: a file is missing.
    """
    described, evaluation = publish.read(model)
    missing = sorted({*needed} - {*described["heads"]})
    if missing:
        raise RefitError(f"{model}: found no head {', '.join(missing)}; needed: a model with {' and '.join(needed)}")
    old, new = described["frontend"], json.loads(json.dumps(frontend.contract()))
    differing = sorted(k for k in old if k not in ("version", "n_features") and old[k] != new.get(k))
    if differing or old["n_features"] > new["n_features"]:
        found = ", ".join(differing) or "n_features"
        raise RefitError(f"{model}: found another {found}; needed: a front end that only added statistics at the end")
    return described | {"frontend": new}, evaluation


def judge(meta: pd.DataFrame, features: heads.Array, settings: config.Config, cache: Path) -> Outputs:
    """Let the trees without each fold judge that fold's rows.

    Args:
        meta: described rows.
        features: of them.
        settings: of the heads.
        cache: folder of fitted heads.

    Returns:
        ``p_processing``, ``p_effects`` and ``strengths`` of all rows.
    """
    table = dataset.Table(features, meta)
    return held_out(meta, settings, lambda fold, rows: _said(load(table, settings, fold, cache), features[rows]))


def held_out(
    meta: pd.DataFrame, settings: config.Config, ask: Callable[[int, npt.NDArray[np.bool_]], Outputs]
) -> Outputs:
    """Return what is said of the rows of each fold, put together; NaN of rows in none and of clips that stay unjudged.

    Args:
        meta: described rows.
        settings: number of folds.
        ask: what heads that were fitted without a fold say of the rows it is given.
    """
    held: Outputs = {}
    for fold in range(settings.n_folds):
        inside = (meta["fold"] == fold).to_numpy() & ~meta["struck"].to_numpy(bool)
        for name, values in ask(fold, inside).items():
            held.setdefault(name, np.full((len(meta), *values.shape[1:]), np.nan))[inside] = values
    return held


class Fitted(NamedTuple):
    """The trees of the heads that are fitted here, as :class:`training.heads.Trees` has them."""

    processing: Any
    effects: list[Any]
    strengths: list[Any] | None


def load(table: dataset.Table, settings: config.Config, fold: int | None, cache: Path) -> Fitted:
    """Load what was fitted without a fold.

    Args:
        table: described rows.
        settings: of the heads.
        fold: held out, or None.
        cache: folder of fitted heads.

    Raises:
        RefitError: the rows could not teach a head.
    """
    found = Fitted(*(folds.load_head(table, settings, fold, name, cache) for name in FITTED))
    if found.processing is None or found.effects is None:
        raise RefitError("found rows that cannot teach both heads; needed: dry recordings, and some that are not")
    return found


def _said(trees: Fitted, features: heads.Array) -> Outputs:
    said = {
        "p_processing": heads.all_classes(trees.processing, features, len(PROCESSINGS)),
        "p_effects": np.stack([tree.predict_proba(features)[:, 1] for tree in trees.effects], axis=1),
    }
    return said if trees.strengths is None else said | {"strengths": heads.strengths(trees.strengths, features)}


def write(
    model: Path,
    out: Path,
    described: dict[str, Any],
    evaluation: dict[str, Any],
    table: dataset.Table,
    figures: dict[str, Any],
    settings: config.Config,
    clips: list[catalogue.Clip],
    cache: Path,
) -> None:
    """Write the model folder with the new heads, all of it or nothing.

    Args:
        model: folder whose other heads are kept.
        out: the folder; it is replaced as a whole once everything is written.
        described, evaluation: of the new folder but for what is known of the new graph.
        table: described rows.
        figures: ``processing``, ``effects`` and ``strengths``, on held-out rows.
        settings: of the heads.
        clips: for the list of sources.
        cache: folder of fitted heads.

    Raises:
        RefitError: the new graph says something else of the other heads, or not what was trained.
    """
    with publish.beside(out) as part:
        file = part / "model.onnx"
        trees = load(table, settings, None, cache)
        trees = trees._replace(strengths=heads.only(trees.strengths, figures["strengths"].get("told", ())))
        export.replace_heads(model / "model.onnx", *trees[:2], trees.strengths or (), frontend.N_FEATURES, file)
        others = {*described["heads"]} - {"strengths"}
        described["heads"] = sorted({*others, "strengths"} if trees.strengths else others)
        rows = np.sort(np.random.default_rng(0).permutation(len(table.meta))[:N_COMPARED])
        features = table.features[rows]
        difference = compare(model / "model.onnx", file, features, _said(trees, features))
        before = reference(evaluation)
        evaluation["thresholds"] = described["thresholds"]
        evaluation["figures"] |= figures
        carried = evaluation.pop("carried", None)  # what was taken over from another model is not in this one any more
        evaluation["refitted"] = {
            "heads": list(FITTED),
            "from": before if carried else evaluation.get("refitted", {}).get("from", before),
            "n_dry": sum(clip.wetness == "dry" for clip in clips),
            **put_down(described, evaluation, table, settings, clips, (*FITTED, "min_right_processing"), difference),
        }
        publish.finish(part, out, described, evaluation)


def reference(evaluation: dict[str, Any]) -> str:
    """Return a model's name and the beginning of its checksum.

    Args:
        evaluation: content of its ``evaluation.json``.
    """
    return f"{evaluation['model']['name']}@{evaluation['model']['sha256'][:12]}"


def put_down(
    described: dict[str, Any],
    evaluation: dict[str, Any],
    table: dataset.Table,
    settings: config.Config,
    clips: list[catalogue.Clip],
    names: Collection[str],
    difference: float,
) -> dict[str, Any]:
    """Put down what a model has learnt from besides, and return the record of a fit of some of its heads.

    Args:
        described, evaluation: of the new folder; licence, sources and largest difference are brought up to date.
        table: described rows.
        settings: of the fit.
        clips: it was made from.
        names: of the settings that speak of these heads alone.
        difference: largest, between the graph and what was trained.
    """
    described["licence"] = publish.narrower(described["licence"], publish.licence_of(clips))
    evaluation["parity_largest_difference"] = max(difference, evaluation["parity_largest_difference"])
    known = {source["repository"] for source in evaluation["sources"]}
    evaluation["sources"] += [row for row in card.sources(clips) if row["repository"] not in known]
    counts = table.meta.groupby(["kind", "origin"]).size()
    all_settings = json.loads(config.to_json(settings))
    return {
        "n_clips": len(clips),
        "n_repositories": len({clip.repo for clip in clips}),
        "rows": {f"{kind}/{origin}": int(n) for (kind, origin), n in counts.items()},
        "failures": table.failures,
        "training": {
            name: value for name, value in all_settings.items() if name in (*names, "recipe", "n_folds", "seed")
        },
    }


def inputs_of(session: onnxruntime.InferenceSession, features: heads.Array) -> dict[str, heads.Array]:
    """Return what a graph wants beside these rows: maps of noise, the same at each call.

    Args:
        session: over the graph.
        features: float32 (n, n_features).
    """
    given = {"features": features}
    shapes = {wanted.name: wanted.shape for wanted in session.get_inputs()}
    if "map" in shapes:
        shape = (len(features), 2, _N_FRAMES, shapes["map"][3])
        given["map"] = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    if "onsets" in shapes:
        fine = (len(features), envelope.N_MAP_BANDS, envelope.n_map_frames(_N_FRAMES))
        given["onsets"] = np.random.default_rng(1).standard_normal(fine).astype(np.float32)
    return given


def compare(old: Path, new: Path, features: heads.Array, trained: Outputs) -> float:
    """Return the largest difference between the new graph's heads and what was trained.

    Args:
        old, new: graphs.
        features: rows of today's front end, float32 (n, n_features).
        trained: what scikit-learn says of them.

    Raises:
        RefitError: any other output differs from the old graph's at all, or the new heads by more than is allowed.
    """
    before, after = (onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in (old, new))
    n_before = next(given.shape[1] for given in before.get_inputs() if given.name == "features")
    given = inputs_of(before, features[:, :n_before])
    names = [output.name for output in after.get_outputs()]
    found = dict(zip(names, after.run(names, given | {"features": features}), strict=True))
    kept = [name for name in names if name not in (*trained, "strengths")]
    for name, values in zip(kept, before.run(kept, given), strict=True):
        if not np.array_equal(values, found[name]):
            raise RefitError(f"found that {name} changed; needed: the old graph's, bit for bit")
    worst = 0.0
    for name, values in trained.items():
        if not np.array_equal(np.isnan(found[name]), np.isnan(values)):
            raise RefitError(f"found {name} where there is none, or none where there is; needed: what was trained")
        worst = max(worst, float(np.nanmax(np.abs(found[name] - values))))
    if worst > publish.MAX_DIFFERENCE:
        raise RefitError(f"found a graph that differs by {worst:.2g}; needed: at most {publish.MAX_DIFFERENCE}")
    return worst


if __name__ == "__main__":
    typer.run(main)
