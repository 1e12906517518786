"""Figures of the origin of what is made out of clips: degradations, reworks, sums, and whole mixes parted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from training import evaluate, labels
from training.config import Config
from training.evaluate import Limits
from training.evaluate.rows import Mask
from training.examples import AS_THEY_ARE, DEGRADED, OUT_OF_MIXES
from training.heads import Outputs


def degraded(meta: pd.DataFrame, held: Outputs, config: Config, of_fold: dict[int, Limits]) -> dict[str, Any]:
    """Return the figures after each degradation, beside the same seconds as they are, file by file.

    Without the cue ``cycles``: it is not known of what was made here.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
        config: of the protocol.
        of_fold: what each fold is decided with.
    """
    held = {name: values for name, values in held.items() if name != "raised"}
    unseen = evaluate.unseen_rows(meta, config.n_folds)
    kinds = sorted(k for k in meta["kind"].unique() if str(k).startswith(DEGRADED) and k != AS_THEY_ARE)
    if not kinds:
        return {}
    out = {}
    for kind in (AS_THEY_ARE, *kinds):
        name = "as they are" if kind == AS_THEY_ARE else kind.removeprefix(DEGRADED)
        rows = (meta["kind"] == kind).to_numpy() & unseen
        out[name] = _figures(meta, held, rows, of_fold) | {"n_windows": int(rows.sum())}
    return out


def reworked(meta: pd.DataFrame, held: Outputs, config: Config) -> dict[str, Any]:
    """Return how well reworked windows are told from others, of either origin; empty without a head that does.

    Args:
        meta, held, config: as for :func:`degraded`.
    """
    return _told(meta, labels.reworked(meta), held["p_reworked"], config) if "p_reworked" in held else {}


def edited(meta: pd.DataFrame, held: Outputs, config: Config, of_fold: dict[int, Limits]) -> dict[str, Any]:
    """Return the figures after :data:`training.rework.EDITS`, window by window; empty where nothing was edited.

    Without the cue ``cycles``: it is not known of what was made here.

    Args:
        meta, held, config, of_fold: as for :func:`degraded`.

    Returns:
        Figures of windows as they are and of edited ones.
    """
    unseen = evaluate.unseen_rows(meta, config.n_folds)
    own = {"as they are": unseen & (meta["kind"] == "clean"), "edited": unseen & (meta["kind"] == "edited")}
    if not own["edited"].any():
        return {}
    each = meta.assign(clip=meta["clip"] + "#" + meta["pair"] + "#" + meta["window"].astype(str))
    held = {name: values for name, values in held.items() if name != "raised"}
    return {name: _figures(each, held, rows.to_numpy(), of_fold) for name, rows in own.items() if rows.any()}


def denoised(meta: pd.DataFrame, found: Outputs, config: Config, of_fold: dict[int, Limits]) -> dict[str, Any]:
    """Return the figures after noise reduction, window by window; empty where no window went through one.

    Args:
        meta, config, of_fold: as for :func:`degraded`.
        found: what the folds' models said, before anything is taken off above the line.

    Returns:
        Figures of windows as they are, gated bin by bin and smoothly cleaned, with and without the head that tells the
        second, and how well it does of either origin.
    """
    unseen = evaluate.unseen_rows(meta, config.n_folds)
    kinds = {"as they are": "clean", "bin by bin": "gated", "smoothly": "cleaned"}
    own = {name: unseen & (meta["kind"] == kind).to_numpy() for name, kind in kinds.items()}
    if not (own["bin by bin"] | own["smoothly"]).any():
        return {}
    each = meta.assign(clip=meta["clip"] + "#" + meta["pair"] + "#" + meta["window"].astype(str))
    found = {name: values for name, values in found.items() if name != "raised"}
    cases = {"": evaluate.guard(meta, found, of_fold)}
    if "p_gated" in found:
        without = {name: values for name, values in found.items() if name != "barred"}
        cases[", without the head"] = evaluate.guard(meta, without, of_fold)
    rows = {
        f"{name}{beside}": _figures(each, said, here, of_fold)
        for name, here in own.items()
        for beside, said in cases.items()
        if here.any()
    }
    told = _told(meta, labels.gated(meta), found["p_gated"], config) if "p_gated" in found else {}
    return {"figures": rows, **told}


def _told(meta: pd.DataFrame, y: npt.NDArray[np.float64], p: npt.NDArray[np.float64], config: Config) -> dict[str, Any]:
    """Area under the curve of a head that tells what was done, on unseen windows of either origin."""
    unseen = evaluate.unseen_rows(meta, config.n_folds)
    out: dict[str, Any] = {}
    for origin in ("studio", "separated"):
        rows = unseen & np.isfinite(y) & (meta["origin"] == origin).to_numpy()
        if len(np.unique(y[rows])) == 2:
            out[f"auc_{origin}"] = round(float(roc_auc_score(y[rows], p[rows])), 4)
    return out


def sums(meta: pd.DataFrame, held: Outputs, config: Config, of_fold: dict[int, Limits]) -> dict[str, Any]:
    """Return the figures of sums of true stems, each window by itself: they are dense, and nothing was extracted.

    Args:
        meta, held, config, of_fold: as for :func:`degraded`.
    """
    true = (meta["kind"] == "bundle").to_numpy() & (meta["origin"] == "studio").to_numpy()
    true &= evaluate.unseen_rows(meta, config.n_folds)
    each = meta.assign(clip=meta["clip"] + "#" + meta["window"].astype(str))
    with_voice = (meta["pair"] == "").to_numpy()  # an instrumental has an extraction beside it
    return {
        name: _figures(each, held, true & here, of_fold)
        for name, here in (("instrumentals", ~with_voice), ("mixes", with_voice))
        if (true & here).any()
    }


def wholes(meta: pd.DataFrame, held: Outputs, of_fold: dict[int, Limits]) -> dict[str, Any]:
    """Return the figures of estimates out of whole mixes of unseen songs and of their true stems, window by window.

    By family, masked over or not, judged by models that learnt from others of its estimates, and by the one that learnt
    from none.

    Args:
        meta, held, of_fold: as for :func:`degraded`.
    """
    there = meta["pair"].str.contains(OUT_OF_MIXES).to_numpy() & np.isfinite(held["logit"])
    there &= evaluate.may_be_judged(meta)
    estimate = there & (meta["origin"] == "separated").to_numpy()
    held_out = (meta["family_fold"] == meta["fold"]).to_numpy()
    maker = meta["family"] + np.where(meta["kind"] == "remask", ", masked over", "")
    each = meta.assign(clip=meta["pair"] + "#" + maker + "#" + meta["window"].astype(str))
    out = {}
    for family in sorted(set(maker[estimate])):
        for name, rows in (("learnt from", ~held_out), ("held out", held_out)):
            own = estimate & rows & (maker == family).to_numpy()
            if not own.any():
                continue
            beside = there & ~estimate & meta["pair"].isin(meta["pair"][own]).to_numpy()
            middle = round(float(meta["sdr_db"][own].median()), 2)
            out[f"{family}, {name}"] = _figures(each, held, own | beside, of_fold) | {"median_sdr_db": middle}
    return out


def _figures(meta: pd.DataFrame, held: Outputs, rows: Mask, of_fold: dict[int, Limits]) -> dict[str, Any]:
    """Figures of the files of some rows, decided."""
    return evaluate.figures(evaluate.decisions(evaluate.files(meta, held, rows), of_fold))
