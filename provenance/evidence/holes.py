"""Spectral holes: bins far below their neighbours while the performance sounds, as masks leave them."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "spectral_holes", "%"
DEPTH_DB = -15.0


def look(view: View) -> Reading:
    """Return the share of bins from 2 to 10 kHz that lie 15 dB below the mean of the 450 Hz around them.

    Noise puts 1.8 % there (its power is exponentially distributed).

    Args:
        view: one window.
    """
    part = view.active_texture[:, bin_of(2000) : bin_of(10_000)]
    return 100.0 * float(np.count_nonzero(part < DEPTH_DB)) / part.size


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 4:
        return "many gaps between neighbours: a mask that closes, a codec that drops bins, or very clean harmonics"
    return "about as many gaps as noise has" if value > 1 else "smoother than noise: blurred or limited"
