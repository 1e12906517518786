"""The network over the map of onsets: 33 bands in steps of 2.9 ms, which tells origin alone.

Each band's mean level over time is taken off, so that no timbre is left but how it moves. Four convolutions, pooled
over time by mean and spread; bands are few enough to be kept apart.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from provenance import envelope
from training.texture_net.drawing import Batch, crops, unit_of_row
from training.texture_net.network import Network, convolution, mean_and_spread

SCALE_DB = 15.0
N_ONSETS_CROP = 1031
"""Frames a training example is cut to: 3 s."""
N_LEAST_CROP = 344
"""Frames of the shortest: 1 s. A share of the batches are cut shorter, for files are short too."""
P_SHORT = 0.4
MOST_HIDDEN = 8
"""Neighbouring bands that are hidden at most."""
MOST_SHIFTED = 2
"""Bands that a map is moved up or down by at most: what is extracted at one pitch is extracted at another."""
SCALES = (0.8, 1.25)
"""How much flatter or livelier dynamics are made."""
FLOORS_DB = (-75.0, -40.0)
"""Noise that fills what is quieter."""


class OnsetNet(nn.Module):
    """Map of onsets to log odds of extraction.

    Args:
        settings: widths and dropout.
    """

    HEADS: ClassVar[dict[str, int]] = {"logit": 1}

    def __init__(self, settings: Network) -> None:
        super().__init__()
        a, b, c, d = settings.channels
        self.trunk = nn.Sequential(
            *convolution(1, a, (3, 9), (1, 4)),
            *convolution(a, b, (3, 5), (2, 2)),
            *convolution(b, c, (3, 5), (2, 2)),
            *convolution(c, d, (3, 3), (2, 2)),
        )
        n_bands = -(-envelope.N_MAP_BANDS // 8)
        self.dropout = nn.Dropout(settings.dropout)
        self.hidden = nn.Sequential(nn.Linear(2 * n_bands * d, settings.width), nn.ReLU(), nn.Dropout(settings.dropout))
        self.heads = nn.ModuleDict({name: nn.Linear(settings.width, n) for name, n in self.HEADS.items()})

    def forward(self, levels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return raw outputs in the order of HEADS, each (n, width of the head).

        Args:
            levels: float32 dB (n, n_bands, n_frames).
        """
        moved = (levels - levels.mean(dim=2, keepdim=True)) * (1 / SCALE_DB)
        x = self.trunk(moved[:, None])
        pooled = torch.cat([each.flatten(1) for each in mean_and_spread(x, (3,))], dim=1)
        hidden = self.hidden(self.dropout(pooled))
        return tuple(head(hidden) for head in self.heads.values())


def unpack(packed: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Return packed maps as the network takes them, float32 dB.

    Args:
        packed: uint8 (n, n_bands, n_frames).
    """
    levels = torch.from_numpy(packed.astype(np.float32)) * 0.5 + envelope.BYTES_FROM_DB
    return levels.clamp_(*envelope.MAP_RANGE_DB)


def draw(
    maps: npt.NDArray[np.uint8],
    batch: Batch,
    n_frames: npt.NDArray[np.int64],
    rng: np.random.Generator,
    generator: torch.Generator,
) -> torch.Tensor:
    """Cut passages out of each row's map, and change them alike for twins; short maps are repeated.

    Bands are hidden, moved, their dynamics made flatter or livelier, and filled up with noise, each in some units.

    Args:
        maps: packed maps of all rows.
        batch: which.
        n_frames: of the spectrum maps of all rows.
        rng: of the places and their length.
        generator: of what is changed.

    Returns:
        float32 dB (n, n_bands, n), n between N_LEAST_CROP and N_ONSETS_CROP.
    """
    n_crop = N_ONSETS_CROP if rng.random() >= P_SHORT else int(rng.integers(N_LEAST_CROP, N_ONSETS_CROP))
    levels = unpack(crops(maps, batch, envelope.n_map_frames(n_frames), rng, n_crop))
    return changed(levels, batch.n_pairs, generator)


def changed(levels: torch.Tensor, n_pairs: int, generator: torch.Generator) -> torch.Tensor:
    """Hide bands of maps, move them, scale their dynamics and fill them up with noise, alike for twins.

    Args:
        levels: float32 dB (n, n_bands, n_frames).
        n_pairs: the first ``2 * n_pairs`` are twins in turn.
        generator: of all of it.
    """
    n, n_bands, _ = levels.shape
    m, of_row = n - n_pairs, unit_of_row(n, n_pairs)
    floor = levels.new_tensor(envelope.MAP_RANGE_DB[0])

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(m, 1, generator=generator)

    def some(chance: float) -> torch.Tensor:
        return uniform(0, 1) < chance

    band = torch.arange(n_bands)
    shift = torch.where(some(0.3), uniform(-MOST_SHIFTED - 0.5, MOST_SHIFTED + 0.5).round(), torch.zeros(m, 1)).long()
    source = (band - shift)[of_row]
    inside = ((source >= 0) & (source < n_bands))[:, :, None]
    at = source.clamp(0, n_bands - 1)[:, :, None].expand_as(levels)
    levels = torch.where(inside, levels.gather(1, at), floor)
    scale = torch.where(some(0.3), uniform(*SCALES), torch.ones(m, 1))[of_row, :, None]
    mean = levels.mean(dim=2, keepdim=True)
    levels = mean + (levels - mean) * scale
    noise = torch.where(some(0.3), uniform(*FLOORS_DB), floor)[of_row, :, None]
    levels = torch.maximum(levels, noise)
    width = uniform(1, MOST_HIDDEN + 1).floor()
    first = (uniform(0, 1) * (n_bands - width)).floor()
    hidden = ((band >= first) & (band < first + width) & some(0.3))[of_row, :, None]
    return torch.where(hidden, floor, levels).clamp(*envelope.MAP_RANGE_DB)
