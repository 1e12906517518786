"""Residue in pauses, its rhythm: how much the level between the sounds varies."""

from __future__ import annotations

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "pause_rhythm", "dB"
PAUSE_DB = -25.0
_LEAST = 8


def look(view: View) -> Reading:
    """Return the standard deviation of the level of the frames 25 dB or more below the loudest.

    Args:
        view: one window.
    """
    pauses = view.frame_db[view.frame_db < PAUSE_DB]
    if len(pauses) < _LEAST:
        return "there is no pause"
    if float(pauses.mean()) < -100.0:
        return "the pauses are digitally silent"
    return float(pauses.std())


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    return "what fills the pauses pulses" if value > 8 else "what fills the pauses is steady"
