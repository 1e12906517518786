"""Boosted heads: what counts how much."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from provenance.model import EFFECTS
from training import heads
from training.config import Boosting
from training.heads import learning

BOOSTING = Boosting(20, 0.2, 4, 1.0, separated_weight=1.0)


def contradiction(n: int = 400) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], pd.DataFrame]:
    """Rows whose one feature means wet in studio stems, and dry in three times as many extractions."""
    rng = np.random.default_rng(0)
    wet = rng.random(n) < 0.5
    separated = np.arange(n) % 4 > 0
    features = np.stack([wet ^ separated, rng.random(n)], 1).astype(np.float32)
    meta = pd.DataFrame({
        "clip": [f"c{k}" for k in range(n)], "repo": "r", "set": "dry", "wetness": "dry", "kind": "processed",
        "origin": np.where(separated, "separated", "studio"), "processing": np.where(wet, "wet", "dry"),
        "effects": np.where(wet, '[["reverb", 0.5]]', ""),
    })  # fmt: skip
    return features, meta


def test_extractions_count_as_much_as_the_settings_say_for_processing() -> None:
    """Where extractions contradict studio stems, the side with the larger weight is believed."""
    features, meta = contradiction()
    for weight, right in ((0.1, "studio"), (10.0, "separated")):
        model = heads.fit_processing(features, meta, dataclasses.replace(BOOSTING, separated_weight=weight), 0)
        assert model is not None
        found = np.array(["dry", "hybrid", "wet"])[model.predict(features).astype(int)]
        here = (meta["origin"] == right).to_numpy()
        assert (found == meta["processing"].to_numpy())[here].all()
        assert not (found == meta["processing"].to_numpy())[~here].any()


def test_as_many_extractions_teach_effects_as_the_settings_say() -> None:
    """Three times as many extractions outvote the studio stems that they contradict; a twentieth of them does not."""
    features, meta = contradiction()
    chain = json.dumps([[name, 0.5] for name in EFFECTS])
    meta["effects"] = [chain if text else "" for text in meta["effects"]]
    wet = (meta["processing"] == "wet").to_numpy()
    separated = (meta["origin"] == "separated").to_numpy()
    for share, right in ((0.05, ~separated), (1.0, separated)):
        models = heads.fit_effects(features, meta, dataclasses.replace(BOOSTING, separated_weight=share), 0)
        assert models is not None
        said = models[0].predict_proba(features)[:, 1] > 0.5
        assert (said == wet)[right].all()
        assert not (said == wet)[~right].any()


def test_strengths_are_learnt_of_what_was_applied_often() -> None:
    """Rows where an effect was applied teach how strong it was; one that is too rare has no model."""
    rng = np.random.default_rng(0)
    strength = rng.random(300)
    features = np.stack([strength + 0.05 * rng.random(300), rng.random(300)], 1).astype(np.float32)
    chains = [json.dumps([["reverb", s]] + ([["eq", 0.5]] if k < 30 else [])) for k, s in enumerate(strength)]
    meta = pd.DataFrame({"origin": "studio", "effects": chains})
    models = heads.fit_strengths(features, meta, BOOSTING, 0)
    assert models is not None
    assert [name for name, model in zip(EFFECTS, models, strict=True) if model is not None] == ["reverb"]
    found = heads.strengths(models, features)
    assert np.abs(found[:, EFFECTS.index("reverb")] - strength).mean() < 0.05
    assert np.isnan(np.delete(found, EFFECTS.index("reverb"), axis=1)).all()
    assert heads.only(models, ("reverb", "delay")) == models
    assert heads.only(models, ("delay",)) is None
    assert heads.fit_strengths(features[:30], meta[:30], BOOSTING, 0) is None


def test_weights_do_not_move_the_bins_of_features() -> None:
    """Bins are those of the rows, whatever weighs on them; scikit-learn's own move with the weights."""
    rng = np.random.default_rng(0)
    features, y = rng.random((3000, 20)).astype(np.float32), rng.random(3000) < 0.5
    weight = np.where(y, 1.0, 0.01)
    ours = learning._fitted(features, y, weight, Boosting(1), 0)._bin_mapper.bin_thresholds_[0]
    plain, weighted = (
        HistGradientBoostingClassifier(max_iter=1).fit(features, y, w)._bin_mapper.bin_thresholds_[0]
        for w in (None, weight)
    )
    assert np.array_equal(ours, plain)
    assert not np.array_equal(ours, weighted)
