"""Work that outlives the process: gone on with after an error, left for the next start when the service stops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_AGAIN_S = 5.0
_log = logging.getLogger("service.durable")


class Stopped(BaseException):
    """The service stops: not an Exception, so that the queue keeps the work as begun and runs it at the next start."""


class Running:
    """The work that runs now.

    Args:
        stopping: set when the service is to stop.
    """

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._names: set[str] = set()
        self._all_stopped = threading.Condition()

    def go_on(self, name: str, work: Callable[[], None]) -> None:
        """Do work until it is done, again and again should it fail.

        Args:
            name: of the work, for the log.
            work: may be begun again at any time.

        Raises:
            Stopped: the service stops before it is done.
        """
        with self._counted(name):
            while True:
                try:
                    return work()
                except Exception:  # the database is away, say; the queue would take it for the end of the work
                    _log.exception("interrupted", extra={"work": name})
                    if self._stopping.wait(_AGAIN_S):
                        raise Stopped from None

    def wait(self, most_s: float) -> None:
        """Wait until nothing runs.

        Args:
            most_s: seconds to wait at most.
        """
        with self._all_stopped:
            self._all_stopped.wait_for(lambda: not self._names, most_s)

    @contextmanager
    def _counted(self, name: str) -> Iterator[None]:
        with self._all_stopped:
            if self._stopping.is_set():
                raise Stopped
            self._names.add(name)
        try:
            yield
        finally:
            with self._all_stopped:
                self._names.discard(name)
                self._all_stopped.notify_all()
