"""The plan of an audit: which files, in which shards.

A later call adds what is new to it, and takes out what is gone or was changed, with its rows: a changed file is new.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from provenance import listing
from provenance.audit import journal
from provenance.audit.errors import AuditError
from provenance.audit.items import FEWEST_SHARDS, SHARD_SIZE, Item, Shard

FORMAT = 1
_PLAN, _SPOOL, _LOCK = "plan.jsonl", "plan.spool", "lock"


@dataclass(frozen=True)
class Settings:
    """What an audit folder was made for; a rerun must ask for the same.

    Args:
        source: as given.
        model: its reference, with checksum.
        coverage: of a file.
        sample: files drawn at random, or None.
        limit: files taken from the front, or None.
        shuffled: whether shards follow the random order, so that any number of them is a random sample.
        seed: of the random order.
    """

    source: str
    model: str
    coverage: str
    sample: int | None = None
    limit: int | None = None
    shuffled: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Counts:
    """How large an audit is.

    Args:
        n_listed: files of the source.
        n_planned: files in shards.
        n_shards: shards.
        n_repeated: rows of the source that name a file already listed.
        passed: files of the source that were passed over, by ending, as :func:`provenance.listing.sum_up` gives them.
        n_gone: files that the last call took out, for they were gone or changed.
    """

    n_listed: int
    n_planned: int
    n_shards: int
    n_repeated: int
    passed: dict[str, int] = field(default_factory=dict)
    n_gone: int = 0


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold an audit folder, so that two drivers never share one; the lock ends with the process.

    Args:
        out: the folder; made if it is missing.

    Raises:
        AuditError: another audit holds it, or it cannot be written.
    """
    try:
        for folder in (out, out / "parts", out / "journal"):
            folder.mkdir(parents=True, exist_ok=True)
        file = (out / _LOCK).open("w")
    except OSError as error:
        raise AuditError(f"{out}: {error.strerror}; needed: a folder that can be written") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AuditError(f"{out}: another audit is writing here; needed: wait for it, or another --out") from error
        yield


def make(out: Path, settings: Settings, items: Iterable[Item], passed: Mapping[str, int] | None = None) -> Counts:
    """Write the plan of an audit, or add to it what the source holds by now.

    Args:
        out: folder of the audit, locked.
        settings: of this call.
        items: the whole source.
        passed: files of it that are passed over, by ending; read after the items, whose listing may fill it.

    Raises:
        AuditError: the folder was made for other settings, none of its files is left, or a file is named twice with
            claims that differ.
    """
    plan = out / _PLAN
    dated = not plan.exists() or _is_dated(plan)
    known = _known(plan, settings, dated) if plan.exists() else np.zeros(0, np.uint64)
    spool = out / _SPOOL
    try:
        keys, orders, places = _spool(spool, items, settings.seed, dated)
        chosen, n_repeated = _choose(keys, orders, settings)
        if n_repeated:
            _agree(spool, keys, places)
        gone = np.setdiff1d(known, keys if settings.sample is None else keys[chosen])
        if len(gone) and len(gone) == len(known):
            raise AuditError(
                f"{out}: none of the {len(known)} planned files is in {settings.source} as it was; needed: another "
                "--out"
            )
        new = chosen[~np.isin(keys[chosen], known)] if len(known) else chosen
        n_shards = count_shards(out) if len(known) else 0
        left = _take_out(out, set(gone.tolist()), dated) if len(gone) else {}
        if plan.exists():
            settings = replace(settings, shuffled=read_settings(out).shuffled and not len(new))
        scratch = plan.with_suffix(".part")
        with scratch.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"format": FORMAT, "dated": dated, **asdict(settings)}) + "\n")
            if len(known):
                _copy_shards(plan, file, left)
            n_shards += _write_shards(file, spool, places[new], n_shards)
            counts = Counts(
                len(keys) - n_repeated, len(known) - len(gone) + len(new), n_shards, n_repeated,
                listing.sum_up(passed or {}), len(gone),
            )  # fmt: skip
            file.write(json.dumps({"counts": asdict(counts)}) + "\n")
        os.replace(scratch, plan)
    finally:
        spool.unlink(missing_ok=True)
    return counts


def read_settings(out: Path) -> Settings:
    """Return what an audit folder was made for.

    Args:
        out: the folder.

    Raises:
        AuditError: it holds no audit.
    """
    try:
        with (out / _PLAN).open(encoding="utf-8") as file:
            head = json.loads(file.readline())
    except (OSError, ValueError) as error:
        raise AuditError(f"{out}: holds no audit; needed: a folder that 'audit SOURCE --out' wrote") from error
    if head.pop("format", None) != FORMAT:
        raise AuditError(f"{out}: its plan has another format; needed: {FORMAT}")
    head.pop("dated", None)
    return Settings(**head)


def read_counts(out: Path) -> Counts:
    """Return how large an audit is.

    Args:
        out: its folder.
    """
    with (out / _PLAN).open("rb") as file:
        file.seek(max(0, os.path.getsize(out / _PLAN) - 4096))
        last = file.read().splitlines()[-1]
    return Counts(**json.loads(last)["counts"])


def count_shards(out: Path) -> int:
    """Return the number of planned shards.

    Args:
        out: folder of the audit.
    """
    return read_counts(out).n_shards


