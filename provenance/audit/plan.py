"""The plan of an audit: which files, in which shards.

A later call adds what is new to it, and takes out what is gone or was changed, with its rows: a changed file is new.
What is claimed otherwise by now is written into the rows, without scoring anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from provenance import listing
from provenance.audit import spool
from provenance.audit.amend import amend, copy_shards
from provenance.audit.errors import AuditError
from provenance.audit.items import FEWEST_SHARDS, SHARD_SIZE, Item, Shard

FORMAT = 1
PLAN, _SPOOL, _LOCK = "plan.jsonl", "plan.spool", "lock"
MARKS = frozenset({_LOCK, "parts", "journal"})
"""What the folder of an audit holds from its first moment on; what it writes there is no part of a source around it."""


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
        n_restated: files of which the source claims something else since the last call.
    """

    n_listed: int
    n_planned: int
    n_shards: int
    n_repeated: int
    passed: dict[str, int] = field(default_factory=dict)
    n_gone: int = 0
    n_restated: int = 0


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
        AuditError: the folder was made for other settings or a larger sample, none of its files is left, or a file is
            named twice with claims that differ.
    """
    plan = out / PLAN
    before = read_settings(out) if plan.exists() else None
    dated = before is None or _is_dated(plan)
    known, known_said = _known(plan, before, settings, dated) if before else (np.zeros(0, np.uint64),) * 2
    held = out / _SPOOL
    try:
        listed = spool.spool(held, items, settings.seed, dated)
        keys = listed.keys
        chosen = spool.choose(listed, settings.shuffled, settings.sample, settings.limit)
        n_repeated = spool.agree(listed)
        gone = np.setdiff1d(known, keys if settings.sample is None else keys[chosen])
        if len(gone) and len(gone) == len(known) and not _overlap(out, held):
            raise AuditError(
                f"{out}: none of the {len(known)} planned files is in {settings.source} as it was; needed: another "
                "--out"
            )
        new = chosen[~np.isin(keys[chosen], known)] if len(known) else chosen
        first = _first(known, keys)
        stays = (first >= 0) & ~np.isin(known, gone)
        restated = stays & (known_said != listed.said[first])
        n_shards = count_shards(out) if len(known) else 0
        amended = {}
        if len(gone) or restated.any():
            read = dict(zip(known[restated].tolist(), listed.places[first[restated]].tolist(), strict=True))
            amended = _amend(out, held, set(gone.tolist()), read, dated)
        if before:
            behind, added = listed.orders[first[stays]], listed.orders[new]
            in_order = not len(added) or not len(behind) or added.min() > behind.max()
            settings = replace(settings, shuffled=before.shuffled and bool(in_order))
        scratch = plan.with_suffix(".part")
        with scratch.open("w", encoding="utf-8") as file:
            begun = read_begun(out) if before else datetime.now(UTC).isoformat(timespec="seconds")
            file.write(json.dumps({"format": FORMAT, "dated": dated, **asdict(settings)}) + "\n")
            file.write(json.dumps({"begun": begun}) + "\n")  # a line of its own, which programs of before pass over
            if before:
                copy_shards(plan, file, amended)
            n_shards += _write_shards(file, held, listed.places[new], n_shards)
            counts = Counts(
                len(keys) - n_repeated, len(known) - len(gone) + len(new), n_shards, n_repeated,
                listing.sum_up(passed or {}), len(gone), int(restated.sum()),
            )  # fmt: skip
            file.write(json.dumps({"counts": asdict(counts)}) + "\n")
        os.replace(scratch, plan)
    finally:
        held.unlink(missing_ok=True)
    return counts


def read_settings(out: Path) -> Settings:
    """Return what an audit folder was made for.

    Args:
        out: the folder.

    Raises:
        AuditError: it holds no audit.
    """
    try:
        with (out / PLAN).open(encoding="utf-8") as file:
            head = json.loads(file.readline())
    except (OSError, ValueError) as error:
        raise AuditError(f"{out}: holds no audit; needed: a folder that 'audit SOURCE --out' wrote") from error
    if head.pop("format", None) != FORMAT:
        raise AuditError(f"{out}: its plan has another format; needed: {FORMAT}")
    head.pop("dated", None)
    return Settings(**head)


def read_begun(out: Path) -> str | None:
    """Return when an audit was begun, in UTC; None of one by a program that did not write it down.

    Args:
        out: its folder.
    """
    with (out / PLAN).open(encoding="utf-8") as file:
        next(file)
        begun: str | None = json.loads(file.readline()).get("begun")
    return begun


def read_counts(out: Path) -> Counts:
    """Return how large an audit is.

    Args:
        out: its folder.
    """
    with (out / PLAN).open("rb") as file:
        file.seek(max(0, os.path.getsize(out / PLAN) - 4096))
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
    with (out / PLAN).open(encoding="utf-8") as file:
        next(file)
        for line in file:
            entry = json.loads(line)
            if "shard" in entry:
                yield Shard(entry["shard"], tuple(Item.from_json(value) for value in entry["items"]))


def _is_dated(plan: Path) -> bool:
    """Whether the plan knows when each file was changed; those of before do not, and go on without."""
    with plan.open(encoding="utf-8") as file:
        return bool(json.loads(file.readline()).get("dated"))


def _choice(settings: Settings) -> str:
    given = [f"{name} {n}" for name, n in (("--sample", settings.sample), ("--limit", settings.limit)) if n is not None]
    return f"with {' and '.join(given)}" if given else "of all files"


def _known(
    plan: Path, before: Settings, settings: Settings, dated: bool
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the keys of the planned files, and what stands for their claims."""
    for name in ("source", "model", "coverage", "seed"):
        was, now = getattr(before, name), getattr(settings, name)
        if was != now:
            raise AuditError(f"{plan.parent}: holds an audit with {name} {was}; found {now}; needed: another --out")
    if (before.sample is None, before.limit is None) != (settings.sample is None, settings.limit is None):
        raise AuditError(
            f"{plan.parent}: was planned {_choice(before)}; found one {_choice(settings)}; needed: the same kind of "
            "choice, or another --out"
        )
    if before.sample is not None and settings.sample is not None and settings.sample < before.sample:
        raise AuditError(
            f"{plan.parent}: holds a sample of {before.sample}; found --sample {settings.sample}; needed: as many or "
            "more, or another --out"
        )
    keys, said = bytearray(), bytearray()
    for shard in read_shards(plan.parent):
        for item in shard.items:
            keys += spool.key(item, dated)
            said += item.said
    return np.frombuffer(keys, np.uint64), np.frombuffer(said, np.uint64)


