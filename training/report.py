"""What the protocol found: figures by family, repository, stem, SDR and degradation, tables and plots."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from provenance.model import EFFECTS, KINDS, PROCESSINGS
from training import calibrate as fitting
from training import evaluate, labels
from training.catalogue.clips import shown
from training.config import Config
from training.dataset import Table
from training.examples import DEGRADED, OUT_OF_MIXES
from training.heads import Outputs

MIN_GROUP = 5
STRONG = 0.6
"""Strength, of 1, from which an effect counts as strong."""
SDR_EDGES_DB = (-20.0, 0.0, 3.0, 6.0, 9.0, 12.0, 60.0)
_OF_A_BAND = ("mae_db", "half_width_db", "covered")
ESTIMATE_EDGES_DB = (-20.0, 5.0, 7.0, 9.0, 11.0, 60.0)
LEAST_GAIN = 0.1
"""The strength of an effect is told by a model whose error is so much below a constant's, as a share of it."""
FALSE_ALARMS = (0.01, 0.02, 0.05)


def report(table: Table, held: Outputs, config: Config) -> dict[str, Any]:
    """Return all figures of the unseen protocol.

    Args:
        table: all rows, described.
        held: what the folds' models said.
        config: bounds of the thresholds.
    """
    meta = table.meta
    scored, held, of_fold = _decided(meta, held, config)
    called = lambda part, origin: evaluate.figures(part)[f"{origin}_called_separated"]  # noqa: E731
    out: dict[str, Any] = {
        "n_struck": int(meta.loc[meta["struck"], "clip"].nunique()),
        "unseen": evaluate.figures(scored)
        | {
            "auc_interval": evaluate.interval(scored, evaluate.auc, config.seed),
            "studio_called_separated_interval": evaluate.interval(scored, lambda p: called(p, "studio"), config.seed),
            "separated_called_separated_interval": evaluate.interval(
                scored, lambda p: called(p, "separated"), config.seed
            ),
            "ece": round(fitting.ece(scored["p_separated"], scored["separated"]), 4),
            "undecided": round(float((scored["called"] == "undecided").mean()), 4),
            "right_of_decided": _right(scored),
            "caught_at_false_alarm": caught_at(scored),
        },
        "by_manifest": _by(scored, "manifest"),
        "by_set": _by(scored, "set"),
        "by_stem": _by(scored, "stem"),
        "by_codec": _by(scored, "codec"),
        "by_family": {k: v for k, v in _by(scored, "family").items() if k},
        "by_repository": _by(scored, "repo", least=3),
        "by_sdr": _by_sdr(scored),
        "accused": [shown(c) for c in scored[~scored["separated"] & (scored["called"] == "separated")]["clip"]],
        "reliability": fitting.reliability(scored["p_separated"], scored["separated"]),
        "risk": _risk(scored),
        "metadata_only_auc": metadata_probe(scored),
        "degraded": _degraded(meta, held, config, of_fold),
        "sums": _sums(meta, held, config, of_fold),
        "wholes": _wholes(meta, held, of_fold),
    }
    known = seen_family(meta, held, config)
    out["seen_family_unseen_song_auc"] = evaluate.auc(known)
    out["pairs_unseen_song_auc"] = evaluate.auc(known[known["set"] == "pairs"])
    oracle = (meta["kind"] == "clean").to_numpy() & meta["oracle"].to_numpy(bool) & ~meta["struck"].to_numpy(bool)
    near = evaluate.files(meta, held, oracle & np.isfinite(held["logit"]))
    out["near_oracle"] = {"n": len(near), "mean_logit": round(float(near["logit"].mean()), 3) if len(near) else None}
    out["reworked"] = _reworked(meta, held, config)
    out["processing"] = processing(meta, held, config)
    out["effects"] = effects(meta, held)
    out["strengths"] = strengths(meta, held)
    out["kind"] = _kind(meta, held, config)
    out["layers"] = _layers(meta, held)
    out["sdr"] = sdr(scored)
    out["sdr_seen_family"] = sdr(known, scored)
    return out


