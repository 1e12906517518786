"""The route that scores one file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

import provenance
from provenance.scorer import Coverage
from provenance.verdict import Verdict
from service.access import Caller, asks_only
from service.errors import StartError
from service.observe import Metrics
from service.pool import Pool, QueueFull
from service.problems import Problem, responses
from service.uploads import BINARY, FORM, Spool, check_query, describe_form
from service.worker import Outcome, Refused, Task

router = APIRouter(prefix="/v1", tags=["verdicts"])

STATUS_OF = {"not_audio": 415, "needs_extra": 415, "broken_extra": 415, "too_long": 413, "out_of_resources": 503}
"""HTTP status of a refusal by its code; any other is 422."""
_BINARY = {"schema": BINARY}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One audio file: WAV, FLAC, OGG, Opus, MP3, AIFF or m4a.",
        "content": {
            FORM: describe_form(BINARY),
            "audio/wav": _BINARY,
            "audio/flac": _BINARY,
            "audio/mpeg": _BINARY,
            "audio/ogg": _BINARY,
            "application/octet-stream": _BINARY,
        },
    }
}


@router.post(
    "/verdicts",
    response_model=Verdict,
    summary="Score one stem",
    openapi_extra=_BODY,
    responses={
        200: {
            "description": "The verdict.",
            "headers": {"Server-Timing": {"description": "the scorer's own time", "schema": {"type": "string"}}},
        },
        **responses(400, 401, 403, 408, 413, 415, 422, 429, 503),
    },
)
async def give_verdict(
    request: Request,
    caller: Caller,
    coverage: Annotated[Coverage, Query(description="all of it, or one window of four")] = "full",
) -> Response:
    """Tell whether a stem was recorded to its own track or extracted from a mix, and how it was processed."""
    check_query(request, ("coverage",))
    state = request.app.state
    pool: Pool = state.pool
    spool: Spool = state.spool
    async with spool.received(request) as path:
        try:
            outcome = await _unless_left(request, partial(pool.score, Task(str(path), coverage)))
        except QueueFull as error:
            wait = {"Retry-After": str(error.retry_after_s)}
            raise Problem(503, "queue_full", "found a full queue; needed: a free worker", wait) from error
        except StartError as error:
            detail = "found no worker that starts; see the service's log"
            raise Problem(503, "no_worker", detail, {"Retry-After": "10"}) from error
    note(state.metrics, outcome)
    if isinstance(outcome, Refused):
        status = STATUS_OF.get(outcome.code, 422)
        raise Problem(status, outcome.code, outcome.detail, {"Retry-After": "5"} if status == 503 else None)
    timing = {"Server-Timing": f"score;dur={outcome.seconds * 1e3:.2f}"}
    return Response(outcome.body, headers=timing, media_type="application/json")


async def _unless_left(request: Request, score: Callable[[], Coroutine[Any, Any, Outcome]]) -> Outcome:
    leaving = asyncio.create_task(_left(request))
    tasks: list[asyncio.Task[Any]] = [leaving]
    try:
        await asyncio.sleep(0)  # who has left already takes no worker
        if not leaving.done():
            tasks.append(scoring := asyncio.create_task(score()))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if scoring.done():
                return scoring.result()
    finally:
        for task in tasks:
            task.cancel()
    raise Problem(400, "client_left", "found the end of the connection before the verdict")  # for the log alone


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@router.get(
    "/verdict.schema.json",
    summary="JSON schema of a verdict",
    responses=responses(401, 403, 422, 429),
    dependencies=[asks_only()],
)
async def give_schema(caller: Caller) -> dict[str, Any]:
    """Return the schema that the library, the shell and this service share."""
    schema: dict[str, Any] = json.loads(provenance.json_schema())
    return schema


def note(metrics: Metrics, outcome: Outcome) -> None:
    """Count an outcome.

    Args:
        metrics: to count in.
        outcome: of one file.
    """
    if isinstance(outcome, Refused):
        metrics.refused.labels(outcome.code).inc()
        return
    metrics.scoring.observe(outcome.seconds)
    metrics.verdicts.labels(outcome.origin).inc()
