"""What an audit scores: items with a place to read them from and what the vendor claims of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from provenance import flat

SHARD_SIZE = 64
"""Files in a unit of work: small enough to lose without regret, large enough that its part costs nothing."""
FEWEST_SHARDS = 32
"""A small set is cut finer, so that every worker has something to do."""

Kind = Literal["file", "object", "member", "cell"]


@dataclass(frozen=True)
class Claims:
    """What the vendor says of an item; None where nothing is said.

    Args:
        origin: ``studio``, ``separated`` or, as given, a word that is neither.
        processing: ``dry``, ``hybrid``, ``wet`` or, as given, another word.
        pair: links the dry and the wet version of a recording.
        song: what is clustered by.
        singer: who performs.
        stem: ``vocals``, ``drums``, ...
        extra: the other columns, as JSON.
    """

    origin: str | None = None
    processing: str | None = None
    pair: str | None = None
    song: str | None = None
    singer: str | None = None
    stem: str | None = None
    extra: str | None = None

    def to_json(self) -> list[str | None]:
        """Return them as a list for the plan, as short as it can be."""
        values = [self.origin, self.processing, self.pair, self.song, self.singer, self.stem, self.extra]
        while values and values[-1] is None:
            values.pop()
        return values


@dataclass(frozen=True)
class Item:
    """One file to score.

    Args:
        path: how rows and reports name it; unique in an audit.
        kind: ``file`` on this machine, ``object`` in a store, ``member`` of a tar, ``cell`` of a table.
        where: the file, or the container it lies in: a path or a URI.
        start: byte offset of a member, or row group (Parquet) or record batch (Arrow) of a cell.
        length: bytes of a member, or row of a cell in its group.
        n_bytes: size where it is known, else -1.
        claims: of the vendor.
        changed: when the file, or the container it lies in, was changed last, in ns since 1970; 0 where that is not
            known, as of an object that a manifest names.
    """

    path: str
    kind: Kind
    where: str
    start: int = 0
    length: int = 0
    n_bytes: int = -1
    claims: Claims = Claims()
    changed: int = 0

    def seen_from(self, folder: str) -> Item:
        """Return it with a relative place as it is seen from a folder, for a process that stands in another.

        Args:
            folder: in which the audit was called; '' leaves it.
        """
        if not folder or self.kind == "object" or "://" in self.where:
            return self
        return replace(self, where=os.path.join(folder, self.where))

    @property
    def key(self) -> bytes:
        """Eight bytes that stand for place, size and date: the same file under two spellings has one."""
        name = {"file": os.path.abspath(self.where), "object": self.where}.get(self.kind, self.path)
        return _digest(f"{name}\0{self.n_bytes}\0{self.changed}")

    @property
    def old_key(self) -> bytes:
        """The key in plans of before, of path and size alone."""
        return _digest(f"{self.path}\0{self.n_bytes}")

    @property
    def said(self) -> bytes:
        """Eight bytes that stand for what is claimed of it."""
        return _digest(json.dumps(self.claims.to_json()))

    def order(self, seed: int) -> int:
        """Return its place in the random order of a seed: a number that no property of the file predicts.

        Args:
            seed: of the order.
        """
        return int.from_bytes(_digest(f"{seed}\0{self.path}"), "big")

    def to_json(self) -> list[Any]:
        """Return it as a list for the plan."""
        claims = self.claims.to_json()
        return [self.path, self.kind, self.where, self.start, self.length, self.n_bytes, claims, self.changed]

    @classmethod
    def from_json(cls, value: list[Any]) -> Item:
        """Return the item that :meth:`to_json` wrote.

        Args:
            value: such a list.
        """
        path, kind, where, start, length, n_bytes, claims, *changed = value
        return cls(path, kind, where, start, length, n_bytes, Claims(*claims), *changed)


def _digest(text: str) -> bytes:
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a pair of surrogates, which JSON can spell and no file system
        data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=8).digest()


@dataclass(frozen=True)
class Shard:
    """A unit of work.

    Args:
        number: from 0, in the order of the plan.
        items: about 64.
    """

    number: int
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """How its part and its journal are named."""
        return f"{self.number:07d}"


_COLUMNS: dict[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "clip", "audio", "url", "uri"),
    "origin": ("claimed_origin", "origin"),
    "processing": ("claimed_processing", "claimed_wetness", "claimed_dry_wet", "dry_wet", "processing", "wetness"),
    "pair": ("pair_id", "pair", "take_id", "recording_id"),
    "song": ("song_id", "song", "track_id", "track"),
    "singer": ("singer_id", "singer", "vocalist", "performer", "artist"),
    "stem": ("stem", "instrument", "stem_type"),
}
FIELDS = tuple(_COLUMNS)
"""What a column of a manifest can be: ``path`` and the claims."""
_WORDS = {
    "origin": {
        "studio": "studio", "recorded": "studio", "original": "studio", "multitrack": "studio",
        "separated": "separated", "extracted": "separated", "separation": "separated", "ai": "separated",
    },
    "processing": {
        "dry": "dry", "raw": "dry", "unprocessed": "dry", "hybrid": "hybrid", "partial": "hybrid",
        "wet": "wet", "processed": "wet", "mixed": "wet", "produced": "wet",
    },
}  # fmt: skip


def is_understood(field: str, word: str) -> bool:
    """Whether a claim that was read is one that a verdict can be held against.

    Args:
        field: ``origin`` or ``processing``.
        word: of :func:`read_claims`.

    >>> is_understood("origin", "studio"), is_understood("origin", "studio recording")
    (True, False)
    """
    return word in _WORDS[field].values()


def read_object(text: str | bytes) -> dict[str, Any]:
    """Return an object of JSON in which each key stands once: of two the last would speak, unseen.

    Args:
        text: JSON.

    Raises:
        ValueError: it holds something else; the message says what.

    >>> read_object('{"origin": "separated", "origin": "studio"}')
    Traceback (most recent call last):
    ValueError: the key 'origin' twice
    """
    repeated: list[str] = []

    def see(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.extend(filter(None, [find_repeated(key for key, _ in pairs)]))
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=see)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON ({error})") from error
    if not isinstance(found, dict):
        raise ValueError("no object")
    if repeated:
        raise ValueError(f"the key {repeated[0]!r} twice")
    return found


def find_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that is there twice, or None; empty names are none.

    Args:
        names: of columns, or of the keys of an object.
    """
    return next((name for name, n in Counter(names).items() if n > 1 and name.strip()), None)


