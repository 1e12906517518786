"""Cut listed clips out of public repositories: ``python -m training.catalogue.collect LIST... --mirrors M --out O``.

A list is a manifest whose clips are not there yet: the columns ``source_repo``, ``source_commit`` and ``source_path``
say where each lies, ``offset_s`` and ``duration_s`` which passage is meant. `training/sources/` holds the lists of what
the shipped model learnt from. Clips become FLAC files and a ``manifest.csv`` beside them; what is there already is
kept, what cannot be had is named, and the run goes on. Licences are those of the repositories: see each row.
A column ``coded``, as :mod:`training.catalogue.counterweight` writes it, has a clip coded and decoded after the cut.
"""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
import soundfile
import typer
from tqdm import tqdm

from provenance import audio
from provenance.audio import AudioInfo, Samples
from provenance.errors import UnreadableAudio
from training import augment
from training.catalogue import mirrors
from training.catalogue.clips import CatalogueError, read_rows
from training.catalogue.mirrors import MissingFileError, MissingMirrorError
from training.catalogue.table import COLUMNS, Table, write

NEEDED = ("clip", "song_id", "stem", "origin", "source_repo", "source_commit", "source_path")
"""Columns a list must have."""
CODED = "coded"
"""Column of how a clip is coded after it was cut, such as ``vorbis@160``; empty for none."""
_CODECS = {"vorbis": "OGG/VORBIS", "aac": "aac@{}k"}
"""What manifests call files that come so coded."""
LONGEST_S = 60.0
"""Of a row that gives no length so much is taken."""


def collect(lists: list[Path], folder: Path, out: Path, source: str = "") -> Table:
    """Cut the clips of lists.

    Args:
        lists: CSV files with the columns :data:`NEEDED`; rows without a path are passed over.
        folder: of mirrors, as :func:`training.catalogue.mirrors.locate` takes it.
        out: folder for clips; each is named as its row names it, with the ending ``.flac``.
        source: where to clone repositories from that have no mirror, with ``{repository}`` in it; empty clones none.

    Returns:
        A row for each clip that lies in ``out`` now, and a line for each that could not be had.

    Raises:
        CatalogueError: a list that is none, two rows of one file, a clip outside ``out``, or a passage or coding that
            is none; before anything is cut.
    """
    rows: dict[str, dict[str, str]] = {}
    files: dict[str, str] = {}
    problems: list[str] = []
    for where, row in (found for file in lists for found in read_rows(file, NEEDED)):
        clip = row["clip"]
        if clip in rows:
            raise CatalogueError(f"{where}: found clip {clip} a second time; needed: names that differ")
        _check(row, where)
        other = files.setdefault(_named(clip), clip)
        if other != clip:
            raise CatalogueError(
                f"{where}: found clip {clip} beside {other}, which would be one file; needed: names that differ before "
                "their endings"
            )
        rows[clip] = row
    by_repository = sorted((row for row in rows.values() if row["source_path"]), key=lambda r: r["source_repo"])
    earlier = _earlier(out)
    made: list[dict[str, str]] = []
    absent: set[str] = set()
    for row in tqdm(by_repository, desc="clips", unit="clip", disable=None):
        if row["source_repo"] in absent:
            continue
        target = out / _named(row["clip"])
        try:
            coding = _coding(row)
            if not _is_cut(target, row) or _is_other(row, earlier.get(_named(row["clip"]), row)):
                if source:
                    mirrors.clone_missing(folder, row["source_repo"], source)
                data = mirrors.read(folder, row["source_repo"], row["source_commit"], row["source_path"])
                _cut(data, row, coding, target)
            reference = row.get("reference")
            there = str((out / _named(reference)).resolve()) if reference in rows else ""
            known = {column: row.get(column) or "" for column in COLUMNS}
            known["offset_s"] = known["offset_s"] or "0"
            if coding:
                known["source_codec"] = _CODECS[coding[0]].format(coding[1])
            made.append(known | {"clip": str(target.resolve()), "reference": there})
        except MissingFileError as error:
            problems.append(str(error))
            if isinstance(error, MissingMirrorError):
                absent.add(row["source_repo"])
        except UnreadableAudio as error:
            problems.append(f"{row['source_repo']}, {row['source_path']}: {error.found}; the clip is left out")
    return Table(made, problems)


def _check(row: dict[str, str], where: str) -> None:
    """Raise where a row names a clip outside the folder of clips, or a passage or coding that is none."""
    name = PurePosixPath(row["clip"])
    if not name.name or name.is_absolute() or ".." in name.parts:
        raise CatalogueError(f"{where}: found clip {row['clip']!r}; needed: a path below the folder of clips")
    passage_of(row, where)
    _coding(row)


def passage_of(row: Mapping[str, str], where: str) -> tuple[float, float]:
    """Return where a row's passage begins and its length, in seconds; 0 where it gives none.

    Args:
        row: with ``offset_s`` and ``duration_s``, both optional.
        where: it stands, for the error.

    Raises:
        CatalogueError: one of them is no number, or below 0.
    """
    found = []
    for column in ("offset_s", "duration_s"):
        text = row.get(column) or "0"
        try:
            found.append(float(text))
        except ValueError:
            found.append(math.nan)
        if not 0 <= found[-1] < math.inf:
            raise CatalogueError(f"{where}: found {column} {text!r}; needed: seconds, or nothing")
    return found[0], found[1]


