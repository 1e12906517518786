"""The explanation as a page: one HTML file that needs no network, and a picture."""

from __future__ import annotations

import base64
from html import escape
from importlib import resources

import numpy as np

from provenance import flat
from provenance.audio import SAMPLE_RATE_HZ
from provenance.decide import raised_from
from provenance.evidence.conclude import leaning
from provenance.explain import Explained, Explanation
from provenance.explain.picture import Image, outline, paint, to_png
from provenance.explain.tiles import N_BANDS
from provenance.verdict import REASONS, Cue, Verdict

MARK_COLOUR = (0, 255, 230)
_FACTS = {
    "separated": "extracted from a mix",
    "studio": "recorded to its own track",
    "undecided": "not sure enough either way",
}


def render(explanation: Explanation, name: str) -> str:
    """Return the page.

    Args:
        explanation: what to show.
        name: of the file, as the title.
    """
    verdict = explanation.verdict
    name = flat.printable(name)
    sections = [
        _verdict(verdict, name),
        _overview(explanation),
        *(_window(window, explanation.towards) for window in explanation.windows),
        _cues(verdict),
        _footer(verdict),
    ]
    style = resources.files("provenance.explain").joinpath("page.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(name)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n" + "\n".join(sections) + "\n</main>\n</body>\n</html>\n"
    )


