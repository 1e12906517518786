"""From readings to a cue: the median over the windows, beside the ranges that the corpus gave."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from provenance.evidence.view import Clip
from provenance.verdict import Cue

KEYS = ("studio", "separated", "studio_middle", "separated_middle")


@dataclass(frozen=True)
class Ranges:
    """Where a cue lies on labelled stems.

    Args:
        studio, separated: 5th to 95th percentile over true stems, and over separated ones.
        studio_middle, separated_middle: 25th to 75th percentile.
    """

    studio: tuple[float, float]
    separated: tuple[float, float]
    studio_middle: tuple[float, float]
    separated_middle: tuple[float, float]


@cache
def ranges() -> dict[str, Ranges]:
    """Return the ranges of every cue, as ``python -m training.research.ranges`` wrote them from a corpus."""
    text = resources.files("provenance.evidence").joinpath("ranges.json").read_text(encoding="utf-8")
    return {
        name: Ranges(*((low, high) for low, high in (found[key] for key in KEYS)))
        for name, found in json.loads(text)["cues"].items()
    }


def conclude(name: str, unit: str, clip: Clip, note: Callable[[float], str]) -> Cue:
    """Return the cue of a file.

    Args:
        name: of the cue.
        unit: of its value.
        clip: the readings.
        note: from a value to what it says, in words.
    """
    readings = clip.readings.get(name, ())
    values = [r for r in readings if not isinstance(r, str)]
    known = ranges().get(name)
    studio, separated = (known.studio, known.separated) if known else (None, None)
    if not values:
        reasons = Counter(r for r in readings if isinstance(r, str))
        why = reasons.most_common(1)[0][0] if reasons else "no window of the file sounds"
        return Cue(name, None, unit, f"not measured: {why}", studio, separated)
    value = float(f"{float(np.median(values)):.4g}")
    return Cue(name, value, unit, f"{_place(value, known)}; {note(value)}", studio, separated)


def _place(value: float, known: Ranges | None) -> str:
    if known is None:
        return "no reference ranges"
    in_studio, in_separated = _within(value, known.studio), _within(value, known.separated)
    if in_studio != in_separated:
        return f"usual in {'studio stems, rare in separated' if in_studio else 'separated stems, rare in studio'} ones"
    if not in_studio:
        return "rare in both"
    mid_studio, mid_separated = _within(value, known.studio_middle), _within(value, known.separated_middle)
    if mid_studio == mid_separated:
        return "usual in both"
    return f"more usual in {'studio stems than in separated' if mid_studio else 'separated stems than in studio'} ones"


def _within(value: float, ends: tuple[float, float]) -> bool:
    return ends[0] <= value <= ends[1]