def _decided(
    meta: pd.DataFrame, held: Outputs, config: Config
) -> tuple[pd.DataFrame, Outputs, dict[int, evaluate.Limits]]:
    """Held-out files as they were decided, the scores that were decided by, and what each fold was decided with."""
    judged = evaluate.judged_rows(meta, config.n_folds)
    of_fold = evaluate.limits(evaluate.files(meta, held, judged), config)
    held = evaluate.guard(meta, held, of_fold)
    return evaluate.decisions(evaluate.files(meta, held, judged), of_fold), held, of_fold


def _by(scored: pd.DataFrame, column: str, least: int = MIN_GROUP) -> dict[str, Any]:
    return {str(name): evaluate.figures(part) for name, part in scored.groupby(column) if len(part) >= least}


def _right(scored: pd.DataFrame) -> float | None:
    decided = scored[scored["called"] != "undecided"]
    return round(float((decided["called"] == decided["origin"]).mean()), 4) if len(decided) else None


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
            fake = part[part["separated"]]["logit"]
            if len(true) and len(fake):
                shares.append(float((fake > true[int(rate * len(true) + 1e-9)]).mean()))
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


def _by_sdr(scored: pd.DataFrame) -> list[dict[str, Any]]:
    fake = scored[scored["separated"] & scored["sdr_db"].notna()]
    out = []
    for low, high in pairwise(SDR_EDGES_DB):
        part = fake[(fake["sdr_db"] >= low) & (fake["sdr_db"] < high)]
        if len(part):
            out.append(
                {
                    "from_db": low,
                    "to_db": high,
                    "n": len(part),
                    "called_separated": round(float((part["called"] == "separated").mean()), 4),
                    "called_studio": round(float((part["called"] == "studio").mean()), 4),
                }
            )
    return out


def _risk(scored: pd.DataFrame) -> list[dict[str, float]]:
    """Share of wrong calls among the surest files, at growing coverage."""
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


def _degraded(meta: pd.DataFrame, held: Outputs, config: Config, of_fold: dict[int, evaluate.Limits]) -> dict[str, Any]:
    """Figures after each degradation, beside the same clips as they are.

    Of these the first sounding window too, and without the cue ``cycles``: no more is known of what was made here.
    """
    held = {name: values for name, values in held.items() if name != "raised"}
    unseen = evaluate.unseen_rows(meta, config.n_folds)
    kinds = sorted(k for k in meta["kind"].unique() if str(k).startswith(DEGRADED))
    if not kinds:
        return {}
    clips = set(meta[meta["kind"].isin(kinds)]["clip"])
    same = (meta["kind"] == "clean").to_numpy() & meta["clip"].isin(clips).to_numpy() & unseen
    first = meta.index.isin(meta[same].groupby("clip")["window"].idxmin())
    out = {"as they are": evaluate.figures(evaluate.decisions(evaluate.files(meta, held, first), of_fold))}
    for kind in kinds:
        rows = (meta["kind"] == kind).to_numpy() & unseen
        name = kind.removeprefix(DEGRADED)
        out[name] = evaluate.figures(evaluate.decisions(evaluate.files(meta, held, rows), of_fold))
    return out


def _reworked(meta: pd.DataFrame, held: Outputs, config: Config) -> dict[str, Any]:
    """How well reworked windows are told from others, of either origin; empty without a head that does."""
    if "p_reworked" not in held:
        return {}
    y, unseen = labels.reworked(meta), evaluate.unseen_rows(meta, config.n_folds)
    out: dict[str, Any] = {}
    for origin in ("studio", "separated"):
        rows = unseen & np.isfinite(y) & (meta["origin"] == origin).to_numpy()
        if len(np.unique(y[rows])) == 2:
            out[f"auc_{origin}"] = round(float(roc_auc_score(y[rows], held["p_reworked"][rows])), 4)
    return out


def _sums(meta: pd.DataFrame, held: Outputs, config: Config, of_fold: dict[int, evaluate.Limits]) -> dict[str, Any]:
    """Figures of sums of true stems, each window by itself: they are dense, and nothing was extracted."""
    true = (meta["kind"] == "bundle").to_numpy() & (meta["origin"] == "studio").to_numpy()
    true &= evaluate.unseen_rows(meta, config.n_folds)
    each = meta.assign(clip=meta["clip"] + "#" + meta["window"].astype(str))
    with_voice = (meta["pair"] == "").to_numpy()  # an instrumental has an extraction beside it
    return {
        name: evaluate.figures(evaluate.decisions(evaluate.files(each, held, true & here), of_fold))
        for name, here in (("instrumentals", ~with_voice), ("mixes", with_voice))
        if (true & here).any()
    }


