"""Onsets: how far a sound rises within 12 ms; separators give onsets back too slow, some of each before it is due."""

from __future__ import annotations

from provenance import envelope
from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "onsets", "dB"
BANDS = slice(2, 5)
"""Of the envelope: 1 to 8 kHz."""
LEAST = 5
"""Onsets in a window."""


def look(view: View) -> Reading:
    """Return how far onsets between 1 and 8 kHz stand above what sounds 12 ms earlier, their mean; at least 8.

    Args:
        view: one window.
    """
    steps = envelope.steps_at_onsets(view.spectra.fine_power, BANDS)
    return float(steps.mean()) if len(steps) >= LEAST else "too few onsets"


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 18:
        return "sounds begin at once, out of near silence"
    if value < 12:
        return "much of a sound is there before it begins: smeared, or a soft beginning"
    return "some of a sound is there before it begins"
