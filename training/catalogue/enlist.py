"""Make a list out of files found in public repositories: ``python -m training.catalogue.enlist FOUND... --mirrors M``.

Who looks for stems writes down repository, path, origin and stem. This command adds what
:mod:`training.catalogue.collect` needs: the commit, the passage in which most sounds, rate, channels and coding, and
the licence that lies in the repository.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from provenance import audio
from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.errors import UnreadableAudio
from training.catalogue import mirrors
from training.catalogue.clips import WETNESS, CatalogueError, read_rows, tidy, write_rows
from training.catalogue.collect import passage_of
from training.catalogue.mirrors import MissingFileError
from training.catalogue.table import COLUMNS

NEEDED = ("source_repo", "source_path", "origin", "stem")
"""Columns of what was found; others of :data:`training.catalogue.table.COLUMNS` are kept where they are given."""
ORIGINS = ("studio", "separated", "unknown")
PASSAGE_S, LEAST_S, READ_S = 12.0, 1.5, 600.0
_STEP_S = 0.5
_SOUNDS = 1e-4
"""40 dB below the loudest half second, in power."""
_SILENT = 1e-9
_LICENCE_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "COPYING", "license", "license.txt")
_LICENCES = (
    ("NonCommercial-ShareAlike", "CC-BY-NC-SA"), ("NonCommercial", "CC-BY-NC"), ("Attribution-ShareAlike", "CC-BY-SA"),
    ("CC0", "CC0-1.0"), ("Creative Commons Attribution", "CC-BY"), ("AFFERO", "AGPL-3.0"), ("LESSER GENERAL", "LGPL"),
    ("GNU GENERAL PUBLIC", "GPL"), ("Apache License", "Apache-2.0"), ("Mozilla Public", "MPL-2.0"),
    ("Permission is hereby granted, free of charge", "MIT"), ("Redistribution and use in source", "BSD"),
    ("unencumbered software", "Unlicense"),
)  # fmt: skip
"""Words of a licence, the narrower first, to its name; of any other text the list says `see repository`."""


def enlist(found: list[Path], folder: Path, name: str) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows of a list, and a line for each file that cannot be learnt from.

    Args:
        found: CSV files with the columns :data:`NEEDED`.
        folder: of mirrors, as :func:`training.catalogue.mirrors.locate` takes it.
        name: of the set, and of the folder for its clips.

    Raises:
        CatalogueError: a file that is no such table, or a row that could not be learnt from; before any is read.
    """
    rows: dict[str, dict[str, str]] = {}
    passages: dict[str, tuple[float, float]] = {}
    problems: list[str] = []
    told = [(row, _checked(row, where)) for file in found for where, row in read_rows(file, NEEDED)]
    for row, passage in tqdm(told, desc="files", unit="file", disable=None):
        place = f"{row['source_repo']}, {row['source_path']}"
        clip = _name_of(place, name)
        if passages.get(clip, passage) != passage:  # another passage of the same file
            clip = _name_of(f"{place}, {passage}", name)
        if clip in passages:
            continue
        passages[clip] = passage
        try:
            rows[clip] = _row(row, passage, clip, folder, name)
        except MissingFileError as error:
            problems.append(str(error))
        except UnreadableAudio as error:
            problems.append(f"{place}: found {error.found}; left out")
    return list(rows.values()), problems


def find_passage(samples: Samples) -> tuple[float, float]:
    """Return where the passage begins in which most sounds, and its length, in seconds.

    Args:
        samples: float32 (n, 1 or 2) at 44.1 kHz.

    Returns:
        At most :data:`PASSAGE_S` seconds; all of what is shorter, and of passages that sound alike long the loudest.
    """
    length_s = len(samples) / SAMPLE_RATE_HZ
    if length_s <= PASSAGE_S:
        return 0.0, length_s
    step = int(_STEP_S * SAMPLE_RATE_HZ)
    n = len(samples) // step
    power = np.square(samples[: n * step].mean(axis=1)).reshape(n, step).mean(axis=1)
    loudest = float(power.max()) + 1e-20
    worth = (power > loudest * _SOUNDS) + 1e-3 * np.sqrt(power / loudest)
    width = int(PASSAGE_S / _STEP_S)
    return float(np.argmax(np.convolve(worth, np.ones(width), "valid"))) * _STEP_S, PASSAGE_S


