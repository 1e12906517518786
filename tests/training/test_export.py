"""Export: the ONNX graph computes what scikit-learn and torch computed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest

from provenance import envelope, frontend
from provenance.model import EFFECTS, GATED_FROM, KINDS
from tests.training.fitted import N_FEATURES, N_FRAMES, SMALL
from training import export, heads, refit, regate, texture_net
from training.heads import Fusion, Trees, Voice
from training.texture_net import Ensemble


def test_trees_agree(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Boosted trees, softmax and distance in ONNX are those of scikit-learn, on every row, thresholds included."""
    file = tmp_path / "m.onnx"
    fusion = Fusion(Voice(1.3, 1.0))
    export.export(trees, None, fusion, N_FEATURES, file)
    said = heads.fuse(trees.run(features), fusion)
    assert export.parity(file, said, features, None) < 1e-5
    told = np.isin(EFFECTS, ("delay", "eq", "stereo_imaging"))
    assert np.array_equal(np.isfinite(said["strengths"]), np.broadcast_to(told, said["strengths"].shape))
    assert export.parity(file, said | {"strengths": np.nan_to_num(said["strengths"])}, features, None) == np.inf


def test_heads_that_rows_cannot_teach_are_left_out(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Without dry recordings, known SDR or a second kind of separator a model has the origin head and no other."""
    meta = pd.DataFrame(
        {"origin": "separated", "separator_kind": KINDS[2], "processing": "wet", "sdr_db": np.nan, "effects": "",
         "layers": "", "set": "true", "wetness": "wet", "kind": "clean"},
        index=range(len(features)),
    )  # fmt: skip
    fitted = {
        "processing": heads.fit_processing(features, meta, SMALL, 0),
        "sdr": heads.fit_sdr(features, meta, SMALL, 0),
        "effects": heads.fit_effects(features, meta, SMALL, 0),
        "kind": heads.fit_kind(features, meta, SMALL, 0),
        "layers": heads.fit_layers(features, meta, SMALL, 0),
        "strengths": heads.fit_strengths(features, meta, SMALL, 0),
    }
    assert set(fitted.values()) == {None}
    bare = dataclasses.replace(trees, **fitted)
    fusion = Fusion()
    file = tmp_path / "m.onnx"
    export.export(bare, None, fusion, N_FEATURES, file)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert {output.name for output in session.get_outputs()} == {"logit", "distance"}
    assert export.parity(file, heads.fuse(bare.run(features), fusion), features, None) < 1e-5


def test_an_allowance_for_rework_agrees(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """What the trees of rework say is taken off the log odds, in the graph as in training."""
    kinds = np.where(features[:, 2] > np.median(features[:, 2]), "reworked", "clean")
    meta = pd.DataFrame({"kind": kinds, "origin": np.where(features[:, 0] > 0, "separated", "studio")})
    assert heads.fit_reworked(features, meta, None, 0) is None
    assert heads.fit_reworked(features, meta.assign(kind="clean"), SMALL, 0) is None
    both = dataclasses.replace(trees, reworked=heads.fit_reworked(features, meta, SMALL, 0))
    plain = heads.fuse(trees.run(features), Fusion(Voice(1.3, 1.0)))["logit"]
    line = float(np.median(plain))
    fusion, file = Fusion(Voice(1.3, 1.0), allowance=0.7, line=line), tmp_path / "m.onnx"
    export.export(both, None, fusion, N_FEATURES, file)
    said = heads.fuse(both.run(features), fusion)
    assert export.parity(file, said, features, None) < 1e-5
    assert np.array_equal(said["logit"][plain <= line], plain[plain <= line])
    assert (said["logit"][plain > line] >= line).all()
    assert (said["logit"] < plain).any()
    assert np.mean(said["p_reworked"][kinds == "reworked"]) > np.mean(said["p_reworked"][kinds == "clean"]) + 0.3
    assert export.parity(file, heads.fuse(trees.run(features), fusion), features, None) > 1e-2
    nothing = dataclasses.replace(fusion, allowance=0.0)
    export.export(both, None, nothing, N_FEATURES, file)
    assert export.parity(file, heads.fuse(trees.run(features), nothing), features, None) < 1e-5


def test_what_is_gated_stays_at_the_line(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Log odds of what the trees find gated end at the line, others stay, in the graph as in training."""
    kinds = np.where(features[:, 2] > np.median(features[:, 2]), "gated", "clean")
    meta = pd.DataFrame({"kind": kinds, "origin": np.where(features[:, 0] > 0, "separated", "studio")})
    assert heads.fit_gated(features, meta, None, 0) is None
    both = dataclasses.replace(
        trees, gated=heads.fit_gated(features, meta, SMALL, 0), reworked=heads.fit_reworked(features, meta, SMALL, 0)
    )
    plain = heads.fuse(trees.run(features), Fusion(Voice(1.3, 1.0)))["logit"]
    fusion, file = Fusion(Voice(1.3, 1.0), line=float(np.median(plain))), tmp_path / "m.onnx"
    export.export(both, None, fusion, N_FEATURES, file)
    said = heads.fuse(both.run(features), fusion)
    assert export.parity(file, said, features, None) < 1e-5
    is_gated = said["p_gated"] > GATED_FROM
    assert np.array_equal(said["logit"][is_gated], np.minimum(plain, fusion.line)[is_gated])
    assert np.array_equal(said["logit"][~is_gated], plain[~is_gated])
    assert (said["logit"] < plain).any()
    assert (is_gated & (plain <= fusion.line)).any()
    without = heads.fuse(trees.run(features), fusion) | {"p_gated": said["p_gated"]}
    assert export.parity(file, without, features, None) > 1e-2


def test_another_gate_is_put_in_and_nothing_else(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """With other trees the graph is what an export with them is; once more too, and what differs is refused."""
    meta = pd.DataFrame({"origin": np.where(features[:, 0] > 0, "separated", "studio")})
    first, second = (
        heads.fit_gated(features, meta.assign(kind=np.where(features[:, k] > 5, "gated", "clean")), SMALL, 0)
        for k in (2, 4)
    )
    plain = heads.fuse(trees.run(features), Fusion(Voice(1.3, 1.0)))["logit"]
    fusion = Fusion(Voice(1.3, 1.0), line=float(np.median(plain)))
    old, new, again, whole = (tmp_path / f"{name}.onnx" for name in ("old", "new", "again", "whole"))
    export.export(dataclasses.replace(trees, gated=first), None, fusion, N_FEATURES, old)
    export.export(dataclasses.replace(trees, gated=second), None, fusion, N_FEATURES, whole)
    export.replace_gate(old, second, new)
    p_first, p_second = (found.predict_proba(features)[:, 1] for found in (first, second))
    assert regate.compare(old, new, features, p_second) < 1e-5
    for name, values in regate.asked(whole, features, ("logit", "p_gated", "distance", "p_effects")).items():
        np.testing.assert_array_equal(regate.asked(new, features, (name,))[name], values)
    assert len(onnx.load(new).graph.node) == len(onnx.load(whole).graph.node), "the old trees are still there"
    export.replace_gate(new, first, again)
    assert regate.compare(old, again, features, p_first) < 1e-5
    with pytest.raises(refit.RefitError, match="differs by"):
        regate.compare(old, new, features, p_first)
    export.export(dataclasses.replace(trees, gated=second), None, Fusion(Voice(1.4, 1.0)), N_FEATURES, whole)
    with pytest.raises(refit.RefitError, match="log odds changed"):
        regate.compare(old, whole, features, p_second)


@pytest.mark.parametrize("share_of_rest", [0.0, 0.5])
def test_trees_and_network_agree(
    trees: Trees, net: Ensemble, onset_net: Ensemble, features: np.ndarray, tmp_path: Path, share_of_rest: float
) -> None:
    """The fused graph is torch and scikit-learn put together, for windows of any length."""
    fusion = Fusion(Voice(1.3, 0.4), Voice(0.7, 0.4), Voice(0.9, 0.2), net_share_of_rest=share_of_rest)
    file = tmp_path / "m.onnx"
    export.export(trees, net, fusion, N_FEATURES, file, onset_net)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    shapes = {output.name: output.shape[1:] for output in session.get_outputs()}
    assert shapes["p_effects"] == [len(EFFECTS)]
    assert shapes["p_kind"] == [len(KINDS)]
    rng = np.random.default_rng(3)
    for n_frames in (42, N_FRAMES, 171):
        packed = rng.integers(0, 256, (5, 2, n_frames, frontend.N_MAP_BINS)).astype(np.uint8)
        rows = np.arange(5)
        said = trees.run(features[:5]) | heads.run_network(net, packed, rows, np.full(5, n_frames))
        maps = texture_net.unpack(packed).contiguous().numpy()
        fine = rng.integers(0, 256, (5, envelope.N_MAP_BANDS, envelope.n_map_frames(n_frames))).astype(np.uint8)
        said["onset_logit"] = heads.run_onset_network(onset_net, fine, rows, np.full(5, n_frames))
        onsets = texture_net.ONSETS.whole(fine, rows, n_frames).numpy()
        assert export.parity(file, heads.fuse(said, fusion), features[:5], maps, onsets) < 1e-4
        other = dataclasses.replace(fusion, onset=Voice(0.9, 0.1))
        assert export.parity(file, heads.fuse(said, other), features[:5], maps, onsets) > 1e-3


def test_parity_finds_a_difference(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """The check is no formality: another fusion, or one shifted output, is found."""
    file = tmp_path / "m.onnx"
    fusion = Fusion(Voice(1.3, 1.0))
    export.export(trees, None, fusion, N_FEATURES, file)
    said = heads.fuse(trees.run(features), fusion)
    assert export.parity(file, said | {"sdr_db": said["sdr_db"] + 0.1}, features, None) > 1e-3
    assert export.parity(file, heads.fuse(trees.run(features), Fusion(Voice(2.0, 1.0))), features, None) > 1e-2
