"""One ONNX graph out of all heads, and the check that it computes what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from provenance import envelope
from provenance.frontend import N_MAP_BINS
from provenance.model import EFFECTS, GATED_FROM, KINDS, PROCESSINGS
from training.calibrate import Distance
from training.export.graph import ML_OPSET, OPSET, Array, Graph, write
from training.export.networks import add_networks, add_onset_networks, add_perceptron
from training.export.older import LineError, load, take_off_line
from training.export.rewrite import carry_heads, note, replace_gate, replace_heads
from training.export.trees import add_classes, add_effects, add_strengths, add_trees
from training.heads import Fusion, Outputs, Trees
from training.perceptron import Fitted
from training.texture_net import SDR_SCALE_DB, Ensemble

__all__ = [
    "LineError", "carry_heads", "export", "load", "note", "parity", "replace_gate", "replace_heads", "take_off_line",
]  # fmt: skip

_OUTPUTS: dict[str, list[int | str]] = {
    "logit": ["n"], "p_processing": ["n", len(PROCESSINGS)], "sdr_db": ["n"], "distance": ["n"],
    "p_effects": ["n", len(EFFECTS)], "strengths": ["n", len(EFFECTS)], "p_kind": ["n", len(KINDS)], "p_submix": ["n"],
    "p_gated": ["n"],
}  # fmt: skip
"""Shapes of all that a graph may say, in the order in which it does."""


def export(
    trees: Trees, net: Ensemble | None, fusion: Fusion, n_features: int, file: Path, onset_net: Ensemble | None = None
) -> None:
    """Write trees and network as one graph.

    Inputs are ``features``, float32 (n, n_features), with a network ``map``, float32 (n, 2, n_frames, 1024), and with
    one over onsets ``onsets``, float32 (n, 33, n_fine_frames).
    Outputs are those of ``logit`` (n,), ``p_processing`` (n, 3), ``sdr_db`` (n,), ``distance`` (n,), ``p_effects``
    and ``strengths`` (n, n_effects), ``p_kind`` (n, n_kinds), ``p_submix`` and ``p_gated`` (n,) that there are heads
    for.

    Args:
        trees: boosted trees and the distance.
        net: the networks, or None.
        fusion: how they are put together.
        n_features: width of the input.
        file: where to write.
        onset_net: the networks over onsets, or None.
    """
    graph = Graph()
    inputs: dict[str, list[int | str]] = {"features": ["n", n_features]}
    logit = graph.scaled(graph.mean([add_trees(graph, tree) for tree in trees.origin]), fusion.tree.factor)
    if trees.origin_perceptron is not None:
        smooth = add_perceptron(graph, trees.origin_perceptron, "origin_")
        logit = graph.node("Add", [logit, graph.scaled(smooth, fusion.perceptron.factor)])
    said = _add_other_heads(graph, trees)
    if net is not None:
        inputs["map"] = ["n", 2, "n_frames", N_MAP_BINS]
        found = add_networks(graph, net)
        logit = graph.node("Add", [logit, graph.scaled(graph.flat(found["logit"]), fusion.net.factor)])
        said = _add_shares(graph, said, found, fusion.net_share_of_rest)
    if onset_net is not None:
        inputs["onsets"] = ["n", envelope.N_MAP_BANDS, "n_fine_frames"]
        heard = add_onset_networks(graph, onset_net)
        logit = graph.node("Add", [logit, graph.scaled(graph.flat(heard), fusion.onset.factor)])
    if trees.reworked is not None and fusion.allowance:
        logit = _add_allowance(graph, logit, add_trees(graph, trees.reworked), fusion)
    if trees.gated is not None:
        gated = graph.flat(add_trees(graph, trees.gated))
        logit = _add_limit(graph, logit, gated, fusion)
        said["p_gated"] = graph.node("Sigmoid", [gated])
    for name, value in {"logit": logit, **said}.items():
        graph.named(value, name)
    graph.named(_add_distance(graph, trees.distance), "distance")
    outputs = {name: shape for name, shape in _OUTPUTS.items() if name in said or name in ("logit", "distance")}
    model = helper.make_model(
        helper.make_graph(graph.nodes, "stem", _infos(inputs), _infos(outputs), graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=9,
    )
    write(model, file)


def _infos(shapes: dict[str, list[int | str]]) -> list[onnx.ValueInfoProto]:
    """What a graph says of its inputs or outputs, float32 of these shapes."""
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]


def _add_other_heads(graph: Graph, trees: Trees) -> dict[str, str]:
    """Add what trees and a perceptron say of all but the origin; returns values by output."""
    said: dict[str, str] = {}
    if trees.processing is not None:
        said["p_processing"] = add_classes(graph, trees.processing, "processing", len(PROCESSINGS))
    if isinstance(trees.sdr, Fitted):
        said["sdr_db"] = add_perceptron(graph, trees.sdr, "sdr_")
    elif trees.sdr is not None:
        said["sdr_db"] = graph.flat(add_trees(graph, trees.sdr))
    if trees.effects is not None:
        said["p_effects"] = add_effects(graph, trees.effects)
    if trees.strengths is not None and any(trees.strengths):
        said["strengths"] = add_strengths(graph, trees.strengths)
    if trees.kind is not None:
        said["p_kind"] = add_classes(graph, trees.kind, "kind", len(KINDS))
    if trees.layers is not None:
        said["p_submix"] = graph.flat(graph.node("Sigmoid", [add_trees(graph, trees.layers)]))
    return said


def _add_shares(graph: Graph, said: dict[str, str], found: dict[str, str], share: float) -> dict[str, str]:
    """Add the networks' share to what trees say, and all they say where trees say nothing; returns values by output."""
    mine = {
        "p_processing": graph.node("Softmax", [found["processing"]], axis=1),
        "sdr_db": graph.scaled(graph.flat(found["sdr"]), SDR_SCALE_DB),
        "p_effects": graph.node("Sigmoid", [found["effects"]]),
        "p_kind": graph.node("Softmax", [found["kind"]], axis=1),
        "p_submix": graph.flat(graph.node("Sigmoid", [found["layers"]])),
    }
    both = dict(said)
    for name, value in mine.items():
        if name not in said:
            both[name] = value
        elif share:
            both[name] = graph.node("Add", [graph.scaled(said[name], 1 - share), graph.scaled(value, share)])
    return both


