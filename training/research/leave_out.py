"""Does a detector know separators that it never saw? ``python -m training.research.leave_out MANIFEST...``.

For each separator family, detectors are fitted without the family and without a third of all songs and repositories,
and judged on the family's clips and the true stems of that third.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from tqdm import tqdm

from training.options import told
from training.research import detector
from training.research.detector import Windows

LEAST_CLIPS = 4
N_FOLDS = 3
_PAGE = """# Separators that a detector never saw

Made by `python -m training.research.leave_out MANIFEST --out docs/unseen-families.md`, hardest family first. It is the
light detector of `training/research/detector.py` ({rounds} rounds of boosted trees, no augmentation, no surrogates),
not the shipped model, whose figures are on its card. What is told from {n_true} true stems is each family's clips, by
the area under the ROC curve (0.5 is chance); no detector saw the song or the repository of what it judged ({n_folds}
folds).

- **never seen**: detectors that learned from every other family.
- **known**: detectors that also learned from the family's clips of other songs and repositories.
- **the others**: what the detectors of the first column make of all other families.

**From** counts the songs and repositories that a family's clips come from; those that share a song are one. Where it is
1, what is held out is the whole family either way, and the first two figures differ by chance, as they do where a
family has few clips.

| family | kind | clips | from | never seen | known | the others |
|---|---|---:|---:|---:|---:|---:|
{lines}
"""


def leave_out(windows: Windows, family: str, known: pd.DataFrame | None = None, seed: int = 0) -> dict[str, Any]:
    """Fit without a family, and without the songs and repositories that are judged.

    Args:
        windows: of a corpus.
        family: the separator family to leave out.
        known: clips as detectors that learned from all families judge them, from :func:`judge`.
        seed: of the folds over songs and repositories.

    Returns:
        ``kind`` of the family, ``n`` clips of it from ``n_units`` songs or repositories and ``n_true`` true stems
        judged; ``auc`` of the one against the other, ``auc_known`` the same with other songs of the family learned
        from, and ``auc_others`` of the other families' clips, which were held out by song or repository alone.

    Raises:
        ValueError: no clip of that family.
    """
    meta = windows.meta
    own = (meta["family"] == family).to_numpy()
    if not own.any():
        names = ", ".join(sorted(f for f in meta["family"].unique() if f))
        raise ValueError(f"found no clip of family {family!r}; needed: one of {names}")
    clips = judge(windows, ~own, seed)
    true, mine = clips["origin"] == "studio", clips["family"] == family
    return {
        "kind": str(clips.loc[mine, "kind"].iloc[0]),
        "n": int(mine.sum()),
        "n_units": int(clips.loc[mine, "unit"].nunique()),
        "n_true": int(true.sum()),
        "auc": _auc(clips, mine),
        "auc_known": None if known is None else _auc(known, known["family"] == family),
        "auc_others": _auc(clips, ~true & ~mine),
    }


def judge(windows: Windows, usable: npt.NDArray[np.bool_], seed: int = 0) -> pd.DataFrame:
    """Return every clip with the log odds of a detector that never saw its song and repository.

    Args:
        windows: of a corpus.
        usable: rows that detectors may learn from.
        seed: of the folds over songs and repositories.
    """
    logit = np.zeros(len(windows.meta))
    folds = GroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    for learn, held in folds.split(windows.features, groups=windows.meta["unit"]):
        rows = np.zeros(len(logit), np.bool_)
        rows[learn] = True
        logit[held] = detector.fit(windows, rows & usable, seed).trees.decision_function(windows.features[held])
    return detector.by_clip(windows, np.ones(len(logit), np.bool_), logit)


def _auc(clips: pd.DataFrame, part: pd.Series) -> float | None:
    """AUC of some separated clips against all true stems; None where there is neither."""
    true = clips["origin"] == "studio"
    rows = true | part
    if not (true.any() and part.any()):
        return None
    return round(float(roc_auc_score(part[rows], clips.loc[rows, "logit"])), 3)


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return the table as a page in Markdown.

    Args:
        found: what :func:`leave_out` returns, by family.
    """
    lines = [
        f"| {name} | {f['kind']} | {f['n']} | {f['n_units']} | "
        f"{_cell(f['auc'])} | {_cell(f['auc_known'])} | {_cell(f['auc_others'])} |"
        for name, f in found.items()
    ]
    n_true = next(iter(found.values()))["n_true"]
    return _PAGE.format(n_true=n_true, n_folds=N_FOLDS, rounds=detector.ROUNDS, lines="\n".join(lines))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    family: Annotated[list[str], typer.Option(help="Leave out these; all with four clips or more by default.")] = [],  # noqa: B006
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Markdown file for the table.")] = None,
) -> None:
    """Print how well each separator family is found by a detector that never saw it."""
    windows = detector.gather(manifest, workers)
    counts = windows.meta[windows.separated].groupby("family")["clip"].nunique()
    families = family or sorted(counts[counts >= LEAST_CLIPS].index)
    try:
        known = judge(windows, np.ones(len(windows.meta), np.bool_))
        found = {name: leave_out(windows, name, known) for name in tqdm(families, unit="family")}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--family") from None
    found = dict(sorted(found.items(), key=lambda kv: kv[1]["auc"] or 0))
    print(json.dumps(found, indent=2))
    if out is not None:
        out.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
