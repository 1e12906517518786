"""The perceptron on statistics: how they are bent, what it learns, and how a configuration asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from training import config, heads, perceptron
from training.config import Boosting
from training.perceptron import Fitted, Perceptron, Squash

SMALL = Perceptron(n_steps=400, width=32, batch=64, dropout=0.1, input_dropout=0.0)
CONFIG = Path(__file__).parents[2] / "training" / "stem-v1.toml"


def skewed(n: int, seed: int) -> perceptron.Array:
    """Statistics of all sorts: with far values, a plateau, two values alone, none but one, and a narrow one far out."""
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((n, 5))
    return np.stack(
        [np.exp(3 * normal[:, 0]), np.maximum(normal[:, 1], 0), normal[:, 2] > 0, np.full(n, -200.0),
         1e4 + 1e-2 * normal[:, 3], normal[:, 4]], axis=1,
    ).astype(np.float32)  # fmt: skip


def test_statistics_come_out_alike_and_in_order() -> None:
    """Each keeps its order and none runs away, however far or narrow its values; a constant one says nothing."""
    rows = skewed(4000, 1)
    squash = Squash(skewed(4000, 0))
    found = squash.of(rows)
    assert found.dtype == np.float32
    assert np.abs(found).max() <= perceptron.MOST
    for k in (0, 1, 4, 5):
        assert np.abs(np.median(found[:, k])) < 0.1
        assert 0.3 < found[:, k].std() < 2.0
        assert (np.diff(found[np.argsort(rows[:, k]), k]) >= 0).all()
    assert np.unique(found[:, 2]).size == 2
    assert np.allclose(found[:, 3], 0)
    assert (np.abs(squash.of(rows * 1e6 + 1e9)) <= perceptron.MOST).all()


def test_it_learns_what_is_smooth_and_leaves_other_draws_alone() -> None:
    """Half of the error of the median is gone, twice alike, and draws of others come as they would have."""
    rng = np.random.default_rng(0)
    rows = skewed(3000, 2)
    values = 8 + 6 * np.tanh(np.log(rows[:, 0]) / 3) + 2 * rows[:, 5] + rng.normal(0, 0.5, len(rows))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    models = [perceptron.fit(rows[:2000], values[:2000], np.ones(2000), SMALL, 3) for _ in range(2)]
    assert torch.equal(torch.rand(3), expected)
    said = [model.predict(rows[2000:]) for model in models]
    assert np.array_equal(said[0], said[1])
    error, constant = (np.abs(values[2000:] - found).mean() for found in (said[0], np.median(values[:2000])))
    assert error < 0.5 * constant
    wild = models[0].predict(rows * 1e3)
    assert values[:2000].min() <= wild.min() < wild.max() <= values[:2000].max(), "no more than it learnt"


def test_rows_of_no_weight_teach_nothing() -> None:
    """Where two halves contradict each other the weighted one is believed."""
    rows = skewed(2000, 4)
    first = np.arange(2000) < 1000
    values = np.where(first, 20.0, 0.0)
    for believed in (first, ~first):
        model = perceptron.fit(rows, values, believed.astype(float), SMALL, 0)
        assert np.median(model.predict(rows)) == pytest.approx(values[believed][0], abs=1.5)


def test_mixed_rows_make_it_less_sure() -> None:
    """Where classes lie apart, pairs mixed on the way leave no log odds as far out, and the classes as well told."""
    rows = skewed(4000, 9)
    is_so = rows[:, 5] > 0
    plain, mixed = (
        perceptron.fit_log_odds(rows[:3000], is_so[:3000], np.ones(3000), replace(SMALL, mixing=mixing), 0)
        for mixing in (0.0, 0.3)
    )
    said = {name: model.predict(rows[3000:]) for name, model in (("plain", plain), ("mixed", mixed))}
    assert np.abs(said["mixed"]).mean() < 0.8 * np.abs(said["plain"]).mean()
    for found in said.values():
        assert ((found > 0) == is_so[3000:]).mean() > 0.95


def test_it_may_tell_classes_apart() -> None:
    """Its output is log odds: calibrated where it knows, bounded where it does not, and rows count by their weight."""
    rng = np.random.default_rng(6)
    rows = skewed(4000, 7)
    chance = 1 / (1 + np.exp(-2 * rows[:, 5]))
    is_so = rng.random(4000) < chance
    model = perceptron.fit_log_odds(rows[:3000], is_so[:3000], np.ones(3000), SMALL, 0)
    said = model.predict(rows[3000:])
    for low, high in ((-2.5, -0.8), (-0.8, 0.8), (0.8, 2.5)):
        here = (said > low) & (said < high)
        assert here.sum() > 100
        assert is_so[3000:][here].mean() == pytest.approx(1 / (1 + np.exp(-said[here].mean())), abs=0.1)
    assert np.abs(model.predict(rows * 1e6)).max() <= perceptron.MOST_LOG_ODDS
    heavy = perceptron.fit_log_odds(rows, is_so, np.where(is_so, 20.0, 1.0), SMALL, 0)
    assert heavy.predict(rows).mean() > model.predict(rows).mean() + 1.5


def test_the_sdr_head_may_be_one(tmp_path: Path) -> None:
    """Rows of unknown SDR are passed over, none known gives no head, and a configuration says which it is."""
    rows = skewed(800, 5)
    known = np.arange(800) % 2 == 0
    meta = pd.DataFrame({
        "origin": "separated", "family": np.where(np.arange(800) % 4 == 0, "a", "b"),
        "sdr_db": np.where(known, 8 + 4 * rows[:, 5], np.nan),
    })  # fmt: skip
    model = heads.fit_sdr(rows, meta, SMALL, 0)
    assert isinstance(model, Fitted)
    assert model.n_features_in_ == rows.shape[1]
    assert np.corrcoef(model.predict(rows[known]), meta["sdr_db"][known])[0, 1] > 0.8
    assert heads.fit_sdr(rows, meta.assign(sdr_db=np.nan), SMALL, 0) is None
    assert not isinstance(heads.fit_sdr(rows, meta, Boosting(rounds=3), 0), Fitted)
    text = CONFIG.read_text(encoding="utf-8")
    start = text.index("[sdr]")
    rest = text[text.index("\n[", start + 1) :]
    file = tmp_path / "c.toml"
    for table, kind in (("n_steps = 10\nwidth = 8\n", Perceptron), ("rounds = 10\n", Boosting)):
        file.write_text(text[:start] + "[sdr]\n" + table + rest, encoding="utf-8")
        assert isinstance(config.load(file).sdr, kind)
    file.write_text(text[:start] + "[sdr]\nn_steps = 10\nleaves = 3\n" + rest, encoding="utf-8")
    with pytest.raises(ValueError, match="leaves"):
        config.load(file)
