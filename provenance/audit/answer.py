"""The answer of an audit in one sentence: what the report has for its headline."""

from __future__ import annotations

import math
from typing import Any

from provenance import listing
from provenance.audit.prevalence import tells


def answer(summary: dict[str, Any]) -> str:
    """Return the share of separated stems in words, and what it leaves out.

    Args:
        summary: with ``files``, ``prevalence``, ``acceptance`` and ``claims``; a file that was judged counts as scored.

    Returns:
        One sentence. Beside a corrected share stands the one that holds even if every extraction was recognised: where
        the model knows the vendor's separators the estimate lies too high.
    """
    files, share = summary["files"], summary["prevalence"]["separated"]
    rest = _rest(files)
    if share["value"] is None:
        return f"Of {listing.count_files(files['n_rows'])}, none could be judged{rest}."
    words = "an estimated" if share["corrected"] else "by the detector's calls alone"
    listed = f" (of {files['n_listed']:,} listed)" if files["n_judged"] < files["n_listed"] else ""
    text = f"Of {listing.count_files(files['n_judged'])} scored{listed}, "
    if is_open(share):
        text += (
            f"{share['called']:,} {'was' if share['called'] == 1 else 'were'} called separated: too few to say what "
            f"share was extracted from mixes, not recorded ({_interval(share, '95 %: ')}{_floor(summary)})"
        )
    else:
        text += (
            f"{words} {_percent(share['value'])} were extracted from mixes, not recorded "
            f"({_interval(share, '95 %: ')}{_floor(summary)})"
        )
    studio = (summary["claims"]["studio"] or {}).get("separated")
    if studio and studio["value"] is not None:
        found = f"{studio['called']:,} called so" if is_open(studio) else _percent(studio["value"])
        text += f"; of the {studio['n']:,} sold as studio recordings, {found} ({_interval(studio)})"
    return f"{text}{rest}."


def is_open(share: dict[str, Any]) -> bool:
    """Return whether what was called contradicts next to no share, so that an estimate would say nothing.

    Args:
        share: of ``prevalence``, with a value.
    """
    return bool(share["fits"] and not tells(share["low"], share["high"]))


def _floor(summary: dict[str, Any]) -> str:
    """Name the share that is reached whatever separated the files, where there is a corrected one beside it."""
    found, share = summary["acceptance"], summary["prevalence"]["separated"]
    if found is None or not share["corrected"] or not share["fits"]:
        return ""
    steps = 1000 if found["at_least"] < 0.1 else 100
    at_least = math.floor(round(steps * found["at_least"], 6)) / steps
    return f"; whatever separated them, at least {_percent(at_least)}" if at_least else ""


def _rest(files: dict[str, Any]) -> str:
    """Name the files of the run that no share is of."""
    unreadable = files["n_error"] + files["n_crashed"]
    out = f"; {listing.count_files(unreadable)} could not be read" if unreadable else ""
    return out + (f"; {listing.count_files(files['n_refused'])} read and not judged" if files["n_refused"] else "")


def _interval(share: dict[str, Any], name: str = "") -> str:
    if not share["fits"]:
        return "no share explains what was called"
    return f"{name}{_percent(share['low'])} to {_percent(share['high'])}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
