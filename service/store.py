"""The job store: one table of jobs and one of their files, in SQLite or PostgreSQL.

Every file has its row from the moment its job is accepted, and a row only changes its state, so that whatever is
killed when, each file is there once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event

from service.job_records import ENDED, Job, NewJob, Row, RowState

ROW_TRIES = 2
"""A file in flight when the service was killed runs again once; a file that was twice in flight is to blame."""
_CHUNK = 500

_tables = sa.MetaData()
_jobs = sa.Table(
    "stem_jobs",
    _tables,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("instance", sa.String(32), nullable=False, index=True),
    sa.Column("owner", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("coverage", sa.String(8), nullable=False),
    sa.Column("created_s", sa.Float, nullable=False),
    sa.Column("finished_s", sa.Float),
    sa.Column("webhook_url", sa.Text),
    sa.Column("webhook_state", sa.String(12), nullable=False),
)
_rows = sa.Table(
    "stem_job_files",
    _tables,
    sa.Column("job", sa.String(32), sa.ForeignKey("stem_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("body", sa.Text),
    sa.Index("stem_job_files_state", "job", "state"),
)


def engine_for(url: str) -> sa.Engine:
    """Return an engine for SQLite or PostgreSQL.

    Args:
        url: such as ``sqlite:////var/lib/stem/jobs.sqlite`` or ``postgresql://user:password@host/database``.

    Raises:
        ValueError: another database.
    """
    parsed = sa.make_url(url)
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if kind != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ValueError(f"found {kind}; needed: a sqlite file or postgresql")
    engine = sa.create_engine(parsed, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


class Store:
    """Jobs in a database; every method is one transaction and may be called from any thread.

    Args:
        engine: of :func:`engine_for`.
        instance: name of this service, which runs only its own jobs: their uploads lie on its disk.
    """

    def __init__(self, engine: sa.Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        _tables.create_all(engine)

    def check(self) -> None:
        """Reach the database.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: it cannot be reached.
        """
        with self._engine.connect() as connection:
            connection.execute(sa.select(1))

    def create(self, job: NewJob, files: Sequence[tuple[str, str]]) -> None:
        """Keep a new job.

        Args:
            job: what was accepted.
            files: name and path of each.
        """
        rows = [
            {"job": job.id, "n": n, "name": name, "path": path, "state": "waiting", "tries": 0}
            for n, (name, path) in enumerate(files)
        ]
        with self._engine.begin() as connection:
            connection.execute(
                _jobs.insert().values(
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
            connection.execute(_rows.insert(), rows)

    def job(self, job_id: str) -> Job | None:
        """Return a job with its counts, or None.

        Args:
            job_id: its id.
        """
        with self._engine.connect() as connection:
            found = connection.execute(_jobs.select().where(_jobs.c.id == job_id)).mappings().first()
            if found is None:
                return None
            counted = connection.execute(
                sa.select(_rows.c.state, sa.func.count()).where(_rows.c.job == job_id).group_by(_rows.c.state)
            )
            counts = cast("dict[RowState, int]", {str(state): int(n) for state, n in counted})
        return Job(**cast("dict[str, Any]", dict(found)), counts=counts)

    def unfinished(self) -> list[str]:
        """Return the ids of this service's jobs that have not ended or whose webhook waits, oldest first."""
        open_ = _jobs.c.state.not_in(ENDED) | (_jobs.c.webhook_state == "waiting")
        query = sa.select(_jobs.c.id).where(_jobs.c.instance == self._instance, open_).order_by(_jobs.c.created_s)
        with self._engine.connect() as connection:
            return [str(i) for i in connection.execute(query).scalars()]

    def ids(self) -> set[str]:
        """Return the ids of all jobs of this service."""
        with self._engine.connect() as connection:
            query = sa.select(_jobs.c.id).where(_jobs.c.instance == self._instance)
            return {str(i) for i in connection.execute(query).scalars()}

    def count_unfinished(self) -> dict[str, int]:
        """Return how many jobs of this service have not ended, by state."""
        query = (
            sa.select(_jobs.c.state, sa.func.count())
            .where(_jobs.c.instance == self._instance, _jobs.c.state.not_in(ENDED))
            .group_by(_jobs.c.state)
        )
        with self._engine.connect() as connection:
            return {str(state): int(n) for state, n in connection.execute(query)}

    def start(self, job_id: str, crashed: str) -> None:
        """Mark a job as running; files that were in flight wait again, or have failed if that was their last try.

        Args:
            job_id: its id.
            crashed: the error of a file that was in flight too often, as JSON.
        """
        in_flight = (_rows.c.job == job_id) & (_rows.c.state == "running")
        with self._engine.begin() as connection:
            last = in_flight & (_rows.c.tries >= ROW_TRIES)
            connection.execute(_rows.update().where(last).values(state="error", body=crashed))
            connection.execute(_rows.update().where(in_flight).values(state="waiting"))
            connection.execute(
                _jobs.update().where(_jobs.c.id == job_id, _jobs.c.state == "waiting").values(state="running")
            )
            cancelled = sa.select(_jobs.c.id).where(
                _jobs.c.id == job_id, _jobs.c.state.in_(("cancelling", "cancelled"))
            )
            waiting = (_rows.c.job == job_id) & (_rows.c.state == "waiting") & sa.exists(cancelled)
            connection.execute(_rows.update().where(waiting).values(state="cancelled"))

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
        """
        last = -1
        while chunk := self._rows_after(job_id, last, ("done", "error", "cancelled")):
            yield from chunk
            last = chunk[-1].n

    def begin(self, job_id: str, n: int) -> bool:
        """Mark a file as in flight; False where it no longer waits.

        Args:
            job_id: its job.
            n: its place.
        """
        this = (_rows.c.job == job_id) & (_rows.c.n == n) & (_rows.c.state == "waiting")
        with self._engine.begin() as connection:
            changed = connection.execute(_rows.update().where(this).values(state="running", tries=_rows.c.tries + 1))
        return changed.rowcount == 1

    def finish(self, job_id: str, n: int, state: RowState, body: str | None) -> None:
        """Keep what came of a file in flight, or with ``waiting`` put it back without counting the try.

        Args:
            job_id: its job.
            n: its place.
            state: the new one.
            body: the verdict or the error, as JSON.
        """
        this = (_rows.c.job == job_id) & (_rows.c.n == n) & (_rows.c.state == "running")
        tries = _rows.c.tries - (1 if state == "waiting" else 0)
        with self._engine.begin() as connection:
            connection.execute(_rows.update().where(this).values(state=state, body=body, tries=tries))

    def end(self, job_id: str) -> None:
        """Mark a job whose files are all finished as done, or as cancelled where that was asked for.

        Args:
            job_id: its id.
        """
        state = sa.case((_jobs.c.state == "cancelling", "cancelled"), else_="done")
        this = (_jobs.c.id == job_id) & _jobs.c.state.not_in(ENDED)
        with self._engine.begin() as connection:
            connection.execute(_jobs.update().where(this).values(state=state, finished_s=time.time()))

    def cancel(self, job_id: str) -> bool:
        """Cancel a job: what waits is not scored, what is in flight is finished. False where it has ended.

        Args:
            job_id: its id.
        """
        this = (_jobs.c.id == job_id) & _jobs.c.state.not_in(ENDED)
        with self._engine.begin() as connection:
            if connection.execute(_jobs.update().where(this).values(state="cancelling")).rowcount == 0:
                return False
            of_job = _rows.c.job == job_id
            connection.execute(_rows.update().where(of_job & (_rows.c.state == "waiting")).values(state="cancelled"))
            running = sa.select(_rows.c.n).where(of_job, _rows.c.state == "running")
            over = (_jobs.c.id == job_id) & ~sa.exists(running)
            connection.execute(_jobs.update().where(over).values(state="cancelled", finished_s=time.time()))
        return True

    def note_webhook(self, job_id: str, state: str) -> None:
        """Keep what came of a job's webhook.

        Args:
            job_id: its id.
            state: ``delivered`` or ``failed``.
        """
        with self._engine.begin() as connection:
            connection.execute(_jobs.update().where(_jobs.c.id == job_id).values(webhook_state=state))

    def expired(self, before_s: float) -> list[str]:
        """Return this service's jobs that ended before a time.

        Args:
            before_s: Unix time.
        """
        query = sa.select(_jobs.c.id).where(_jobs.c.instance == self._instance, _jobs.c.finished_s < before_s)
        with self._engine.connect() as connection:
            return [str(i) for i in connection.execute(query).scalars()]

    def delete(self, job_id: str) -> None:
        """Forget a job and its files' rows.

        Args:
            job_id: its id.
        """
        with self._engine.begin() as connection:
            connection.execute(_rows.delete().where(_rows.c.job == job_id))
            connection.execute(_jobs.delete().where(_jobs.c.id == job_id))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _rows_after(self, job_id: str, last: int, states: tuple[RowState, ...]) -> list[Row]:
        query = (
            sa.select(_rows.c.n, _rows.c.name, _rows.c.path, _rows.c.state, _rows.c.body)
            .where(_rows.c.job == job_id, _rows.c.n > last, _rows.c.state.in_(states))
            .order_by(_rows.c.n)
            .limit(_CHUNK)
        )
        with self._engine.connect() as connection:
            return [Row(*r) for r in connection.execute(query)]
