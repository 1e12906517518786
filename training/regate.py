"""Fit the head that tells what was gated bin by bin anew, into a model: ``python -m training.regate MODEL MANIFEST``.

Where it is sure nothing is called separated, so that a further noise reduction or coder that passes for a separator can
be taught without a fit of all the rest. Every other output of the graph stays, bit for bit, and log odds change only
where the old trees or the new ones are sure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd
import typer
from sklearn.metrics import roc_auc_score

from provenance.model import GATED_FROM
from training import catalogue, config, dataset, evaluate, export, fit, folds, heads, labels, publish, refit
from training.options import N_WORKERS, DemucsRepo, Flags, Manifests, Scripts, Unjudged, Work, Workers, told

CONFIG_FILE = Path(__file__).with_name("stem-v1-gates.toml")
HEAD = "gated"
KINDS = {"as they are": "clean", "gated": HEAD, "smoothly cleaned": "cleaned"}
N_COMPARED = 2000
_NEAR = 1e-3
"""Of a probability: nearer to the line than this neither answer is wrong."""


def main(
    model: Annotated[Path, typer.Argument(help="The model folder; its other heads stay as they are.")],
    manifest: Manifests,
    out: Annotated[Path, typer.Option(help="The model folder to write; it may be the same.")],
    flags: Flags = [],  # noqa: B006
    unjudged: Unjudged = [],  # noqa: B006
    demucs_repo: DemucsRepo = "",
    scripts: Scripts = "",
    config_file: Annotated[Path, typer.Option("--config", help="TOML file.")] = CONFIG_FILE,
    work: Work = Path("work"),
    workers: Workers = N_WORKERS,
) -> None:
    """Fit the head on rows through gates and coders and on all else, judge it on held-out songs, and put it in."""
    with told(ValueError):
        described, evaluation = refit.read(model, (HEAD,))
        publish.check_place(out)
        settings = config.load(config_file, demucs_repo, None, scripts)
        clips, _ = catalogue.load(manifest, flags)
        table, _ = fit.gather(clips, manifest, settings, work, workers, unjudged)
        folds.fit_missing(table, settings, work / "heads", workers, (HEAD,))
        held = judge(table, settings, work / "heads")
        before = asked(model / "model.onnx", table.features, ("p_gated",))["p_gated"]
        figures = measured(table.meta, held, before, settings)
        write(model, out, described, evaluation, table, figures, settings, clips, work / "heads")
    typer.echo(f"held-out area under the curve: {json.dumps(figures['auc'])}", err=True)


def judge(table: dataset.Table, settings: config.Config, cache: Path) -> npt.NDArray[np.float64]:
    """Let the trees without each fold judge that fold's rows.

    Args:
        table: described rows.
        settings: of the head.
        cache: folder of fitted heads.

    Returns:
        Shape (n,), the probability of each row of a fold; NaN of rows in none.

    Raises:
        RefitError: the rows could not teach the head.
    """

    def ask(fold: int, rows: npt.NDArray[np.bool_]) -> heads.Outputs:
        return {"p_gated": load(table, settings, fold, cache).predict_proba(table.features[rows])[:, 1]}

    return refit.held_out(table.meta, settings, ask)["p_gated"]


def load(table: dataset.Table, settings: config.Config, fold: int | None, cache: Path) -> Any:
    """Load the trees that were fitted without a fold, as :func:`training.refit.load` does.

    Args:
        table, settings, fold, cache: as there.
    """
    trees = folds.load_head(table, settings, fold, HEAD, cache)
    if trees is None:
        raise refit.RefitError("found rows that cannot teach the head; needed: n_gated in [recipe], and rows besides")
    return trees


def measured(
    meta: pd.DataFrame, held: npt.NDArray[np.float64], before: npt.NDArray[np.float64], settings: config.Config
) -> dict[str, Any]:
    """Return how many windows are held at the line, by kind and origin, and how well the head tells.

    Args:
        meta: described rows.
        held: probabilities of the trees that knew neither a row's song or repository nor its separator's family.
        before: what the model's head says of the same rows, some of which it may have learnt from.
        settings: number of folds.

    Returns:
        ``auc`` by origin; ``held`` by kind and origin: ``n`` windows, the share ``now`` and ``before``.
    """
    unseen = evaluate.unseen_rows(meta, settings.n_folds) & np.isfinite(held)
    y = labels.gated(meta)
    found: dict[str, Any] = {"auc": {}, "held": {}}
    for origin in ("studio", "separated"):
        own = unseen & (meta["origin"] == origin).to_numpy()
        known = own & np.isfinite(y)
        if len(np.unique(y[known])) == 2:
            found["auc"][origin] = round(float(roc_auc_score(y[known], held[known])), 4)
        for name, kind in KINDS.items():
            rows = own & (meta["kind"] == kind).to_numpy()
            if rows.any():
                now, then = (round(float(np.mean(p[rows] > GATED_FROM)), 4) for p in (held, before))
                found["held"].setdefault(name, {})[origin] = {"n": int(rows.sum()), "now": now, "before": then}
    return found


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
    """Write the model folder with the new head, all of it or nothing.

    Args:
        model: folder whose other heads are kept.
        out: the folder; it is replaced as a whole once everything is written.
        described, evaluation: of the new folder but for what is known of the new graph.
        table: described rows.
        figures: as :func:`measured` gives them.
        settings: of the head.
        clips: for the list of sources.
        cache: folder of fitted heads.

    Raises:
        RefitError: the new graph says something else of the other heads, or not what was trained.
    """
    with publish.beside(out) as part:
        file = part / "model.onnx"
        trees = load(table, settings, None, cache)
        export.replace_gate(model / "model.onnx", trees, file)
        features = table.features[np.sort(np.random.default_rng(0).permutation(len(table.meta))[:N_COMPARED])]
        difference = compare(model / "model.onnx", file, features, trees.predict_proba(features)[:, 1])
        before = refit.reference(evaluation)
        evaluation["regated"] = {
            "from": evaluation.get("regated", {}).get("from", before),  # which figures of files are of
            "before": before,
            "figures": figures,
            **refit.put_down(described, evaluation, table, settings, clips, (HEAD,), difference),
        }
        publish.finish(part, out, described, evaluation)


def asked(graph: Path, features: heads.Array, names: tuple[str, ...]) -> heads.Outputs:
    """Return some outputs of a graph for rows; what it wants beside them is the same noise for every row.

    Args:
        graph: the file.
        features: float32 (n, n_features).
        names: of the outputs.
    """
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    parts = [
        session.run(names, refit.inputs_of(session, features[start : start + N_COMPARED]))
        for start in range(0, len(features), N_COMPARED)
    ]
    return {name: np.concatenate([part[k] for part in parts]) for k, name in enumerate(names)}


def compare(old: Path, new: Path, features: heads.Array, trained: npt.NDArray[np.float64]) -> float:
    """Return the largest difference between the new graph's head and what was trained.

    Args:
        old, new: graphs.
        features: rows, float32 (n, n_features).
        trained: what scikit-learn says of them, (n,).

    Raises:
        RefitError: another output changed, log odds changed where neither head is sure, or not as a head that is sure
            changes them, or the new head says something else than was trained.
    """
    session = onnxruntime.InferenceSession(new, providers=["CPUExecutionProvider"])
    names = tuple(output.name for output in session.get_outputs())
    before, after = asked(old, features, names), asked(new, features, names)
    for name in {*names} - {"logit", "p_gated"}:
        if not np.array_equal(before[name], after[name], equal_nan=True):
            raise refit.RefitError(f"found that {name} changed; needed: the old graph's, bit for bit")
    was, now = before["p_gated"] > GATED_FROM, after["p_gated"] > GATED_FROM
    same, came, went = was == now, now & ~was, was & ~now
    if not (
        np.array_equal(before["logit"][same], after["logit"][same])
        and (after["logit"][came] <= before["logit"][came]).all()
        and (after["logit"][went] >= before["logit"][went]).all()
    ):
        raise refit.RefitError("found that log odds changed where no gate was found or lost; needed: the old graph's")
    far = np.abs(trained - GATED_FROM) > _NEAR
    worst = float(np.abs(after["p_gated"] - trained).max())
    if worst > publish.MAX_DIFFERENCE or not np.array_equal(now[far], trained[far] > GATED_FROM):
        raise refit.RefitError(f"found a graph that differs by {worst:.2g}; needed: at most {publish.MAX_DIFFERENCE}")
    return worst


if __name__ == "__main__":
    typer.run(main)
