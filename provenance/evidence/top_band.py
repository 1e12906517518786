"""Peaks above 20 kHz: what stands out where instruments leave nothing but noise."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "peaks_above_20_khz", "%"
HEIGHT_DB = 10.0
NOISE_PERCENT = 0.8
"""White and brown noise stay below this share, however short the window."""


def look(view: View) -> Reading:
    """Return the share of bins from 20.5 to 22 kHz that stand 10 dB above the mean of the 450 Hz around them.

    Args:
        view: one window.
    """
    part = view.active_texture[:, bin_of(20_500) : bin_of(22_000)]
    if float(view.mean_level_db[bin_of(20_500) : bin_of(22_000)].mean()) < -109.0:
        return "there is nothing above 20 kHz"
    return 100.0 * float(np.count_nonzero(part > HEIGHT_DB)) / part.size


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 3:
        return "lines or bursts stand out: upsampling images, a mask's or codec's musical noise, a converter's tones"
    return "a little stands out" if value > NOISE_PERCENT else "no more stands out than in noise"
