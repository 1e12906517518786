"""Memory: a long file costs what a minute costs."""

from __future__ import annotations

import pytest

from tests import memory


@pytest.mark.slow
def test_ten_minutes_cost_what_one_minute_costs() -> None:
    """Ten minutes of 96 kHz stereo need at most 20 MB more than one minute, and less than 300 MB in all."""
    short = memory.peak_mb(None, 60, 96_000, 2)
    long = memory.peak_mb(None, 600, 96_000, 2)
    assert long["duration_s"] == pytest.approx(600, abs=0.1)
    assert long["peak_mb"] < short["peak_mb"] + 20
    assert long["peak_mb"] < 300