def _name_of(place: str, name: str) -> str:
    return f"{name}/{hashlib.sha256(place.encode()).hexdigest()[:10]}.flac"


def _checked(row: dict[str, str], where: str) -> tuple[float, float]:
    """The passage of a row that says what can be learnt of it."""
    tidy(row)
    for column, words in (("origin", ORIGINS), ("wetness", ("", *WETNESS))):
        if row[column] not in words:
            raise CatalogueError(f"{where}: found {column} {row[column]!r}; needed: {', '.join(filter(None, words))}")
    for column in ("source_repo", "source_path", "stem"):
        if not row[column].strip():
            raise CatalogueError(f"{where}: found no {column}; needed: {', '.join(NEEDED)}")
    return passage_of(row, where)


def _row(told: Mapping[str, str], passage: tuple[float, float], clip: str, folder: Path, name: str) -> dict[str, str]:
    repository, path = told["source_repo"], told["source_path"]
    commit = told.get("source_commit") or mirrors.find_commit(folder, repository, path)
    info, samples = audio.read(io.BytesIO(mirrors.read(folder, repository, commit, path)), max_s=READ_S)
    start_s, given_s = passage
    end = len(samples) if not given_s else int((start_s + given_s) * SAMPLE_RATE_HZ)
    samples = samples[int(start_s * SAMPLE_RATE_HZ) : end]
    if len(samples) < LEAST_S * SAMPLE_RATE_HZ:
        raise UnreadableAudio(path, "too_short", f"{len(samples) / SAMPLE_RATE_HZ:.1f} s", f"at least {LEAST_S} s")
    if float(np.square(samples).mean()) < _SILENT:
        raise UnreadableAudio(path, "silent", "silence", "sound")
    offset_s, length_s = find_passage(samples)
    known = {column: told.get(column) or "" for column in COLUMNS}
    return known | {
        "clip": clip,
        "set": name,
        "song_id": " ".join(filter(None, (repository.partition("/")[2], told.get("song_id")))),
        "wetness": told.get("wetness") or "unknown",
        "sample_rate": str(info.sample_rate_hz),
        "channels": str(info.n_channels),
        "duration_s": f"{length_s:.3f}",
        "source_codec": info.codec,
        "source_commit": commit,
        "offset_s": f"{start_s + offset_s:.1f}",
        "licence": told.get("licence") or _licence(folder, repository, commit),
    }


@lru_cache(maxsize=4096)
def _licence(folder: Path, repository: str, commit: str) -> str:
    for file in _LICENCE_FILES:
        try:
            text = mirrors.read(folder, repository, commit, file)[:3000].decode("utf-8", "ignore")
        except MissingFileError:
            continue
        return next((name for words, name in _LICENCES if words in text), "see repository")
    return "unstated"


def main(
    found: Annotated[list[Path], typer.Argument(help=f"CSV files with the columns {', '.join(NEEDED)}.")],
    folder: Annotated[Path, typer.Option("--mirrors", help="Folder of bare git directories, OWNER+NAME/... each.")],
    name: Annotated[str, typer.Option("--set", help="Name of the set.")],
    out: Annotated[Path, typer.Option(help="List to write, for training.catalogue.collect.")],
) -> None:
    """Make a list of what was found; 0 done, 1 done but for what is named, 2 nothing to be had."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        rows, problems = enlist(found, folder, name)
    except CatalogueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"{error.filename or out}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    for line in problems:
        print(line, file=sys.stderr)
    if not rows:
        typer.echo("none of the files could be had; nothing was written", err=True)
        raise typer.Exit(2)
    try:
        write_rows(rows, COLUMNS, out)
    except OSError as error:
        typer.echo(
            f"{out}: cannot be written ({error.strerror}); needed: a file to write, on a disk with room", err=True
        )
        raise typer.Exit(2) from None
    typer.echo(f"{len(rows)} files in {out}; {len(problems)} left out")
    raise typer.Exit(1 if problems else 0)


if __name__ == "__main__":
    typer.run(main)
