"""A tiny model folder with every head: linear, random and quick, for tests that need a model and not its skill."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from provenance import envelope, frontend

HEADS = ("origin", "processing", "sdr", "distance", "effects", "strengths", "family", "layers", "gated")


def write(folder: Path, seed: int = 0, outputs: tuple[str, ...] = (), with_map: bool = False, **changes: Any) -> Path:
    """Write a model folder.

    Args:
        folder: to be made.
        seed: of the weights.
        outputs: names of the graph's outputs to leave out.
        with_map: whether the model also looks at the windows' maps, of spectra and of onsets.
        changes: keys of ``config.json`` to replace.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    n = frontend.N_FEATURES
    widths = {"logit": 1, "p_processing": 3, "sdr_db": 1, "distance": 1, "p_effects": 9, "p_kind": 6, "p_submix": 1,
              "strengths": 9, "p_gated": 1}  # fmt: skip
    last = {"p_processing": "Softmax", "p_kind": "Softmax", "p_effects": "Sigmoid", "p_submix": "Sigmoid",
            "strengths": "Sigmoid", "p_gated": "Sigmoid"}  # fmt: skip
    constants, nodes, shown = [numpy_helper.from_array(np.array([-1], np.int64), "flat")], [], []
    for output, width in widths.items():
        weights = np.full((n, 1), 1e-6) if output == "distance" else rng.standard_normal((n, width)) * 3e-3
        constants.append(numpy_helper.from_array(weights.astype(np.float32), f"w_{output}"))
        steps = [("MatMul", ["features", f"w_{output}"])]
        if output in last:
            steps.append((last[output], []))
        if width == 1:
            steps.append(("Reshape", ["flat"]))
        if output == "logit" and with_map:
            constants.append(numpy_helper.from_array(np.array([1, 2, 3], np.int64), "map_axes"))
            nodes.append(helper.make_node("ReduceMean", ["map", "map_axes"], ["map_mean"], keepdims=0))
            steps.append(("Add", ["map_mean"]))
            constants.append(numpy_helper.from_array(np.array([1, 2], np.int64), "onset_axes"))
            constants.append(numpy_helper.from_array(np.array(0.01, np.float32), "onset_factor"))
            nodes.append(helper.make_node("ReduceMean", ["onsets", "onset_axes"], ["onset_mean"], keepdims=0))
            nodes.append(helper.make_node("Mul", ["onset_mean", "onset_factor"], ["onset_part"]))
            steps.append(("Add", ["onset_part"]))
        value = ""
        for k, (op, inputs) in enumerate(steps):
            name = output if k == len(steps) - 1 else f"{output}_{k}"
            nodes.append(helper.make_node(op, ([value] if value else []) + inputs, [name]))
            value = name
        if output not in outputs:
            shape: list[str | int] = ["n"] if width == 1 else ["n", width]
            shown.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    given = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", n])]
    if with_map:
        given.append(helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", 2, "frames", frontend.N_MAP_BINS]))
        fine = ["n", envelope.N_MAP_BANDS, "fine_frames"]
        given.append(helper.make_tensor_value_info("onsets", TensorProto.FLOAT, fine))
    graph = helper.make_graph(nodes, "tiny", given, shown, constants)
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
        "thresholds": {
            "separated": 0.8,
            "studio": 0.2,
            "processing": 0.5,
            "distance": 100.0,
            "family": 0.3,
            "layers": 0.6,
        },
        "sdr_interval": {"base_db": 6.0, "per_db": 0.0, "from_db": 0.0},
        "licence": "Apache-2.0",
        "frontend": frontend.contract(),
    }
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return folder
