"""That the service is to stop, and how long it may still take: one time for answers and for jobs."""

from __future__ import annotations

import threading
import time


class Stopping(threading.Event):
    """Set when the service is to stop; it knows since when."""

    def __init__(self) -> None:
        super().__init__()
        self._since_s: float | None = None

    def set(self) -> None:
        """Begin to stop; a second time changes nothing."""
        if self._since_s is None:
            self._since_s = time.monotonic()
        super().set()

    def left_s(self, whole_s: float) -> float:
        """Return how much of a time is left, which runs from when it was set: all of it before.

        Args:
            whole_s: the time.

        >>> stopping = Stopping()
        >>> stopping.left_s(30.0)
        30.0
        """
        return whole_s if self._since_s is None else max(0.0, self._since_s + whole_s - time.monotonic())
