"""The application: settings in, ASGI out."""

from __future__ import annotations

import fcntl
import logging
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

import provenance
from service import health, job_routes, openapi, page, problems, verdicts
from service.access import Access
from service.errors import StartError
from service.jobs import Jobs
from service.observe import Metrics, Observed
from service.pool import Pool
from service.settings import Settings
from service.stalled import Unstalled
from service.stopping import Stopping
from service.uploads import Spool
from service.worker import Limits

_log = logging.getLogger("service")


def create_app(settings: Settings, host: str = "127.0.0.1", stopping: Stopping | None = None) -> Observed:
    """Build the service; nothing starts before its lifespan does.

    Args:
        settings: of the service.
        host: address listened on, which decides the Host headers that are answered.
        stopping: set when the service is asked to stop, before the last answers are finished.

    Raises:
        StartError: keys or rate limit cannot be used.
    """
    limits = Limits(
        settings.worker_memory_mb * 1_000_000,
        settings.max_duration_s,
        settings.max_channels,
        settings.max_sample_rate_hz,
    )
    pool = Pool(settings.model, limits, settings.workers, settings.worker_time_s, settings.queue_size)
    metrics = Metrics(pool)
    stopping = stopping or Stopping()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        folder = settings.state_folder
        with _owned(folder):
            app.state.spool = Spool(folder / "spool")
            app.state.jobs = jobs = Jobs(settings, pool, lambda outcome: verdicts.note(metrics, outcome), stopping)
            elsewhere = tempfile.tempdir
            try:
                await pool.start()
                tempfile.tempdir = str(app.state.spool.folder)  # of forms; not before, for the pool's sockets lie there
                await jobs.start()
                _log.info("ready", extra={"workers": pool.n_workers})
                yield
            finally:
                await jobs.finish()
                await pool.close()
                await jobs.close()
                tempfile.tempdir = elsewhere

    app = FastAPI(
        title="stem-provenance",
        summary="Tells whether an audio stem is a true studio stem or was extracted from a mix.",
        version=provenance.__version__,
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to http behind a proxy that speaks TLS, with the key in the open
        generate_unique_id_function=lambda route: route.name,  # what a generated client calls its methods
        responses=problems.responses(*problems.EVERYWHERE),
        max_body_size=settings.max_body_bytes,
        telemetry={
            "tracing": settings.otel,
            "metrics": settings.otel,
            "logs": settings.otel,
            "operation_spans": settings.otel,
            "auto_configure": settings.otel,
        },
    )
    app.state.settings, app.state.pool, app.state.metrics = settings, pool, metrics
    app.state.access, app.state.following = Access(settings), Counter()
    words = {
        413: f"found a body that is too large; needed: at most {settings.max_body_mb:g} MB for a file and "
        f"{settings.max_job_body_mb:g} MB for a job"
    }
    problems.install(app, words)
    for part in (verdicts.router, job_routes.router(settings), health.router, page.router):
        app.include_router(part)
    openapi.install(app, app.state.access.keyed)
    inner: ASGIApp = Unstalled(app, settings.stall_s)
    if settings.cors_origins:  # around all of the framework, so that a browser may read every error, 413 and 500 too
        inner = CORSMiddleware(
            inner,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "X-Request-ID", "Content-Type"],
            expose_headers=["X-Request-ID", "Retry-After", "Location", "Server-Timing"],
        )
    inner = TrustedHostMiddleware(inner, allowed_hosts=settings.hosts_for(host), www_redirect=False)
    return Observed(problems.ProblemsOnly(inner, words), metrics)


class _owned:  # noqa: N801  (used as a function)
    """Holds a state folder for one service, and frees it however the service ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = (self._folder / "lock").open("w")
        except OSError as error:
            found = f"found no folder to write in ({error.strerror})"
            raise StartError(f"{self._folder}: {found}; needed: another folder in STEM_STATE_DIR") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise StartError(
                f"{self._folder}: found another service that uses it; needed: another folder in STEM_STATE_DIR"
            ) from error

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
