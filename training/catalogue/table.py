"""One table out of many sources: looked at, named, and each song under one name."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.catalogue import fingerprint, inspect, sources
from training.catalogue.clips import FEWEST_LETTERS, song_key
from training.catalogue.inspect import Facts
from training.catalogue.sources import Part, Song

COLUMNS = (
    "clip", "set", "song_id", "stem", "origin", "separator", "wetness", "sdr_db", "reference", "sample_rate",
    "channels", "duration_s", "source_codec", "source_repo", "source_path", "source_commit", "offset_s",
    "licence", "note",
)  # fmt: skip
"""The columns of a manifest, as the working corpus has them."""
_GENERIC = re.compile(r"(the)?(track|song|take|session|audio|untitled|demo|mix|test|project|part|excerpt|sample)[0-9]*")
_LENGTH_TOLERANCE_S = 0.1


@dataclass(frozen=True)
class Table:
    """The catalogue of all sources.

    Args:
        rows: one for each usable stem, keys :data:`COLUMNS`.
        problems: one line for each file, stem or song that cannot be used, and each song found under two names.
    """

    rows: list[dict[str, str]]
    problems: list[str]


def gather(specs: Sequence[str], journal: Path | None = None) -> Table:
    """Read sources into one table.

    Args:
        specs: as for :func:`training.catalogue.sources.read`.
        journal: file in which what was read is kept, so that the next run need not read it again.

    Raises:
        CatalogueError: a source that is no source at all; a broken song is only reported.
    """
    found = [sources.read(spec) for spec in specs]
    problems = [line for each in found for line in each.problems]
    songs = [song for each in found for song in each.songs]
    known = inspect.Journal(journal)
    usable: list[tuple[Song, list[tuple[Part, Facts]]]] = []
    prints: dict[str, fingerprint.Print] = {}
    seen: set[Path] = set()
    for number, song in enumerate(tqdm(songs, desc="catalogue", unit="song", disable=None)):
        parts = []
        for part in song.parts:
            facts = known.facts(part.path)
            if part.path.resolve() in seen:
                problems.append(f"{part.path}: listed twice; used once")
            elif facts.problem:
                problems.append(f"{part.path}: {facts.problem}; the stem is left out")
            else:
                if facts.warning:
                    problems.append(f"{part.path}: {facts.warning}; what there is is used")
                parts.append((part, facts))
                seen.add(part.path.resolve())
        problems += _about_song(song, parts)
        if not parts:
            continue
        prints[str(number)] = _print_of(parts)
        usable.append((song, parts))
    names = _names(usable, {k: p for k, p in prints.items() if len(p)}, list(prints), problems)
    rows = [_row(song, names[k], part, facts) for k, (song, parts) in enumerate(usable) for part, facts in parts]
    return Table(rows, problems)


def write(table: Table, out: Path) -> None:
    """Write the table as a manifest, by write-then-rename; paths below its folder become relative to it.

    Args:
        table: the catalogue.
        out: a CSV file, which :func:`training.catalogue.load` reads.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(f".{os.getpid()}.part")
    with part.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        for row in table.rows:
            writer.writerow(
                {**row, "clip": relative(row["clip"], out.parent), "reference": relative(row["reference"], out.parent)}
            )
    os.replace(part, out)


def relative(path: str, folder: Path) -> str:
    """Return a path as a manifest in ``folder`` names it: relative where it lies below it.

    Args:
        path: absolute, or empty.
        folder: the manifest's.
    """
    if not path:
        return ""
    try:
        return Path(path).resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return str(Path(path).resolve())


