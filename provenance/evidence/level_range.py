"""Level range: how far loud and soft moments lie apart; compression brings them together."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "level_range", "dB"
_SOUNDING_DB = -60.0


def look(view: View) -> Reading:
    """Return the 95th less the 10th percentile of the level of sounding frames.

    Args:
        view: one window.
    """
    low, high = np.percentile(view.frame_db[view.frame_db > _SOUNDING_DB], (10, 95))
    return float(high - low)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value < 8:
        return "an even level: sustained or strongly compressed"
    return "a wide range of levels" if value > 30 else "an ordinary range of levels"
