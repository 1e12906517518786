"""Blur: how alike neighbouring bins are; masks drawn at a coarse resolution and short transforms smear them."""

from __future__ import annotations

from provenance.evidence.conclude import conclude
from provenance.evidence.view import Clip, Reading, View, bin_of, lagged
from provenance.verdict import Cue

NAME, UNIT = "frequency_blur", "correlation"


def look(view: View) -> Reading:
    """Return the correlation of texture with itself two bins (43 Hz) on, from 3 to 14 kHz.

    Args:
        view: one window.
    """
    return lagged(view.spectra.flat[::2, bin_of(3000) : bin_of(14_000)], 2, axis=1)


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 0.15:
        return "neighbouring bins move together: a coarse mask, a short transform or sharp transients"
    return "neighbouring bins are as independent as the transform lets them be"
