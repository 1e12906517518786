"""Half precision for weights that are stored: half the size, and a fit is rounded before it is judged, not after."""

from __future__ import annotations

from torch import nn


def round_weights(net: nn.Module) -> None:
    """Round the weights of linear layers to half precision, in place; :mod:`training.export` stores them so.

    Convolutions stay as they are, for the norms after them are folded into their weights later.

    Args:
        net: fitted; its weights stay float32.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = layer.weight.data.half().float()
