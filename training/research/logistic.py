"""What the cues know on their own: ``python -m training.research.logistic MANIFEST...``.

A logistic model over spline terms of each cue, judged on source repositories (and songs of the paired set) that it
has not seen.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer, SplineTransformer

from training.catalogue import CatalogueError
from training.options import told
from training.research import table

SPLINES = 4
STRENGTH = 0.3


def fit(values: pd.DataFrame, separated: npt.NDArray[np.bool_]) -> Pipeline:
    """Fit the logistic model.

    Args:
        values: one row a clip, NaN where a cue could not be measured (which is told to the model).
        separated: the label of each row.
    """
    model = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        QuantileTransformer(n_quantiles=min(50, len(values))),
        SplineTransformer(SPLINES, degree=2),
        LogisticRegression(C=STRENGTH, max_iter=2000, class_weight="balanced"),
    )
    return model.fit(values, separated)


def held_out(cues: pd.DataFrame, columns: tuple[str, ...] = table.CUES) -> npt.NDArray[np.float64]:
    """Return each clip's log odds by the model that was fitted without its fold.

    Args:
        cues: from :func:`training.research.table.build`.
        columns: which cues the model may use.

    Raises:
        CatalogueError: outside a fold lie clips of one class, or none.
    """
    separated = (cues["origin"] == "separated").to_numpy()
    fold = cues["fold"].to_numpy()
    out = np.zeros(len(cues))
    for k in np.unique(fold):
        if len(set(separated[fold != k])) < 2:
            raise CatalogueError(
                f"found no studio stem or no extraction outside fold {k}; needed: both, of songs or repositories of two"
                " folds at least"
            )
        model = fit(cues.loc[fold != k, list(columns)], separated[fold != k])
        out[fold == k] = model.decision_function(cues.loc[fold == k, list(columns)])
    return out


def auc_by_fold(cues: pd.DataFrame, score: npt.NDArray[np.float64]) -> list[float]:
    """Return the area under the curve within each fold that holds both classes.

    Args:
        cues: the table.
        score: one value a row, higher for separated.
    """
    separated = (cues["origin"] == "separated").to_numpy()
    folds = [(cues["fold"] == k).to_numpy() for k in sorted(cues["fold"].unique())]
    return [float(roc_auc_score(separated[f], score[f])) for f in folds if 0 < separated[f].sum() < f.sum()]


def report(cues: pd.DataFrame) -> dict[str, object]:
    """Return the figures of the command.

    Args:
        cues: from :func:`training.research.table.build`.
    """
    score = held_out(cues)
    separated = (cues["origin"] == "separated").to_numpy()
    folds = auc_by_fold(cues, score)
    alone = {}
    for name in table.CUES:
        known = cues[name].notna().to_numpy()
        if 0 < separated[known].sum() < known.sum():
            alone[name] = round(float(roc_auc_score(separated[known], cues.loc[known, name])), 3)
    paired = (cues["set"] == "pairs").to_numpy()
    return {
        "n_studio": int((~separated).sum()),
        "n_separated": int(separated.sum()),
        "auc_held_out_mean": round(float(np.mean(folds)), 3) if folds else None,
        "auc_held_out_folds": [round(f, 3) for f in folds],
        "auc_paired_set": _auc(separated[paired], score[paired]),
        "auc_other_sets": _auc(separated[~paired], score[~paired]),
        "auc_of_each_cue": dict(sorted(alone.items(), key=lambda kv: -abs(kv[1] - 0.5))),
    }


def _auc(separated: npt.NDArray[np.bool_], score: npt.NDArray[np.float64]) -> float | None:
    """Area under the curve, None where there is but one class."""
    return round(float(roc_auc_score(separated, score)), 3) if 0 < separated.sum() < len(separated) else None


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Print how well a logistic model on the cues alone does on held-out repositories."""
    print(json.dumps(report(table.build(manifest, workers)), indent=2))


if __name__ == "__main__":
    typer.run(main)
