"""Does a detector know separators that it never saw? ``python -m training.research.leave_out MANIFEST...``.

For each separator family, a detector is fitted without the family and without the songs and repositories its clips
come from, and judged on it against true stems that were left out as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from training.research import detector
from training.research.detector import Windows

LEAST_CLIPS = 4


def leave_out(windows: Windows, family: str, share_of_true: float = 0.34, seed: int = 0) -> dict[str, Any]:
    """Fit without a family and judge on it.

    Args:
        windows: of a corpus.
        family: the separator family to leave out.
        share_of_true: of the other units with true stems, this share is left out to be judged against.
        seed: which units those are.

    Returns:
        ``n`` clips of the family, ``auc`` against held-out true stems, and ``auc_seen``, of the other families' clips
        that were held out by unit alone.

    Raises:
        ValueError: no clip of that family.
    """
    meta = windows.meta
    own = (meta["family"] == family).to_numpy()
    if not own.any():
        known = ", ".join(sorted(f for f in meta["family"].unique() if f))
        raise ValueError(f"found no clip of family {family!r}; needed: one of {known}")
    units = np.array(sorted(set(meta["unit"]) - set(meta.loc[own, "unit"])))
    drawn = np.random.default_rng(seed).permutation(units)[: max(1, round(share_of_true * len(units)))]
    held = meta["unit"].isin(drawn).to_numpy() | meta["unit"].isin(meta.loc[own, "unit"]).to_numpy()
    fitted = detector.fit(windows, ~held & ~own, seed)
    judged = held | own
    clips = detector.by_clip(windows, judged, fitted.trees.decision_function(windows.features[judged]))
    true = clips["origin"] == "studio"
    mine, others = clips["family"] == family, ~true & (clips["family"] != family)

    def auc(part: Any) -> float | None:
        rows = true | part
        return round(float(roc_auc_score(part[rows], clips.loc[rows, "logit"])), 3) if part.any() else None

    return {"n": int(mine.sum()), "n_true": int(true.sum()), "auc": auc(mine), "auc_seen": auc(others)}


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
