"""Jobs: many files, scored in the background, kept through a killed service.

The queue is DBOS Transact (MIT): durable workflows in SQLite or PostgreSQL, with a limit of what runs at once, and
with recovery of what a killed process had begun. Looked at besides: procrastinate and pgqueuer speak PostgreSQL only;
huey (through peewee) speaks both, but takes a task out of its queue before it runs, so a killed process loses it;
APScheduler's data stores are in a pre-release; Celery's and Dramatiq's need a broker. A workflow here is one job;
its files are rows of :mod:`service.store`, so 10,000 files do not make 10,000 queue entries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import sqlalchemy.exc
from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID

from service import webhook
from service.durable import Running, Stopped
from service.errors import StartError
from service.job_records import Job, NewJob, Row, RowState
from service.pool import Pool
from service.settings import Settings
from service.stopping import Stopping
from service.store import Store
from service.tables import engine_for
from service.worker import Outcome, Refused, Task

AT_ONCE = 2
"""Jobs that run at once, so that a small one does not wait for a large one to end."""
TOLD_AT_ONCE = 16
"""Webhooks told at once, in a queue of their own: one that does not answer holds up no job, and few others."""
_QUEUE = "stem-jobs"
_TELLING = "stem-webhooks"
_POLL_S = 0.5
_SWEEP_S = 600.0
_PATIENCE_S = 2.0
LOOK_S = 0.3
"""How old a look at a job may be that is shared by all who follow it."""
_LAST_S = 10.0
"""Far more than files take that a closed pool has given up to be put back."""
_CRASHED = "a service that ended without warning (killed, or the machine with it) each time it scored this file"
_log = logging.getLogger("service.jobs")


@DBOS.dbos_class("Jobs")
class Jobs(DBOSConfiguredInstance):
    """The queue of jobs and what runs them.

    Args:
        settings: of the service.
        pool: that scores.
        note: told of every outcome, for the metrics.
        stopping: set when the service is to stop.
    """

    def __init__(self, settings: Settings, pool: Pool, note: Callable[[Outcome], None], stopping: Stopping) -> None:
        super().__init__("jobs")
        self._settings, self._pool, self._note, self._stopping = settings, pool, note, stopping
        self._folder = settings.state_folder / "jobs"
        self._roots = tuple(str(root) for root in settings.manifest_roots)
        self._running = Running(stopping)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._looks: dict[str, tuple[float, asyncio.Task[Job | None]]] = {}
        self._open = self._launched = False

    @property
    def ready(self) -> bool:
        """Whether the queue takes jobs."""
        return self._open and not self._stopping.is_set()

    def reachable(self) -> bool:
        """Return whether the database answers."""
        try:
            self.store.check()
        except sqlalchemy.exc.SQLAlchemyError as error:
            _log.error("job database: %s", error)
            return False
        return True

    async def start(self) -> None:
        """Open the store, start the queue, and go on with what a former process left.

        Raises:
            StartError: the database cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._launch)
        self._open = True
        self._sweeper = asyncio.create_task(self._sweep())

    async def finish(self) -> None:
        """Begin no more files, and wait for those in flight as long as the service may take to stop."""
        self._stopping.set()
        self._open = False
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        if self._launched:
            await asyncio.to_thread(self._running.wait, self._stopping.left_s(self._settings.shutdown_s))

    async def close(self) -> None:
        """Put back the files that a closed pool has given up, leave the rest for the next start, and stop the queue."""
        if self._launched:
            await asyncio.to_thread(self._running.wait, _LAST_S)
            await asyncio.to_thread(DBOS.destroy)
            self.store.close()

    async def look(self, job_id: str) -> Job | None:
        """Return a job as it was at most LOOK_S ago: those who follow one share what is read of it.

        Args:
            job_id: its id.
        """
        now = time.monotonic()
        for old in [key for key, (at, _) in self._looks.items() if now - at >= LOOK_S]:
            del self._looks[old]
        if job_id not in self._looks:
            self._looks[job_id] = now, asyncio.create_task(asyncio.to_thread(self.store.job, job_id))
        return await asyncio.shield(self._looks[job_id][1])

    def folder_of(self, job_id: str) -> Path:
        """Return where the uploads of a job lie.

        Args:
            job_id: its id.
        """
        return self._folder / job_id

    def submit(self, job: NewJob, files: Sequence[tuple[str, str]]) -> bool:
        """Keep a job and queue it, unless as many as may be have not ended.

        Args:
            job: what was accepted.
            files: name and path of each.

        Returns:
            Whether it is kept.
        """
        if not self.store.create(job, files, self._settings.max_jobs):
            return False
        self._enqueue(job.id)
        return True

    def cancel(self, job_id: str) -> bool:
        """Cancel a job; where none of its files is in flight its uploads go and its webhook is told at once.

        Args:
            job_id: its id.

        Returns:
            False where it has ended.
        """
        if not self.store.cancel(job_id):
            return False
        job = self.store.job(job_id)
        if job is not None and job.ended:
            self._clear(job)
        return True

    def delete(self, job_id: str) -> None:
        """Forget an ended job: its rows, its queue entry, its uploads.

        Args:
            job_id: its id.
        """
        self.store.delete(job_id)
        DBOS.delete_workflows([job_id, _telling(job_id)])
        shutil.rmtree(self.folder_of(job_id), ignore_errors=True)

    @DBOS.workflow(name="run_job", max_recovery_attempts=1_000_000)  # a file in flight twice is given up, not a job
    def run(self, job_id: str) -> None:
        """Score the files of a job that are not finished, then have its webhook told.

        Args:
            job_id: its id.
        """
        self._running.go_on(job_id, partial(self._run, job_id))

    @DBOS.workflow(name="tell_webhook", max_recovery_attempts=1_000_000)
    def tell(self, job_id: str) -> None:
        """Tell the webhook of a job that has ended.

        Args:
            job_id: its id.
        """
        self._running.go_on(_telling(job_id), partial(self._tell, job_id))

    def _run(self, job_id: str) -> None:
        self.store.start(job_id, _error("crashed", _CRASHED, "the file once more, by itself"))
        job = self.store.job(job_id)
        if job is None:
            return
        rows = _Shared(self.store.waiting(job_id))
        with ThreadPoolExecutor(self._pool.n_workers, thread_name_prefix="lane") as lanes:
            for lane in [lanes.submit(self._lane, job_id, job.coverage, rows) for _ in range(self._pool.n_workers)]:
                lane.result()
        if self._stopping.is_set():
            raise Stopped
        self.store.end(job_id)
        self._clear(job)

    def _clear(self, job: Job) -> None:
        """Do what is left to be done of a job that has ended."""
        shutil.rmtree(self.folder_of(job.id), ignore_errors=True)
        if job.webhook_url and job.webhook_state == "waiting":
            with SetWorkflowID(_telling(job.id)):  # once, however often this runs
                DBOS.enqueue_workflow(_TELLING, self.tell, job.id)

    def _lane(self, job_id: str, coverage: str, rows: _Shared) -> None:
        uploads = self.folder_of(job_id)
        for row in iter(rows.take, None):
            if self._stopping.is_set():
                return
            if not self.store.begin(job_id, row.n):
                continue  # cancelled in the meantime
            upload = Path(row.path).parent == uploads
            task = Task(row.path, "sparse" if coverage == "sparse" else "full", None if upload else self._roots)
            outcome = self._score(task)
            if outcome is None:
                self._keep(job_id, row.n, "waiting", None)
                return
            self._note(outcome)
            if isinstance(outcome, Refused):
                kept = self._keep(job_id, row.n, "error", _error(outcome.code, outcome.found, outcome.needed, row.name))
            else:
                kept = self._keep(job_id, row.n, "done", outcome.body.decode())
            if not kept:
                return
            if upload:
                Path(row.path).unlink(missing_ok=True)

    def _keep(self, job_id: str, n: int, state: RowState, body: str | None) -> bool:
        """Keep what came of a file, however long the database is away; False where the service stops before."""
        while True:
            try:
                self.store.finish(job_id, n, state, body)
            except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError) as error:  # no fault of the file's
                _log.warning("job database, tried again: %s", _first_line(error))
                if self._stopping.wait(_PATIENCE_S):
                    return False
            else:
                return True

    def _score(self, task: Task) -> Outcome | None:
        assert self._loop is not None  # started before the queue; for the type checker
        while True:
            try:
                return asyncio.run_coroutine_threadsafe(self._pool.score(task, patient=True), self._loop).result()
            except CancelledError:  # by the end of the service alone
                return None
            except StartError as error:  # no worker can be started now; the file is not to blame
                if self._stopping.wait(_PATIENCE_S):
                    return None
                _log.warning("job waits for a worker: %s", error)

    def _tell(self, job_id: str) -> None:
        job = self.store.job(job_id)
        if job is not None and job.webhook_state == "waiting":
            heard = webhook.deliver(job, self._settings, self._stopping)
            self.store.note_webhook(job_id, "delivered" if heard else "failed")

    def _launch(self) -> None:
        folder, url = self._settings.state_folder, self._settings.database_url
        instance = _instance(folder / "instance")
        files = {name: folder / f"{name}.sqlite" for name in ("jobs", "queue")}
        where = "STEM_DATABASE_URL" if url else str(files["jobs"])
        try:
            for file in () if url else files.values():
                file.touch(mode=0o600)
                file.chmod(0o600)
            engine = engine_for(url or f"sqlite:///{files['jobs']}")
            self.store = Store(engine, instance)
            where = "STEM_DATABASE_URL" if url else str(files["queue"])
            DBOS(
                config={
                    "name": "stem-provenance",
                    "system_database_url": url or f"sqlite:///{files['queue']}",
                    "application_version": instance,  # a queue entry is taken only by a process of its version
                    "executor_id": instance,
                    "use_listen_notify": False,
                    "enable_otlp": False,
                    "log_level": "WARNING",
                }
            )
            DBOS.launch()
            self._launched = True
            DBOS.register_queue(_QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=_POLL_S)
            DBOS.register_queue(_TELLING, worker_concurrency=TOLD_AT_ONCE, polling_interval_sec=_POLL_S)
        except Exception as error:  # SQLAlchemy's, the driver's or the queue's: there is no common base
            raise StartError(
                f"{where}: found no usable job database ({_first_line(error)}); needed: SQLite or PostgreSQL"
            ) from error
        if n_others := self.store.count_others():
            _log.warning(
                "%d jobs in the database are of other state folders; their files lie there, and they end only there",
                n_others,
            )
        for job_id in self.store.unfinished():
            self._enqueue(job_id)  # nothing happens to those the queue knows
        self._drop_orphans()

    def _enqueue(self, job_id: str) -> None:
        with SetWorkflowID(job_id):
            DBOS.enqueue_workflow(_QUEUE, self.run, job_id)

    def _drop_orphans(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = self.store.ids()
        for folder in self._folder.iterdir():
            if folder.name not in known:  # an upload that the end of the service cut short
                shutil.rmtree(folder, ignore_errors=True)

    async def _sweep(self) -> None:
        while True:
            try:
                for job_id in await asyncio.to_thread(self.store.expired, time.time() - self._settings.job_keep_s):
                    await asyncio.to_thread(self.delete, job_id)
            except sqlalchemy.exc.SQLAlchemyError as error:
                _log.error("old jobs not deleted: %s", error)
            await asyncio.sleep(_SWEEP_S)


class _Shared:
    """An iterator over rows for several threads."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._lock = threading.Lock()

    def take(self) -> Row | None:
        """Return the next row, or None at the end."""
        with self._lock:
            return next(self._rows, None)


def _telling(job_id: str) -> str:
    return f"{job_id}-webhook"


def _instance(file: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return file.read_text(encoding="ascii").strip()
    file.write_text(uuid.uuid4().hex, encoding="ascii")
    return file.read_text(encoding="ascii")


def _error(code: str, found: str, needed: str = "an undamaged file", name: str = "") -> str:
    message = f"{name}: {found}; needed: {needed}" if name else f"{found}; needed: {needed}"
    return json.dumps({"code": code, "found": found, "needed": needed, "message": message})


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
