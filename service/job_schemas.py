"""What a job looks like over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from provenance.scorer import Coverage
from service.job_records import Job, JobState
from service.uploads import BINARY, FORM, describe_form

EXAMPLE = {"manifest": "/data/vendor/manifest.csv", "coverage": "full", "webhook": "https://example.org/hook"}


class JobRequest(BaseModel):
    """Files that the server may read: a manifest, or a list of paths."""

    model_config = ConfigDict(extra="forbid", title="JobRequest")

    manifest: str | None = Field(
        default=None,
        max_length=4096,
        description="absolute path of a CSV, JSON Lines or Parquet file on the server with a column 'path', below an "
        "allowed folder; paths in it that are not absolute start at its own",
    )
    paths: list[str] | None = Field(
        default=None,
        fail_fast=True,  # of a list of millions that holds no text one fault is told
        description="absolute paths on the server, below an allowed folder",
    )
    coverage: Coverage = Field(default="full", description="all of each file, or one window of four")
    webhook: str | None = Field(
        default=None,
        max_length=2000,
        description="told at the end, in the manner of Standard Webhooks; allowed hosts only",
    )


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Audio files in a form, or a list of files that the server may read.",
        "content": {
            FORM: describe_form(
                {"type": "array", "minItems": 1, "items": BINARY},
                coverage={"type": "string", "enum": ["full", "sparse"], "default": "full"},
                webhook={"type": "string", "format": "uri"},
            ),
            "application/json": {
                "schema": JobRequest.model_json_schema(ref_template="#/components/schemas/{model}"),
                "example": EXAMPLE,
            },
        },
    }
}
"""What is sent to make a job, for the OpenAPI document."""


class FileCounts(BaseModel):
    """Files of a job, by state."""

    total: int = Field(examples=[120])
    waiting: int = Field(examples=[70])
    running: int = Field(examples=[2])
    done: int = Field(description="with a verdict", examples=[47])
    error: int = Field(description="that have none, and why is in their row", examples=[1])
    cancelled: int = Field(examples=[0])


class BodyOfJob(BaseModel):
    """A job and how far it is."""

    model_config = ConfigDict(title="Job")

    id: str = Field(examples=["5f0c8b1e2d3a4f5e9b7c6d5e4f3a2b1c"])
    state: JobState
    coverage: Coverage
    created: datetime
    finished: datetime | None
    files: FileCounts
    webhook: Literal["none", "waiting", "delivered", "failed"]
    results: str = Field(
        description="where the rows are", examples=["/v1/jobs/5f0c8b1e2d3a4f5e9b7c6d5e4f3a2b1c/results"]
    )
    events: str = Field(
        description="where progress is told", examples=["/v1/jobs/5f0c8b1e2d3a4f5e9b7c6d5e4f3a2b1c/events"]
    )


class BodyOfJobs(BaseModel):
    """Jobs, newest first."""

    model_config = ConfigDict(title="Jobs")

    jobs: list[BodyOfJob]
    next: str | None = Field(
        description="the 'cursor' of what follows; null at the end",
        examples=["1764450000.25-5f0c8b1e2d3a4f5e9b7c6d5e4f3a2b1c"],
    )


def body_of(job: Job) -> BodyOfJob:
    """Return a job as the service says it.

    Args:
        job: of the store.
    """
    counts = FileCounts(
        total=sum(job.counts.values()),
        waiting=job.counts.get("waiting", 0),
        running=job.counts.get("running", 0),
        done=job.counts.get("done", 0),
        error=job.counts.get("error", 0),
        cancelled=job.counts.get("cancelled", 0),
    )
    return BodyOfJob.model_validate(
        {
            "id": job.id,
            "state": job.state,
            "coverage": job.coverage,
            "created": datetime.fromtimestamp(job.created_s, UTC),
            "finished": None if job.finished_s is None else datetime.fromtimestamp(job.finished_s, UTC),
            "files": counts,
            "webhook": job.webhook_state,
            "results": f"/v1/jobs/{job.id}/results",
            "events": f"/v1/jobs/{job.id}/events",
        }
    )