def picture(explanation: Explanation) -> bytes:
    """Return the spectrogram of the whole file as PNG, the tiles that moved the verdict outlined.

    Args:
        explanation: what to show.
    """
    image = paint(explanation.picture_db)
    image = np.repeat(np.repeat(image, max(1, 1000 // image.shape[1]), axis=1), 2, axis=0)
    total = max(explanation.verdict.audio.duration_s, 1e-3)
    for window in explanation.windows:
        _outline_tiles(image, window, window.start_s / total, window.end_s / total)
    return to_png(image)


def _outline_tiles(image: Image, window: Explained, left: float, right: float) -> None:
    marked = window.marks.marked
    width = (right - left) / marked.shape[0]
    for span, band in np.argwhere(marked):
        x = left + span * width
        outline(image, x, x + width, band / N_BANDS, (band + 1) / N_BANDS, MARK_COLOUR)


def _inline(png: bytes, alt: str, marks: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<div class=marked><img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
        f'<svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden=true>{marks}</svg></div>'
    )


def _mark_tiles(window: Explained, left: float, right: float) -> str:
    width, height = (right - left) / window.marks.marked.shape[0], 1 / N_BANDS
    return "".join(
        f'<rect x="{left + span * width:.5f}" y="{1 - (band + 1) * height:.5f}" '
        f'width="{width:.5f}" height="{height:.5f}"/>'
        for span, band in np.argwhere(window.marks.marked)
    )


def _verdict(verdict: Verdict, name: str) -> str:
    rows = [
        ("origin", f"<b class={verdict.origin}>{verdict.origin}</b>, {_FACTS[verdict.origin]}"),
        (
            "calibrated probability of extraction",
            f"{_number(verdict.p_separated)}<small>, for a set half of which is extracted</small>",
        ),
        *_raised(verdict),
        ("confidence", _number(verdict.confidence)),
        ("nearest family", escape(verdict.family or "not stated by this model for this stem")),
        ("processing", verdict.processing),
        ("reasons", "; ".join(f"{escape(code)}: {escape(REASONS[code])}" for code in verdict.reasons) or "none"),
        ("read", f"{verdict.audio.duration_s:.1f} s, {verdict.audio.sample_rate_hz} Hz, {escape(verdict.audio.codec)}"),
    ]
    if verdict.sdr_ceiling_db:
        sdr = verdict.sdr_ceiling_db
        rows.insert(-4, ("SDR ceiling", f"{sdr.estimate:.1f} dB ({sdr.low:.1f} to {sdr.high:.1f})"))
    body = "".join(f"<tr><th scope=row>{key}</th><td>{value}</td></tr>" for key, value in rows)
    return f"<h1>{escape(name)}</h1>\n<table class=facts>{body}</table>"


def _raised(verdict: Verdict) -> list[tuple[str, str]]:
    """Tell what the timeline comes to where a cue of the whole file had a part in the probability."""
    alone = raised_from(verdict.p_separated, (s.p_separated for s in verdict.segments))
    if alone is None:
        return []
    return [("of the windows alone", f"{_number(alone)}<small>, raised by the cue cycles: see Evidence</small>")]


def _overview(explanation: Explanation) -> str:
    verdict = explanation.verdict
    total = max(verdict.audio.duration_s, 1e-3)
    bars = []
    for s in verdict.segments:
        x, width = 1000 * s.start_s / total, 1000 * (s.end_s - s.start_s) / total
        if s.p_separated is None:
            bars.append(f'<rect class=silent x="{x:.1f}" y="0" width="{width:.1f}" height="60"/>')
            continue
        height = 60 * s.p_separated
        bars.append(
            f'<rect class=p x="{x:.1f}" y="{60 - height:.1f}" width="{width:.1f}" height="{max(height, 0.5):.1f}">'
            f"<title>{_span(s.start_s, s.end_s)}: p separated {_number(s.p_separated)}</title></rect>"
        )
    for limit in (verdict.thresholds.separated, verdict.thresholds.studio):
        bars.append(f'<line class=limit x1="0" x2="1000" y1="{60 - 60 * limit:.1f}" y2="{60 - 60 * limit:.1f}"/>')
    for splice in explanation.splices_s:
        bars.append(f'<line class=splice x1="{1000 * splice / total:.1f}" x2="{1000 * splice / total:.1f}" y2="60"/>')
    marks = "".join(_mark_tiles(w, w.start_s / total, w.end_s / total) for w in explanation.windows)
    said = ", ".join(f"{s:.1f} s" for s in explanation.splices_s)
    splices = f"The timeline changes sides at {said}." if said else "No change of sides along the timeline."
    return (
        "<h2>Spectrogram and timeline</h2>\n"
        f"<figure>{_inline(to_png(paint(explanation.picture_db)), 'spectrogram of the whole file', marks)}"
        '<svg viewBox="0 0 1000 60" preserveAspectRatio="none" class=timeline role=img '
        f'aria-label="probability of extraction along the file">{"".join(bars)}</svg>'
        f"<figcaption>0 to 22.05 kHz, {total:.1f} s. Outlined: tiles that moved the verdict. Below: probability of "
        f"extraction of each window, with the two thresholds. {splices}</figcaption></figure>"
    )


def _window(window: Explained, towards: str) -> str:
    drawn = _inline(to_png(paint(window.picture_db)), "spectrogram of the window", _mark_tiles(window, 0.0, 1.0))
    marks = window.marks
    sign = -1 if towards == "studio" else 1
    spans, bands = marks.moves.shape
    worst = max(float(np.abs(marks.moves).max()), 1e-9)
    cells = "".join(
        f'<rect x="{span}" y="{bands - 1 - band}" width="1" height="1" '
        f"class={'for' if marks.moves[span, band] * sign > 0 else 'against'} "
        f'opacity="{abs(marks.moves[span, band]) / worst:.2f}"/>'
        for span in range(spans)
        for band in range(bands)
    )
    if marks.marked.any():
        outlined = f"Outlined: the tenth of the spectrogram that speaks loudest for <b>{towards}</b>."
        said = (
            f"Silencing the marked tenth moves the model's uncalibrated log odds by {-marks.marked_drop:+.2f}, from "
            f"{marks.logit:.2f} to {marks.logit - marks.marked_drop:.2f}; a random tenth moves them by "
            f"{-marks.random_drop:+.2f}."
        )
    else:
        outlined = "Nothing is outlined."
        said = (
            f"No tile moves the model's uncalibrated log odds of {marks.logit:.2f}: they are held at the line to "
            "<b>separated</b>, since what was done to the sound (noise reduction, a heavy rework) leaves what a "
            "separator leaves."
        )
    return (
        f"<h2>{_span(window.start_s, window.end_s)}</h2>\n<div class=pair><figure>{drawn}<figcaption>{outlined}"
        f'</figcaption></figure><figure><svg viewBox="0 0 {spans} {bands}" preserveAspectRatio="none" class=moves '
        f'role=img aria-label="what silencing each tile alone does">{cells}</svg><figcaption>What silencing each tile '
        f"alone does: orange speaks for {towards}, blue against it.</figcaption></figure></div><p>{said} These are raw "
        "outputs of the model for this window before calibration: no probability follows from them, and they are not "
        "on the scale of those above.</p>"
    )


def _cues(verdict: Verdict) -> str:
    rows = "".join(_cue(cue) for cue in verdict.evidence or ())
    if not rows:
        return "<h2>Evidence</h2><p>No evidence was measured.</p>"
    leans = [leaning(cue.suggests) for cue in verdict.evidence or ()]
    return (
        f"<h2>Evidence</h2>\n<p>{leans.count('separated')} cues lean to separated, {leans.count('studio')} to studio, "
        f"{leans.count('')} to neither. Of any stem one cue in ten, or more, lies outside the range of its own kind."
        "</p>\n"
        "<table class=cues><tr><th scope=col>cue</th><th scope=col>value</th><th scope=col>among labelled stems</th>"
        f"<th scope=col>what it suggests</th></tr>{rows}</table>"
        "<p>Bars: 5th to 95th percentile over true stems (green) and over separated ones (red) of the corpus; "
        "the line across them is this file.</p>"
    )


def _cue(cue: Cue) -> str:
    value = "not measured" if cue.value is None else f"{cue.value:g} {escape(cue.unit)}"
    return (
        f"<tr class='{leaning(cue.suggests)}'><td>{escape(cue.cue.replace('_', ' '))}</td><td class=value>{value}</td>"
        f"<td>{_bars(cue)}</td><td>{escape(cue.suggests)}</td></tr>"
    )


def _bars(cue: Cue) -> str:
    if cue.studio_range is None or cue.separated_range is None:
        return ""
    ends = [*cue.studio_range, *cue.separated_range, *([] if cue.value is None else [cue.value])]
    low, high = min(ends), max(ends)
    scale = 200 / (high - low) if high > low else 0.0
    parts = []
    for y, name, (a, b) in ((2, "studio", cue.studio_range), (12, "separated", cue.separated_range)):
        parts.append(
            f'<rect class={name} x="{(a - low) * scale:.1f}" y="{y}" width="{max((b - a) * scale, 1):.1f}" height="7">'
            f"<title>{name}: {a:g} to {b:g} {escape(cue.unit)}</title></rect>"
        )
    if cue.value is not None:
        x = (cue.value - low) * scale
        parts.append(f'<line class=here x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="21"/>')
    return f'<svg viewBox="-2 0 204 21" class=range role=img aria-label="ranges">{"".join(parts)}</svg>'


def _footer(verdict: Verdict) -> str:
    limits = verdict.thresholds
    return (
        f"<footer>Model {escape(verdict.model)}; separated from {limits.separated:g}, studio up to {limits.studio:g}; "
        f"judged at {SAMPLE_RATE_HZ} Hz. A cue is a sign, not a proof: the verdict comes from the model, and is "
        "evidence about a signal, never proof about a person.</footer>"
    )


def _number(value: float | None) -> str:
    """A probability, none of which is certain, however near it lies to 0 or 1."""
    if value is None:
        return "none"
    return "over 0.999" if value > 0.999 else "under 0.001" if value < 0.001 else f"{value:.3f}"


def _span(start_s: float, end_s: float) -> str:
    return f"{start_s:.1f} to {end_s:.1f} s"
