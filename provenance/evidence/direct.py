"""Direct to reverberant: how far the level drops within 100 ms after sounds end (dry or wet)."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "drop_after_sound", "dB"
_STEPS = 9
"""104 ms of the envelope."""
_SHARE = 0.97


def look(view: View) -> Reading:
    """Return the drop over 104 ms that only 3 % of all moments exceed: an upper bound of direct to reverberant.

    Args:
        view: one window.
    """
    level = view.envelope_db
    if len(level) < 4 * _STEPS:
        return "shorter than 0.5 s"
    drop = level[:-_STEPS] - level[_STEPS:]
    n = int(_SHARE * (len(drop) - 1))
    found = float(np.partition(drop, n)[n])
    return found if found > 3 else "no sound in it ends"


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 30:
        return "sounds end in little or no room"
    return "a tail follows the sounds" if value < 15 else "some tail follows the sounds"
