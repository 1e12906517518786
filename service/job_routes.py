"""The routes of jobs: make, list, look, follow, cancel, delete, and fetch results."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response, StreamingResponse

from service import manifests, results, webhook
from service.access import Access, Caller, asks_only
from service.errors import DeletedError
from service.job_records import Job, NewJob
from service.job_schemas import BODY, BodyOfJob, BodyOfJobs, JobRequest, body_of
from service.jobs import LOOK_S, Jobs
from service.problems import Problem, responses
from service.settings import Settings
from service.uploads import FORM, check_coding, check_fields, check_query, form_of, media_type, save

_ID = re.compile(r"^[0-9a-f]{32}$")
_CURSOR = "^[0-9]{1,12}[.][0-9]{1,9}-[0-9a-f]{32}$"
"""When the last job listed was made, in Unix seconds, and its id."""
_JSON_BYTES = 16_000_000
_MOST_FAULTS = 20
"""Of a JSON, told one by one: those of a long one would take gigabytes, and hold up everyone else."""
MOST_FOLLOWED = 64
"""Jobs that one caller may follow at a time."""
_BLOCK_BYTES = 1 << 16
_VARIES = {"Vary": "Accept"}
_FIELDS = ("file", "coverage", "webhook")
"""Of a job's form."""


async def find(request: Request, job_id: str, caller: Caller) -> Job:
    """Return the caller's job of that id; a dependency.

    Raises:
        Problem: 404 where there is none, or another caller's.
    """
    jobs: Jobs = request.app.state.jobs
    job = await asyncio.to_thread(jobs.store.job, job_id) if _ID.match(job_id) else None
    if job is None or job.owner != _owner(request, caller):
        raise _no_such_job()
    return job


def _no_such_job() -> Problem:
    return Problem(404, "no_such_job", "found no job of that id; needed: one that was made here and is kept")


Found = Annotated[Job, Depends(find)]


