"""The worker pool: one process per slot, one file at a time, replaced when it dies.

Each worker has a pipe of its own, so a death blames the one file that was in it. Measured before this was written:
concurrent.futures' pool is broken whole by one death, and pebble's (5.2.3) by the death of an idle worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import multiprocessing
import multiprocessing.context
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection

from service import worker
from service.errors import StartError
from service.worker import Limits, Outcome, Refused, Task

START_S = 60.0
"""A worker that has not loaded the model by then never will."""
TRIES = 2
"""A worker may be killed for a reason that lies outside its file; a file that kills two is to blame."""
_WATCH_S = 0.5
_FIRST_S = 1.0
"""Taken for the time of a file before one has been scored."""
_MOST_RETRY_S = 60
"""A mean over few files says little: one long one before many short ones would send callers away for minutes."""
_CLOSED = "found a closed pool; needed: a running one"
_log = logging.getLogger("service.pool")


class QueueFull(Exception):  # noqa: N818  (it says what is so, and is answered)
    """No worker is free and no more may wait.

    Args:
        retry_after_s: when a try may succeed.
    """

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the queue is full; try again in {retry_after_s} s")


class Pool:
    """Worker processes that score files.

    Args:
        model: folder or name of the model.
        limits: of each file.
        n_workers: processes.
        time_s: time for one file.
        queue_size: callers that may wait for a worker.
    """

    def __init__(self, model: str | None, limits: Limits, n_workers: int, time_s: float, queue_size: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["service.worker"])
        self._slots = [_Slot(context, model, limits, time_s) for _ in range(n_workers)]
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="slot")
        self._idle: asyncio.Queue[_Slot] = asyncio.Queue()
        self._queue_size = queue_size
        self._mean_s: float | None = None
        self._since_s: dict[_Slot, float] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._n_callers = 0
        self.n_waiting = 0

    @property
    def n_workers(self) -> int:
        """Processes."""
        return len(self._slots)

    @property
    def n_busy(self) -> int:
        """Processes that score or are being replaced."""
        return len(self._slots) - self._idle.qsize()

    @property
    def n_replaced(self) -> int:
        """Processes that were replaced since the start."""
        return sum(max(0, slot.n_starts - 1) for slot in self._slots)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that live."""
        return [slot.pid for slot in self._slots if slot.pid]

    @property
    def ready(self) -> bool:
        """Whether the model is loaded in at least one worker and the pool takes work."""
        return self._watcher is not None and not self._watcher.done() and bool(self.pids)

    async def start(self) -> None:
        """Start the workers and wait until each has the model.

        Raises:
            StartError: the model does not load.
        """
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, slot.ensure) for slot in self._slots))
        for slot in self._slots:
            self._idle.put_nowait(slot)
        self._watcher = asyncio.create_task(self._watch())

    async def score(self, task: Task, patient: bool = False) -> Outcome:
        """Score one file in a worker; who is cancelled gives up his place, and what runs is finished all the same.

        Args:
            task: the file.
            patient: wait for a worker however many wait already, and stand in nobody's way: a job's file.

        Raises:
            QueueFull: nobody more may wait.
            StartError: no worker can be started.
        """
        if not patient and self._idle.empty() and self._n_callers >= self._queue_size:
            raise QueueFull(self._retry_after_s())
        self.n_waiting += 1
        self._n_callers += not patient
        try:
            slot = await self._idle.get()
        finally:
            self.n_waiting -= 1
            self._n_callers -= not patient
        if slot.closed:
            self._idle.put_nowait(slot)  # for the next that waits, who is told the same
            raise StartError(_CLOSED)
        loop = asyncio.get_running_loop()
        self._since_s[slot] = loop.time()
        work = loop.run_in_executor(self._threads, slot.run, task)
        work.add_done_callback(partial(self._done, slot))
        outcome = await asyncio.shield(work)  # a caller that leaves does not free the worker
        if isinstance(outcome, Refused) and outcome.trace:
            _log.error("file not scored", extra={"trace": outcome.trace})
        return outcome

    async def close(self) -> None:
        """End the workers; what runs is given up."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        for slot in self._slots:
            slot.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _retry_after_s(self) -> int:
        now_s = asyncio.get_running_loop().time()
        mean_s = _FIRST_S if self._mean_s is None else self._mean_s
        ages_s = [now_s - since_s for since_s in self._since_s.values()]
        left_s = sum(max(mean_s - age_s, age_s) for age_s in ages_s)  # what has run for long may for as long again
        return max(1, min(_MOST_RETRY_S, math.ceil((left_s + mean_s * self.n_waiting) / self.n_workers)))

    def _done(self, slot: _Slot, work: asyncio.Future[Outcome]) -> None:
        took_s = work.get_loop().time() - self._since_s.pop(slot)
        if not work.cancelled() and work.exception() is None:  # which is raised where it is awaited, if it still is
            self._mean_s = took_s if self._mean_s is None else self._mean_s + 0.1 * (took_s - self._mean_s)
        self._give_back(slot)

    def _give_back(self, slot: _Slot) -> None:
        if slot.alive or slot.closed:
            self._idle.put_nowait(slot)
            return

        def restarted(done: asyncio.Future[Connection]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                _log.error("worker not started: %s", error)
            self._idle.put_nowait(slot)

        asyncio.get_running_loop().run_in_executor(self._threads, slot.ensure).add_done_callback(restarted)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            for _ in range(self._idle.qsize()):
                self._give_back(self._idle.get_nowait())


class _Slot:
    def __init__(
        self, context: multiprocessing.context.ForkServerContext, model: str | None, limits: Limits, time_s: float
    ) -> None:
        self._context, self._model, self._limits, self._time_s = context, model, limits, time_s
        self._process: multiprocessing.context.ForkServerProcess | None = None
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self.n_starts = 0
        self.closed = False

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int:
        process = self._process
        return process.pid or 0 if process is not None and process.is_alive() else 0

    def ensure(self) -> Connection:
        with self._lock:
            if self.alive and self._connection is not None:
                return self._connection
            if self.closed:
                raise StartError(_CLOSED)
            self._kill()
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=worker.serve, args=(theirs, self._model, self._limits), daemon=True)
            process.start()
            theirs.close()
            self._process, self._connection = process, ours
            self.n_starts += 1
        try:
            if not ours.poll(START_S):
                raise EOFError
            said = str(ours.recv())
        except (EOFError, OSError) as error:
            self.kill()
            raise StartError("found a worker that ended while it loaded the model; needed: memory for it") from error
        if said:
            self.kill()
            raise StartError(said)
        return ours

    def run(self, task: Task) -> Outcome:
        for _ in range(TRIES):
            connection = self.ensure()
            try:
                connection.send(task)
                if not connection.poll(self._time_s):
                    self.kill()
                    return Refused("time_limit", f"a file that takes over {self._time_s:g} s to score", "a shorter one")
                outcome: Outcome = connection.recv()
            except (EOFError, OSError):
                process = self._process
                self.kill()
                if not self.closed:
                    _log.warning("worker ended", extra={"exit_code": process.exitcode if process else None})
                continue
            if isinstance(outcome, Refused) and outcome.code in worker.FATAL:
                self.kill()
            return outcome
        if self.closed:  # which ended the last of them
            raise StartError(_CLOSED)
        return Refused("worker_died", f"a file on which {TRIES} workers ended one after the other", "an undamaged file")

    def kill(self) -> None:
        with self._lock:
            self._kill()

    def close(self) -> None:
        self.closed = True
        self.kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(5.0)
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None
