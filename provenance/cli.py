"""The command line: data on stdout, progress on stderr, exit code 0 done, 1 a finding, 2 an error, 141 nobody reads."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import json
import os
import platform
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from enum import StrEnum
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import provenance
from provenance import extras, flat, listing
from provenance.audit.cli import audit_app
from provenance.errors import ModelError, UnreadableAudio
from provenance.explain import command as explain_command
from provenance.interrupts import noted_interrupts
from provenance.mix import command as mix_command
from provenance.options import ORIGINS, RowFormat, Windows, parse_findings
from provenance.pairs import command as pairs_command
from provenance.table import COLUMNS, Row, console_of, show
from provenance.verdict import Verdict

EXIT_FINDING, EXIT_ERROR, EXIT_STOPPED, EXIT_CLOSED = 1, 2, 130, 141
FINDINGS = (*ORIGINS, "dry", "hybrid", "wet")
STDIN = "-"
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How facts are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"


def _show_version(asked: bool) -> None:
    if asked:
        print(f"stem-provenance {provenance.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tell what an audio stem is: recorded or extracted, dry or wet, and how good."""


@app.command()
def score(
    paths: Annotated[list[str], typer.Argument(help="Audio files, folders to walk, or - for stdin.")],
    output: Annotated[
        RowFormat, typer.Option("--format", help="How to print the verdicts; csv is a flat table, one row a file.")
    ] = RowFormat.table,
    fail_on: Annotated[
        list[str] | None, typer.Option(help=f"Exit with 1 if a verdict is one of: {', '.join(FINDINGS)}.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
    windows: Annotated[Windows, typer.Option(help="Look at all of a file, or at one window of four.")] = Windows.full,
) -> None:
    """Score audio files and folders."""
    findings = parse_findings(fail_on or [], FINDINGS)
    try:
        scorer = provenance.load(model)
    except ModelError as error:
        _say(str(error))
        raise typer.Exit(EXIT_ERROR) from None
    passed: Counter[str] = Counter()
    files = list(listing.walk(paths, passed))
    if passed:
        _say(listing.describe(passed))
    rows: list[Row] = []
    flat_table = csv.DictWriter(sys.stdout, COLUMNS)
    if output is RowFormat.csv:
        flat_table.writeheader()
    try:
        with _progress(len(files)) as progress, noted_interrupts() as interrupts:
            task = progress.add_task("scoring", total=len(files))
            for file in files:
                row = _score(scorer, file, windows)
                if row.error is not None:
                    message = flat.printable(str(row.error))
                    progress.console.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
                if output is RowFormat.jsonl:
                    print(json.dumps(row.to_dict()), flush=True)
                elif output is RowFormat.csv:
                    flat_table.writerow(flat.to_csv(row.to_columns()))
                    sys.stdout.flush()
                rows.append(row)
                progress.advance(task)
                if interrupts:
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        _say(f"stopped after {len(rows)} of {len(files)} files")
        raise typer.Exit(EXIT_STOPPED) from None
    if output is RowFormat.json:
        print(json.dumps([row.to_dict() for row in rows], indent=2))
    elif output is RowFormat.table:
        show(rows)
    if not files or any(row.error for row in rows):
        raise typer.Exit(EXIT_ERROR)
    if any(row.verdict and findings & _calls(row.verdict) for row in rows):
        raise typer.Exit(EXIT_FINDING)


@app.command()
def info(
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
    output: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.table,
) -> None:
    """Print the model, its thresholds and licence, and versions."""
    try:
        bundle = provenance.load(model).bundle
    except ModelError as error:
        _say(str(error))
        raise typer.Exit(EXIT_ERROR) from None
    facts: dict[str, Any] = {
        "model": bundle.reference,
        "heads": sorted(bundle.heads),
        "thresholds": dataclasses.asdict(bundle.thresholds),
        "model licence": bundle.licence,
        "code licence": "Apache-2.0",
        "versions": {
            "stem-provenance": provenance.__version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in ("numpy", "soundfile", "soxr", "onnxruntime", "av")},
        },
    }
    if output is not Format.table:
        print(json.dumps(facts, indent=2 if output is Format.json else None))
        return
    table = Table(show_header=False, box=None)
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        table.add_row(key, Text(", ".join(value) if isinstance(value, list) else str(value)))
    console_of().print(table)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Start the HTTP service (needs the extra 'service')."""
    try:
        import uvicorn  # noqa: F401

        import service.app  # noqa: F401 - service.run imports both later, past this line
        from service import run
    except ImportError as error:
        _say(extras.describe(error, "the service", "service"))
        raise typer.Exit(EXIT_ERROR) from None
    run.main(host, port)


app.command("explain")(explain_command.command)
app.command("against")(mix_command.command)
app.command("pairs")(pairs_command.command)
app.add_typer(audit_app, name="audit")


def main() -> None:
    """Run the command line; whoever closes its output, or has no room or no letters for it, is no finding."""
    if sys.stdout is None:  # closed by the caller: nobody can write to what stands there instead, and few commands do
        sys.stdout = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for as long as the command runs
    if sys.stderr is None:  # else what is said would go to stdout, among the data
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a name of another alphabet than that of the output
    try:
        try:
            app()
        except SystemExit as stop:
            if isinstance(stop.__context__, BrokenPipeError):  # what rich and click make a 1 of
                raise stop.__context__ from None
            raise
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output(EXIT_CLOSED)
    except io.UnsupportedOperation:
        if sys.stdout.writable():
            raise
        _say("stdout cannot be written: it is closed")
        sys.exit(EXIT_ERROR)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            _crash()
        _say(f"stdout cannot be written: {error.strerror}")
        _drop_output(EXIT_ERROR)
    except Exception:
        _crash()


def _crash() -> NoReturn:
    """End with the error in view, and not with Python's 1: that is a finding."""
    traceback.print_exc()
    _drop_output(EXIT_ERROR)


def _drop_output(code: int) -> NoReturn:
    """End with a code; what is still held for stdout goes nowhere, or Python would complain of it at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _calls(verdict: Verdict) -> set[str]:
    """What a verdict calls a stem; the processing of a separated one is never stated, so it is no finding."""
    return {verdict.origin} if verdict.origin == "separated" else {verdict.origin, verdict.processing}


def _score(scorer: provenance.Scorer, path: str, windows: Windows) -> Row:
    coverage: provenance.Coverage = "sparse" if windows is Windows.sparse else "full"
    try:
        if path == STDIN:
            return Row(path, _score_stdin(scorer, coverage), None)
        if os.path.isdir(path):
            _refuse_folder(path)
        return Row(path, scorer.score(path, coverage), None)
    except UnreadableAudio as error:
        return Row(path, None, error)


def _score_stdin(scorer: provenance.Scorer, coverage: provenance.Coverage) -> Verdict:
    """Score what comes in on stdin, held in a file of the system: a decoder looks back, and a pipe does not let it."""
    with tempfile.TemporaryFile() as file:
        if sys.stdin is not None:  # as where it was closed
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            return scorer.score(file, coverage)
        except UnreadableAudio as error:
            raise UnreadableAudio(STDIN, error.code, error.found, error.needed) from error


def _refuse_folder(path: str) -> None:
    try:
        os.scandir(path).close()
    except OSError as error:
        needed = "permission to list the directory"
        raise UnreadableAudio(path, "not_readable", f"a directory: {error.strerror}", needed) from error
    raise UnreadableAudio(path, "no_audio_in_folder", "a directory without audio files", "at least one audio file")


def _progress(n_files: int) -> Progress:
    console = console_of(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal or n_files < 2,
        transient=True,
    )
