"""Calibration, thresholds, intervals and distances, all from clips that were held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, QuantileRegressor
from sklearn.metrics import f1_score

from provenance.bundle import Calibration, SdrInterval
from provenance.decide import CALIBRATED_SHARE, calibrate

Array = npt.NDArray[np.float32]
N_AXES = 32
MIN_ON_LINE = 30
"""Files from which an interval of SDR may widen with the estimate; with fewer it is as wide everywhere."""
_LEAST_SHARE = 0.05
"""Below the estimate that so many of the files lie below an interval gets no narrower."""
_LEAST_HALF_DB = 0.5


@dataclass(frozen=True)
class Distance:
    """Root mean square of whitened principal coordinates: about 1 inside the training data, more outside.

    Args:
        mean, scale: shape (n_features,).
        axes: shape (n_features, N_AXES), whitened.
        clip: standardised features are clipped here.
    """

    mean: Array
    scale: Array
    axes: Array
    clip: float = 8.0

    def of(self, features: Array) -> Array:
        """Return the distance of each row, shape (n,)."""
        z = np.clip((features - self.mean) / self.scale, -self.clip, self.clip).astype(np.float32)
        return np.sqrt(np.mean((z @ self.axes) ** 2, axis=1))


def fit_distance(features: Array) -> Distance:
    """Fit the distance on the training rows.

    Args:
        features: float32 (n, n_features).
    """
    mean = features.mean(0)
    scale = np.maximum(features.std(0), 1e-3)
    z = np.clip((features - mean) / scale, -8, 8)
    pca = PCA(N_AXES, svd_solver="randomized", random_state=0).fit(z)
    axes = pca.components_.T / np.sqrt(pca.explained_variance_)
    offset = mean + scale * pca.mean_
    return Distance(offset.astype(np.float32), scale.astype(np.float32), axes.astype(np.float32))


def weights(separated: npt.ArrayLike, family: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
    """Return weights of files: extractions have CALIBRATED_SHARE of all, each family of separators alike.

    Which families a buyer meets is not known, so none may count by how many of its outputs were found.

    Args:
        separated: class of each file.
        family: of its separator, whatever stands there for true stems; without it extractions count alike.
    """
    y = np.asarray(separated, bool)
    out = np.ones(len(y))
    if family is not None:
        names, number = np.unique(np.asarray(family, str), return_inverse=True)
        size = np.bincount(number[y], minlength=len(names))
        out[y] = 1 / size[number[y]]
    for side, share in ((y, CALIBRATED_SHARE), (~y, 1 - CALIBRATED_SHARE)):
        if side.any():
            out[side] *= share * len(y) / out[side].sum()
    return out


def fit_platt(logit: npt.ArrayLike, separated: npt.ArrayLike, family: npt.ArrayLike | None = None) -> Calibration:
    """Fit slope and intercept of held-out files' log odds, weighted as :func:`weights` says.

    Args:
        logit: mean window log odds of each file.
        separated: its class.
        family: of its separator, as for :func:`weights`.

    Source: J. Platt, Probabilistic outputs for support vector machines, 1999.
    """
    z, y = np.asarray(logit, float)[:, None], np.asarray(separated, bool)
    fit = LogisticRegression(C=100.0).fit(z, y, sample_weight=weights(y, family))
    return Calibration(float(fit.coef_[0, 0]), float(fit.intercept_[0]))


def fit_allowance(
    logit: npt.ArrayLike,
    sure_reworked: npt.ArrayLike,
    separated: npt.ArrayLike,
    reworked: npt.ArrayLike,
    family: npt.ArrayLike | None = None,
) -> float:
    """Fit what a rework that is certain should take off the log odds, so that it speaks for neither class.

    A phase vocoder and a low-rate codec leave traces like a separator's; how much they raise the log odds of true stems
    and extractions alike is read off windows that were held out. Clips as they are and reworked ones count alike.

    Args:
        logit: log odds of windows.
        sure_reworked: how sure it is that each was reworked, 0 to 1.
        separated: class of each.
        reworked: whether it was.
        family: of its separator, as for :func:`weights`.

    Returns:
        At least 0; 0 where either side lacks a class.
    """
    y, worked = np.asarray(separated, bool), np.asarray(reworked, bool)
    x = np.column_stack([np.asarray(logit, float), np.asarray(sure_reworked, float)])
    names = None if family is None else np.asarray(family, str)
    w = np.zeros(len(y))
    for side in (worked, ~worked):
        if len(np.unique(y[side])) < 2:
            return 0.0
        own = weights(y[side], None if names is None else names[side])
        w[side] = own / own.sum() * len(y) / 2
    of_logit, of_rework = LogisticRegression(C=100.0).fit(x, y, sample_weight=w).coef_[0]
    return max(0.0, float(-of_rework / of_logit)) if of_logit > 0 else 0.0


def choose_thresholds(
    p_separated: npt.ArrayLike,
    separated: npt.ArrayLike,
    max_accused: float,
    max_missed: float,
    family: npt.ArrayLike | None = None,
    min_right: float = 0.0,
) -> tuple[float, float]:
    """Choose the undecided band on held-out files.

    Args:
        p_separated: calibrated probability of each file.
        separated: its class.
        max_accused: share of true stems that may lie at or above the upper threshold.
        max_missed: share of extractions that may lie at or below the lower one, by weight.
        family: of each file's separator, as for :func:`weights`.
        min_right: share of the decided files, either way, that must be right; it may only lower the lower threshold.

    Returns:
        The probability from which a stem is called separated, and the one up to which it is called studio.
    """
    p, y = np.asarray(p_separated, float), np.asarray(separated, bool)
    true, order = np.sort(p[~y])[::-1], np.argsort(p[y], kind="stable")
    fake, share = p[y][order], np.cumsum(weights(y, family)[y][order])
    n_accused = int(max_accused * len(true))
    n_missed = int((share <= max_missed * share[-1] + 1e-9).sum())
    upper = float(np.clip(_between(true, n_accused, 1.0), 0.5, 0.999))
    lower = min(_between(fake, n_missed, 0.0), _right_below(p, y, upper, min_right))
    return upper, min(float(np.clip(lower, 0.001, 0.5)), upper)


def _right_below(p: npt.NDArray[np.float64], y: npt.NDArray[np.bool_], upper: float, min_right: float) -> float:
    """The highest value up to which files may be called studio so that enough of the decided ones are right."""
    above, order = p >= upper, np.argsort(p, kind="stable")
    ranked = p[order]
    n_right = (above & y).sum() + np.cumsum(~y[order])
    n_decided = above.sum() + np.arange(1, len(p) + 1)
    enough = np.flatnonzero((n_right >= min_right * n_decided - 1e-9) & (ranked < upper))
    if not len(enough):
        return 0.0
    last = int(enough[-1])
    return float((ranked[last] + ranked[min(last + 1, len(p) - 1)]) / 2)


def _between(ordered: npt.NDArray[np.float64], n: int, end: float) -> float:
    """A value that exactly the first n of an ordered array lie beyond; of none it lies halfway to the end."""
    return float(((ordered[n - 1] if n else end) + ordered[n]) / 2)


def called_by_other_folds(p: npt.ArrayLike, truth: npt.ArrayLike, fold: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Call each row by the probability from which the other folds have their best F1.

    Args:
        p: shape (n,), probability of an effect.
        truth: shape (n,), whether it was applied.
        fold: shape (n,), at least two different ones.

    Returns:
        Shape (n,): which rows are said to have it.
    """
    p, truth, fold = np.asarray(p, float), np.asarray(truth, bool), np.asarray(fold)
    steps = np.arange(0.05, 0.95, 0.01)
    called = np.zeros(len(p), bool)
    for number in np.unique(fold):
        others = fold != number
        scores = [f1_score(truth[others], p[others] >= step, zero_division=0) for step in steps]
        called[~others] = p[~others] >= steps[int(np.argmax(scores))]
    return called


