"""The command ``stem-provenance explain``."""

from __future__ import annotations

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
    out: Annotated[Path | None, typer.Option(help="The page to write; FILE.html by default.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write the spectrogram with its marks as PNG, too.")] = None,
    windows: Annotated[int, typer.Option(min=0, max=50, help="Windows to look into.")] = MOST_WINDOWS,
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
) -> None:
    """Write a page that shows why a stem got its verdict."""
    out = out or Path(Path(file).name + ".html")
    _keep_apart(file, out, picture)
    try:
        found = explain(Scorer(model), file, windows)
        out.write_text(page.render(found, Path(file).name), encoding="utf-8")
        if picture is not None:
            picture.write_bytes(page.picture(found))
    except (ModelError, UnreadableAudio) as error:
        print(flat.printable(str(error)), file=sys.stderr)
        raise typer.Exit(2) from None
    except OSError as error:
        name = flat.printable(str(error.filename))
        print(f"{name}: cannot be written ({error.strerror}); needed: a folder to write to", file=sys.stderr)
        raise typer.Exit(2) from None
    print(flat.printable(str(out)))


def _keep_apart(file: str, out: Path, picture: Path | None) -> None:
    """Refuse to write over the audio, or the picture over the page."""
    named = [os.path.realpath(p) for p in (file, out, picture) if p is not None]
    if len(set(named)) < len(named):
        raise typer.BadParameter("the audio, the page and the picture are to be files of their own")
