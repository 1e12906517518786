"""The report: one HTML file that opens offline and can be sent to the vendor."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from provenance.audit import answer, gallery, store

REPORT = "report.html"
_USE_WORDS = {
    "voice_cloning": "Voice cloning",
    "singing_synthesis_research": "Singing synthesis, research",
    "singing_synthesis_production": "Singing synthesis, production",
    "mix_ready_generator": "Mix-ready generator",
    "style_transfer": "Style transfer",
    "effects_chain": "Learned effects chain",
    "karaoke": "Karaoke and backing",
    "emotion_prosody": "Emotion and prosody",
}


def write(out: Path, summary: dict[str, Any], n_gallery: int = 18) -> Path:
    """Write ``report.html`` from a summary.

    Args:
        out: folder of the audit, summed up.
        summary: of :func:`provenance.audit.summary.summarise`.
        n_gallery: files shown with spectrogram and timeline.

    Returns:
        The file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("provenance.audit", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "percent": percent,
        "chance": chance,
        "number": number,
        "short": short,
        "seconds": seconds,
        "dict_with": _with,
    }
    environment.globals |= {"use_words": _USE_WORDS, "is_open": answer.is_open}
    with store.connect(out) as db:
        store.add_findings(db, out)
        shown = gallery.collect(db, n_gallery)
    page = environment.get_template("report.html.j2").render(
        s=summary, gallery=shown, written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    )
    scratch = out / f".{REPORT}.{os.getpid()}"
    scratch.write_text(page, encoding="utf-8")
    os.replace(scratch, out / REPORT)
    return out / REPORT


def percent(share: float | None) -> str:
    """Return a share in words: with a decimal below 10 %.

    Args:
        share: 0..1 or None.
    """
    if share is None:
        return "–"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def chance(share: float | None) -> str:
    """Return a probability that was estimated and is never quite 0 or 1.

    Args:
        share: 0..1 or None.
    """
    if share is None:
        return "–"
    if share < 0.001:
        return "under 0.1 %"
    return "over 99 %" if share > 0.99 else percent(share)


def number(value: float | None) -> str:
    """Return a count with separators, or a figure with two decimals.

    Args:
        value: or None.
    """
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def short(path: str | None, length: int = 64) -> str:
    """Return a path without its middle if it is long.

    Args:
        path: or None.
        length: characters kept.
    """
    text = path or ""
    return text if len(text) <= length else f"{text[: length // 4]}…{text[-(length - length // 4 - 1) :]}"


def seconds(value: float | None) -> str:
    """Return a length of time in the unit that reads best.

    Args:
        value: seconds, or None.
    """
    if value is None:
        return "–"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:,.1f} h"


def _with(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {"called_share": None, **first, **second}