def _wholes(meta: pd.DataFrame, held: Outputs, of_fold: dict[int, evaluate.Limits]) -> dict[str, Any]:
    """Figures of estimates out of whole mixes of unseen songs and of their true stems, each window by itself.

    By family, masked over or not, judged by models that learnt from others of its estimates, and by the one that learnt
    from none.
    """
    there = meta["pair"].str.contains(OUT_OF_MIXES).to_numpy() & np.isfinite(held["logit"])
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
            scored = evaluate.decisions(evaluate.files(each, held, own | beside), of_fold)
            middle = round(float(meta["sdr_db"][own].median()), 2)
            out[f"{family}, {name}"] = evaluate.figures(scored) | {"median_sdr_db": middle}
    return out


def processing(meta: pd.DataFrame, held: Outputs, config: Config) -> dict[str, Any]:
    """Return how well dry, hybrid and wet are told: on chains, after a separation, on recordings.

    Of what is stated at all, each fold's rows are judged by the line that the chains of the other folds gave.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
        config: what share of the stated must be right.
    """
    if "p_processing" not in held:
        return {"classes": list(PROCESSINGS)}
    known = meta["processing"].isin(PROCESSINGS).to_numpy() & np.isfinite(held["p_processing"][:, 0])
    studio = (meta["origin"] == "studio").to_numpy()
    clean = (meta["kind"] == "clean").to_numpy()
    out: dict[str, Any] = {"classes": list(PROCESSINGS)}
    groups = {
        "made": _made(meta, held),
        "made_and_separated": known & ~studio & labels.from_dry(meta),
        "fx_pairs": known & clean & meta["set"].eq("fx_pairs").to_numpy(),
        "dry_against_wet_recordings": known & clean & studio & meta["set"].isin(["dry", "true"]).to_numpy(),
        "recordings": known & clean & studio & ~meta["set"].eq("fx_pairs").to_numpy(),
    }
    fold = meta["fold"].to_numpy()
    line = np.ones(len(meta))
    for k in np.unique(fold):
        line[fold == k] = processing_threshold(meta, held, config, fold != k)
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
            "confusion": matrix.tolist(),
            "macro_f1": round(float(f1_score(truth, found, labels=present, average="macro")), 4),
            "dry_against_rest_auc": _auc(truth > 0, 1 - held["p_processing"][here][:, 0]),
            "stated": round(float(stated.mean()), 4),
            "right_of_stated": _share(found[stated] == truth[stated]),
            "dry_called_wet": _share((stated & (found == 2))[truth == 0]),
            "wet_called_dry": _share((stated & (found == 0))[truth == 2]),
        }
    return out


def _share(values: npt.NDArray[np.bool_]) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def processing_threshold(
    meta: pd.DataFrame, held: Outputs, config: Config, among: npt.NDArray[np.bool_] | None = None
) -> float:
    """Return the least probability from which enough of what is stated is right on held-out chains, class by class.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
        config: what share is enough.
        among: rows to look at; None for all.
    """
    if "p_processing" not in held:
        return 1.0
    rows = _made(meta, held)
    rows = rows if among is None else rows & among
    truth = meta["processing"][rows].map(PROCESSINGS.index).to_numpy()
    found, sure = held["p_processing"][rows].argmax(1), held["p_processing"][rows].max(1)
    for threshold in np.arange(0.5, 0.95, 0.01):
        stated = sure >= threshold
        right = [(truth[stated & (found == k)] == k).mean() for k in np.unique(found[stated])]
        if right and min(right) >= config.min_right_processing:
            return round(float(threshold), 4)
    return 0.95


def _made(meta: pd.DataFrame, held: Outputs) -> npt.NDArray[np.bool_]:
    """Held-out dry recordings and the project's chains on them."""
    known = meta["processing"].isin(PROCESSINGS).to_numpy() & np.isfinite(held["p_processing"][:, 0])
    made = meta["kind"].isin(["clean", "processed"]).to_numpy() & labels.from_dry(meta)
    return known & made & (meta["origin"] == "studio").to_numpy()


