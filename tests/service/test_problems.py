"""Every error is a problem (RFC 9457) that says what was found and what is needed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.service import sounds
from tests.service.server import Server, wait_until


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check an answer, and return the problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["title"]
    assert body["detail"]
    assert body["todo"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/jobs/0", 404, "no_such_job"),
        ("GET", "/v1/verdicts", 405, "method_not_allowed"),
        ("DELETE", "/", 405, "method_not_allowed"),
        ("POST", "/v1/verdicts", 415, "unsupported_media_type"),
        ("POST", "/v1/verdicts?coverage=half", 422, "invalid_request"),
        ("POST", "/v1/jobs", 415, "unsupported_media_type"),
    ],
)
def test_the_frameworks_own_errors_are_problems(server: Server, method: str, path: str, status: int, code: str) -> None:
    """404, 405, 415 and 422 come as problems whichever layer finds them."""
    with server.client() as client:
        is_problem(client.request(method, path), status, code)


def test_a_405_says_what_is_allowed(server: Server) -> None:
    """A 405 has the header that it must have, with the methods of all routes of the address."""
    with server.client() as client:
        assert client.get("/v1/verdicts").headers["allow"] == "POST"
        assert client.put("/v1/jobs").headers["allow"] == "GET, POST"
        assert client.put("/v1/jobs/0").headers["allow"] == "GET, DELETE"
        assert client.post("/healthz").headers["allow"] == "GET, HEAD"


def test_no_request_is_sent_elsewhere(server: Server) -> None:
    """A slash too many is told, not redirected: behind TLS that would lead to plain HTTP, body and key and all."""
    with server.client(follow_redirects=False) as client:
        for method, path in (
            ("POST", "/v1/verdicts/"),
            ("POST", "/v1/jobs/"),
            ("GET", "/v1/jobs/"),
            ("GET", "/readyz/"),
        ):
            answer = client.request(method, path, headers={"X-API-Key": "k", "X-Forwarded-Proto": "http"})
            is_problem(answer, 404, "not_found")
            assert repr(path) in answer.json()["detail"]


def test_a_foreign_host_header_is_refused(server: Server) -> None:
    """On loopback only loopback names are answered, so that a page elsewhere cannot rebind a name."""
    with server.client() as client:
        is_problem(client.get("/healthz", headers={"Host": "evil.example"}), 400, "foreign_host")


def test_a_foreign_page_is_refused(server: Server, wav: bytes) -> None:
    """A page of another site cannot use the service through a visitor's browser; one of its own can."""
    foreign = {"Origin": "https://evil.example"}
    with server.client() as client:
        for headers in (foreign | {"Sec-Fetch-Site": "cross-site"}, foreign, {"Origin": "null"}):
            answer = client.post("/v1/verdicts", files={"file": wav}, headers=headers)
            is_problem(answer, 403, "foreign_origin")
        own = {"Origin": f"{client.base_url.scheme}://{client.base_url.netloc.decode()}"}
        assert client.post("/v1/verdicts", files={"file": wav}, headers=own).status_code == 200


@pytest.mark.parametrize("name", list(sounds.hostile()))
def test_a_file_without_a_verdict_is_a_problem(server: Server, name: str) -> None:
    """A broken or foreign file is answered with 415 or 422, whatever is wrong with it, and what is needed."""
    data = sounds.hostile()[name]
    with server.client() as client:
        for way in ({"files": {"file": data}}, {"content": data, "headers": {"Content-Type": "audio/wav"}}):
            answer = client.post("/v1/verdicts", **way)  # type: ignore[arg-type]
            assert answer.status_code in (415, 422), answer.text
            problem = is_problem(answer, answer.status_code, answer.json()["code"])
            assert problem["detail"].startswith("found ")
            assert "; needed: " in problem["detail"]
            assert str(server.state) not in answer.text


