"""Attack: whether levels rise faster than they fall; separators smear attacks and leave echoes before them."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "attack", "dB"


def look(view: View) -> Reading:
    """Return the strongest rise that four bands share in 23 ms less the strongest fall they share (1 % of steps).

    Args:
        view: one window.
    """
    if len(view.spectra.level) < 20:
        return "shorter than 0.5 s"
    step = np.diff(view.band_level_db, axis=0)
    rise, fall = np.percentile(step.min(axis=1), 99), -np.percentile(step.max(axis=1), 1)
    return float(rise - fall)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 6:
        return "sounds begin sharply and end slowly, as struck and sung ones do"
    return "sounds end as sharply as they begin: held, gated, reversed or smeared" if value < 1 else "soft beginnings"
