"""Whether the marks of ``explain`` mean something: ``python -m training.research.deletion MANIFEST...``.

On separated clips whose song, repository and separator family the detector never saw, the marked tenth of the
spectrogram is silenced, and random tenths; the marks must lower the score at least three times as much. A finished
model can be asked instead, on clips that it did not learn from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from provenance import audio
from provenance.audio import Samples
from provenance.explain.tiles import Logits, mark
from provenance.scorer import Scorer
from provenance.windows import split
from training import catalogue, splits
from training.options import told
from training.research import detector

NEEDED_RATIO = 3.0


@dataclass(frozen=True)
class Deleted:
    """What silencing did to one clip's log odds.

    Args:
        clip: its name.
        marked_drop: by the marked tenth.
        random_drop: by a random tenth, mean of several.
    """

    clip: str
    marked_drop: float
    random_drop: float


def report(found: list[Deleted]) -> dict[str, object]:
    """Return the figures of the check.

    Args:
        found: one entry a clip; at least one.
    """
    marked = np.array([d.marked_drop for d in found])
    random = np.array([d.random_drop for d in found])
    ratio = float(marked.mean() / max(abs(random.mean()), 1e-9))
    held = (marked > 0) & (marked >= NEEDED_RATIO * random)
    return {
        "n_clips": len(found),
        "marked_drop_mean": round(float(marked.mean()), 3),
        "random_drop_mean": round(float(random.mean()), 3),
        "ratio_of_means": round(ratio, 2),
        "clips_where_marked_lowers_three_times_as_much": round(float(held.mean()), 3),
        "holds": bool(marked.mean() >= NEEDED_RATIO * max(random.mean(), 0.0) and marked.mean() > 0),
    }


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    clips: Annotated[int, typer.Option(help="Held-out separated clips to try, spread over the folds.")] = 45,
    model: Annotated[str, typer.Option(help="Ask this model instead; clips should be new to it.")] = "",
    workers: Annotated[int, typer.Option(help="Processes for the features.")] = 2,
) -> None:
    """Print how much the marks lower the score beside random marks."""
    known = {c.name: c for c in catalogue.load(manifest)[0]}
    found: list[Deleted] = []
    for logits, names in _held_out(manifest, clips, model, workers):
        for name in tqdm(names, unit="clip"):
            window = _first_sounding(known[name].path)
            if window is not None:
                marks = mark(window, logits)
                found.append(Deleted(name, marks.marked_drop, marks.random_drop))
    print(json.dumps(report(found), indent=2))


def _held_out(manifests: list[Path], n: int, model: str, workers: int) -> Iterator[tuple[Logits, list[str]]]:
    rng = np.random.default_rng(0)
    if model:
        names = [c.name for c in catalogue.load(manifests)[0] if c.origin == "separated" and not c.oracle]
        yield Scorer(model).logits, list(rng.permutation(names)[:n])
        return
    windows = detector.gather(manifests, workers)
    for fold in range(splits.N_FOLDS):
        learn, judge = detector.unseen(windows, fold)
        fitted = detector.fit(windows, learn)
        names = windows.meta.loc[judge & windows.separated, "clip"].unique()
        yield fitted.logits, list(rng.permutation(names)[: n // splits.N_FOLDS])


def _first_sounding(path: Path) -> Samples | None:
    with audio.open_audio(path) as (_, blocks):
        for window in split(blocks):
            if float(np.sqrt(np.mean((window.samples - window.samples.mean(axis=0)) ** 2))) > 1e-4:
                return window.samples
    return None


if __name__ == "__main__":
    typer.run(main)
