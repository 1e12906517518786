"""A perceptron on statistics: smooth, where boosted trees repeat the values of what they learnt from.

Statistics have far values of all sizes; each is bent first, so that near its middle differences count as they are and
far out as their logarithm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from training.precision import round_weights

Array = npt.NDArray[np.float32]
MOST = 4.0
"""Where bent statistics are cut: 27 spreads from the median."""
MOST_LOG_ODDS = 20.0
"""Where log odds are cut, either way."""
_LEAST_SPREAD = 1e-6
_N_DRAWN = 8000
"""Rows that medians and spreads are measured on, at most."""
SCALE = 10.0
"""What targets are divided by: decibels come near one."""
_BEND = 0.1
"""Half of the loss's quadratic part, of divided targets: beyond 1 dB an error counts by its size."""


@dataclass(frozen=True)
class Perceptron:
    """Settings of a perceptron.

    Args:
        n_steps: of the fit.
        width: of both hidden layers.
        batch: rows a step.
        rate: highest learning rate of the one cycle.
        weight_decay: of AdamW.
        dropout: of the hidden layers.
        input_dropout: of the bent statistics.
        noise: standard deviation of what is added to them.
        mixing: rows and their targets are mixed in pairs, by shares from the beta distribution with this parameter
            twice (mixup, Zhang et al. 2018); 0 mixes none.
        share: of the origin alone: weight of its log odds beside those of trees and networks.
    """

    n_steps: int
    width: int = 128
    batch: int = 256
    rate: float = 2e-3
    weight_decay: float = 0.05
    dropout: float = 0.2
    input_dropout: float = 0.1
    noise: float = 0.05
    mixing: float = 0.0
    share: float = 0.0


class Squash:
    """Each statistic less its median, over its spread, bent by the inverse hyperbolic sine and cut.

    Args:
        rows: what median and spread are measured on, float32 (n, n_features).
    """

    def __init__(self, rows: Array) -> None:
        low, middle, high = np.quantile(rows, (0.16, 0.5, 0.84), axis=0)
        spread = (high - low) / 2
        spread = np.where(spread > _LEAST_SPREAD, spread, rows.std(axis=0, dtype=np.float64) + _LEAST_SPREAD)
        self.middle, self.spread = middle.astype(np.float32), spread.astype(np.float32)

    def of(self, features: Array) -> Array:
        """Return bent rows, float32 (n, n_features), within MOST.

        Args:
            features: float32, as many statistics.
        """
        return np.clip(np.arcsinh((features - self.middle) / self.spread), -MOST, MOST)


class Fitted:
    """A fitted perceptron of one output.

    Args:
        squash: how its input is bent.
        net: layers, in evaluation mode.
        scale: what its outputs are multiplied by.
        middle: what is then added to them.
        bounds: the least and the most it may say.
    """

    def __init__(
        self, squash: Squash, net: nn.Sequential, scale: float, middle: float, bounds: tuple[float, float]
    ) -> None:
        self.squash, self.net, self.scale, self.middle, self.bounds = squash, net, scale, middle, bounds
        self.n_features_in_ = len(squash.middle)

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
            found = self.net(torch.from_numpy(self.squash.of(np.asarray(features, np.float32))))[:, 0].numpy()
        return np.clip(np.asarray(found * self.scale + self.middle, np.float64), *self.bounds)


def fit(
    features: Array, values: npt.NDArray[np.float64], weight: npt.NDArray[np.float64], settings: Perceptron, seed: int
) -> Fitted:
    """Fit a perceptron to the weighted median; it never says more or less than it learnt.

    Args:
        features: float32 (n, n_features).
        values: (n,), finite.
        weight: (n,), in proportion to which rows are drawn.
        settings: of it.
        seed: of weights, order and noise.
    """
    middle = float(np.median(values))
    squash, net = _fit(features, (values - middle) / SCALE, weight, settings, seed, _absolute)
    return Fitted(squash, net, SCALE, middle, (float(values.min()), float(values.max())))


def fit_log_odds(
    features: Array, is_so: npt.NDArray[np.bool_], weight: npt.NDArray[np.float64], settings: Perceptron, seed: int
) -> Fitted:
    """Fit a perceptron whose output is log odds, within MOST_LOG_ODDS.

    Args:
        features: float32 (n, n_features).
        is_so: (n,), the class of each row.
        weight, settings, seed: as for :func:`fit`.
    """
    squash, net = _fit(features, is_so, weight, settings, seed, binary_cross_entropy_with_logits)
    return Fitted(squash, net, 1.0, 0.0, (-MOST_LOG_ODDS, MOST_LOG_ODDS))


def _absolute(said: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return smooth_l1_loss(said, wanted, beta=_BEND)


def _fit(
    features: Array,
    values: npt.NDArray[Any],
    weight: npt.NDArray[np.float64],
    settings: Perceptron,
    seed: int,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> tuple[Squash, nn.Sequential]:
    """Bend the rows and fit layers to values of about one."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(features), min(_N_DRAWN, len(features)), replace=False)
    squash = Squash(features[drawn])
    x = torch.from_numpy(squash.of(features))
    y = torch.from_numpy(values.astype(np.float32))
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
            given, wanted = x[chosen], y[chosen]
            if settings.mixing:
                part = rng.beta(settings.mixing, settings.mixing, settings.batch).astype(np.float32)
                share, other = torch.from_numpy(part), torch.randperm(settings.batch)
                given = share[:, None] * given + (1 - share[:, None]) * given[other]
                wanted = share * wanted + (1 - share) * wanted[other]
            said = net(given + settings.noise * torch.randn_like(given))[:, 0]
            loss = loss_of(said, wanted)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    round_weights(net)
    return squash, net.eval()
