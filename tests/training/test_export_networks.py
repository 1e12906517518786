"""What torch learnt says in ONNX what it says in training, in as few bytes as lose nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import torch

from tests.training.fitted import N_FEATURES, N_SEEN
from training import export, heads, perceptron
from training.heads import Fusion, Trees, Voice
from training.perceptron import Perceptron


def test_a_perceptron_of_sdr_agrees(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Bent statistics and the layers in ONNX are those of training, on plateaus and far out too."""
    values = np.clip(features[:, 1] / 4 + 8, -5, 25).astype(float)
    model = perceptron.fit(features[:, :N_SEEN], values, np.ones(len(values)), Perceptron(200, width=24, batch=64), 0)
    fusion, file = Fusion(), tmp_path / "m.onnx"
    smooth = dataclasses.replace(trees, sdr=model)
    export.export(smooth, None, fusion, N_FEATURES, file)
    rows = np.concatenate([features, 50 * features[:50], features[:50] * 0])
    said = heads.fuse(smooth.run(rows), fusion)
    assert np.ptp(said["sdr_db"]) > 5
    assert (said["sdr_db"] == values.max()).any(), "some lie at the bound"
    assert export.parity(file, said, rows, None) < 1e-5
    assert export.parity(file, said | {"sdr_db": said["sdr_db"] + 0.01}, rows, None) > 1e-4


def test_a_perceptron_of_the_origin_agrees(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Its log odds are added by its share, in the graph as in training; without settings there is none."""
    meta = pd.DataFrame({
        "origin": np.where(features[:, 0] > np.median(features[:, 0]), "separated", "studio"),
        "family": "a", "clip": [f"c{k}" for k in range(len(features))], "repo": "r", "kind": "clean",
    })  # fmt: skip
    seen = features[:, :N_SEEN]
    assert heads.fit_origin_perceptron(seen, meta, None, 0.5, 0) is None
    smooth = heads.fit_origin_perceptron(seen, meta, Perceptron(n_steps=30, width=8, batch=32), 0.5, 0)
    both = dataclasses.replace(trees, origin_perceptron=smooth)
    fusion = Fusion(Voice(1.3, 0.7), perceptron=Voice(0.8, 0.3))
    file = tmp_path / "m.onnx"
    export.export(both, None, fusion, N_FEATURES, file)
    said = both.run(features)
    assert export.parity(file, heads.fuse(said, fusion), features, None) < 1e-5
    alone = {name: value for name, value in said.items() if name != "perceptron_logit"}
    assert export.parity(file, heads.fuse(alone, fusion), features, None) > 1e-3


def test_weights_are_halved_only_where_that_loses_nothing(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """A fitted perceptron's layers take two bytes a weight and compute the same; one weight off and it takes four."""
    is_so, settings = features[:, 0] > 0, Perceptron(30, width=64, batch=32)
    smooth = perceptron.fit_log_odds(features[:, :N_SEEN], is_so, np.ones(len(is_so)), settings, 0)
    fusion = Fusion(Voice(1.3, 0.7), perceptron=Voice(0.8, 0.3))
    file = tmp_path / "m.onnx"

    def stored() -> dict[str, int]:
        both = dataclasses.replace(trees, origin_perceptron=smooth)
        export.export(both, None, fusion, N_FEATURES, file)
        assert export.parity(file, heads.fuse(both.run(features), fusion), features, None) < 1e-5
        return {value.name: value.data_type for value in onnx.load(file).graph.initializer}

    types = stored()
    assert types["origin_layer0_weight"] == types["origin_layer1_weight"] == onnx.TensorProto.FLOAT16
    assert types["origin_layer0_bias"] == onnx.TensorProto.FLOAT
    with torch.no_grad():
        smooth.layers[0].weight[0, 0] += 2.0**-20
    types = stored()
    assert types["origin_layer0_weight"] == onnx.TensorProto.FLOAT
    assert types["origin_layer1_weight"] == onnx.TensorProto.FLOAT16
