"""Start the service: ``stem-provenance serve``, or ``python -m service.run``.

Every worker process imports this file, as multiprocessing has it, so what only the server needs is imported late:
that halves the time to start.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main(host: str = "127.0.0.1", port: int | str = 8000) -> None:
    """Serve until asked to stop.

    Args:
        host: name or address to listen on.
        port: TCP port, 0 to 65535; 0 is any that is free.

    Raises:
        SystemExit: with status 2 and a message where the service cannot start.
    """
    if not str(port).isascii() or not str(port).isdigit() or int(port) > 65_535:  # a larger one would be cut to 16 bits
        sys.exit(_said(f"found port {port!r}; needed: a number from 0 to 65535"))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the workers are the parallelism
    import logging.config

    import uvicorn
    from pydantic import ValidationError

    from provenance import bundle
    from provenance.errors import ModelError
    from service.app import create_app
    from service.connections import impatient
    from service.errors import StartError
    from service.observe import log_config
    from service.problems import fault_of
    from service.settings import Settings, check_exposure, missing, misspelt
    from service.stopping import Stopping

    stopping = Stopping()

    class Server(uvicorn.Server):
        """Tells the application that the service is to stop before the last answers are finished."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Take the signal that asks to stop."""
            stopping.set()
            super().handle_exit(sig, frame)

    try:
        settings = Settings()
        logging.config.dictConfig(log_config(settings.log_level))
        for words in (*misspelt(os.environ), *missing(settings)):
            logging.getLogger("service").warning(words)
        check_exposure(settings, host)
        bundle.load(settings.model)  # said here, in one line, rather than by every worker
        app = create_app(settings, host, stopping)
    except (StartError, ModelError) as error:
        sys.exit(_said(str(error)))
    except ValidationError as error:
        faults = "; ".join(f"STEM_{'.'.join(map(str, e['loc'])).upper()}: {fault_of(e)}" for e in error.errors())
        sys.exit(_said(f"found settings that cannot be used ({faults})"))
    config = uvicorn.Config(
        app,
        host=host,
        port=int(port),
        http=impatient(settings.stall_s, app.note_unread),
        log_config=log_config(settings.log_level),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_s,
        timeout_keep_alive=15,
        lifespan="on",
    )
    server = Server(config)
    for asked in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # uvicorn raises them again when all is finished: being asked is no fault
        signal.signal(asked, lambda *_: None)
    try:
        server.run()
    except SystemExit:  # a port in use, or a start that failed; the log has said it
        sys.exit(2)
    if not server.started:
        sys.exit(2)


def _said(message: str) -> int:
    print(f"stem-provenance serve: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main(os.environ.pop("STEM_HOST", "127.0.0.1"), os.environ.pop("STEM_PORT", "8000"))