def test_forms_must_hold_one_file(server: Server, wav: bytes) -> None:
    """A form without the field, with text in it, or with two files is refused."""
    with server.client() as client:
        is_problem(client.post("/v1/verdicts", files={"other": wav}), 422, "no_file")
        is_problem(client.post("/v1/verdicts", files={"file": (None, b"text")}), 422, "no_file")
        two = client.post("/v1/verdicts", files=[("file", ("a.wav", wav)), ("file", ("b.wav", wav))])
        detail = is_problem(two, 400, "bad_request")["detail"]
        assert "2 files ('a.wav', 'b.wav')" in detail
        assert "one file in the field 'file'" in detail
        three = client.post("/v1/verdicts", files=[("file", wav)] * 3)
        assert "one file in the field 'file'" in is_problem(three, 400, "bad_request")["detail"]
        headers = {"Content-Type": "multipart/form-data"}
        is_problem(client.post("/v1/verdicts", content=b"--x", headers=headers), 400, "bad_request")


@pytest.mark.parametrize(
    ("path", "name", "said"),
    [
        ("/v1/verdicts", "windows", "of query parameters only 'coverage' (the command line's --windows is 'coverage'"),
        ("/v1/verdicts", "Coverage", "of query parameters only 'coverage'"),
        ("/v1/jobs", "windows", "no query parameter (the command line's --windows is 'coverage' here)"),
        ("/v1/jobs", "coverage", "no query parameter ('coverage' is a field of the form or of the JSON here)"),
    ],
)
def test_an_unknown_query_parameter_is_named(server: Server, wav: bytes, path: str, name: str, said: str) -> None:
    """What would be ignored is refused, with its name, those that are known, and what may have been meant."""
    with server.client() as client:
        found = client.post(path, params={name: "sparse"}, files={"file": wav})
        problem = is_problem(found, 422, "invalid_request")
    assert problem["detail"].startswith(f"found the query parameter {name!r}; needed: {said}")
    assert [fault["where"] for fault in problem["errors"]] == [["query", name]]


def test_every_route_below_v1_names_an_unknown_query_parameter(server: Server, wav: bytes) -> None:
    """Whatever its method, a route refuses a parameter that it has not, before it does anything; probes take any."""
    with server.client() as client:
        job = client.post("/v1/jobs", files={"file": wav}).json()["id"]
        document = client.get("/openapi.json").json()["paths"]
        routes = [(method, path) for path, methods in document.items() for method in methods if path.startswith("/v1/")]
        assert ("get", "/v1/jobs/{job_id}/events") in routes
        for method, path in routes:
            found = client.request(method, path.format(job_id=job), params={"offset": "5"})
            problem = is_problem(found, 422, "invalid_request")
            assert problem["detail"].startswith("found the query parameter 'offset'; needed: "), (method, path)
            assert [fault["where"] for fault in problem["errors"]] == [["query", "offset"]]
        wrong = client.get(f"/v1/jobs/{job}/results", params={"format": "jsonl", "Format": "parquet"})
        assert (
            "'Format'; needed: of query parameters only 'format'" in is_problem(wrong, 422, "invalid_request")["detail"]
        )
        assert client.get(f"/v1/jobs/{job}/results", params={"format": "jsonl"}).status_code == 200
        for path in ("/", "/page/page.js", "/openapi.json", "/healthz", "/readyz", "/metrics"):
            assert client.get(path, params={"t": "17"}).status_code == 200, path


@pytest.mark.parametrize(
    ("path", "files", "code", "said"),
    [
        ("/v1/verdicts", {"files": b"x"}, "no_file",
         "found the form field 'files'; needed: of form fields only 'file' (one field 'file' for each file)"),
        ("/v1/verdicts", {"file": b"x", "coverage": (None, b"sparse")}, "invalid_request",
         "found the form field 'coverage'; needed: of form fields only 'file' ('coverage' is a query parameter here)"),
        ("/v1/jobs", {"files": b"x"}, "no_file",
         "found the form field 'files'; needed: of form fields only 'file', 'coverage', 'webhook' (one field 'file'"),
        ("/v1/jobs", {"file": b"x", "windows": (None, b"sparse")}, "invalid_request", "--windows is 'coverage' here"),
        ("/v1/jobs", {"file": b"x", "manifest": (None, b"/a.csv")}, "invalid_request", "'manifest' is taken as JSON"),
        ("/v1/jobs", {f"field{k}": (None, b"x") for k in range(4)} | {"file": b"x"}, "invalid_request",
         "found the form field 'field0', 'field1', 'field2', 'field3'; needed: "),
    ],
)  # fmt: skip
def test_an_unknown_form_field_is_named(server: Server, path: str, files: dict[str, Any], code: str, said: str) -> None:
    """A field that would be ignored is refused, with its name and those that are known."""
    with server.client() as client:
        problem = is_problem(client.post(path, files=files), 422, code)
    assert said in problem["detail"]
    assert problem["errors"][0]["where"][0] == "body"


