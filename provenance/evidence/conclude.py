"""From readings to a cue: the median over the windows, beside the ranges that the corpus gave."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeAlias

import numpy as np

from provenance.evidence.view import Clip
from provenance.verdict import Cue

KEYS = ("studio", "separated", "studio_middle", "separated_middle")
MORE = 1.25
"""How much denser one class lies at a value, before it is called more usual there than the other."""
CLEARLY = 2.5
"""How many times as much of one class lies beyond an end of the other's range, before that is called usual of it."""
TELLS_FROM = {"cycles": 1.0}
"""Below it a cue says nothing, wherever the ranges end: no clock that is no more than chance is an artefact."""
_Quantiles: TypeAlias = tuple[float, float, float, float]
_SHARES = (0.05, 0.25, 0.75, 0.95)
"""Of a class, up to each of its quantiles."""
_EDGE_SHARE = _SHARES[0]


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
    return {
        name: Ranges(*((low, high) for low, high in (found[key] for key in KEYS)))
        for name, found in _file()["cues"].items()
    }


def measured_on() -> dict[str, int]:
    """Return how many true stems (``studio``) and extractions (``separated``) the ranges were measured on."""
    return {str(origin): int(n) for origin, n in _file()["clips"].items()}


def _file() -> dict[str, Any]:
    text = resources.files("provenance.evidence").joinpath("ranges.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


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
    place = "usual in both" if value < TELLS_FROM.get(name, -np.inf) else _place(value, known)
    return Cue(name, value, unit, f"{place}; {note(value)}", studio, separated)


def leaning(suggests: str) -> Literal["separated", "studio", ""]:
    """Return what a cue leans to: where its value is at home, and less so or not at all in the other kind of stem.

    Args:
        suggests: of a cue.
    """
    for origin in ("separated", "studio"):
        if suggests.startswith((f"usual in {origin} stems", f"more usual in {origin} stems")):
            return origin
    return ""


def _place(value: float, known: Ranges | None) -> str:
    if known is None:
        return "no reference ranges"
    studio, separated = (_ends(known.studio, known.studio_middle), _ends(known.separated, known.separated_middle))
    in_studio, in_separated = (ends[0] <= value <= ends[-1] for ends in (studio, separated))
    if in_studio != in_separated:
        home, away = (studio, separated) if in_studio else (separated, studio)
        if _share_outside(home, away, value) < CLEARLY * _EDGE_SHARE:
            return "near the end of both ranges"
        return f"usual in {'studio stems, rare in separated' if in_studio else 'separated stems, rare in studio'} ones"
    if not in_studio:
        return "rare in both"
    of_studio, of_separated = _density(value, studio), _density(value, separated)
    if _is_middle(value, studio) and not _is_middle(value, separated) and of_studio >= MORE * of_separated:
        return "more usual in studio stems than in separated ones"
    if _is_middle(value, separated) and not _is_middle(value, studio) and of_separated >= MORE * of_studio:
        return "more usual in separated stems than in studio ones"
    return "usual in both"


def _ends(outer: tuple[float, float], middle: tuple[float, float]) -> _Quantiles:
    return outer[0], middle[0], middle[1], outer[1]


def _is_middle(value: float, ends: _Quantiles) -> bool:
    return ends[1] <= value <= ends[2]


def _density(value: float, ends: _Quantiles) -> float:
    """Return how many stems there are for each unit of a value, had each part between quantiles an even filling."""
    found = 0.0
    for low, high, share in zip(ends[:-1], ends[1:], np.diff(_SHARES), strict=True):
        if low <= value <= high:
            found = max(found, float(share) / (high - low) if high > low else np.inf)
    return found


def _share_outside(home: _Quantiles, away: _Quantiles, value: float) -> float:
    """Return the share of the home class on that side of the other's range where the value lies."""
    if value > away[-1]:
        return 1 - float(np.interp(away[-1], home, _SHARES))
    return float(np.interp(away[0], home, _SHARES))
