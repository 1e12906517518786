"""Flicker: how much the top changes from frame to frame; codecs switch bands on and off, steady noise does not."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "top_flicker", "dB"


def look(view: View) -> Reading:
    """Return the mean change of a bin's level in 23 ms, 16 to 20 kHz. Noise has about 6 dB, emptiness none.

    Args:
        view: one window.
    """
    part = view.spectra.level[:, bin_of(16_000) : bin_of(20_000) : 2]
    return float(np.abs(np.diff(part, axis=0)).mean())


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value < 2:
        return "the top is empty or frozen"
    return "the top changes as noise does" if value < 8 else "the top switches on and off, as codecs and gates do"
