"""The commands ``stem-provenance audit ...``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from provenance import extras, flat, listing
from provenance.errors import ProvenanceError
from provenance.interrupts import noted_interrupts
from provenance.options import ReportFormat, RowFormat, Windows
from provenance.table import console_of

_LONGEST_S = 365 * 86_400.0
EXIT_FINDING, EXIT_ERROR, EXIT_STOPPED = 1, 2, 130
_SHARE_WORDS = {"separated": "separated", "wet": "stated wet", "undecided": "undecided"}


class _Group(TyperGroup):
    """``audit SOURCE`` runs; ``audit query``, ``audit export`` and ``audit report`` look at what was written."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the hidden command ``run`` before anything that names no command."""
        if not args or args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


audit_app = typer.Typer(cls=_Group, add_completion=False, help="Audit a dataset: one defensible report.")


class EngineChoice(StrEnum):
    """What runs the shards."""

    local = "local"
    ray = "ray"


@audit_app.command(
    hidden=True,
    epilog="Afterwards: 'audit query OUT SQL', 'audit export OUT FILE', 'audit report OUT'.",
)
def run(
    source: Annotated[
        str, typer.Argument(help="Folder, glob, manifest (CSV, Parquet, JSON Lines), tar, s3:// URI, audio dataset.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for rows, summary and report; run again to go on.")],
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
    windows: Annotated[Windows, typer.Option(help="Look at all of a file, or at one window of four.")] = Windows.full,
    column: Annotated[list[str] | None, typer.Option(help="FIELD=NAME for a column, such as song=track.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Score so many files, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random order; one the vendor does not know.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Score the first so many files.")] = None,
    budget: Annotated[str | None, typer.Option(help="Stop after so long, such as 30m; files in random order.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes or tasks; one a core by default.")] = None,
    engine: Annotated[EngineChoice, typer.Option(help="Local processes, or Ray tasks.")] = EngineChoice.local,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster.")] = None,
    file_timeout: Annotated[str, typer.Option(help="A file that takes longer is given up.")] = "10m",
    check: Annotated[
        str, typer.Option(help="How long each check over several files may read audio; longer compares more.")
    ] = "60s",
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help="Exit with 1 on a finding: a kind, a verdict, or separated>0.05 for the interval's low end."),
    ] = None,
    allow_unreadable: Annotated[bool, typer.Option(help="Unreadable files do not make the exit code 2.")] = False,
    output: Annotated[ReportFormat, typer.Option("--format", help="How the sum is printed.")] = ReportFormat.table,
) -> None:
    """Score a dataset, sum it up, and write rows, summary.json and report.html."""
    with _errors():
        from provenance.audit import gate, limits, progress
        from provenance.audit.api import audit
        from provenance.audit.checks import Effort
        from provenance.audit.run import Choice

        conditions = gate.read(fail_on or [])
        choice = Choice(sample, limit, None if budget is None else read_time(budget), seed)
        with noted_interrupts() as interrupts, progress.show(interrupts) as told:
            found = audit(
                source,
                out,
                model=model,
                coverage=windows.value,
                columns=_columns(column or []),
                choice=choice,
                engine=engine.value,
                workers=workers,
                address=address,
                file_timeout_s=_read_timeout(file_timeout),
                effort=Effort.lasting(read_time(check)),
                told=told,
            )
    print(json.dumps(found, indent=1)) if output is ReportFormat.json else _print(found, out)
    if found["files"]["passed"]:
        print(f"{source}: {listing.describe(found['files']['passed'])}", file=sys.stderr)
    if n_gone := found["files"]["n_gone"]:
        print(f"{out}: {listing.count_files(n_gone)} gone or changed since; rows of them are taken out",
              file=sys.stderr)  # fmt: skip
    if n_restated := found["files"]["n_restated"]:
        print(f"{out}: {listing.count_files(n_restated)} claimed otherwise than before; rows say so now",
              file=sys.stderr)  # fmt: skip
    if n_repeated := found["files"]["n_repeated"]:
        print(f"{source}: {n_repeated:,} rows name a file that is named before", file=sys.stderr)
    for text in limits.of_claims(found):
        print(f"{source}: {flat.printable(text)}", file=sys.stderr)
    with _errors():
        hits = gate.check(found, conditions, out)
    for hit in hits:
        print(f"--fail-on: {hit}", file=sys.stderr)
    if not allow_unreadable and found["files"]["n_error"] + found["files"]["n_crashed"]:
        raise typer.Exit(EXIT_ERROR)
    if hits:
        raise typer.Exit(EXIT_FINDING)


@audit_app.command()
def query(
    folder: Annotated[Path, typer.Argument(help="Folder of an audit.")],
    sql: Annotated[str, typer.Argument(help="Over the tables stems and findings.")],
    output: Annotated[RowFormat, typer.Option("--format", help="table, json, jsonl or csv.")] = RowFormat.table,
) -> None:
    """Ask the rows of an audit in SQL, through DuckDB."""
    with _errors():
        from provenance.audit import store

        names, rows = store.query(folder, sql)
    plain = ([None if value != value else value for value in row] for row in rows)  # of NaN JSON has no word
    records = [dict(zip(names, row, strict=True)) for row in plain]
    if output is RowFormat.json:
        print(json.dumps(records, indent=1, default=str))
    elif output is RowFormat.jsonl:
        for record in records:
            print(json.dumps(record, default=str))
    elif output is RowFormat.csv:
        import csv

        table = csv.writer(sys.stdout)
        table.writerow(names)
        table.writerows([flat.guard(value) if isinstance(value, str) else value for value in row] for row in rows)
    else:
        _print_rows(names, rows)


