"""The catalogue: one table of labelled clips out of one or more manifests."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.families import Family, family_of, is_near_oracle

REQUIRED = ("clip", "song_id", "stem", "origin")
"""Columns a manifest must have; the others of :class:`Clip` may be missing."""
WETNESS = ("dry", "hybrid", "wet", "unknown")
"""What may be known of how a clip was processed."""


class CatalogueError(Exception):
    """A manifest that cannot be used: names the file, the row and what is needed."""


@dataclass(frozen=True)
class Clip:
    """One labelled clip.

    Args:
        path: the audio file.
        name: the clip as its manifest names it.
        set_name: which part of the manifest it belongs to, such as ``pairs``.
        song: normalised song name; the same song under two names should give one.
        stem: ``vocals``, ``drums``, ``bass``, ``other`` or another instrument.
        origin: ``studio`` or ``separated``.
        separator: the separator's name, empty for a studio stem.
        family: the separator's family and kind, None for a studio stem.
        wetness: ``dry``, ``hybrid``, ``wet`` or ``unknown``.
        sdr_db: measured SDR of an extraction against its true stem, or None.
        reference: name of the true stem's clip, or empty.
        codec: how the source was coded.
        repo, commit, source_path, licence: where it came from.
        manifest: number of the manifest that lists it, in the order in which they were read.
    """

    path: Path
    name: str
    set_name: str
    song: str
    stem: str
    origin: str
    separator: str
    family: Family | None
    wetness: str
    sdr_db: float | None
    reference: str
    codec: str
    repo: str
    commit: str
    source_path: str
    licence: str
    note: str
    oracle: bool
    manifest: int = 0


def load(manifests: Iterable[Path], flags: Iterable[Path] = ()) -> tuple[list[Clip], list[str]]:
    """Read manifests into one catalogue.

    Args:
        manifests: CSV files with at least the columns ``clip, song_id, stem, origin``; paths of clips are taken
            from the folder of their manifest.
        flags: CSV files with columns ``clip, flag``; a clip with any flag but ``song_id_in_core`` and
            ``resynthesis`` is left out.

    Returns:
        The clips with a known origin, and one line for each row that was left out and why.

    Raises:
        CatalogueError: a manifest is missing, is no CSV file, lacks a required column, has a row with too few fields
            or too many, a number or wetness that is none, or names a clip a second time.
    """
    flagged: dict[str, set[str]] = {}
    for file in flags:
        for _, row in read_rows(file, ("clip", "flag")):
            flagged.setdefault(row["clip"], set()).add(row["flag"])
    clips: dict[str, Clip] = {}
    left_out: list[str] = []
    for number, manifest in enumerate(manifests):
        for where, row in read_rows(manifest, REQUIRED):
            name = row["clip"]
            tidy(row)
            reason = _why_not(row, manifest.parent, flagged.get(name, set()))
            if reason:
                left_out.append(f"{name}: {reason}")
            elif name in clips:  # rows, caches and references go by the name
                raise CatalogueError(
                    f"{where}: found clip {name} a second time (also {clips[name].path}); needed: names that differ, "
                    "also between manifests"
                )
            else:
                clips[name] = _clip(row, manifest.parent, where, number)
    return list(clips.values()), left_out


def read_rows(file: Path, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where a row stands and the row, of a CSV file.

    Args:
        file: the CSV file.
        required: columns it must have.

    Raises:
        CatalogueError: it is missing, is no CSV file, lacks a column, or has a row with too few fields or too many.
    """
    needed = f"a CSV file with columns {', '.join(required)}"
    if not file.is_file():
        raise CatalogueError(f"{file}: no such manifest; needed: {needed}")
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            missing = [column for column in required if column not in (reader.fieldnames or ())]
            if missing:
                has = " | ".join(reader.fieldnames or ())[:200] or "nothing"
                raise CatalogueError(
                    f"{file}: found no column {', '.join(missing)}; needed: {needed}, parted by commas; it has {has}"
                )
            for row in reader:
                if any(row[column] is None for column in required):
                    raise CatalogueError(f"{file}, line {reader.line_num}: found too few fields; needed: {needed}")
                if any(row.pop(None, ())):
                    raise CatalogueError(
                        f"{file}, line {reader.line_num}: found more fields than columns; needed: quotes around a "
                        "field that holds a comma"
                    )
                yield f"{file}, line {reader.line_num}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise CatalogueError(f"{file}: found no table of text ({error}); needed: {needed}") from error


