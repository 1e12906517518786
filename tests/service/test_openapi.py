"""The OpenAPI document: true for whatever is sent, and enough for a client generator."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import pytest

from provenance import evidence
from provenance.evidence.view import Clip
from provenance.verdict import Cue
from tests.service.server import Server
from tests.service.test_keys import make_key

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis (the extra 'dev')")
_checks = pytest.importorskip("schemathesis.specs.openapi.checks")
LEFT_OUT = [_checks.ignored_auth, _checks.positive_data_acceptance]
"""The first takes a right key beside a wrong one for none (keys have their own tests); the second wants every upload
accepted that is a string of bytes, and every path, whether or not there is such a file."""


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[tuple[Server, str]]:
    """A server that asks for a key, and the key."""
    folder = tmp_path_factory.mktemp("openapi")
    key = make_key(folder / "keys", "fuzz")
    with Server(folder / "state", model=tiny_model, keys_file=folder / "keys", manifest_roots=folder) as running:
        yield running, key


@pytest.fixture(scope="module")
def api(keyed: tuple[Server, str]) -> Any:
    """The document of the running server."""
    return schemathesis.openapi.from_url(f"{keyed[0].url}/openapi.json")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/verdicts"),
        ("GET", "/v1/verdict.schema.json"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/{job_id}"),
        ("DELETE", "/v1/jobs/{job_id}"),
        ("GET", "/v1/jobs/{job_id}/events"),
        ("GET", "/v1/jobs/{job_id}/results"),
        ("POST", "/v1/jobs/{job_id}/cancel"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
    ],
)
def test_whatever_is_sent_is_answered_as_the_document_says(
    api: Any, keyed: tuple[Server, str], method: str, path: str
) -> None:
    """No request makes a server error, and every answer has a documented status, type and body."""
    server, key = keyed

    @hypothesis.given(case=api[path][method].as_strategy())
    @hypothesis.settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def holds(case: Any) -> None:
        case.call_and_validate(headers={"X-API-Key": key}, excluded_checks=LEFT_OUT)

    holds()
    assert '"status": 500' not in server.log


def test_every_operation_is_tried(api: Any) -> None:
    """The list above is the whole document."""
    tried = {
        mark.args[1][k] for mark in test_whatever_is_sent_is_answered_as_the_document_says.pytestmark for k in range(12)
    }
    assert {(o.ok().method.upper(), o.ok().path) for o in api.get_all_operations()} == tried


def test_it_is_a_document_of_the_version_that_it_states(api: Any) -> None:
    """Validators and generators of OpenAPI 3.1 take it."""
    assert api.raw_schema["openapi"].startswith("3.1.")
    api.validate()


def test_every_route_has_what_a_generator_needs(server: Server) -> None:
    """Every operation has a unique id, a summary, a documented success and, where it can fail, problems."""
    with server.client() as client:
        document = client.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({o["operationId"] for o in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert any(status.startswith("2") for status in operation["responses"])
        for status, response in operation["responses"].items():
            if status >= "4":
                assert list(response["content"]) == ["application/problem+json"], (operation["operationId"], status)
    names = set(document["components"]["schemas"])
    text = str(document)
    assert {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]} <= names


def test_what_any_route_may_answer_is_described_of_each(serve: Callable[..., Server]) -> None:
    """A foreign Host, a job database that does not answer: a generated client reads these as problems, too."""
    server = serve()
    with server.client() as client:
        operations = {
            (path, method): operation
            for path, methods in client.get("/openapi.json").json()["paths"].items()
            for method, operation in methods.items()
        }
        with closing(sqlite3.connect(server.state / "jobs.sqlite")) as database:
            database.execute("drop table stem_job_files")
            database.execute("drop table stem_jobs")
        seen = set()
        for (path, method), operation in operations.items():
            address = path.replace("{job_id}", "0" * 32)
            for host in ("localhost", "elsewhere"):
                answer = client.request(method, address, headers={"Host": host})
                described = operation["responses"][str(answer.status_code)]
                assert answer.headers["content-type"] in described.get("content", {}) or answer.status_code < 400
                assert all(name in answer.headers for name in described.get("headers", {}) if answer.status_code >= 400)
                seen.add(answer.status_code)
        assert {400, 503} <= seen
    for (path, method), operation in operations.items():
        assert {"400", "500", "503"} <= operation["responses"].keys(), (path, method)
        for status in ("429", "503"):
            if status in operation["responses"]:
                assert operation["responses"][status]["headers"]["Retry-After"]["required"], (path, method)


def test_examples_are_true_to_their_schemas(server: Server) -> None:
    """The example of the verdict is a verdict, its evidence in its cue's words, and that of a problem a problem."""
    with server.client() as client:
        document = client.get("/openapi.json").json()
        verdict_schema = client.get("/v1/verdict.schema.json").json()
    content = document["paths"]["/v1/verdicts"]["post"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(content["example"], verdict_schema)
    whole = {**content["schema"], "components": document["components"]}
    jsonschema.validate(content["example"], whole)
    for cue in content["example"]["evidence"]:
        module = next(module for module in evidence.CUES if cue["cue"] == module.NAME)
        assert module.measure(Clip({module.NAME: [cue["value"]]})) == Cue(
            **cue | {name: tuple(cue[name]) for name in ("studio_range", "separated_range")}
        )
    problem = document["components"]["schemas"]["ProblemBody"]
    jsonschema.validate(problem["example"], {**problem, "components": document["components"]})
