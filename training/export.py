"""One ONNX graph out of all heads, and the check that it computes what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.base import is_classifier

from training.calibrate import Distance
from training.heads import CLIP_Z, Mlp, Origin

OPSET, ML_OPSET = 18, 3
Array = npt.NDArray[np.float32]


def export(origin: Origin, processing: Any, sdr: Any, distance: Distance, n_features: int, file: Path) -> None:
    """Write all heads as one graph.

    Input ``features`` is float32 (n, n_features); outputs are ``logit`` (n,), ``p_processing`` (n, 3),
    ``sdr_db`` (n,) and ``distance`` (n,).

    Args:
        origin: the origin head.
        processing: a fitted scikit-learn classifier over dry, hybrid, wet.
        sdr: a fitted scikit-learn regressor.
        distance: the distance to the training data.
        n_features: width of the input.
        file: where to write.
    """
    graph = _Graph()
    tree_logits = [graph.tree(tree) for k, tree in enumerate(origin.trees)]
    logit = graph.mean(tree_logits, "origin_trees")
    if origin.networks:
        network = graph.mean([graph.mlp(m, f"net{k}_") for k, m in enumerate(origin.networks)], "origin_nets")
        left = graph.node("Mul", [logit, graph.constant("tree_share", np.float32(1 - origin.share))])
        right = graph.node("Mul", [network, graph.constant("net_share", np.float32(origin.share))])
        logit = graph.node("Add", [left, right])
    graph.output(logit, "logit")
    probabilities = graph.tree(processing)
    graph.nodes.append(helper.make_node("Identity", [probabilities], ["p_processing"]))
    graph.output(graph.tree(sdr), "sdr_db")
    graph.distance(distance)
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in ("logit", "sdr_db", "distance")]
    outputs.insert(1, helper.make_tensor_value_info("p_processing", TensorProto.FLOAT, ["n", 3]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "stem",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", n_features])],
            outputs,
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())


def parity(file: Path, origin: Origin, processing: Any, sdr: Any, distance: Distance, features: Array) -> float:
    """Return the largest difference between the graph and what was trained, over all outputs.

    Log odds are compared as probabilities, decibels and distances as they are, each over its own scale of one.

    Args:
        file: the exported graph.
        origin, processing, sdr, distance: what was trained.
        features: rows to compare on.
    """
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, {"features": features}), strict=True)
    )
    sigmoid = lambda z: 1 / (1 + np.exp(-np.asarray(z, np.float64)))  # noqa: E731
    differences = [
        np.abs(sigmoid(found["logit"]) - sigmoid(origin.logit(features))),
        np.abs(found["p_processing"] - processing.predict_proba(features)),
        np.abs(found["sdr_db"] - sdr.predict(features)) / np.maximum(1, np.abs(found["sdr_db"])),
        np.abs(found["distance"] - distance.of(features)) / np.maximum(1, np.abs(found["distance"])),
    ]
    return float(max(d.max() for d in differences))


class _Graph:
    """A graph under construction: nodes, constants, and names that do not clash."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        self._count += 1
        name = f"{op.lower()}_{self._count}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def output(self, value: str, name: str) -> None:
        shape = "flat_shape"
        if all(c.name != shape for c in self.constants):
            self.constant(shape, np.array([-1], np.int64))
        self.nodes.append(helper.make_node("Reshape", [value, shape], [name]))

    def mean(self, values: list[str], name: str) -> str:
        flat = []
        for k, value in enumerate(values):
            self.output(value, f"{name}_{k}")
            flat.append(f"{name}_{k}")
        return self.node("Mean", flat)

    def tree(self, estimator: Any) -> str:
        """Add fitted boosted trees; returns log odds of two classes, probabilities of more, or values.

        Written out here because skl2onnx 1.19 refuses these estimators beside numpy 2.4 (it passes booleans where
        ONNX wants integers).
        """
        columns = range(len(estimator._predictors[0]))
        nodes: dict[str, list[Any]] = {k: [] for k in ("tree", "id", "feature", "value", "mode", "true", "false")}
        leaves: dict[str, list[Any]] = {k: [] for k in ("tree", "node", "target", "weight")}
        for number, (stage, column) in enumerate((s, c) for s in estimator._predictors for c in columns):
            for k, node in enumerate(stage[column].nodes):
                leaf = bool(node["is_leaf"])
                nodes["tree"].append(number)
                nodes["id"].append(k)
                nodes["feature"].append(0 if leaf else int(node["feature_idx"]))
                nodes["value"].append(0.0 if leaf else float(node["num_threshold"]))
                nodes["mode"].append("LEAF" if leaf else "BRANCH_LEQ")
                nodes["true"].append(0 if leaf else int(node["left"]))
                nodes["false"].append(0 if leaf else int(node["right"]))
                if leaf:
                    for key, value in zip(leaves, (number, k, column, float(node["value"])), strict=True):
                        leaves[key].append(value)
        base = np.ravel(estimator._baseline_prediction).astype(float).tolist()
        value = self.node(
            "TreeEnsembleRegressor", ["features"], domain="ai.onnx.ml", n_targets=len(columns), base_values=base,
            nodes_treeids=nodes["tree"], nodes_nodeids=nodes["id"], nodes_featureids=nodes["feature"],
            nodes_values=nodes["value"], nodes_modes=nodes["mode"], nodes_truenodeids=nodes["true"],
            nodes_falsenodeids=nodes["false"], target_treeids=leaves["tree"], target_nodeids=leaves["node"],
            target_ids=leaves["target"], target_weights=leaves["weight"],
        )  # fmt: skip
        return self.node("Softmax", [value], axis=1) if is_classifier(estimator) and len(columns) > 1 else value

    def mlp(self, network: Mlp, prefix: str) -> str:
        value = self.node("Sub", ["features", self.constant(prefix + "mean", network.mean)])
        value = self.node("Div", [value, self.constant(prefix + "scale", network.scale)])
        low = self.constant(prefix + "low", np.float32(-CLIP_Z))
        value = self.node("Clip", [value, low, self.constant(prefix + "high", np.float32(CLIP_Z))])
        for k, layer in enumerate(network.net):
            kind = type(layer).__name__
            if kind == "Linear":
                weight = self.constant(f"{prefix}w{k}", layer.weight.detach().numpy())
                bias = self.constant(f"{prefix}b{k}", layer.bias.detach().numpy())
                value = self.node("Gemm", [value, weight, bias], transB=1)
            elif kind == "SiLU":
                value = self.node("Mul", [value, self.node("Sigmoid", [value])])
            elif kind != "Dropout":
                raise ValueError(f"found layer {kind}; needed: Linear, SiLU or Dropout")
        return value

    def distance(self, distance: Distance) -> None:
        value = self.node("Sub", ["features", self.constant("distance_mean", distance.mean)])
        value = self.node("Div", [value, self.constant("distance_scale", distance.scale)])
        low = self.constant("distance_low", np.float32(-distance.clip))
        value = self.node("Clip", [value, low, self.constant("distance_high", np.float32(distance.clip))])
        value = self.node("MatMul", [value, self.constant("distance_axes", distance.axes)])
        value = self.node("Mul", [value, value])
        axes = self.constant("distance_axis", np.array([1], np.int64))
        value = self.node("Sqrt", [self.node("ReduceMean", [value, axes], keepdims=0)])
        self.output(value, "distance")

