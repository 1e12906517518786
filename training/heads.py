"""The heads: boosted trees and perceptrons over the window's texture statistics, and networks over its maps, fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from provenance.model import EFFECTS, KINDS, PROCESSINGS
from training import labels, perceptron, texture_net
from training.calibrate import Distance
from training.config import Boosting
from training.perceptron import Fitted, Perceptron
from training.texture_net import Ensemble, Network

LEAST_STRENGTHS = 40
"""Rows of known strength below which nothing is learnt of an effect's."""
Array = npt.NDArray[np.float32]
Outputs = dict[str, npt.NDArray[np.float64]]


@dataclass
class Trees:
    """Boosted trees of every head, and the distance to what they learnt from.

    Args:
        origin: classifiers whose log odds are averaged.
        origin_perceptron: which speaks of the origin beside them, or None.
        reworked: classifier of what :mod:`training.rework` worked over against all else, or None.
        gated: classifier of what a noise reduction opened and closed bin by bin against all else, or None.
        processing: classifier over dry, hybrid, wet.
        sdr: regressor, of trees or a perceptron.
        effects: a classifier for each of EFFECTS, in order.
        strengths: a regressor for each of EFFECTS, in order, or None for one whose strength nobody learnt or can tell.
        kind: classifier over KINDS.
        layers: classifier of several performances against one.
        distance: to the training data.

    A head may have learnt from the first features only: it is given as many as it learnt from.

    A head that the rows cannot teach (no dry recordings, no known SDR, one kind of separator) is None.
    """

    origin: list[HistGradientBoostingClassifier]
    processing: HistGradientBoostingClassifier | None
    sdr: HistGradientBoostingRegressor | Fitted | None
    effects: list[HistGradientBoostingClassifier] | None
    kind: HistGradientBoostingClassifier | None
    layers: HistGradientBoostingClassifier | None
    distance: Distance
    strengths: list[HistGradientBoostingRegressor | None] | None = None
    origin_perceptron: Fitted | None = None
    reworked: HistGradientBoostingClassifier | None = None
    gated: HistGradientBoostingClassifier | None = None

    @property
    def complete(self) -> bool:
        """Whether no head was left out that networks have too."""
        return None not in (self.processing, self.sdr, self.effects, self.kind, self.layers)

    def run(self, features: Array) -> Outputs:
        """Return what the trees say of rows (n, n_features): ``tree_`` and the name of each head, and ``distance``."""
        seen = lambda model: features[:, : model.n_features_in_]  # noqa: E731
        out = {
            "tree_logit": np.mean([t.decision_function(seen(t)) for t in self.origin], axis=0),
            "distance": np.asarray(self.distance.of(features[:, : len(self.distance.mean)]), np.float64),
        }
        if self.origin_perceptron is not None:
            out["perceptron_logit"] = self.origin_perceptron.predict(seen(self.origin_perceptron))
        if self.processing is not None:
            out["tree_processing"] = all_classes(self.processing, seen(self.processing), len(PROCESSINGS))
        if self.sdr is not None:
            out["tree_sdr_db"] = self.sdr.predict(seen(self.sdr))
        if self.effects is not None:
            out["tree_effects"] = np.stack([t.predict_proba(seen(t))[:, 1] for t in self.effects], axis=1)
        if self.strengths is not None:
            out["tree_strengths"] = strengths(self.strengths, features)
        if self.kind is not None:
            out["tree_kind"] = all_classes(self.kind, seen(self.kind), len(KINDS))
        if self.layers is not None:
            out["tree_submix"] = self.layers.predict_proba(seen(self.layers))[:, 1]
        if self.reworked is not None:
            out["tree_reworked"] = self.reworked.predict_proba(seen(self.reworked))[:, 1]
        if self.gated is not None:
            out["tree_gated"] = self.gated.predict_proba(seen(self.gated))[:, 1]
        return out


def strengths(models: Sequence[HistGradientBoostingRegressor | None], features: Array) -> npt.NDArray[np.float64]:
    """Return how strong each effect is if it was applied, (n, n_effects); NaN where there is no model of it.

    Args:
        models: for each of EFFECTS.
        features: rows.
    """
    nothing = np.full(len(features), np.nan)
    return np.stack([nothing if m is None else m.predict(features[:, : m.n_features_in_]) for m in models], axis=1)


def only(
    models: Sequence[HistGradientBoostingRegressor | None] | None, told: Sequence[str]
) -> list[HistGradientBoostingRegressor | None] | None:
    """Return the models of strength of some effects and None in the place of the others; None where nothing is left.

    Args:
        models: for each of EFFECTS, or None.
        told: names out of EFFECTS.
    """
    if models is None:
        return None
    left = [model if name in told else None for name, model in zip(EFFECTS, models, strict=True)]
    return left if any(left) else None


def all_classes(model: HistGradientBoostingClassifier, features: Array, n: int) -> npt.NDArray[np.float64]:
    """Return probabilities of n classes; one that was not learnt has none.

    Args:
        model: fitted classifier of class numbers below n.
        features: rows.
        n: classes.
    """
    out = np.zeros((len(features), n))
    out[:, model.classes_.astype(int)] = model.predict_proba(features)
    return out


@dataclass(frozen=True)
class Voice:
    """One of those that speak of the origin.

    Args:
        spread: standard deviation of its held-out log odds.
        share: its weight beside the others.
    """

    spread: float = 1.0
    share: float = 0.0

    @property
    def factor(self) -> float:
        """What its log odds are multiplied by."""
        return self.share / self.spread


