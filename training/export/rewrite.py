"""A graph written again: some of its heads taken from elsewhere, or a note put in; the rest says what it said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from provenance.model import EFFECTS, PROCESSINGS
from training.export.graph import Graph, write
from training.export.older import load
from training.export.trees import add_classes, add_effects, add_strengths, add_trees


def replace_heads(
    source: Path,
    processing: HistGradientBoostingClassifier,
    effects: Sequence[HistGradientBoostingClassifier],
    strengths: Sequence[HistGradientBoostingRegressor | None],
    n_features: int,
    file: Path,
) -> None:
    """Write a graph again with other trees for processing, effects and strengths; every other node stays as it is.

    Args:
        source: the graph, as :func:`training.export.export` wrote it, with heads of processing and effects.
        processing, effects, strengths: the trees, of features whose first are those of the graph; without any of the
            last the graph says nothing of strengths.
        n_features: width of the input they learnt from.
        file: where to write.
    """
    model = load(source)
    old = model.graph
    kept = _without(old, ("p_processing", "p_effects", "strengths"))
    graph = Graph("refitted_")
    graph.named(add_classes(graph, processing, "refitted_processing", len(PROCESSINGS)), "p_processing")
    graph.named(add_effects(graph, effects), "p_effects")
    outputs = [value for value in old.output if value.name != "strengths"]
    if any(strengths):
        graph.named(add_strengths(graph, strengths), "strengths")
        outputs.append(helper.make_tensor_value_info("strengths", TensorProto.FLOAT, ["n", len(EFFECTS)]))
    _rewrite(model, kept, graph.nodes, graph.constants, outputs, n_features, file)


def replace_gate(source: Path, trees: HistGradientBoostingClassifier, file: Path) -> None:
    """Write a graph again with other trees that tell what was gated; every other node stays as it is.

    Args:
        source: the graph, as :func:`training.export.export` wrote it, with such trees.
        trees: of the features that the graph sees.
        file: where to write.
    """
    model = load(source)
    graph = Graph("regated_")
    shape = graph.constant("regated_shape", np.array([-1], np.int64))
    new = graph.node("Reshape", [add_trees(graph, trees), shape])
    makers = {value: node for node in model.graph.node for value in node.output}
    old = makers[makers["p_gated"].input[0]].input[0]  # behind the output's name and its Sigmoid
    for node in model.graph.node:
        node.input[:] = [new if value == old else value for value in node.input]
    kept = _without(model.graph, (old,))
    features = next(given for given in model.graph.input if given.name == "features")
    n_features = features.type.tensor_type.shape.dim[1].dim_value
    _rewrite(model, kept, graph.nodes, graph.constants, list(model.graph.output), n_features, file, comes_first=True)


def carry_heads(
    source: Path, into: Path, outputs: Sequence[str], columns: npt.NDArray[np.int64], n_features: int, file: Path
) -> None:
    """Write a graph with outputs that another makes of statistics alone; every other node stays as it is.

    Args:
        source: the graph whose outputs are taken.
        into: the graph that has outputs of the same names, or none.
        outputs: their names.
        columns: where each statistic that the source sees stands among those of the other.
        n_features: how many the other sees.
        file: where to write.
    """
    taken, model = load(source).graph, load(into)
    graph = model.graph
    left = {node.output[0] for node in _without(taken, outputs)}
    nodes = [node for node in taken.node if node.output[0] not in left]
    asked = {value for node in nodes for value in node.input}
    constants = [value for value in taken.initializer if value.name in asked]
    own = {value.name: f"carried_{value.name}" for value in constants}
    own |= {value: f"carried_{value}" for node in nodes for value in node.output if value not in outputs}
    for node in nodes:
        if node.op_type == "TreeEnsemble":
            for attribute in node.attribute:
                if attribute.name == "nodes_featureids":
                    attribute.ints[:] = columns[list(attribute.ints)].tolist()
        node.input[:] = [own.get(value, value) for value in node.input]
        node.output[:] = [own.get(value, value) for value in node.output]
    for constant in constants:
        constant.name = own[constant.name]
    shown = [value for value in graph.output if value.name not in outputs]
    shown += [value for value in taken.output if value.name in outputs]
    _rewrite(model, _without(graph, outputs), nodes, constants, shown, n_features, file)


def note(source: Path, key: str, value: dict[str, Any], file: Path) -> None:
    """Write a graph again with a note in its metadata, as JSON; what it computes stays as it is.

    Args:
        source: the graph.
        key: name of the note; an older one of that name is replaced.
        value: what it says.
        file: where to write.
    """
    model = onnx.load(source)
    notes = {prop.key: prop.value for prop in model.metadata_props} | {key: json.dumps(value)}
    helper.set_model_props(model, notes)
    write(model, file)


def _rewrite(
    model: onnx.ModelProto,
    kept: list[onnx.NodeProto],
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    outputs: list[onnx.ValueInfoProto],
    n_features: int,
    file: Path,
    comes_first: bool = False,
) -> None:
    """Write a model with some of its nodes, the constants that only others asked for left out, and new ones.

    These come last, or first where those that stay ask for them.
    """
    graph = model.graph
    unused = {value for node in graph.node for value in node.input} - {value for node in kept for value in node.input}
    remaining = [value for value in graph.initializer if value.name not in unused]
    for given in graph.input:
        if given.name == "features":
            given.type.tensor_type.shape.dim[1].dim_value = n_features
    del graph.node[:], graph.initializer[:], graph.output[:]
    graph.output.extend(outputs)
    graph.node.extend([*nodes, *kept] if comes_first else [*kept, *nodes])
    graph.initializer.extend([*remaining, *constants])
    write(model, file)


def _without(graph: onnx.GraphProto, outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """Nodes of a graph without those that make these outputs and that nothing else asks for.

    Heads of the networks that nothing ever asked for stay, to go on from.
    """
    kept, gone = list(graph.node), set(outputs)
    while gone:
        dropped = [node for node in kept if gone & set(node.output)]
        kept = [node for node in kept if not gone & set(node.output)]
        needed = {value for node in kept for value in node.input}
        gone = {value for node in dropped for value in node.input} - needed
    return kept
