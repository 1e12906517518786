"""Mid and side: whether the same holes lie in both, as one mask for both channels leaves them."""

from __future__ import annotations

import numpy as np

from provenance import frontend
from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "mid_side_texture", "correlation"


def look(view: View) -> Reading:
    """Return the correlation of the texture of mid and side, 5 to 14 kHz.

    Args:
        view: one window.
    """
    spectra = view.spectra
    if spectra.side_power is None:
        return "there is no side channel"
    low, high = bin_of(5000), bin_of(14_000)
    side = frontend.texture(frontend.log_power(spectra.side_power[:, low:high], spectra.reference))
    mid = spectra.flat[::2, low:high][: len(side)]
    energy = float(np.einsum("ij,ij->", side, side)) * float(np.einsum("ij,ij->", mid, mid))
    return float(np.einsum("ij,ij->", side, mid)) / (float(np.sqrt(energy)) + 1e-9)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 0.5:
        return "mid and side rise and fall together: one mask for both, or a panned mono source"
    return "mid and side have their own detail"
