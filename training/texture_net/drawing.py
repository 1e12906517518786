"""What a step learns from: units of rows, crops of their maps, and what is hidden of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from provenance import frontend
from training import labels

N_CROP = 86
"""Frames a training example is cut to: 2 s."""


@dataclass
class Batch:
    """Row numbers of one step: extraction and twin in turn for the first ``2 * n_pairs``, single rows after them."""

    rows: npt.NDArray[np.int64]
    n_pairs: int


def units(
    rows: npt.NDArray[np.int64], meta: pd.DataFrame, family_power: float = 0.0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return what a batch is drawn from, and the chance of each, in proportion to the sum over its rows' weights.

    Rows that are not learnt from have no part in the weights of the others.

    Args:
        rows: which to learn from.
        meta: columns of all rows.
        family_power: as for :func:`training.labels.weights`.

    Returns:
        Row numbers (n, 2) of an extraction and its twin, or of a row alone and -1; chances (n,).
    """
    known = meta.iloc[rows]
    separated = (known["origin"] == "separated").to_numpy()
    weight = np.zeros(len(meta))
    weight[rows] = labels.weights(known, separated, family_power)
    twins: dict[str, list[int]] = {}
    for row, pair, fake in zip(rows, known["pair"], separated, strict=True):
        if pair and not fake:
            twins.setdefault(pair, []).append(int(row))
    extractions: dict[str, list[int]] = {}
    found: list[tuple[int, int]] = []
    for row, pair, fake in zip(rows, known["pair"], separated, strict=True):
        if fake and pair in twins:
            extractions.setdefault(pair, []).append(int(row))
            found.append((int(row), twins[pair][0]))
        elif not (pair in twins and not fake):
            found.append((int(row), -1))
    found += [(twin[0], -1) for pair, twin in twins.items() if pair not in extractions]
    members = np.array(found, np.int64)
    chance = weight[members[:, 0]] + np.where(members[:, 1] >= 0, weight[members[:, 1]], 0.0)
    return members, chance / chance.sum()


def batches(
    rows: npt.NDArray[np.int64],
    meta: pd.DataFrame,
    family_power: float,
    size: int,
    n_steps: int,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Draw batches of units: an extraction with its twin, or a row that has none.

    Args:
        rows: which to learn from.
        meta: columns of all rows.
        family_power: as for :func:`units`.
        size: units a batch.
        n_steps: batches.
        rng: of the draw.
    """
    members, chance = units(rows, meta, family_power)
    for _ in range(n_steps):
        chosen = members[rng.choice(len(members), size, p=chance)]
        paired = chosen[:, 1] >= 0
        yield Batch(np.concatenate([chosen[paired].reshape(-1), chosen[~paired, 0]]), int(paired.sum()))


def crops(
    maps: npt.NDArray[np.uint8],
    batch: Batch,
    n_frames: npt.NDArray[np.int64],
    rng: np.random.Generator,
    n_crop: int = N_CROP,
) -> npt.NDArray[np.uint8]:
    """Cut so many frames out of each row's map; twins are cut at the same place, short maps are repeated.

    Args:
        maps: packed maps of all rows.
        batch: which.
        n_frames: of all rows' maps.
        rng: of the place.
        n_crop: frames that are cut out.
    """
    out = np.empty((len(batch.rows), maps.shape[1], n_crop, *maps.shape[3:]), np.uint8)
    start = 0
    for k, row in enumerate(batch.rows):
        n = int(n_frames[row])
        if k >= 2 * batch.n_pairs or k % 2 == 0:
            start = int(rng.integers(0, max(1, n - n_crop + 1)))
        at = min(start, max(0, n - n_crop))
        part = maps[row, :, at : min(n, at + n_crop)]
        out[k] = part if part.shape[1] == n_crop else np.take(part, np.arange(n_crop) % part.shape[1], axis=1)
    return out


def unit_of_row(n_rows: int, n_pairs: int, device: torch.device | None = None) -> torch.Tensor:
    """Return the number of each row's unit: twins are one.

    Args:
        n_rows: of a batch.
        n_pairs: the first ``2 * n_pairs`` are twins in turn.
        device: where the numbers lie.
    """
    pairs = torch.arange(n_pairs, device=device).repeat_interleave(2)
    return torch.cat([pairs, torch.arange(n_pairs, n_rows - n_pairs, device=device)])


def augment(x: torch.Tensor, n_pairs: int, generator: torch.Generator) -> torch.Tensor:
    """Hide bands and moments, cut the top off, and bend the level, alike for twins.

    Args:
        x: maps (n, 2, n_frames, 1024).
        n_pairs: the first ``2 * n_pairs`` are twins in turn.
        generator: of all of it, on the device of the maps.
    """
    n, _, n_frames, n_bins = x.shape
    m = n - n_pairs
    of_row = unit_of_row(n, n_pairs, x.device)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(m, 1, generator=generator, device=x.device)

    def stretch(length: int, least: int, most: int, chance: float) -> torch.Tensor:
        """Of (m, length), a stretch of between least and most in a share of the rows."""
        width, place = uniform(least, most).floor(), torch.arange(length, device=x.device)
        start = (uniform(0, 1) * (length - width)).floor()
        return (place >= start) & (place < start + width) & (uniform(0, 1) < chance)

    top = torch.arange(n_bins, device=x.device) >= (uniform(0.4, 0.95) * n_bins).floor()
    bins = stretch(n_bins, 8, 160, 0.5) | (top & (uniform(0, 1) < 0.25))
    frames = stretch(n_frames, 2, 20, 0.3)
    knots = 0.12 * torch.randn(m, 1, 6, generator=generator, device=x.device)
    bend = nn.functional.interpolate(knots, size=n_bins, mode="linear", align_corners=True)[:, 0]
    bend = bend * (uniform(0, 1) < 0.5)
    hidden = (bins[:, None, :] | frames[:, :, None])[of_row, None]
    floor = x.new_tensor([0.0, (frontend.LEVEL_RANGE_DB[0] + 60) / 30]).reshape(1, 2, 1, 1)
    out = torch.where(hidden, floor, x)
    out[:, 1] += bend[of_row, None]
    return out