def _first(known: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return where in ``keys`` each known one comes first; -1 where it does not."""
    values, index = np.unique(keys, return_index=True)
    at = np.minimum(np.searchsorted(values, known), max(0, len(values) - 1))
    return np.where(values[at] == known, index[at], -1) if len(values) else np.full(len(known), -1)


def _overlap(out: Path, held: Path) -> bool:
    """Whether a source holds members or cells named as planned ones: all of a container have its date."""
    planned = {item.path for shard in read_shards(out) for item in shard.items if item.kind in ("member", "cell")}
    with held.open("rb") as source:
        return bool(planned) and any(Item.from_json(json.loads(line)).path in planned for line in source)


def _amend(out: Path, held: Path, gone: set[int], restated: Mapping[int, int], dated: bool) -> dict[int, list[Item]]:
    """Amend every shard that holds files which are gone, or of which something else is claimed by now.

    Args:
        out: folder of the audit.
        held: what the source holds by now.
        gone: keys.
        restated: keys to places in it.
        dated: as the plan's keys are.
    """
    amended = {}
    with held.open("rb") as source:

        def now(item: Item) -> Item | None:
            key = int.from_bytes(spool.key(item, dated), sys.byteorder)
            if key in gone or key not in restated:
                return None if key in gone else item
            source.seek(restated[key])
            return replace(item, claims=Item.from_json(json.loads(source.readline())).claims)

        for shard in read_shards(out):
            left = amend(out, shard, now)
            if left is not None:
                amended[shard.number] = left
    return amended


def _write_shards(file: TextIO, held: Path, places: npt.NDArray[np.int64], number: int) -> int:
    n = 0
    size = min(SHARD_SIZE, max(1, -(-len(places) // FEWEST_SHARDS)))
    with held.open("rb") as source:
        for start in range(0, len(places), size):
            inside = []
            for place in places[start : start + size]:
                source.seek(int(place))
                inside.append(json.loads(source.readline()))
            file.write(json.dumps({"shard": number + n, "items": inside}) + "\n")
            n += 1
    return n
