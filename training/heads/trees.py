"""What boosted trees and perceptrons say of the window's texture statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from provenance.model import EFFECTS, KINDS, PROCESSINGS
from training.calibrate import Distance
from training.perceptron import Fitted

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
