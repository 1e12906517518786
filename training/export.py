"""One ONNX graph out of all heads, and the check that it computes what was trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.base import is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from torch import nn

from provenance import envelope
from provenance.frontend import N_MAP_BINS
from provenance.model import EFFECTS, KINDS, PROCESSINGS
from training.calibrate import Distance
from training.heads import Fusion, Outputs, Trees
from training.labels import MAX_SDR_DB, MIN_SDR_DB
from training.perceptron import MOST, SCALE, Fitted
from training.texture_net import N_BANDS, SDR_SCALE_DB, SPREAD_FLOOR, Ensemble, TextureNet
from training.texture_net.onsets import SCALE_DB

OPSET, ML_OPSET = 18, 5
Array = npt.NDArray[np.float32]
_OFF_LINE_DB = 1e-3
_LEAST_HALVED = 1024
"""Fewer weights than these are not worth a node."""


class LineError(ValueError):
    """A head of SDR that no line can be taken off: names what was found and what is needed."""


def export(
    trees: Trees, net: Ensemble | None, fusion: Fusion, n_features: int, file: Path, onset_net: Ensemble | None = None
) -> None:
    """Write trees and network as one graph.

    Inputs are ``features``, float32 (n, n_features), with a network ``map``, float32 (n, 2, n_frames, 1024), and with
    one over onsets ``onsets``, float32 (n, 33, n_fine_frames).
    Outputs are those of ``logit`` (n,), ``p_processing`` (n, 3), ``sdr_db`` (n,), ``distance`` (n,), ``p_effects``
    and ``strengths`` (n, n_effects), ``p_kind`` (n, n_kinds) and ``p_submix`` (n,) that there are heads for.

    Args:
        trees: boosted trees and the distance.
        net: the networks, or None.
        fusion: how they are put together.
        n_features: width of the input.
        file: where to write.
        onset_net: the networks over onsets, or None.
    """
    graph = _Graph()
    logit = graph.scaled(graph.mean([graph.tree(tree) for tree in trees.origin]), fusion.tree.factor)
    if trees.origin_perceptron is not None:
        smooth = graph.perceptron(trees.origin_perceptron, "origin_")
        logit = graph.node("Add", [logit, graph.scaled(smooth, fusion.perceptron.factor)])
    said: dict[str, str] = {}
    if trees.processing is not None:
        said["p_processing"] = graph.classes(trees.processing, "processing", len(PROCESSINGS))
    if trees.sdr is not None:
        by_trees = not isinstance(trees.sdr, Fitted)
        said["sdr_db"] = graph.flat(graph.tree(trees.sdr)) if by_trees else graph.perceptron(trees.sdr, "sdr_")
    if trees.effects is not None:
        each = [graph.node("Sigmoid", [graph.tree(tree)]) for tree in trees.effects]
        said["p_effects"] = graph.node("Concat", each, axis=1)
    if trees.strengths is not None and any(trees.strengths):
        said["strengths"] = graph.strengths(trees.strengths)
    if trees.kind is not None:
        said["p_kind"] = graph.classes(trees.kind, "kind", len(KINDS))
    if trees.layers is not None:
        said["p_submix"] = graph.flat(graph.node("Sigmoid", [graph.tree(trees.layers)]))
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", n_features])]
    if net is not None:
        inputs.append(helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", 2, "n_frames", N_MAP_BINS]))
        found = graph.networks(net)
        logit = graph.node("Add", [logit, graph.scaled(graph.flat(found["logit"]), fusion.net.factor)])
        mine = {
            "p_processing": graph.node("Softmax", [found["processing"]], axis=1),
            "sdr_db": graph.scaled(graph.flat(found["sdr"]), SDR_SCALE_DB),
            "p_effects": graph.node("Sigmoid", [found["effects"]]),
            "p_kind": graph.node("Softmax", [found["kind"]], axis=1),
            "p_submix": graph.flat(graph.node("Sigmoid", [found["layers"]])),
        }
        b = fusion.net_share_of_rest
        for name, value in mine.items():
            if name not in said:
                said[name] = value
            elif b:
                said[name] = graph.node("Add", [graph.scaled(said[name], 1 - b), graph.scaled(value, b)])
    if onset_net is not None:
        shape = ["n", envelope.N_MAP_BANDS, "n_fine_frames"]
        inputs.append(helper.make_tensor_value_info("onsets", TensorProto.FLOAT, shape))
        heard = graph.onset_networks(onset_net)
        logit = graph.node("Add", [logit, graph.scaled(graph.flat(heard), fusion.onset.factor)])
    if trees.reworked is not None and fusion.allowance:
        worked = graph.scaled(graph.flat(graph.node("Sigmoid", [graph.tree(trees.reworked)])), 2)
        sure = graph.node("Relu", [graph.node("Sub", [worked, graph.constant("even_odds", np.float32(1))])])
        eased = graph.node("Sub", [logit, graph.scaled(sure, fusion.allowance)])
        at_most = graph.node("Min", [logit, graph.constant("line", np.float32(fusion.line))])
        logit = graph.node("Max", [at_most, eased])
    for name, value in {"logit": logit, **said}.items():
        graph.named(value, name)
    graph.distance(trees.distance)
    outputs = {"logit": ["n"], "p_processing": ["n", len(PROCESSINGS)], "sdr_db": ["n"], "distance": ["n"],
               "p_effects": ["n", len(EFFECTS)],
               "strengths": ["n", len(EFFECTS)], "p_kind": ["n", len(KINDS)], "p_submix": ["n"]}  # fmt: skip
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "stem",
            inputs,
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in outputs.items()
                if name in said or name in ("logit", "distance")
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())


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
        source: the graph, as :func:`export` wrote it, with heads of processing and effects.
        processing, effects, strengths: the trees, of features whose first are those of the graph; without any of the
            last the graph says nothing of strengths.
        n_features: width of the input they learnt from.
        file: where to write.
    """
    model = load(source)
    old = model.graph
    kept = _without(old, ("p_processing", "p_effects", "strengths"))
    graph = _Graph("refitted_")
    graph.named(graph.classes(processing, "refitted_processing", len(PROCESSINGS)), "p_processing")
    each = [graph.node("Sigmoid", [graph.tree(tree)]) for tree in effects]
    graph.named(graph.node("Concat", each, axis=1), "p_effects")
    outputs = [value for value in old.output if value.name != "strengths"]
    if any(strengths):
        graph.named(graph.strengths(strengths), "strengths")
        outputs.append(helper.make_tensor_value_info("strengths", TensorProto.FLOAT, ["n", len(EFFECTS)]))
    _rewrite(model, kept, graph.nodes, graph.constants, outputs, n_features, file)


