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
MOST_HIDDEN = 8
"""Neighbouring bands that are hidden at most."""


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
    """Cut three seconds out of each row's map and hide bands of some, alike for twins; short maps are repeated.

    Args:
        maps: packed maps of all rows.
        batch: which.
        n_frames: of the spectrum maps of all rows.
        rng: of the places.
        generator: of what is hidden.

    Returns:
        float32 dB (n, n_bands, N_ONSETS_CROP).
    """
    levels = unpack(crops(maps, batch, envelope.n_map_frames(n_frames), rng, N_ONSETS_CROP))
    m = len(batch.rows) - batch.n_pairs
    width = torch.randint(1, MOST_HIDDEN + 1, (m, 1), generator=generator)
    first = (torch.rand(m, 1, generator=generator) * (maps.shape[1] - width)).long()
    band = torch.arange(maps.shape[1])
    hidden = (band >= first) & (band < first + width) & (torch.rand(m, 1, generator=generator) < 0.3)
    hidden = hidden[unit_of_row(len(batch.rows), batch.n_pairs), :, None]
    return torch.where(hidden, levels.new_tensor(envelope.MAP_RANGE_DB[0]), levels)
