"""Figures of how a stem was produced: dry, hybrid or wet, which effects and how strong, one performance or several."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from provenance.model import EFFECTS, PROCESSINGS
from training import calibrate as fitting
from training import evaluate, labels
from training.config import Config
from training.examples import DEGRADED
from training.heads import Outputs

SAID = ("p_processing", "p_effects", "strengths")
"""What is judged here of a take by the mean of its windows."""
STRONG = 0.6
"""Strength, of 1, from which an effect counts as strong."""
LEAST_GAIN = 0.1
"""The strength of an effect is told by a model whose error is so much below a constant's, as a share of it."""


def takes(meta: pd.DataFrame, held: Outputs) -> tuple[pd.DataFrame, Outputs]:
    """Return one row for each take, and of what was said of its windows the mean, as a verdict has it.

    Clips that stay unjudged, since their label was found wrong, are left out.

    Args:
        meta: rows, described; windows of one file share a name in the column ``take``, what has none is one by itself.
        held: what the folds' models said.

    Returns:
        The first row of each take, with the number of its windows as ``n_windows``, and the means of :data:`SAID`.
    """
    rows = evaluate.may_be_judged(meta)
    meta, held = meta[rows].reset_index(drop=True), {name: held[name][rows] for name in SAID if name in held}
    names = meta["take"].where(meta["take"] != "", [f"#{row}" for row in range(len(meta))])
    number, _ = pd.factorize(names)
    first = np.flatnonzero(~pd.Series(number).duplicated())
    size = np.bincount(number, minlength=len(first))
    means = {
        name: np.stack([np.bincount(number, column, len(first)) / size for column in said.T], axis=1)
        for name, said in held.items()
    }
    return meta.iloc[first].reset_index(drop=True).assign(n_windows=size), means


def processing(meta: pd.DataFrame, held: Outputs, config: Config) -> dict[str, Any]:
    """Return how well dry, hybrid and wet are told, take by take: on chains, after a separation, on recordings.

    Of what is stated at all, each fold's takes are judged by the line that the chains of the other folds gave.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
        config: what share of the stated must be right.
    """
    if "p_processing" not in held:
        return {"classes": list(PROCESSINGS)}
    meta, held = takes(meta, held)
    known = _of_known_processing(meta, held)
    studio = (meta["origin"] == "studio").to_numpy()
    clean = (meta["kind"] == "clean").to_numpy()
    degraded = meta["kind"].str.startswith(DEGRADED).to_numpy()  # by what is an effect, too: reverb, equalising
    out: dict[str, Any] = {"classes": list(PROCESSINGS)}
    groups = {
        "made": _made(meta, held),
        "over_noise": known & studio & (meta["kind"] == "grounded").to_numpy() & labels.from_dry(meta),
        "made_and_separated": known & ~studio & labels.from_dry(meta) & ~degraded,
        "fx_pairs": known & clean & meta["set"].eq("fx_pairs").to_numpy(),
        "dry_against_wet_recordings": known & clean & studio & meta["set"].isin(["dry", "true"]).to_numpy(),
        "recordings": known & clean & studio & ~meta["set"].eq("fx_pairs").to_numpy(),
    }
    fold = meta["fold"].to_numpy()
    line = np.ones(len(meta))
    for k in np.unique(fold):
        line[fold == k] = _line(meta, held, config, fold != k)
    for name, here in groups.items():
        if not here.any():
            continue
        truth = meta["processing"][here].map(PROCESSINGS.index).to_numpy()
        found = held["p_processing"][here].argmax(1)
        stated = held["p_processing"][here].max(1) >= line[here]
        matrix = confusion_matrix(truth, found, labels=range(len(PROCESSINGS)))
        present = np.unique(truth)
        out[name] = {
            "n": int(here.sum()),
            "n_windows": int(meta["n_windows"][here].sum()),
            "confusion": matrix.tolist(),
            "macro_f1": round(float(f1_score(truth, found, labels=present, average="macro")), 4),
            "dry_against_rest_auc": _auc(truth > 0, 1 - held["p_processing"][here][:, 0]),
            "stated": evaluate.share(stated),
            "right_of_stated": evaluate.share(found[stated] == truth[stated]),
            "dry_called_wet": evaluate.share((stated & (found == 2))[truth == 0]),
            "wet_called_dry": evaluate.share((stated & (found == 0))[truth == 2]),
        }
    return out


def processing_threshold(meta: pd.DataFrame, held: Outputs, config: Config) -> float:
    """Return the least probability from which enough of what is stated is right on held-out chains, class by class.

    Dry, hybrid and wet takes count alike there, however many of each a recipe makes.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
        config: what share is enough.
    """
    if "p_processing" not in held:
        return 1.0
    meta, held = takes(meta, held)
    return _line(meta, held, config, np.ones(len(meta), bool))


def _line(meta: pd.DataFrame, held: Outputs, config: Config, among: npt.NDArray[np.bool_]) -> float:
    rows = _made(meta, held) & among
    truth = meta["processing"][rows].map(PROCESSINGS.index).to_numpy()
    found, sure = held["p_processing"][rows].argmax(1), held["p_processing"][rows].max(1)
    weight = (1.0 / np.maximum(np.bincount(truth, minlength=len(PROCESSINGS)), 1))[truth]
    for threshold in np.arange(0.5, 0.95, 0.01):
        stated = sure >= threshold
        said = [(k, stated & (found == k)) for k in np.unique(found[stated])]
        right = [np.average(truth[here] == k, weights=weight[here]) for k, here in said]
        if right and min(right) >= config.min_right_processing:
            return round(float(threshold), 4)
    return 0.95


