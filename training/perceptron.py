"""A perceptron on statistics: a smooth regressor, where boosted trees repeat the values of what they learnt from.

Each statistic is mapped to a normal distribution by its quantiles first, in straight lines between a few knots, so that
the graph can compute it; what lies beyond the outer knots counts as they do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import ndtri
from torch import nn
from torch.nn.functional import smooth_l1_loss

Array = npt.NDArray[np.float32]
_N_DRAWN = 8000
"""Rows that quantiles are measured on, at most."""
_N_AT_ONCE = 1000
_SCALE = 10.0
"""What targets are divided by: decibels come near one."""
_BEND = 0.1
"""Half of the loss's quadratic part, of divided targets: beyond 1 dB an error counts by its size."""


@dataclass(frozen=True)
class Perceptron:
    """Settings of a perceptron.

    Args:
        n_steps: of the fit.
        n_knots: of each statistic's map.
        width: of both hidden layers.
        batch: rows a step.
        rate: highest learning rate of the one cycle.
        weight_decay: of AdamW.
        dropout: of the hidden layers.
        input_dropout: of the mapped statistics.
        noise: standard deviation of what is added to the mapped statistics.
    """

    n_steps: int
    n_knots: int = 16
    width: int = 128
    batch: int = 256
    rate: float = 2e-3
    weight_decay: float = 0.05
    dropout: float = 0.4
    input_dropout: float = 0.1
    noise: float = 0.05


class Quantiles:
    """The map of each statistic to a normal distribution.

    Args:
        rows: what quantiles are measured on, float32 (n, n_features).
        n_knots: of each, at least 2.
    """

    def __init__(self, rows: Array, n_knots: int) -> None:
        shares = np.linspace(0, 1, n_knots)
        normal = ndtri(np.clip(shares, 0.5 / n_knots, 1 - 0.5 / n_knots))
        knots = np.quantile(rows, shares, axis=0).astype(np.float32)
        n = rows.shape[1]
        self.low = np.zeros((n, n_knots - 1), np.float32)
        self.span = np.ones((n, n_knots - 1), np.float32)
        self.rise = np.zeros((n, n_knots - 1), np.float32)
        self.start = np.zeros(n, np.float32)
        for k in range(n):
            values, first = np.unique(knots[:, k], return_index=True)
            last = np.append(first[1:], n_knots) - 1
            height = (normal[first] + normal[last]) / 2  # what many rows share lies in the middle of its ranks
            used = len(values) - 1
            self.start[k] = height[0]
            self.low[k, :used], self.span[k, :used] = values[:-1], np.diff(values)
            self.rise[k, :used] = np.diff(height)

    def of(self, features: Array) -> Array:
        """Return mapped rows, float32 (n, n_features).

        Args:
            features: float32, as many statistics.
        """
        out = np.empty(features.shape, np.float32)
        for at in range(0, len(features), _N_AT_ONCE):
            part = features[at : at + _N_AT_ONCE, :, None]
            above = np.clip((part - self.low) / self.span, 0, 1)
            out[at : at + _N_AT_ONCE] = (above * self.rise).sum(axis=2) + self.start
        return out


class Regressor:
    """A fitted perceptron.

    Args:
        quantiles: the map of its input.
        net: layers, in evaluation mode.
        middle: what is added to its outputs once they are scaled.
    """

    scale = _SCALE

    def __init__(self, quantiles: Quantiles, net: nn.Sequential, middle: float) -> None:
        self.quantiles, self.net, self.middle = quantiles, net, middle
        self.n_features_in_ = len(quantiles.start)

    @property
    def layers(self) -> list[nn.Linear]:
        """Its layers, each but the last followed by a rectifier."""
        return [layer for layer in self.net if isinstance(layer, nn.Linear)]

    def predict(self, features: Array) -> npt.NDArray[np.float64]:
        """Return values (n,).

        Args:
            features: float32 (n, n_features_in_).
        """
        with torch.no_grad():
            found = self.net(torch.from_numpy(self.quantiles.of(np.asarray(features, np.float32))))[:, 0].numpy()
        return np.asarray(found * self.scale + self.middle, np.float64)


def fit(
    features: Array, values: npt.NDArray[np.float64], weight: npt.NDArray[np.float64], settings: Perceptron, seed: int
) -> Regressor:
    """Fit a perceptron to the weighted median.

    Args:
        features: float32 (n, n_features).
        values: (n,), finite.
        weight: (n,), in proportion to which rows are drawn.
        settings: of it.
        seed: of weights, order and noise.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(features), min(_N_DRAWN, len(features)), replace=False)
    quantiles = Quantiles(features[drawn], settings.n_knots)
    x = torch.from_numpy(quantiles.of(features))
    middle = float(np.median(values))
    y = torch.from_numpy(((values - middle) / _SCALE).astype(np.float32))
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Dropout(settings.input_dropout), nn.Linear(x.shape[1], settings.width), nn.ReLU(),
            nn.Dropout(settings.dropout), nn.Linear(settings.width, settings.width), nn.ReLU(),
            nn.Dropout(settings.dropout), nn.Linear(settings.width, 1),
        )  # fmt: skip
        optimiser = torch.optim.AdamW(net.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.rate, total_steps=settings.n_steps, pct_start=0.15
        )
        chance = weight / weight.sum()
        for _ in range(settings.n_steps):
            chosen = torch.from_numpy(rng.choice(len(values), settings.batch, p=chance))
            given = x[chosen]
            said = net(given + settings.noise * torch.randn_like(given))[:, 0]
            loss = smooth_l1_loss(said, y[chosen], beta=_BEND)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return Regressor(quantiles, net.eval(), middle)