def _auc(truth: npt.NDArray[Any], score: npt.NDArray[Any]) -> float | None:
    return round(float(roc_auc_score(truth, score)), 4) if len(np.unique(truth)) == 2 else None


def effects(meta: pd.DataFrame, held: Outputs) -> dict[str, Any]:
    """Return how well each effect is told on dry recordings and chains made of them, and after a separation.

    Args:
        meta: all rows, described.
        held: what the folds' models said.
    """
    if "p_effects" not in held:
        return {}
    out: dict[str, Any] = {}
    truth, strength = labels.effects(meta), labels.strengths(meta)
    fold = meta["fold"].to_numpy()
    for group, here in (
        ("studio", meta["kind"].isin(["clean", "processed"]) & (meta["origin"] == "studio")),
        ("separated", meta["origin"] == "separated"),
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
                    "share": round(float(y.mean()), 4),
                    "auc": _auc(y, p),
                    "strong_auc": _auc(y[strong], p[strong]),
                    "f1": round(float(f1_score(y, called)), 4),
                }
        if found:
            found["macro_f1"] = round(float(np.mean([v["f1"] for v in found.values()])), 4)
            out[group] = found
    return out


def strengths(meta: pd.DataFrame, held: Outputs) -> dict[str, Any]:
    """Return how well the strength of each effect is told where it was applied, on studio and on separated stems.

    Args:
        meta: all rows, described.
        held: what the folds' models said.

    Returns:
        By origin and effect the rows, the mean absolute error, that of a constant fixed on the other folds, and the
        rank correlation; and ``told``, the effects whose strength a verdict may state.
    """
    if "strengths" not in held:
        return {}
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


def _kind(meta: pd.DataFrame, held: Outputs, config: Config) -> dict[str, Any]:
    """Kind of separator on extractions of families that were not trained on."""
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
        "accuracy": round(float(right.mean()), 4),
        "most_common": round(float(np.bincount(truth[rows]).max() / rows.sum()), 4),
        "stated": round(float(stated.mean()), 4),
        "right_of_stated": round(float(right[stated].mean()), 4) if stated.any() else None,
    }


def _layers(meta: pd.DataFrame, held: Outputs) -> dict[str, Any]:
    if "p_submix" not in held:
        return {}
    truth = labels.layers(meta)
    rows = np.isfinite(truth) & np.isfinite(held["p_submix"]) & meta["kind"].isin(["clean", "submix"]).to_numpy()
    if not rows.any():
        return {}
    out = {"n": int(rows.sum()), "auc": _auc(truth[rows], held["p_submix"][rows])}
    for stem in ("vocals", "other", "drums"):
        here = rows & (meta["stem"] == stem).to_numpy()
        if here.any():
            out[f"auc_{stem}"] = _auc(truth[here], held["p_submix"][here])
    return out


def sdr(scored: pd.DataFrame, fixed_on: pd.DataFrame | None = None) -> dict[str, Any]:
    """Return how far the SDR of extractions is told wrong, beside what is said without listening.

    Args:
        scored: held-out files, as :func:`training.evaluate.files` returns them; those whose SDR was measured count.
        fixed_on: the files that intervals are fixed on; without any the same ones.

    Returns:
        ``n`` files; beside ten and more their errors in dB, the ``interval`` of all they are fixed on, and
        ``by_estimate``: of files whose estimate lies between ESTIMATE_EDGES_DB their number, error, how many lie within
        intervals that the other folds fixed, and how wide half of these is.
    """
    found, truth, fold = _estimates(scored)
    if len(found) < 10:
        return {"n": len(found)}
    teacher = (found, truth, fold) if fixed_on is None else _estimates(fixed_on)
    residual = found - truth
    half = np.zeros(len(found))
    constant = np.full(len(found), np.median(truth))
    for k in np.unique(fold):
        if (fold != k).sum() >= 10:
            constant[fold == k] = np.median(truth[fold != k])
        others = teacher[2] != k
        if others.sum() >= 10:
            fixed = fitting.fit_interval(teacher[0][others], teacher[1][others])
            half[fold == k] = [fixed.half_width(value) for value in found[fold == k]]
    covered = np.abs(residual) <= half
    return {
        "n": len(found),
        "mae_db": round(float(np.abs(residual).mean()), 3),
        "mae_of_other_folds_median_db": round(float(np.abs(truth - constant).mean()), 3),
        "mae_of_the_median_db": round(float(np.abs(truth - np.median(truth)).mean()), 3),
        "bias_db": round(float(residual.mean()), 3),
        "correlation": round(float(np.corrcoef(truth, found)[0, 1]), 3),
        "interval": {name: round(v, 4) for name, v in asdict(fitting.fit_interval(*teacher[:2])).items()},
        "half_width_db": round(float(half.mean()), 3),
        "coverage_on_other_folds": round(float(covered.mean()), 4),
        "by_estimate": [
            {
                "from_db": low, "to_db": high, "n": int(here.sum()),
                "mae_db": round(float(np.abs(residual[here]).mean()), 3),
                "half_width_db": round(float(half[here].mean()), 3), "covered": round(float(covered[here].mean()), 4),
            }
            for low, high in pairwise(ESTIMATE_EDGES_DB)
            if (here := (found >= low) & (found < high)).any()
        ],
    }  # fmt: skip