def effects(meta: pd.DataFrame, held: Outputs) -> dict[str, Any]:
    """Return how well each effect is told, take by take, on dry recordings and chains of them, and after a separation.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
    """
    if "p_effects" not in held:
        return {}
    meta, held = takes(meta, held)
    out: dict[str, Any] = {}
    truth, strength = labels.effects(meta), labels.strengths(meta)
    fold = meta["fold"].to_numpy()
    for group, here in (
        ("studio", meta["kind"].isin(["clean", "processed"]) & (meta["origin"] == "studio")),
        ("separated", (meta["origin"] == "separated") & ~meta["kind"].str.startswith(DEGRADED)),
    ):
        rows = here.to_numpy() & np.isfinite(held["p_effects"][:, 0]) & labels.from_dry(meta)
        found: dict[str, Any] = {}
        for k, name in enumerate(EFFECTS):
            known = rows & np.isfinite(truth[:, k])
            if known.sum() >= 20 and 0 < truth[known, k].sum() < known.sum():
                y, p = truth[known, k] > 0.5, held["p_effects"][known, k]
                called = fitting.called_by_other_folds(p, y, fold[known])
                strong = ~y | (strength[known, k] >= STRONG)
                found[name] = {
                    "n": int(known.sum()),
                    "share": evaluate.share(y),
                    "auc": _auc(y, p),
                    "strong_auc": _auc(y[strong], p[strong]),
                    "f1": round(float(f1_score(y, called)), 4),
                }
        if found:
            found["macro_f1"] = round(float(np.mean([v["f1"] for v in found.values()])), 4)
            out[group] = found
    return out


def strengths(meta: pd.DataFrame, held: Outputs) -> dict[str, Any]:
    """Return how well the strength of each effect is told where it was applied, take by take, by origin.

    Args:
        meta: all rows, described.
        held: what the folds' models said.

    Returns:
        By origin and effect the takes, the mean absolute error, that of a constant fixed on the other folds, and the
        rank correlation; and ``told``, the effects whose strength a verdict may state.
    """
    if "strengths" not in held:
        return {}
    meta, held = takes(meta, held)
    truth, fold = labels.strengths(meta), meta["fold"].to_numpy()
    out: dict[str, Any] = {}
    for group in ("studio", "separated"):
        found: dict[str, Any] = {}
        for k, name in enumerate(EFFECTS):
            known = np.isfinite(truth[:, k]) & np.isfinite(held["strengths"][:, k])
            here = known & (meta["origin"] == group).to_numpy()
            if here.sum() < 20 or len(np.unique(fold[known])) < 2:
                continue
            y, said = truth[here, k], np.clip(held["strengths"][here, k], 0, 1)
            constant = np.array([np.median(truth[known & (fold != number), k]) for number in fold[here]])
            found[name] = {
                "n": int(here.sum()),
                "error": round(float(np.abs(said - y).mean()), 4),
                "constant_error": round(float(np.abs(constant - y).mean()), 4),
                "correlation": round(float(spearmanr(said, y).statistic), 4),
            }
        if found:
            out[group] = found
    better = {k for k, v in out.get("studio", {}).items() if v["error"] <= (1 - LEAST_GAIN) * v["constant_error"]}
    return out | {"told": [name for name in EFFECTS if name in better]}


def layers(meta: pd.DataFrame, held: Outputs) -> dict[str, Any]:
    """Return how well several performances are told from one, over all stems and by stem.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
    """
    if "p_submix" not in held:
        return {}
    truth = labels.layers(meta)
    rows = np.isfinite(truth) & np.isfinite(held["p_submix"]) & meta["kind"].isin(["clean", "submix"]).to_numpy()
    rows &= evaluate.may_be_judged(meta)
    if not rows.any():
        return {}
    out = {"n": int(rows.sum()), "auc": _auc(truth[rows], held["p_submix"][rows])}
    for stem in ("vocals", "other", "drums"):
        here = rows & (meta["stem"] == stem).to_numpy()
        if here.any():
            out[f"auc_{stem}"] = _auc(truth[here], held["p_submix"][here])
    return out


def _made(meta: pd.DataFrame, held: Outputs) -> npt.NDArray[np.bool_]:
    """Held-out dry recordings and the project's chains on them."""
    made = meta["kind"].isin(["clean", "processed"]).to_numpy() & labels.from_dry(meta)
    return _of_known_processing(meta, held) & made & (meta["origin"] == "studio").to_numpy()


def _of_known_processing(meta: pd.DataFrame, held: Outputs) -> npt.NDArray[np.bool_]:
    """Held-out rows whose processing is known."""
    return meta["processing"].isin(PROCESSINGS).to_numpy() & np.isfinite(held["p_processing"][:, 0])


def _auc(truth: npt.NDArray[Any], score: npt.NDArray[Any]) -> float | None:
    return round(float(roc_auc_score(truth, score)), 4) if len(np.unique(truth)) == 2 else None
