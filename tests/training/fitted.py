"""Small heads and networks, fitted on rows that explain them, for tests of what is exported."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import torch

from provenance import envelope, frontend
from provenance.model import EFFECTS, KINDS
from training import calibrate, heads
from training.config import Boosting
from training.heads import Trees
from training.texture_net import Ensemble, Network, OnsetNet, TextureNet

N_FEATURES, N_FRAMES = 40, 43
N_SEEN = 36
"""So many features, the first, are given to the origin and the distance."""
SMALL = Boosting(rounds=15, leaves=7, n_seeds=2, feature_share=0.5)


def make_rows() -> np.ndarray:
    """Return rows with plateaus and far values, as texture statistics have them: float32 (600, N_FEATURES)."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 20, (600, N_FEATURES)).astype(np.float32)
    rows[:, 3] = np.round(rows[:, 3] / 10) * 10
    rows[::7, 5] = -200.0
    return rows


def fit_trees(features: np.ndarray) -> Trees:
    """Fit trees of every head on labels that the rows explain."""
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


def make_net() -> Ensemble:
    """Return two networks with batch norms that have seen data, in evaluation mode."""
    torch.manual_seed(0)
    net = Ensemble(TextureNet(Network(channels=(4, 8, 8, 8), width=16)) for _ in range(2))
    return _having_seen(net, 1.0, 2, N_FRAMES, frontend.N_MAP_BINS)


def make_onset_net() -> Ensemble:
    """Return two networks over onsets, as above."""
    torch.manual_seed(1)
    net = Ensemble(OnsetNet(Network(channels=(4, 4, 8, 8), width=8)) for _ in range(2))
    return _having_seen(net, 20.0, envelope.N_MAP_BANDS, envelope.n_map_frames(N_FRAMES))


def _having_seen(net: Ensemble, level: float, *shape: int) -> Ensemble:
    """Let norms see noise of that level, four maps at a time."""
    net.train()
    for _ in range(3):
        net(level * torch.randn(4, *shape))
    return net.eval()
