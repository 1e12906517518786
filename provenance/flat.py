"""A verdict, or why there is none, as one row of a table: the columns of ``score --format csv`` and of an audit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from provenance.errors import UnreadableAudio
from provenance.evidence import CUES
from provenance.model import EFFECTS
from provenance.suitability import USES
from provenance.verdict import Verdict

NESTED: dict[str, tuple[str, ...]] = {
    "suitable_for": USES,
    "effects": EFFECTS,
    "effect_strengths": EFFECTS,
    "evidence": tuple(cue.NAME for cue in CUES),
}
"""Columns that hold several values, each with the names of what is in it."""
WORDS: dict[str, str] = {
    "path": "as given, or found in a folder",
    "status": "`ok`, `error` or, in an audit, `crashed`; only with `ok` is there a verdict",
    "error_code": "why there is none",
    "error_found": "what was found in the file",
    "error_needed": "what is needed instead",
    "verdict_status": "`ok`, or why what was read is not judged: `silent`, `too_short`, `band_limited`",
    "origin": "`studio`, `separated` or `undecided`",
    "p_separated": "probability of extraction",
    "confidence": "probability of the likelier side, also where it is not stated",
    "family": "kind of separator",
    "sdr_db": "estimated ceiling of a separated stem (`sdr_ceiling_db.estimate` in JSON)",
    "sdr_low_db": "low end of its interval",
    "sdr_high_db": "high end of its interval",
    "processing": "`dry`, `hybrid`, `wet` or `undecided`",
    "p_dry": "probability of dry (`p_processing.dry` in JSON)",
    "p_hybrid": "of hybrid",
    "p_wet": "of wet",
    "layers": "one performance or several",
    "reasons": "codes, parted by spaces",
    "suitable_for": "`yes`, `no`, `needs_pair` or `unknown` for each use, by origin and processing alone",
    "effects": "probability of each effect",
    "effect_strengths": "of each effect, where it can be told",
    "evidence": "value of each cue, in the unit that the JSON names",
    "duration_s": "length",
    "sample_rate_hz": "of the file",
    "n_channels": "of the file",
    "codec": "container and coding",
    "n_windows": "windows scored",
    "n_silent": "windows set aside: silent, or 40 dB and more below the loudest",
    "model": "name and checksum",
}
"""The columns of a row, in their order, and what they hold; those of :data:`NESTED` are several."""
_RUN = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""How a cell begins that a spreadsheet runs as a formula, or what :func:`guard` made of one (OWASP, CSV injection)."""
_HARMLESS = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]+)?|-")


def name_columns(names: Iterable[str]) -> list[str]:
    """Return the columns of a flat table.

    Args:
        names: of columns, as in :data:`WORDS`; one of :data:`NESTED` becomes several, ``effects.reverb`` among them.

    >>> name_columns(["origin", "effects"])[:2]
    ['origin', 'effects.reverb']
    """
    return [column for name in names for column in _columns_of(name)]


