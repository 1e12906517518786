"""Put figures of SDR over several deals into a model: ``python -m training.intervals MODEL DEALS --out MODEL``.

A fit judges the head of SDR on one deal of songs and families into folds, and which families lie in the held-out fold
moves its error by more than anything else. ``training.research.repeat --head sdr`` fits and judges it on several; their
means take the place of the figures, and the interval around an estimate is the mean of theirs. No head is fitted here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from training import export, publish, report
from training.options import told

FIGURES = ("sdr", "sdr_seen_family")


class IntervalError(ValueError):
    """Deals that say nothing of a model: names what was found and what is needed."""


@told(ValueError, KeyError)
def main(
    model: Annotated[Path, typer.Argument(help="The model folder.")],
    deals: Annotated[Path, typer.Argument(help="What `training.research.repeat --head sdr --out` wrote.")],
    out: Annotated[Path, typer.Option(help="The model folder to write; it may be the same.")],
    name: Annotated[
        str, typer.Option("--config", help="Name of the configuration among the deals; the only one, else stem-v1.")
    ] = "",
) -> None:
    """State SDR and its interval by several deals; a line that estimates were laid on is taken off."""
    put(model, deals, out, name)


def put(model: Path, deals: Path, out: Path, name: str) -> None:
    """Write a model folder with the figures of the deals, all of it or nothing.

    Args:
        model: folder.
        deals: JSON Lines of deals.
        out: the folder; it is replaced as a whole once everything is written.
        name: of the configuration among the deals; empty for the only one, or that of the shipped model.

    Raises:
        IntervalError: fewer than two deals are of this configuration, or of another head than the model's.
        training.export.LineError: the graph's head of SDR is not as :func:`training.export.export` writes it.
        OSError: a file is missing.
    """
    described, evaluation = publish.read(model)
    rows = read(deals, name, evaluation["training"]["sdr"])
    with publish.beside(out) as part:
        slope, intercept = export.take_off_line(model / "model.onnx", part / "model.onnx")
        evaluation["figures"] |= {key: report.mean_sdr([row[key] for row in rows]) for key in FIGURES}
        described["sdr_interval"] = evaluation["figures"]["sdr"]["interval"]
        described.pop("sdr_half_width_db", None)
        if slope != 1.0 or intercept:
            evaluation["line_taken_off"] = {"slope": round(slope, 6), "intercept_db": round(intercept, 6)}
        publish.finish(part, out, described, evaluation)


def read(deals: Path, name: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the deals of a configuration, once each.

    Args:
        deals: JSON Lines of deals.
        name: of the configuration; empty for the only one, or that of the shipped model.
        settings: of the model's head.

    Raises:
        IntervalError: as for :func:`put`.
    """
    lines = [json.loads(line) for line in deals.read_text(encoding="utf-8").splitlines()]
    lines = [row for row in lines if row.get("head") == "sdr"]
    names = sorted({str(row["config"]) for row in lines})
    name = name or (names[0] if len(names) == 1 else "stem-v1")
    rows = list({row["deal"]: row for row in lines if row["config"] == name}.values())
    if len(rows) < 2:
        others = f" (others: {', '.join(set(names) - {name})})" if set(names) - {name} else ""
        raise IntervalError(
            f"{deals}: found {len(rows)} deals of {name!r} with --head sdr; needed: two and more{others}"
        )
    differing = sorted({key for row in rows for key in settings if row["settings"].get(key) != settings[key]})
    if differing:
        raise IntervalError(f"{deals}: found another {', '.join(differing)} of the head; needed: the model's settings")
    unjudged = [row["deal"] for row in rows if not all("mae_db" in row[key] for key in FIGURES)]
    if unjudged:
        raise IntervalError(f"{deals}: found fewer than ten files in deal {unjudged[0]}; needed: ten of either kind")
    return rows


if __name__ == "__main__":
    typer.run(main)
