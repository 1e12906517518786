"""The same performance twice: candidates by common landmarks, each checked on its audio."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb

from provenance import audio
from provenance.audio import Samples
from provenance.audit import containers, mixes, store, stores
from provenance.audit.items import SHARD_SIZE, Item
from provenance.errors import UnreadableAudio
from provenance.pairs.compare import MIN_OVERLAP_S, Pair, Side, compare_samples, place, weigh_origins
from provenance.pairs.heads import Head, read_head

MIN_VOTES = 8
"""Landmarks in common at one offset: clips of different songs of the corpus had at most five."""
_FIRST_VOTES = 2
_AHEAD = 3
"""A landmark is joined with so many that follow it in time: alone it is found in one song of fifty."""
_FEW_LANDMARKS = 800_000
"""Up to so many landmarks, of 5,000 files, each counts alone as well."""
_MAX_MARKS = 3_000_000
_COMMON = 60
"""What is found in more files than this, copies aside, tells nothing."""
MAX_CANDIDATES = 2_000
_ALL_ALIKE = 0.7
"""Two stems of one song are candidates if so many of their landmarks are common, as those of a copy are."""
LEAST_COPIED = 20
"""Landmarks from which two files that have them all in common, each at its time, hold the same recording."""
MOST_VERSIONS = 3
"""A pair id that more files have is no pair: dry, hybrid and wet are versions of one recording."""
READ_S = 30.0
SOUNDING_RMS = 1e-3
"""Level from which a stretch sounds: above the floor that separators leave in pauses."""


@dataclass(frozen=True)
class Candidate:
    """Two files with common landmarks.

    Args:
        first, second: their rows, with ``mix``: whether they are called a whole mix.
        votes: landmarks in common at one offset.
    """

    first: dict[str, Any]
    second: dict[str, Any]
    votes: int

    @property
    def of_song(self) -> bool:
        """Whether they are claimed to be two stems of one song."""
        song, stem = ([str(row[of] or "").lower() for row in (self.first, self.second)] for of in ("song", "stem"))
        return bool(song[0] and song[0] == song[1] and all(stem) and stem[0] != stem[1])


def is_pair(table: str) -> str:
    """Return the condition in SQL that a row's pair id links a few versions, and not all that a vendor sells.

    Args:
        table: name of a table with ``pair`` and ``path``.
    """
    few = f"select pair from stems where pair is not null group by pair having count(*) <= {MOST_VERSIONS}"
    return f"coalesce({table}.pair in ({few}), false)"


def find_copies(db: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return every file whose bytes, or all of whose landmarks, an earlier one has too, however many do.

    Those of equal landmarks differ in gain, coding or tags at most. Makes the table ``copied`` (id, first_id), by which
    :func:`find_candidates` looks at one file of each such group.

    Args:
        db: rows of an audit.

    Returns:
        For each its ``path`` and ``duration_s``, the path of the ``first`` of its group, and ``is_equal``: whether
        the bytes are.
    """
    db.execute(f"""
        create or replace temp table copied as
        with files as (
            select shard * {SHARD_SIZE} + position as id, path, duration_s, sha256, coalesce(
                if(len(landmarks) >= {LEAST_COPIED}, hash(landmarks, landmark_frames)::varchar, null), sha256) as same
            from stems where status = 'ok')
        select id, path, duration_s, first_value(id) over alike as first_id, first_value(path) over alike as first,
            coalesce(sha256 = first_value(sha256) over alike, false) as is_equal
        from files where same is not null window alike as (partition by same order by path, id)
        qualify id <> first_id""")
    return store.fetch(db, "select path, duration_s, first, is_equal from copied order by first, path")


def find_groups(db: duckdb.DuckDBPyConnection) -> list[list[dict[str, Any]]]:
    """Return the copies of each recording of which some are claimed to be separated, and some are not.

    Args:
        db: rows of an audit, with the table of :func:`find_copies`.

    Returns:
        For each such recording its files, with ``path``, ``duration_s`` and ``claimed_origin``.
    """
    found = store.fetch(
        db,
        f"""
        with members as (select id, first_id as one from copied union select first_id, first_id from copied)
        select list(struct_pack(path, duration_s, claimed_origin) order by path) as files
        from members join stems on stems.shard * {SHARD_SIZE} + stems.position = members.id
        group by one
        having bool_or(coalesce(claimed_origin, '') = 'separated') and
            bool_or(coalesce(claimed_origin, '') <> 'separated')
        order by min(path)""",
    )
    return [row["files"] for row in found]


