"""Whether the service lives, is ready, and what it counts."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from service.access import known
from service.jobs import Jobs
from service.pool import Pool
from service.problems import Problem, responses
from service.uploads import Spool

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """State of the service."""

    status: str = Field(examples=["ok"])
    workers: int = Field(description="workers that live", examples=[2])
    waiting: int = Field(description="requests that wait for a worker", examples=[0])


@router.get("/healthz", summary="Whether the process answers")
@router.head("/healthz", include_in_schema=False)
async def is_alive(request: Request) -> Health:
    """Return that the process answers."""
    return _health(request.app.state.pool)


@router.get("/readyz", summary="Whether verdicts can be given", responses=responses(503))
@router.head("/readyz", include_in_schema=False)
async def is_ready(request: Request) -> Health:
    """Return whether the model is loaded, workers live, the job queue answers and uploads can be written."""
    pool: Pool = request.app.state.pool
    if not pool.ready:
        raise Problem(503, "not_ready", "found no worker with the model loaded", {"Retry-After": "2"})
    jobs: Jobs = request.app.state.jobs
    if not jobs.ready or not await asyncio.to_thread(jobs.reachable):
        raise Problem(503, "not_ready", "found no job queue that answers", {"Retry-After": "2"})
    spool: Spool = request.app.state.spool
    try:
        await asyncio.to_thread(spool.probe)
    except OSError as error:
        detail = f"found no place for uploads ({error.strerror}); needed: a folder that can be written to"
        raise Problem(503, "out_of_resources", detail, {"Retry-After": "10"}) from error
    return _health(pool)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    responses=responses(401, 403, 429),
)
async def give_metrics(request: Request, caller: Annotated[str, Depends(known)]) -> Response:
    """Return the metrics in Prometheus' text format."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _health(pool: Pool) -> Health:
    return Health(status="ok" if pool.ready else "not_ready", workers=len(pool.pids), waiting=pool.n_waiting)