@dataclass(frozen=True)
class Fusion:
    """How trees, perceptron and networks are put together: log odds over their spread, then a weighted mean.

    Args:
        tree, net, onset, perceptron: each voice, named as its log odds are: ``tree_logit`` and so on.
        net_share_of_rest: weight of the network over the spectrum in the other heads.
        allowance: what a rework that is certain takes off the log odds of an extraction, one of even odds nothing.
        line: where that ends: log odds just below the line to ``separated``. Below it nothing is taken off, so that
            a rework keeps a stem from being accused and clears none. What was gated bin by bin is never above it.
    """

    tree: Voice = Voice(share=1.0)
    net: Voice = Voice()
    onset: Voice = Voice()
    perceptron: Voice = Voice()
    net_share_of_rest: float = 0.0
    allowance: float = 0.0
    line: float = np.inf


VOICES = ("tree", "net", "onset", "perceptron")


def spread_of(
    outputs: Outputs, network: Network, onsets: Network, perceptron: Perceptron | None, rows: npt.NDArray[np.bool_]
) -> Fusion:
    """Measure the spread of held-out log odds; no label is looked at.

    Args:
        outputs: of trees, perceptron and networks.
        network, onsets, perceptron: their shares.
        rows: held-out rows to measure on.
    """
    spread = {v: float(np.nanstd(outputs[f"{v}_logit"][rows])) for v in VOICES if f"{v}_logit" in outputs}
    share = {"net": network.share, "onset": onsets.share, "perceptron": perceptron.share if perceptron else 0.0}
    share = {name: share[name] for name in spread if name != "tree"}
    share["tree"] = 1 - sum(share.values())
    voices = {name: Voice(spread[name], share[name]) for name in spread}
    return Fusion(**voices, net_share_of_rest=network.share_of_rest if "net" in spread else 0.0)


def fuse(outputs: Outputs, fusion: Fusion) -> Outputs:
    """Return the model's outputs: ``logit``, ``distance``, and those of ``p_processing``, ``sdr_db``, ``p_effects``,
    ``strengths``, ``p_kind``, ``p_submix``, ``p_reworked`` and ``p_gated`` that trees or network have.

    Args:
        outputs: what trees and network said.
        fusion: weights.
    """
    heard = [getattr(fusion, v).factor * outputs[f"{v}_logit"] for v in VOICES if f"{v}_logit" in outputs]
    fused = {"logit": sum(heard[1:], heard[0]), "distance": outputs["distance"]}
    if "tree_reworked" in outputs:
        fused["p_reworked"] = outputs["tree_reworked"]
        taken = fusion.allowance * beyond_doubt(outputs["tree_reworked"])
        fused["logit"] = guarded(fused["logit"], taken, fusion.line)
    if "tree_gated" in outputs:
        fused["p_gated"] = outputs["tree_gated"]
        fused["logit"] = guarded(fused["logit"], held_back(outputs["tree_gated"]), fusion.line)
    names = {"p_processing": "processing", "sdr_db": "sdr_db", "p_effects": "effects", "p_kind": "kind",
             "p_submix": "submix", "strengths": "strengths"}  # fmt: skip
    for name, head in names.items():
        tree, net = outputs.get(f"tree_{head}"), outputs.get(f"net_{head}")
        if tree is not None and net is not None and fusion.net_share_of_rest:
            fused[name] = (1 - fusion.net_share_of_rest) * tree + fusion.net_share_of_rest * net
        elif tree is not None or net is not None:
            fused[name] = tree if tree is not None else net
    return fused


def guarded(logit: npt.NDArray[np.float64], taken: npt.NDArray[np.float64], line: Any) -> npt.NDArray[np.float64]:
    """Return log odds with something taken off those above a line, but not beyond it.

    Args:
        logit: log odds of windows.
        taken: what to take off each.
        line: log odds, of each or of all.
    """
    return np.maximum(np.minimum(logit, line), logit - taken)


def beyond_doubt(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return probabilities stretched from 0 at even odds and below to 1 at certainty."""
    return np.maximum(0.0, 2 * p - 1)


def held_back(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what is taken off for :func:`guarded` where that something was gated is likelier than not: all there is.

    Args:
        p: probability of each window.
    """
    return np.where(p > 0.5, np.inf, 0.0)


def run_network(
    net: Ensemble, maps: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], n_frames: npt.NDArray[np.int64]
) -> Outputs:
    """Return what the networks say of whole windows, as probabilities and decibels.

    Args:
        net: fitted networks.
        maps, rows, n_frames: as for :func:`training.texture_net.run`.
    """
    raw = texture_net.run(net, maps, rows, n_frames)
    return {
        "net_logit": raw["logit"][:, 0].astype(np.float64),
        "net_sdr_db": raw["sdr"][:, 0].astype(np.float64) * texture_net.SDR_SCALE_DB,
        "net_processing": _softmax(raw["processing"]),
        "net_effects": _sigmoid(raw["effects"]),
        "net_kind": _softmax(raw["kind"]),
        "net_submix": _sigmoid(raw["layers"][:, 0]),
    }


def run_onset_network(
    net: Ensemble, onsets: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], n_frames: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the log odds that networks over onsets give whole windows, (n,).

    Args:
        net: fitted networks.
        onsets, rows, n_frames: as for :func:`training.texture_net.run`.
    """
    raw = texture_net.run(net, onsets, rows, n_frames, texture_net.ONSETS)
    return raw["logit"][:, 0].astype(np.float64)


def _sigmoid(z: Array) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-z.astype(np.float64)))


def _softmax(z: Array) -> npt.NDArray[np.float64]:
    e = np.exp(z.astype(np.float64) - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


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
