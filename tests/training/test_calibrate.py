"""Calibration, thresholds, intervals and distances on data whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import provenance
from training import calibrate


def test_platt_finds_the_slope_and_intercept_that_made_the_data() -> None:
    """Classes drawn from a sigmoid of known slope and intercept give them back."""
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, 40_000)
    y = rng.random(len(z)) < 1 / (1 + np.exp(-(1.7 * z)))
    found = calibrate.fit_platt(z, y)
    assert found.slope == pytest.approx(1.7, abs=0.06)
    assert found.intercept == pytest.approx(0.0, abs=0.06)


def test_platt_weighs_both_classes_alike() -> None:
    """Ten times as many true stems do not shift the probabilities."""
    rng = np.random.default_rng(1)
    true, false = rng.normal(-1, 1, 20_000), rng.normal(1, 1, 2_000)
    found = calibrate.fit_platt(np.concatenate([true, false]), np.repeat([False, True], [20_000, 2_000]))
    assert calibrate.calibrate(0.0, found) == pytest.approx(0.5, abs=0.03)


def test_what_probabilities_are_calibrated_for_is_said_as_it_is(root: Path) -> None:
    """Half of the weight is on extractions, each family alike, and schema, README and page say so in words."""
    separated = np.repeat([False, True, True], [700, 250, 50])
    family = np.repeat(["", "demucs", "spleeter"], [700, 250, 50])
    found = calibrate.weights(separated, family)
    assert found[separated].sum() == pytest.approx(found.sum() / 2)
    assert found[family == "demucs"].sum() == pytest.approx(found[family == "spleeter"].sum())
    described = json.loads(provenance.json_schema())["properties"]["p_separated"]["description"]
    assert "calibrated for a set half of which is extracted, each family of separators alike" in described
    assert "for a set half of which is extracted" in (root / "README.md").read_text(encoding="utf-8")
    page = " ".join((root / "docs" / "audit.md").read_text(encoding="utf-8").split())
    assert "a set half of which is extracted" in page


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=30, max_size=200), st.lists(st.floats(0, 1), min_size=30, max_size=200),
    st.sampled_from([0.0, 0.01, 0.02, 0.1]), st.sampled_from([0.0, 0.05, 0.2]),
)  # fmt: skip
def test_thresholds_keep_their_promise(
    true: list[float], extracted: list[float], max_accused: float, max_missed: float
) -> None:
    """No more true stems lie above the upper threshold than allowed, no more extractions below the lower one."""
    p = np.array(true + extracted)
    y = np.repeat([False, True], [len(true), len(extracted)])
    upper, lower = calibrate.choose_thresholds(p, y, max_accused, max_missed)
    assert 0 < lower <= upper < 1
    ties = 1e-9
    accused = np.mean(np.array(true) > upper + ties)
    assert accused <= max_accused or upper == 0.999
    missed = np.mean(np.array(extracted) < lower - ties)
    assert missed <= max_missed or lower == 0.001


def test_thresholds_of_known_scores() -> None:
    """Of a hundred true stems one may be accused: the threshold lies between the first and the second."""
    true = np.linspace(0.0, 0.99, 100)
    extracted = np.linspace(0.01, 1.0, 100)
    p, y = np.concatenate([true, extracted]), np.repeat([False, True], 100)
    upper, lower = calibrate.choose_thresholds(p, y, 0.01, 0.05)
    assert upper == pytest.approx(0.985, abs=1e-6)
    assert (true >= upper).sum() == 1
    assert (extracted <= lower).sum() == 5


def test_where_none_may_be_called_wrong_none_is() -> None:
    """Files at a threshold are called by it, so each lies beyond the last file that may not be."""
    p = np.array([0.05, 0.10, 0.15, 0.20, 0.30, 0.90, 0.95])
    y = np.repeat([False, True], [4, 3])
    _, lower = calibrate.choose_thresholds(p, y, 0.0, 0.1)
    assert lower == pytest.approx(0.15)
    assert not (p[y] <= lower).any()
    upper, _ = calibrate.choose_thresholds(1 - p, ~y, 0.0, 0.1)
    assert upper == pytest.approx(0.85)
    assert not ((1 - p)[y] >= upper).any()


def test_enough_of_what_is_decided_is_right() -> None:
    """The lower threshold falls until the promise holds, and no further; where it held anyway nothing moves."""
    rng = np.random.default_rng(7)
    p = np.clip(np.concatenate([rng.normal(0.3, 0.2, 2000), rng.normal(0.7, 0.25, 2000)]), 0, 1)
    y = np.repeat([False, True], 2000)
    upper, loose = calibrate.choose_thresholds(p, y, 0.01, 0.2)
    right = lambda lower: np.mean(y[(p >= upper) | (p <= lower)] == (p >= upper)[(p >= upper) | (p <= lower)])  # noqa: E731
    assert right(loose) < 0.95
    same, strict = calibrate.choose_thresholds(p, y, 0.01, 0.2, min_right=0.97)
    assert same == upper
    assert strict < loose
    assert right(strict) >= 0.97
    assert right(strict + 0.02) < 0.97
    assert calibrate.choose_thresholds(p, y, 0.01, 0.2, min_right=0.5) == (upper, loose)


def test_an_interval_of_sdr_is_as_wide_as_the_estimate_asks_for() -> None:
    """It holds the wanted share of other files at low estimates and at high ones, and gets no narrower below."""
    rng = np.random.default_rng(8)
    found = rng.uniform(2, 15, 8000)
    true = found + rng.normal(0, 0.3 * found)
    interval = calibrate.fit_interval(found[:4000], true[:4000])
    half = np.array([interval.half_width(value) for value in found[4000:]])
    held = np.abs(true[4000:] - found[4000:]) <= half
    for low, high in ((2, 5), (5, 10), (10, 15)):
        here = (found[4000:] >= low) & (found[4000:] < high)
        assert held[here].mean() == pytest.approx(0.9, abs=0.03)
    assert half.max() > 3 * half.min()
    assert interval.half_width(-5.0) == interval.half_width(interval.from_db) > 0


def test_an_interval_is_as_wide_everywhere_where_nothing_else_is_known() -> None:
    """Of a few files, and of those whose high estimates are the better ones."""
    rng = np.random.default_rng(9)
    found = rng.uniform(2, 15, 400)
    noise = rng.normal(0, 1, 400)
    falling = calibrate.fit_interval(found, found + noise * (16 - found))
    assert falling.per_db == 0
    assert falling.base_db == pytest.approx(calibrate.conformal_half_width(noise * (16 - found)))
    few = calibrate.fit_interval(found[:29], found[:29] + noise[:29])
    assert (few.per_db, few.from_db) == (0, 0)
    assert few.base_db == pytest.approx(calibrate.conformal_half_width(noise[:29]))


def test_an_allowance_is_what_a_rework_added() -> None:
    """It is what reworked windows of both classes were raised by; 0 where they were lowered or lack a class."""
    rng = np.random.default_rng(9)
    y, worked = rng.random(20_000) < 0.3, rng.random(20_000) < 0.2
    plain = np.where(y, 1.0, -1.0) + rng.normal(0, 1, len(y))
    found = calibrate.fit_allowance(plain + 0.8 * worked, worked, y, worked)
    assert found == pytest.approx(0.8, abs=0.06)
    assert calibrate.fit_allowance(plain - 0.8 * worked, worked, y, worked) == 0.0
    assert calibrate.fit_allowance(plain + 0.8 * worked, worked, y, y) == 0.0
    # a family of a thousand outputs that were raised by nothing counts as much as a small one raised by much
    family = np.where(y, np.where(rng.random(len(y)) < 0.05, "small", "large"), "")
    raised = plain + 1.6 * (worked & ((family == "small") | ~y))
    alike = calibrate.fit_allowance(raised, worked, y, worked, family)
    assert alike > calibrate.fit_allowance(raised, worked, y, worked) + 0.1


def test_no_family_counts_by_its_size() -> None:
    """A thousand outputs of one separator weigh as much as ten of another, when calibrating and for the threshold."""
    rng = np.random.default_rng(4)
    true, hard, easy = rng.normal(-2, 1, 3000), rng.normal(-1.5, 1, 1000), rng.normal(3, 1, 10)
    z = np.concatenate([true, hard, easy])
    y = np.repeat([False, True], [3000, 1010])
    family = np.repeat(["", "large", "small"], [3000, 1000, 10])
    weight = calibrate.weights(y, family)
    assert weight[~y].sum() == pytest.approx(weight[y].sum())
    assert weight[family == "large"].sum() == pytest.approx(weight[family == "small"].sum())
    alike, by_size = calibrate.fit_platt(z, y, family), calibrate.fit_platt(z, y)
    assert alike.slope > 1.5 * by_size.slope
    p = calibrate.calibrate(z, by_size)
    _, lower = calibrate.choose_thresholds(p, y, 0.01, 0.1, family)
    assert np.mean(p[family == "large"] <= lower) == pytest.approx(0.2, abs=0.002)
    _, as_before = calibrate.choose_thresholds(p, y, 0.01, 0.1)
    assert as_before < lower


def test_calibration_error_of_known_scores() -> None:
    """Perfect probabilities have no error, a coin that is always sure has half."""
    rng = np.random.default_rng(2)
    p = rng.random(200_000)
    y = rng.random(len(p)) < p
    assert calibrate.ece(p, y) < 0.01
    assert calibrate.ece(np.ones(1000), np.arange(1000) % 2 == 0) == pytest.approx(0.5)
    assert calibrate.ece([0.0, 1.0], [False, True]) == 0.0


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_conformal_intervals_cover_what_they_say(coverage: float) -> None:
    """On fresh data of the same kind the interval covers its share, to within three per cent."""
    rng = np.random.default_rng(3)
    half = calibrate.conformal_half_width(rng.standard_t(3, 4000), coverage)
    assert np.mean(np.abs(rng.standard_t(3, 20_000)) <= half) == pytest.approx(coverage, abs=0.03)


def test_conformal_width_of_known_residuals() -> None:
    """Of residuals 1 to 99 dB the ninety per cent interval is 90 dB to each side; few residuals give the largest."""
    assert calibrate.conformal_half_width(np.arange(1, 100)) == 90
    assert calibrate.conformal_half_width([1.0, -7.0, 3.0]) == 7.0


def test_distance_is_about_one_inside_and_large_outside() -> None:
    """Rows like the training rows lie near one; rows shifted along a rare direction lie far out."""
    rng = np.random.default_rng(4)
    mixing = rng.standard_normal((60, 60)) / 8
    train, fresh = ((rng.standard_normal((3000, 60)) @ mixing).astype(np.float32) for _ in range(2))
    distance = calibrate.fit_distance(train)
    assert np.median(distance.of(fresh)) == pytest.approx(1.0, abs=0.15)
    far = fresh + 40 * distance.scale * distance.axes[:, 0] / np.linalg.norm(distance.axes[:, 0])
    assert np.median(distance.of(far.astype(np.float32))) > 3


def test_a_threshold_comes_from_the_other_folds() -> None:
    """Of two folds whose probabilities are shifted against each other, each is judged by what suits the other."""
    truth = np.array([False, False, True, True] * 2)
    p = np.array([0.1, 0.2, 0.4, 0.5, 0.5, 0.6, 0.8, 0.9])
    fold = np.repeat([0, 1], 4)
    called = calibrate.called_by_other_folds(p, truth, fold)
    assert called[:4].tolist() == [False] * 4  # the other fold is best from 0.61 on
    assert called[4:].tolist() == [True] * 4  # and this one from 0.21 on
