"""What can be seen of the service: request ids, a log line for each request, and metrics."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import sys
import time
import uuid
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.pool import Pool
from service.problems import Problem, problem_response

_ID = re.compile(r"^[\w.-]{1,64}$")
_HEADERS = {
    "Cache-Control": "no-store",  # verdicts and jobs are their caller's, and change; the page says otherwise of itself
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Bounds of the histograms of time: a long file may take a minute."""
_log = logging.getLogger("service.request")
_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


class Metrics:
    """Prometheus metrics, in a registry of their own.

    Args:
        pool: whose workers are watched.
    """

    def __init__(self, pool: Pool) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "stem_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "stem_request_seconds",
            "Time from request to answer.",
            ("route",),
            registry=self.registry,
            buckets=BUCKETS_S,
        )
        self.scoring = Histogram(
            "stem_scoring_seconds", "The scorer's own time.", registry=self.registry, buckets=BUCKETS_S
        )
        self.verdicts = Counter("stem_verdicts", "Verdicts given.", ("origin",), registry=self.registry)
        self.refused = Counter("stem_refused", "Files without a verdict.", ("code",), registry=self.registry)
        for name, text, value in (
            ("stem_queue_waiting", "Callers that wait for a worker.", lambda: pool.n_waiting),
            ("stem_workers_busy", "Workers that score.", lambda: pool.n_busy),
            ("stem_workers_alive", "Workers that live.", lambda: len(pool.pids)),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)
        self.registry.register(_Replaced(pool))


class _Replaced(Collector):
    """A counter that the pool keeps."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield it, as it stands."""
        yield CounterMetricFamily(
            "stem_workers_replaced", "Workers replaced since the start.", value=self._pool.n_replaced
        )


class Observed:
    """Gives every request an id, a log line, metrics and safe headers, and answers what nothing else caught.

    Args:
        app: the application inside.
        metrics: to count in.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, self._short(send))
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _ID.match(asked) else uuid.uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = request_id
        token = _request_id.set(request_id)
        status = 0
        started = time.perf_counter()

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except asyncio.CancelledError:  # the service stops, and this takes longer than STEM_SHUTDOWN_S
            if status:
                raise
            detail = "found a service that stops before the answer is known; needed: a running one"
            problem = Problem(503, "not_ready", detail, {"Retry-After": "10", "Connection": "close"})
            await problem_response(problem, request_id)(scope, receive, sent)
        except Exception:  # already logged and, unless the answer had begun, answered with 500
            if not status:
                problem = Problem(500, "internal", "an error of the service, written to its log")
                await problem_response(problem, request_id)(scope, receive, sent)
        finally:
            self._note(scope, status, time.perf_counter() - started)
            _request_id.reset(token)

    def _short(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":  # its last line says it; the rest is where in the code
                message = {**message, "message": str(message.get("message", "")).strip().splitlines()[-1]}
            await send(message)

        return sent

    def note_unread(self, status: int, address: str) -> None:
        """Log and count what was answered before it was read as a request.

        Args:
            status: of the answer.
            address: of the client.
        """
        self._metrics.requests.labels("other", "other", str(status)).inc()
        _log.info("request", extra={"method": "", "path": "", "status": status, "ms": 0.0, "caller": address})

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(scope["method"], route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        _log.info(
            "request",
            extra={
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(seconds * 1e3, 1),
                "caller": scope["state"].get("caller") or (scope.get("client") or ("",))[0],
            },
        )


def log_config(level: str) -> dict[str, object]:
    """Return a logging configuration: one JSON object a line on standard error, with the request id.

    Args:
        level: name of the least level written.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "service.observe.JsonLines"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": sys.stderr}},
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            "dbos": {"level": "WARNING", "handlers": ["stderr"], "propagate": False},  # else it prints its own way
            "httpx": {"level": "WARNING"},
            "uvicorn.access": {"level": "WARNING"},
        },
    }


class JsonLines(JsonFormatter):
    """Log records as JSON with time, level, logger, request id and what they carry."""

    def __init__(self) -> None:
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            timestamp="time",
            rename_fields={"levelname": "level", "name": "logger"},
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        record.request_id = _request_id.get()
        return str(super().format(record))
