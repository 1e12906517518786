"""What the protocol found: figures of every head on what was held out, tables and plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from training import calibrate as fitting
from training import evaluate
from training.catalogue.clips import shown
from training.config import Config
from training.dataset import Table
from training.heads import Outputs
from training.report import derived, origin, production, separation
from training.report.origin import FALSE_ALARMS, caught_at, metadata_probe, seen_family
from training.report.production import effects, processing, processing_threshold, strengths
from training.report.separation import mean_sdr, sdr

__all__ = [
    "FALSE_ALARMS",
    "caught_at",
    "effects",
    "mean_sdr",
    "metadata_probe",
    "processing",
    "processing_threshold",
    "report",
    "sdr",
    "seen_family",
    "strengths",
    "write",
]


def report(table: Table, held: Outputs, config: Config) -> dict[str, Any]:
    """Return all figures of the unseen protocol.

    Args:
        table: all rows, described.
        held: what the folds' models said.
        config: bounds of the thresholds.
    """
    meta, found = table.meta, held
    scored, held, of_fold = _decided(meta, found, config)
    known = origin.seen_family(meta, held, config)
    return {
        "n_struck": int(meta.loc[meta["struck"], "clip"].nunique()),
        "unseen": origin.everything(scored, config.seed),
        "by_manifest": origin.by_group(scored, "manifest"),
        "by_set": origin.by_group(scored, "set"),
        "by_stem": origin.by_group(scored, "stem"),
        "by_codec": origin.by_group(scored, "codec"),
        "by_family": {k: v for k, v in origin.by_group(scored, "family").items() if k},
        "by_repository": origin.by_group(scored, "repo", least=3),
        "by_sdr": origin.by_sdr(scored),
        "accused": [shown(c) for c in scored[~scored["separated"] & (scored["called"] == "separated")]["clip"]],
        "reliability": fitting.reliability(scored["p_separated"], scored["separated"]),
        "risk": origin.risk(scored),
        "metadata_only_auc": origin.metadata_probe(scored),
        "degraded": derived.degraded(meta, held, config, of_fold),
        "sums": derived.sums(meta, held, config, of_fold),
        "wholes": derived.wholes(meta, held, of_fold),
        "seen_family_unseen_song_auc": evaluate.auc(known),
        "pairs_unseen_song_auc": evaluate.auc(known[known["set"] == "pairs"]),
        "near_oracle": origin.near_oracle(meta, held),
        "reworked": derived.reworked(meta, held, config),
        "edited": derived.edited(meta, held, config, of_fold),
        "denoised": derived.denoised(meta, found, config, of_fold),
        "processing": production.processing(meta, held, config),
        "effects": production.effects(meta, held),
        "strengths": production.strengths(meta, held),
        "kind": separation.kind(meta, held, config),
        "layers": production.layers(meta, held),
        "sdr": separation.sdr(scored),
        "sdr_seen_family": separation.sdr(known, scored),
    }


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
    for name, part in scored.groupby("origin"):
        axes[2].hist(part["p_separated"], bins=25, range=(0, 1), alpha=0.6, label=str(name))
    axes[2].set(xlabel="p_separated", ylabel="files", title="held-out files")
    axes[2].legend()
    fig.tight_layout()
    fig.savefig(out / "protocol.png", dpi=110)
    plt.close(fig)


def _decided(
    meta: pd.DataFrame, held: Outputs, config: Config
) -> tuple[pd.DataFrame, Outputs, dict[int, evaluate.Limits]]:
    """Held-out files as they were decided, the scores that were decided by, and what each fold was decided with."""
    judged = evaluate.judged_rows(meta, config.n_folds)
    of_fold = evaluate.limits(evaluate.files(meta, held, judged), config)
    held = evaluate.guard(meta, held, of_fold)
    return evaluate.decisions(evaluate.files(meta, held, judged), of_fold), held, of_fold
