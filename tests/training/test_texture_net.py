"""The networks over maps: what they are shown in training and in serving, and how rows are mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from provenance import envelope, frontend
from tests import sounds
from training import texture_net
from training.texture_net import Network, learning


def test_the_map_means_the_same_to_training_and_serving() -> None:
    """What training unpacks from eight bits is the map that serving computes, to half a step."""
    _, spectrum = frontend.compute_with_map(sounds.music(2.0))
    unpacked = texture_net.unpack(frontend.to_bytes(spectrum)[None]).numpy()[0]
    assert np.abs(unpacked[0] - spectrum[0]).max() <= 0.126 / 16
    assert np.abs(unpacked[1] - spectrum[1]).max() <= 0.251 / 30


@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.0])
def test_the_map_of_onsets_means_the_same_to_training_and_serving(seconds: float) -> None:
    """What training unpacks from eight bits is the map that serving computes, to half a step, over the same frames."""
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


def test_both_classes_are_drawn_alike_whatever_is_held_out() -> None:
    """Rows that are held out, here most extractions, do not thin out those that are learnt from."""
    rng = np.random.default_rng(0)
    n = 300
    separated = np.arange(n) % 2 == 0
    meta = pd.DataFrame(
        {
            "origin": np.where(separated, "separated", "studio"), "pair": "", "repo": "r", "family": "",
            "kind": rng.choice(["clean", "augmented"], n), "clip": [f"c{k}" for k in range(n)],
        }
    )  # fmt: skip
    held_out = separated & (np.arange(n) < 240)
    rows = np.flatnonzero(~held_out)
    members, chance = texture_net.units(rows, meta)
    assert set(members[:, 0]) == set(rows)
    assert chance[separated[members[:, 0]]].sum() == pytest.approx(0.5)
    drawn = np.concatenate([b.rows for b in texture_net.batches(rows, meta, 0.0, 200, 20, rng)])
    assert separated[drawn].mean() == pytest.approx(0.5, abs=0.03)
    assert not held_out[drawn].any()


@pytest.mark.parametrize("n_done", [1, 2])
@pytest.mark.parametrize("view", [texture_net.SPECTRUM, texture_net.ONSETS], ids=["spectrum", "onsets"])
def test_a_fit_that_is_resumed_is_the_one_that_was_not_interrupted(
    view: texture_net.View, n_done: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed within a cycle or between two it goes on to the same weights, bit for bit, with dropout and mixing."""
    rng = np.random.default_rng(0)
    n = 24
    shape = (2, 172, frontend.N_MAP_BINS) if view is texture_net.SPECTRUM else (envelope.N_MAP_BANDS, 1375)
    maps = rng.integers(60, 256, (n, *shape)).astype(np.uint8)
    meta = pd.DataFrame(
        {
            "origin": ["separated", "studio"] * (n // 2), "pair": [f"p{k // 2}" if k < 12 else "" for k in range(n)],
            "kind": "clean", "clip": [f"c{k}" for k in range(n)], "repo": "r", "family": "", "sdr_db": 5.0,
            "processing": "dry", "set": "true", "wetness": "dry", "separator_kind": "", "layers": "", "effects": "",
            "n_frames": 172,
        }
    )  # fmt: skip
    settings = Network(
        channels=(4, 4, 4, 4), width=4, cycles=(2, 1), n_steps=2, batch=3, dropout=0.3,
        mixing=0.3 if view is texture_net.ONSETS else 0.0,
    )  # fmt: skip

    def fitted(name: str) -> list[torch.Tensor]:
        file = tmp_path / f"{name}.epoch"
        net = texture_net.fit(maps, np.arange(n), meta, settings, 7, file, view=view)
        return list(net.state_dict().values())

    whole = fitted("whole")
    save = learning._save

    def die(file: Path, parts: dict[str, object], epoch: int, log: list[dict[str, float]]) -> None:
        save(file, parts, epoch, log)
        if epoch == n_done:
            raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(learning, "_save", die)
        with pytest.raises(KeyboardInterrupt):
            fitted("killed")
    torch.manual_seed(n_done)
    for ours, theirs in zip(fitted("killed"), whole, strict=True):
        assert torch.equal(ours, theirs)