def take_off_line(source: Path, file: Path) -> tuple[float, float]:
    """Write a graph again whose SDR is what its perceptron says, between the least and the most that is learnt.

    Models up to 2026-11-29 laid it on a line: slope and intercept were multiplied into the last steps.

    Args:
        source: the graph.
        file: where to write.

    Returns:
        Slope and intercept in dB of the line; 1 and 0 of a graph that had none.

    Raises:
        LineError: its bounds are not those of a line.
    """
    model = load(source)
    constants = {value.name: value for value in model.graph.initializer}
    if "sdr_median" not in constants:  # trees, which no line was ever laid under
        file.write_bytes(model.SerializeToString())
        return 1.0, 0.0
    added = next(node for node in model.graph.node if "sdr_median" in node.input)
    scaled = next(node for node in model.graph.node if node.output[0] in added.input)
    factor = next(name for name in scaled.input if name in constants)
    names = (factor, median, least, most) = (factor, "sdr_median", "sdr_least", "sdr_most")
    scale, middle, low, high = (float(numpy_helper.to_array(constants[name])) for name in names)
    slope, intercept = scale / SCALE, low - scale / SCALE * MIN_SDR_DB
    if scale == SCALE:
        slope, intercept = 1.0, 0.0
    elif abs((high - intercept) / slope - MAX_SDR_DB) > _OFF_LINE_DB:
        raise LineError(f"{source}: found SDR of {low:.2f} to {high:.2f} dB; needed: bounds on one line with its scale")
    else:
        of_none = {factor: SCALE, median: (middle - intercept) / slope, least: MIN_SDR_DB, most: MAX_SDR_DB}
        for name, now in of_none.items():
            constants[name].CopyFrom(numpy_helper.from_array(np.asarray(now, np.float32), name))
        onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())
    return slope, intercept


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


