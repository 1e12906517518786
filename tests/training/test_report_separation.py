"""Errors and intervals of SDR are of files that were held out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training import report


def scored(rng: np.random.Generator, error_per_db: float) -> pd.DataFrame:
    """Held-out extractions whose estimates err in proportion to how high they are."""
    found = rng.uniform(2, 15, 300)
    truth = found + rng.normal(0, error_per_db * found)
    return pd.DataFrame(
        {"separated": True, "sdr_db": truth, "sdr_found_db": found, "fold": rng.integers(0, 3, len(found))}
    )


def test_files_of_known_families_are_judged_by_the_interval_of_unseen_ones() -> None:
    """It is the one that verdicts carry; estimates that err less lie within it more often."""
    rng = np.random.default_rng(4)
    unseen, known = scored(rng, 0.3), scored(rng, 0.15)
    told, other = report.sdr(unseen), report.sdr(known, unseen)
    assert other["interval"] == told["interval"]
    assert told["coverage_on_other_folds"] == pytest.approx(0.9, abs=0.04)
    assert other["coverage_on_other_folds"] > 0.97
    assert [band["covered"] for band in told["by_estimate"]] == pytest.approx([0.9] * 5, abs=0.1)
    assert told["by_estimate"][-1]["half_width_db"] > 2 * told["by_estimate"][0]["half_width_db"]


def test_files_without_an_interval_of_others_lie_in_none_and_outside_none() -> None:
    """Those count that other folds have an interval for: the rest is not called outside one of no width."""
    few = scored(np.random.default_rng(1), 0.2).iloc[:20].assign(fold=np.repeat([0, 1], [12, 8]))
    told = report.sdr(few)
    truth = few["sdr_db"].to_numpy()
    others = np.abs(truth - np.where(few["fold"] == 0, np.median(truth[12:]), np.median(truth[:12]))).mean()
    assert told["mae_of_other_folds_median_db"] == pytest.approx(others, abs=1e-3)
    assert told["half_width_db"] > 1.5
    assert told["coverage_on_other_folds"] * 8 == pytest.approx(round(told["coverage_on_other_folds"] * 8))
    assert told["coverage_on_other_folds"] >= 0.75
    assert told["n_bounded"] == 8
    one = report.sdr(few.assign(fold=0))
    assert one["mae_of_other_folds_median_db"] is one["coverage_on_other_folds"] is one["half_width_db"] is None
    assert {band["covered"] for band in one["by_estimate"]} == {None}
    for deal in (told, one):
        mean = report.mean_sdr([deal, deal])
        assert mean["coverage_on_other_folds"] == deal["coverage_on_other_folds"]
        assert [band["covered"] for band in mean["by_estimate"]] == pytest.approx(
            [band["covered"] for band in deal["by_estimate"]], abs=1e-3
        )
