"""The job store: jobs and their files, each a row that is kept.

Every file has its row from the moment its job is accepted, and a row only changes its state, so that whatever is
killed when, each file is there once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import sqlalchemy as sa

from service.errors import DeletedError
from service.job_records import ENDED, Job, NewJob, Row, RowState
from service.tables import FILES, JOBS, TABLES

ROW_TRIES = 2
"""A file in flight when the service was killed runs again once; a file that was twice in flight is to blame."""
_CHUNK = 500


class Store:
    """Jobs in a database; every method is one transaction and may be called from any thread.

    Args:
        engine: of :func:`engine_for`.
        instance: name of this service, which runs only its own jobs: their uploads lie on its disk.
    """

    def __init__(self, engine: sa.Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self._making = threading.Lock()  # no other process makes jobs of this instance
        TABLES.create_all(engine)

    def check(self) -> None:
        """Reach the database.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: it cannot be reached.
        """
        with self._engine.connect() as connection:
            connection.execute(sa.select(1))

    def create(self, job: NewJob, files: Sequence[tuple[str, str]], most: int) -> bool:
        """Keep a new job, unless there are as many already as may be.

        Args:
            job: what was accepted.
            files: name and path of each.
            most: jobs of this service that may have not ended, this one included.

        Returns:
            Whether it is kept.
        """
        rows = [
            {"job": job.id, "n": n, "name": name, "path": path, "state": "waiting", "tries": 0}
            for n, (name, path) in enumerate(files)
        ]
        with self._making, self._engine.begin() as connection:
            if sum(self._count_unfinished(connection).values()) >= most:
                return False
            connection.execute(
                JOBS.insert().values(
                    id=job.id,
                    instance=self._instance,
                    owner=job.owner,
                    state="waiting",
                    coverage=job.coverage,
                    created_s=time.time(),
                    webhook_url=job.webhook_url,
                    webhook_state="waiting" if job.webhook_url else "none",
                )
            )
            connection.execute(FILES.insert(), rows)
        return True

    def job(self, job_id: str) -> Job | None:
        """Return a job with its counts, or None.

        Args:
            job_id: its id.
        """
        with self._engine.connect() as connection:
            found = connection.execute(JOBS.select().where(JOBS.c.id == job_id)).mappings().first()
            if found is None:
                return None
            counted = connection.execute(
                sa.select(FILES.c.state, sa.func.count()).where(FILES.c.job == job_id).group_by(FILES.c.state)
            )
            counts = cast("dict[RowState, int]", {str(state): int(n) for state, n in counted})
        return Job(**cast("dict[str, Any]", dict(found)), counts=counts)

    def jobs(self, owner: str, limit: int, before: tuple[float, str] | None = None) -> list[Job]:
        """Return an owner's jobs with their counts, newest first.

        Args:
            owner: whose.
            limit: most that are returned.
            before: start after the job of this time (Unix, in seconds) and id.
        """
        query = JOBS.select().where(JOBS.c.owner == owner)
        if before is not None:
            query = query.where(sa.tuple_(JOBS.c.created_s, JOBS.c.id) < sa.tuple_(*map(sa.literal, before)))
        query = query.order_by(JOBS.c.created_s.desc(), JOBS.c.id.desc()).limit(limit)
        with self._engine.connect() as connection:
            found = [dict(job) for job in connection.execute(query).mappings()]
            of_these = FILES.c.job.in_([job["id"] for job in found])
            counted = sa.select(FILES.c.job, FILES.c.state, sa.func.count()).where(of_these)
            counts: dict[str, dict[RowState, int]] = {job["id"]: {} for job in found}
            for job_id, state, n in connection.execute(counted.group_by(FILES.c.job, FILES.c.state)):
                counts[job_id][state] = n
        return [Job(**job, counts=counts[job["id"]]) for job in found]

    def unfinished(self) -> list[str]:
        """Return the ids of this service's jobs that have not ended or whose webhook waits, oldest first."""
        open_ = JOBS.c.state.not_in(ENDED) | (JOBS.c.webhook_state == "waiting")
        query = sa.select(JOBS.c.id).where(JOBS.c.instance == self._instance, open_).order_by(JOBS.c.created_s)
        with self._engine.connect() as connection:
            return [str(i) for i in connection.execute(query).scalars()]

    def ids(self) -> set[str]:
        """Return the ids of all jobs of this service."""
        with self._engine.connect() as connection:
            query = sa.select(JOBS.c.id).where(JOBS.c.instance == self._instance)
            return {str(i) for i in connection.execute(query).scalars()}

    def count_others(self) -> int:
        """Return how many jobs in the database have not ended and are of services with other state folders."""
        query = sa.select(sa.func.count()).where(JOBS.c.instance != self._instance, JOBS.c.state.not_in(ENDED))
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def count_unfinished(self) -> dict[str, int]:
        """Return how many jobs of this service have not ended, by state."""
        with self._engine.connect() as connection:
            return self._count_unfinished(connection)

    def start(self, job_id: str, crashed: str) -> None:
        """Mark a job as running; files that were in flight wait again, or have failed if that was their last try.

        Args:
            job_id: its id.
            crashed: the error of a file that was in flight too often, as JSON.
        """
        in_flight = (FILES.c.job == job_id) & (FILES.c.state == "running")
        with self._engine.begin() as connection:
            last = in_flight & (FILES.c.tries >= ROW_TRIES)
            connection.execute(FILES.update().where(last).values(state="error", body=crashed))
            connection.execute(FILES.update().where(in_flight).values(state="waiting"))
            connection.execute(
                JOBS.update().where(JOBS.c.id == job_id, JOBS.c.state == "waiting").values(state="running")
            )
            cancelled = sa.select(JOBS.c.id).where(JOBS.c.id == job_id, JOBS.c.state.in_(("cancelling", "cancelled")))
            waiting = (FILES.c.job == job_id) & (FILES.c.state == "waiting") & sa.exists(cancelled)
            connection.execute(FILES.update().where(waiting).values(state="cancelled"))

    def waiting(self, job_id: str) -> Iterator[Row]:
        """Yield the files that wait, in order; may be iterated while their states change.

        Args:
            job_id: its id.
        """
        last = -1
        while chunk := self._rows_after(job_id, last, ("waiting",)):
            yield from chunk
            last = chunk[-1].n

    def results(self, job_id: str) -> Iterator[Row]:
        """Yield the files that are finished, in order.

        Args:
            job_id: its id.

        Raises:
            DeletedError: at the end, where the job was deleted meanwhile: what came is not all there was.
        """
        last = -1
        while chunk := self._rows_after(job_id, last, ("done", "error", "cancelled")):
            yield from chunk
            last = chunk[-1].n
        if self.job(job_id) is None:
            raise DeletedError(f"found job {job_id} deleted while its results were read; needed: one that is kept")

    def begin(self, job_id: str, n: int) -> bool:
        """Mark a file as in flight; False where it no longer waits.

        Args:
            job_id: its job.
            n: its place.
        """
        this = (FILES.c.job == job_id) & (FILES.c.n == n) & (FILES.c.state == "waiting")
        with self._engine.begin() as connection:
            changed = connection.execute(FILES.update().where(this).values(state="running", tries=FILES.c.tries + 1))
        return changed.rowcount == 1

    def finish(self, job_id: str, n: int, state: RowState, body: str | None) -> None:
        """Keep what came of a file in flight, or with ``waiting`` put it back without counting the try.

        Args:
            job_id: its job.
            n: its place.
            state: the new one.
            body: the verdict or the error, as JSON.
        """
        this = (FILES.c.job == job_id) & (FILES.c.n == n) & (FILES.c.state == "running")
        tries = FILES.c.tries - (1 if state == "waiting" else 0)
        with self._engine.begin() as connection:
            connection.execute(FILES.update().where(this).values(state=state, body=body, tries=tries))

    def end(self, job_id: str) -> None:
        """Mark a job whose files are all finished as done, or as cancelled where that was asked for.

        Args:
            job_id: its id.
        """
        state = sa.case((JOBS.c.state == "cancelling", "cancelled"), else_="done")
        this = (JOBS.c.id == job_id) & JOBS.c.state.not_in(ENDED)
        with self._engine.begin() as connection:
            connection.execute(JOBS.update().where(this).values(state=state, finished_s=time.time()))

    def cancel(self, job_id: str) -> bool:
        """Cancel a job: what waits is not scored, what is in flight is finished. False where it has ended.

        Args:
            job_id: its id.
        """
        this = (JOBS.c.id == job_id) & JOBS.c.state.not_in(ENDED)
        with self._engine.begin() as connection:
            if connection.execute(JOBS.update().where(this).values(state="cancelling")).rowcount == 0:
                return False
            of_job = FILES.c.job == job_id
            connection.execute(FILES.update().where(of_job & (FILES.c.state == "waiting")).values(state="cancelled"))
            running = sa.select(FILES.c.n).where(of_job, FILES.c.state == "running")
            over = (JOBS.c.id == job_id) & ~sa.exists(running)
            connection.execute(JOBS.update().where(over).values(state="cancelled", finished_s=time.time()))
        return True

    def note_webhook(self, job_id: str, state: str) -> None:
        """Keep what came of a job's webhook.

        Args:
            job_id: its id.
            state: ``delivered`` or ``failed``.
        """
        with self._engine.begin() as connection:
            connection.execute(JOBS.update().where(JOBS.c.id == job_id).values(webhook_state=state))

    def expired(self, before_s: float) -> list[str]:
        """Return this service's jobs that ended before a time.

        Args:
            before_s: Unix time.
        """
        query = sa.select(JOBS.c.id).where(JOBS.c.instance == self._instance, JOBS.c.finished_s < before_s)
        with self._engine.connect() as connection:
            return [str(i) for i in connection.execute(query).scalars()]

    def delete(self, job_id: str) -> None:
        """Forget a job and its files' rows.

        Args:
            job_id: its id.
        """
        with self._engine.begin() as connection:
            connection.execute(FILES.delete().where(FILES.c.job == job_id))
            connection.execute(JOBS.delete().where(JOBS.c.id == job_id))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _count_unfinished(self, connection: sa.Connection) -> dict[str, int]:
        query = (
            sa.select(JOBS.c.state, sa.func.count())
            .where(JOBS.c.instance == self._instance, JOBS.c.state.not_in(ENDED))
            .group_by(JOBS.c.state)
        )
        return {str(state): int(n) for state, n in connection.execute(query)}

    def _rows_after(self, job_id: str, last: int, states: tuple[RowState, ...]) -> list[Row]:
        query = (
            sa.select(FILES.c.n, FILES.c.name, FILES.c.path, FILES.c.state, FILES.c.body)
            .where(FILES.c.job == job_id, FILES.c.n > last, FILES.c.state.in_(states))
            .order_by(FILES.c.n)
            .limit(_CHUNK)
        )
        with self._engine.connect() as connection:
            return [Row(*r) for r in connection.execute(query)]
