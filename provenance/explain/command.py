"""The command ``stem-provenance explain``."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from provenance import flat
from provenance.errors import ModelError, UnreadableAudio
from provenance.explain import MOST_WINDOWS, explain, page
from provenance.scorer import Scorer


def command(
    file: Annotated[str, typer.Argument(help="An audio file.")],
    out: Annotated[Path | None, typer.Option(help="The page to write; FILE.html in this folder by default.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write the spectrogram with its marks as PNG, too.")] = None,
    windows: Annotated[int, typer.Option(min=0, max=50, help="Windows to look into.")] = MOST_WINDOWS,
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
) -> None:
    """Write a page that shows why a stem got its verdict."""
    out = out or Path(Path(file).name + ".html")
    _keep_apart(file, out, picture)
    try:
        for page_or_picture in (out, picture):
            if page_or_picture is not None:
                _check_folder(page_or_picture)
        if windows and sys.stderr.isatty():
            print(f"looking into at most {windows} windows, some seconds each", file=sys.stderr)
        found = explain(Scorer(model), file, windows)
        out.write_text(page.render(found, Path(file).name), encoding="utf-8")
        if picture is not None:
            picture.write_bytes(page.picture(found))
    except (ModelError, UnreadableAudio) as error:
        print(flat.printable(str(error)), file=sys.stderr)
        raise typer.Exit(2) from None
    except OSError as error:
        name = flat.printable(str(error.filename or out))  # what fails in the middle names no file
        print(f"{name}: cannot be written ({error.strerror}); needed: a folder to write to", file=sys.stderr)
        raise typer.Exit(2) from None
    print(flat.printable(str(out)))


def _check_folder(file: Path) -> None:
    """Refuse what cannot be written before the minutes that it takes to know what to write."""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))


def _keep_apart(file: str, out: Path, picture: Path | None) -> None:
    """Refuse to write over the audio, or the picture over the page."""
    named = [os.path.realpath(p) for p in (file, out, picture) if p is not None]
    if len(set(named)) < len(named):
        raise typer.BadParameter("the audio, the page and the picture are to be files of their own")