def _named(clip: str) -> str:
    return str(Path(clip).with_suffix(".flac"))


def _is_cut(target: Path, row: dict[str, str]) -> bool:
    """Whether a clip is there already, coded as its row has it now."""
    try:
        with soundfile.SoundFile(target) as file:
            return str(file.comment) == (row.get(CODED) or "")
    except soundfile.LibsndfileError:  # none, or a damaged one
        return False


def _earlier(out: Path) -> dict[str, dict[str, str]]:
    """Rows of the manifest that an earlier run left, by clip; none where there is none."""
    try:
        return {row["clip"]: row for _, row in read_rows(out / "manifest.csv", NEEDED)}
    except CatalogueError:
        return {}


def _is_other(row: dict[str, str], before: dict[str, str]) -> bool:
    """Whether a row means another passage than it did."""
    places = ([each[column] for column in ("source_repo", "source_commit", "source_path")] for each in (row, before))
    return next(places) != next(places) or passage_of(row, row["clip"]) != passage_of(before, row["clip"])


def _cut(data: bytes, row: dict[str, str], coding: tuple[str, int] | None, target: Path) -> None:
    """Decode a passage as the product decodes it, and write it by write-then-rename; its comment is its coding."""
    start_s, given_s = passage_of(row, row["clip"])
    length_s = given_s or LONGEST_S
    info, samples = audio.read(io.BytesIO(data), max_s=start_s + length_s)
    samples = samples[int(start_s * audio.SAMPLE_RATE_HZ) :]
    if not len(samples):
        raise UnreadableAudio(info.name, "no_samples", f"nothing after {start_s} s", "a longer file")
    peak = float(np.abs(samples).max())
    if peak > 1:
        samples = samples * np.float32(0.999 / peak)
    subtype = _subtype(info, samples)
    if coding:
        samples, subtype = coded(samples, *coding), "PCM_24"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    with soundfile.SoundFile(part, "w", audio.SAMPLE_RATE_HZ, samples.shape[1], subtype, format="FLAC") as file:
        if coding:
            file.comment = row[CODED]
        file.write(samples)
    os.replace(part, target)


def coded(samples: Samples, codec: str, rate_kbps: int) -> Samples:
    """Return samples as they come out of a lossy coding, of the same length and level.

    Args:
        samples: float32 (n, 1 or 2) at 44.1 kHz.
        codec: ``vorbis`` or ``aac``.
        rate_kbps: of stereo.
    """
    gain = np.float32(min(1.0, 0.9 / (float(np.abs(samples).max()) + 1e-9)))  # coders overshoot a full scale
    heard = augment.code(samples * gain, codec, rate_kbps)[: len(samples)]
    out = np.zeros_like(samples)
    out[: len(heard)] = heard
    return np.asarray(np.clip(out / gain, -1, 1), np.float32)


def _coding(row: dict[str, str]) -> tuple[str, int] | None:
    if not row.get(CODED):
        return None
    codec, _, rate_kbps = row[CODED].partition("@")
    if codec not in _CODECS or not rate_kbps.isdigit():
        raise CatalogueError(f"{row['clip']}: found coded {row[CODED]!r}; needed: vorbis@RATE or aac@RATE, or nothing")
    return codec, int(rate_kbps)


def _subtype(info: AudioInfo, samples: Samples) -> str:
    """16 bits where they hold every sample exactly, else 24: rounding would lay a floor under codecs' pauses."""
    scaled = samples * np.float32(32768)
    exact = info.sample_rate_hz == audio.SAMPLE_RATE_HZ and bool(np.all(scaled == np.round(scaled)))
    return "PCM_16" if exact else "PCM_24"


def main(
    lists: Annotated[list[Path], typer.Argument(help="CSV files: what to cut, and from where.")],
    out: Annotated[Path, typer.Option(help="Folder for clips and manifest.csv.")],
    folder: Annotated[Path, typer.Option("--mirrors", help="Folder of bare git directories, OWNER+NAME/... each.")],
    clone: Annotated[bool, typer.Option(help="Clone what has no mirror, listed files alone.")] = False,
    source: Annotated[str, typer.Option(help="Where to clone from.")] = mirrors.GITHUB,
) -> None:
    """Cut listed clips out of public repositories; 0 done, 1 done but for what is named, 2 nothing to be had."""
    try:
        table = collect(lists, folder, out, source if clone else "")
    except (CatalogueError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"{error.filename or out}: {error.strerror}; what was cut is kept, run it again", err=True)
        raise typer.Exit(2) from None
    for line in dict.fromkeys(table.problems):  # one file may be listed for several passages
        print(line, file=sys.stderr)
    if not table.rows:
        typer.echo("none of the listed clips could be had; nothing was written", err=True)
        raise typer.Exit(2)
    write(table, out / "manifest.csv")
    typer.echo(f"{len(table.rows)} clips in {out}; {len(table.problems)} lines could not be followed")
    raise typer.Exit(1 if table.problems else 0)


if __name__ == "__main__":
    typer.run(main)
