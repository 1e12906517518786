"""Lossy history: how much of 10 to 20 kHz holds nothing while lower bands sound."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import ACTIVE_DB, Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "empty_high_bins", "%"
EMPTY_DB = -95.0


def look(view: View) -> Reading:
    """Return the share of bins from 10 to 20 kHz more than 95 dB below the mean bin, in sounding frames.

    Args:
        view: one window.
    """
    part = view.spectra.level[view.frame_db > ACTIVE_DB][::2, bin_of(10_000) : bin_of(20_000) : 2]
    return 100.0 * float(np.count_nonzero(part < EMPTY_DB)) / part.size


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 20:
        return "much of the top is empty: a lossy codec, a lower rate once, or a network that stops there"
    return "the top is filled throughout" if value < 1 else "some of the top is empty"
