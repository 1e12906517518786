"""Combs: lines at multiples of 1378 Hz, where strided upsampling by 4, 8, 16 or 32 puts its images of DC."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "comb", "dB"
SPACING = 64
"""Bins: 44100 Hz / 32."""


def look(view: View) -> Reading:
    """Return how far the tallest line at a multiple of 1378 Hz above 2 kHz stands above both its neighbours.

    Args:
        view: one window.
    """
    k = np.arange(SPACING, 1020, SPACING)
    k = k[k > bin_of(2000)]
    flat = view.mean_texture_db
    return float((flat[k] - np.maximum(flat[k - 2], flat[k + 2])).max())


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 6:
        return "a steady line where transposed convolutions of a network put theirs, a converter's tone or a held note"
    return "no line at the places of strided upsampling"
