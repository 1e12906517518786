"""The OpenAPI document: the framework's, with the library's schema of a verdict and the service's of a problem."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI

import provenance
from service.examples import VERDICT
from service.problems import ProblemBody

_HERE = "#/components/schemas/"


def install(app: FastAPI, keyed: bool) -> None:
    """Make an application serve the document.

    Args:
        app: with all its routes.
        keyed: whether keys are asked for; without them the document asks for none either.
    """
    framework = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(framework(), keyed)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as the framework's documentation has it


def _completed(document: dict[str, Any], keyed: bool) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    verdict = json.loads(provenance.json_schema().replace("#/$defs/", _HERE))
    schemas.update(verdict.pop("$defs", {}))
    verdict.pop("$schema", None)
    schemas["Verdict"] = verdict
    problem = ProblemBody.model_json_schema(ref_template=_HERE + "{model}")
    schemas["ProblemBody"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if not keyed:
        document["components"].pop("securitySchemes", None)
        for path in document["paths"].values():
            for operation in path.values():
                operation.pop("security", None)
    events = document["paths"]["/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]
    events["description"] = "Events `progress` and at last one `ended`; the data of each is the job."
    events["content"] = {"text/event-stream": {"schema": {"type": "string"}}}  # the framework's is of OpenAPI 3.2
    scored = document["paths"]["/v1/verdicts"]["post"]["responses"]["200"]["content"]["application/json"]
    scored["example"] = VERDICT  # set here because the framework drops the nulls of an example
    return document
