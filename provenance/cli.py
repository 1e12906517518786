"""The command line: data on stdout, progress on stderr, exit code 0 done, 1 a finding, 2 an error."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import provenance
from provenance.audio import EXTENSIONS
from provenance.errors import ModelError, UnreadableAudio
from provenance.explain import command as explain_command
from provenance.mix import command as mix_command
from provenance.verdict import Verdict

EXIT_FINDING, EXIT_ERROR = 1, 2
FINDINGS = ("separated", "undecided", "studio", "dry", "hybrid", "wet")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"


class Windows(StrEnum):
    """How much of a file is looked at."""

    full = "full"
    sparse = "sparse"


@dataclass(frozen=True)
class Row:
    """One input and what came of it.

    Args:
        path: as given or found in a folder.
        verdict: what it is, or None.
        error: why it could not be read, or None.
    """

    path: str
    verdict: Verdict | None
    error: UnreadableAudio | None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as it is printed in JSON."""
        if self.verdict is not None:
            return {"path": self.path, **self.verdict.to_dict()}
        error = self.error
        found = {"code": "unknown", "found": "", "needed": "", "message": ""}
        if error is not None:
            found = {"code": error.code, "found": error.found, "needed": error.needed, "message": str(error)}
        return {"path": self.path, "status": "error", "error": found}


@app.callback()
def _main() -> None:
    """Tell what an audio stem is: recorded or extracted, dry or wet, and how good."""


@app.command()
def score(
    paths: Annotated[list[str], typer.Argument(help="Audio files, or folders to walk.")],
    output: Annotated[Format, typer.Option("--format", help="How to print the verdicts.")] = Format.table,
    fail_on: Annotated[
        list[str] | None, typer.Option(help=f"Exit with 1 if a verdict is one of: {', '.join(FINDINGS)}.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
    windows: Annotated[Windows, typer.Option(help="Look at all of a file, or at one window of four.")] = Windows.full,
) -> None:
    """Score audio files and folders."""
    findings = _findings(fail_on or [])
    try:
        scorer = provenance.load(model)
    except ModelError as error:
        _say(str(error))
        raise typer.Exit(EXIT_ERROR) from None
    files = list(_walk(paths))
    rows: list[Row] = []
    with _progress(len(files)) as progress:
        task = progress.add_task("scoring", total=len(files))
        for file in files:
            row = _score(scorer, file, windows)
            if row.error is not None:
                progress.console.print(str(row.error), style="red", markup=False, highlight=False, soft_wrap=True)
            if output is Format.jsonl:
                print(json.dumps(row.to_dict()), flush=True)
            rows.append(row)
            progress.advance(task)
    if output is Format.json:
        print(json.dumps([row.to_dict() for row in rows], indent=2))
    elif output is Format.table:
        _print_table(rows)
    if not files or any(row.error for row in rows):
        raise typer.Exit(EXIT_ERROR)
    if any(row.verdict and findings & {row.verdict.origin, row.verdict.processing} for row in rows):
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
    limits = bundle.thresholds
    facts: dict[str, Any] = {
        "model": bundle.reference,
        "heads": sorted(bundle.heads),
        "thresholds": {
            "separated": limits.separated,
            "studio": limits.studio,
            "processing": limits.processing,
            "distance": limits.distance,
        },
        "model licence": bundle.licence,
        "code licence": "Apache-2.0",
        "versions": {
            "stem-provenance": provenance.__version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in ("numpy", "soundfile", "soxr", "onnxruntime", "av")},
        },
    }
    if output is not Format.table:
        print(json.dumps(facts, indent=2))
        return
    table = Table(show_header=False, box=None)
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        table.add_row(key, ", ".join(value) if isinstance(value, list) else str(value))
    Console().print(table)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Start the HTTP service (needs the extra 'service')."""
    try:
        from service import run
    except ImportError as error:
        _say(f"the service needs its extra ({error.name} is missing): pip install 'stem-provenance[service]'")
        raise typer.Exit(EXIT_ERROR) from None
    run.main(host, port)


app.command("explain")(explain_command.command)
app.command("against")(mix_command.command)


def main() -> None:
    """Run the command line."""
    app()


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _findings(values: list[str]) -> set[str]:
    wanted = {part.strip() for value in values for part in value.split(",") if part.strip()}
    unknown = sorted(wanted - set(FINDINGS))
    if unknown:
        raise typer.BadParameter(f"found {', '.join(unknown)}; needed: {', '.join(FINDINGS)}", param_hint="--fail-on")
    return wanted


def _walk(paths: list[str]) -> Iterator[str]:
    """Yield files as given; of a folder the audio below it, in order. A folder without audio stays, to be named."""
    for path in paths:
        if not Path(path).is_dir():
            yield path
            continue
        found = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if Path(name).suffix.lower() in EXTENSIONS
        )
        yield from found or [path]


def _score(scorer: provenance.Scorer, path: str, windows: Windows) -> Row:
    try:
        if Path(path).is_dir():
            raise UnreadableAudio(path, "no_audio_in_folder", "a directory without audio files", "at least one")
        return Row(path, scorer.score(path, "sparse" if windows is Windows.sparse else "full"), None)
    except UnreadableAudio as error:
        return Row(path, None, error)


def _progress(n_files: int) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal or n_files < 2,
        transient=True,
    )


_STYLES = {"studio": "green", "separated": "red", "undecided": "yellow"}


def _print_table(rows: list[Row]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table()
    for name in ("file", "origin", "confidence", "p_separated", "SDR ceiling (90 %)", "processing", "reasons"):
        table.add_column(name, overflow="fold")
    for row in rows:
        verdict = row.verdict
        if verdict is None:
            table.add_row(row.path, "[red]error[/red]", "", "", "", "", row.error.found if row.error else "")
            continue
        sdr = verdict.sdr_ceiling_db
        style = _STYLES[verdict.origin]
        table.add_row(
            row.path,
            f"[{style}]{verdict.origin}[/{style}]",
            "" if verdict.confidence is None else f"{verdict.confidence:.2f}",
            "" if verdict.p_separated is None else f"{verdict.p_separated:.2f}",
            "" if sdr is None else f"{sdr.estimate:.1f} dB ({sdr.low:.1f} to {sdr.high:.1f})",
            verdict.processing,
            ", ".join(r for r in verdict.reasons if r != "not_in_this_model"),
        )
    console.print(table)
