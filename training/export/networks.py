"""What torch learnt, in a graph: perceptrons over statistics, networks over the map and over onsets."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from training.export.graph import Array, Graph
from training.perceptron import MOST, Fitted
from training.texture_net import N_BANDS, SPREAD_FLOOR, Ensemble, TextureNet
from training.texture_net.onsets import SCALE_DB


def add_perceptron(graph: Graph, model: Fitted, own: str) -> str:
    """Add a perceptron over the first statistics; returns values, (n,). Names of its constants begin with ``own``."""
    places = {"start": 0, "stop": model.n_features_in_, "axis": 1}
    seen = [graph.constant(f"{own}{name}_seen", np.array([k], np.int64)) for name, k in places.items()]
    value = graph.node("Slice", ["features", *seen])
    value = graph.node("Sub", [value, graph.constant(f"{own}middle", model.squash.middle)])
    value = graph.node("Asinh", [graph.node("Div", [value, graph.constant(f"{own}spread", model.squash.spread)])])
    bounds = [graph.constant(f"{own}{name}", np.float32(MOST * sign)) for name, sign in (("low", -1), ("high", 1))]
    value = graph.node("Clip", [value, *bounds])
    for k, layer in enumerate(model.layers):
        value = graph.linear(graph.node("Relu", [value]) if k else value, layer, f"{own}layer{k}")
    value = graph.scaled(graph.flat(value), model.scale)
    value = graph.node("Add", [value, graph.constant(f"{own}median", np.float32(model.middle))])
    ends = zip(("least", "most"), model.bounds, strict=True)
    return graph.node("Clip", [value, *(graph.constant(f"{own}{name}", np.float32(bound)) for name, bound in ends)])


def add_networks(graph: Graph, net: Ensemble) -> dict[str, str]:
    """Add the networks over the map; returns the means of their raw outputs, (n, n_columns), by head."""
    first = graph.constant("channel_first", np.array([0], np.int64))
    second = graph.constant("channel_second", np.array([1], np.int64))
    third = graph.constant("channel_third", np.array([2], np.int64))
    flat, level = (
        graph.node("Slice", ["map", first, second, second]),
        graph.node("Slice", ["map", second, third, second]),
    )
    level = graph.node("Sub", [level, graph.node("ReduceMean", [level, third], keepdims=1)])
    spectrum = graph.node("Concat", [flat, level], axis=1)
    said = [_add_network(graph, member, spectrum, f"net{k}_") for k, member in enumerate(net.members)]
    if len(said) == 1:
        return said[0]
    return {name: graph.node("Mean", [each[name] for each in said]) for name in said[0]}


def add_onset_networks(graph: Graph, net: Ensemble) -> str:
    """Add the networks over onsets; returns the mean of their log odds, (n, 1)."""
    time = graph.constant("onset_time", np.array([2], np.int64))
    moved = graph.node("Sub", ["onsets", graph.node("ReduceMean", ["onsets", time], keepdims=1)])
    channel = graph.constant("onset_channel", np.array([1], np.int64))
    moved = graph.node("Unsqueeze", [graph.scaled(moved, 1 / SCALE_DB), channel])
    said = []
    for k, member in enumerate(net.members):
        own = f"onset{k}_"
        ends = _add_mean_and_spread(graph, _add_trunk(graph, member.trunk, moved, own), [3], own)
        pooled = graph.node("Concat", [graph.node("Flatten", [end]) for end in ends], axis=1)
        hidden = graph.node("Relu", [graph.linear(pooled, member.hidden[0], f"{own}hidden")])
        said.append(graph.linear(hidden, member.heads["logit"], f"{own}logit"))
    return graph.node("Mean", said)


def _add_network(graph: Graph, net: TextureNet, value: str, own: str) -> dict[str, str]:
    """Add one network over the map less its mean level; names of its constants begin with ``own``."""
    value = _add_trunk(graph, net.trunk, value, own)
    bands = graph.constant(f"{own}bands", np.array([0, 0, -1, N_BANDS, net.n_bins_out // N_BANDS], np.int64))
    value = graph.node("Reshape", [value, bands])
    pooled = graph.node("Concat", _add_mean_and_spread(graph, value, [2, 4], own), axis=1)
    pooled = graph.node("Transpose", [pooled], perm=[0, 2, 1])
    weight = graph.weights(f"{own}band_weight", net.band.weight.detach().numpy().T.copy())
    place = graph.constant(f"{own}band_place", (net.place + net.band.bias).detach().numpy())
    judged = graph.node("Relu", [graph.node("Add", [graph.node("MatMul", [pooled, weight]), place])])
    axis = graph.constant(f"{own}band_axis", np.array([1], np.int64))
    ends = [graph.node(op, [judged, axis], keepdims=0) for op in ("ReduceMean", "ReduceMax")]
    pooled = graph.node("Concat", ends, axis=1)
    hidden = graph.node("Relu", [graph.linear(pooled, net.hidden[0], f"{own}hidden")])
    return {name: graph.linear(hidden, head, f"{own}{name}") for name, head in net.heads.items()}


def _add_trunk(graph: Graph, trunk: nn.Sequential, value: str, own: str) -> str:
    """Add convolutions, the norms after them folded in, and rectifiers."""
    layers = list(trunk)
    for k, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            after = layers[k + 1] if k + 1 < len(layers) else None
            weight, bias = _folded(layer, after if isinstance(after, nn.BatchNorm2d) else None)
            names = graph.constant(f"{own}conv{k}_weight", weight), graph.constant(f"{own}conv{k}_bias", bias)
            (high, wide), strides = layer.padding, list(layer.stride)
            value = graph.node(
                "Conv", [value, *names], strides=strides, pads=[high, wide, high, wide], group=layer.groups
            )
        elif isinstance(layer, nn.ReLU):
            value = graph.node("Relu", [value])
    return value


def _add_mean_and_spread(graph: Graph, value: str, axes: list[int], own: str) -> list[str]:
    """Add mean and standard deviation over these axes."""
    over = graph.constant(f"{own}band_axes", np.array(axes, np.int64))
    mean = graph.node("ReduceMean", [value, over], keepdims=0)
    square = graph.node("ReduceMean", [graph.node("Mul", [value, value]), over], keepdims=0)
    spread = graph.node("Relu", [graph.node("Sub", [square, graph.node("Mul", [mean, mean])])])
    spread = graph.node("Add", [spread, graph.constant(f"{own}spread_floor", np.float32(SPREAD_FLOOR))])
    return [mean, graph.node("Sqrt", [spread])]


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Array, Array]:
    """Weight and bias of a convolution with the batch norm after it folded in."""
    weight = conv.weight.detach().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if conv.bias is None else conv.bias.detach().double()
    if norm is not None:
        assert norm.running_mean is not None  # for the type checker
        assert norm.running_var is not None
        gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = weight * gain[:, None, None, None]
        bias = (bias - norm.running_mean.double()) * gain + norm.bias.detach().double()
    return weight.float().numpy(), bias.float().numpy()
