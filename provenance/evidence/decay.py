"""Decay time: how long the sound needs to fall by 60 dB, by the straight falls of its level (dry or wet)."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "decay_time", "s"
_LEAST = 4
_SHARE = 0.2
_FALLING_DB_S = -5.0
_STRAIGHT_DB = 2.0
_ABOVE_DB = -60.0


def look(view: View) -> Reading:
    """Return the decay time that a fifth of the straight falls of 140 ms undercut: nothing falls faster than its room.

    Args:
        view: one window.

    Source: after R. Ratnam et al., Blind estimation of reverberation time, JASA 114, 2003, with line fits in dB.
    """
    slope, deviation, last = view.slope_db_s
    falling = (slope < _FALLING_DB_S) & (deviation < _STRAIGHT_DB) & (last > _ABOVE_DB)
    if int(np.count_nonzero(falling)) < _LEAST:
        return "the level never falls in a straight line"
    return 60 / -float(np.percentile(slope[falling], 100 * _SHARE))


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value < 0.7:
        return "falls quickly, as dry recordings and damped sounds do"
    return "falls slowly: reverberation, or instruments that ring" if value > 1.5 else "falls at a middling pace"
