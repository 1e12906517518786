"""Which rows the model of a fold may learn from, which it never saw, and which of these are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.catalogue import Clip
from training.catalogue.clips import read_rows
from training.dataset import Table
from training.examples import DEGRADED
from training.splits import joined_units, unit_of

Mask = npt.NDArray[np.bool_]


def describe(table: Table, clips: Sequence[Clip], manifests: Sequence[Path], family_fold: dict[str, int]) -> Table:
    """Add what the catalogue knows of each clip to its rows.

    Args:
        table: rows as :func:`training.dataset.build` returns them.
        clips: the catalogue.
        manifests: files it was read from; the name of a manifest's folder becomes the column ``manifest``, with the
            file's beside it where two lie in folders of one name.
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
    folders = [file.parent.resolve().name for file in manifests]
    labels = [
        folder if folders.count(folder) == 1 else f"{folder}/{file.stem}"
        for folder, file in zip(folders, manifests, strict=True)
    ]
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
                "manifest": labels[c.manifest],
            }
            for c in clips
        ]
    ).drop_duplicates("clip")
    found = meta.merge(known, on="clip", how="left", validate="many_to_one")
    found["family_fold"] = found["family"].map(lambda name: family_fold.get(name, -1)).astype(int)
    return found


def strike(meta: pd.DataFrame, files: Sequence[Path], besides: Collection[str] = ()) -> pd.DataFrame:
    """Return rows with a column ``struck``: of clips that stay unjudged, since their label was found wrong after a fit.

    Args:
        meta: columns of the rows.
        files: CSV files with columns ``clip, flag``.
        besides: clips that they may name though these rows hold nothing of them.

    Raises:
        ValueError: a file names another clip that has no rows.
        CatalogueError: a file is missing or lacks a column.
    """
    struck: set[str] = set()
    known = {*meta["clip"], *besides}
    for file in files:
        names = {row["clip"] for _, row in read_rows(file, ("clip", "flag"))}
        if not names <= known:
            raise ValueError(
                f"{file}: found clip {min(names - known)}, which gave no rows; needed: clips of the catalogue"
            )
        struck |= names
    return meta.assign(struck=meta["clip"].isin(struck))


def may_be_judged(meta: pd.DataFrame) -> Mask:
    """Return the rows that no list of :func:`strike` names.

    Args:
        meta: rows, with a column ``struck`` once there was such a list.
    """
    return ~meta["struck"].to_numpy(bool) if "struck" in meta else np.ones(len(meta), bool)


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
    return unseen & may_be_judged(meta) & ~meta["oracle"].to_numpy(bool)


def clean_rows(meta: pd.DataFrame) -> Mask:
    """Return the rows that are clips as they are, near-oracles and clips of :func:`strike` left out.

    Args:
        meta: described rows.
    """
    return (meta["kind"] == "clean").to_numpy() & ~meta["oracle"].to_numpy(bool) & may_be_judged(meta)


def judged_rows(meta: pd.DataFrame, n_folds: int) -> Mask:
    """Return the unseen rows that are clips as they are: what figures, calibration and thresholds are made from.

    Args:
        meta, n_folds: as for :func:`unseen_rows`.
    """
    return unseen_rows(meta, n_folds) & (meta["kind"] == "clean").to_numpy()