def _rewrite(
    model: onnx.ModelProto,
    kept: list[onnx.NodeProto],
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    outputs: list[onnx.ValueInfoProto],
    n_features: int,
    file: Path,
) -> None:
    """Write a model with some of its nodes, the constants that only others asked for left out, and new ones."""
    graph = model.graph
    unused = {value for node in graph.node for value in node.input} - {value for node in kept for value in node.input}
    remaining = [value for value in graph.initializer if value.name not in unused]
    for given in graph.input:
        if given.name == "features":
            given.type.tensor_type.shape.dim[1].dim_value = n_features
    del graph.node[:], graph.initializer[:], graph.output[:]
    graph.output.extend(outputs)
    graph.node.extend([*kept, *nodes])
    graph.initializer.extend([*remaining, *constants])
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())


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
    file.write_bytes(model.SerializeToString())


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


class _Forest:
    """Trees as ``TreeEnsemble`` wants them: all nodes that branch in one list, all leaves in another."""

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._branches: list[list[npt.NDArray[Any]]] = []
        self._leaves: list[list[npt.NDArray[Any]]] = []
        self._n_branches = self._n_leaves = 0

    def add(
        self,
        features: npt.ArrayLike,
        splits: npt.ArrayLike,
        left: npt.ArrayLike,
        right: npt.ArrayLike,
        is_leaf: npt.ArrayLike,
        values: npt.ArrayLike,
        target: int,
    ) -> None:
        """Add a tree, its root first: of each node feature, split, the nodes below and above it, and its value."""
        leaf = np.asarray(is_leaf, bool)
        if leaf[0]:  # a tree of one leaf: a branch that leads to it either way
            lone = float(np.asarray(values)[0])
            self.add([0, 0], [0, 0], [1, 0], [1, 0], [False, True], [0, lone], target)
            return
        at = np.where(leaf, self._n_leaves + np.cumsum(leaf) - 1, self._n_branches + np.cumsum(~leaf) - 1)
        ends = [np.asarray(end, np.int64)[~leaf] for end in (left, right)]
        self._roots.append(int(at[0]))
        self._branches.append([
            np.asarray(features, np.int64)[~leaf], np.asarray(splits, np.float32)[~leaf],
            *(at[end] for end in ends), *(leaf[end].astype(np.int64) for end in ends),
        ])  # fmt: skip
        self._leaves.append([np.asarray(values, np.float32)[leaf], np.full(int(leaf.sum()), target, np.int64)])
        self._n_branches += int((~leaf).sum())
        self._n_leaves += int(leaf.sum())

    def written(self, output: str, base: npt.ArrayLike) -> tuple[list[onnx.NodeProto], onnx.TensorProto]:
        """The nodes that sum the trees' values over a base, (n, len(base)), and the constant that the base is."""
        features, splits, true, false, true_leaf, false_leaf = map(np.concatenate, zip(*self._branches, strict=True))
        values, targets = map(np.concatenate, zip(*self._leaves, strict=True))
        at_most = np.zeros(len(splits), np.uint8)  # BRANCH_LEQ
        begun = numpy_helper.from_array(np.asarray(base, np.float32), f"{output}_base")
        trees = helper.make_node(
            "TreeEnsemble", ["features"], [f"{output}_trees"], domain="ai.onnx.ml", n_targets=begun.dims[0],
            aggregate_function=1, post_transform=0, tree_roots=self._roots, nodes_featureids=features.tolist(),
            nodes_splits=numpy_helper.from_array(splits, "splits"),
            nodes_modes=numpy_helper.from_array(at_most, "modes"),
            nodes_truenodeids=true.tolist(), nodes_falsenodeids=false.tolist(), nodes_trueleafs=true_leaf.tolist(),
            nodes_falseleafs=false_leaf.tolist(), leaf_targetids=targets.tolist(),
            leaf_weights=numpy_helper.from_array(values, "weights"),
        )  # fmt: skip
        return [trees, helper.make_node("Add", [trees.output[0], begun.name], [output])], begun


