"""Networks out of a model folder: they say what its graph says, can be fitted on, and know what they learnt from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import onnx
import onnxruntime
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from provenance import frontend
from tests import sounds, tiny
from tests.training.test_splits import clip
from training import calibrate, card, export, shipped, texture_net
from training.heads import Fusion, Trees, Voice
from training.texture_net import Network

SOURCE = "someone/stems"
SHARE, SPREAD = 0.4, 2.1


@pytest.fixture(scope="module")
def settings() -> Network:
    """Of a small network."""
    return Network(channels=(4, 8, 8, 8), width=16, share=SHARE)


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    """Packed maps of some music and some noise."""
    waves = [sounds.music(4.0, seed=k) for k in range(5)] + [sounds.noise(4.0, seed=k) for k in range(3)]
    return np.stack([frontend.to_bytes(frontend.compute_with_map(np.asarray(w, np.float32))[1]) for w in waves])


@pytest.fixture(scope="module")
def model(settings: Network, maps: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of trees and a network that has seen the maps."""
    torch.manual_seed(0)
    net = texture_net.Ensemble([texture_net.TextureNet(settings)]).train()
    for k in range(60):
        net(texture_net.unpack(maps[k % 4 : k % 4 + 4]))
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, frontend.N_FEATURES)).astype(np.float32)
    grown = HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4).fit(features[:, :40], features[:, 0] > 0)
    trees = Trees([grown], None, None, None, None, None, calibrate.fit_distance(features[:, :40]))
    folder = tiny.write(tmp_path_factory.mktemp("shipped") / "model")
    file = folder / "model.onnx"
    export.export(trees, net.eval(), Fusion(Voice(1.3, 1 - SHARE), Voice(SPREAD, SHARE)), frontend.N_FEATURES, file)
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    described["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    evaluation = {"training": {"network": {"share": SHARE}}, "sources": [{"repository": SOURCE}]}
    (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def net(model: Path, settings: Network, maps: np.ndarray) -> texture_net.Ensemble:
    """Its network, read out of its graph."""
    return shipped.networks_of(model, settings, maps)


def test_the_networks_say_what_the_graph_says(model: Path, net: texture_net.Ensemble, maps: np.ndarray) -> None:
    """Log odds of the network inside the graph and of the one read out of it agree, on maps neither knows."""
    whole = onnx.load(model / "model.onnx")
    inside = next(n for n in whole.graph.node if "net0_logit_weight" in n.input).output[0]
    whole.graph.output.append(onnx.helper.make_tensor_value_info(inside, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    other = np.stack([
        frontend.to_bytes(frontend.compute_with_map(sounds.music(4.0, seed=k).astype(np.float32))[1]) for k in (7, 8)
    ])  # fmt: skip
    for packed in (maps, other):
        spectra = texture_net.unpack(packed)
        feeds = {"map": spectra.numpy(), "features": np.zeros((len(packed), frontend.N_FEATURES), np.float32)}
        with torch.no_grad():
            ours = net(spectra)[0].numpy()
        np.testing.assert_allclose(ours, session.run([inside], feeds)[0], atol=1e-4)
    assert np.ptp(ours) > 1e-3


def test_norms_are_such_as_can_be_fitted_on(net: texture_net.Ensemble, maps: np.ndarray) -> None:
    """Normed by the batch they were measured on, the networks say nearly the same as with what they keep."""
    spectra = texture_net.unpack(maps)
    with torch.no_grad():
        kept = net(spectra)[0]
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train()
        try:
            by_batch = net(spectra)[0]
        finally:
            net.eval()
    torch.testing.assert_close(by_batch, kept, atol=0.05, rtol=0.05)


def test_networks_of_another_shape_are_refused(
    model: Path, settings: Network, maps: np.ndarray, tmp_path: Path
) -> None:
    """More networks than there are, other channels and a model of trees alone each have their line."""
    with pytest.raises(shipped.ShippedError, match="found 1 networks; needed: a model with 2 or more"):
        shipped.networks_of(model, dataclasses.replace(settings, members=2), maps)
    with pytest.raises(shipped.ShippedError, match="found net0_conv0_weight of shape"):
        shipped.networks_of(model, dataclasses.replace(settings, channels=(8, 8, 8, 8)), maps)
    with pytest.raises(shipped.ShippedError, match="found 0 networks"):
        shipped.networks_of(tiny.write(tmp_path / "tiny"), settings, maps)


def test_networks_are_read_whatever_the_trees_see(
    model: Path, settings: Network, maps: np.ndarray, tmp_path: Path
) -> None:
    """A model of another front end gives its networks as long as the map is the same; a changed graph is refused."""
    changed = shutil.copytree(model, tmp_path / "model")
    described = json.loads((changed / "config.json").read_text(encoding="utf-8"))

    def say(**changes: object) -> None:
        text = json.dumps(described | {"frontend": described["frontend"] | changes})
        (changed / "config.json").write_text(text, encoding="utf-8")

    say(version=1, n_features=7)
    spectra = texture_net.unpack(maps)
    with torch.no_grad():
        found, same = (shipped.networks_of(m, settings, maps)(spectra)[0] for m in (changed, model))
    assert torch.equal(found, same)
    say(hop=512)
    with pytest.raises(shipped.ShippedError, match="found another hop; needed: networks over the map of today"):
        shipped.networks_of(changed, settings, maps)
    say()
    with (changed / "model.onnx").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(shipped.ShippedError, match="found a graph that is not the one its config names"):
        shipped.networks_of(changed, settings, maps)


def test_the_spread_of_its_networks_is_read_off_the_graph(model: Path, tmp_path: Path) -> None:
    """The networks' factor in the fused score is their share over the spread; trees alone have none."""
    assert shipped.spread_of(model) == pytest.approx(SPREAD)
    folder = tiny.write(tmp_path / "tiny")
    (folder / "evaluation.json").write_text(json.dumps({"training": {"network": {"share": 0.5}}}), encoding="utf-8")
    with pytest.raises(shipped.ShippedError, match="found 0 factors of networks"):
        shipped.spread_of(folder)


def test_what_taught_it_is_not_judged_with_it(model: Path, root: Path, tmp_path: Path) -> None:
    """A repository of the card is refused by name, as are stems of none where it learnt from such; others are not."""
    assert shipped.check_new(model, {"", "nobody/nothing"})["sources"]
    with pytest.raises(shipped.ShippedError, match=rf"learnt from 1 of these repositories \({SOURCE}\)"):
        shipped.check_new(model, {"nobody/nothing", SOURCE})
    nameless = shutil.copytree(model, tmp_path / "nameless")
    said = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    said["sources"] = card.sources([clip(0, "field", "a song", "", "", "vocals")])
    (nameless / "evaluation.json").write_text(json.dumps(said), encoding="utf-8")
    assert shipped.check_new(nameless, {"nobody/nothing"})["sources"]
    with pytest.raises(shipped.ShippedError, match=r"learnt from 1 of these repositories \(unnamed\)"):
        shipped.check_new(nameless, {""})
    with pytest.raises(shipped.ShippedError, match=r"\(CarlSouthall/MDBDrums\)"):
        shipped.check_new(root / "models" / "stem-v1", {"CarlSouthall/MDBDrums"})
    with pytest.raises(shipped.ShippedError, match=r"an evaluation.json that names its sources"):
        shipped.check_new(tiny.write(tmp_path / "tiny"), {"nobody/nothing"})
