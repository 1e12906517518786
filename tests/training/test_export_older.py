"""Graphs of older models are read and brought up to date."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.training.fitted import N_FEATURES, N_SEEN
from training import export, perceptron
from training.heads import Fusion, Trees
from training.perceptron import Perceptron


def old_graph(file: Path, targets: tuple[tuple[int, ...], ...]) -> None:
    """A graph whose trees are written as they were before ``TreeEnsemble``: a stump for each target and a lone leaf."""
    kinds: dict[str, list[int | float | str]] = {}
    leaves: dict[str, list[int | float]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for tree, (target, feature) in enumerate(targets):
        nodes = [("BRANCH_LEQ", feature, 0.5 - tree, 1, 2), ("LEAF", 0, 0.0, 0, 0), ("LEAF", 0, 0.0, 0, 0)]
        nodes = nodes if feature >= 0 else nodes[1:2]
        for k, node in enumerate(nodes):
            for name, value in zip(("modes", "featureids", "values", "truenodeids", "falsenodeids"), node, strict=True):
                kinds.setdefault(f"nodes_{name}", []).append(value)
            kinds.setdefault("nodes_treeids", []).append(tree)
            kinds.setdefault("nodes_nodeids", []).append(k)
            if node[0] == "LEAF":
                for name, value in zip(leaves, (tree, k, target, 1.25**tree - k), strict=True):
                    leaves[name].append(value)
    helper = onnx.helper
    node = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["logit"], domain="ai.onnx.ml", n_targets=2, base_values=[0.25, -4.0],
        **kinds, **{f"target_{name}": values for name, values in leaves.items()},
    )  # fmt: skip
    given, said = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", n])
        for name, n in (("features", 5), ("logit", 2))
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "old", [given], [said])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())


def test_older_graphs_are_read_and_say_the_same(tmp_path: Path) -> None:
    """Trees that name every node for what it is are written anew, a lone leaf too, and say bit for bit the same."""
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    old_graph(old, ((0, 3), (1, 0), (0, -1), (0, 4), (1, 2)))
    model = export.load(old)
    onnx.checker.check_model(model)
    new.write_bytes(model.SerializeToString())
    assert "TreeEnsembleRegressor" not in {node.op_type for node in model.graph.node}
    rows = np.random.default_rng(0).normal(0, 3, (200, 5)).astype(np.float32)
    said = [
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"features": rows})[0]
        for file in (old, new)
    ]
    assert np.array_equal(said[0], said[1])
    assert len(np.unique(said[0], axis=0)) > 8
    assert export.load(new) == model, "a graph of today is left as it is"


def test_a_line_under_sdr_is_taken_off(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """The graph says what the perceptron said before it was laid on a line, all else bit for bit what it said."""
    values = np.clip(features[:, 1] / 4 + 8, -5, 25).astype(float)
    values[:2] = -5, 25
    model = perceptron.fit(features[:, :N_SEEN], values, np.ones(len(values)), Perceptron(60, width=24, batch=64), 0)
    low, high = (1.2 * bound - 2.5 for bound in model.bounds)
    laid, odd = (
        perceptron.Fitted(model.squash, model.net, 1.2 * model.scale, 1.2 * model.middle - 2.5, (low, most))
        for most in (high, high + 1)
    )
    for name, head in (("plain", model), ("laid", laid), ("odd", odd)):
        export.export(dataclasses.replace(trees, sdr=head), None, Fusion(), N_FEATURES, tmp_path / f"{name}.onnx")
    said = {}
    for name, line in (("plain", (1.0, 0.0)), ("laid", (1.2, -2.5))):
        off = tmp_path / f"{name}-off.onnx"
        assert export.take_off_line(tmp_path / f"{name}.onnx", off) == pytest.approx(line, abs=1e-5)
        said[name] = dict(zip(*run(off, features), strict=True))
    assert np.allclose(said["plain"]["sdr_db"], said["laid"]["sdr_db"], atol=1e-4)
    for name in said["plain"].keys() - {"sdr_db"}:
        assert np.array_equal(said["plain"][name], said["laid"][name], equal_nan=True), name
    with pytest.raises(export.LineError, match="needed: bounds on one line"):
        export.take_off_line(tmp_path / "odd.onnx", tmp_path / "never.onnx")
    export.export(trees, None, Fusion(), N_FEATURES, tmp_path / "trees.onnx")
    assert export.take_off_line(tmp_path / "trees.onnx", tmp_path / "same.onnx") == (1.0, 0.0)


def run(file: Path, features: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    """Names and values of a graph's outputs."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return names, session.run(names, {"features": features})
