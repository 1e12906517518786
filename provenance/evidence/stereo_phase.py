"""Stereo phase: how much of the sound is in opposite phase left and right, 0.5 to 8 kHz."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "opposite_phase", "%"


def look(view: View) -> Reading:
    """Return the share of left-right cross-power in bins where the two are more than a quarter turn apart.

    Args:
        view: one window.
    """
    spectra = view.spectra
    if spectra.side is None or spectra.side_power is None:
        return "there is no side channel"
    band = slice(bin_of(500), bin_of(8000))
    side = spectra.side[::2, band]
    mid = spectra.mid[::4, band][: len(side)]
    # Left times conjugate right is |mid|^2 - |side|^2 + 2i Im(conj(mid) side).
    together = spectra.mid_power[::4, band][: len(side)] - spectra.side_power[::2, band]
    across = 2 * (mid.real * side.imag - mid.imag * side.real)
    if spectra.is_turned:
        together = -together
    size = np.hypot(together, across)
    return 100.0 * float(size[together < 0].sum()) / (float(size.sum()) + 1e-30)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 85:
        return "nearly all sounds in opposite phase: one channel is inverted"
    return "much sounds in opposite phase: widened, or a phase artefact" if value > 15 else "left and right agree"
