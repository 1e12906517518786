"""Persistence: how long spectral detail stays in place above 8 kHz; masks and synthesis hold it, noise does not."""

from __future__ import annotations

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of, lagged
from provenance.verdict import Cue

NAME, UNIT = "texture_persistence", "correlation"


def look(view: View) -> Reading:
    """Return the mean correlation of texture with itself 46 ms on (8 to 14 kHz) and 70 ms on (14 to 20 kHz).

    Args:
        view: one window.
    """
    flat = view.spectra.flat
    if len(flat) < 8:
        return "fewer than eight frames"
    middle = lagged(flat[:, bin_of(8000) : bin_of(14_000)], 2, axis=0)
    return (middle + lagged(flat[:, bin_of(14_000) : bin_of(20_000)], 3, axis=0)) / 2


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 0.12:
        return "detail stands still from frame to frame: a slow mask, a lasting image, or steady partials"
    return "detail changes from frame to frame, as recorded noise does"
