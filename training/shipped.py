"""The networks of a model folder, to be fitted on to stems that are new to it: ``training.fit --from models/NAME``.

A model folder holds no checkpoints, but its graph holds all weights, with each batch norm folded into the convolution
before it. A folded norm gives the same outputs, and cannot be fitted on. Its mean and spread are measured again on maps
of the stems at hand, so that the networks say of them what the graph says and go on learning from there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from provenance import bundle, frontend
from training import publish
from training.card.learnt import UNNAMED
from training.texture_net import Ensemble, Network, TextureNet, unpack
from training.texture_net.network import without_mean_level

OF_THE_MAP = (
    "sample_rate_hz", "n_fft", "hop", "floor_db", "texture_bins", "map_bins", "texture_range_db", "level_range_db",
)  # fmt: skip
"""Numbers of the front end that the map hangs on."""
N_MAPS = 192
"""Maps that norms are measured on."""


class ShippedError(ValueError):
    """A model folder whose networks cannot be gone on from: names what was found and what is needed."""


def networks_of(model: Path, settings: Network, maps: npt.NDArray[np.uint8]) -> Ensemble:
    """Read the networks of a model folder, in evaluation mode.

    Args:
        model: the folder.
        settings: they are to have.
        maps: packed maps to measure norms on, uint8 (n, 2, n_frames, 1024), n at least 2.

    Raises:
        ShippedError: it has no networks, or such as have another shape.
        provenance.errors.ModelError: it is no model folder.
    """
    graph = _graph(model)
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    n_there = len({found[0] for name in weights if (found := re.match(r"net\d+_", name))})
    if n_there < settings.members:
        raise ShippedError(f"{model}: found {n_there} networks; needed: a model with {settings.members} or more")
    spectra = unpack(maps)
    members = [_one(model, weights, f"net{k}_", settings, spectra) for k in range(settings.members)]
    return Ensemble(members).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def spread_of(model: Path) -> float:
    """Return the spread of held-out log odds by which a model folder's graph divides those of its networks.

    Args:
        model: the folder.

    Raises:
        ShippedError: it has no networks, or does not say at what share they count.
        provenance.errors.ModelError: it is no model folder.
    """
    graph = _graph(model)
    made_by = {output: node for node in graph.node for output in node.output}
    scalars = {each.name: float(numpy_helper.to_array(each).reshape(-1)[0]) for each in graph.initializer
               if each.data_type == onnx.TensorProto.FLOAT and not each.dims}  # fmt: skip

    def behind(value: str) -> set[str]:
        """All that a value is made from."""
        found, left = set(), [value]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += made_by[name].input if name in made_by else ()
        return found

    factors = [
        scalars[name]
        for node in graph.node
        if node.op_type == "Mul"
        for name in node.input
        if name in scalars and "net0_logit_weight" in behind(node.output[0])
    ]
    try:
        share = float(publish.read(bundle.find(str(model)))[1]["training"]["network"]["share"])
    except (OSError, ValueError, KeyError) as error:
        raise ShippedError(f"{model}: found no share of the networks ({error}); needed: its evaluation.json") from error
    if len(factors) != 1:
        raise ShippedError(f"{model}: found {len(factors)} factors of networks; needed: a graph of training.export")
    return share / factors[0]


def _graph(model: Path) -> onnx.GraphProto:
    """The graph of a model folder whose networks see the map of today, whatever its trees see."""
    folder = bundle.find(str(model))
    try:
        described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        theirs, data = described["frontend"], (folder / "model.onnx").read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise ShippedError(f"{model}: found a folder that cannot be read ({error}); needed: a model folder") from error
    ours = json.loads(json.dumps(frontend.contract()))
    differing = sorted(key for key in OF_THE_MAP if theirs.get(key) != ours[key])
    if differing:
        raise ShippedError(f"{model}: found another {', '.join(differing)}; needed: networks over the map of today")
    if hashlib.sha256(data).hexdigest() != described.get("sha256"):
        raise ShippedError(f"{model}: found a graph that is not the one its config names; needed: a whole model folder")
    return onnx.load_from_string(data).graph


def check_new(model: Path, repositories: Collection[str]) -> dict[str, Any]:
    """Return what the model's evaluation says, if nothing at hand is known to be among what it learnt from.

    Its networks would know what folds hold out. Repositories are compared; that the same songs do not lie in others
    is for the caller to know. Clips of no named repository are taken for what a model learnt from of that sort.

    Args:
        model: the folder.
        repositories: of the clips at hand.

    Raises:
        ShippedError: some of them taught it, or there is no evaluation to tell.
    """
    try:
        evaluation = dict(json.loads((bundle.find(str(model)) / "evaluation.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        needed = "an evaluation.json that names its sources"
        raise ShippedError(f"{model}: found none that can be read ({error}); needed: {needed}") from error
    here = {repository or UNNAMED for repository in repositories}
    known = sorted({source["repository"] for source in evaluation.get("sources", [])} & here)
    if known:
        raise ShippedError(
            f"{model}: it learnt from {len(known)} of these repositories ({known[0]}), and would be judged on what it "
            "knows; needed: manifests of stems that are new to it, or --nets with networks of each fold"
        )
    return evaluation


def _one(
    model: Path, weights: dict[str, npt.NDArray[Any]], own: str, settings: Network, spectra: torch.Tensor
) -> TextureNet:
    net = TextureNet(settings)

    def put(parameter: torch.Tensor, name: str, transposed: bool = False) -> None:
        value = weights[own + name]
        value = value.T if transposed else value
        if parameter.shape != value.shape:
            raise ShippedError(
                f"{model}: found {own}{name} of shape {list(value.shape)}; needed: {list(parameter.shape)}, the "
                "channels and width of the configuration it was made with"
            )
        parameter.copy_(torch.from_numpy(value.copy()))

    with torch.no_grad():
        x = without_mean_level(spectra)
        layers = list(net.trunk)
        for k, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d):
                norm = layers[k + 1]
                assert isinstance(norm, nn.BatchNorm2d)  # as TextureNet is built
                put(layer.weight, f"conv{k}_weight")
                put(norm.bias, f"conv{k}_bias")
                x = _measured(norm, layer(x))
            elif isinstance(layer, nn.ReLU):
                x = layer(x)
        put(net.band.weight, "band_weight", transposed=True)
        put(net.place, "band_place")
        net.band.bias.zero_()  # it is part of the place
        for name, linear in (("hidden", net.hidden[0]), *net.heads.items()):
            assert isinstance(linear, nn.Linear)  # as TextureNet is built
            put(linear.weight, f"{name}_weight")
            put(linear.bias, f"{name}_bias")
    return net


def _measured(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    """Give a norm the mean and spread of what comes in, and gains that undo both; returns what goes out."""
    assert norm.running_mean is not None  # for the type checker
    assert norm.running_var is not None
    out = x + norm.bias[None, :, None, None]
    norm.running_mean.copy_(x.mean(dim=(0, 2, 3)))
    norm.running_var.copy_(x.var(dim=(0, 2, 3)))
    norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
    norm.bias.add_(norm.running_mean)
    return out