def _add_allowance(graph: Graph, logit: str, reworked: str, fusion: Fusion) -> str:
    """Take off log odds above the line what trees that tell a rework are sure of: nothing at even odds."""
    twice = graph.scaled(graph.flat(graph.node("Sigmoid", [reworked])), 2)
    sure = graph.node("Relu", [graph.node("Sub", [twice, graph.constant("even_odds", np.float32(1))])])
    eased = graph.node("Sub", [logit, graph.scaled(sure, fusion.allowance)])
    at_most = graph.node("Min", [logit, graph.constant("line", np.float32(fusion.line))])
    return graph.node("Max", [at_most, eased])


def _add_limit(graph: Graph, logit: str, gated: str, fusion: Fusion) -> str:
    """Keep log odds at the line where trees that tell what was gated are surer of it than GATED_FROM."""
    is_gated = graph.node(
        "Greater", [gated, graph.constant("gated_from", np.float32(np.log(GATED_FROM / (1 - GATED_FROM))))]
    )
    at_most = graph.node("Min", [logit, graph.constant("gated_line", np.float32(fusion.line))])
    return graph.node("Where", [is_gated, at_most, logit])


def _add_distance(graph: Graph, distance: Distance) -> str:
    """Add the distance of the first statistics to the training data; returns values, (n,)."""
    ends = {"start": 0, "stop": len(distance.mean), "axis": 1}
    seen = [graph.constant(f"distance_{end}_seen", np.array([k], np.int64)) for end, k in ends.items()]
    value = graph.node("Slice", ["features", *seen])
    value = graph.node("Sub", [value, graph.constant("distance_mean", distance.mean)])
    value = graph.node("Div", [value, graph.constant("distance_scale", distance.scale)])
    low = graph.constant("distance_low", np.float32(-distance.clip))
    value = graph.node("Clip", [value, low, graph.constant("distance_high", np.float32(distance.clip))])
    value = graph.node("MatMul", [value, graph.constant("distance_axes", distance.axes)])
    value = graph.node("Mul", [value, value])
    axes = graph.constant("distance_axis", np.array([1], np.int64))
    return graph.node("Sqrt", [graph.node("ReduceMean", [value, axes], keepdims=0)])


def parity(file: Path, trained: Outputs, features: Array, maps: Array | None, onsets: Array | None = None) -> float:
    """Return the largest difference between the graph and what was trained, over all outputs.

    Log odds are compared as probabilities; decibels and distances as they are, over their size where that is above one.

    Args:
        file: the exported graph.
        trained: what scikit-learn and torch say of the same rows, fused.
        features: rows to compare on, float32 (n, n_features).
        maps: their maps, float32 (n, 2, n_frames, 1024), or None without a network.
        onsets: their maps of onsets, float32 (n, 33, n_fine_frames), likewise.
    """
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    given = {"features": features, "map": maps, "onsets": onsets}
    inputs = {name: value for name, value in given.items() if value is not None}
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))
    worst = 0.0
    for name, values in found.items():
        ours, theirs = np.asarray(values, np.float64), trained[name]
        if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
            return float("inf")
        if name == "logit":
            difference = np.abs(1 / (1 + np.exp(-ours)) - 1 / (1 + np.exp(-theirs)))
        elif name in ("sdr_db", "distance"):
            difference = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
        else:
            difference = np.abs(ours - theirs)
        worst = max(worst, float(np.nanmax(difference)))
    return worst
