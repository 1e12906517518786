"""The seam between the driver and what runs shards: local processes, or Ray tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from provenance.audit.items import Shard
from provenance.audit.shard import Report


@dataclass(frozen=True)
class Event:
    """What happened to a shard.

    Args:
        kind: ``scored`` (one file), ``done`` (the call returned), ``died`` (its process did not survive), ``failed``
            (the call raised).
        shard: number.
        text: status of the file, how it died, or what was raised.
        report: of a call that returned.
        n: files, for ``scored``.
    """

    kind: Literal["scored", "done", "died", "failed"]
    shard: int
    text: str = ""
    report: Report | None = None
    n: int = 1


class Engine(Protocol):
    """Runs shards."""

    n_slots: int

    def submit(self, shard: Shard, only: int | None = None) -> None:
        """Start a shard, or one position of it in a process that does nothing else.

        Args:
            shard: to score.
            only: a position.
        """
        ...

    def wait(self, timeout_s: float) -> list[Event]:
        """Return what happened, at the latest after a while.

        Args:
            timeout_s: how long to wait.
        """
        ...

    def close(self) -> None:
        """End every process."""
        ...
