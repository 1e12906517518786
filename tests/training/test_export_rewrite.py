"""A graph written again with other heads says of the rest what it said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from provenance.model import EFFECTS
from tests.training.fitted import N_FEATURES, N_SEEN
from training import carry, export, heads, refit
from training.heads import Fusion, Trees, Voice, learning


def test_two_heads_are_replaced_and_nothing_else(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """A graph with other trees for processing and effects, of more features, says of the rest what it said, exactly."""
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    export.export(trees, None, Fusion(Voice(1.3, 1.0)), N_FEATURES, old)
    wider = np.concatenate([features, features[:, :5] * 2 + 1], axis=1)
    rng = np.random.default_rng(1)
    processing = HistGradientBoostingClassifier(max_iter=4, random_state=0).fit(wider, (wider[:, -1] > 3) + 0)
    effects = [
        HistGradientBoostingClassifier(max_iter=3, random_state=k).fit(wider, rng.random(len(wider)) < 0.4)
        for k in range(len(EFFECTS))
    ]
    for tree in (processing, *effects):
        learning._floor_thresholds(tree)
    strengths = heads.only(trees.strengths, ("reverb", "eq", "stereo_imaging"))
    assert strengths is not None
    export.replace_heads(old, processing, effects, strengths, wider.shape[1], new)
    said = {
        "p_processing": heads.all_classes(processing, wider, 3),
        "p_effects": np.stack([tree.predict_proba(wider)[:, 1] for tree in effects], axis=1),
        "strengths": heads.strengths(strengths, wider),
    }
    assert refit.compare(old, new, wider, said) < 1e-5
    assert {o.name for o in onnx.load(new).graph.output} == {o.name for o in onnx.load(old).graph.output}
    n_trees = [sum(node.op_type == "TreeEnsemble" for node in onnx.load(f).graph.node) for f in (old, new)]
    assert n_trees[0] == n_trees[1] + 1, "the old heads' trees are still there"
    with pytest.raises(refit.RefitError, match="strengths where there is none"):
        refit.compare(old, new, wider, said | {"strengths": np.nan_to_num(said["strengths"])})
    silent = tmp_path / "silent.onnx"
    export.replace_heads(new, processing, effects, (), wider.shape[1], silent)
    assert "strengths" not in {output.name for output in onnx.load(silent).graph.output}
    assert refit.compare(old, silent, wider, {k: said[k] for k in ("p_processing", "p_effects")}) < 1e-5
    export.replace_heads(silent, processing, effects, strengths, wider.shape[1], new)
    assert refit.compare(old, new, wider, said) < 1e-5
    with pytest.raises(refit.RefitError, match="differs by"):
        refit.compare(old, new, wider, said | {"p_effects": 1 - said["p_effects"]})
    other = tmp_path / "other.onnx"
    export.export(trees, None, Fusion(Voice(1.4, 1.0)), N_FEATURES, other)
    with pytest.raises(refit.RefitError, match="logit changed"):
        refit.compare(other, new, wider, said)


def test_heads_are_carried_to_a_model_of_more_statistics(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Heads of an older graph say in a newer one what they said; statistics lie elsewhere, and all else stays."""
    old, new, made = tmp_path / "old.onnx", tmp_path / "new.onnx", tmp_path / "made.onnx"
    export.export(trees, None, Fusion(Voice(1.3, 1.0)), N_FEATURES, old)
    contract = {"hop": 1024, "version": 1, "n_features": N_FEATURES, "n_texture": N_SEEN}
    newer = contract | {"version": 2, "n_features": N_FEATURES + 7, "n_texture": N_SEEN + 5, "added": 3}
    columns = carry.places(tmp_path, contract, newer)
    assert len(set(columns)) == N_FEATURES
    wider = np.full((len(features), N_FEATURES + 7), 3.0, np.float32)
    wider[:, columns] = features
    assert np.array_equal(wider[:, : N_SEEN + 5][:, :N_SEEN], features[:, :N_SEEN])
    other = dataclasses.replace(trees, processing=None, effects=trees.effects and trees.effects[::-1])
    export.export(other, None, Fusion(Voice(2.0, 1.0)), N_FEATURES + 7, new)
    names = ("p_processing", "p_effects")
    export.carry_heads(old, new, names, columns, N_FEATURES + 7, made)
    before, there, after = (
        dict(zip([o.name for o in s.get_outputs()], s.run(None, {"features": given}), strict=True))
        for s, given in (
            (onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]), given)
            for file, given in ((old, features), (new, wider), (made, wider))
        )
    )
    assert set(after) == set(before)
    assert not np.array_equal(there["p_effects"], before["p_effects"])
    for name, values in after.items():
        expected = before if name in names else there
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    assert len(onnx.load(made).graph.node) < len(onnx.load(old).graph.node) + len(onnx.load(new).graph.node)
    for changes, found in (({"hop": 512}, "another hop"), ({"n_texture": N_SEEN - 1}, "another n_features")):
        with pytest.raises(carry.CarryError, match=found):
            carry.places(tmp_path, contract, newer | changes)
