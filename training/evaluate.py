"""The unseen protocol: every figure on songs, repositories and separator families the scoring model never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from sklearn.metrics import roc_auc_score

from provenance.bundle import Calibration
from provenance.decide import calibrate
from training import calibrate as fitting
from training.catalogue import Clip
from training.catalogue.clips import read_rows
from training.config import Config
from training.dataset import Table
from training.examples import DEGRADED
from training.heads import Outputs, beyond_doubt, guarded
from training.options import N_WORKERS, DemucsRepo, Flags, Manifests, Networks, Scripts, Unjudged, Work, Workers
from training.separators.errors import SeparatorError
from training.splits import joined_units, unit_of

Mask = npt.NDArray[np.bool_]
N_RESAMPLES = 500
BELOW_LINE = 0.001
"""How far below the line a window comes to lie that a rework keeps from it, as a probability."""
CONFIG_FILE = Path(__file__).with_name("stem-v1.toml")


def describe(table: Table, clips: Sequence[Clip], manifests: Sequence[Path], family_fold: dict[str, int]) -> Table:
    """Add what the catalogue knows of each clip to its rows.

    Args:
        table: rows as :func:`training.dataset.build` returns them.
        clips: the catalogue.
        manifests: files it was read from; the name of a manifest's folder becomes the column ``manifest``.
        family_fold: fold of each family, the column ``family_fold``; -1 for studio stems and surrogates.
    """
    return dataclasses.replace(table, meta=describe_rows(table.meta, clips, manifests, family_fold))


def describe_rows(
    meta: pd.DataFrame, clips: Sequence[Clip], manifests: Sequence[Path], family_fold: dict[str, int]
) -> pd.DataFrame:
    """Return rows with what the catalogue knows of each clip.

    Args:
        meta: columns of the rows.
        clips, manifests, family_fold: as for :func:`describe`.
    """
    joined = joined_units(clips)
    known = pd.DataFrame(
        [
            {
                "clip": c.name,
                "unit": joined[unit_of(c)],
                "stem": c.stem,
                "set": c.set_name,
                "repo": c.repo,
                "song": c.song,
                "codec": c.codec,
                "wetness": c.wetness,
                "separator": c.separator,
                "manifest": manifests[c.manifest].parent.name,
            }
            for c in clips
        ]
    ).drop_duplicates("clip")
    found = meta.merge(known, on="clip", how="left", validate="many_to_one")
    found["family_fold"] = found["family"].map(lambda name: family_fold.get(name, -1)).astype(int)
    return found


def strike(meta: pd.DataFrame, files: Sequence[Path]) -> pd.DataFrame:
    """Return rows with a column ``struck``: of clips that stay unjudged, since their label was found wrong after a fit.

    Args:
        meta: columns of the rows.
        files: CSV files with columns ``clip, flag``.

    Raises:
        ValueError: a file names a clip that has no rows.
        CatalogueError: a file is missing or lacks a column.
    """
    struck: set[str] = set()
    known = set(meta["clip"])
    for file in files:
        names = {row["clip"] for _, row in read_rows(file, ("clip", "flag"))}
        if not names <= known:
            raise ValueError(
                f"{file}: found clip {min(names - known)}, which gave no rows; needed: clips of the catalogue"
            )
        struck |= names
    return meta.assign(struck=meta["clip"].isin(struck))


def without_struck(clips: pd.DataFrame, meta: pd.DataFrame) -> pd.DataFrame:
    """Return a table of clips without those that stay unjudged.

    Args:
        clips: with a column ``clip``.
        meta: rows, as :func:`strike` returns them.
    """
    return clips[~clips["clip"].isin(meta["clip"][meta["struck"]])]


def training_rows(meta: pd.DataFrame, fold: int | None) -> Mask:
    """Return the rows a fold's model may learn from: neither its units nor its families, and no near-oracle.

    Args:
        meta: rows with columns ``fold``, ``family_fold`` and ``oracle``.
        fold: which is held out; None for the shipped model, which learns from all.
    """
    usable = ~meta["oracle"].to_numpy(bool) & ~meta["kind"].str.startswith(DEGRADED).to_numpy(bool)
    if fold is None:
        return usable
    return usable & (meta["fold"] != fold).to_numpy() & (meta["family_fold"] != fold).to_numpy()


def held_out_rows(meta: pd.DataFrame, fold: int) -> Mask:
    """Return the rows a fold's model never saw: of its units, and of extractions only its families.

    Args:
        meta, fold: as for :func:`training_rows`.
    """
    inside = (meta["fold"] == fold).to_numpy()
    return inside & ((meta["origin"] == "studio") | (meta["family_fold"] == fold)).to_numpy()


def unseen_rows(meta: pd.DataFrame, n_folds: int) -> Mask:
    """Return the rows that some fold's model never saw, near-oracles and clips of :func:`strike` left out.

    Args:
        meta: described rows.
        n_folds: of the protocol.
    """
    unseen = np.zeros(len(meta), bool)
    for fold in range(n_folds):
        unseen |= held_out_rows(meta, fold)
    if "struck" in meta:
        unseen &= ~meta["struck"].to_numpy(bool)
    return unseen & ~meta["oracle"].to_numpy(bool)


def clean_rows(meta: pd.DataFrame) -> Mask:
    """Return the rows that are clips as they are, near-oracles and clips of :func:`strike` left out.

    Args:
        meta: described rows.
    """
    return (meta["kind"] == "clean").to_numpy() & ~meta["oracle"].to_numpy(bool) & ~meta["struck"].to_numpy(bool)


def judged_rows(meta: pd.DataFrame, n_folds: int) -> Mask:
    """Return the unseen rows that are clips as they are: what figures, calibration and thresholds are made from.

    Args:
        meta, n_folds: as for :func:`unseen_rows`.
    """
    return unseen_rows(meta, n_folds) & (meta["kind"] == "clean").to_numpy()


def files(meta: pd.DataFrame, held: Outputs, rows: Mask) -> pd.DataFrame:
    """Pool windows to files: one row for each clip.

    Args:
        meta: all rows.
        held: scores of all rows.
        rows: which to pool.

    Returns:
        A table with ``logit``, ``raised`` (what the cue ``cycles`` adds to the calibrated log odds, where it was
        measured), ``sdr_found_db``, ``distance`` and what is known of the clip.
    """
    data = meta[rows].copy()
    for column, name in (("logit", "logit"), ("sdr_found_db", "sdr_db"), ("distance", "distance")):
        data[column] = held[name][rows] if name in held else np.nan
    data["raised"] = held["raised"][rows] if "raised" in held else 0.0
    firsts = ("origin", "stem", "set", "repo", "song", "family", "family_fold", "fold", "manifest", "sdr_db", "codec",
              "separator", "wetness", "n_frames", *(["unit"] if "unit" in data else []))  # fmt: skip
    pooled = data.groupby("clip", sort=True).agg(
        logit=("logit", "mean"),
        raised=("raised", "mean"),
        sdr_found_db=("sdr_found_db", "mean"),
        distance=("distance", "median"),
        **{name: (name, "first") for name in firsts},
    )
    pooled["separated"] = pooled["origin"] == "separated"
    return pooled.reset_index()


def allow_for_rework(meta: pd.DataFrame, held: Outputs) -> tuple[Outputs, float]:
    """Find what to take off each fold's windows: what the other folds show that a rework adds to log odds.

    Args:
        meta: described rows.
        held: fused scores, of clips as they are and of reworked ones.

    Returns:
        The scores with ``eased``, which :func:`guard` takes off, and the allowance of all folds, for the model that
        learnt from all.
    """
    inside = meta["kind"].isin(["clean", "reworked"]).to_numpy() & np.isfinite(held["logit"])
    inside &= unseen_rows(meta, int(meta["fold"].max()) + 1)
    sure = beyond_doubt(held["p_reworked"])

    def fitted(rows: Mask) -> float:
        said = meta[rows]
        return fitting.fit_allowance(
            held["logit"][rows], sure[rows], said["origin"] == "separated", said["kind"] == "reworked", said["family"]
        )

    eased = np.zeros(len(meta))
    for fold in meta["fold"].unique():
        here = (meta["fold"] == fold).to_numpy()
        eased[here] = fitted(inside & ~here) * sure[here]
    return held | {"eased": eased}, fitted(inside)


@dataclass(frozen=True)
class Limits:
    """What files are decided with, fixed on others that were held out: calibration, thresholds, distance."""

    platt: Calibration
    separated: float
    studio: float
    distance: float


def line_of(fixed: Limits) -> float:
    """Return log odds, not calibrated, of windows just below the line to ``separated``.

    Args:
        fixed: calibration and thresholds.
    """
    p = round(fixed.separated, 4) - BELOW_LINE
    return float((np.log(p / (1 - p)) - fixed.platt.intercept) / fixed.platt.slope)


def guard(meta: pd.DataFrame, held: Outputs, of_fold: dict[int, Limits]) -> Outputs:
    """Take off what a rework adds to log odds above each fold's line to ``separated``, down to the line.

    Args:
        meta: described rows.
        held: scores, with ``eased`` where there is a head that tells reworks; others are returned as they are.
        of_fold: what each fold is decided with.
    """
    if "eased" not in held:
        return held
    line = meta["fold"].map({fold: line_of(fixed) for fold, fixed in of_fold.items()}).fillna(np.inf).to_numpy(float)
    return held | {"logit": guarded(held["logit"], held["eased"], line)}


def limits_of(scored: pd.DataFrame, config: Config) -> Limits:
    """Fix calibration and thresholds on files.

    Args:
        scored: held-out files, as :func:`files` returns them.
        config: bounds of the thresholds.
    """
    platt = fitting.fit_platt(scored["logit"], scored["separated"], scored["family"])
    p = calibrate(scored["logit"], platt, scored["raised"])
    upper, lower = fitting.choose_thresholds(
        p, scored["separated"], config.max_accused, config.max_missed, scored["family"], config.min_right
    )
    return Limits(platt, upper, lower, float(np.quantile(scored["distance"], config.distance_quantile)))


def limits(scored: pd.DataFrame, config: Config) -> dict[int, Limits]:
    """Fix calibration and thresholds of each fold on the files of the others.

    Args:
        scored, config: as for :func:`limits_of`.
    """
    return {int(fold): limits_of(scored[scored["fold"] != fold], config) for fold in sorted(scored["fold"].unique())}


def decisions(scored: pd.DataFrame, of_fold: dict[int, Limits]) -> pd.DataFrame:
    """Add what each held-out file would have been called.

    Args:
        scored: files, as :func:`files` returns them.
        of_fold: what each fold is decided with.

    Returns:
        The files with columns ``p_separated`` and ``called``, and ``logit`` raised by as much as counts.
    """
    out = scored.copy()
    out["p_separated"], out["called"] = np.nan, "undecided"
    for fold, found in of_fold.items():
        here = out["fold"] == fold
        p = calibrate(scored["logit"], found.platt, scored["raised"])
        out.loc[here, "p_separated"] = p[here]
        out.loc[here, "logit"] += scored["raised"][here] / found.platt.slope
        inside = here & (out["distance"] <= found.distance)
        out.loc[inside & (p >= found.separated), "called"] = "separated"
        out.loc[inside & (p <= found.studio), "called"] = "studio"
    return out


def auc(scored: pd.DataFrame) -> float | None:
    """Return the mean over folds of the area under the ROC curve; None where no fold holds both classes.

    Args:
        scored: files.
    """
    found = [
        roc_auc_score(part["separated"], part["logit"])
        for _, part in scored.groupby("fold")
        if part["separated"].nunique() == 2
    ]
    return round(float(np.mean(found)), 4) if found else None


def figures(scored: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of a set of held-out files.

    Args:
        scored: files with ``called``.

    Returns:
        Counts, area under the curve, and for each class the share called each way.
    """
    true, fake = scored[~scored["separated"]], scored[scored["separated"]]
    share = lambda part, call: round(float((part["called"] == call).mean()), 4) if len(part) else None  # noqa: E731
    return {
        "n_studio": len(true),
        "n_separated": len(fake),
        "auc": auc(scored),
        "studio_called_separated": share(true, "separated"),
        "studio_called_studio": share(true, "studio"),
        "separated_called_separated": share(fake, "separated"),
        "separated_called_studio": share(fake, "studio"),
    }


