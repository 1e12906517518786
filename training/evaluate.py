"""The unseen protocol: every figure on songs, repositories and separator families the scoring model never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import confusion_matrix, roc_auc_score

from provenance.decide import calibrate
from provenance.model import PROCESSINGS
from training import calibrate as fitting
from training.catalogue import Clip
from training.config import Config
from training.dataset import Table
from training.heads import Outputs
from training.labels import MAX_SDR_DB, MIN_SDR_DB

Mask = npt.NDArray[np.bool_]
N_RESAMPLES = 500


def describe(table: Table, clips: Sequence[Clip], manifests: Sequence[Path], family_fold: dict[str, int]) -> Table:
    """Add what the catalogue knows of each clip to its rows.

    Args:
        table: rows as :func:`training.dataset.build` returns them.
        clips: the catalogue.
        manifests: files it was read from; the name of a manifest's folder becomes the column ``manifest``.
        family_fold: fold of each family, the column ``family_fold``; -1 for studio stems and surrogates.
    """
    folders = [(m.parent.resolve(), m.parent.name) for m in manifests]
    known = pd.DataFrame(
        [
            {
                "clip": c.name,
                "stem": c.stem,
                "set": c.set_name,
                "repo": c.repo,
                "song": c.song,
                "codec": c.codec,
                "separator": c.separator,
                "manifest": next((name for folder, name in folders if folder in c.path.resolve().parents), ""),
            }
            for c in clips
        ]
    ).drop_duplicates("clip")
    meta = table.meta.merge(known, on="clip", how="left", validate="many_to_one")
    meta["family_fold"] = meta["family"].map(lambda name: family_fold.get(name, -1)).astype(int)
    return Table(table.features, meta, table.maps, table.failures)


def training_rows(meta: pd.DataFrame, fold: int | None) -> Mask:
    """Return the rows a fold's model may learn from: neither its units nor its families, and no near-oracle.

    Args:
        meta: rows with columns ``fold``, ``family_fold`` and ``oracle``.
        fold: which is held out; None for the shipped model, which learns from all.
    """
    usable = ~meta["oracle"].to_numpy(bool)
    if fold is None:
        return usable
    return usable & (meta["fold"] != fold).to_numpy() & (meta["family_fold"] != fold).to_numpy()


def held_out_rows(meta: pd.DataFrame, fold: int) -> Mask:
    """Return the rows a fold's model never saw: of its units, and of extractions only its families.

    Args:
        meta, fold: as for :func:`training_rows`.
    """
    inside = (meta["fold"] == fold).to_numpy()
    return inside & ((meta["origin"] == "studio") | (meta["family_fold"] == fold)).to_numpy()


def unseen_rows(meta: pd.DataFrame, n_folds: int) -> Mask:
    """Return the rows that some fold's model never saw, near-oracles left out.

    Args:
        meta: described rows.
        n_folds: of the protocol.
    """
    unseen = np.zeros(len(meta), bool)
    for fold in range(n_folds):
        unseen |= held_out_rows(meta, fold)
    return unseen & ~meta["oracle"].to_numpy(bool)


def judged_rows(meta: pd.DataFrame, n_folds: int) -> Mask:
    """Return the unseen rows that are clips as they are: what figures, calibration and thresholds are made from.

    Args:
        meta, n_folds: as for :func:`unseen_rows`.
    """
    return unseen_rows(meta, n_folds) & (meta["kind"] == "clean").to_numpy()


def files(meta: pd.DataFrame, held: Outputs, rows: Mask) -> pd.DataFrame:
    """Pool windows to files: one row for each clip.

    Args:
        meta: all rows.
        held: scores of all rows.
        rows: which to pool.

    Returns:
        A table with ``logit``, ``sdr_found_db``, ``distance`` and what is known of the clip.
    """
    data = meta[rows].copy()
    for column, name in (("logit", "logit"), ("sdr_found_db", "sdr_db"), ("distance", "distance")):
        data[column] = held[name][rows]
    firsts = ("origin", "stem", "set", "repo", "song", "family", "family_fold", "fold", "manifest", "sdr_db", "codec",
              "separator")  # fmt: skip
    pooled = data.groupby("clip", sort=True).agg(
        logit=("logit", "mean"),
        sdr_found_db=("sdr_found_db", "mean"),
        distance=("distance", "median"),
        **{name: (name, "first") for name in firsts},
    )
    pooled["separated"] = pooled["origin"] == "separated"
    return pooled.reset_index()


def decisions(scored: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Add what each held-out file would have been called, with calibration and thresholds of the other folds.

    Args:
        scored: files, as :func:`files` returns them.
        config: bounds of the thresholds.

    Returns:
        The files with columns ``p_separated`` and ``called``.
    """
    out = scored.copy()
    out["p_separated"], out["called"] = np.nan, "undecided"
    for fold in sorted(out["fold"].unique()):
        others, here = out["fold"] != fold, out["fold"] == fold
        platt = fitting.fit_platt(out.loc[others, "logit"], out.loc[others, "separated"])
        p = calibrate(out["logit"], platt)
        upper, lower = fitting.choose_thresholds(
            p[others], out.loc[others, "separated"], config.max_accused, config.max_missed
        )
        limit = float(np.quantile(out.loc[others, "distance"], config.distance_quantile))
        out.loc[here, "p_separated"] = p[here]
        inside = here & (out["distance"] <= limit)
        out.loc[inside & (p >= upper), "called"] = "separated"
        out.loc[inside & (p <= lower), "called"] = "studio"
    return out


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
    true, fake = scored[~scored["separated"]], scored[scored["separated"]]
    share = lambda part, call: round(float((part["called"] == call).mean()), 4) if len(part) else None  # noqa: E731
    return {
        "n_studio": len(true),
        "n_separated": len(fake),
        "auc": auc(scored),
        "studio_called_separated": share(true, "separated"),
        "studio_called_studio": share(true, "studio"),
        "separated_called_separated": share(fake, "separated"),
        "separated_called_studio": share(fake, "studio"),
    }


