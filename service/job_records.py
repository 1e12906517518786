"""What the job store keeps: jobs, and their files as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

JobState = Literal["waiting", "running", "cancelling", "done", "cancelled"]
RowState = Literal["waiting", "running", "done", "error", "cancelled"]
ENDED: tuple[JobState, ...] = ("done", "cancelled")


@dataclass(frozen=True)
class NewJob:
    """A job to be kept.

    Args:
        id: 32 hexadecimal digits.
        owner: who may see it; '' is everyone.
        coverage: ``full`` or ``sparse``.
        webhook_url: told at the end, or None.
    """

    id: str
    owner: str
    coverage: str
    webhook_url: str | None


@dataclass(frozen=True)
class Job:
    """A job and how far it is.

    Args:
        id, owner, coverage, webhook_url: as accepted.
        instance: the service that runs it.
        state: of the whole.
        created_s, finished_s: Unix time.
        webhook_state: ``none``, ``waiting``, ``delivered`` or ``failed``.
        counts: files by state.
    """

    id: str
    owner: str
    instance: str
    coverage: str
    webhook_url: str | None
    state: JobState
    created_s: float
    finished_s: float | None
    webhook_state: str
    counts: dict[RowState, int]

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to its files."""
        return self.state in ENDED


@dataclass(frozen=True)
class Row:
    """One file of a job.

    Args:
        n: place in the job.
        name: as the client named it.
        path: where it lies.
        state: how far it is.
        body: the verdict or the error, as JSON, where it has one.
    """

    n: int
    name: str
    path: str
    state: RowState
    body: str | None
