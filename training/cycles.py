"""Weigh the cue ``cycles`` and put its weight into a model: ``python -m training.cycles MODEL MANIFEST...``.

The cue is physics and learns nothing of separators: whether a network that works in strides of four shows it has
nothing to do with whether a model has met its like. What it adds to a file's log odds rises over the far end of what
true stems show, and goes as far as the evidence does: to the logarithm of the share of extractions beyond a point over
the highest share of true stems there that is still likely. The graph stays as it is; the weight is written into it as
well, so that its checksum tells the two models apart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from scipy.stats import beta
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from provenance import bundle, evidence
from provenance.bundle import CyclesWeight
from provenance.errors import ModelError, UnreadableAudio
from provenance.evidence import cycles as cue
from provenance.evidence.cycles import Pool
from training import calibrate, catalogue, export, publish, splits
from training.card.origin import POINTS
from training.options import N_WORKERS, Flags, Manifests, Workers, told
from training.research.clips import NO_CLIP, about, sounding

QUANTILES = (0.99, 0.998, 1.0)
"""Of true stems: at the first nothing is added yet, at each of the others what the evidence beyond it allows."""
LEAST_FILES = 5
"""A family of fewer extractions is not listed."""
LEAST_VALUES = (1.04, 1.1, 1.2)
"""Points lie at least so high: the longer a file, the nearer to 1 a true stem reads, and clips are short."""
LEAST_STEP = 0.01
"""Points lie at least so far apart."""
LIKELY = 0.95
"""One-sided confidence of the highest share of true stems beyond a point."""


def main(
    model: Annotated[Path, typer.Argument(help="The model folder.")],
    manifest: Manifests,
    out: Annotated[Path, typer.Option(help="The model folder to write; it may be the same.")],
    flags: Flags = [],  # noqa: B006
    cues: Annotated[Path | None, typer.Option(help="CSV file to write what was measured to.")] = None,
    workers: Workers = N_WORKERS,
) -> None:
    """Measure the cue on labelled clips, fit its weight, judge it by the other folds, and put it in."""
    with told(ModelError, ValueError):
        bundle.read(model)
        described, evaluation = publish.read(model)
        publish.check_place(out)
        table = measure(catalogue.load(manifest, flags)[0], workers)
        if cues:
            table.to_csv(cues, index=False)
        weight = fit(table)
        figures = judge(table)
    described["cycles"] = described_as(weight)
    evaluation["figures"]["cycles"] = figures
    write(model, out, described, evaluation)
    typer.echo(
        f"log odds raised by {weight.raises} at {weight.values}; beyond the second point lie "
        f"{figures['studio_second']:.2%} of {figures['n_studio']} true stems and {figures['separated_second']:.1%} of "
        f"{figures['n_separated']} extractions",
        err=True,
    )


def measure(clips: Sequence[catalogue.Clip], workers: int = N_WORKERS, cache: Path | None = None) -> pd.DataFrame:
    """Return a row for each clip that can be read and sounds: what is known of it, and ``cycles``.

    Args:
        clips: of the catalogue; near-oracles are passed over.
        workers: processes.
        cache: JSON file of what was measured before, which is not measured again unless the cue has changed.

    Raises:
        ValueError: no clip sounds.
    """
    clips = [clip for clip in clips if not clip.oracle]
    known = _known(cache)
    missing = [clip for clip in clips if clip.name not in known]
    if missing:
        with threadpool_limits(1), ProcessPoolExecutor(workers) as pool:
            values = pool.map(_read, [clip.path for clip in missing], chunksize=8)
            found = list(tqdm(values, total=len(missing), desc="cycles", unit="clip"))
        known |= {clip.name: value for clip, value in zip(missing, found, strict=True)}
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            part = cache.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps({"cue": cue.contract(), "values": known}), encoding="utf-8")
            os.replace(part, cache)
    unit_fold, _ = splits.folds(clips)
    rows = [about(clip, unit_fold) | {"cycles": known[clip.name]} for clip in clips if known[clip.name] is not None]
    if not rows:
        raise ValueError(NO_CLIP)
    return pd.DataFrame(rows)


def _known(cache: Path | None) -> dict[str, float | None]:
    """What was measured before, of the cue as it is now."""
    if cache is None or not cache.exists():
        return {}
    found = json.loads(cache.read_text(encoding="utf-8"))
    same = found["cue"] == json.loads(json.dumps(cue.contract()))
    return dict(found["values"]) if same else {}


def raised(meta: pd.DataFrame, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return what the cue adds to the log odds of each row that is a clip as it is, by a weight from the other folds.

    Args:
        meta: rows with columns ``clip``, ``kind`` and ``fold``.
        table: as :func:`measure` returns it.

    Returns:
        Shape (n_rows,); 0 for rows that were made here, which a file's cue is not of.
    """
    fold = dict(zip(meta["clip"], meta["fold"], strict=True))
    adds: dict[str, float] = {}
    folds = table["clip"].map(fold)
    for inside, weight in _by_others(table, folds):
        own = table[inside]
        adds |= {name: weight.of(value) for name, value in zip(own["clip"], own["cycles"], strict=True)}
    return np.where(meta["kind"] == "clean", meta["clip"].map(adds).fillna(0.0), 0.0)


