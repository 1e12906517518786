"""Does a detector know separators that it never saw? ``python -m training.research.leave_out MANIFEST...``.

For each separator family, detectors are fitted without the family and without a third of all songs and repositories,
and judged on the family's clips and the true stems of that third.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from tqdm import tqdm

from training.research import detector
from training.research.detector import Windows

LEAST_CLIPS = 4
N_FOLDS = 3


def leave_out(windows: Windows, family: str, seed: int = 0) -> dict[str, Any]:
    """Fit without a family, and without the songs and repositories that are judged.

    Args:
        windows: of a corpus.
        family: the separator family to leave out.
        seed: of the folds over songs and repositories.

    Returns:
        ``n`` clips of the family and ``n_true`` true stems judged, ``auc`` of the one against the other, and
        ``auc_seen`` of the other families' clips, which were held out by song or repository alone.

    Raises:
        ValueError: no clip of that family.
    """
    meta = windows.meta
    own = (meta["family"] == family).to_numpy()
    if not own.any():
        known = ", ".join(sorted(f for f in meta["family"].unique() if f))
        raise ValueError(f"found no clip of family {family!r}; needed: one of {known}")
    logit = np.zeros(len(meta))
    folds = GroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    for learn, judge in folds.split(windows.features, groups=meta["unit"]):
        rows = np.zeros(len(meta), np.bool_)
        rows[learn] = True
        fitted = detector.fit(windows, rows & ~own, seed)
        logit[judge] = fitted.trees.decision_function(windows.features[judge])
    clips = detector.by_clip(windows, np.ones(len(meta), np.bool_), logit)
    true, mine = clips["origin"] == "studio", clips["family"] == family

    def auc(part: Any) -> float | None:
        rows = true | part
        return round(float(roc_auc_score(part[rows], clips.loc[rows, "logit"])), 3) if part.any() else None

    return {"n": int(mine.sum()), "n_true": int(true.sum()), "auc": auc(mine), "auc_seen": auc(~true & ~mine)}


def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    family: Annotated[list[str], typer.Option(help="Leave out these; all with four clips or more by default.")] = [],  # noqa: B006
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Print how well each separator family is found by a detector that never saw it."""
    windows = detector.gather(manifest, workers)
    counts = windows.meta[windows.separated].groupby("family")["clip"].nunique()
    families = family or sorted(counts[counts >= LEAST_CLIPS].index)
    try:
        found = {name: leave_out(windows, name) for name in tqdm(families, unit="family")}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--family") from None
    print(json.dumps(dict(sorted(found.items(), key=lambda kv: kv[1]["auc"] or 0)), indent=2))


if __name__ == "__main__":
    typer.run(main)
