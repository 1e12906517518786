"""Local worker processes: each is known by itself, so a death blames the file in flight and no neighbour."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from provenance.audit.engine import Event
from provenance.audit.items import Shard
from provenance.audit.shard import Options

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    shard: int | None = None
    alone: bool = False


class LocalEngine:
    """Worker processes on this machine, started anew where one dies.

    Args:
        options: of the audit.
        n_workers: processes.
    """

    def __init__(self, options: Options, n_workers: int) -> None:
        self.n_slots = n_workers
        self._options = options
        self._workers: list[_Worker] = []
        self._log = (Path(options.out) / "journal" / "workers.log").open("wb")

    def submit(self, shard: Shard, only: int | None = None) -> None:
        """Hand a shard to an idle worker, or one position of it to a new process.

        Args:
            shard: to score.
            only: a position.
        """
        idle = next((w for w in self._workers if w.shard is None), None) if only is None else None
        worker = idle or self._start()
        worker.shard, worker.alone = shard.number, only is not None
        with suppress(OSError):  # it died while idle: wait() sees the end of its pipe and reports the shard
            worker.connection.send((shard, only))

    def wait(self, timeout_s: float) -> list[Event]:
        """Return what happened, at the latest after a while.

        Args:
            timeout_s: how long to wait.
        """
        by_connection = {w.connection: w for w in self._workers}
        events: list[Event] = []
        for ready in wait(list(by_connection), timeout_s):
            worker = by_connection[ready]  # type: ignore[index]
            try:
                while True:
                    event: Event = worker.connection.recv()
                    events.append(event)
                    if event.kind in ("done", "failed"):
                        worker.shard = None
                    if not worker.connection.poll():
                        break
            except (EOFError, OSError):
                how = _how(worker.process.wait())
                if worker.shard is not None:
                    events.append(Event("died", worker.shard, how))
                self._forget(worker)
                continue
            if worker.shard is None and worker.alone:
                self._forget(worker)
        return events

    def close(self) -> None:
        """End every worker."""
        for worker in list(self._workers):
            worker.process.kill()
            self._forget(worker)
        self._log.close()

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        paths = [str(Path(__file__).resolve().parents[2]), *(p or os.getcwd() for p in sys.path)]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))} | dict.fromkeys(_THREADS, "1")
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "provenance.audit.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )
        finally:
            theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        ours.send(self._options)
        return worker

    def _forget(self, worker: _Worker) -> None:
        worker.connection.close()
        try:
            worker.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        self._workers.remove(worker)


def _how(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"
