"""What networks see of a row: its spectrum, or its onsets; how examples are drawn from it, how it is judged whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from provenance import envelope
from training.texture_net import onsets
from training.texture_net.drawing import Batch, augment, crops
from training.texture_net.network import Ensemble, TextureNet, unpack
from training.texture_net.onsets import OnsetNet

Bytes: TypeAlias = npt.NDArray[np.uint8]
Numbers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """A kind of map and the network over it.

    Args:
        net: the network's class.
        draw: from packed maps of all rows, a batch, the rows' numbers of frames, and two generators to what a step
            learns from.
        whole: from packed maps of all rows, numbers of rows and their number of frames to what the network takes.
    """

    net: type[TextureNet] | type[OnsetNet]
    draw: Callable[[Bytes, Batch, Numbers, np.random.Generator, torch.Generator], torch.Tensor]
    whole: Callable[[Bytes, Numbers, int], torch.Tensor]


def _draw_spectrum(
    maps: Bytes, batch: Batch, n_frames: Numbers, rng: np.random.Generator, generator: torch.Generator
) -> torch.Tensor:
    return augment(unpack(crops(maps, batch, n_frames, rng)), batch.n_pairs, generator)


def _whole_spectrum(maps: Bytes, rows: Numbers, n_frames: int) -> torch.Tensor:
    return unpack(np.stack([maps[row, :, :n_frames] for row in rows]))


def _whole_onsets(maps: Bytes, rows: Numbers, n_frames: int) -> torch.Tensor:
    return onsets.unpack(np.stack([maps[row, :, : envelope.n_map_frames(n_frames)] for row in rows]))


SPECTRUM = View(TextureNet, _draw_spectrum, _whole_spectrum)
ONSETS = View(OnsetNet, onsets.draw, _whole_onsets)


def run(
    net: Ensemble,
    maps: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    n_frames: npt.NDArray[np.int64],
    view: View = SPECTRUM,
) -> dict[str, npt.NDArray[np.float32]]:
    """Return raw outputs of whole windows, by head, each (len(rows), width of the head).

    Args:
        net: fitted networks.
        maps: packed maps of all rows.
        rows: which to score.
        n_frames: of the spectrum maps of all rows.
        view: what the networks see of them.
    """
    out = {name: np.zeros((len(rows), n), np.float32) for name, n in view.net.HEADS.items()}
    order = np.argsort(n_frames[rows], kind="stable")
    with torch.no_grad():
        start = 0
        while start < len(order):
            length = int(n_frames[rows[order[start]]])
            stop = start
            while stop < len(order) and stop - start < 32 and n_frames[rows[order[stop]]] == length:
                stop += 1
            chosen = order[start:stop]
            for name, values in zip(out, net(view.whole(maps, rows[chosen], length)), strict=True):
                out[name][chosen] = values.numpy()
            start = stop
    return out
