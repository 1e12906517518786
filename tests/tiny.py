"""A tiny model folder with every head: linear, random and quick, for tests that need a model and not its skill."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from provenance import frontend

HEADS = ("origin", "processing", "sdr", "distance")


def write(folder: Path, seed: int = 0, outputs: tuple[str, ...] = (), **changes: Any) -> Path:
    """Write a model folder.

    Args:
        folder: to be made.
        seed: of the weights.
        outputs: names of the graph's outputs to leave out.
        changes: keys of ``config.json`` to replace.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    n = frontend.N_FEATURES
    constants = [
        numpy_helper.from_array((rng.standard_normal((n, 1)) * 3e-3).astype(np.float32), "w_origin"),
        numpy_helper.from_array((rng.standard_normal((n, 3)) * 3e-3).astype(np.float32), "w_processing"),
        numpy_helper.from_array((rng.standard_normal((n, 1)) * 3e-3).astype(np.float32), "w_sdr"),
        numpy_helper.from_array(np.full((n, 1), 1e-6, np.float32), "w_distance"),
        numpy_helper.from_array(np.array([-1], np.int64), "flat"),
    ]
    nodes = [
        helper.make_node("MatMul", ["features", "w_processing"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p_processing"], axis=1),
    ]
    for weights, output in (("w_origin", "logit"), ("w_sdr", "sdr_db"), ("w_distance", "distance")):
        nodes.append(helper.make_node("MatMul", ["features", weights], [f"{output}_2d"]))
        nodes.append(helper.make_node("Reshape", [f"{output}_2d", "flat"], [output]))
    shapes: dict[str, list[str | int]] = {"logit": ["n"], "p_processing": ["n", 3], "sdr_db": ["n"], "distance": ["n"]}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", n])],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in shapes.items() if k not in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    config: dict[str, Any] = {
        "format": 1,
        "name": "tiny",
        "sha256": hashlib.sha256(data).hexdigest(),
        "heads": list(HEADS),
        "calibration": {"slope": 1.0, "intercept": 0.0},
        "thresholds": {"separated": 0.8, "studio": 0.2, "processing": 0.5, "distance": 100.0},
        "sdr_half_width_db": 6.0,
        "licence": "Apache-2.0",
        "frontend": frontend.contract(),
    }
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return folder