def ece(p_separated: npt.ArrayLike, separated: npt.ArrayLike, n_bins: int = 10) -> float:
    """Return the expected calibration error over equal-width bins, with both classes weighted alike.

    Args:
        p_separated: calibrated probabilities.
        separated: classes.
        n_bins: of equal width.

    Source: M. P. Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
    """
    p, y = np.asarray(p_separated, float), np.asarray(separated, bool)
    w = np.where(y, 0.5 / max(1, y.sum()), 0.5 / max(1, (~y).sum()))
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    total = 0.0
    for k in range(n_bins):
        inside = bins == k
        if inside.any():
            total += abs(float(np.sum(w[inside] * (p[inside] - y[inside]))))
    return total


def reliability(p_separated: npt.ArrayLike, separated: npt.ArrayLike, n_bins: int = 10) -> list[dict[str, float]]:
    """Return what the bins of :func:`ece` hold: mean stated probability and share separated, classes weighted alike.

    Args:
        p_separated, separated, n_bins: as for :func:`ece`.
    """
    p, y = np.asarray(p_separated, float), np.asarray(separated, bool)
    w = np.where(y, 0.5 / max(1, y.sum()), 0.5 / max(1, (~y).sum()))
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    return [
        {
            "n": int((bins == k).sum()),
            "mean_p": round(float(np.average(p[bins == k], weights=w[bins == k])), 4),
            "share_separated": round(float(np.average(y[bins == k], weights=w[bins == k])), 4),
        }
        for k in range(n_bins)
        if (bins == k).any()
    ]


