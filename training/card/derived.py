"""The card's figures of what is made out of clips: degradations, sums, and whole mixes parted."""

from __future__ import annotations

from typing import Any

from provenance.model import GATED_FROM
from training.card.origin import show_table
from training.examples import CHAINED
from training.rework import EDITS

_EDITED = {
    "reversed": "played backwards",
    "images": "played from a low rate with its images",
    "steps": "its level ridden in steps",
    "chopped": "quiet passages cut to digital silence",
}


def show_degraded(degraded: dict[str, Any], reworked: dict[str, Any] | None) -> list[str]:
    """Return a table of clips after each degradation, and what the model does about them.

    Args:
        degraded: figures of :func:`training.report.derived.degraded`.
        reworked: those of :func:`training.report.derived.reworked`, with the ``allowance`` where there is one.
    """
    if not degraded:
        return ["Not measured for this model."]
    of_files = "n_windows" in degraded.get("as they are", {})  # a model of before was judged by one window of each
    said = (
        f"Thresholds as above, the first sounding {'windows' if of_files else 'window'} of each clip"
        f"{', as many as of it as it is' if of_files else ''}; pitch shift by a semitone and time stretch go "
        "through a phase vocoder."
    )
    if reworked and "allowance" in reworked:
        told = _told(reworked)
        said += (
            " A head tells windows that were pitched, stretched, put into a room or coded low (held-out AUC "
            f"{told}); where that is certain {reworked['allowance']:.3f} is taken off log odds above the line to "
            "`separated`, before they are calibrated and no further than to the line; nothing at even odds. It "
            "is fitted to held-out clips so reworked, none of the table's."
        )
    return [said, "", *show_table(degraded)]


def show_edited(edited: dict[str, Any]) -> list[str]:
    """Return a section on what an editor or a poor converter does to a stem; nothing where it was not measured.

    Args:
        edited: figures of :func:`training.report.derived.edited`.
    """
    if not edited:
        return []
    shares = ", ".join(f"{_EDITED[name]} ({100 * share:.0f} %)" for name, share in EDITS.items())
    return ["### After edits", "", f"Windows of 4 s, each after one of these, drawn: {shares}; alike for true stems "
            f"and extractions, {CHAINED['edited']:.0%} of them after the common chain too.", "", *show_table(edited),
            ""]  # fmt: skip


def show_denoised(denoised: dict[str, Any], regated: dict[str, Any] | None = None) -> list[str]:
    """Return a section on clips that noise was taken out of; nothing where it was not measured.

    Args:
        denoised: figures of :func:`training.report.derived.denoised`.
        regated: record of :mod:`training.regate`, where the head that tells gates was fitted anew after them.
    """
    if not denoised:
        return []
    said = (
        "Windows of 4 s with noise laid under most of them and taken out again: by gates and subtraction that open and "
        "close each bin of the spectrum by itself, which leaves islands as a separator's mask does, and smoothly from "
        "frame to frame."
    )
    if "auc_studio" in denoised or "auc_separated" in denoised:
        said += (
            f" A head tells the first (held-out AUC {_told(denoised)}): what it is {100 * GATED_FROM:.0f} % sure of is "
            "never called `separated`."
        )
    return ["### After noise reduction", "", said, "", *show_table(denoised["figures"]), "", *_regated(regated)]


def _regated(record: dict[str, Any] | None) -> list[str]:
    if not record:
        return []
    figures = record["figures"]
    before = f" of `{record['before']}`" if record.get("before", record["from"]) != record["from"] else " before"
    told = _told({f"auc_{origin}": value for origin, value in figures["auc"].items()})
    columns = [(origin, when) for origin in ("studio", "separated") for when in ("before", "now")]
    lines = [
        f"| {name} | " + " | ".join(_held(found.get(origin), when) for origin, when in columns) + " |"
        for name, found in figures["held"].items()
    ]
    return [
        f"These figures, and those of files above, are of `{record['from']}`. The head of gates was then fitted anew "
        f"by `python -m training.regate`, on {record['n_clips']} clips of {record['n_repositories']} repositories, "
        "gates of programs that are told the noise, gates that go by a recording's own level, and WMA among its rows; "
        f"nothing else was changed. Held-out AUC {told}. Windows it holds at the line (of songs, repositories and "
        f"families it did not know), beside those that the head{before} holds, which had learnt from some of them:",
        "",
        "| windows | studio, before | studio, now | separated, before | separated, now |",
        "|---|---:|---:|---:|---:|",
        *lines,
        "",
    ]


def _held(found: dict[str, float] | None, when: str) -> str:
    return f"{100 * found[when]:.1f} % of {found['n']}" if found else ""


def _told(found: dict[str, Any]) -> str:
    """How well a head tells what was done, in words."""
    return " and ".join(
        f"{found[f'auc_{origin}']:.3f} on {name}"
        for origin, name in (("studio", "true stems"), ("separated", "extractions"))
        if f"auc_{origin}" in found
    )


def show_sums(sums: dict[str, Any]) -> list[str]:
    """Return a table of sums of true stems.

    Args:
        sums: figures of :func:`training.report.derived.sums`.
    """
    if not sums:
        return ["Not measured for this model."]
    return ["Sums of true stems of one song or of several, windows of 4 s, "
            f"{CHAINED['bundle']:.0%} of them through the common chain. A mix is no stem, but "
            "nothing was extracted from it either.", "", *show_table(sums)]  # fmt: skip


def show_wholes(wholes: dict[str, Any]) -> list[str]:
    """Return a section on whole mixes parted by separators of others; nothing where none was.

    Args:
        wholes: figures of :func:`training.report.derived.wholes`.
    """
    if not wholes:
        return []
    sdr = "; ".join(f"{name} {found['median_sdr_db']:.1f} dB" for name, found in wholes.items())
    return ["### Whole mixes parted by separators of others", "",
            "Estimates out of mixes of unseen songs and the true stems, windows of 4 s, "
            f"{CHAINED['whole']:.0%} of them after the common chain: "
            "judged by models that learnt from other estimates of the family, and by the one that learnt from none. "
            "Masked over: the estimates' magnitudes or complex factors laid over the mix, as Wiener filters do. "
            f"Median SDR: {sdr}.", "", *show_table(wholes), ""]  # fmt: skip