def choose_columns(names: list[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return which column holds what.

    Args:
        names: the columns there are.
        given: fields to columns, as the user says; the rest is found by usual names.

    Raises:
        KeyError: a given field is unknown, a given column is not there, or two columns differ in nothing but case; the
            message says which.

    >>> choose_columns(["clip", "wetness", "licence"], {})
    {'path': 'clip', 'processing': 'wetness'}
    """
    for field, column in given.items():
        if field not in _COLUMNS:
            raise KeyError(f"found the field {field!r}; needed: one of {', '.join(FIELDS)}")
        if column not in names:
            raise KeyError(f"found no column {column!r}; there are: {', '.join(names)}")
    by_lower: dict[str, list[str]] = {}
    for name in names:
        by_lower.setdefault(name.strip().lower(), []).append(name)
    out = {}
    for field, usual in _COLUMNS.items():
        found = [given[field]] if field in given else next((by_lower[name] for name in usual if name in by_lower), [])
        if len(found) > 1:
            both = f"{found[0]!r} and {found[1]!r}"
            raise KeyError(f"found the columns {both}; needed: one of them, or --column {field}=NAME")
        if found:
            out[field] = found[0]
    return out


def read_claims(row: Mapping[str, Any], columns: Mapping[str, str]) -> Claims:
    """Return what a row of a manifest claims.

    Args:
        row: column names to values.
        columns: as :func:`choose_columns` returns them.
    """
    known = {field: _word(field, row.get(columns[field])) if field in columns else None for field in FIELDS[1:]}
    used = set(columns.values())
    rest = {name: value for name, value in row.items() if name not in used and not _is_empty(value)}
    return Claims(**known, extra=json.dumps(rest, sort_keys=True, default=str) if rest else None)


def _is_empty(value: Any) -> bool:
    """Whether a cell says nothing that text can hold: nothing, no number, or bytes."""
    return value is None or isinstance(value, bytes) or value == "" or value != value


def _word(field: str, value: Any) -> str | None:
    text = "" if value is None else flat.to_utf8(str(value)).strip()
    if text.lower() in ("", "nan", "none", "null", "unknown", "n/a"):
        return None
    return _WORDS.get(field, {}).get(text.lower(), text)
