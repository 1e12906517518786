"""Problems: every error of the service is ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
import logging
import reprlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import lacking

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger("service.problems")
_SHOWN = 200
"""Characters of what was sent that an error says again."""
_FOREIGN_HOST = "Invalid host header"
"""As the framework says it."""
_NEEDED = {"cursor": "'next' of the list that this one follows"}
"""What is needed, where a pattern says it to programs only."""
_METHODS = ("GET", "HEAD", "POST", "DELETE")
"""Of all routes."""

_WHAT_TO_DO = {
    400: "Correct the request; see /openapi.json.",
    401: "Send a key: 'Authorization: Bearer KEY'.",
    403: "Call from an allowed origin, or from a program.",
    404: "Check the address; see /openapi.json for what there is.",
    405: "Use a method named in the Allow header.",
    408: "Send the body without a pause, over a connection that holds.",
    409: "See in 'detail' what state the job is in.",
    413: "Send a smaller body, or one file per request.",
    415: "Send WAV, FLAC, OGG, Opus, MP3, AIFF or m4a, with its content type or as a form's file.",
    422: "Correct what is named in 'detail'.",
    429: "Wait as long as Retry-After says.",
    431: "Send a shorter address and fewer headers.",
    500: "Try again; if it stays, report it with the request id.",
    503: "Try again after as long as Retry-After says.",
}

EVERYWHERE = (400, 431, 500, 503)
"""Statuses that any route may answer with: a foreign Host, a head too large, a fault, a service that lacks or stops."""
_HEADERS = {
    401: ("WWW-Authenticate", "how a key is sent", "string"),
    429: ("Retry-After", "seconds to wait", "integer"),
    503: ("Retry-After", "seconds to wait", "integer"),
}
"""Headers that come with a status, whatever the code."""

_WHAT_TO_DO_ABOUT = {
    "ended": "Nothing is left to cancel: fetch the results, or delete the job.",
    "foreign_host": "Call it by its own name, or ask who runs the service to set STEM_ALLOWED_HOSTS.",
    "not_ended": "Cancel the job or follow its events, and delete it when it has ended.",
    "manifests_off": "Upload the files, or ask who runs the service to set STEM_MANIFEST_ROOTS.",
    "webhooks_off": "Leave the webhook out and follow the job's events, or ask who runs the service to set "
    "STEM_WEBHOOK_HOSTS and STEM_WEBHOOK_SECRET.",
}
"""Of codes for which the words of their status do not fit."""


class ProblemBody(BaseModel):
    """An error, as RFC 9457 has it, with a code for machines and what to do."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Unprocessable Content",
                "status": 422,
                "detail": "found an empty file of 0 bytes; needed: a readable audio file",
                "code": "empty_file",
                "todo": "Correct what is named in 'detail'.",
                "request_id": "0f3e6c1d9a2b4c58",
            }
        },
    )

    type: str = Field(default="about:blank", description="kind of problem; the code tells more")
    title: str = Field(description="the status in words")
    status: int = Field(description="the HTTP status", ge=400, le=599)
    detail: str = Field(description="what was found and what is needed")
    code: str = Field(description="short machine-readable code")
    todo: str = Field(default="", description="what to do")
    request_id: str = Field(default="", description="names the request in the service's log")


class Problem(Exception):  # noqa: N818  (the word of RFC 9457)
    """A request that cannot be served.

    Args:
        status: HTTP status, 400 or more.
        code: short machine-readable code.
        detail: what was found and what is needed.
        headers: of the response, such as Retry-After.
        more: further members of the body.
    """

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more
        super().__init__(f"{status} {code}: {detail}")


def problem_response(problem: Problem, request_id: str) -> Response:
    """Return the response that says a problem.

    Args:
        problem: what is wrong.
        request_id: of the request.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "todo": _WHAT_TO_DO_ABOUT.get(problem.code) or _WHAT_TO_DO.get(problem.status, ""),
        "request_id": request_id,
        **problem.more,
    }
    return Response(json.dumps(body), problem.status, problem.headers, MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of error responses.

    Args:
        statuses: HTTP statuses that a route may answer with.
    """
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": _WHAT_TO_DO[status], "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }
    for status in _HEADERS.keys() & described.keys():
        name, description, kind = _HEADERS[status]
        described[status]["headers"] = {name: {"description": description, "required": True, "schema": {"type": kind}}}
    return described


