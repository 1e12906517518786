"""The rows of a folder of pairs: a file for each song and run, and one manifest out of all that still hold."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from training.catalogue import Clip
from training.catalogue.table import COLUMNS

Row = dict[str, str]
Sources = dict[str, list[int]]


@dataclass(frozen=True)
class Record:
    """What a run made of a song.

    Args:
        song: its name, as the catalogue has it.
        sources: path of each file it was mixed of to its size in bytes and time of change in nanoseconds.
        rows: keys :data:`training.catalogue.table.COLUMNS`.
        problems: what was left out and why, without the song's name.
        whole: whether every separator gave what it could; what failed is tried again by the next run.
    """

    song: str
    sources: Sources
    rows: list[Row]
    problems: list[str]
    whole: bool = True


class Shelf:
    """The records of a folder whose clips are there and whose source is as it was, of this run and of earlier ones.

    Args:
        out: folder of pairs, with its records in ``rows``.
        songs: the catalogue; the records of a song of it are of just these files.
        struck: files that must not be used: nothing that was mixed of them is kept.
    """

    def __init__(self, out: Path, songs: Mapping[str, Sequence[Clip]], struck: Collection[Path] = ()) -> None:
        self._out = out
        self._places = _places(out / "manifest.csv")
        self._records: dict[Path, Record] = {}
        flagged = {str(path.resolve()) for path in struck}
        files = [file for file in (out / "rows").glob("*.json") if not file.name.startswith(".")]
        for file, record in sorted(_read_all(files).items(), key=lambda entry: (entry[1].song, entry[0].name)):
            if record.song in songs:
                holds = record.sources == sources_of(songs[record.song])
            else:
                holds = flagged.isdisjoint(record.sources) and _are_there(record.sources)
            if holds:
                rows = [row for row in record.rows if self._has(row["clip"]) and self._has(row["reference"])]
                whole = record.whole and len(rows) == len(record.rows)
                self._records[file] = replace(record, rows=rows, whole=whole)

    def find(self, file: Path) -> Record | None:
        """Return a whole record, None where it is still to be made.

        Args:
            file: of the record.
        """
        record = self._records.get(file)
        return record if record and record.whole else None

    def put(self, file: Path, record: Record) -> None:
        """Keep a record, and take its clips out of earlier ones that tell something else of them: they were replaced.

        Args:
            file: of the record.
            record: new.
        """
        new = {_key_of(row["clip"]): row for row in record.rows}
        for other, old in list(self._records.items()):
            if other != file and old.song == record.song:
                rows = [row for row in old.rows if new.get(_key_of(row["clip"]), row) == row]
                if len(rows) < len(old.rows):
                    self._keep(other, replace(old, rows=rows, whole=False))
        self._keep(file, record)

    def rows(self) -> list[Row]:
        """Return all rows, no clip twice: those of the manifest in its order, then new ones."""
        found = {_key_of(row["clip"]): row for record in self._records.values() for row in record.rows}
        ordered = [found.pop(key) for key in self._places if key in found]
        return [*ordered, *found.values()]

    def write(self) -> list[Row]:
        """Write the manifest of all rows, and return them."""
        rows = self.rows()
        part = self._out / f".{os.getpid()}.manifest.csv"
        with part.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, self._out / "manifest.csv")
        return rows

    def explain_gone(self, rows: Sequence[Row]) -> list[str]:
        """Return in words which rows of the manifest, as it was when this was made, are left out, and why.

        Args:
            rows: of the manifest now.
        """
        kept = {_key_of(row["clip"]) for row in rows}
        gone = [clip for key, clip in self._places.items() if key not in kept]
        n_lost = sum(not self._has(clip) for clip in gone)
        told = {
            "their clips are no longer there": n_lost,
            "their songs' files have changed, are gone or were flagged, or an older version made them; the command "
            "that made them makes them again": len(gone) - n_lost,
        }
        return [f"rows of earlier runs left out: {n}, for {why}" for why, n in told.items() if n]

    def _has(self, clip: str) -> bool:
        return not clip or (self._out / clip).is_file()

    def _keep(self, file: Path, record: Record) -> None:
        self._records[file] = record
        part = file.with_name(f".{os.getpid()}.{file.name}")
        part.write_text(json.dumps(asdict(record)), encoding="utf-8")
        os.replace(part, file)


def sources_of(clips: Sequence[Clip]) -> Sources:
    """Return what tells whether a song's files are still the same.

    Args:
        clips: of one song; their files are there.
    """
    stats = {clip.path.resolve(): clip.path.stat() for clip in clips}
    return {str(path): [stat.st_size, stat.st_mtime_ns] for path, stat in sorted(stats.items())}


def _are_there(sources: Sources) -> bool:
    for path, expected in sources.items():
        try:
            stat = os.stat(path)
        except OSError:
            return False
        if [stat.st_size, stat.st_mtime_ns] != expected:
            return False
    return True


def _read_all(files: Sequence[Path]) -> dict[Path, Record]:
    """Records by file; a damaged one, or one of a version that did not note its sources, is none."""
    found = {}
    for file in files:
        try:
            found[file] = Record(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
    return found


def _key_of(clip: str) -> str:
    """A clip without its ending, which follows its level: made again it may be another."""
    return clip.rpartition(".")[0]


def _places(manifest: Path) -> dict[str, str]:
    """Keys of the clips of a manifest, in order, to the clips; none where there is no such table."""
    try:
        with manifest.open(newline="", encoding="utf-8") as handle:
            clips = [row.get("clip") or "" for row in csv.DictReader(handle)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    return {_key_of(clip): clip for clip in clips if clip}
