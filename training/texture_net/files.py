"""Weights of networks on disk, and between two of them."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import torch

from training.texture_net.network import Ensemble, Network
from training.texture_net.views import SPECTRUM, View


def save(net: Ensemble, file: Path) -> None:
    """Write the networks' weights, by write-then-rename.

    Args:
        net: fitted networks.
        file: where to.
    """
    part = file.with_suffix(f".{os.getpid()}.part")
    torch.save(net.state_dict(), part)
    os.replace(part, file)


def load(file: Path, settings: Network, view: View = SPECTRUM) -> Ensemble:
    """Read networks, in evaluation mode.

    Args:
        file: as :func:`save` wrote it.
        settings: they were made with.
        view: what they see.
    """
    net = Ensemble(view.net(settings) for _ in range(settings.members))
    net.load_state_dict(torch.load(file, weights_only=True))
    return net.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def between(start: Ensemble, end: Ensemble, share: float) -> Ensemble:
    """Return networks whose weights lie between those they began with and those they came to.

    Args:
        start, end: of the same settings.
        share: of the start, 0 to 1.

    Source: M. Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.
    """
    out, first = copy.deepcopy(end), start.state_dict()
    out.load_state_dict({
        name: share * first[name] + (1 - share) * value if value.is_floating_point() else value
        for name, value in end.state_dict().items()
    })  # fmt: skip
    return out.eval()
