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


@dataclass(frozen=True)
class Ranges:
    """Where a cue lies on labelled stems: 5th to 95th percentile.

    Args:
        studio: over true stems.
        separated: over separated ones.
    """

    studio: tuple[float, float]
    separated: tuple[float, float]


@cache
def ranges() -> dict[str, Ranges]:
    """Return the ranges of every cue, as ``python -m training.ranges`` wrote them from a corpus."""
    text = resources.files("provenance.evidence").joinpath("ranges.json").read_text(encoding="utf-8")
    return {
        name: Ranges(tuple(found["studio"]), tuple(found["separated"]))
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
    in_studio = known.studio[0] <= value <= known.studio[1]
    in_separated = known.separated[0] <= value <= known.separated[1]
    if in_studio and in_separated:
        return "usual in both"
    if in_studio:
        return "usual in studio stems, rare in separated ones"
    if in_separated:
        return "usual in separated stems, rare in studio ones"
    return "rare in both"
