"""Residue in pauses, its grain: lines and gaps in the quietest frames, where a microphone hears smooth noise."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "pause_grain", "dB"
NOISE_DB = 5.6
"""Standard deviation of the level of noise: its power is exponentially distributed."""


def look(view: View) -> Reading:
    """Return how far bins of the quietest frames stray from their local mean, 1 to 9 kHz, root mean square.

    Args:
        view: one window.
    """
    low, high = bin_of(1000), bin_of(9000)
    if float(view.spectra.level[view.quiet, low:high].mean()) < -109.0:
        return "the pauses are digitally silent"
    part = view.spectra.flat[view.quiet, low:high]
    return float(np.sqrt(np.einsum("ij,ij->", part, part) / part.size))


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > NOISE_DB + 1:
        return f"pauses carry lines or gaps (noise has {NOISE_DB} dB): harmonics of other sources, or a mask's remains"
    return f"pauses are as smooth as noise ({NOISE_DB} dB)"