@audit_app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder of an audit.")],
    file: Annotated[Path, typer.Argument(help="Manifest to write: .csv, .jsonl or .parquet.")],
    use: Annotated[str | None, typer.Option(help="Only stems that suit this use, such as voice_cloning.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every file, one row each; --use then narrows what counts as clean.")
    ] = False,
) -> None:
    """Write the clean subset as a manifest: studio stems that nothing was found against; or, with --all, every file."""
    with _errors():
        from provenance.audit import export as table
        from provenance.suitability import USES

        if use is not None and use not in USES:
            raise typer.BadParameter(f"found {use}; needed: {', '.join(USES)}", param_hint="--use")
        n = (table.export_all if every else table.export_clean)(folder, file, use)
    print(f"{file}: {listing.count_files(n)}" if every else f"{file}: {n} stems")


@audit_app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of an audit.")],
    model: Annotated[str | None, typer.Option(help="Folder or name of the model it was scored with.")] = None,
    check: Annotated[
        str, typer.Option(help="How long each check over several files may read audio; longer compares more.")
    ] = "60s",
) -> None:
    """Sum up again what is scored so far, and write the report."""
    with _errors():
        from provenance.audit import report as page
        from provenance.audit import summary
        from provenance.audit.checks import Effort

        found = summary.summarise(folder, model, Effort.lasting(read_time(check)))
        page.write(folder, found)
    _print(found, folder)


def read_time(text: str) -> float:
    """Return a length of time in seconds.

    Args:
        text: such as ``90s``, ``30m``, ``2h``, ``1h30m`` or a number of seconds.

    >>> read_time("1h30m")
    5400.0
    """
    parts = re.fullmatch(r"\s*(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?\s*", text)
    if parts is None or not any(parts.groups()):
        raise typer.BadParameter(f"found {text!r}; needed: a time such as 90s, 30m or 2h")
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + seconds


def _read_timeout(text: str) -> float:
    seconds = read_time(text)
    if not 0 < seconds < _LONGEST_S:
        found = f"found {text!r}; needed: more than 0 s, less than a year"
        raise typer.BadParameter(found, param_hint="--file-timeout")
    return seconds


def _columns(values: list[str]) -> dict[str, str]:
    out = {}
    for value in values:
        field, found, name = value.partition("=")
        if not found or not name:
            raise typer.BadParameter(f"found {value!r}; needed: FIELD=NAME", param_hint="--column")
        out[field.strip()] = name.strip()
    return out


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ProvenanceError as error:
        print("\n".join(map(flat.printable, str(error).splitlines())), file=sys.stderr)
        raise typer.Exit(EXIT_ERROR) from None
    except ImportError as error:
        print(extras.describe(error, "the audit", "audit", "ray"), file=sys.stderr)
        raise typer.Exit(EXIT_ERROR) from None
    except OSError as error:
        print(f"{error.filename or 'output'}: {error.strerror or error}; needed: a folder that can be written",
              file=sys.stderr)  # fmt: skip
        raise typer.Exit(EXIT_ERROR) from None
    except KeyboardInterrupt:
        print("stopped; what is scored is kept: run the same command again to go on", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    except Exception as error:
        duckdb = sys.modules.get("duckdb")  # imported by what asked it, or not at all
        if duckdb is None or not isinstance(error, duckdb.Error):
            raise
        print(f"{str(error).splitlines()[0]}; needed: a folder that can be written", file=sys.stderr)
        raise typer.Exit(EXIT_ERROR) from None


def _print(found: dict[str, Any], out: Path) -> None:
    from provenance.audit import answer

    console = console_of(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(found["answer"], markup=False)
    table = Table()
    for name in ("share of the set", "estimate", "95 % interval", "called"):
        table.add_column(name)
    for name, share in found["prevalence"].items():
        if share["value"] is None:
            continue
        table.add_row(
            _SHARE_WORDS.get(name, name),
            "not told" if answer.is_open(share) else f"{share['value']:.1%}",
            _interval(share),
            f"{share['called']:,} of {share['n']:,}",
        )
    console.print(table)
    wet = found["prevalence"]["wet"]
    if wet["n"]:
        console.print(f"No processing is stated of {wet['unstated']:,} of {wet['n']:,} files scored.", markup=False)
    if found["acceptance"] is not None:
        console.print(found["acceptance"]["bound"], markup=False)
        console.print(found["acceptance"]["floor"], markup=False)
    if found["findings"]["by_kind"]:
        kinds = Table()
        for name in ("finding", "files", "seconds at stake"):
            kinds.add_column(name)
        for row in found["findings"]["by_kind"]:
            kinds.add_row(row["what"], f"{row['n_files']:,}", f"{row['weight_s']:,.0f}")
        console.print(kinds)
    console.print(f"{out / 'report.html'}", markup=False)


def _interval(share: dict[str, Any]) -> str:
    if not share["fits"]:
        return "no share fits"
    counted = not share["corrected"] and share["low"] == share["high"]
    return "counted" if counted else f"{share['low']:.1%} to {share['high']:.1%}"


def _print_rows(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    console = console_of(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table()
    for name in names:
        table.add_column(Text(flat.printable(name)), overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else Text(flat.printable(str(value))) for value in row))
    console.print(table)
