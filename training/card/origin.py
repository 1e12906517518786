"""The card's figures of the origin: by family and measured SDR, with the clock of blocks, and where it fails."""

from __future__ import annotations

from itertools import product
from typing import Any

from training.card.words import percent

POINTS = ("first", "second", "last")
"""Of the weight of ``cycles``."""
_COLUMNS = (
    "studio", "separated", "AUC", "studio called separated", "studio called studio", "separated called separated",
    "separated called studio",
)  # fmt: skip


def show_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Return figures of sets of files as a table, one row each.

    Args:
        rows: figures of :func:`training.evaluate.figures` by what the row is called.
    """
    out = ["| | " + " | ".join(_COLUMNS) + " |", "|---|" + "---:|" * len(_COLUMNS)]
    for name, v in rows.items():
        area = "" if v["auc"] is None else f"{v['auc']:.3f}"
        shares = [
            percent(v[f"{origin}_called_{called}"])
            for origin, called in product(("studio", "separated"), ("separated", "studio"))
        ]
        out.append(f"| {name} | {v['n_studio']} | {v['n_separated']} | {area} | " + " | ".join(shares) + " |")
    return out


def show_families(by_family: dict[str, Any]) -> list[str]:
    """Return how extractions of each family are called, as a table.

    Args:
        by_family: figures of :func:`training.evaluate.figures` by family.
    """
    return [
        "| family | extractions | called separated | called studio |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {v['n_separated']} | {percent(v['separated_called_separated'])} "
            f"| {percent(v['separated_called_studio'])} |"
            for name, v in by_family.items()
            if v["n_separated"]
        ),
    ]


def show_by_sdr(rows: list[dict[str, Any]]) -> list[str]:
    """Return how extractions are called by their measured SDR, as a table.

    Args:
        rows: figures of :func:`training.report.origin.by_sdr`.
    """
    return [
        "| SDR in dB | extractions | called separated | called studio |",
        "|---|---:|---:|---:|",
        *(
            f"| {v['from_db']:g} to {v['to_db']:g} | {v['n']} | {percent(v['called_separated'])} "
            f"| {percent(v['called_studio'])} |"
            for v in rows
        ),
    ]


def show_cycles(weight: dict[str, list[float]] | None, figures: dict[str, Any] | None) -> list[str]:
    """Return a section on the clock of blocks; nothing of a model without the cue.

    Args:
        weight: of the cue, as ``config.json`` has it.
        figures: of :func:`training.cycles.judge`.
    """
    if not weight or not figures:
        return []
    return [
        "### The clock of blocks",
        "",
        "The cue `cycles` adds to a file's log odds beside the graph (`python -m training.cycles`): "
        + ", ".join(f"{more:.2f} at {at:.3f}" for at, more in zip(weight["values"], weight["raises"], strict=True))
        + " times chance, in straight lines between. It can only raise them. "
        + (
            "The tables of files are with it, by weights from the other folds."
            if figures.get("in_tables")
            else "**The tables above and below are without it**: it can add to the accused at most the true stems "
            "counted here, and to the caught at most the extractions."
        )
        + " Each file is compared with points that come from other folds; separators teach the cue nothing.",
        "",
        "| | files | beyond the first point | the second | the last |",
        "|---|---:|---:|---:|---:|",
        _beyond("true stems", figures["n_studio"], {k: figures[f"studio_{k}"] for k in POINTS}),
        _beyond("extractions", figures["n_separated"], {k: figures[f"separated_{k}"] for k in POINTS}),
        *(_beyond(f"of them {k}", v["n"], v) for k, v in figures["by_family"].items() if v["first"] >= 0.1),
        "",
    ]


def _beyond(what: str, n: int, shares: dict[str, float]) -> str:
    return f"| {what} | {n} | " + " | ".join(percent(shares[point]) for point in POINTS) + " |"


def show_warnings(figures: dict[str, Any]) -> list[str]:
    """Return where the model is not to be trusted, as a list.

    Args:
        figures: of :func:`training.report.report`.
    """
    caught = figures["unseen"]["separated_called_separated"]
    families = [(v["separated_called_separated"], k) for k, v in figures["by_family"].items() if v["n_separated"] >= 5]
    weak = sorted((share, family) for share, family in families if share <= caught)[:5]
    ranked = [(v["auc"], k) for k, v in figures["by_stem"].items() if v["auc"] is not None]
    stems = sorted(each for each in ranked if each[0] < max(ranked)[0])[:2]
    sets = sorted(
        ((v["studio_called_separated"], k) for k, v in figures["by_set"].items() if v["n_studio"] >= 10), reverse=True
    )[:2]
    lines = [
        "- As the only evidence against a vendor. Read it over a whole dataset, with the intervals above.",
        "- Where an unseen separator is at work, many extractions come out undecided: *undecided is not a clean bill*. "
        + ("Worst caught: " + ", ".join(f"{k} ({percent(v)})" for v, k in weak) + "." if weak else "").strip(),
        "- Stems on which it ranks worst: " + ", ".join(f"{k} (AUC {v:.3f})" for v, k in stems) + "." if stems else "",
        "- Sets of true stems most often accused: " + ", ".join(f"{k} ({percent(v)})" for v, k in sets) + "."
        if sets
        else "",
        "- Sources below 16 kHz are refused; lossy sources are judged on less evidence, and `reasons` says `lossy`.",
        "- Whole mixes, speech and synthetic audio are not what it was made for: `outside_training` catches some of "
        "them, not all; a dense true instrumental is taken for an extraction more often than a single part.",
    ]
    return [line for line in lines if line]
