"""Crest: peak over average level; compression and limiting lower it."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "crest", "dB"


def look(view: View) -> Reading:
    """Return the peak over the root mean square of the window.

    Args:
        view: one window.
    """
    samples = view.samples
    power = float(np.vdot(samples, samples)) / samples.size
    return 20 * float(np.log10((view.peak + 1e-9) / (power**0.5 + 1e-10)))


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value < 10:
        return "little headroom over the average: compressed, limited, or a steady tone"
    return "much headroom: uncompressed, or sparse hits" if value > 20 else "an ordinary crest"
