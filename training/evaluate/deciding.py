"""From scores of windows to what held-out files are called, decided with what other files fixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from provenance.bundle import Calibration
from provenance.decide import calibrate
from provenance.model import GATED_FROM
from training import calibrate as fitting
from training.config import Config
from training.evaluate.rows import Mask, unseen_rows
from training.heads import Outputs, beyond_doubt, guarded

BELOW_LINE = 0.001
"""How far below the line a window comes to lie that a rework keeps from it, as a probability."""


def files(meta: pd.DataFrame, held: Outputs, rows: Mask) -> pd.DataFrame:
    """Pool windows to files: one row for each clip.

    Args:
        meta: all rows.
        held: scores of all rows.
        rows: which to pool.

    Returns:
        A table with ``logit``, ``raised`` (what the cue ``cycles`` adds to the calibrated log odds, where it was
        measured), ``sdr_found_db``, ``distance``, ``gated`` (the head's median, where it counts) and what is known of
        the clip.
    """
    data = meta[rows].copy()
    for column, name in (("logit", "logit"), ("sdr_found_db", "sdr_db"), ("distance", "distance")):
        data[column] = held[name][rows] if name in held else np.nan
    data["gated"] = held["p_gated"][rows] if "barred" in held else 0.0
    data["raised"] = held["raised"][rows] if "raised" in held else 0.0
    firsts = ("origin", "stem", "set", "repo", "song", "family", "family_fold", "fold", "manifest", "sdr_db", "codec",
              "separator", "wetness", "n_frames", *(["unit"] if "unit" in data else []))  # fmt: skip
    pooled = data.groupby("clip", sort=True).agg(
        logit=("logit", "mean"),
        raised=("raised", "mean"),
        sdr_found_db=("sdr_found_db", "mean"),
        distance=("distance", "median"),
        gated=("gated", "median"),
        **{name: (name, "first") for name in firsts},
    )
    pooled["separated"] = pooled["origin"] == "separated"
    return pooled.reset_index()


@dataclass(frozen=True)
class Limits:
    """What files are decided with, fixed on others that were held out: calibration, thresholds, distance."""

    platt: Calibration
    separated: float
    studio: float
    distance: float


def limits_of(scored: pd.DataFrame, config: Config) -> Limits:
    """Fix calibration and thresholds on files.

    Args:
        scored: held-out files, as :func:`files` returns them.
        config: bounds of the thresholds.
    """
    platt = fitting.fit_platt(scored["logit"], scored["separated"], scored["family"])
    p = calibrate(scored["logit"], platt, scored["raised"])
    upper, lower = fitting.choose_thresholds(
        p, scored["separated"], config.max_accused, config.max_missed, scored["family"], config.min_right
    )
    return Limits(platt, upper, lower, float(np.quantile(scored["distance"], config.distance_quantile)))


def limits(scored: pd.DataFrame, config: Config) -> dict[int, Limits]:
    """Fix calibration and thresholds of each fold on the files of the others.

    Args:
        scored, config: as for :func:`limits_of`.
    """
    return {int(fold): limits_of(scored[scored["fold"] != fold], config) for fold in sorted(scored["fold"].unique())}


def decisions(scored: pd.DataFrame, of_fold: dict[int, Limits]) -> pd.DataFrame:
    """Add what each held-out file would have been called.

    Args:
        scored: files, as :func:`files` returns them.
        of_fold: what each fold is decided with.

    Returns:
        The files with columns ``p_separated`` and ``called``, and ``logit`` raised by as much as counts.
    """
    out = scored.copy()
    out["p_separated"], out["called"] = np.nan, "undecided"
    for fold, found in of_fold.items():
        here = out["fold"] == fold
        p = calibrate(scored["logit"], found.platt, scored["raised"])
        out.loc[here, "p_separated"] = p[here]
        out.loc[here, "logit"] += scored["raised"][here] / found.platt.slope
        inside = here & (out["distance"] <= found.distance)
        out.loc[inside & (p >= found.separated) & (out["gated"] <= GATED_FROM), "called"] = "separated"
        out.loc[inside & (p <= found.studio), "called"] = "studio"
    return out


def line_of(fixed: Limits) -> float:
    """Return log odds, not calibrated, of windows just below the line to ``separated``.

    Args:
        fixed: calibration and thresholds.
    """
    p = round(fixed.separated, 4) - BELOW_LINE
    return float((np.log(p / (1 - p)) - fixed.platt.intercept) / fixed.platt.slope)


def allow_for_rework(meta: pd.DataFrame, held: Outputs) -> tuple[Outputs, float]:
    """Find what to take off each fold's windows: what the other folds show that a rework adds to log odds.

    Args:
        meta: described rows.
        held: fused scores, of clips as they are and of reworked ones.

    Returns:
        The scores with ``eased``, which :func:`guard` takes off, and the allowance of all folds, for the model that
        learnt from all.
    """
    inside = meta["kind"].isin(["clean", "reworked"]).to_numpy() & np.isfinite(held["logit"])
    inside &= unseen_rows(meta, int(meta["fold"].max()) + 1)
    sure = beyond_doubt(held["p_reworked"])

    def fitted(rows: Mask) -> float:
        said = meta[rows]
        return fitting.fit_allowance(
            held["logit"][rows], sure[rows], said["origin"] == "separated", said["kind"] == "reworked", said["family"]
        )

    eased = np.zeros(len(meta))
    for fold in meta["fold"].unique():
        here = (meta["fold"] == fold).to_numpy()
        eased[here] = fitted(inside & ~here) * sure[here]
    return held | {"eased": eased}, fitted(inside)


def guard(meta: pd.DataFrame, held: Outputs, of_fold: dict[int, Limits]) -> Outputs:
    """Take off what is to be taken off log odds above each fold's line to ``separated``, down to the line.

    Args:
        meta: described rows.
        held: scores, with ``eased`` where a head tells reworks and ``barred``, of
            :func:`training.heads.held_back`, where one tells what was gated; others are returned as they are.
        of_fold: what each fold is decided with.
    """
    taken = [held[name] for name in ("eased", "barred") if name in held]
    if not taken:
        return held
    line = meta["fold"].map({fold: line_of(fixed) for fold, fixed in of_fold.items()}).fillna(np.inf).to_numpy(float)
    return held | {"logit": guarded(held["logit"], np.sum(taken, axis=0), line)}