def router(settings: Settings) -> APIRouter:
    """Return the routes.

    Args:
        settings: of the service.
    """
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], max_body_size=settings.max_job_body_bytes)
    made = {
        202: {
            "description": "Accepted; Location is the job's address.",
            "headers": {"Location": {"description": "address of the job", "schema": {"type": "string"}}},
        },
        **responses(400, 401, 403, 408, 413, 415, 422, 429, 503),
    }
    seen, changed = responses(401, 403, 404, 422, 429), responses(401, 403, 404, 409, 422, 429)
    routes.post("", status_code=202, summary="Score many stems", openapi_extra=BODY, responses=made)(make_job)
    routes.get(
        "",
        summary="Your jobs, newest first",
        responses=responses(401, 403, 422, 429, 503),
        dependencies=[asks_only("limit", "cursor")],
    )(list_jobs)
    bare = [asks_only()]
    routes.get("/{job_id}", summary="How far a job is", responses=seen, dependencies=bare)(get_job)
    routes.get(
        "/{job_id}/events",
        summary="Progress as server-sent events, until the job ends",
        response_class=EventSourceResponse,
        responses=seen,
        dependencies=[*bare, Depends(follows)],
    )(follow_job)
    routes.get(
        "/{job_id}/results",
        summary="What is finished, a row for each file",
        response_class=Response,
        responses={
            200: {
                "description": "The rows, in the order of the job's files, each with its place as 'index', from 0.",
                "content": {
                    results.JSONL_TYPE: {"schema": {"type": "string"}},
                    results.PARQUET_TYPE: {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **seen,
        },
        dependencies=[asks_only("format")],
    )(get_results)
    routes.post("/{job_id}/cancel", summary="Score no more of a job's files", responses=changed, dependencies=bare)(
        cancel_job
    )
    routes.delete("/{job_id}", status_code=204, summary="Forget an ended job", responses=changed, dependencies=bare)(
        delete_job
    )
    return routes


async def make_job(request: Request, response: Response, caller: Caller) -> BodyOfJob:
    """Accept a job: files in a form's field ``file``, or as JSON a ``manifest`` or ``paths`` on the server."""
    in_body = "is a field of the form or of the JSON here"
    check_query(request, (), {name: f"'{name}' {in_body}" for name in JobRequest.model_fields})
    jobs: Jobs = request.app.state.jobs
    settings: Settings = request.app.state.settings
    if not jobs.ready:
        raise Problem(503, "not_ready", "found a queue that takes no jobs now", {"Retry-After": "5"})
    if sum((await asyncio.to_thread(jobs.store.count_unfinished)).values()) >= settings.max_jobs:
        raise _full(settings)  # said again when the job is made, but here it spares the upload
    check_coding(request)
    job_id = uuid.uuid4().hex
    kind = media_type(request)
    if kind == FORM:
        request.app.state.spool.make()
        needed = f"at most {settings.max_job_uploads} files and the fields {', '.join(map(repr, _FIELDS))}"
        async with form_of(request, settings.max_job_uploads, needed) as form:
            in_json = "is taken as JSON, without uploads"
            check_fields(form, _FIELDS, {name: f"'{name}' {in_json}" for name in ("manifest", "paths")})
            asked = _asked({k: v for k, v in form.items() if k != "file"})
            job = _new(job_id, asked, _owner(request, caller), settings)
            await _keep_uploads(form, jobs.folder_of(job_id), settings, partial(_submit, jobs, job, settings))
    elif kind == "application/json":
        asked = await _read_json(request)
        job = _new(job_id, asked, _owner(request, caller), settings)
        files = await asyncio.to_thread(_named, asked, settings)
        await _submit(jobs, job, settings, files)
    else:
        found = f"content type {kind!r}" if kind else "no content type"
        raise Problem(415, "unsupported_media_type", f"found {found}; needed: {FORM} or application/json")
    kept = await asyncio.to_thread(jobs.store.job, job_id)
    assert kept is not None  # just made; for the type checker
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return body_of(kept)


async def list_jobs(
    request: Request,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=500, description="most that are listed at once")] = 50,
    cursor: Annotated[
        str | None, Query(pattern=_CURSOR, description="'next' of the list that this one follows")
    ] = None,
) -> BodyOfJobs:
    """List the caller's jobs that are kept, those of others never."""
    jobs: Jobs = request.app.state.jobs
    made, _, last = (cursor or "").partition("-")
    before = (float(made), last) if cursor else None
    found = await asyncio.to_thread(jobs.store.jobs, _owner(request, caller), limit + 1, before)
    listed = found[:limit]
    follows = f"{listed[-1].created_s!r}-{listed[-1].id}" if len(found) > limit else None
    return BodyOfJobs(jobs=[body_of(job) for job in listed], next=follows)


async def get_job(job: Found) -> BodyOfJob:
    """Tell how far a job is."""
    return body_of(job)


async def follows(request: Request, caller: Caller) -> AsyncIterator[None]:
    """Hold one of the places that a caller has for following jobs; a dependency.

    Raises:
        Problem: 429 where all are taken.
    """
    following: Counter[str] = request.app.state.following
    if following[caller] >= MOST_FOLLOWED:
        found = f"found {MOST_FOLLOWED} jobs that are followed by {caller}"
        raise Problem(429, "too_many_followed", f"{found}; needed: one of them ended first", {"Retry-After": "5"})
    following[caller] += 1
    try:
        yield
    finally:
        following[caller] -= 1
        following += Counter()  # without those at nothing


async def follow_job(request: Request, job: Found) -> AsyncIterable[ServerSentEvent]:
    """Tell each change of a job: events ``progress``, then one ``ended``, each with the job."""
    jobs: Jobs = request.app.state.jobs
    seen: Job | None = None
    now: Job | None = job
    while now is not None:
        if now != seen:
            yield ServerSentEvent(data=body_of(now), event="ended" if now.ended else "progress", retry=1000)
        if now.ended or not jobs.ready:  # a service that stops lets go of those who follow
            return
        seen = now
        await asyncio.sleep(LOOK_S)
        now = await jobs.look(job.id)


async def get_results(
    request: Request,
    job: Found,
    form: Annotated[
        Literal["jsonl", "parquet"] | None, Query(alias="format", description="unset: what Accept asks for, or jsonl")
    ] = None,
) -> Response:
    """Return a row for each finished file, as JSON Lines or Parquet."""
    jobs: Jobs = request.app.state.jobs
    rows = jobs.store.results(job.id)
    if form == "jsonl" or (form is None and not _prefers(request, results.PARQUET_TYPE, results.JSONL_TYPE)):
        return StreamingResponse(results.jsonl(rows), media_type=results.JSONL_TYPE, headers=_VARIES)
    try:
        file = await asyncio.to_thread(results.write_parquet, rows, request.app.state.spool.folder)
    except DeletedError as error:
        raise _no_such_job() from error
    headers = {
        **_VARIES,
        "Content-Length": str(os.fstat(file.fileno()).st_size),
        "Content-Disposition": f'attachment; filename="{job.id}.parquet"',
        "Accept-Ranges": "none",  # it is written anew for each request, so that parts of two would make no file
    }
    blocks = iter(partial(file.read, _BLOCK_BYTES), b"")
    closed = BackgroundTask(file.close)
    return StreamingResponse(blocks, headers=headers, media_type=results.PARQUET_TYPE, background=closed)


async def cancel_job(request: Request, job: Found) -> BodyOfJob:
    """Cancel a job: files that wait are not scored, those in flight are finished, rows that are there stay."""
    jobs: Jobs = request.app.state.jobs
    if not await asyncio.to_thread(jobs.cancel, job.id):
        raise Problem(409, "ended", f"found a job that is {job.state}; needed: one that has not ended")
    kept = await asyncio.to_thread(jobs.store.job, job.id)
    return body_of(kept or job)


async def delete_job(request: Request, job: Found) -> None:
    """Delete an ended job with its rows."""
    jobs: Jobs = request.app.state.jobs
    if not job.ended:
        raise Problem(409, "not_ended", f"found a job that is {job.state}; needed: one that has ended; cancel it first")
    await asyncio.to_thread(jobs.delete, job.id)


def _full(settings: Settings) -> Problem:
    return Problem(503, "queue_full", f"found {settings.max_jobs} jobs that have not ended", {"Retry-After": "30"})


async def _submit(jobs: Jobs, job: NewJob, settings: Settings, files: list[tuple[str, str]]) -> None:
    if not await asyncio.to_thread(jobs.submit, job, files):
        raise _full(settings)


def _owner(request: Request, caller: str) -> str:
    access: Access = request.app.state.access
    return caller if access.keyed else ""


def _new(job_id: str, asked: JobRequest, owner: str, settings: Settings) -> NewJob:
    if asked.webhook is not None:
        webhook.check(asked.webhook, settings)
    return NewJob(job_id, owner, asked.coverage, asked.webhook)


def _asked(fields: dict[str, Any]) -> JobRequest:
    try:
        return JobRequest.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error) from error