def install(app: FastAPI, words: Mapping[int, str]) -> None:
    """Make an application answer every exception with a problem.

    Args:
        app: the application.
        words: details by status, instead of the framework's own.
    """

    async def on_problem(request: Request, error: Exception) -> Response:
        problem = _as_problem(error, words)
        path = request.url.path[:_SHOWN]
        if problem.status == 405:  # the framework names the methods of one route only
            problem.headers["Allow"] = allowed = ", ".join(_allowed(request))
            problem.detail = f"found the method {request.method} for {path!r}; needed: {allowed}"
        elif problem.status == 404 and problem.detail == _title(404):
            problem.detail = f"found nothing at {path!r}; needed: an address of /openapi.json"
        return problem_response(problem, request_id_of(request.scope))

    for kind in (Problem, HTTPException, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, on_problem)


def request_id_of(scope: Scope) -> str:
    """Return the id of a request, or '' before it has one.

    Args:
        scope: of the request.
    """
    return str(scope.get("state", {}).get("request_id", ""))


class ProblemsOnly:
    """Turns an error that a framework answers as plain text (413, Host, CORS) into a problem.

    Args:
        app: the application inside.
        words: details by status, instead of the framework's own.
    """

    def __init__(self, app: ASGIApp, words: Mapping[int, str]) -> None:
        self._app = app
        self._words = words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def sent(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                kind = MutableHeaders(raw=message["headers"]).get("content-type", "")
                if message["status"] >= 400 and not kind.startswith(MEDIA_TYPE):
                    start = message
                    return
                await send(message)
            elif start is None:
                await send(message)
            elif not message.get("more_body", False):
                status = start["status"]
                kept = {k: v for k, v in MutableHeaders(raw=start["headers"]).items() if not k.startswith("content-")}
                said = self._words.get(status) or message.get("body", b"").decode("utf-8", "replace")[:200]
                problem = Problem(status, _code(status), said or _title(status), kept)
                if said == _FOREIGN_HOST:
                    host = Headers(scope=scope).get("host", "")[:_SHOWN]
                    found = f"found the Host header {host!r}; needed: a name that is answered here"
                    problem = Problem(400, "foreign_host", found, kept)
                await problem_response(problem, request_id_of(scope))(scope, receive, send)

        await self._app(scope, receive, sent)


def _allowed(request: Request) -> list[str]:
    routes: list[BaseRoute] = request.app.routes
    scopes = [{**request.scope, "method": method} for method in _METHODS]
    return [s["method"] for s in scopes if any(route.matches(s)[0] is Match.FULL for route in routes)]


def _as_problem(error: Exception, words: Mapping[int, str]) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        detail = words.get(error.status_code, str(error.detail))
        return Problem(error.status_code, _code(error.status_code), detail, error.headers)
    if isinstance(error, RequestValidationError):
        faults = [{"where": [str(p)[:_SHOWN] for p in e["loc"]], "fault": fault_of(e)} for e in error.errors()]
        detail = "; ".join(f"{'.'.join(f['where'])}: {f['fault']}" for f in faults)[:500]
        return Problem(422, "invalid_request", detail, errors=faults)
    if _is_database(error):
        _log.error("job database: %s", error)
        detail = "found no job database that answers; needed: a running one"
        return Problem(503, "no_database", detail, {"Retry-After": "10"})
    if isinstance(error, ClientDisconnect):  # nobody reads this but the log
        return Problem(400, "client_left", "found the end of the connection in the middle of the body")
    if lacked := lacking(error):
        _log.error("request failed: %s", error)
        detail = f"found a server without what it takes ({lacked}); needed: a later try"
        return Problem(503, "out_of_resources", detail, {"Retry-After": "5"})
    _log.error("request failed", exc_info=error)
    return Problem(500, "internal", "an error of the service, written to its log")


def fault_of(error: Mapping[str, Any]) -> str:
    """Return what was found and what is needed, of an error of pydantic's.

    Args:
        error: with its ``loc``, ``type``, ``msg`` and, where there is one, ``input``.
    """
    needed = _NEEDED.get(str(error["loc"][-1]), str(error["msg"]).removeprefix("Input should be "))
    found = error.get("input")
    if "needed: " in needed or not isinstance(found, str | int | float) or error["type"] == "json_invalid":
        return str(error["msg"])
    return f"found {reprlib.repr(found)}; needed: {needed}"


_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Of RFC 9110; Python before 3.13 has older words."""


def _is_database(error: Exception) -> bool:
    import sqlalchemy.exc  # here, so that what needs only problems does not load it

    return isinstance(error, (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError))


def _title(status: int) -> str:
    if status in _TITLES:
        return _TITLES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _code(status: int) -> str:
    return _title(status).lower().replace(" ", "_").replace("-", "_")
