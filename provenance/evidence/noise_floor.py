"""Noise floor: the level below which nearly nothing lies between 1 and 16 kHz."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "noise_floor", "dB"
_SHARE = 0.02


def look(view: View) -> Reading:
    """Return the second percentile of the level of bins, relative to the mean bin of the window.

    Args:
        view: one window.
    """
    part = view.spectra.level[::4, bin_of(1000) : bin_of(16_000) : 4].ravel()
    n = int(_SHARE * len(part))
    return float(np.partition(part, n)[n])


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value <= -109:
        return "some of the spectrum is empty: synthesis, a gate, a codec or a mask that closes fully"
    return "a floor of noise lies under the signal" if value > -75 else "a very low floor"
