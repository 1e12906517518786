"""Clipping: how many samples sit at the peak of their window."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "samples_at_peak", "per 10,000"
_AT_PEAK = 0.9995


def look(view: View) -> Reading:
    """Return the share of samples within 0.05 % of the window's peak.

    Args:
        view: one window.
    """
    size = view.magnitude
    return 1e4 * float(np.count_nonzero(size > _AT_PEAK * view.peak)) / size.size


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    return "clipped or limited hard" if value > 2 else "few samples lie at the peak"
