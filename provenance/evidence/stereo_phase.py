"""Stereo phase: how much of the sound is in opposite phase left and right, 0.5 to 8 kHz."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Array, Clip, Reading, View, bin_of
from provenance.verdict import Cue

NAME, UNIT = "opposite_phase", "%"


def look(view: View) -> Reading:
    """Return the share of left-right cross-power in bins where the two are more than a quarter turn apart.

    Args:
        view: one window.
    """
    spectra = view.spectra
    if spectra.side is None:
        return "there is no side channel"
    low, high = bin_of(500), bin_of(8000)
    side = spectra.side[::2, low:high]
    mid = spectra.mid[::4, low:high][: len(side)]
    # Left times conjugate right is |mid|^2 - |side|^2 + 2i Im(conj(mid) side).
    together = _power(mid) - _power(side)
    across = 2 * (mid.real * side.imag - mid.imag * side.real)
    size = np.hypot(together, across)
    return 100.0 * float(size[together < 0].sum()) / (float(size.sum()) + 1e-30)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    return "much sounds in opposite phase: widened, or a phase artefact" if value > 15 else "left and right agree"


def _power(spectrum: npt.NDArray[np.complex64]) -> Array:
    out: Array = spectrum.real**2 + spectrum.imag**2
    return out