def find_candidates(db: duckdb.DuckDBPyConnection) -> list[Candidate]:
    """Return pairs of files with many landmarks in common at one offset, most first.

    Args:
        db: rows of an audit, with the table of :func:`find_copies`; without it copies are looked at like all others.

    Returns:
        At most 2,000 pairs. Versions that a claimed pair id links, or two stems of one song, are not among them, save
        stems of which nearly all is common; a pair id of more than three files links none.
    """
    db.execute("create temp table if not exists copied (id bigint, path varchar)")
    n = store.fetch(db, "select coalesce(sum(len(landmarks)), 0)::bigint n from stems where status = 'ok'")[0]["n"]
    ahead = range(0 if n <= _FEW_LANDMARKS else 1, _AHEAD + 1)
    one_in = max(1, math.ceil(n * len(ahead) / _MAX_MARKS))
    joined = " union all ".join(
        f"select id, unnest(marks[:-{k + 1}]) as x, unnest(marks[{k + 1}:]) as y from sorted" for k in ahead
    )
    db.execute(f"""
        create or replace temp table marks as
        with sorted as (
            select shard * {SHARD_SIZE} + position as id, list_sort(list_transform(list_zip(landmark_frames, landmarks),
                lambda m: (m[1]::ubigint << 32) + m[2])) as marks
            from stems where status = 'ok' and len(landmarks) > {_AHEAD}
                and shard * {SHARD_SIZE} + position not in (select id from copied)),
        raw as (
            select id, hash(x & 4294967295, y & 4294967295, (y >> 32) - (x >> 32)) as h, (x >> 32)::int as t
            from ({joined}))
        select id, h, t from raw where h % {one_in} = 0""")
    db.execute(f"""
        create or replace temp table hints as
        with few as (select h from marks group by h having count(*) between 2 and {_COMMON}),
        kept as (select * from marks where h in (select h from few))
        select a.id as a, b.id as b from kept a join kept b on a.h = b.h and a.id < b.id
        group by a.id, b.id, a.t - b.t having count(*) >= {_FIRST_VOTES}""")
    db.execute("create or replace temp table hints as select distinct a, b from hints")
    db.execute("drop table marks")
    db.execute(f"""
        create or replace temp table whole as
        select shard * {SHARD_SIZE} + position as id, unnest(landmarks) as h, unnest(landmark_frames)::int as t
        from stems where shard * {SHARD_SIZE} + position in (select a from hints union select b from hints)""")
    db.execute("create or replace temp table halves as select a, b, h, t from hints join whole on whole.id = hints.a")
    db.execute(f"""
        create or replace temp table votes as
        with counted as (
            select a, b, halves.t - whole.t as d, count(*) as n
            from halves join whole on whole.id = halves.b and whole.h = halves.h
            group by all),
        smooth as (
            select a, b, n + coalesce(lead(n) over (partition by a, b order by d)
                * (lead(d) over (partition by a, b order by d) = d + 1)::int, 0) as n
            from counted)
        select a, b, max(n) as n from smooth group by a, b having max(n) >= {MIN_VOTES}""")
    db.execute(f"""
        create or replace temp view named as
        select shard * {SHARD_SIZE} + position as id, lower(song) as song, lower(stem) as stem,
            len(landmarks) as marks, if({is_pair("stems")}, pair, null) as version
        from stems""")
    fields = "path, kind, source, source_start, source_length, n_bytes, sha256, duration_s, origin, p_separated, " \
             "p_wet, processing, claimed_origin, claimed_processing, pair, song, stem"  # fmt: skip
    rows = store.fetch(
        db,
        f"""
        with these as (
            select votes.* from votes
                join named x on x.id = votes.a join named y on y.id = votes.b
            where not coalesce(x.version = y.version, false)
                and (n >= {_ALL_ALIKE} * least(x.marks, y.marks)
                    or not coalesce(x.song = y.song and x.stem <> y.stem, false))
            order by n desc, a, b limit {MAX_CANDIDATES})
        select these.n as votes, struct_pack({_packed("x", fields)}, mix := {mixes.is_mix("x")}) as x,
            struct_pack({_packed("y", fields)}, mix := {mixes.is_mix("y")}) as y
        from these join stems x on x.shard * {SHARD_SIZE} + x.position = these.a
            join stems y on y.shard * {SHARD_SIZE} + y.position = these.b
        order by votes desc, x.path, y.path""",
    )
    return [Candidate(row["x"], row["y"], row["votes"]) for row in rows]


