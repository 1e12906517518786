"""The card's figures of the separation: the SDR ceiling and the kind of separator."""

from __future__ import annotations

from typing import Any

from provenance.bundle import SdrInterval
from training.card.words import percent

_OF_A_BAND = (("mae_db", ".2f"), ("half_width_db", ".1f"), ("covered", ".1%"))


def show_ceiling(described: dict[str, Any], unseen: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """Return how well SDR is told, how wide its interval is, and both by what is estimated.

    Args:
        described: content of ``config.json``.
        unseen, known: figures of :func:`training.report.sdr`, of families not trained on and of others.
    """
    interval = SdrInterval(**described["sdr_interval"])
    widths = ", ".join(f"± {interval.half_width(value):.1f} dB at {value:g} dB" for value in (5.0, 10.0, 15.0))
    return [
        "Families not trained on. " + _errors(unseen),
        "",
        "Families trained on, songs not. " + _errors(known),
        "",
        f"The 90 % interval around an estimate grows with it, as the error does: {widths}; below "
        f"{interval.from_db:.1f} dB it gets no narrower.",
        "",
        *sdr_bands(unseen, known),
    ]


_REDEALT = (
    " Rows were made once, by the first deal: what an example of the others was mixed with may be of a stem that is "
    "held out there, in another role."
)


def _errors(sdr: dict[str, Any]) -> str:
    if "mae_db" not in sdr:
        return f"Only {sdr['n']} extractions have a measured SDR: too few for a figure."
    spread = f" ± {sdr['mae_spread_db']:.2f}" if "deals" in sdr else ""
    others, covered = sdr["mae_of_other_folds_median_db"], sdr["coverage_on_other_folds"]
    bounded = sdr.get("n_bounded", sdr["n"])
    of_those = f" of the {bounded:.0f} for which others fixed one" if round(bounded) < sdr["n"] else ""
    return (
        (f"In the mean of {sdr['deals']} deals of songs and families into folds, on" if spread else "On")
        + f" {sdr['n']} extractions of known SDR: mean absolute error {sdr['mae_db']:.2f}{spread} dB, beside "
        + ("" if others is None else f"{others:.2f} dB for always saying the median of the other folds, ")
        + f"{sdr['mae_of_the_median_db']:.2f} dB for that of these very files; bias {sdr['bias_db']:+.2f} dB; "
        f"correlation {sdr['correlation']:.2f}. "
        + (
            "Too few lie in other folds to fix an interval there."
            if covered is None
            else f"Within the 90 % interval, fixed on unseen families of other folds, lie {percent(covered)}{of_those}."
        )
        + (_REDEALT if spread else "")
    )


def sdr_bands(unseen: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """Return errors and intervals of SDR by what is estimated, as a table in Markdown.

    Args:
        unseen, known: as for :func:`show_ceiling`.
    """
    of_known = {row["from_db"]: row for row in known.get("by_estimate", [])}
    lines = [
        "| estimate | unseen: files of a deal | error | half interval | within "
        "| known: files | error | half | within |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in unseen.get("by_estimate", []):
        cells = [f"{row['from_db']:g} to {row['to_db']:g}"]
        for part in (row, of_known.get(row["from_db"], {})):
            cells += [f"{part['n']:.0f}" if part else "0"]
            cells += ["" if part.get(name) is None else f"{part[name]:{form}}" for name, form in _OF_A_BAND]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def show_kind(kind: dict[str, Any], has_head: bool) -> list[str]:
    """Return how well the kind of separator is told; nothing of a model without that head.

    Args:
        kind: figures of :func:`training.report.separation.kind`.
        has_head: whether the model tells it.
    """
    if not kind:
        missing = "Kind of separator: told, and not judged: the models of the folds had learnt from one kind each."
        return [missing, ""] if has_head else []
    right = "" if kind["right_of_stated"] is None else f", of which {percent(kind['right_of_stated'])} right"
    return [
        f"Kind of separator on {kind['n']} windows of families that were not trained on: "
        f"{percent(kind['accuracy'])} right, beside {percent(kind['most_common'])} for always naming the most "
        f"common; named at all in {percent(kind['stated'])}{right}; the rest is `unknown`.",
        "",
    ]