def mean_sdr(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of figures of SDR over several deals of the folds.

    Args:
        parts: figures as :func:`sdr` returns them, of ten files and more each.

    Returns:
        The same, ``n`` and the rows of ``by_estimate`` for a deal in the mean; beside them ``deals``, their number, and
        ``mae_spread_db``, the standard deviation of their errors.
    """
    frame = pd.DataFrame(parts)
    numbers = frame.drop(columns=["n", "interval", "by_estimate"]).mean().round(3).to_dict()
    rows = pd.DataFrame([row for part in parts for row in part["by_estimate"]])
    bands = []
    for (low, high), band in rows.groupby(["from_db", "to_db"]):
        means = {name: round(float(np.average(band[name], weights=band["n"])), 3) for name in _OF_A_BAND}
        bands.append({"from_db": low, "to_db": high, "n": round(float(band["n"].sum()) / len(parts), 1)} | means)
    return {
        "n": round(float(frame["n"].mean())),
        **numbers,
        "mae_spread_db": round(float(frame["mae_db"].std(ddof=0)), 3),
        "deals": len(parts),
        "interval": pd.DataFrame(list(frame["interval"])).mean().round(4).to_dict(),
        "by_estimate": bands,
    }


def _estimates(scored: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Estimate, measured SDR within what is learnt, and fold of the extractions whose SDR was measured."""
    known = scored[scored["separated"] & scored["sdr_db"].notna() & scored["sdr_found_db"].notna()]
    truth = known["sdr_db"].clip(labels.MIN_SDR_DB, labels.MAX_SDR_DB)
    return known["sdr_found_db"].to_numpy(float), truth.to_numpy(float), known["fold"].to_numpy(int)


def write(out: Path, figures: dict[str, Any], meta: pd.DataFrame, held: Outputs, config: Config) -> None:
    """Write ``evaluation.json``, a table of files, and plots.

    Args:
        out: folder.
        figures: of :func:`report`.
        meta: all rows, described.
        held: what the folds' models said.
        config: bounds of the thresholds.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    scored, _, _ = _decided(meta, held, config)
    scored.to_csv(out / "files.csv", index=False)
    fig, axes = plt.subplots(1, 3, figsize=(15, 4.5))
    bins = figures["reliability"]
    axes[0].plot([0, 1], [0, 1], color="0.7")
    axes[0].plot([b["mean_p"] for b in bins], [b["share_separated"] for b in bins], "o-")
    axes[0].set(xlabel="stated p_separated", ylabel="share separated", title="reliability, both classes weighted alike")
    axes[1].plot([r["coverage"] for r in figures["risk"]], [r["risk"] for r in figures["risk"]], "o-")
    axes[1].set(xlabel="coverage", ylabel="share wrong", title="risk against coverage")
    for origin, part in scored.groupby("origin"):
        axes[2].hist(part["p_separated"], bins=25, range=(0, 1), alpha=0.6, label=str(origin))
    axes[2].set(xlabel="p_separated", ylabel="files", title="held-out files")
    axes[2].legend()
    fig.tight_layout()
    fig.savefig(out / "protocol.png", dpi=110)
    plt.close(fig)
