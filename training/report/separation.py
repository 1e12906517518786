"""Figures of what separated a stem and how well: its SDR and the kind of separator."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import confusion_matrix

from provenance.model import KINDS
from training import calibrate as fitting
from training import evaluate, labels
from training.config import Config
from training.heads import Outputs

ESTIMATE_EDGES_DB = (-20.0, 5.0, 7.0, 9.0, 11.0, 60.0)
_OF_A_BAND = ("mae_db", "half_width_db", "covered")


def sdr(scored: pd.DataFrame, fixed_on: pd.DataFrame | None = None) -> dict[str, Any]:
    """Return how far the SDR of extractions is told wrong, beside what is said without listening.

    Args:
        scored: held-out files, as :func:`training.evaluate.files` returns them; those whose SDR was measured count.
        fixed_on: the files that intervals are fixed on; without any the same ones.

    Returns:
        ``n`` files; beside ten and more their errors in dB, the ``interval`` of all they are fixed on, and
        ``by_estimate``: of files whose estimate lies between ESTIMATE_EDGES_DB their number, error, how many lie within
        intervals that the other folds fixed, and how wide half of these is. Files beside which the other folds hold
        fewer than ten have no such interval: ``n_bounded`` have one; where none has it is None, as is the error of a
        median of others where there are no others.
    """
    found, truth, fold = _estimates(scored)
    if len(found) < 10:
        return {"n": len(found)}
    teacher = (found, truth, fold) if fixed_on is None else _estimates(fixed_on)
    residual = found - truth
    half, constant = np.full((2, len(found)), np.nan)
    for k in np.unique(fold):
        if (fold != k).any():
            constant[fold == k] = np.median(truth[fold != k])
        others = teacher[2] != k
        if others.sum() >= 10:
            fixed = fitting.fit_interval(teacher[0][others], teacher[1][others])
            half[fold == k] = [fixed.half_width(value) for value in found[fold == k]]
    covered = np.where(np.isnan(half), np.nan, np.abs(residual) <= half)
    return {
        "n": len(found),
        "mae_db": round(float(np.abs(residual).mean()), 3),
        "mae_of_other_folds_median_db": _mean(np.abs(truth - constant)),
        "mae_of_the_median_db": round(float(np.abs(truth - np.median(truth)).mean()), 3),
        "bias_db": round(float(residual.mean()), 3),
        "correlation": round(float(np.corrcoef(truth, found)[0, 1]), 3),
        "interval": {name: round(v, 4) for name, v in asdict(fitting.fit_interval(*teacher[:2])).items()},
        "half_width_db": _mean(half),
        "n_bounded": int((~np.isnan(half)).sum()),
        "coverage_on_other_folds": _mean(covered, 4),
        "by_estimate": [
            {
                "from_db": low, "to_db": high, "n": int(here.sum()),
                "mae_db": round(float(np.abs(residual[here]).mean()), 3),
                "half_width_db": _mean(half[here]), "covered": _mean(covered[here], 4),
            }
            for low, high in pairwise(ESTIMATE_EDGES_DB)
            if (here := (found >= low) & (found < high)).any()
        ],
    }  # fmt: skip


def _mean(values: npt.ArrayLike, digits: int = 3, weights: npt.ArrayLike | None = None) -> float | None:
    """Mean of those that are numbers, if any."""
    found = np.asarray(values, float)
    known = ~np.isnan(found)
    weighed = None if weights is None else np.asarray(weights, float)[known]
    return round(float(np.average(found[known], weights=weighed)), digits) if known.any() else None


def mean_sdr(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of figures of SDR over several deals of the folds.

    Args:
        parts: figures as :func:`sdr` returns them, of ten files and more each.

    Returns:
        The same, ``n`` and the rows of ``by_estimate`` for a deal in the mean; beside them ``deals``, their number, and
        ``mae_spread_db``, the standard deviation of their errors.
    """
    frame = pd.DataFrame(parts)
    numbers = {name: _mean(of_deals) for name, of_deals in frame.drop(columns=["n", "interval", "by_estimate"]).items()}
    rows = pd.DataFrame([row for part in parts for row in part["by_estimate"]])
    bands = []
    for (low, high), band in rows.groupby(["from_db", "to_db"]):
        means = {name: _mean(band[name], weights=band["n"]) for name in _OF_A_BAND}
        bands.append({"from_db": low, "to_db": high, "n": round(float(band["n"].sum()) / len(parts), 1)} | means)
    return {
        "n": round(float(frame["n"].mean())),
        **numbers,
        "mae_spread_db": round(float(frame["mae_db"].std(ddof=0)), 3),
        "deals": len(parts),
        "interval": pd.DataFrame(list(frame["interval"])).mean().round(4).to_dict(),
        "by_estimate": bands,
    }


def kind(meta: pd.DataFrame, held: Outputs, config: Config) -> dict[str, Any]:
    """Return how well the kind of separator is told on extractions of families that were not trained on.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
        config: of the protocol, and from which probability a kind is stated.
    """
    if "p_kind" not in held:
        return {}
    truth = labels.kind(meta)
    rows = evaluate.judged_rows(meta, config.n_folds) & (truth >= 0) & np.isfinite(held["p_kind"][:, 0])
    if not rows.any():
        return {}
    found = held["p_kind"][rows].argmax(1)
    stated = held["p_kind"][rows].max(1) >= config.family_threshold
    right = found == truth[rows]
    return {
        "n": int(rows.sum()),
        "classes": list(KINDS),
        "confusion": confusion_matrix(truth[rows], found, labels=range(len(KINDS))).tolist(),
        "accuracy": evaluate.share(right),
        "most_common": round(float(np.bincount(truth[rows]).max() / rows.sum()), 4),
        "stated": evaluate.share(stated),
        "right_of_stated": evaluate.share(right[stated]),
    }


def _estimates(scored: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Estimate, measured SDR within what is learnt, and fold of the extractions whose SDR was measured."""
    known = scored[scored["separated"] & scored["sdr_db"].notna() & scored["sdr_found_db"].notna()]
    truth = known["sdr_db"].clip(labels.MIN_SDR_DB, labels.MAX_SDR_DB)
    return known["sdr_found_db"].to_numpy(float), truth.to_numpy(float), known["fold"].to_numpy(int)
