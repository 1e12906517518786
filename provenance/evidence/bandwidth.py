"""Bandwidth: the frequency up to which there is more than the floor."""

from __future__ import annotations

import numpy as np

from provenance.evidence import brick_wall
from provenance.evidence.conclude import conclude
from provenance.evidence.view import Array, Clip, Reading, View, bin_of, hz_of
from provenance.verdict import Cue

NAME, UNIT = "bandwidth", "Hz"
FLOOR_DB = -95.0
_ABOVE_FLOOR_DB = 6.0
_EDGE_DB = 10.0
_WIDTH = 8
_LEAK = 48
KNOWN = (
    (7_300, 8_200, "8 kHz is where audio at 16 kHz ends, speech networks among it, and MP3 at 48 kbit/s"),
    (9_900, 10_700, "10 kHz is where MP3 at 56 kbit/s ends"),
    (10_700, 11_250, "11 kHz is where audio at 22.05 kHz ends, MP3 at 64 kbit/s, and Spleeter's published models"),
    (13_300, 14_000, "13.5 kHz is where MP3 at 80 kbit/s ends"),
    (14_400, 15_000, "14.7 kHz is where MDX-Net models with 2048 of 6144 bins end, and near 15 kHz FM radio"),
    (15_000, 15_700, "15 to 15.6 kHz is where FM radio ends, and MP3 at 96 to 112 kbit/s"),
    (15_700, 16_300, "16 kHz is where audio at 32 kHz ends, MP3 at low rates, Open-Unmix and wider Spleeter models"),
    (16_500, 17_250, "17 kHz is where MP3 at 128 kbit/s ends"),
    (17_250, 17_900, "17.5 kHz is where MP3 at 160 kbit/s ends, and MDX-Net models with 3072 of 7680 bins"),
    (18_300, 20_700, "18.5 to 20.5 kHz is where MP3 at 160 to 320 kbit/s ends"),
)
"""Cut-offs in Hz, low to high, and all that is known to make them: one that true stems have too is never a separator's
alone. See docs/artefacts.md for the sources."""


def look(view: View) -> Reading:
    """Return where the long-term spectrum ends: in a floor, or in an edge of 10 dB that a floor follows.

    Args:
        view: one window.
    """
    level = np.convolve(view.mean_level_db, np.full(_WIDTH, 1 / _WIDTH, np.float32), "same")
    top = float(view.mean_level_db[bin_of(21_300) : bin_of(22_000)].mean()) + _ABOVE_FLOOR_DB
    above = np.nonzero(level[: bin_of(22_000)] > max(FLOOR_DB, top))[0]
    last = int(above[-1]) if len(above) else 0
    if top > FLOOR_DB:  # something is there up to the top: a floor only if an edge leads down to it
        before, after = level[max(0, last - _WIDTH)], level[min(len(level) - 1, last + _WIDTH)]
        if last >= bin_of(21_000) or float(before - after) < _EDGE_DB:
            return 22_050.0
    return hz_of(_edge(level, last))


def _edge(level: Array, last: int) -> int:
    """Move down from where a transform's leakage meets the floor to the edge that leaked, if there is one."""
    low = max(_WIDTH, last - _LEAK)
    if low >= last:
        return last
    drop = level[low - _WIDTH : last - _WIDTH] - level[low:last]
    if float(drop.max()) < 2 * _EDGE_DB:
        return last
    return low + int(drop.argmax()) - _WIDTH // 2


def measure(clip: Clip) -> Cue:
    """Conclude the cue from a file's readings.

    Args:
        clip: the readings.
    """
    drops = [r for r in clip.readings.get(brick_wall.NAME, ()) if not isinstance(r, str)]
    has_edge = not drops or float(np.median(drops)) >= brick_wall.NO_WALL_DB
    return conclude(NAME, UNIT, clip, lambda value: _note(value, has_edge))


def _note(value: float, has_edge: bool) -> str:
    known = [what for low, high, what in KNOWN if low <= value <= high]
    if value > KNOWN[-1][1]:
        return "the whole band is in use"
    if not has_edge:
        return "it ends by itself, without an edge"
    return known[0] if known else "no separator or codec ends here by default"
