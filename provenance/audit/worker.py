"""A local worker: ``python -m provenance.audit.worker FD`` scores the shards it is sent until the pipe ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from provenance.audit.engine import Event
from provenance.audit.shard import score_shard


def main(fd: int) -> None:
    """Serve the driver at the other end of a pipe.

    Args:
        fd: of the pipe.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    pipe = Connection(fd)
    try:
        options = pipe.recv()
        while True:
            shard, only = pipe.recv()
            number = shard.number

            def scored(status: str, number: int = number) -> None:
                pipe.send(Event("scored", number, status))

            try:
                report = score_shard(shard, options, only, scored)
            except OSError as error:  # a full disk or a lost folder: the driver says so
                pipe.send(Event("failed", number, f"{error}"))
            except Exception as error:  # such as a model that cannot be loaded
                pipe.send(Event("failed", number, f"{type(error).__name__}: {error}"))
            else:
                pipe.send(Event("done", number, report=report))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