def of_verdict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict under the names of :data:`WORDS`, with what is nested still so.

    Args:
        verdict: on a file.
    """
    sdr, p, audio = verdict.sdr_ceiling_db, verdict.p_processing or {}, verdict.audio
    strengths = verdict.effect_strengths or {}
    return {
        "status": "ok",
        "verdict_status": verdict.status,
        "origin": verdict.origin,
        "p_separated": verdict.p_separated,
        "confidence": verdict.confidence,
        "family": verdict.family,
        "sdr_db": sdr and sdr.estimate,
        "sdr_low_db": sdr and sdr.low,
        "sdr_high_db": sdr and sdr.high,
        "processing": verdict.processing,
        "p_dry": p.get("dry"),
        "p_hybrid": p.get("hybrid"),
        "p_wet": p.get("wet"),
        "layers": verdict.layers,
        "reasons": list(verdict.reasons),
        "suitable_for": {fit.use: fit.suitable for fit in verdict.suitable_for},
        "evidence": None
        if verdict.evidence is None
        else [{"cue": c.cue, "value": c.value, "unit": c.unit, "suggests": c.suggests} for c in verdict.evidence],
        "effects": None
        if verdict.effects is None
        else [{"effect": name, "p": p, "strength": strengths.get(name)} for name, p in sorted(verdict.effects.items())],
        "duration_s": audio.duration_s,
        "sample_rate_hz": audio.sample_rate_hz,
        "n_channels": audio.n_channels,
        "codec": audio.codec,
        "n_windows": audio.n_windows,
        "n_silent": audio.n_silent,
        "model": verdict.model,
    }


def of_error(error: Exception) -> dict[str, Any]:
    """Return why there is no verdict, under the names of :data:`WORDS`.

    Args:
        error: that reading or scoring raised.
    """
    if isinstance(error, UnreadableAudio):
        code, found, needed = error.code, error.found, error.needed
    else:
        code, found, needed = "internal", f"{type(error).__name__}: {error}", "a report of this error to the project"
    return {"status": "error", "error_code": code, "error_found": found, "error_needed": needed}


def spread(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with one value a column: text, a number, a truth or None.

    Args:
        row: of :func:`of_verdict` or :func:`of_error`, or of an audit's part; ``reasons`` becomes text.

    >>> spread({"origin": "studio", "reasons": ["lossy", "clipped"], "suitable_for": {"karaoke": "yes"}})
    {'origin': 'studio', 'reasons': 'lossy clipped', 'suitable_for.karaoke': 'yes'}
    """
    out: dict[str, Any] = {}
    for name, value in row.items():
        if name == "reasons":
            out[name] = None if value is None else " ".join(value)
        elif name == "suitable_for":
            out.update({f"{name}.{use}": fit for use, fit in (value or {}).items()})
        elif name == "effects":
            out.update({f"effects.{e['effect']}": e["p"] for e in value or ()})
            out.update({f"effect_strengths.{e['effect']}": e.get("strength") for e in value or ()})
        elif name == "evidence":
            out.update({f"{name}.{cue['cue']}": cue["value"] for cue in value or ()})
        else:
            out[name] = value
    return out


def to_utf8(text: str) -> str:
    """Return text with what is no UTF-8 of a file's name written out, as a file of UTF-8 can hold it.

    Args:
        text: a path, perhaps with surrogates.

    >>> to_utf8("latin-\\udce9.wav")
    'latin-\\\\udce9.wav'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def guard(text: str) -> str:
    """Return a cell of CSV that no spreadsheet runs as a formula: an apostrophe stands before what it would run.

    Args:
        text: of the cell; numbers and a lone dash stay.

    >>> guard("=HYPERLINK(0)"), guard("'=1"), guard("-3.5"), guard("a song")
    ("'=HYPERLINK(0)", "''=1", '-3.5', 'a song')
    """
    return f"'{text}" if _RUN.match(text) and not _HARMLESS.fullmatch(text) else text


def unguard(text: str) -> str:
    """Return what a cell of CSV held before :func:`guard`.

    Args:
        text: of the cell.

    >>> [unguard(guard(text)) for text in ("=1", "'=1", "-3.5", "'tis", "@x")]
    ['=1', "'=1", '-3.5', "'tis", '@x']
    """
    return text[1:] if text.startswith("'") and _RUN.match(text) else text


def to_csv(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as CSV has it: texts guarded, and a path that would be run with its folder, so that it stays one.

    Args:
        row: one value a column.

    >>> to_csv({"path": "=1.wav", "song": "=1", "clean": True, "sdr_db": -1.5})
    {'path': './=1.wav', 'song': "'=1", 'clean': 'true', 'sdr_db': -1.5}
    """
    out: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, bool):
            out[name] = str(value).lower()
        elif not isinstance(value, str):
            out[name] = value
        elif name == "path":
            out[name] = f"./{value}" if guard(value) != value and not value.startswith("'") else value
        else:
            out[name] = guard(value)
    return out


def probability(p: float | None) -> str:
    """Return a probability as a table prints it, to two places; none is printed as certain.

    Args:
        p: 0 to 1, or None of what was not judged.

    >>> probability(0.934), probability(0.9998), probability(0.0), probability(None)
    ('0.93', '>0.99', '<0.01', '')
    """
    if p is None:
        return ""
    return ">0.99" if p >= 0.995 else "<0.01" if p < 0.005 else f"{p:.2f}"


def printable(text: str) -> str:
    """Return text as a terminal may be given it: on one line, and with nothing in it that steers the terminal.

    Args:
        text: a path, perhaps with control characters and surrogates.

    >>> printable("red\\x1b[31m.wav")
    'red\\\\x1b[31m.wav'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in to_utf8(text))


def _columns_of(name: str) -> list[str]:
    return [f"{name}.{part}" for part in NESTED[name]] if name in NESTED else [name]