def check(candidates: Iterable[Candidate], most: int, until: float) -> list[tuple[Candidate, Pair | None]]:
    """Compare candidates by their audio while time lasts.

    Args:
        candidates: in the order of their weight.
        most: comparisons at most.
        until: ``time.monotonic()`` at which to stop.

    Returns:
        Each candidate with what the comparison found; None where it was not made.
    """
    out: list[tuple[Candidate, Pair | None]] = []
    for i, candidate in enumerate(candidates):
        wanted = i < most and time.monotonic() < until
        out.append((candidate, compare_rows(candidate.first, candidate.second) if wanted else None))
    return out


def compare_rows(first: dict[str, Any], second: dict[str, Any]) -> Pair | None:
    """Compare two rows by their audio; None where one can no longer be read, was changed since or is too short.

    Args:
        first, second: rows with where the audio lies and what the verdict was.
    """
    a, b = (read_sounding(row, READ_S) for row in (first, second))
    if a is None or b is None or min(len(a.samples), len(b.samples)) < MIN_OVERLAP_S * audio.SAMPLE_RATE_HZ:
        return None
    sides = [
        Side(row["path"], len(head.samples) / audio.SAMPLE_RATE_HZ, None, None, None, row.get("origin"),
             row.get("p_separated"), row.get("p_wet"))
        for row, head in zip((first, second), (a, b), strict=True)
    ]  # fmt: skip
    return weigh_origins(place(compare_samples(a.samples, b.samples, sides[0], sides[1]), a, b, READ_S))


def read_sounding(row: dict[str, Any], max_s: float, start_samples: int | None = None) -> Head | None:
    """Read the audio of a row once more, from where it begins to sound; None where that fails or it was changed since.

    Args:
        row: as for :func:`read_row`.
        max_s: so much of it.
        start_samples: where to begin, at 44.1 kHz; None is where it begins to sound, or 0 of what is quiet throughout.
    """
    try:
        source = _fetch(row)
        head = read_head(source, max_s, SOUNDING_RMS, start_samples)
        return head if len(head.samples) or start_samples is not None else read_head(source, max_s, 0.0)
    except UnreadableAudio:
        return None


def read_row(row: dict[str, Any], max_s: float = READ_S) -> Samples | None:
    """Read the audio of a row once more; None where that fails or it was changed since.

    Args:
        row: with ``path``, ``kind``, ``source``, ``source_start``, ``source_length``, ``n_bytes``,
            ``sha256``.
        max_s: so much of it.
    """
    try:
        return audio.read(_fetch(row), max_s)[1]
    except UnreadableAudio:
        return None


def _fetch(row: dict[str, Any]) -> str | io.BytesIO:
    """Return where the audio of a row is read, if it is what was scored: by its digest, or its size where it has none.

    Raises:
        UnreadableAudio: it is not there, or another.
    """
    source = containers.fetch(_item(row))
    if row.get("sha256") is not None:
        is_same = _digest(source) == row["sha256"]
    elif isinstance(source, str) and row.get("n_bytes") is not None:
        is_same = stores.facts_of(source)[0] == row["n_bytes"]
    else:
        is_same = True
    if not is_same:
        raise UnreadableAudio(row["path"], "changed", "other bytes than were scored", "the file that was scored")
    return source


def _digest(source: str | io.BytesIO) -> str | None:
    if isinstance(source, io.BytesIO):
        return containers.digest(source)
    return _digest_of_file(source, *stores.facts_of(source))


@lru_cache(maxsize=1024)
def _digest_of_file(path: str, n_bytes: int, changed: int) -> str | None:
    """Return the digest of a file of a size and date; a stem is read several times and digested once."""
    return containers.digest(path)


def _item(row: dict[str, Any]) -> Item:
    n_bytes = -1 if row.get("n_bytes") is None else row["n_bytes"]
    where = stores.find_spelt(row["source"])
    return Item(row["path"], row["kind"], where, row["source_start"], row["source_length"], n_bytes)


def relation(candidate: Candidate, pair: Pair | None) -> str:
    """Name what two files of one performance are to each other.

    Args:
        candidate: the rows.
        pair: what the comparison found.

    Returns:
        ``copy``, ``part_of_mix`` (one of them is called a mix), ``stems_of_song``, ``separated_version``,
        ``processed_version``, ``same_take``, or ``unchecked``.
    """
    if pair is None:
        return "unchecked"
    if pair.copy:
        return "copy"
    if candidate.first["mix"] != candidate.second["mix"]:
        return "part_of_mix"
    if candidate.of_song:
        return "stems_of_song"
    origins = {candidate.first["origin"], candidate.second["origin"]}
    if origins == {"studio", "separated"}:
        return "separated_version"
    if pair.dry in ("first", "second"):
        return "processed_version"
    return "same_take"


def _packed(table: str, fields: str) -> str:
    return ", ".join(f"{name} := {table}.{name}" for name in fields.split(", "))
