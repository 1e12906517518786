"""Seams: level steps at the same moment in all bands, where chunks of a separator's work were joined."""

from __future__ import annotations

import numpy as np

from provenance.evidence.conclude import conclude
from provenance.evidence.view import ACTIVE_DB, Clip, Reading, View
from provenance.verdict import Cue

NAME, UNIT = "seam", "dB"
_SIDE = 8
"""Frames on either side: 190 ms."""


def look(view: View) -> Reading:
    """Return the largest step that all of four bands share and keep: level after less level before, without drift.

    A step counts by its smallest band, and by how far it exceeds what the level strays on either side. Both sides
    must sound.

    Args:
        view: one window.
    """
    if len(view.spectra.level) < 3 * _SIDE:
        return "shorter than 0.6 s"
    parts = np.lib.stride_tricks.sliding_window_view(view.band_level_db, _SIDE, axis=0)
    mean, spread = parts.mean(axis=2), parts.std(axis=2)
    before, after = mean[: -_SIDE - 1], mean[_SIDE + 1 :]
    step = after - before
    stray = spread[: -_SIDE - 1] + spread[_SIDE + 1 :]
    sounding = np.lib.stride_tricks.sliding_window_view(view.frame_db, _SIDE).min(axis=1) > ACTIVE_DB
    same = np.abs(np.sign(step).sum(axis=1)) == step.shape[1]
    same &= sounding[: -_SIDE - 1] & sounding[_SIDE + 1 :]
    clear = np.where(same, (np.abs(step) - stray).min(axis=1), 0.0)
    return float(max(clear.max(initial=0.0), 0.0))


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    return conclude(NAME, UNIT, clip, _note)


def _note(value: float) -> str:
    if value > 1:
        return "all bands step at once and stay there: a join, a cut or an onset"
    return "no step that all bands share"