def _about_song(song: Song, parts: list[tuple[Part, Facts]]) -> list[str]:
    where = f"{song.source}, {song.name}"
    lines = []
    if song.missing:
        lines.append(f"{where}: found no {', '.join(song.missing)}; the other stems are used")
    stems = [(part, facts) for part, facts in parts if part.row is None]
    lengths = [facts.duration_s for _, facts in stems]
    if lengths and max(lengths) - min(lengths) > _LENGTH_TOLERANCE_S:
        lines.append(
            f"{where}: found stems of {min(lengths):.1f} to {max(lengths):.1f} s; mixes of it end with the shortest"
        )
    rates = sorted({facts.sample_rate for _, facts in stems})
    if len(rates) > 1:
        lines.append(f"{where}: found rates of {', '.join(map(str, rates))} Hz; all are read at 44100 Hz")
    if not parts:
        lines.append(f"{where}: no stem of it can be used; the song is left out")
    return lines


def _print_of(parts: list[tuple[Part, Facts]]) -> fingerprint.Print:
    """Of the song's mix where there is one, else of the sum of its stems; of excerpts cut apart, there is no sum."""
    if all("rir" in (part.stem, (part.row or {}).get("set")) for part, _ in parts):
        return fingerprint.compute(np.zeros((0, 1), np.float32))
    mixes = [part.path for part, _ in parts if part.stem == "mix"]
    stems = [p.path for p, _ in parts if p.wetness != "dry" and not (p.row or {}).get("separator")]
    return fingerprint.compute(inspect.mix_of(mixes[:1] or stems or [parts[0][0].path]))


def _names(
    usable: list[tuple[Song, list[tuple[Part, Facts]]]],
    prints: dict[str, fingerprint.Print],
    numbers: list[str],
    problems: list[str],
) -> list[str]:
    """Give songs that are one and the same one name, and songs that only share a bland name two."""
    parent = list(range(len(usable)))

    def find(k: int) -> int:
        while parent[k] != k:
            k = parent[k]
        return k

    def join(a: int, b: int, why: str) -> None:
        a, b = sorted((find(a), find(b)))
        if a != b:
            parent[b] = a
            (one, _), (two, _) = usable[a], usable[b]
            if song_key(one.name) != song_key(two.name):
                problems.append(
                    f"{two.source}, {two.name}: the same song as {one.source}, {one.name} ({why}); both go by one name"
                )

    by_name: dict[str, int] = {}
    by_digest: dict[str, int] = {}
    for k, (song, parts) in enumerate(usable):
        key = song_key(song.name)
        if len(key) >= FEWEST_LETTERS and not _GENERIC.fullmatch(key):
            join(by_name.setdefault(key, k), k, "its name")
        for _, facts in parts:
            join(by_digest.setdefault(facts.digest, k), k, "the same samples")
    index = {number: k for k, number in enumerate(numbers)}
    for one, two in fingerprint.pairs(prints):
        join(index[one], index[two], "its sound")
    groups: dict[int, list[int]] = defaultdict(list)
    for k in range(len(usable)):
        groups[find(k)].append(k)
    names = [""] * len(usable)
    for head, members in groups.items():
        song = usable[head][0]
        key = song_key(song.name)
        bland = len(key) < FEWEST_LETTERS or _GENERIC.fullmatch(key)
        full = f"{song.source} {song.name}" if bland else song.name
        for k in members:
            names[k] = full if len(song_key(full)) >= FEWEST_LETTERS else f"untitled song {full}"
    return names


def _row(song: Song, name: str, part: Part, facts: Facts) -> dict[str, str]:
    own = {key: part.row.get(key) or "" for key in COLUMNS} if part.row else dict.fromkeys(COLUMNS, "")
    own |= {
        "clip": str(part.path.resolve()),
        "song_id": name,
        "stem": own["stem"] or part.stem,
        "sample_rate": str(facts.sample_rate),
        "channels": str(facts.channels),
        "duration_s": f"{facts.duration_s:.3f}",
        "source_codec": own["source_codec"] or part.codec or facts.codec,
        "licence": own["licence"] or song.licence,
    }
    if not part.row:
        own |= {
            "set": "dry" if part.wetness == "dry" else "pairs",
            "origin": "unknown" if part.stem == "mix" else "studio",
            "wetness": part.wetness,
            "source_repo": f"{song.source}/{song.name}" if part.by_song else song.source,
            "source_path": f"{song.name}/{part.path.name}",
            "note": part.note,
        }
    return own