def conformal_half_width(residual_db: npt.ArrayLike, coverage: float = 0.9) -> float:
    """Return the half width of a split-conformal interval.

    Args:
        residual_db: estimate minus truth on held-out extractions.
        coverage: wanted.

    Source: V. Vovk et al., Algorithmic Learning in a Random World, 2005.
    """
    errors = np.sort(np.abs(np.asarray(residual_db, float)))
    rank = min(len(errors) - 1, int(np.ceil((len(errors) + 1) * coverage)) - 1)
    return float(errors[rank])


def fit_interval(found_db: npt.ArrayLike, true_db: npt.ArrayLike, coverage: float = 0.9) -> SdrInterval:
    """Fit the interval around an estimate of SDR that holds the truth of a share of all extractions.

    What is estimated high is told worse. Half the width is a line over the estimate, the quantile of what estimates
    err by, that never falls; scaled so that the share holds as a split-conformal interval.

    Args:
        found_db: estimates of held-out extractions.
        true_db: what they are.
        coverage: wanted.

    Source: J. Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018, 5.2 (locally weighted
        conformal inference); R. Koenker and G. Bassett, Regression Quantiles, 1978 (the line).
    """
    found = np.asarray(found_db, float)
    error = np.abs(found - np.asarray(true_db, float))
    if len(found) < MIN_ON_LINE:
        return SdrInterval(conformal_half_width(error, coverage))
    lowest = float(np.quantile(found, _LEAST_SHARE))
    fit = QuantileRegressor(quantile=coverage, alpha=0.0, solver="highs").fit(found[:, None], error)
    slope, base = float(fit.coef_[0]), float(fit.intercept_)
    if slope <= 0 or base + slope * lowest < _LEAST_HALF_DB:
        return SdrInterval(conformal_half_width(error, coverage))
    line = SdrInterval(base, slope, lowest)
    ratio = conformal_half_width(error / [line.half_width(value) for value in found], coverage)
    return SdrInterval(ratio * base, ratio * slope, lowest)


__all__ = [
    "Distance",
    "calibrate",
    "called_by_other_folds",
    "choose_thresholds",
    "conformal_half_width",
    "ece",
    "fit_distance",
    "fit_interval",
    "fit_platt",
    "reliability",
    "weights",
]
