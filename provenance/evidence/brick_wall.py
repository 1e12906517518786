"""Brick wall: how steeply the long-term spectrum falls at its steepest place above 3 kHz."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "brick_wall", "dB"
NO_WALL_DB = 12.0
"""A drop below this is none: sounds end so by themselves."""
_WIDTH = 8
_GAP = 2


def look(view: View) -> Reading:
    """Return the largest drop from the mean of 170 Hz to the mean of the 170 Hz beyond the next 100 Hz.

    Args:
        view: one window.
    """
    total = np.concatenate([[0.0], np.cumsum(view.mean_level_db, dtype=np.float64)])
    k = np.arange(bin_of(3000), bin_of(21_500))
    below = total[k - _GAP] - total[k - _GAP - _WIDTH]
    above = total[k + _GAP + 1 + _WIDTH] - total[k + _GAP + 1]
    return float((below - above).max() / _WIDTH)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value >= 25:
        return "a brick wall: a codec's low-pass, a lower sample rate once, or the edge of a network's range"
    return "no brick wall" if value < NO_WALL_DB else "a steep edge, such as a low-pass filter"