def _by_others(table: pd.DataFrame, fold: pd.Series) -> Iterator[tuple[npt.NDArray[np.bool_], CyclesWeight]]:
    """The rows of each fold with the weight that the other folds give, where these hold both origins."""
    for number in sorted(fold.dropna().unique()):
        inside = (fold == number).to_numpy()
        others = table[fold.notna().to_numpy() & ~inside]
        if others["origin"].nunique() > 1:
            yield inside, fit(others)


def _read(path: Path) -> float | None:
    pool = Pool()
    try:
        for window in islice(sounding(path), evidence.MOST_WINDOWS + 1):
            pool.add(window)
    except UnreadableAudio:
        return None
    return pool.counted


def fit(table: pd.DataFrame) -> CyclesWeight:
    """Fit the weight.

    Args:
        table: columns ``origin``, ``family`` and ``cycles``; both origins.

    Raises:
        ValueError: one of the two origins is missing.
    """
    separated = (table["origin"] == "separated").to_numpy()
    if separated.all() or not separated.any():
        raise ValueError("found clips of one origin; needed: studio stems and extractions")
    values = table["cycles"].to_numpy(float)
    weights = calibrate.weights(separated, table["family"])[separated]
    points = np.maximum(np.quantile(values[~separated], QUANTILES), LEAST_VALUES)
    points = np.round(np.maximum.accumulate(points + LEAST_STEP * np.arange(len(points))), 4)
    raises = [0.0]
    for point in points[1:]:
        n_true, n_beyond = int((~separated).sum()), int((values[~separated] >= point).sum())
        share = float(np.average(values[separated] >= point, weights=weights))
        likely = float(beta.ppf(LIKELY, n_beyond + 1, n_true - n_beyond))
        raises.append(max(raises[-1], round(float(np.log(max(share, 1e-9) / likely)), 3)))
    return CyclesWeight(tuple(float(point) for point in points), tuple(raises))


def described_as(weight: CyclesWeight) -> dict[str, Any]:
    """Return a weight as a model's config carries it, with the numbers of the cue that it belongs to.

    Args:
        weight: fitted.
    """
    return vars(weight) | {"cue": cue.contract()}


def judge(table: pd.DataFrame) -> dict[str, Any]:
    """Judge each fold's clips by the weight that the other folds give, if they hold both origins.

    Args:
        table: columns ``origin``, ``family``, ``fold`` and ``cycles``.

    Returns:
        Counts, and which shares of true stems and of extractions lie beyond the first, the second and the last point;
        the same by family, where there are five extractions or more.
    """
    values = table["cycles"].to_numpy(float)
    beyond = np.zeros((len(table), len(QUANTILES)), bool)
    judged = np.zeros(len(table), bool)
    for inside, weight in _by_others(table, table["fold"]):
        beyond[inside] = values[inside, None] >= np.array(weight.values)
        judged |= inside
    table, beyond = table[judged], beyond[judged]
    separated = (table["origin"] == "separated").to_numpy()
    families = table["family"].to_numpy(str)
    names, counts = np.unique(families[separated], return_counts=True)

    def shares(rows: npt.NDArray[np.bool_], prefix: str = "") -> dict[str, float]:
        found = beyond[rows].mean(axis=0) if rows.any() else np.zeros(len(QUANTILES))
        return {f"{prefix}{name}": round(float(v), 4) for name, v in zip(POINTS, found, strict=True)}

    return {
        "n_studio": int((~separated).sum()),
        "n_separated": int(separated.sum()),
        **shares(~separated, "studio_"),
        **shares(separated, "separated_"),
        "by_family": {
            str(name): {"n": int(n)} | shares(separated & (families == name))
            for name, n in zip(names, counts, strict=True)
            if n >= LEAST_FILES
        },
    }


def write(model: Path, out: Path, described: dict[str, Any], evaluation: dict[str, Any]) -> None:
    """Write the model folder with the weight, all of it or nothing.

    Args:
        model: folder whose graph is kept.
        out: the folder to write; it is replaced as a whole.
        described, evaluation: of the new folder but for the checksum.
    """
    with publish.beside(out) as part:
        export.note(model / "model.onnx", "cycles", described["cycles"], part / "model.onnx")
        publish.finish(part, out, described, evaluation)


if __name__ == "__main__":
    typer.run(main)
