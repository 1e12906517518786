"""Rescaling: the peak level; some tools scale a stem that would clip to a peak of their own."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "peak_level", "dBFS"
DEMUCS_PEAK_DB = 20 * float(np.log10(1 / 1.01))
"""Demucs divides a stem that would clip by 1.01 times its peak (demucs.audio.prevent_clip)."""


def look(view: View) -> Reading:
    """Return the peak of the window relative to full scale.

    Args:
        view: one window.
    """
    return 20 * float(np.log10(view.peak + 1e-9))


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings, by the loudest window.

    Args:
        clip: the readings.
    """
    peaks = [r for r in clip.readings.get(NAME, ()) if not isinstance(r, str)]
    return conclude(NAME, UNIT, Clip({NAME: (max(peaks),) if peaks else ()}), _note)


def _note(value: float) -> str:
    if abs(value - DEMUCS_PEAK_DB) < 0.003:
        return "the peak to which Demucs scales a stem that would clip"
    if value > -0.02:
        return "at full scale"
    return "a peak that names no tool"
