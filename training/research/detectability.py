"""Does a better separator become harder to detect? ``python -m training.research.detectability MANIFEST... --out DIR``.

Extractions of known SDR are scored by detectors that saw neither their song nor their separator's family, and by the
logistic model on the cues that did not see their song. Writes ``detectability.csv`` and ``detectability.png``.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import numpy as np
import pandas as pd
import typer
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from training import splits
from training.options import told
from training.research import detector, logistic, table

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EDGES_DB = (-30.0, 0.0, 3.0, 6.0, 9.0, 60.0)
LEAST_CLIPS = 5


def trace(clips: pd.DataFrame) -> dict[str, Any]:
    """Return how detectability goes with SDR.

    Args:
        clips: one row a clip with ``origin``, ``sdr_db``, ``stem`` and ``logit``; true stems among them.

    Returns:
        The rank correlation of SDR and log odds (positive: better separations are easier to find), over all and by
        stem, and the AUC against true stems in each range of SDR.
    """
    true = clips[clips["origin"] == "studio"]
    known = clips[(clips["origin"] == "separated") & clips["sdr_db"].notna()]
    out: dict[str, Any] = {"n": len(known), "rank_correlation": {}, "auc_by_sdr_db": {}}
    for stem, part in [("all", known), *known.groupby("stem")]:
        if len(part) >= LEAST_CLIPS and part["sdr_db"].nunique() > 1:
            found = spearmanr(part["sdr_db"].astype(float), part["logit"])
            out["rank_correlation"][str(stem)] = {
                "rho": round(float(found.statistic), 3),
                "p": round(float(found.pvalue), 4),
                "n": len(part),
            }
    for low, high in pairwise(EDGES_DB):
        part = known[(known["sdr_db"] >= low) & (known["sdr_db"] < high)]
        if len(part) >= LEAST_CLIPS and len(true):
            label = np.r_[np.ones(len(part)), np.zeros(len(true))]
            auc = roc_auc_score(label, np.r_[part["logit"], true["logit"]])
            out["auc_by_sdr_db"][f"{low:g} to {high:g}"] = {"auc": round(float(auc), 3), "n": len(part)}
    return out


def draw(clips: pd.DataFrame, out: Path) -> None:
    """Plot log odds against SDR, true stems as a band.

    Args:
        clips: as for :func:`trace`.
        out: PNG file.
    """
    true = clips.loc[clips["origin"] == "studio", "logit"]
    known = clips[(clips["origin"] == "separated") & clips["sdr_db"].notna()]
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    if len(true):
        low, middle, high = np.percentile(true, (5, 50, 95))
        axes.axhspan(low, high, color="tab:green", alpha=0.15, label="true stems, 5 to 95 %")
        axes.axhline(middle, color="tab:green", linewidth=1)
    for separator, part in known.groupby("separator"):
        axes.scatter(part["sdr_db"], part["logit"], s=16, alpha=0.7, label=separator)
    axes.set(xlabel="SDR in dB, 10 log10 of signal over error energy", ylabel="log odds of extraction")
    axes.legend(fontsize=8)
    figure.savefig(out, dpi=110)
    plt.close(figure)


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and the plot.")],
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Print and plot whether better separations are harder to detect."""
    out.mkdir(parents=True, exist_ok=True)
    windows = detector.gather(manifest, workers)
    parts = []
    for fold in range(splits.N_FOLDS):
        learn, judge = detector.unseen(windows, fold)
        logit = detector.fit(windows, learn).trees.decision_function(windows.features[judge])
        parts.append(detector.by_clip(windows, judge, logit))
    clips = pd.concat(parts, ignore_index=True)
    cues = table.build(manifest, workers)
    by_cues = cues.assign(logit=logistic.held_out(cues))
    clips.to_csv(out / "detectability.csv", index=False)
    draw(clips, out / "detectability.png")
    print(json.dumps({"unseen_family_detector": trace(clips), "seen_family_cues": trace(by_cues)}, indent=2))


if __name__ == "__main__":
    typer.run(main)
