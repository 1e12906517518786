"""Notches: narrow dips that stay in the long-term spectrum, as band edges of a network or a codec leave them."""

from __future__ import annotations

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "notch", "dB"


def look(view: View) -> Reading:
    """Return the deepest dip of the long-term spectrum below its local mean, from 8 to 14 kHz.

    Args:
        view: one window.
    """
    return -float(view.mean_texture_db[bin_of(8000) : bin_of(14_000)].min())


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    return "a dip that never fills: a band edge, or a filter" if value > 6 else "no lasting dip"
