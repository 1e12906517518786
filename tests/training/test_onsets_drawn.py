"""What the network over onsets is shown: passages of maps, changed alike for twins."""

from __future__ import annotations

import numpy as np
import torch

from provenance import envelope
from training.texture_net import onsets
from training.texture_net.drawing import Batch

N_BANDS = envelope.N_MAP_BANDS


def maps(n: int, n_frames: int) -> torch.Tensor:
    """Levels with a place of its own for every band."""
    rng = torch.Generator().manual_seed(0)
    return -40 + 8 * torch.randn(n, N_BANDS, n_frames, generator=rng)


def test_twins_are_changed_alike_and_units_are_not() -> None:
    """Equal maps of twins stay equal whatever is drawn; single rows with the same map come out in many ways."""
    one = maps(1, 200).expand(40, -1, -1)
    out = onsets.changed(one, 10, torch.Generator().manual_seed(1))
    assert torch.equal(out[0:20:2], out[1:20:2])
    assert len({row.numpy().tobytes() for row in out[20:]}) > 10
    assert bool((out >= envelope.MAP_RANGE_DB[0]).all())
    assert bool((out <= envelope.MAP_RANGE_DB[1]).all())


def test_each_change_happens_to_some() -> None:
    """Of many rows some are as they were, some moved by up to two bands, some hidden, some filled, some scaled."""
    one = maps(1, 200)
    out = onsets.changed(one.expand(400, -1, -1), 0, torch.Generator().manual_seed(2))
    assert 0.1 < float((out == one).all(dim=(1, 2)).float().mean()) < 0.4
    middle, moved = out[:, 4:-4], []
    for k in range(-3, 4):
        alike = (middle == one[:, 4 + k : N_BANDS - 4 + k]).all(dim=2).any(dim=1)
        moved.append(float(alike.float().mean()))
    assert moved[0] == moved[-1] == 0.0
    assert all(share > 0.01 for share in moved[1:-1])
    hidden = (out == envelope.MAP_RANGE_DB[0]).all(dim=2).sum(dim=1)
    assert 0.2 < float((hidden > 0).float().mean()) < 0.6
    assert int(hidden.max()) <= onsets.MOST_HIDDEN + onsets.MOST_SHIFTED
    lowest = out.amin(dim=2).amax(dim=1)
    assert float((lowest > float(one.amin(dim=2).max())).float().mean()) > 0.05
    spread = out.std(dim=2).amax(dim=1) / one.std(dim=2).amax()
    assert float(spread.max()) > 1.1


def test_passages_are_of_many_lengths() -> None:
    """Three seconds mostly, others down to one; shorter maps are repeated."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    packed = np.random.default_rng(1).integers(60, 200, (3, N_BANDS, 1375), dtype=np.uint8)
    n_frames = np.array([171, 171, 60])
    lengths = [onsets.draw(packed, Batch(np.array([0, 1, 2]), 1), n_frames, rng, generator).shape[2] for _ in range(60)]
    assert 20 < lengths.count(onsets.N_ONSETS_CROP) < 55
    assert min(lengths) < 600
    assert min(lengths) >= onsets.N_LEAST_CROP
