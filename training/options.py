"""Options that the commands which read rows have in common: what to learn from, and where it is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

N_WORKERS = os.cpu_count() or 1

Manifests = Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")]
Flags = Annotated[list[Path], typer.Option(help="CSV files of clips to leave out.")]
DemucsRepo = Annotated[str, typer.Option(help="Folder of local demucs weights; empty leaves demucs out.")]
Networks = Annotated[str, typer.Option(help="Folder of separators trained here; empty leaves them out.")]
Scripts = Annotated[str, typer.Option(help="Folder of separators as Python files; empty leaves them out.")]
Work = Annotated[Path, typer.Option(help="Folder for features and checkpoints.")]
Workers = Annotated[int, typer.Option(help="Processes.")]
