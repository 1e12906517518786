"""What a head is taught: targets and weights read off the rows' columns."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pandas as pd

from provenance.model import EFFECTS, KINDS, PROCESSINGS
from training.examples import DEGRADED

MIN_SDR_DB, MAX_SDR_DB = -5.0, 25.0
WORKED_AS = ("reworked", "edited", "narrow", "gated", "cleaned")
"""Kinds of rows after a heavy hand, which speak for neither class."""


def weights(meta: pd.DataFrame, positive: npt.NDArray[np.bool_], family_power: float = 0.0) -> npt.NDArray[np.float64]:
    """Return row weights: both classes alike, and within each no repository by its size alone.

    Reworked true stems count as much as reworked extractions, of which there are more: else a phase vocoder's traces
    would speak for an extraction. So do those in a narrow band and those that noise was taken out of.

    Args:
        meta: rows with columns ``clip``, ``repo``, ``kind`` and ``family``.
        positive: shape (n_rows,), the class.
        family_power: an extraction's weight is divided by its family's number of rows to this power.
    """
    out = np.where(meta["kind"] == "clean", 2.0, 1.0)
    out = out / np.sqrt(meta.groupby("repo")["clip"].transform("nunique").to_numpy())
    if family_power:
        size = meta.groupby("family")["clip"].transform("size").to_numpy(float)
        out = np.where(positive, out / size**family_power, out)
    for side in (positive, ~positive):
        if side.any():
            out[side] *= 0.5 * len(out) / out[side].sum()
    rest, owed = ~positive, out[~positive].sum()
    for worked_as in WORKED_AS:
        worked = (meta["kind"] == worked_as).to_numpy()
        if worked[positive].any() and worked[~positive].any():
            share = out[worked & positive].sum()
            out[worked & ~positive] *= share / out[worked & ~positive].sum()
            rest, owed = rest & ~worked, owed - share
    if rest.any() and owed > 1e-9 * len(out):
        out[rest] *= owed / out[rest].sum()
    elif (~positive).any():  # one class is of these kinds alone: then only the classes are balanced
        out[~positive] *= 0.5 * len(out) / out[~positive].sum()
    return np.asarray(out, np.float64)


def sdr(meta: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the known SDR of each extraction in dB, cut to -5..25; NaN for the rest."""
    found = np.clip(meta["sdr_db"].to_numpy(float), MIN_SDR_DB, MAX_SDR_DB)
    return np.where(meta["origin"] == "separated", found, np.nan)


def processing(meta: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return class numbers of dry, hybrid, wet; -1 where unknown, and for ``fx_pairs``, which are kept for judging."""
    out = meta["processing"].map({name: k for k, name in enumerate(PROCESSINGS)}).fillna(-1).to_numpy(np.int64)
    return np.where(meta["set"] == "fx_pairs", -1, out)


def from_dry(meta: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows are dry recordings or were made of one, so that all that was done to them is known.

    Not those of ``fx_pairs``, which are kept for judging.
    """
    return ((meta["wetness"] == "dry") & (meta["set"] != "fx_pairs")).to_numpy()


def kind(meta: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return class numbers of the kind of separator; -1 where unknown and for studio stems."""
    out = meta["separator_kind"].map({name: k for k, name in enumerate(KINDS)}).fillna(-1).to_numpy(np.int64)
    return np.where(meta["origin"] == "separated", out, -1)


def effects(meta: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return which effects each row went through, (n, n_effects): 1 or 0, NaN where nobody knows.

    A dry recording has none. Of a recording whose processing was not known beforehand, what a chain added is known
    and what it did not add is not.
    """
    strength = strengths(meta)
    out = np.where(np.isfinite(strength), np.float32(1), np.float32(np.nan))
    whole = meta["processing"].isin(PROCESSINGS).to_numpy() & from_dry(meta)
    out[whole] = np.nan_to_num(out[whole], nan=0.0)
    return out


def strengths(meta: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return the strength, 0 to 1, of each effect that was applied, (n, n_effects); NaN where none is known."""
    out = np.full((len(meta), len(EFFECTS)), np.nan, np.float32)
    columns = {name: k for k, name in enumerate(EFFECTS)}
    for row, text in enumerate(meta["effects"]):
        for name, strength in json.loads(text) if text else ():
            name = "compression" if name == "limiting" else name
            if name in columns:
                out[row, columns[name]] = np.fmax(out[row, columns[name]], strength)
    return out


def reworked(meta: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return 1 for what went through one of :data:`training.rework.KINDS`, 0 for what did not.

    NaN for what was edited, in a narrow band, for what noise was taken out of, and for single degradations.

    Every other extraction is among the zeros: without them a large separator's smear would pass for a vocoder's.
    """
    known = ~meta["kind"].str.startswith(("edited", "narrow", "gated", "cleaned", DEGRADED)).to_numpy()
    return np.where(known, (meta["kind"] == "reworked").to_numpy(float), np.nan)


def gated(meta: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return 1 for what a noise reduction opened and closed bin by bin, 0 for all else; NaN for degradations."""
    known = ~meta["kind"].str.startswith(DEGRADED).to_numpy()
    return np.where(known, (meta["kind"] == "gated").to_numpy(float), np.nan)


def layers(meta: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return 1 for several performances, 0 for one, NaN where nobody knows."""
    out = meta["layers"].map({"submix": 1.0, "individual": 0.0}).to_numpy(float)
    return np.where(meta["set"].isin(["dry", "pairs"]), out, np.nan).astype(np.float32)
