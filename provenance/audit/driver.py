"""The driver: keeps an engine busy, runs suspects again alone, and leaves no file without a row."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from provenance.audit import again, journal, plan, rows
from provenance.audit.engine import Engine, Event
from provenance.audit.errors import AuditError
from provenance.audit.items import Shard
from provenance.audit.shard import count_rows, part_path

LONE_TRIES = 3
"""A file is blamed when so many processes that did nothing else have died on it."""
MAX_IDLE_DEATHS = 5
"""Deaths in a row with no file in flight: then the workers themselves do not run."""
_POLL_S = 0.5


@dataclass
class Progress:
    """How far an audit is.

    Args:
        n_planned: files.
        n_done: files with a row, those of earlier runs among them.
        n_error: files of this run that could not be read.
        n_deaths: worker deaths of this run.
        stopped: whether the budget ended it.
    """

    n_planned: int
    n_done: int = 0
    n_error: int = 0
    n_deaths: int = 0
    stopped: bool = False


def drive(
    out: Path,
    engine: Engine,
    until: float | None = None,
    told: Callable[[Progress], None] | None = None,
) -> Progress:
    """Score every planned shard whose part is missing.

    Args:
        out: folder of the audit, planned and locked.
        engine: that runs shards.
        until: ``time.monotonic()`` from which no new shard is started, or None.
        told: is told how far it is, often.

    Raises:
        AuditError: workers cannot work at all, or a shard's call failed.
    """
    run = _Run(out, engine, until, told)
    run.sweep()
    run.settle()
    return run.progress


class _Run:
    def __init__(self, out: Path, engine: Engine, until: float | None, told: Callable[[Progress], None] | None) -> None:
        self.progress = Progress(plan.read_counts(out).n_planned)
        self._out, self._engine, self._until, self._told = out, engine, until, told
        self._flying: dict[int, Shard] = {}
        self._suspected: dict[int, Shard] = {}
        self._idle_deaths = 0
        self._scored: dict[int, int] = {}

    def sweep(self) -> None:
        """Run every missing shard once; those that died run on without their suspects."""
        waiting: deque[Shard] = deque()
        missing = self._missing()
        while True:
            while len(self._flying) < self._engine.n_slots:
                shard = waiting.popleft() if waiting else self._next(missing)
                if shard is None:
                    break
                self._submit(shard)
            if not self._flying:
                return
            for event in self._engine.wait(_POLL_S):
                shard = self._take(event)
                if shard is None:
                    continue
                if event.kind == "died":
                    self._note_death(shard, event)
                    waiting.append(shard)
                elif event.report is not None and not event.report.written:
                    self._suspected[shard.number] = shard
            self._tell()

    def settle(self) -> None:
        """Run each suspect alone, nothing beside it; then let its shard be written."""
        for shard in self._suspected.values():
            state = journal.read(self._out, shard.name)
            for position in state.suspects:
                self._settle_one(shard, position, state.deaths.get(position, 0))
            self._submit(shard)
            while self._flying:
                for event in self._engine.wait(_POLL_S):
                    taken = self._take(event)
                    if taken is not None and event.kind == "died":
                        self._note_death(taken, event)
                        self._submit(taken)
            self._tell()

    def _settle_one(self, shard: Shard, position: int, n_deaths: int) -> None:
        how = "its process ended in earlier runs"
        while n_deaths < LONE_TRIES:
            self._submit(shard, position)
            died = False
            while self._flying:
                for event in self._engine.wait(_POLL_S):
                    if self._take(event) is not None and event.kind == "died":
                        died, how = True, event.text
            self._tell()
            if not died:
                return
            self.progress.n_deaths += 1
            n_deaths += 1
            self._write(shard, lambda log: log.died(position))
        row = rows.crashed_row(shard.items[position], how)
        self._write(shard, lambda log: log.done(position, row))
        self.progress.n_error += 1

    def _write(self, shard: Shard, entry: Callable[[journal.Journal], None]) -> None:
        log = journal.Journal(self._out, shard.name)
        entry(log)
        log.close()

    def _missing(self) -> Iterator[Shard]:
        for shard in plan.read_shards(self._out):
            part = part_path(self._out, shard.name)
            if count_rows(part) != len(shard.items) or again.is_again(part):
                yield shard
            else:
                self.progress.n_done += len(shard.items)

    def _open(self, shard: Shard) -> None:
        """Take away the part of a shard that is to be scored: its good rows go back into a journal."""
        part = part_path(self._out, shard.name)
        if count_rows(part) == len(shard.items):
            again.reopen(part, self._out, shard)
        part.unlink(missing_ok=True)  # damaged, or of a call that was killed while it took out rows

    def _next(self, missing: Iterator[Shard]) -> Shard | None:
        if self._until is not None and time.monotonic() >= self._until:
            self.progress.stopped = self.progress.stopped or next(missing, None) is not None
            self._until = float("-inf")
            return None
        shard = next(missing, None)
        if shard is not None:
            self._open(shard)
        return shard

    def _submit(self, shard: Shard, only: int | None = None) -> None:
        self._flying[shard.number] = shard
        self._scored.setdefault(shard.number, 0)
        self._engine.submit(shard, only)

    def _take(self, event: Event) -> Shard | None:
        """Count an event; return the shard if its call is over."""
        if event.kind == "scored":
            self._idle_deaths = 0
            self.progress.n_done += event.n
            self._scored[event.shard] += event.n
            return None
        shard = self._flying.pop(event.shard)
        if event.kind == "failed":
            raise AuditError(f"shard {event.shard}: {event.text}; what is scored is kept: run the same command again")
        if event.report is not None:
            self.progress.n_error += event.report.n_error
        if event.report is not None and event.report.written:
            self.progress.n_done += len(shard.items) - self._scored.pop(event.shard)
        return shard

    def _note_death(self, shard: Shard, event: Event) -> None:
        self.progress.n_deaths += 1
        if journal.read(self._out, shard.name).suspects:
            self._idle_deaths = 0
            return
        self._idle_deaths += 1
        if self._idle_deaths >= MAX_IDLE_DEATHS:
            raise AuditError(
                f"workers die before they score anything ({event.text}; see {self._out / 'journal' / 'workers.log'}); "
                "needed: an installation in which 'stem-provenance score' runs"
            )

    def _tell(self) -> None:
        if self._told is not None:
            self._told(self.progress)
