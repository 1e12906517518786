"""Residue in pauses, its level: what is left of the other sources where the stem itself rests."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "pause_level", "dB"


def look(view: View) -> Reading:
    """Return the energy of the quietest tenth of the frames relative to the mean frame.

    Args:
        view: one window.
    """
    power = 10 ** (view.frame_db / 10)
    return 10 * float(np.log10(power[view.quiet].mean() / power.mean() + 1e-12))


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value < -80:
        return "pauses are empty: gated, edited or programmed"
    if value < -35:
        return "pauses are filled at a low level: room, noise, or what a separator let through"
    return "there is no pause to look into" if value > -15 else "pauses are short or well filled"
