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
