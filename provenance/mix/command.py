"""The command ``stem-provenance against``."""

from __future__ import annotations

import dataclasses
import json
import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from provenance.errors import UnreadableAudio
from provenance.mix import MixReport, against


class Format(StrEnum):
    """How the report is printed."""

    table = "table"
    json = "json"


def command(
    mix: Annotated[str, typer.Argument(help="The mix the stems claim to come from.")],
    stems: Annotated[list[str], typer.Argument(help="One stem, or all stems of the song.")],
    output: Annotated[Format, typer.Option("--format", help="How to print the report.")] = Format.table,
    fail_on: Annotated[
        str | None, typer.Option(help="Exit with 1 if a stem is: separated, undecided or studio.")
    ] = None,
) -> None:
    """Measure stems against their mix: aligned, filtered, and bin by bin."""
    if fail_on not in (None, "separated", "undecided", "studio"):
        raise typer.BadParameter(f"found {fail_on}; needed: separated, undecided or studio", param_hint="--fail-on")
    try:
        report = against(mix, stems)
    except UnreadableAudio as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if output is Format.json:
        print(json.dumps(dataclasses.asdict(report), indent=2))
    else:
        _print(report)
    if any(stem.origin == fail_on for stem in report.stems):
        raise typer.Exit(1)


def _print(report: MixReport) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table()
    for name in ("stem", "origin", "p_separated", "delay", "gain", "phase agreement", "shared overlap", "why"):
        table.add_column(name, overflow="fold")
    for stem in report.stems:
        table.add_row(
            stem.stem,
            stem.origin,
            _number(stem.p_separated, "{:.2f}"),
            _number(stem.delay_s, "{:.3f} s"),
            _number(stem.gain_db, "{:.1f} dB"),
            _number(stem.signs["phase_agreement"], "{:.2f}"),
            _number(stem.signs["shared_overlap"], "{:.2f}"),
            stem.why,
        )
    console.print(table)
    if report.song is not None:
        song = report.song
        console.print(
            f"Together the stems behave like a {song.behaves}: agreement {song.agreement:.2f}, "
            f"what their sum leaves of the mix {song.rest_db:.1f} dB."
            if song.behaves != "unclear"
            else f"Together the stems are unclear: agreement {song.agreement:.2f}."
        )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
