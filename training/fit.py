"""Train a model from manifests: ``python -m training.fit MANIFEST... --out models/NAME``.

Features, and the heads of every fold, are kept in the work folder, so that an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Annotated, Any

import joblib
import numpy as np
import pandas as pd
import typer
from tqdm import tqdm

from provenance import frontend
from provenance.bundle import CONFIG_FORMAT
from training import calibrate as fitting
from training import card, catalogue, config, dataset, evaluate, export, heads, splits

HERE = Path(__file__).resolve().parent
LICENCE = (
    "weights Apache-2.0 for the project's part; trained in part on audio whose licences allow only non-commercial "
    "research (see the model card)"
)
MAX_DIFFERENCE = 1e-4


def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    flags: Annotated[list[Path], typer.Option(help="CSV files of clips to leave out.")] = [],  # noqa: B006
    demucs_repo: Annotated[str, typer.Option(help="Folder of local demucs weights; empty leaves demucs out.")] = "",
    config_file: Annotated[Path, typer.Option("--config", help="TOML file.")] = HERE / "stem-v1.toml",
    work: Annotated[Path, typer.Option(help="Folder for features and checkpoints.")] = Path("work"),
    workers: Annotated[int, typer.Option(help="Processes that compute features.")] = os.cpu_count() or 1,
) -> None:
    """Train, judge on what was held out, export and describe a model."""
    warnings.filterwarnings("ignore", message=".*n_jobs.*")
    settings = config.load(config_file, demucs_repo)
    clips, left_out = catalogue.load(manifest, flags)
    typer.echo(f"{len(clips)} clips; {len(left_out)} rows left out", err=True)
    unit_fold, family_fold = splits.folds(clips, settings.n_folds, settings.seed)
    table = dataset.build(clips, unit_fold, settings.recipe, work / "rows", catalogue.rooms(manifest), workers)
    for failure in table.failures:
        typer.echo(f"left out: {failure}", err=True)
    table = evaluate.describe(table, clips, manifest, family_fold)
    held = judge_folds(table, settings, work / "heads")
    figures = evaluate.report(table.meta, held, settings)
    trained = fit_all(table, settings, None, work / "heads")
    write(out, table, held, trained, figures, settings, clips)
    typer.echo(card.summary(figures), err=True)


def fit_all(table: dataset.Table, settings: config.Config, fold: int | None, cache: Path) -> dict[str, Any]:
    """Fit every head on what a fold may learn from, or load what was fitted.

    Args:
        table: described rows.
        settings: the heads' settings.
        fold: held out, or None.
        cache: folder of checkpoints.

    Returns:
        ``origin``, ``processing``, ``sdr`` and ``distance``.
    """
    rows = evaluate.training_rows(table.meta, fold)
    features, meta = table.features[rows], table.meta[rows].reset_index(drop=True)
    settings_key = config.to_json(settings)
    digest = hashlib.sha256(np.ascontiguousarray(features).tobytes())
    digest.update(pd.util.hash_pandas_object(meta[["clip", "kind", "origin", "processing", "repo"]]).values.tobytes())
    digest.update(f"{settings_key}/{fold}".encode())
    cache.mkdir(parents=True, exist_ok=True)
    stem = digest.hexdigest()[:20]
    steps = {
        "distance": lambda: fitting.fit_distance(features),
        "sdr": lambda: heads.fit_sdr(features, meta, settings.sdr, settings.seed),
        "processing": lambda: heads.fit_processing(features, meta, settings.processing, settings.seed),
        "origin": lambda: heads.fit_origin(features, meta, settings.origin, settings.network, settings.seed),
    }
    fitted: dict[str, Any] = {}
    for name in tqdm(steps, desc="all folds" if fold is None else f"without fold {fold}", unit="head"):
        file = cache / f"{stem}-{name}.joblib"
        if not file.exists():
            part = file.with_suffix(f".{os.getpid()}.part")
            joblib.dump(steps[name](), part)
            os.replace(part, file)
        fitted[name] = joblib.load(file)
    return fitted


def judge_folds(table: dataset.Table, settings: config.Config, cache: Path) -> evaluate.HeldOut:
    """Fit a model without each fold and let it judge that fold's units.

    Args:
        table: described rows.
        settings: the heads' settings.
        cache: folder of checkpoints.
    """
    held = evaluate.HeldOut.empty(len(table.meta))
    for fold in range(settings.n_folds):
        fitted = fit_all(table, settings, fold, cache)
        rows = (table.meta["fold"] == fold).to_numpy()
        features = table.features[rows]
        held.logit[rows] = fitted["origin"].logit(features)
        held.p_processing[rows] = fitted["processing"].predict_proba(features)
        held.sdr_db[rows] = fitted["sdr"].predict(features)
        held.distance[rows] = fitted["distance"].of(features)
    return held


def write(
    out: Path,
    table: dataset.Table,
    held: evaluate.HeldOut,
    trained: dict[str, Any],
    figures: dict[str, Any],
    settings: config.Config,
    clips: list[catalogue.Clip],
) -> None:
    """Export a model folder: ``model.onnx``, ``config.json``, ``evaluation.json`` and the card.

    Args:
        out: the folder; it is replaced as a whole once everything is written.
        table: described rows.
        held: held-out scores, from which calibration and thresholds come.
        trained: the heads that learnt from all folds.
        figures: of the unseen protocol.
        settings: saved beside the model.
        clips: for the list of sources.

    Raises:
        RuntimeError: the graph does not compute what was trained.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}")
    part.mkdir(parents=True)
    file = part / "model.onnx"
    export.export(**trained, n_features=frontend.N_FEATURES, file=file)
    sample = np.random.default_rng(0).permutation(len(table.features))[:2000]
    difference = export.parity(file, **trained, features=table.features[sample])
    if difference > MAX_DIFFERENCE:
        shutil.rmtree(part)
        raise RuntimeError(f"the exported graph differs by {difference:.2g}; needed: at most {MAX_DIFFERENCE}")
    unseen = np.zeros(len(table.meta), bool)
    for fold in range(settings.n_folds):
        unseen |= evaluate.held_out_rows(table.meta, fold)
    unseen &= (table.meta["kind"] == "clean").to_numpy() & ~table.meta["oracle"].to_numpy(bool)
    scored = evaluate.files(table.meta, held, unseen)
    platt = fitting.fit_platt(scored["logit"], scored["separated"])
    p = fitting.calibrate(scored["logit"], platt)
    upper, lower = fitting.choose_thresholds(p, scored["separated"], settings.max_accused, settings.max_missed)
    data = file.read_bytes()
    described = {
        "format": CONFIG_FORMAT,
        "name": out.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "heads": ["origin", "processing", "sdr", "distance"],
        "calibration": {"slope": platt.slope, "intercept": platt.intercept},
        "thresholds": {
            "separated": round(upper, 4),
            "studio": round(lower, 4),
            "processing": settings.processing_threshold,
            "distance": round(float(np.quantile(scored["distance"], settings.distance_quantile)), 4),
        },
        "sdr_half_width_db": round(float(figures["sdr"].get("half_width_db", 15.0)), 3),
        "licence": LICENCE,
        "frontend": frontend.contract(),
    }
    evaluation = {
        "model": {"name": out.name, "sha256": described["sha256"], "bytes": len(data)},
        "parity_largest_difference": difference,
        "thresholds": described["thresholds"],
        "figures": figures,
        "training": json.loads(config.to_json(settings)),
        "rows": {f"{kind}/{origin}": int(n) for (kind, origin), n in table.meta.groupby(["kind", "origin"]).size().items()},
        "failures": table.failures,
        "sources": card.sources(clips),
    }
    (part / "config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    (part / "evaluation.json").write_text(json.dumps(evaluation, indent=1) + "\n", encoding="utf-8")
    (part / "README.md").write_text(card.render(described, evaluation), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(part, out)


if __name__ == "__main__":
    typer.run(main)