def interval(scored: pd.DataFrame, statistic: Callable[[pd.DataFrame], float | None], seed: int) -> list[float] | None:
    """Return a 95 % bootstrap interval that resamples whole units (songs of paired sets, else repositories).

    Units that share a song are resampled as one, and a clip that names no repository with its song: as they are held
    out (:func:`training.splits.joined_units`).

    Args:
        scored: files, with a column ``unit``.
        statistic: of such a table.
        seed: of the resampling.

    Returns:
        Both ends; None where there is one unit alone, which resampling cannot move, or no statistic.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993 (percentile interval, clusters).
    """
    rng = np.random.default_rng(seed)
    groups = list(scored.reset_index(drop=True).groupby("unit").indices.values())
    if len(groups) < 2:
        return None
    values = []
    for _ in range(N_RESAMPLES):
        rows = np.concatenate([groups[k] for k in rng.integers(0, len(groups), len(groups))])
        value = statistic(scored.iloc[rows])
        if value is not None:
            values.append(value)
    return [round(float(v), 4) for v in np.quantile(values, [0.025, 0.975])] if values else None


def main(
    manifest: Manifests,
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json, tables and plots.")],
    flags: Flags = [],  # noqa: B006
    demucs_repo: DemucsRepo = "",
    networks: Networks = "",
    scripts: Scripts = "",
    config_file: Annotated[Path, typer.Option("--config", help="TOML file.")] = CONFIG_FILE,
    unjudged: Unjudged = [],  # noqa: B006
    work: Work = Path("work"),
    workers: Workers = N_WORKERS,
) -> None:
    """Run the whole protocol: what was fitted before is taken from the work folder."""
    from training import card, catalogue, config, cycles, fit, report

    try:
        settings = config.load(config_file, demucs_repo, networks, scripts)
        for line in config.left_out(config_file, settings):
            typer.echo(line, err=True)
        clips = fit.load_checked(manifest, flags, settings)
        table, _ = fit.gather(clips, manifest, settings, work, workers, unjudged)
    except (catalogue.CatalogueError, SeparatorError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    for failure in table.failures:
        typer.echo(f"left out: {failure}", err=True)
    fit.fit_missing(table, settings, work / "heads", workers)
    held, fusion = fit.judge_folds(table, settings, work / "heads")
    clock = without_struck(cycles.measure(clips, workers, work / "cycles.json"), table.meta)
    held["raised"] = cycles.raised(table.meta, clock)
    figures = fit.figures_of(table, held, fusion, clock, settings)
    report.write(out, figures, table.meta, held, settings)
    typer.echo(f"written to {out}; {card.summary(figures)}", err=True)


if __name__ == "__main__":
    typer.run(main)
