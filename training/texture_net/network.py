"""The network: a small convolutional net over the map of a window, pooled within bands, with all heads on one trunk.

Timbre is taken off twice before the first convolution: over frequency by the map's texture channel, over time by the
mean of each bin's level. What is left is pooled over time and within sixteen bands; one layer judges every band,
knowing which it is, and the heads see the mean and the maximum over bands, so that a trace in one band alone counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from provenance import frontend
from provenance.model import EFFECTS, KINDS, PROCESSINGS

N_BANDS = 16
SPREAD_FLOOR = 1e-4
"""Added to the variance within a band before its root is taken."""


@dataclass(frozen=True)
class Network:
    """Settings of the network.

    Args:
        channels: of the four convolutions.
        width: of the layer that judges a band.
        cycles: epochs of each cycle of the learning rate, which rises to half the height of the cycle before; empty
            leaves the network out. A checkpoint follows each epoch.
        n_steps: steps an epoch.
        batch: units a step, where a unit is an extraction with its twin or a row alone.
        rate: highest learning rate of the first cycle.
        further_cycles, further_rate: the same for networks that were fitted elsewhere and are fitted on.
        begun: whether they begin with such networks; ``training.fit --further`` sets it.
        weight_decay: of AdamW.
        dropout: of the pooled statistics and of the hidden layer.
        smoothing: of the running mean of the weights, which is what is kept.
        mixing: of a network that tells origin alone: maps and their origin are mixed in pairs, by shares from the beta
            distribution with this parameter twice (mixup, Zhang et al. 2018); 0 mixes none.
        margin: log odds by which an extraction should lie above its twin.
        margin_weight: of that loss.
        family_power: how much less the rows of a large family of separators count, 0 to 1.
        share: weight of the network's log odds in the fused score, 0 to 1.
        share_of_rest: its weight in the other heads; where trees have no such head the network's counts whole.
        share_of_start: weight of what they began with in the weights of networks that were fitted on, 0 to 1.
        members: networks from different beginnings whose raw outputs are averaged.
    """

    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    width: int = 96
    cycles: tuple[int, ...] = (20,)
    n_steps: int = 500
    batch: int = 26
    rate: float = 2e-3
    further_cycles: tuple[int, ...] = (3,)
    further_rate: float = 6e-4
    begun: bool = False
    weight_decay: float = 0.02
    dropout: float = 0.3
    smoothing: float = 0.998
    mixing: float = 0.0
    margin: float = 2.0
    margin_weight: float = 0.5
    family_power: float = 0.0
    share: float = 0.5
    share_of_rest: float = 0.0
    share_of_start: float = 0.0
    members: int = 1


class TextureNet(nn.Module):
    """Map of a window to log odds of extraction, SDR, processing, effects and kind of separator.

    Args:
        settings: widths and dropout.
    """

    HEADS: ClassVar[dict[str, int]] = {
        "logit": 1,
        "sdr": 1,
        "processing": len(PROCESSINGS),
        "effects": len(EFFECTS),
        "kind": len(KINDS),
        "layers": 1,
    }
    HIDDEN: ClassVar[int] = 128

    def __init__(self, settings: Network) -> None:
        super().__init__()
        a, b, c, d = settings.channels
        self.trunk = nn.Sequential(
            *convolution(2, a, (3, 7), (2, 2)),
            *convolution(a, b, (3, 5), (1, 4)),
            *convolution(b, c, (3, 3), (2, 2)),
            *convolution(c, d, (3, 3), (1, 2)),
        )
        self.n_bins_out = frontend.N_MAP_BINS // 32
        self.dropout = nn.Dropout(settings.dropout)
        self.band = nn.Linear(2 * d, settings.width)
        self.place = nn.Parameter(torch.zeros(N_BANDS, settings.width))
        self.hidden = nn.Sequential(nn.Linear(2 * settings.width, self.HIDDEN), nn.ReLU(), nn.Dropout(settings.dropout))
        self.heads = nn.ModuleDict({name: nn.Linear(self.HIDDEN, n) for name, n in self.HEADS.items()})

    def forward(self, spectrum: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return raw outputs in the order of HEADS, each (n, width of the head).

        Args:
            spectrum: float32 (n, 2, n_frames, 1024).
        """
        x = self.trunk(without_mean_level(spectrum))
        n, channels, frames, bins = x.shape
        x = x.reshape(n, channels, frames, N_BANDS, bins // N_BANDS)
        pooled = torch.cat(mean_and_spread(x, (2, 4)), dim=1).transpose(1, 2)
        bands = nn.functional.relu(self.band(self.dropout(pooled)) + self.place)
        hidden = self.hidden(torch.cat([bands.mean(dim=1), bands.amax(dim=1)], dim=1))
        return tuple(head(hidden) for head in self.heads.values())


def without_mean_level(spectrum: torch.Tensor) -> torch.Tensor:
    """Return maps whose level channel is less each bin's mean over time: what the first convolution sees.

    Args:
        spectrum: float32 (n, 2, n_frames, 1024).
    """
    level = spectrum[:, 1:]
    return torch.cat([spectrum[:, :1], level - level.mean(dim=2, keepdim=True)], dim=1)


def mean_and_spread(x: torch.Tensor, dims: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation over some dimensions, as the exported graph computes them.

    Args:
        x: any.
        dims: to pool over.
    """
    mean = x.mean(dim=dims)
    return mean, torch.sqrt(nn.functional.relu((x * x).mean(dim=dims) - mean * mean) + SPREAD_FLOOR)


def convolution(a: int, b: int, kernel: tuple[int, int], stride: tuple[int, int]) -> list[nn.Module]:
    """Return a convolution, the norm after it and its rectifier.

    Args:
        a, b: channels that go in and come out.
        kernel, stride: over frames and bins.
    """
    padding = (kernel[0] // 2, kernel[1] // 2)
    return [nn.Conv2d(a, b, kernel, stride, padding, bias=False), nn.BatchNorm2d(b), nn.ReLU()]


class Ensemble(nn.Module):
    """Networks whose raw outputs are averaged.

    Args:
        members: of one class and the same settings.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, spectrum: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return raw outputs, as each member's ``forward`` does."""
        said = [member(spectrum) for member in self.members]
        return tuple(torch.stack(values).mean(dim=0) for values in zip(*said, strict=True))


def unpack(maps: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """Return packed maps as the network takes them, float32, where they lie.

    Args:
        maps: uint8 (n, 2, n_frames, 1024).
    """
    x = torch.as_tensor(maps).contiguous(memory_format=torch.channels_last).to(torch.float32)
    scale = x.new_tensor([0.25 / 16, 0.5 / 30]).reshape(1, 2, 1, 1)
    shift = x.new_tensor([frontend.TEXTURE_RANGE_DB[0] / 16, (frontend.LEVEL_RANGE_DB[0] + 60) / 30])
    return x.mul_(scale).add_(shift.reshape(1, 2, 1, 1))
