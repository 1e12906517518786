"""What held-out files were called, counted, and how much of a figure is luck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

N_RESAMPLES = 500


def auc(scored: pd.DataFrame) -> float | None:
    """Return the mean over folds of the area under the ROC curve; None where no fold holds both classes.

    Args:
        scored: files.
    """
    found = [
        roc_auc_score(part["separated"], part["logit"])
        for _, part in scored.groupby("fold")
        if part["separated"].nunique() == 2
    ]
    return round(float(np.mean(found)), 4) if found else None


def figures(scored: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of a set of held-out files.

    Args:
        scored: files with ``called``.

    Returns:
        Counts, area under the curve, and for each class the share called each way.
    """
    true, extracted = scored[~scored["separated"]], scored[scored["separated"]]
    return {
        "n_studio": len(true),
        "n_separated": len(extracted),
        "auc": auc(scored),
        "studio_called_separated": share(true["called"] == "separated"),
        "studio_called_studio": share(true["called"] == "studio"),
        "separated_called_separated": share(extracted["called"] == "separated"),
        "separated_called_studio": share(extracted["called"] == "studio"),
    }


def share(holds: npt.ArrayLike) -> float | None:
    """Return in what share of all something holds, to four digits; None of none.

    Args:
        holds: booleans, shape (n,).
    """
    found = np.asarray(holds, bool)
    return round(float(found.mean()), 4) if len(found) else None


def interval(scored: pd.DataFrame, statistic: Callable[[pd.DataFrame], float | None], seed: int) -> list[float] | None:
    """Return a 95 % bootstrap interval that resamples whole units (songs of paired sets, else repositories).

    Units that share a song are resampled as one, and a clip that names no repository with its song: as they are held
    out (:func:`training.splits.joined_units`).

    Args:
        scored: files, with a column ``unit``.
        statistic: of such a table.
        seed: of the resampling.

    Returns:
        Both ends; None where there is one unit alone, which resampling cannot move, or no statistic.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993 (percentile interval, clusters).
    """
    rng = np.random.default_rng(seed)
    groups = list(scored.reset_index(drop=True).groupby("unit").indices.values())
    if len(groups) < 2:
        return None
    values = []
    for _ in range(N_RESAMPLES):
        rows = np.concatenate([groups[k] for k in rng.integers(0, len(groups), len(groups))])
        value = statistic(scored.iloc[rows])
        if value is not None:
            values.append(value)
    return [round(float(v), 4) for v in np.quantile(values, [0.025, 0.975])] if values else None