def _invalid(error: ValidationError) -> RequestValidationError | Problem:
    needed = f"of {', '.join(map(repr, JobRequest.model_fields))} what is wanted"
    if error.error_count() > _MOST_FAULTS:
        return Problem(422, "invalid_request", f"found {error.error_count()} faults in the JSON; needed: {needed}")
    known = f"unknown; needed: {needed}"
    faults: list[dict[str, Any]] = [
        {**e, "msg": known} if e["type"] == "extra_forbidden" else {**e} for e in error.errors()
    ]
    return RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults])


async def _read_json(request: Request) -> JobRequest:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _JSON_BYTES:
            raise Problem(413, "content_too_large", f"found a list of over {_JSON_BYTES} bytes; needed: a manifest")
    try:
        asked = JobRequest.model_validate_json(bytes(body))
    except ValidationError as error:
        raise _invalid(error) from error
    if (asked.manifest is None) == (asked.paths is None):
        raise Problem(422, "manifest_or_paths", "found both or neither of 'manifest' and 'paths'; needed: one of them")
    return asked


def _named(asked: JobRequest, settings: Settings) -> list[tuple[str, str]]:
    roots = tuple(str(root) for root in settings.manifest_roots)
    if asked.manifest is not None:
        return manifests.read(asked.manifest, roots, settings.max_job_files)
    return manifests.checked(list(asked.paths or ()), None, roots, settings.max_job_files)


async def _keep_uploads(form: FormData, folder: Path, settings: Settings, submit: Any) -> None:
    uploads = [upload for upload in form.getlist("file") if isinstance(upload, UploadFile)]
    if not uploads:
        raise Problem(422, "no_file", "found a form without a file; needed: one or more in the field 'file'")
    for upload in uploads:
        if (upload.size or 0) > settings.max_body_mb * 1e6:
            found = f"{upload.filename}: found {math.ceil((upload.size or 0) / 1e4) / 100:g} MB"
            raise Problem(413, "content_too_large", f"{found}; needed: at most {settings.max_body_mb:g} MB a file")
    folder.mkdir(parents=True, mode=0o700)
    try:
        files = []
        for n, upload in enumerate(uploads):
            path = folder / str(n)
            await save(upload, path)
            files.append((_clean(upload.filename or f"file {n}"), str(path)))
        await submit(files)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _prefers(request: Request, kind: str, other: str) -> bool:
    """Whether a type is asked for by its name, with a weight that is not 0 and no less than that of another."""
    weights = {}
    for asked in request.headers.get("accept", "").split(","):
        name, *parameters = (part.strip().lower() for part in asked.split(";"))
        given = [p.removeprefix("q=") for p in parameters if re.fullmatch(r"q=(0(\.\d{0,3})?|1(\.0{0,3})?)", p)]
        weights[name] = float(given[0]) if given else 1.0
    return weights.get(kind, 0.0) > 0 and weights[kind] >= weights.get(other, 0.0)


def _clean(name: str) -> str:
    return name.replace("\0", "")
