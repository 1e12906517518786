"""Boosted trees in a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from sklearn.base import is_classifier

from training.export.graph import Graph


def add_trees(graph: Graph, estimator: Any) -> str:
    """Add fitted boosted trees; returns log odds of two classes, probabilities of more, or values, (n, n_columns).

    Written out here because skl2onnx 1.19 refuses these estimators beside numpy 2.4 (it passes booleans where
    ONNX wants integers).
    """
    columns = range(len(estimator._predictors[0]))
    forest = Forest()
    for stage, column in ((s, c) for s in estimator._predictors for c in columns):
        nodes = stage[column].nodes
        forest.add(
            nodes["feature_idx"], nodes["num_threshold"], nodes["left"], nodes["right"], nodes["is_leaf"] > 0,
            nodes["value"], column,
        )  # fmt: skip
    value = graph.name("boosted")
    written, base = forest.written(value, np.ravel(estimator._baseline_prediction))
    graph.nodes.extend(written)
    graph.constants.append(base)
    return graph.node("Softmax", [value], axis=1) if is_classifier(estimator) and len(columns) > 1 else value


def add_classes(graph: Graph, estimator: Any, name: str, n: int) -> str:
    """Add the trees of a classifier of class numbers below n; returns probabilities, (n_rows, n).

    Columns of classes that were not learnt are zero. Names of constants begin with ``name``.
    """
    found = add_trees(graph, estimator)
    if len(estimator.classes_) == 2:  # log odds of the second
        second = graph.node("Sigmoid", [found])
        first = graph.node("Sub", [graph.constant(f"{name}_one", np.float32(1)), second])
        found = graph.node("Concat", [first, second], axis=1)
    place = np.zeros((len(estimator.classes_), n), np.float32)
    place[np.arange(len(place)), estimator.classes_.astype(int)] = 1
    return graph.node("MatMul", [found, graph.constant(f"{name}_columns", place)])


def add_effects(graph: Graph, estimators: Sequence[Any]) -> str:
    """Add a classifier for each effect; returns probabilities, (n, n_effects)."""
    each = [graph.node("Sigmoid", [add_trees(graph, tree)]) for tree in estimators]
    return graph.node("Concat", each, axis=1)


def add_strengths(graph: Graph, estimators: Sequence[Any]) -> str:
    """Add a regressor for each effect, NaN for one that has none; at least one has. Returns values, (n, n_effects)."""
    told = [add_trees(graph, tree) for tree in estimators if tree is not None]
    found = iter(told)
    each = [told[0] if tree is None else next(found) for tree in estimators]
    mask = np.array([[np.nan if tree is None else 1 for tree in estimators]], np.float32)
    told_of = graph.constant(graph.name("told"), mask)
    return graph.node("Mul", [graph.node("Concat", each, axis=1), told_of])


class Forest:
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
