"""The unit of work: one function scores a shard and writes its part, in whichever process it is called."""

from __future__ import annotations

import faulthandler
import importlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import parquet

from provenance.audio import Source
from provenance.audit import containers, journal, rows, sidecars
from provenance.audit.items import Item, Shard
from provenance.audit.measure import Meter
from provenance.errors import UnreadableAudio
from provenance.scorer import Coverage, Scorer, Tap
from provenance.verdict import Verdict

DEFAULT_LOADER = "provenance.audit.shard:load_scorer"
MAX_FILE_S = 600.0


class Scores(Protocol):
    """What a shard needs of a scorer."""

    def score(self, source: Source, coverage: Coverage, max_s: float | None, tap: Tap | None) -> Verdict:
        """Return a verdict; see :meth:`provenance.Scorer.score`."""
        ...


@dataclass(frozen=True)
class Options:
    """What every shard of an audit is scored with.

    Args:
        out: folder of the audit, seen by every process.
        model: folder or name of the model; None is the default one.
        coverage: of a file.
        max_s: refuse audio longer than this.
        file_timeout_s: a file that takes longer ends its process, and counts as a death.
        loader: ``module:function`` that returns the scorer for a model.
        base: folder in which the audit was called, where relative places start; '' is that of each process.
    """

    out: str
    model: str | None = None
    coverage: Coverage = "full"
    max_s: float | None = None
    file_timeout_s: float = MAX_FILE_S
    loader: str = DEFAULT_LOADER
    base: str = ""


@dataclass(frozen=True)
class Report:
    """What came of a call.

    Args:
        shard: number.
        written: whether its part is in place; if not, suspects wait for a lone run.
        n_error: files scored in this call that could not be read.
    """

    shard: int
    written: bool
    n_error: int = 0


def load_scorer(model: str | None) -> Scores:
    """Load the scorer of an audit.

    Args:
        model: folder or name of a model; None is the default one.
    """
    return Scorer(model)


def part_path(out: Path, shard: str) -> Path:
    """Return where the part of a shard lies once it is whole.

    Args:
        out: folder of the audit.
        shard: its name.
    """
    return out / "parts" / f"{shard}.parquet"


def score_shard(
    shard: Shard,
    options: Options,
    only: int | None = None,
    scored: Callable[[str], None] | None = None,
) -> Report:
    """Score what is missing of a shard and, if nothing is left open, write its part by write-then-rename.

    Suspects of earlier attempts are passed over, unless one is asked for by ``only``. It may be called again at any
    time, in any process, and twice at once: the part that results is the same.

    Args:
        shard: the files.
        options: of the audit.
        only: score this position and nothing else, and write no part.
        scored: is told the status of every file as it is done.
    """
    out = Path(options.out)
    part = part_path(out, shard.name)
    if count_rows(part) == len(shard.items):
        journal.clear(out, shard.name)
        return Report(shard.number, True)
    state = journal.read(out, shard.name)
    wanted = [only] if only is not None else [i for i in range(len(shard.items)) if i not in state.suspects]
    todo = [i for i in wanted if i not in state.done]
    n_error = 0
    log = journal.Journal(out, shard.name)
    try:
        if todo:
            scorer = _scorer(options.loader, options.model)
        for position in todo:
            log.start(position)
            with _deadline(options.file_timeout_s):
                row = _score(scorer, shard.items[position], options)
            state.done[position] = row
            log.done(position, row)
            n_error += row["status"] == "error"
            if scored is not None:
                scored(row["status"])
    finally:
        log.close()
    if only is not None or len(state.done) < len(shard.items):
        return Report(shard.number, False, n_error)
    write_part(part, [state.done[i] for i in range(len(shard.items))], shard.number)
    journal.clear(out, shard.name)
    return Report(shard.number, True, n_error)


def count_rows(part: Path) -> int:
    """Return how many rows a part has; -1 where it is none, or damaged as by a loss of power.

    Args:
        part: its path.
    """
    try:
        return int(parquet.read_metadata(part).num_rows)
    except (OSError, pa.ArrowException):
        return -1


def write_part(part: Path, found: list[dict[str, Any]], shard: int) -> None:
    """Write a part so that it is there whole or not at all.

    Args:
        part: its final path.
        found: the rows.
        shard: its number.
    """
    part.parent.mkdir(exist_ok=True)
    replace_part(part, rows.to_table(found, shard))


def replace_part(part: Path, table: pa.Table) -> None:
    """Write a table as a part, by write-then-rename.

    Args:
        part: its final path.
        table: its rows.
    """
    scratch = part.with_name(f".{part.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        parquet.write_table(table, scratch, compression="zstd")
        os.replace(scratch, part)
    finally:
        scratch.unlink(missing_ok=True)


def _score(scorer: Scores, item: Item, options: Options) -> dict[str, Any]:
    meter, sha256 = Meter(), None
    try:
        source = containers.fetch(item.seen_from(options.base))
        before = _state(source)
        sha256 = containers.digest(source)
        sidecars.check(item, source)
        verdict = scorer.score(source, options.coverage, options.max_s, meter.see)
        if _state(source) != before:  # then digest and verdict may be of other bytes
            sha256 = None
            found = "a file that was changed while it was read"
            raise UnreadableAudio(item.path, "changed_while_read", found, "files that nobody writes to")
        return rows.ok_row(item, verdict, meter.finish(), sha256)
    except Exception as error:  # one file must not end a batch; the row says what happened
        return rows.error_row(item, error, sha256)


def _state(source: str | io.BytesIO) -> tuple[int, int, int] | None:
    """Return size, date and number of a file; None of bytes, or where there is none."""
    try:
        found = None if isinstance(source, io.BytesIO) else os.stat(source)
    except (OSError, ValueError):
        return None
    return None if found is None else (found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=1)
def _scorer(loader: str, model: str | None) -> Scores:
    module, _, name = loader.partition(":")
    scorer: Scores = getattr(importlib.import_module(module), name)(model)
    return scorer


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer: a thread in C that a stuck decoder cannot hold up."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
