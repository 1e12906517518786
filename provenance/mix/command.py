"""The command ``stem-provenance against``."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from provenance import flat
from provenance.errors import UnreadableAudio
from provenance.mix import MixReport, against
from provenance.options import ORIGINS, ReportFormat, parse_findings
from provenance.table import console_of


def command(
    mix: Annotated[str, typer.Argument(help="The mix the stems claim to come from.")],
    stems: Annotated[list[str], typer.Argument(help="One stem, or all stems of the song, each sound once.")],
    output: Annotated[ReportFormat, typer.Option("--format", help="How to print the report.")] = ReportFormat.table,
    fail_on: Annotated[
        list[str] | None, typer.Option(help=f"Exit with 1 if a stem is one of: {', '.join(ORIGINS)}.")
    ] = None,
) -> None:
    """Measure stems against their mix: aligned, filtered, and bin by bin.

    The mix is named first, then stems of it. Origin and p_separated are told
    by the mix alone, without the model: another measure than that of `score`,
    and the two may differ. Microphones that hear one another leave much of
    what a separator leaves.
    """
    findings = parse_findings(fail_on or [], ORIGINS)
    try:
        report = against(mix, stems)
    except UnreadableAudio as error:
        print(flat.printable(str(error)), file=sys.stderr)
        raise typer.Exit(2) from None
    if output is ReportFormat.json:
        print(json.dumps(dataclasses.asdict(report), indent=2))
    else:
        _print(report)
    if any(stem.origin in findings for stem in report.stems):
        raise typer.Exit(1)


def _print(report: MixReport) -> None:
    console = console_of()
    if not console.is_terminal:
        console = console_of(width=160)
    table = Table()
    for name in ("stem", "origin", "p_separated", "delay", "gain", "phase agreement", "shared overlap", "why"):
        table.add_column(name, overflow="fold")
    for stem in report.stems:
        table.add_row(
            Text(flat.printable(stem.stem)),
            stem.origin,
            flat.probability(stem.p_separated),
            _number(stem.delay_s, "{:.3f} s"),
            _number(stem.gain_db, "{:.1f} dB"),
            _number(stem.signs["phase_agreement"], "{:.2f}"),
            _number(stem.signs["shared_overlap"], "{:.2f}"),
            stem.why,
        )
    console.print(table)
    if report.song is not None:
        song = report.song
        behave = "are unclear" if song.behaves == "unclear" else f"behave like a {song.behaves}"
        told = f"Together the stems {behave}, agreement {song.agreement:.2f}: {flat.printable(song.why)}. " \
               f"Their sum leaves {song.rest_db:.1f} dB of the mix."  # fmt: skip
        console.print(told, markup=False, highlight=False)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
