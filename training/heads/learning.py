"""Fits: boosted trees, and perceptrons where the settings say so, on the rows that teach each head."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from provenance.model import EFFECTS, PROCESSINGS
from training import labels, perceptron
from training.config import Boosting
from training.heads.trees import Array
from training.perceptron import Fitted, Perceptron

LEAST_STRENGTHS = 40
"""Rows of known strength below which nothing is learnt of an effect's."""


def fit_origin(
    features: Array, meta: pd.DataFrame, boosting: Boosting, seed: int
) -> list[HistGradientBoostingClassifier]:
    """Fit the origin head's trees.

    Args:
        features: float32 (n, n_features).
        meta: the rows' columns, ``origin`` among them.
        boosting: settings.
        seed: of the first; each further one counts on.
    """
    y = (meta["origin"] == "separated").to_numpy()
    w = labels.weights(meta, y, boosting.family_power)
    return [_fitted(features, y, w, boosting, seed + k) for k in range(boosting.n_seeds)]


def fit_origin_perceptron(
    features: Array, meta: pd.DataFrame, settings: Perceptron | None, power: float, seed: int
) -> Fitted | None:
    """Fit the perceptron that speaks of the origin beside the trees; None without settings.

    Args:
        features, meta: as for :func:`fit_origin`.
        settings: of it.
        power: as the trees' ``family_power``.
        seed: of it.
    """
    if settings is None:
        return None
    y = (meta["origin"] == "separated").to_numpy()
    return perceptron.fit_log_odds(features, y, labels.weights(meta, y, power), settings, seed)


def fit_reworked(
    features: Array, meta: pd.DataFrame, boosting: Boosting | None, seed: int
) -> HistGradientBoostingClassifier | None:
    """Fit the trees that tell what was reworked from all else; None without settings or without either.

    Both weigh alike, and within each true stems and extractions do, so that the trees say nothing of the origin.

    Args:
        features, meta: the rows.
        boosting: settings.
        seed: of the trees.
    """
    return _fit_hand(features, meta, labels.reworked(meta), boosting, seed)


def fit_gated(
    features: Array, meta: pd.DataFrame, boosting: Boosting | None, seed: int
) -> HistGradientBoostingClassifier | None:
    """Fit the trees that tell what was gated bin by bin from all else, as :func:`fit_reworked` does.

    Args:
        features, meta, boosting, seed: as there.
    """
    return _fit_hand(features, meta, labels.gated(meta), boosting, seed)


def _fit_hand(
    features: Array, meta: pd.DataFrame, y: npt.NDArray[np.float64], boosting: Boosting | None, seed: int
) -> HistGradientBoostingClassifier | None:
    known = np.isfinite(y)
    if boosting is None or len(np.unique(y[known])) < 2:
        return None
    group = (2 * y[known] + (meta["origin"][known] == "separated")).astype(int)
    size = np.bincount(group, minlength=4)
    return _fitted(features[known], y[known].astype(int), len(group) / (4 * size[group]), boosting, seed)


def fit_processing(
    features: Array, meta: pd.DataFrame, boosting: Boosting, seed: int
) -> HistGradientBoostingClassifier | None:
    """Fit the dry, hybrid, wet head on the rows where that is known; None where not even two of them are.

    Each class has the same weight among studio stems, and among extractions, which count as the settings say.

    Args:
        features, meta: the rows.
        boosting: settings.
        seed: of the trees.
    """
    y = labels.processing(meta)
    known = y >= 0
    y = y[known]
    if len(np.unique(y)) < 2:
        return None
    w = 1 / np.sqrt(meta[known].groupby("repo")["clip"].transform("nunique").to_numpy())
    separated = (meta["origin"] == "separated").to_numpy()[known]
    for side, share in ((~separated, 1.0), (separated, boosting.separated_weight)):
        for k in range(len(PROCESSINGS)):
            here = side & (y == k)
            if here.any():
                w[here] *= share * len(y) / w[here].sum()
    return _fitted(features[known], y, w, boosting, seed)


def fit_sdr(
    features: Array, meta: pd.DataFrame, settings: Boosting | Perceptron, seed: int
) -> HistGradientBoostingRegressor | Fitted | None:
    """Fit the SDR head on extractions of known SDR, cut to -5..25 dB; no family of separators counts by its size alone.

    None where no SDR is known.

    Args:
        features, meta: the rows.
        settings: of trees or of a perceptron.
        seed: of either.
    """
    y = labels.sdr(meta)
    known = np.isfinite(y)
    if not known.any():
        return None
    family = meta["family"][known]
    w = 1 / np.sqrt(family.map(family.value_counts()).to_numpy(float))
    if isinstance(settings, Perceptron):
        return perceptron.fit(features[known], y[known], w, settings, seed)
    model = _Regressor(**_settings(settings, seed), loss="absolute_error")
    model.fit(features[known], y[known], sample_weight=w)
    _floor_thresholds(model)
    return model


