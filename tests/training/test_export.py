"""Export: the ONNX graph computes what scikit-learn and torch computed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from provenance import envelope, frontend
from provenance.bundle import Calibration
from provenance.model import EFFECTS, KINDS
from training import calibrate, carry, export, heads, perceptron, refit, texture_net
from training.config import Boosting
from training.heads import Fusion, Trees, Voice
from training.perceptron import Perceptron
from training.research import int8
from training.texture_net import Ensemble, Network, OnsetNet, TextureNet, learning

N_FEATURES, N_FRAMES = 40, 43
N_SEEN = 36
"""So many features, the first, are given to the origin and the distance."""
SMALL = Boosting(rounds=15, leaves=7, n_seeds=2, feature_share=0.5)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Rows with plateaus and far values, as texture statistics have them."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 20, (600, N_FEATURES)).astype(np.float32)
    rows[:, 3] = np.round(rows[:, 3] / 10) * 10
    rows[::7, 5] = -200.0
    return rows


@pytest.fixture(scope="module")
def trees(features: np.ndarray) -> Trees:
    """Trees of every head, fitted on labels that the rows explain."""
    rng = np.random.default_rng(1)
    separated = features[:, 0] + features[:, 3] > 0
    meta = pd.DataFrame(
        {
            "origin": np.where(separated, "separated", "studio"),
            "processing": rng.choice(["dry", "hybrid", "wet"], len(features)),
            "sdr_db": np.where(separated, features[:, 1] / 4 + 8, np.nan),
            "kind": rng.choice(["clean", "surrogate"], len(features)),
            "clip": [f"c{k}" for k in range(len(features))],
            "repo": rng.choice(["a", "b"], len(features)),
            "set": np.where(separated, "true", "dry"),
            "wetness": np.where(separated, "unknown", "dry"),
            "family": np.where(separated, rng.choice(["demucs", "surrogate"], len(features)), ""),
            "separator_kind": np.where(separated, rng.choice(KINDS, len(features)), ""),
            "layers": rng.choice(["submix", "individual"], len(features)),
            "effects": [
                json.dumps([[name, 0.5 + 0.4 * np.tanh(row[1] / 20)] for name in EFFECTS if rng.random() < 0.4])
                for row in features.astype(float)
            ],
        }
    )
    return Trees(
        heads.fit_origin(features[:, :N_SEEN], meta, SMALL, 0),
        heads.fit_processing(features, meta, SMALL, 0),
        heads.fit_sdr(features, meta, SMALL, 0),
        heads.fit_effects(features, meta, SMALL, 0),
        heads.fit_kind(features, meta, SMALL, 0),
        heads.fit_layers(features, meta, SMALL, 0),
        calibrate.fit_distance(features[:, :N_SEEN]),
        heads.only(heads.fit_strengths(features, meta, SMALL, 0), ("delay", "eq", "stereo_imaging")),
    )


def having_seen(net: Ensemble, level: float, *shape: int) -> Ensemble:
    """Let norms see noise of that level, four maps at a time."""
    net.train()
    for _ in range(3):
        net(level * torch.randn(4, *shape))
    return net.eval()


@pytest.fixture(scope="module")
def net() -> Ensemble:
    """Two networks with batch norms that have seen data, in evaluation mode."""
    torch.manual_seed(0)
    net = Ensemble(TextureNet(Network(channels=(4, 8, 8, 8), width=16)) for _ in range(2))
    return having_seen(net, 1.0, 2, N_FRAMES, frontend.N_MAP_BINS)


@pytest.fixture(scope="module")
def onset_net() -> Ensemble:
    """Two networks over onsets, as above."""
    torch.manual_seed(1)
    net = Ensemble(OnsetNet(Network(channels=(4, 4, 8, 8), width=8)) for _ in range(2))
    return having_seen(net, 20.0, envelope.N_MAP_BANDS, envelope.n_map_frames(N_FRAMES))


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


def test_trees_of_one_leaf_are_written_too(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """Where nothing can be learnt trees have no branch; the graph says what they say."""
    flat = HistGradientBoostingRegressor(max_iter=3).fit(features, np.full(len(features), 7.5))
    assert all(len(stage[0].nodes) == 1 for stage in flat._predictors)
    fusion, file = Fusion(), tmp_path / "m.onnx"
    lone = dataclasses.replace(trees, sdr=flat)
    export.export(lone, None, fusion, N_FEATURES, file)
    assert export.parity(file, heads.fuse(lone.run(features), fusion), features, None) < 1e-5


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
        heads._floor_thresholds(tree)
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


def test_eight_bits_are_compared_with_the_float_model(
    trees: Trees, net: Ensemble, features: np.ndarray, tmp_path: Path
) -> None:
    """The int8 form is close on windows it was not calibrated on; a model without a network is refused."""
    fusion = Fusion(Voice(1.3, 0.6), Voice(0.7, 0.4))
    file = tmp_path / "m.onnx"
    export.export(trees, net, fusion, N_FEATURES, file)
    rng = np.random.default_rng(4)
    packed = rng.integers(0, 256, (24, 2, N_FRAMES, frontend.N_MAP_BINS)).astype(np.uint8)
    maps = texture_net.unpack(packed).contiguous().numpy()
    rows = [{"features": features[k : k + 1], "map": maps[k : k + 1]} for k in range(24)]
    truth, seen = (features[:24, 0] + features[:24, 3]) > 0, np.arange(24) < 8
    found = int8.compare(file, rows, truth, seen, Calibration(1.0, 0.0))
    assert found["n_windows"] == 16
    assert found["mean_change_of_p"] < 0.1
    assert found["window_auc"]["int8"] > 0.8
    assert found["ms_per_window"]["int8"] > 0
    export.export(trees, None, Fusion(), N_FEATURES, tmp_path / "trees.onnx")
    with pytest.raises(ValueError, match="network"):
        int8.compare(tmp_path / "trees.onnx", rows, truth, seen, Calibration(1.0, 0.0))


def test_parity_finds_a_difference(trees: Trees, features: np.ndarray, tmp_path: Path) -> None:
    """The check is no formality: another fusion, or one shifted output, is found."""
    file = tmp_path / "m.onnx"
    fusion = Fusion(Voice(1.3, 1.0))
    export.export(trees, None, fusion, N_FEATURES, file)
    said = heads.fuse(trees.run(features), fusion)
    assert export.parity(file, said | {"sdr_db": said["sdr_db"] + 0.1}, features, None) > 1e-3
    assert export.parity(file, heads.fuse(trees.run(features), Fusion(Voice(2.0, 1.0))), features, None) > 1e-2


def test_the_map_means_the_same_to_training_and_serving() -> None:
    """What training unpacks from eight bits is the map that serving computes, to half a step."""
    from tests import sounds

    _, spectrum = frontend.compute_with_map(sounds.music(2.0))
    unpacked = texture_net.unpack(frontend.to_bytes(spectrum)[None]).numpy()[0]
    assert np.abs(unpacked[0] - spectrum[0]).max() <= 0.126 / 16
    assert np.abs(unpacked[1] - spectrum[1]).max() <= 0.251 / 30


@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.0])
def test_the_map_of_onsets_means_the_same_to_training_and_serving(seconds: float) -> None:
    """What training unpacks from eight bits is the map that serving computes, to half a step, over the same frames."""
    from tests import sounds

    spectra = frontend.analyse(sounds.music(seconds))
    drawn = frontend.draw_onsets(spectra)
    packed = np.zeros((1, envelope.N_MAP_BANDS, 1375), np.uint8)
    packed[0, :, : drawn.shape[1]] = envelope.to_bytes(drawn)
    unpacked = texture_net.ONSETS.whole(packed, np.array([0]), len(spectra.level)).numpy()[0]
    assert unpacked.shape == drawn.shape
    assert np.abs(unpacked - drawn).max() <= 0.251


def test_mixed_pairs_stay_pairs() -> None:
    """Twins are mixed with twins by one share, single rows with single rows, and each origin as its map is."""
    n_pairs = 3
    origin = torch.tensor([1.0, 0.0] * n_pairs + [1.0, 0.0, 1.0, 0.0])
    x = torch.arange(len(origin), dtype=torch.float32)[:, None, None].expand(-1, 2, 5).contiguous()
    torch.manual_seed(0)
    drawn = [learning.mixed(x, origin, n_pairs, 1.0) for _ in range(40)]
    found, said = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    assert torch.allclose(found[:, 1 : 2 * n_pairs : 2] - found[:, : 2 * n_pairs : 2], torch.ones(1), atol=1e-5)
    assert torch.equal(said[:, : 2 * n_pairs], origin[: 2 * n_pairs].expand(40, -1))
    single = found[:, 2 * n_pairs :, 0, 0]
    assert ((single >= 2 * n_pairs) & (single <= len(origin) - 1)).all()
    moved = ~torch.isclose(single, single.round(), atol=1e-3)
    between = (said[:, 2 * n_pairs :] > 0.01) & (said[:, 2 * n_pairs :] < 0.99)
    assert moved.float().mean() > 0.3
    assert (moved | ~between).all()
    assert between.any()


def test_a_network_of_many_heads_mixes_nothing() -> None:
    """Origin alone can be mixed: settings that ask more are refused by name."""
    with pytest.raises(ValueError, match="mixing"):
        learning.Learner(Network(mixing=0.3), torch.device("cpu"))
    learning.Learner(Network(channels=(4, 4, 4, 4), mixing=0.3), torch.device("cpu"), texture_net.ONSETS)


def test_what_networks_learn_of_onsets_is_cut_alike_for_twins() -> None:
    """Twins of one map stay alike through cut and hidden bands, short maps are repeated, and bands are hidden."""
    rng = np.random.default_rng(0)
    n_frames = np.array([171, 171, 60, 171, 60, 171])
    maps = rng.integers(60, 256, (6, envelope.N_MAP_BANDS, 1375)).astype(np.uint8)
    maps[1], maps[3] = maps[0], maps[2]
    batch = texture_net.Batch(np.array([0, 1, 2, 4, 5]), 1)
    some = 0
    for k in range(20):
        drawn = texture_net.ONSETS.draw(maps, batch, n_frames, rng, torch.Generator().manual_seed(k))
        assert drawn.shape == (5, envelope.N_MAP_BANDS, 1031)
        assert torch.equal(drawn[0], drawn[1])
        length = envelope.n_map_frames(60)
        assert torch.equal(drawn[2, :, :length], drawn[2, :, length : 2 * length])
        hidden = (drawn == envelope.MAP_RANGE_DB[0]).all(dim=2).sum(dim=1)
        assert hidden.max() <= 8
        some += int(hidden.sum())
    assert some


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