def read_shards(out: Path) -> Iterator[Shard]:
    """Yield the planned shards, holding one at a time.

    Args:
        out: folder of the audit.
    """
    with (out / _PLAN).open(encoding="utf-8") as file:
        next(file)
        for line in file:
            entry = json.loads(line)
            if "shard" in entry:
                yield Shard(entry["shard"], tuple(Item.from_json(value) for value in entry["items"]))


def _is_dated(plan: Path) -> bool:
    """Whether the plan knows when each file was changed; those of before do not, and go on without."""
    with plan.open(encoding="utf-8") as file:
        return bool(json.loads(file.readline()).get("dated"))


def _key(item: Item, dated: bool) -> bytes:
    return item.key if dated else item.old_key


def _known(plan: Path, settings: Settings, dated: bool) -> npt.NDArray[np.uint64]:
    before = read_settings(plan.parent)
    for name in ("source", "model", "coverage", "seed"):
        was, now = getattr(before, name), getattr(settings, name)
        if was != now:
            raise AuditError(f"{plan.parent}: holds an audit with {name} {was}; found {now}; needed: another --out")
    if (before.sample is None, before.limit is None) != (settings.sample is None, settings.limit is None):
        raise AuditError(
            f"{plan.parent}: was planned with --sample {before.sample} and --limit {before.limit}; needed: the same "
            "kind of choice, or another --out"
        )
    keys = bytearray()
    for shard in read_shards(plan.parent):
        for item in shard.items:
            keys += _key(item, dated)
    return np.frombuffer(keys, np.uint64)


def _take_out(out: Path, gone: set[int], dated: bool) -> dict[int, list[Item]]:
    """Take files out of the parts of their shards; return what stays in each such shard."""
    left: dict[int, list[Item]] = {}
    for shard in read_shards(out):
        stays = [int.from_bytes(_key(item, dated), sys.byteorder) not in gone for item in shard.items]
        if all(stays):
            continue
        left[shard.number] = [item for item, here in zip(shard.items, stays, strict=True) if here]
        part = out / "parts" / f"{shard.name}.parquet"
        journal.clear(out, shard.name)  # its positions are those of the shard as it was
        rows = parquet.read_table(part) if part.exists() else None
        if rows is not None and left[shard.number] and len(rows) == len(stays):  # else it is scored again
            scratch = part.with_suffix(".part")
            parquet.write_table(rows.filter(pa.array(stays)), scratch, compression="zstd")
            os.replace(scratch, part)
        else:
            part.unlink(missing_ok=True)
    return left


def _spool(
    spool: Path, items: Iterable[Item], seed: int, dated: bool
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Write the items to a file; keep of each twenty-four bytes: key, place in the random order, place in the file."""
    keys, orders, places = bytearray(), bytearray(), bytearray()
    with spool.open("wb") as file:
        for item in items:
            keys += _key(item, dated)
            orders += item.order(seed).to_bytes(8, "little")
            places += file.tell().to_bytes(8, "little")
            file.write(json.dumps(item.to_json()).encode() + b"\n")
    return np.frombuffer(keys, np.uint64), np.frombuffer(orders, np.uint64), np.frombuffer(places, np.int64)


def _choose(
    keys: npt.NDArray[np.uint64], orders: npt.NDArray[np.uint64], settings: Settings
) -> tuple[npt.NDArray[np.int64], int]:
    first = np.sort(np.unique(keys, return_index=True)[1])
    n_repeated = len(keys) - len(first)
    if settings.sample is not None or settings.shuffled:
        first = first[np.argsort(orders[first], kind="stable")]
    if settings.sample is not None:
        first = first[: settings.sample]
    if settings.limit is not None:
        first = first[: settings.limit]
    return first, n_repeated


def _agree(spool: Path, keys: npt.NDArray[np.uint64], places: npt.NDArray[np.int64]) -> None:
    """Refuse a source that names a file twice and claims two things of it."""
    first: dict[int, Item] = {}
    values, counts = np.unique(keys, return_counts=True)
    with spool.open("rb") as source:
        for i in np.flatnonzero(np.isin(keys, values[counts > 1])):
            source.seek(int(places[i]))
            item = Item.from_json(json.loads(source.readline()))
            before = first.setdefault(int(keys[i]), item)
            if before.claims != item.claims:
                raise AuditError(f"{item.path}: found it twice with claims that differ; needed: one row a file")


def _copy_shards(plan: Path, file: TextIO, left: Mapping[int, list[Item]]) -> None:
    with plan.open(encoding="utf-8") as old:
        for line in old:
            if not line.startswith('{"shard"'):
                continue
            number = int(line[len('{"shard": ') : line.index(",")])
            if number not in left:
                file.write(line)
            elif left[number]:
                file.write(json.dumps({"shard": number, "items": [item.to_json() for item in left[number]]}) + "\n")


def _write_shards(file: TextIO, spool: Path, places: npt.NDArray[np.int64], number: int) -> int:
    n = 0
    size = min(SHARD_SIZE, max(1, -(-len(places) // FEWEST_SHARDS)))
    with spool.open("rb") as source:
        for start in range(0, len(places), size):
            inside = []
            for place in places[start : start + size]:
                source.seek(int(place))
                inside.append(json.loads(source.readline()))
            file.write(json.dumps({"shard": number + n, "items": inside}) + "\n")
            n += 1
    return n
