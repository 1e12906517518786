"""Options that the commands which read rows have in common: what to learn from, and where it is kept.

A folder that is given and not there ends a command at once, with exit code 2, before any row is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from training.catalogue.clips import CatalogueError

N_WORKERS = os.cpu_count() or 1


@contextmanager
def told(*errors: type[Exception]) -> Iterator[None]:
    """End a command with exit code 2 and one line on stderr where something cannot be used: around it, or in a part.

    Args:
        errors: what is told so, beside what a manifest or another file raises.

    Raises:
        typer.Exit: with 2, after the line.
    """
    try:
        yield
    except (CatalogueError, OSError, *errors) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def folder_or_none(context: typer.Context, option: typer.CallbackParam, value: str) -> str:
    """Return what was given for a folder, if it is one or empty.

    Args:
        context: of the command.
        option: which was given.
        value: path of a folder; empty for none.

    Raises:
        typer.Exit: with 2, after a line on stderr, where there is no such folder.
    """
    if value and not context.resilient_parsing and not Path(value).is_dir():
        what = "a file" if Path(value).exists() else "no such folder"
        typer.echo(f"{option.opts[0]} {value}: found {what}; needed: {option.help}", err=True)
        raise typer.Exit(2)
    return value


Manifests = Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")]
Flags = Annotated[list[Path], typer.Option(help="CSV files of clips to leave out.")]
Unjudged = Annotated[
    list[Path],
    typer.Option(help="CSV files of clips that are learnt from and not judged; --flags leaves clips out of both."),
]
DemucsRepo = Annotated[
    str, typer.Option(help="Folder of local demucs weights; empty leaves demucs out.", callback=folder_or_none)
]
Networks = Annotated[
    str, typer.Option(help="Folder of separators trained here; empty leaves them out.", callback=folder_or_none)
]
Scripts = Annotated[
    str, typer.Option(help="Folder of separators as Python files; empty leaves them out.", callback=folder_or_none)
]
Work = Annotated[Path, typer.Option(help="Folder for features and checkpoints.")]
Workers = Annotated[int, typer.Option(help="Processes.")]
