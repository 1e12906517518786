"""The heads: boosted trees and a small network over the window's texture statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.preprocessing import StandardScaler

from provenance.model import PROCESSINGS
from training.config import Boosting, Network

Array = npt.NDArray[np.float32]
CLIP_Z = 5.0
"""Standardised features are clipped here before the network sees them."""


@dataclass
class Mlp:
    """A trained feed-forward network with its standardisation.

    Args:
        mean, scale: shape (n_features,).
        net: torch module from standardised features to one log odds.
    """

    mean: Array
    scale: Array
    net: torch.nn.Module

    def logit(self, features: Array) -> Array:
        """Return log odds, shape (n,), of features (n, n_features)."""
        z = np.clip((features - self.mean) / self.scale, -CLIP_Z, CLIP_Z).astype(np.float32)
        with torch.no_grad():
            return self.net(torch.from_numpy(z))[:, 0].numpy()


@dataclass
class Origin:
    """The origin head: the mean log odds of boosted trees, fused with that of networks.

    Args:
        trees: boosted classifiers.
        networks: feed-forward networks.
        share: weight of the networks.
    """

    trees: list[HistGradientBoostingClassifier]
    networks: list[Mlp]
    share: float

    def logit(self, features: Array) -> Array:
        """Return log odds of extraction, shape (n,)."""
        out = np.mean([t.decision_function(features) for t in self.trees], axis=0)
        if self.networks:
            out = (1 - self.share) * out + self.share * np.mean([m.logit(features) for m in self.networks], axis=0)
        return np.asarray(out, np.float32)


def weights(meta: pd.DataFrame, positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return row weights: both classes alike, and within each no repository by its size alone.

    Args:
        meta: rows with columns ``clip``, ``repo`` and ``kind``.
        positive: shape (n_rows,), the class.
    """
    out = np.where(meta["kind"] == "clean", 2.0, 1.0)
    out = out / np.sqrt(meta.groupby("repo")["clip"].transform("nunique").to_numpy())
    for side in (positive, ~positive):
        if side.any():
            out[side] *= 0.5 * len(out) / out[side].sum()
    return np.asarray(out, np.float64)


def fit_origin(
    features: Array, meta: pd.DataFrame, boosting: Boosting, network: Network, seed: int
) -> Origin:
    """Fit the origin head.

    Args:
        features: float32 (n, n_features).
        meta: the rows' columns, ``origin`` among them.
        boosting, network: settings.
        seed: of both.
    """
    y = (meta["origin"] == "separated").to_numpy()
    w = weights(meta, y)
    trees = [_classifier(boosting, seed + k).fit(features, y, sample_weight=w) for k in range(boosting.n_seeds)]
    networks = []
    if network.share > 0:
        networks = [fit_mlp(features, y, w, network, seed + k) for k in range(network.n_seeds)]
    for tree in trees:
        _floor_thresholds(tree)
    return Origin(trees, networks, network.share)


def fit_processing(
    features: Array, meta: pd.DataFrame, boosting: Boosting, seed: int
) -> HistGradientBoostingClassifier:
    """Fit the dry, hybrid, wet head on the rows where that is known.

    Args:
        features, meta: the rows.
        boosting: settings.
        seed: of the trees.
    """
    known = meta["processing"].isin(PROCESSINGS).to_numpy() & (meta["set"] != "fx_pairs").to_numpy()
    y = meta["processing"][known].map(PROCESSINGS.index).to_numpy()
    w = 1 / np.sqrt(meta[known].groupby("repo")["clip"].transform("nunique").to_numpy())
    for k in range(len(PROCESSINGS)):
        if (y == k).any():
            w[y == k] *= len(y) / w[y == k].sum()
    model = _classifier(boosting, seed).fit(features[known], y, sample_weight=w)
    _floor_thresholds(model)
    return model


def fit_sdr(features: Array, meta: pd.DataFrame, boosting: Boosting, seed: int) -> HistGradientBoostingRegressor:
    """Fit the SDR head on extractions of known SDR, clipped to -5..25 dB.

    Args:
        features, meta: the rows.
        boosting: settings.
        seed: of the trees.
    """
    known = (meta["origin"] == "separated").to_numpy() & meta["sdr_db"].notna().to_numpy()
    y = np.clip(meta["sdr_db"][known].to_numpy(float), -5, 25)
    real = (meta["kind"][known] != "surrogate").to_numpy()
    w = np.where(real, 0.5 * len(y) / max(1, real.sum()), 0.5 * len(y) / max(1, (~real).sum()))
    model = HistGradientBoostingRegressor(**_settings(boosting, seed), loss="absolute_error")
    model.fit(features[known], y, sample_weight=w)
    _floor_thresholds(model)
    return model


def fit_mlp(features: Array, y: npt.NDArray[np.bool_], w: npt.NDArray[np.float64], network: Network, seed: int) -> Mlp:
    """Fit a feed-forward network with AdamW, a one-cycle rate and Gaussian input noise.

    Args:
        features: float32 (n, n_features).
        y, w: class and weight of each row.
        network: settings.
        seed: of weights, order and noise.
    """
    torch.manual_seed(seed)
    scaler = StandardScaler().fit(features)
    mean, scale = scaler.mean_.astype(np.float32), np.maximum(scaler.scale_, 1e-3).astype(np.float32)
    z = torch.from_numpy(np.clip((features - mean) / scale, -CLIP_Z, CLIP_Z).astype(np.float32))
    target, weight = torch.from_numpy(y.astype(np.float32)), torch.from_numpy(w.astype(np.float32))
    net = torch.nn.Sequential(
        torch.nn.Dropout(network.dropout),
        torch.nn.Linear(z.shape[1], network.width),
        torch.nn.SiLU(),
        torch.nn.Dropout(network.dropout),
        torch.nn.Linear(network.width, network.width),
        torch.nn.SiLU(),
        torch.nn.Dropout(network.dropout),
        torch.nn.Linear(network.width, 1),
    )
    batch = 256
    n_steps = network.n_epochs * (len(z) // batch + 1)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=n_steps)
    for _ in range(network.n_epochs):
        for rows in torch.randperm(len(z)).split(batch):
            x = z[rows] + 0.1 * torch.randn(len(rows), z.shape[1])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                net(x)[:, 0], target[rows] * 0.96 + 0.02, weight[rows]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.eval()
    return Mlp(mean, scale, net)


def _settings(boosting: Boosting, seed: int) -> dict[str, object]:
    return {
        "max_iter": boosting.rounds,
        "learning_rate": boosting.learning_rate,
        "max_leaf_nodes": boosting.leaves,
        "min_samples_leaf": 20,
        "l2_regularization": 1.0,
        "max_features": boosting.feature_share,
        "early_stopping": False,
        "random_state": seed,
    }


def _classifier(boosting: Boosting, seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(**_settings(boosting, seed))


def _floor_thresholds(model: HistGradientBoostingClassifier | HistGradientBoostingRegressor) -> None:
    """Lower each threshold to a float32, so that ONNX, which compares in float32, takes the same branches."""
    for stage in model._predictors:
        for predictor in stage:
            exact = predictor.nodes["num_threshold"]
            low = exact.astype(np.float32)
            low = np.where(low > exact, np.nextafter(low, np.float32(-np.inf)), low)
            predictor.nodes["num_threshold"] = low.astype(np.float64)
