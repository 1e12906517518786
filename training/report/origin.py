"""Figures of the origin: held-out files by group, by score and by measured SDR."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from training import calibrate as fitting
from training import evaluate
from training.config import Config
from training.heads import Outputs

MIN_GROUP = 5
SDR_EDGES_DB = (-20.0, 0.0, 3.0, 6.0, 9.0, 12.0, 60.0)
FALSE_ALARMS = (0.01, 0.02, 0.05)


def everything(scored: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return the figures of all held-out files, with intervals of those that matter most.

    Args:
        scored: held-out files as they were decided.
        seed: of the resampling.
    """
    accused, caught = (
        evaluate.interval(scored, lambda part, name=name: evaluate.figures(part)[name], seed)
        for name in ("studio_called_separated", "separated_called_separated")
    )
    decided = scored[scored["called"] != "undecided"]
    return evaluate.figures(scored) | {
        "auc_interval": evaluate.interval(scored, evaluate.auc, seed),
        "studio_called_separated_interval": accused,
        "separated_called_separated_interval": caught,
        "ece": round(fitting.ece(scored["p_separated"], scored["separated"]), 4),
        "undecided": round(float((scored["called"] == "undecided").mean()), 4),
        "right_of_decided": evaluate.share(decided["called"] == decided["origin"]),
        "caught_at_false_alarm": caught_at(scored),
    }


def by_group(scored: pd.DataFrame, column: str, least: int = MIN_GROUP) -> dict[str, Any]:
    """Return the figures of each group of files.

    Args:
        scored: held-out files as they were decided.
        column: what they are grouped by.
        least: files of a group that is listed.
    """
    return {str(name): evaluate.figures(part) for name, part in scored.groupby(column) if len(part) >= least}


def caught_at(scored: pd.DataFrame) -> dict[str, float]:
    """Return the share of extractions above the score that at most such a share of true stems lies above.

    Of each fold, then the mean. In a fold of fewer true stems than one in a rate no true stem may lie above.

    Args:
        scored: held-out files.
    """
    out = {}
    for rate in FALSE_ALARMS:
        shares = []
        for _, part in scored.groupby("fold"):
            true = np.sort(part[~part["separated"]]["logit"])[::-1]
            extracted = part[part["separated"]]["logit"]
            if len(true) and len(extracted):
                shares.append(float((extracted > true[int(rate * len(true) + 1e-9)]).mean()))
        out[f"{rate:g}"] = round(float(np.mean(shares)), 4) if shares else float("nan")
    return out


def seen_family(meta: pd.DataFrame, held: Outputs, config: Config) -> pd.DataFrame:
    """Return files of unseen songs whose separator's family was trained on, and the studio stems.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
        config: of the protocol.
    """
    separated = (meta["origin"] == "separated").to_numpy()
    seen = separated & ~evaluate.unseen_rows(meta, config.n_folds)
    return evaluate.files(meta, held, evaluate.clean_rows(meta) & (seen | ~separated) & np.isfinite(held["logit"]))


def near_oracle(meta: pd.DataFrame, held: Outputs) -> dict[str, Any]:
    """Return how many near-oracles are clips as they are, and what is said of them in the mean.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
    """
    oracle = (meta["kind"] == "clean").to_numpy() & meta["oracle"].to_numpy(bool) & ~meta["struck"].to_numpy(bool)
    near = evaluate.files(meta, held, oracle & np.isfinite(held["logit"]))
    return {"n": len(near), "mean_logit": round(float(near["logit"].mean()), 3) if len(near) else None}


def by_sdr(scored: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how extractions are called by their measured SDR, between SDR_EDGES_DB.

    Args:
        scored: held-out files as they were decided.
    """
    extracted = scored[scored["separated"] & scored["sdr_db"].notna()]
    out = []
    for low, high in pairwise(SDR_EDGES_DB):
        part = extracted[(extracted["sdr_db"] >= low) & (extracted["sdr_db"] < high)]
        if len(part):
            out.append(
                {
                    "from_db": low,
                    "to_db": high,
                    "n": len(part),
                    "called_separated": evaluate.share(part["called"] == "separated"),
                    "called_studio": evaluate.share(part["called"] == "studio"),
                }
            )
    return out


def risk(scored: pd.DataFrame) -> list[dict[str, float]]:
    """Return the share of wrong calls among the surest files, at growing coverage.

    Args:
        scored: held-out files as they were decided.
    """
    sure = np.abs(scored["p_separated"] - 0.5).to_numpy()
    wrong = ((scored["p_separated"] > 0.5) != scored["separated"]).to_numpy()
    order = np.argsort(-sure)
    out = []
    for coverage in (0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        n = max(1, int(coverage * len(order)))
        out.append({"coverage": coverage, "risk": round(float(wrong[order[:n]].mean()), 4)})
    return out


def metadata_probe(scored: pd.DataFrame) -> float | None:
    """Return the area under the curve of a model that sees only a file's coding and length, by the same folds.

    Length is that of the first window, four seconds at most: more of it no head is shown.

    Args:
        scored: held-out files.
    """
    columns = pd.DataFrame(
        {
            "codec": scored["codec"].astype("category").cat.codes,
            "n_frames": scored["n_frames"],
        }
    ).to_numpy(float)
    probe = scored.copy()
    for fold in scored["fold"].unique():
        here = (scored["fold"] == fold).to_numpy()
        if scored["separated"][~here].nunique() < 2:
            return None
        leaf = min(20, max(1, int((~here).sum()) // 10))  # 20 of few files would find nothing, whatever there is
        model = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=leaf, random_state=0)
        model.fit(columns[~here], scored["separated"][~here])
        probe.loc[here, "logit"] = model.decision_function(columns[here])
    return evaluate.auc(probe)
