"""Ray tasks behind the same seam: one task a shard, never retried by Ray, since the driver knows what was in flight.

Every node must see the audit's folder under the same path, and have this package.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from provenance.audit.engine import Event
from provenance.audit.errors import AuditError
from provenance.audit.items import Shard
from provenance.audit.shard import Options, Report, score_shard

_REFRESH_S = 5.0


class RayEngine:
    """Runs shards as tasks of a Ray cluster.

    Args:
        options: of the audit.
        n_tasks: at once; None is one a core of the cluster, which may grow and shrink.
        address: of the cluster, or None to start Ray on this machine.

    Raises:
        AuditError: there is no such cluster.
    """

    def __init__(self, options: Options, n_tasks: int | None, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        paths = [str(Path(__file__).resolve().parents[2]), *(p or os.getcwd() for p in sys.path)]
        kept = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        import ray

        self._ray: Any = ray
        self._owned = not ray.is_initialized()
        try:
            if self._owned:
                ray.init(address=address, include_dashboard=None if address else False, log_to_driver=False,
                         logging_level=logging.ERROR, num_cpus=None if address else n_tasks)  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise AuditError(f"--address {address}: {error}; needed: the address of a running Ray cluster") from error
        finally:
            os.environ.pop("PYTHONPATH") if kept is None else os.environ.update(PYTHONPATH=kept)
        self._task = self._ray.remote(max_retries=0, num_cpus=1)(score_shard)
        self._options = ray.put(options)
        self._n_tasks = n_tasks
        self._flying: dict[Any, int] = {}
        self._next_look = 0.0
        self.n_slots = n_tasks or 1
        self._refresh()

    def submit(self, shard: Shard, only: int | None = None) -> None:
        """Start a task.

        Args:
            shard: to score.
            only: a position.
        """
        self._flying[self._task.remote(shard, self._options, only)] = shard.number

    def wait(self, timeout_s: float) -> list[Event]:
        """Return what happened, at the latest after a while.

        Args:
            timeout_s: how long to wait.
        """
        self._refresh()
        ready, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=timeout_s)
        return [self._event(reference, self._flying.pop(reference)) for reference in ready]

    def close(self) -> None:
        """Cancel what runs; leave a cluster that was there before."""
        for reference in self._flying:
            self._ray.cancel(reference, force=True)
        if self._owned:
            self._ray.shutdown()

    def _event(self, reference: Any, shard: int) -> Event:
        errors = self._ray.exceptions
        try:
            report: Report = self._ray.get(reference)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            return Event("failed", shard, f"{type(cause).__name__}: {cause}")
        except errors.RayError as error:  # a worker or a node that did not survive
            return Event("died", shard, f"its worker ended ({type(error).__name__})")
        return Event("done", shard, report=report)

    def _refresh(self) -> None:
        if self._n_tasks is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _REFRESH_S
            self.n_slots = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