def load(file: Path) -> onnx.ModelProto:
    """Read a graph; trees as older models have them, each node with a name for what it is, are written as now.

    Args:
        file: of a model, as this module wrote it at any time.

    Returns:
        A graph that says bit for bit what the file's says, in a third less.
    """
    model = onnx.load(file)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type != "TreeEnsembleRegressor":
            model.graph.node.append(node)
            continue
        old = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        leaf = np.array([mode == b"LEAF" for mode in old["nodes_modes"]])
        values, targets = np.zeros(len(leaf), np.float32), np.zeros(len(leaf), np.int64)
        values[leaf], targets[leaf] = old["target_weights"], old["target_ids"]  # leaves in the order of the nodes
        forest = _Forest()
        names = ("nodes_featureids", "nodes_values", "nodes_truenodeids", "nodes_falsenodeids")
        for tree in np.split(np.arange(len(leaf)), np.flatnonzero(np.diff(old["nodes_treeids"])) + 1):
            own = [np.asarray(old[name])[tree] for name in names]
            forest.add(*own, leaf[tree], values[tree], int(targets[tree][leaf[tree]][0]))
        written, base = forest.written(node.output[0], old["base_values"])
        model.graph.node.extend(written)
        model.graph.initializer.append(base)
    for opset in model.opset_import:
        if opset.domain == "ai.onnx.ml":
            opset.version = ML_OPSET
    return model


