"""Digital silence: how much of the sounding windows holds samples that do not move at all."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "digital_silence", "%"
_STILL = 1e-7


def look(view: View) -> Reading:
    """Return the share of samples that equal the one before them in every channel.

    Args:
        view: one window.
    """
    n_channels = view.samples.shape[1]
    flat = view.samples.ravel()
    step = flat[n_channels:] - flat[:-n_channels]
    still = np.abs(step, out=step) < _STILL
    both = still[::n_channels] & still[n_channels - 1 :: n_channels]
    return 100.0 * float(np.count_nonzero(both)) / len(both)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 5:
        return "nothing at all in places: edited, gated or padded, before or after a separation"
    return "no editing to nothing inside the windows"