def fit_effects(
    features: Array, meta: pd.DataFrame, boosting: Boosting, seed: int
) -> list[HistGradientBoostingClassifier] | None:
    """Fit a classifier for each of EFFECTS on the rows where it is known whether the effect was applied.

    None where some effect is never, or always, among them: without dry recordings nobody knows what was not applied.

    Args:
        features, meta: the rows.
        boosting: settings.
        seed: of the trees.
    """
    truth = _taught(labels.effects(meta), meta, boosting, seed)
    models = []
    for k in range(len(EFFECTS)):
        known = np.isfinite(truth[:, k])
        y = truth[known, k] > 0.5
        if not 0 < y.sum() < len(y):
            return None
        models.append(_fitted(features[known], y, None, boosting, seed))
    return models


def fit_strengths(
    features: Array, meta: pd.DataFrame, boosting: Boosting, seed: int
) -> list[HistGradientBoostingRegressor | None] | None:
    """Fit a regressor for each of EFFECTS on the rows where it was applied with a known strength.

    None where no effect was applied often enough.

    Args:
        features, meta: the rows.
        boosting: settings.
        seed: of the trees.
    """
    truth = _taught(labels.strengths(meta), meta, boosting, seed)
    known = np.isfinite(truth)
    models = [
        _Regressor(**_settings(boosting, seed)).fit(features[known[:, k]], truth[known[:, k], k])
        if known[:, k].sum() >= LEAST_STRENGTHS
        else None
        for k in range(len(EFFECTS))
    ]
    for model in models:
        if model is not None:
            _floor_thresholds(model)
    return models if any(models) else None


def _taught(
    truth: npt.NDArray[np.float32], meta: pd.DataFrame, boosting: Boosting, seed: int
) -> npt.NDArray[np.float32]:
    """What is taught of effects: of extractions only the share of their rows that the settings say."""
    separated = (meta["origin"] == "separated").to_numpy()
    truth[separated & (np.random.default_rng(seed).random(len(meta)) >= boosting.separated_weight)] = np.nan
    return truth


def fit_kind(
    features: Array, meta: pd.DataFrame, boosting: Boosting, seed: int
) -> HistGradientBoostingClassifier | None:
    """Fit the kind of separator on extractions whose kind is known, each kind with the same weight; None below two.

    Args:
        features, meta: the rows.
        boosting: settings.
        seed: of the trees.
    """
    return _balanced(features, labels.kind(meta), boosting, seed)


def fit_layers(
    features: Array, meta: pd.DataFrame, boosting: Boosting, seed: int
) -> HistGradientBoostingClassifier | None:
    """Fit several performances against one, both with the same weight; None where only one of the two is known.

    Args:
        features, meta: the rows.
        boosting: settings.
        seed: of the trees.
    """
    return _balanced(features, np.nan_to_num(labels.layers(meta), nan=-1).astype(np.int64), boosting, seed)


def _balanced(
    features: Array, y: npt.NDArray[np.int64], boosting: Boosting, seed: int
) -> HistGradientBoostingClassifier | None:
    known = y >= 0
    if len(np.unique(y[known])) < 2:
        return None
    counts = np.bincount(y[known])
    return _fitted(features[known], y[known], 1 / counts[y[known]], boosting, seed)


def _settings(boosting: Boosting, seed: int) -> dict[str, Any]:
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


class _PlainBins:
    """Finds the bins of features without weights, which is far faster than with them; trees see the weights."""

    def _bin_data(self, X: Array, sample_weight: object, is_training_data: bool) -> Any:
        return super()._bin_data(X, None, is_training_data)  # type: ignore[misc]


class _Classifier(_PlainBins, HistGradientBoostingClassifier):
    pass


class _Regressor(_PlainBins, HistGradientBoostingRegressor):
    pass


def _fitted(
    features: Array, y: npt.NDArray[Any], w: npt.NDArray[np.float64] | None, boosting: Boosting, seed: int
) -> HistGradientBoostingClassifier:
    model = _Classifier(**_settings(boosting, seed)).fit(features, y, sample_weight=w)
    _floor_thresholds(model)
    return model


def _floor_thresholds(model: HistGradientBoostingClassifier | HistGradientBoostingRegressor) -> None:
    """Lower each threshold to a float32, so that ONNX, which compares in float32, takes the same branches."""
    for stage in model._predictors:
        for predictor in stage:
            exact = predictor.nodes["num_threshold"]
            low = exact.astype(np.float32)
            low = np.where(low > exact, np.nextafter(low, np.float32(-np.inf)), low)
            predictor.nodes["num_threshold"] = low.astype(np.float64)