class _Graph:
    """A graph under construction: nodes, constants, and names that do not clash."""

    def __init__(self, own: str = "") -> None:
        self._own = own
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weights(self, name: str, value: Array) -> str:
        """Add weights, in half precision where that loses nothing: they are read back to single once, at load."""
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if value.size < _LEAST_HALVED or not np.array_equal(half.astype(np.float32), value):
            return self.constant(name, value)
        return self.node("Cast", [self.constant(name, half)], to=TensorProto.FLOAT)

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        self._count += 1
        name = f"{self._own}{op.lower()}_{self._count}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def named(self, value: str, name: str) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def flat(self, value: str) -> str:
        shape = "flat_shape"
        if all(c.name != shape for c in self.constants):
            self.constant(shape, np.array([-1], np.int64))
        return self.node("Reshape", [value, shape])

    def scaled(self, value: str, factor: float) -> str:
        self._count += 1
        return self.node("Mul", [value, self.constant(f"factor_{self._count}", np.float32(factor))])

    def mean(self, values: list[str]) -> str:
        return self.node("Mean", [self.flat(value) for value in values])

    def tree(self, estimator: Any) -> str:
        """Add fitted boosted trees; returns log odds of two classes, probabilities of more, or values.

        Written out here because skl2onnx 1.19 refuses these estimators beside numpy 2.4 (it passes booleans where
        ONNX wants integers).
        """
        columns = range(len(estimator._predictors[0]))
        forest = _Forest()
        for stage, column in ((s, c) for s in estimator._predictors for c in columns):
            nodes = stage[column].nodes
            forest.add(
                nodes["feature_idx"], nodes["num_threshold"], nodes["left"], nodes["right"], nodes["is_leaf"] > 0,
                nodes["value"], column,
            )  # fmt: skip
        self._count += 1
        value = f"{self._own}boosted_{self._count}"
        written, base = forest.written(value, np.ravel(estimator._baseline_prediction))
        self.nodes.extend(written)
        self.constants.append(base)
        return self.node("Softmax", [value], axis=1) if is_classifier(estimator) and len(columns) > 1 else value

    def perceptron(self, model: Fitted, own: str) -> str:
        """Add a perceptron over the first statistics; names of its constants begin with ``own``."""
        places = {"start": 0, "stop": model.n_features_in_, "axis": 1}
        seen = [self.constant(f"{own}{name}_seen", np.array([k], np.int64)) for name, k in places.items()]
        value = self.node("Slice", ["features", *seen])
        value = self.node("Sub", [value, self.constant(f"{own}middle", model.squash.middle)])
        value = self.node("Asinh", [self.node("Div", [value, self.constant(f"{own}spread", model.squash.spread)])])
        bounds = [self.constant(f"{own}{name}", np.float32(MOST * sign)) for name, sign in (("low", -1), ("high", 1))]
        value = self.node("Clip", [value, *bounds])
        for k, layer in enumerate(model.layers):
            value = self._linear(self.node("Relu", [value]) if k else value, layer, f"{own}layer{k}")
        value = self.scaled(self.flat(value), model.scale)
        value = self.node("Add", [value, self.constant(f"{own}median", np.float32(model.middle))])
        ends = zip(("least", "most"), model.bounds, strict=True)
        return self.node("Clip", [value, *(self.constant(f"{own}{name}", np.float32(bound)) for name, bound in ends)])

    def classes(self, estimator: Any, name: str, n: int) -> str:
        """Add the trees of a classifier of class numbers below n; columns of classes that were not learnt are zero."""
        found = self.tree(estimator)
        if len(estimator.classes_) == 2:  # log odds of the second
            second = self.node("Sigmoid", [found])
            first = self.node("Sub", [self.constant(f"{name}_one", np.float32(1)), second])
            found = self.node("Concat", [first, second], axis=1)
        place = np.zeros((len(estimator.classes_), n), np.float32)
        place[np.arange(len(place)), estimator.classes_.astype(int)] = 1
        return self.node("MatMul", [found, self.constant(f"{name}_columns", place)])

    def strengths(self, estimators: Sequence[Any]) -> str:
        """Add a regressor for each effect, NaN for one that has none; at least one has."""
        told = [self.tree(tree) for tree in estimators if tree is not None]
        found = iter(told)
        each = [told[0] if tree is None else next(found) for tree in estimators]
        mask = np.array([[np.nan if tree is None else 1 for tree in estimators]], np.float32)
        self._count += 1
        mask_name = self.constant(f"{self._own}told_{self._count}", mask)
        return self.node("Mul", [self.node("Concat", each, axis=1), mask_name])

    def networks(self, net: Ensemble) -> dict[str, str]:
        """Add the networks, batch norms folded into the convolutions before them; returns the means of their raw
        outputs by head.
        """
        first = self.constant("channel_first", np.array([0], np.int64))
        second = self.constant("channel_second", np.array([1], np.int64))
        third = self.constant("channel_third", np.array([2], np.int64))
        flat, level = (
            self.node("Slice", ["map", first, second, second]),
            self.node("Slice", ["map", second, third, second]),
        )
        level = self.node("Sub", [level, self.node("ReduceMean", [level, third], keepdims=1)])
        spectrum = self.node("Concat", [flat, level], axis=1)
        said = [self._network(member, spectrum, f"net{k}_") for k, member in enumerate(net.members)]
        if len(said) == 1:
            return said[0]
        return {name: self.node("Mean", [each[name] for each in said]) for name in said[0]}

    def _network(self, net: TextureNet, value: str, own: str) -> dict[str, str]:
        """Add one network over the map less its mean level; names of its constants begin with ``own``."""
        value = self._trunk(net.trunk, value, own)
        bands = self.constant(f"{own}bands", np.array([0, 0, -1, N_BANDS, net.n_bins_out // N_BANDS], np.int64))
        value = self.node("Reshape", [value, bands])
        pooled = self.node("Concat", self._mean_and_spread(value, [2, 4], own), axis=1)
        pooled = self.node("Transpose", [pooled], perm=[0, 2, 1])
        weight = self.weights(f"{own}band_weight", net.band.weight.detach().numpy().T.copy())
        place = self.constant(f"{own}band_place", (net.place + net.band.bias).detach().numpy())
        judged = self.node("Relu", [self.node("Add", [self.node("MatMul", [pooled, weight]), place])])
        axis = self.constant(f"{own}band_axis", np.array([1], np.int64))
        ends = [self.node(op, [judged, axis], keepdims=0) for op in ("ReduceMean", "ReduceMax")]
        pooled = self.node("Concat", ends, axis=1)
        hidden = self.node("Relu", [self._linear(pooled, net.hidden[0], f"{own}hidden")])
        return {name: self._linear(hidden, head, f"{own}{name}") for name, head in net.heads.items()}

    def onset_networks(self, net: Ensemble) -> str:
        """Add the networks over onsets; returns the mean of their log odds."""
        time = self.constant("onset_time", np.array([2], np.int64))
        moved = self.node("Sub", ["onsets", self.node("ReduceMean", ["onsets", time], keepdims=1)])
        channel = self.constant("onset_channel", np.array([1], np.int64))
        moved = self.node("Unsqueeze", [self.scaled(moved, 1 / SCALE_DB), channel])
        said = []
        for k, member in enumerate(net.members):
            own = f"onset{k}_"
            ends = self._mean_and_spread(self._trunk(member.trunk, moved, own), [3], own)
            pooled = self.node("Concat", [self.node("Flatten", [end]) for end in ends], axis=1)
            hidden = self.node("Relu", [self._linear(pooled, member.hidden[0], f"{own}hidden")])
            said.append(self._linear(hidden, member.heads["logit"], f"{own}logit"))
        return self.node("Mean", said)

    def _trunk(self, trunk: nn.Sequential, value: str, own: str) -> str:
        """Add convolutions, the norms after them folded in, and rectifiers."""
        layers = list(trunk)
        for k, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d):
                after = layers[k + 1] if k + 1 < len(layers) else None
                weight, bias = _folded(layer, after if isinstance(after, nn.BatchNorm2d) else None)
                names = self.constant(f"{own}conv{k}_weight", weight), self.constant(f"{own}conv{k}_bias", bias)
                (high, wide), strides = layer.padding, list(layer.stride)
                value = self.node(
                    "Conv", [value, *names], strides=strides, pads=[high, wide, high, wide], group=layer.groups
                )
            elif isinstance(layer, nn.ReLU):
                value = self.node("Relu", [value])
        return value

    def _mean_and_spread(self, value: str, axes: list[int], own: str) -> list[str]:
        """Add mean and standard deviation over these axes."""
        over = self.constant(f"{own}band_axes", np.array(axes, np.int64))
        mean = self.node("ReduceMean", [value, over], keepdims=0)
        square = self.node("ReduceMean", [self.node("Mul", [value, value]), over], keepdims=0)
        spread = self.node("Relu", [self.node("Sub", [square, self.node("Mul", [mean, mean])])])
        spread = self.node("Add", [spread, self.constant(f"{own}spread_floor", np.float32(SPREAD_FLOOR))])
        return [mean, self.node("Sqrt", [spread])]

    def _linear(self, value: str, layer: Any, name: str) -> str:
        weight = self.weights(f"{name}_weight", layer.weight.detach().numpy())
        return self.node("Gemm", [value, weight, self.constant(f"{name}_bias", layer.bias.detach().numpy())], transB=1)

    def distance(self, distance: Distance) -> None:
        ends = {"start": 0, "stop": len(distance.mean), "axis": 1}
        seen = [self.constant(f"distance_{end}_seen", np.array([k], np.int64)) for end, k in ends.items()]
        value = self.node("Slice", ["features", *seen])
        value = self.node("Sub", [value, self.constant("distance_mean", distance.mean)])
        value = self.node("Div", [value, self.constant("distance_scale", distance.scale)])
        low = self.constant("distance_low", np.float32(-distance.clip))
        value = self.node("Clip", [value, low, self.constant("distance_high", np.float32(distance.clip))])
        value = self.node("MatMul", [value, self.constant("distance_axes", distance.axes)])
        value = self.node("Mul", [value, value])
        axes = self.constant("distance_axis", np.array([1], np.int64))
        value = self.node("Sqrt", [self.node("ReduceMean", [value, axes], keepdims=0)])
        self.named(value, "distance")


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