@pytest.mark.parametrize(
    ("path", "fields", "code", "said"),
    [
        ("/v1/jobs", [("file", (None, "a.wav"))], "no_file", "'file' without a file name in 1 of 1 places"),
        ("/v1/jobs", [("file", ("", b"x"))], "no_file", "'file' without a file name in 1 of 1 places"),
        ("/v1/jobs", [("file", ("a.wav", b"x")), ("file", (None, "b.wav"))], "invalid_request", "in 1 of 2 places"),
        ("/v1/verdicts", [("file", ("a.wav", b"x")), ("file", (None, "b.wav"))], "invalid_request", "-F file=@NAME"),
        ("/v1/jobs", [("file", ("a.wav", b"x")), ("coverage", (None, "sparse")), ("coverage", (None, "full"))],
         "invalid_request", "found the form field 'coverage' 2 times; needed: once"),
        ("/v1/verdicts?coverage=sparse&coverage=full", [("file", ("a.wav", b"x"))],
         "invalid_request", "found the query parameter 'coverage' 2 times; needed: once"),
    ],
)  # fmt: skip
def test_a_field_that_would_be_dropped_is_named(
    server: Server, path: str, fields: list[tuple[str, Any]], code: str, said: str
) -> None:
    """A text in the place of a file, and all but the last of several values, are refused rather than ignored."""
    with server.client() as client:
        problem = is_problem(client.post(path, files=fields), 422, code)
    assert said in problem["detail"]
    assert problem["errors"][0]["where"] in (["body", "file"], ["body", "coverage"], ["query", "coverage"])


def test_a_file_sent_as_a_long_text_is_told_what_it_lacks(server: Server, wav: bytes) -> None:
    """A file whose name is missing is longer than a text may be; the answer says how a file is sent."""
    with server.client() as client:
        for path in ("/v1/verdicts", "/v1/jobs"):
            answer = client.post(path, files={"file": ("", wav)})
            assert "a file with its name (with curl: -F file=@NAME)" in is_problem(answer, 400, "bad_request")["detail"]


def test_what_to_do_fits_the_code(server: Server, wav: bytes) -> None:
    """Nobody is told to wait for what never comes, or to correct what only the operator can."""
    with server.client() as client:
        job = client.post("/v1/jobs", files={"file": wav}).json()
        path = f"/v1/jobs/{job['id']}"
        wait_until(lambda: client.get(path).json()["state"] == "done")
        assert "delete the job" in is_problem(client.post(f"{path}/cancel"), 409, "ended")["todo"]
        many = client.post("/v1/jobs", files=[("file", wav)] * 50).json()
        busy = client.delete(f"/v1/jobs/{many['id']}")
        assert is_problem(busy, 409, "not_ended")["todo"].startswith("Cancel the job")
        client.post(f"/v1/jobs/{many['id']}/cancel")
        off = client.post("/v1/jobs", json={"paths": ["/a"]})
        assert "STEM_MANIFEST_ROOTS" in is_problem(off, 422, "manifests_off")["todo"]
        off = client.post("/v1/jobs", files={"file": wav}, data={"webhook": "https://example.org/"})
        assert "ask who runs the service" in is_problem(off, 422, "webhooks_off")["todo"]


def test_a_job_names_its_known_fields(server: Server) -> None:
    """An unknown key of a job's JSON is named beside those that are known."""
    with server.client() as client:
        problem = is_problem(client.post("/v1/jobs", json={"files": ["/a"]}), 422, "invalid_request")
    assert problem["detail"].startswith("body.files: unknown; needed: of 'manifest', 'paths', 'coverage', 'webhook'")


