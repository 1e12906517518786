"""The plan of an audit: which files, in which shards; written once, and only ever added to."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from provenance import listing
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
    """

    n_listed: int
    n_planned: int
    n_shards: int
    n_repeated: int
    passed: dict[str, int] = field(default_factory=dict)


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
        AuditError: the folder was made for other settings, or planned files are no longer in the source.
    """
    plan = out / _PLAN
    known = _known(plan, settings) if plan.exists() else np.zeros(0, np.uint64)
    spool = out / _SPOOL
    try:
        keys, orders, places = _spool(spool, items, settings.seed)
        chosen, n_repeated = _choose(keys, orders, settings)
        missing = np.setdiff1d(known, keys if settings.sample is None else keys[chosen])
        if len(missing):
            raise AuditError(
                f"{out}: {len(missing)} of {len(known)} planned files are no longer in {settings.source}, or changed "
                "their size, or are no longer of the sample; needed: another --out"
            )
        new = chosen[~np.isin(keys[chosen], known)] if len(known) else chosen
        n_shards = count_shards(out) if len(known) else 0
        if plan.exists():
            settings = replace(settings, shuffled=read_settings(out).shuffled and not len(new))
        scratch = plan.with_suffix(".part")
        with scratch.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"format": FORMAT, **asdict(settings)}) + "\n")
            if len(known):
                _copy_shards(plan, file)
            n_shards += _write_shards(file, spool, places[new], n_shards)
            counts = Counts(
                len(keys) - n_repeated, len(known) + len(new), n_shards, n_repeated, listing.sum_up(passed or {})
            )
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


def _known(plan: Path, settings: Settings) -> npt.NDArray[np.uint64]:
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
            keys += item.key
    return np.frombuffer(keys, np.uint64)


def _spool(
    spool: Path, items: Iterable[Item], seed: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Write the items to a file; keep of each twenty-four bytes: key, place in the random order, place in the file."""
    keys, orders, places = bytearray(), bytearray(), bytearray()
    with spool.open("wb") as file:
        for item in items:
            keys += item.key
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


def _copy_shards(plan: Path, file: TextIO) -> None:
    with plan.open(encoding="utf-8") as old:
        for line in old:
            if line.startswith('{"shard"'):
                file.write(line)


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