def interval(scored: pd.DataFrame, statistic: Callable[[pd.DataFrame], float | None], seed: int) -> list[float] | None:
    """Return a 95 % bootstrap interval that resamples whole units (songs of paired sets, else repositories).

    Args:
        scored: files.
        statistic: of such a table.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    unit = np.where(scored["set"] == "pairs", "song:" + scored["song"], "repo:" + scored["repo"])
    groups = [np.flatnonzero(unit == name) for name in np.unique(unit)]
    values = []
    for _ in range(N_RESAMPLES):
        rows = np.concatenate([groups[k] for k in rng.integers(0, len(groups), len(groups))])
        value = statistic(scored.iloc[rows])
        if value is not None:
            values.append(value)
    return [round(float(v), 4) for v in np.quantile(values, [0.025, 0.975])] if values else None


def report(meta: pd.DataFrame, held: Outputs, config: Config) -> dict[str, Any]:
    """Return all figures of the unseen protocol.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
        config: bounds of the thresholds.
    """
    clean = (meta["kind"] == "clean").to_numpy()
    oracle = meta["oracle"].to_numpy(bool)
    unseen = unseen_rows(meta, config.n_folds)
    scored = decisions(files(meta, held, clean & unseen), config)
    by = lambda column: {  # noqa: E731
        str(name): figures(part) for name, part in scored.groupby(column) if len(part) >= 5
    }
    false = lambda part: figures(part)["studio_called_separated"]  # noqa: E731
    caught = lambda part: figures(part)["separated_called_separated"]  # noqa: E731
    out: dict[str, Any] = {
        "unseen": figures(scored)
        | {
            "auc_interval": interval(scored, auc, config.seed),
            "studio_called_separated_interval": interval(scored, false, config.seed),
            "separated_called_separated_interval": interval(scored, caught, config.seed),
            "ece": round(fitting.ece(scored["p_separated"], scored["separated"]), 4),
        },
        "by_manifest": by("manifest"),
        "by_set": by("set"),
        "by_stem": by("stem"),
        "by_codec": by("codec"),
        "by_family": {k: v for k, v in by("family").items() if k},
        "accused": scored[~scored["separated"] & (scored["called"] == "separated")]["clip"].tolist(),
    }
    seen_family = clean & ~oracle & (meta["origin"] == "separated").to_numpy() & ~unseen
    studio = clean & ~oracle & (meta["origin"] == "studio").to_numpy()
    known = files(meta, held, seen_family | studio)
    out["seen_family_unseen_song_auc"] = auc(known[known["logit"].notna()])
    near = files(meta, held, clean & oracle & np.isfinite(held["logit"]))
    out["near_oracle"] = {"n": len(near), "mean_logit": round(float(near["logit"].mean()), 3) if len(near) else None}
    out["processing"] = _processing(meta, held)
    out["sdr"] = _sdr(scored)
    return out


def _processing(meta: pd.DataFrame, held: Outputs) -> dict[str, Any]:
    rows = (meta["processing"].isin(PROCESSINGS) & (meta["origin"] == "studio")).to_numpy()
    rows &= meta["kind"].isin(["clean", "processed"]).to_numpy() & np.isfinite(held["p_processing"][:, 0])
    if not rows.any():
        return {}
    out: dict[str, Any] = {"classes": list(PROCESSINGS)}
    for name, part in (("fx_pairs", meta["set"] == "fx_pairs"), ("made", meta["set"] != "fx_pairs")):
        here = rows & part.to_numpy()
        if not here.any():
            continue
        truth = meta["processing"][here].map(PROCESSINGS.index).to_numpy()
        found = held["p_processing"][here].argmax(1)
        sure = held["p_processing"][here].max(1)
        matrix = confusion_matrix(truth, found, labels=range(len(PROCESSINGS)))
        recall = np.diag(matrix)[matrix.sum(1) > 0] / matrix.sum(1)[matrix.sum(1) > 0]
        out[name] = {
            "n": int(here.sum()),
            "confusion": matrix.tolist(),
            "balanced_accuracy": round(float(recall.mean()), 4),
            "mean_top_probability": round(float(sure.mean()), 4),
        }
    return out


def _sdr(scored: pd.DataFrame) -> dict[str, Any]:
    known = scored[scored["separated"] & scored["sdr_db"].notna() & scored["sdr_found_db"].notna()]
    if len(known) < 10:
        return {"n": len(known)}
    truth = known["sdr_db"].clip(MIN_SDR_DB, MAX_SDR_DB).to_numpy(float)
    residual = known["sdr_found_db"].to_numpy(float) - truth
    covered = np.zeros(len(known), bool)
    fold = known["fold"].to_numpy()
    for k in np.unique(fold):
        if (fold != k).sum() >= 10:
            half = fitting.conformal_half_width(residual[fold != k])
            covered[fold == k] = np.abs(residual[fold == k]) <= half
    return {
        "n": len(known),
        "mae_db": round(float(np.abs(residual).mean()), 3),
        "mae_of_the_median_db": round(float(np.abs(truth - np.median(truth)).mean()), 3),
        "bias_db": round(float(residual.mean()), 3),
        "correlation": round(float(np.corrcoef(truth, known["sdr_found_db"])[0, 1]), 3),
        "half_width_db": round(fitting.conformal_half_width(residual), 3),
        "coverage_on_other_folds": round(float(covered.mean()), 4),
    }