def write_rows(rows: Iterable[Mapping[str, str]], columns: Sequence[str], file: Path) -> None:
    """Write a list, by write-then-rename: where that fails, what was there stays.

    Args:
        rows: one value a column.
        columns: in their order.
        file: the CSV file.

    Raises:
        OSError: it cannot be written.
    """
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def tidy(row: dict[str, str]) -> None:
    """Bring words of a row into the spelling in which they are compared: `` Studio`` is ``studio``.

    Args:
        row: of a manifest; its stem, origin and wetness are changed.
    """
    for column in ("stem", "origin", "wetness"):
        row[column] = (row.get(column) or "").strip().lower()


def rooms(manifests: Iterable[Path]) -> list[Path]:
    """Return the measured impulse responses that manifests list (rows whose set or stem is ``rir``).

    Args:
        manifests: CSV files, as for :func:`load`.

    Raises:
        CatalogueError: as for :func:`read_rows`.
    """
    found = []
    for manifest in manifests:
        for _, row in read_rows(manifest, REQUIRED):
            file = manifest.parent / row["clip"]
            if "rir" in (row.get("set"), row.get("stem")) and file.is_file():
                found.append(file)
    return found


FEWEST_LETTERS = 6
"""Of a song's key: fewer name none, for many songs have them."""


def song_key(song_id: str) -> str:
    """Normalise a song's name, so that spelling variants of one song share a key.

    What is written in another script counts by a hash: of two songs ``(Live)`` alone would be left.

    >>> song_key("A Classic Education - NightOwl") == song_key("a_classic_education-nightowl.stem")
    True
    """
    text = unicodedata.normalize("NFKD", song_id).encode("ascii", "ignore").decode().lower()
    text = re.sub(r"[^a-z0-9]+", "", re.sub(r"\.(stem|mp4|wav|flac|mp3)$", "", text))
    others = "".join(c for c in unicodedata.normalize("NFKC", song_id).lower() if _is_of_another_script(c))
    if others or not text:
        text += hashlib.sha256((others or song_id).encode()).hexdigest()[:12]
    return text


def _is_of_another_script(character: str) -> bool:
    """Whether a letter, number or mark has no ASCII in it, as an accented one has."""
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore")
    return not plain and unicodedata.category(character)[0] in "LNM"


def shown(name: str) -> str:
    """Return a clip's name as records may hold it: of a path of a machine the last folder and the file.

    Args:
        name: of a clip, as its manifest has it.
    """
    return "/".join(Path(name).parts[-2:]) if Path(name).is_absolute() else name


def lot(name: str) -> float:
    """Return a number from 0 to 1 that hangs on a name alone: which of many are taken for a share.

    Args:
        name: any.
    """
    return int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) / 16**6


def _why_not(row: dict[str, str], folder: Path, flags: set[str]) -> str:
    if row["origin"] not in ("studio", "separated"):
        return f"origin is {row['origin'] or 'empty'}"
    if not (row["song_id"].strip() and row["stem"]):
        return f"{'stem' if row['song_id'].strip() else 'song_id'} is empty"
    if row["stem"] in ("mix", "rir"):
        return f"stem is {row['stem']}"
    bad = flags - {"song_id_in_core", "resynthesis"}
    if bad:
        return f"flagged {', '.join(sorted(bad))}"
    if not (folder / row["clip"]).is_file():
        return "no such file"
    return ""


def _number(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise CatalogueError(f"{where}: found sdr_db {text!r}; needed: a number of decibels, or nothing") from None


def _clip(row: dict[str, str], folder: Path, where: str, manifest: int) -> Clip:
    get = lambda key: (row.get(key) or "").strip()  # noqa: E731
    separated = row["origin"] == "separated"
    if row["wetness"] and row["wetness"] not in WETNESS:
        raise CatalogueError(f"{where}: found wetness {row['wetness']!r}; needed: {', '.join(WETNESS)}, or nothing")
    return Clip(
        path=folder / row["clip"],
        name=row["clip"],
        set_name=get("set"),
        song=song_key(row["song_id"]),
        stem=row["stem"],
        origin=row["origin"],
        separator=get("separator"),
        family=family_of(get("separator")) if separated else None,
        wetness=get("wetness") or "unknown",
        sdr_db=_number(get("sdr_db"), where),
        reference=get("reference"),
        codec=get("source_codec"),
        repo=get("source_repo"),
        commit=get("source_commit"),
        source_path=get("source_path"),
        licence=get("licence"),
        note=get("note"),
        oracle=is_near_oracle(get("separator"), get("note")),
        manifest=manifest,
    )
