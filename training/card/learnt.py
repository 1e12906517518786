"""What a model learnt from, gathered for ``evaluation.json`` and shown in the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.catalogue import Clip
from training.examples import Recipe
from training.separators import script

UNNAMED = "unnamed"
"""Stands for the repository of clips that name none."""


def sources(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Return what was trained on: repository, commit, licence and number of clips of each origin.

    Args:
        clips: the catalogue.
    """
    counts: Counter[tuple[str, str, str, str]] = Counter(
        (c.repo or UNNAMED, c.commit, c.licence or "not stated", c.origin) for c in clips
    )
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for (repo, commit, licence, origin), n in sorted(counts.items()):
        row = rows.setdefault(
            (repo, commit, licence),
            {"repository": repo, "commit": commit, "licence": licence, "n_studio": 0, "n_separated": 0},
        )
        row[f"n_{origin}"] += n
    return list(rows.values())


def separators(recipe: Recipe) -> list[dict[str, str]]:
    """Return the separators in Python files that negatives were made with, and where their weights come from.

    Args:
        recipe: of the rows.
    """
    rows = []
    of_mixes = (*recipe.whole_names, recipe.remask_name, *recipe.drawn_names)
    wholes = [name for name in of_mixes if name and name not in recipe.demucs_models]
    for name in dict.fromkeys((*recipe.script_names, *wholes)):
        found = script.load(Path(recipe.scripts) / f"{name}.py")
        rows.append({"name": name, "family": found.family.name, **found.source})
    return rows


def show_taken_over(evaluation: dict[str, Any]) -> str:
    """Return which heads are another model's and which were changed since the fit, in sentences; nothing of a lone fit.

    Args:
        evaluation: content of ``evaluation.json``.
    """
    line = evaluation.get("line_taken_off")
    regated = " The head of gates was fitted anew after that, as below." if "regated" in evaluation else ""
    return _heads(evaluation.get("refitted"), evaluation.get("carried"), line is not None) + _off_line(line) + regated


def _heads(record: dict[str, Any] | None, carried: dict[str, Any] | None, off_line: bool) -> str:
    if carried:
        return (
            f" Its heads of {' and '.join(carried['heads'])} are those of `{carried['from']}`, taken over by "
            "`python -m training.carry` with their figures"
            + (", as `training.refit` had fitted them there." if record else ".")
        )
    if not record:
        return ""
    return (
        f" Its heads of {' and '.join(record['heads'])} were fitted anew by `python -m training.refit`; all others "
        f"{'but SDR ' if off_line else ''}are those of `{record['from']}`, bit for bit, and their figures were "
        "measured with it."
    )


def _off_line(line: dict[str, float] | None) -> str:
    if not line:
        return ""
    return (
        f" Estimates of SDR were laid on a line when it was fitted (times {line['slope']:.3f}, "
        f"{line['intercept_db']:+.2f} dB); `python -m training.intervals` took it off and put the figures of SDR over "
        "several deals here, for which the head was fitted anew each time."
    )


def show_learnt(evaluation: dict[str, Any]) -> list[str]:
    """Return what the model learnt from: kinds of rows, networks from elsewhere, separators of others, repositories.

    Args:
        evaluation: content of ``evaluation.json``.
    """
    listed = evaluation["sources"]
    n = len({s["repository"] for s in listed})
    return [
        "Studio stems as they are, through the common chain of gain, filters, codecs and noise, and through effects; "
        f"real extractions found with their true stems or alone{_made(evaluation['rows'])}. True stems are learnt from "
        "in sums too: instrumentals, beside what is left of them when the voice is taken out, and whole mixes."
        + (" Drum stems are also programmed from single hits." if "processed/studio" in evaluation["rows"] else ""),
        "",
        *_rows(evaluation["rows"]),
        *_refitted(evaluation.get("refitted")),
        *_networks(evaluation.get("networks", {}), evaluation["training"]),
        *_separators(evaluation.get("separators", [])),
        f"{sum(s['n_studio'] + s['n_separated'] for s in listed)} clips from {n} repositor{'y' if n == 1 else 'ies'}:",
        "",
        "| repository | commit | licence | studio | separated |",
        "|---|---|---|---:|---:|",
        *(
            f"| {s['repository']} | `{s['commit'][:12]}` | {s['licence'].replace('|', '/')} | {s['n_studio']} "
            f"| {s['n_separated']} |"
            for s in listed
        ),
    ]


_MAKERS = {
    "demucs": "the demucs package",
    "network": "small separators of the known architectures that were trained here",
    "classical": "librosa's repetition similarity and harmonic/percussive separation",
    "whole": "separators of others on whole mixes",
    "surrogate": "surrogates (corrupted masks and bleed)",
}


def _made(rows: dict[str, int]) -> str:
    """Who made extractions for training, of whom rows are there."""
    makers = [text for kind, text in _MAKERS.items() if rows.get(f"{kind}/separated")]
    return "; extractions made for training by " + _in_words(makers) if makers else ""


def _in_words(names: list[str]) -> str:
    """Names with commas and an ``and``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _rows(rows: dict[str, int]) -> list[str]:
    return ["| rows | number |", "|---|---:|", *(f"| {kind} | {n} |" for kind, n in rows.items()), ""]


def _refitted(record: dict[str, Any] | None) -> list[str]:
    if not record:
        return []
    return [
        f"The heads of {', '.join(record['heads'][:-1])} and {record['heads'][-1]} learnt from other rows: "
        f"{record['n_clips']} studio stems of "
        f"known processing, {record['n_dry']} of them dry, from {record['n_repositories']} repositories of the list "
        "below, as they are, through the common chain, through chains of effects where they are dry, and after a "
        "separation.",
        "",
        *_rows(record["rows"]),
    ]


def _networks(record: dict[str, Any], training: dict[str, Any]) -> list[str]:
    if not record:
        return []
    begun = f"The networks began as those of `{record['from']}`. " if "from" in record else ""
    first = (
        f"{begun}{'These' if begun else 'The networks'} were fitted by `training.nets` on one {record['device']}: "
        f"{record['steps'][0]} steps of {record['batch']} units in {record['minutes']:g} minutes, from "
        f"{record['n_rows']} rows in up to {record['passes']} passes over the clips, the trees from the rows above."
        if "device" in record
        else f"{begun}The trees were fitted from the rows above."
    )
    lines = [first, ""]
    if on := record.get("further"):
        rounds = ", then ".join(f"{o['steps']} steps of {o['batch']} units from {o['n_rows']} rows" for o in on)
        start = on[-1].get("share_of_start")
        between = f"; what ships lies between, with {start:.0%} of the weights they began with" if start else ""
        lines[1:1] = [f"They were then fitted on for {rounds}{between}."]
    if record.get("taken"):
        judge = training["network"]
        lines[-1:-1] = [
            "What ships are these, from an earlier model; the figures above come from networks of the folds that had "
            f"only {judge['n_steps'] * sum(judge['cycles'])} steps of {judge['batch']} units, and know less than they.",
        ]
    return lines


def _separators(rows: Sequence[dict[str, str]]) -> list[str]:
    if not rows:
        return []
    return [
        "Separators of others, run on mixes of true stems; neither their code nor their weights are in this project:",
        "",
        "| separator | family | repository | commit | licence |",
        "|---|---|---|---|---|",
        *(
            f"| {s['name']} | {s['family']} | {s.get('repository', 'not stated')} | `{s.get('commit', '')[:12]}` "
            f"| {s.get('licence', 'not stated')} |"
            for s in rows
        ),
        "",
    ]
