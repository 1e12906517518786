"""Networks out of a model folder: they say what its graph says, can be fitted on, and know what they learnt from."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import onnx
import onnxruntime
import torch

from provenance import envelope, frontend
from tests import sounds, tiny
from training import config, shipped, texture_net
from training.texture_net import Network


@pytest.fixture(scope="module")
def settings(root: Path) -> Network:
    """The shipped model's own."""
    return config.load(root / "training" / "stem-v1.toml", "", "", "").network


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    """Packed maps of some music and some noise."""
    waves = [sounds.music(4.0, seed=k) for k in range(5)] + [sounds.noise(4.0, seed=k) for k in range(3)]
    return np.stack([frontend.to_bytes(frontend.compute_with_map(np.asarray(w, np.float32))[1]) for w in waves])


@pytest.fixture(scope="module")
def net(root: Path, settings: Network, maps: np.ndarray) -> texture_net.Ensemble:
    """The shipped networks."""
    return shipped.networks_of(root / "models" / "stem-v1", settings, maps)


def test_the_networks_say_what_the_graph_says(root: Path, net: texture_net.Ensemble, maps: np.ndarray) -> None:
    """Log odds of the network inside the shipped graph and of the one read out of it agree, on maps neither knows."""
    model = onnx.load(root / "models" / "stem-v1" / "model.onnx")
    inside = next(n for n in model.graph.node if "net0_logit_weight" in n.input).output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(inside, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    other = np.stack([
        frontend.to_bytes(frontend.compute_with_map(sounds.music(4.0, seed=k).astype(np.float32))[1]) for k in (7, 8)
    ])  # fmt: skip
    for packed in (maps, other):
        spectra = texture_net.unpack(packed)
        feeds = {"map": spectra.numpy(), "features": np.zeros((len(packed), frontend.N_FEATURES), np.float32)}
        fine = np.zeros((len(packed), envelope.N_MAP_BANDS, envelope.n_map_frames(packed.shape[2])), np.float32)
        feeds |= {"onsets": fine} if any(given.name == "onsets" for given in model.graph.input) else {}
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


def test_networks_of_another_shape_are_refused(root: Path, settings: Network, maps: np.ndarray, tmp_path: Path) -> None:
    """More networks than there are, other channels and a model of trees alone each have their line."""
    model = root / "models" / "stem-v1"
    with pytest.raises(shipped.ShippedError, match="found 1 networks; needed: a model with 2 or more"):
        shipped.networks_of(model, dataclasses.replace(settings, members=2), maps)
    with pytest.raises(shipped.ShippedError, match="found net0_conv0_weight of shape"):
        shipped.networks_of(model, dataclasses.replace(settings, channels=(4, 8, 8, 8)), maps)
    with pytest.raises(shipped.ShippedError, match="found 0 networks"):
        shipped.networks_of(tiny.write(tmp_path / "tiny"), settings, maps)


def test_networks_are_read_whatever_the_trees_see(
    root: Path, settings: Network, maps: np.ndarray, tmp_path: Path
) -> None:
    """A model of another front end gives its networks as long as the map is the same; a changed graph is refused."""
    model = shutil.copytree(root / "models" / "stem-v1", tmp_path / "model")
    described = json.loads((model / "config.json").read_text(encoding="utf-8"))

    def say(**changes: object) -> None:
        text = json.dumps(described | {"frontend": described["frontend"] | changes})
        (model / "config.json").write_text(text, encoding="utf-8")

    say(version=1, n_features=7)
    spectra = texture_net.unpack(maps)
    with torch.no_grad():
        found, same = (shipped.networks_of(m, settings, maps)(spectra)[0] for m in (model, root / "models" / "stem-v1"))
    assert torch.equal(found, same)
    say(hop=512)
    with pytest.raises(shipped.ShippedError, match="found another hop; needed: networks over the map of today"):
        shipped.networks_of(model, settings, maps)
    say()
    with (model / "model.onnx").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(shipped.ShippedError, match="found a graph that is not the one its config names"):
        shipped.networks_of(model, settings, maps)


def test_the_spread_of_its_networks_is_read_off_the_graph(root: Path, tmp_path: Path) -> None:
    """The networks' factor in the fused score is their share over the spread; trees alone have none."""
    model = root / "models" / "stem-v1"
    spread = shipped.spread_of(model)
    assert 1 < spread < 10
    share = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))["training"]["network"]["share"]
    graph = onnx.load(model / "model.onnx").graph
    factors = [onnx.numpy_helper.to_array(each) for each in graph.initializer if each.name.startswith("factor_")]
    assert any(float(factor) == pytest.approx(share / spread) for factor in factors)
    folder = tiny.write(tmp_path / "tiny")
    (folder / "evaluation.json").write_text(json.dumps({"training": {"network": {"share": 0.5}}}), encoding="utf-8")
    with pytest.raises(shipped.ShippedError, match="found 0 factors of networks"):
        shipped.spread_of(folder)


def test_what_taught_it_is_not_judged_with_it(root: Path, tmp_path: Path) -> None:
    """A repository of the card is refused by name; others, and stems of no repository, are not."""
    model = root / "models" / "stem-v1"
    assert shipped.check_new(model, {"", "nobody/nothing"})["sources"]
    with pytest.raises(shipped.ShippedError, match=r"learnt from 1 of these repositories \(CarlSouthall/MDBDrums\)"):
        shipped.check_new(model, {"nobody/nothing", "CarlSouthall/MDBDrums"})
    with pytest.raises(shipped.ShippedError, match=r"an evaluation.json that names its sources"):
        shipped.check_new(tiny.write(tmp_path / "tiny"), {"nobody/nothing"})


def test_the_shipped_configuration_is_the_one_it_was_made_with(root: Path) -> None:
    """What a researcher copies fits the graph, without a word about channels."""
    text = (root / "training" / "stem-v1.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["network"]["channels"] == [16, 40, 80, 160]
