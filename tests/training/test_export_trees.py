"""Boosted trees in ONNX say what scikit-learn says, on a threshold and without a branch too."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from provenance.model import KINDS
from tests.training.fitted import N_FEATURES, SMALL
from training import export, heads
from training.heads import Fusion, Trees


def test_trees_of_one_leaf_are_written_too(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Where nothing can be learnt trees have no branch; the graph says what they say."""
    flat = HistGradientBoostingRegressor(max_iter=3).fit(features, np.full(len(features), 7.5))
    assert all(len(stage[0].nodes) == 1 for stage in flat._predictors)
    fusion, file = Fusion(), tmp_path / "m.onnx"
    lone = dataclasses.replace(trees, sdr=flat)
    export.export(lone, None, fusion, N_FEATURES, file)
    assert export.parity(file, heads.fuse(lone.run(features), fusion), features, None) < 1e-5


def test_two_kinds_of_separator_keep_their_columns(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Where two kinds were learnt from, each probability stands in its own column and the others are zero."""
    kinds = np.where(features[:, 0] > 0, KINDS[1], KINDS[4])
    meta = pd.DataFrame({"origin": "separated", "separator_kind": kinds}, index=range(len(features)))
    two = dataclasses.replace(trees, kind=heads.fit_kind(features, meta, SMALL, 0))
    found = two.run(features)["tree_kind"]
    assert (found.argmax(1) == np.where(features[:, 0] > 0, 1, 4)).mean() > 0.95
    assert not found[:, [0, 2, 3, 5]].any()
    fusion = Fusion()
    export.export(two, None, fusion, N_FEATURES, tmp_path / "m.onnx")
    assert export.parity(tmp_path / "m.onnx", heads.fuse(two.run(features), fusion), features, None) < 1e-5


def test_values_on_a_threshold_take_the_same_branch(trees: Trees, tmp_path: Path) -> None:
    """Rows that sit exactly on the trees' own thresholds agree: float32 comparison takes the branch float64 took."""
    thresholds = [p.nodes["num_threshold"] for stage in trees.origin[0]._predictors for p in stage]
    values = np.unique(np.concatenate(thresholds).astype(np.float32))
    rng = np.random.default_rng(2)
    rows = rng.choice(values, (400, N_FEATURES)).astype(np.float32)
    file = tmp_path / "m.onnx"
    fusion = Fusion()
    export.export(trees, None, fusion, N_FEATURES, file)
    assert export.parity(file, heads.fuse(trees.run(rows), fusion), rows, None) < 1e-5