def test_limits_are_settings(serve: Callable[..., Server]) -> None:
    """Body size, decoded length, channels and rate have limits with their own statuses, and the message names them."""
    server = serve(max_body_mb=1, max_job_body_mb=2, max_duration_s=5, max_channels=1, max_sample_rate_hz=48_000)
    big = bytes(1_100_000)

    def chunks() -> Any:
        for _ in range(30):
            yield bytes(50_000)

    with server.client() as client:
        kind = {"Content-Type": "audio/wav"}
        for answer in (
            client.post("/v1/verdicts", content=big, headers=kind),
            client.post("/v1/verdicts", content=chunks(), headers=kind),
            client.post("/v1/verdicts", files={"file": big}),
            client.post("/v1/jobs", files={"file": bytes(2_100_000)}),
        ):
            assert "1 MB for a file and 2 MB for a job" in is_problem(answer, 413, "content_too_large")["detail"]
        is_problem(client.post("/v1/jobs", files={"file": big}), 413, "content_too_large")
        near = is_problem(client.post("/v1/jobs", files={"file": bytes(1_000_100)}), 413, "content_too_large")
        assert "found 1.01 MB; needed: at most 1 MB a file" in near["detail"]
        stereo = client.post("/v1/verdicts", files={"file": sounds.stem("mp3", 2.0)})
        assert "2 channels" in is_problem(stereo, 422, "too_many_channels")["detail"]

    from tests.sounds import encode, music

    with server.client() as client:
        long = client.post("/v1/verdicts", files={"file": encode(music(7.0, channels=1), fmt="FLAC")})
        assert "at most 5 s" in is_problem(long, 413, "too_long")["detail"]
        fast = client.post("/v1/verdicts", files={"file": encode(music(1.0, 96_000, 1), 96_000)})
        assert "96000 Hz" in is_problem(fast, 422, "bad_rate")["detail"]
        good = client.post("/v1/verdicts", files={"file": encode(music(4.0, channels=1))})
        assert good.status_code == 200
    assert list((server.state / "spool").iterdir()) == []


def test_the_rate_is_limited_by_429(serve: Callable[..., Server]) -> None:
    """Over the rate a caller gets 429 with Retry-After, and after that wait an answer again."""
    server = serve(rate_limit="3/2second")
    with server.client() as client:
        statuses = [client.get("/v1/verdict.schema.json").status_code for _ in range(3)]
        assert 429 not in statuses
        asked = (client.get("/v1/verdict.schema.json") for _ in range(60))  # more than one, should this one be held up
        over = next(answer for answer in asked if answer.status_code == 429)
        is_problem(over, 429, "rate_limited")
        assert client.get("/healthz").status_code == 200
        time.sleep(int(over.headers["retry-after"]))
        assert client.get("/v1/verdict.schema.json").status_code != 429


def test_a_full_queue_is_503(serve: Callable[..., Server]) -> None:
    """When every worker is busy and no more may wait, the answer is 503 with Retry-After at once, not a wait."""
    server = serve(workers=1, queue_size=1)
    long = sounds.stem("flac", 90.0)
    with server.client() as client, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.post("/v1/verdicts", files={"file": long}), range(8)))
    full = [a for a in answers if a.status_code == 503]
    assert 2 <= sum(a.status_code == 200 for a in answers) < 8
    assert len(full) == 8 - sum(a.status_code == 200 for a in answers)
    for answer in full:
        is_problem(answer, 503, "queue_full")
        assert int(answer.headers["retry-after"]) >= 1


def test_a_body_that_stops_halfway_holds_nothing_up(server: Server, wav: bytes) -> None:
    """A client that leaves in the middle of its upload leaves no file behind and no worker busy."""
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        fields = f"Host: 127.0.0.1\r\nContent-Type: audio/wav\r\nContent-Length: {len(wav)}"
        head = f"POST /v1/verdicts HTTP/1.1\r\n{fields}\r\n\r\n"
        raw.sendall(head.encode() + wav[: len(wav) // 2])
        wait_until(lambda: list((server.state / "spool").iterdir()))
    deadline = time.monotonic() + 10
    while list((server.state / "spool").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list((server.state / "spool").iterdir()) == []
    with server.client() as client:
        assert client.post("/v1/verdicts", files={"file": wav}).status_code == 200
    assert "Traceback" not in server.log
