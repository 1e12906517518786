"""What errors say, and what caches are told."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.service.server import Server
from tests.service.test_problems import is_problem


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "said"),
    [
        ("GET", "/v1/verdict", 404, "not_found", "found nothing at '/v1/verdict'; needed: an address of /openapi.json"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed", "found the method PUT for '/v1/jobs'; needed: GET, POST"),
        ("POST", "/v1/verdicts?coverage=half", 422, "invalid_request",
         "query.coverage: found 'half'; needed: 'full' or 'sparse'"),
        ("GET", "/v1/jobs?limit=0", 422, "invalid_request",
         "query.limit: found '0'; needed: greater than or equal to 1"),
        ("GET", "/v1/jobs?cursor=abc", 422, "invalid_request",
         "query.cursor: found 'abc'; needed: 'next' of the list that this one follows"),
    ],
)  # fmt: skip
def test_the_frameworks_errors_say_what_was_found_and_what_is_needed(
    server: Server, method: str, path: str, status: int, code: str, said: str
) -> None:
    """As every error does, they name what was sent, cut short, and what would do."""
    with server.client() as client:
        assert is_problem(client.request(method, path), status, code)["detail"] == said
        long = is_problem(client.get("/" + "x" * 5000), 404, "not_found")["detail"]
        assert len(long) < 400


def test_a_foreign_host_header_is_named_with_what_can_be_done(server: Server) -> None:
    """Who runs it behind a proxy reads which setting is asked for."""
    with server.client() as client:
        problem = is_problem(client.get("/healthz", headers={"Host": "stems.example"}), 400, "foreign_host")
    assert "'stems.example'" in problem["detail"]
    assert "STEM_ALLOWED_HOSTS" in problem["todo"]


@pytest.mark.parametrize(
    ("kind", "body"), [("multipart/form-data", b"--x"), ("multipart/form-data; boundary=x", b"abc")]
)
def test_a_form_that_cannot_be_read_says_so(server: Server, kind: str, body: bytes) -> None:
    """A boundary that is missing or never comes is named as a fault of the form."""
    with server.client() as client:
        for path in ("/v1/verdicts", "/v1/jobs"):
            answer = client.post(path, content=body, headers={"Content-Type": kind})
            detail = is_problem(answer, 400, "bad_request")["detail"]
            assert detail.startswith("found a form that cannot be read ("), path
            assert "needed: multipart/form-data" in detail


@pytest.mark.parametrize("path", ["/v1/verdicts", "/v1/jobs"])
def test_a_packed_body_is_refused_as_that(server: Server, wav: bytes, path: str) -> None:
    """A body with a content coding is not called no audio; one without, said in so many words, is taken."""
    kind = "audio/wav" if path == "/v1/verdicts" else "application/json"
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    with server.client() as client:
        answer = client.post(path, content=gzip.compress(wav), headers=headers)
        assert "Content-Encoding 'gzip'" in is_problem(answer, 415, "unsupported_media_type")["detail"]
        assert answer.headers["accept-encoding"] == "identity"
        plain = {"Content-Type": "audio/wav", "Content-Encoding": "identity"}
        assert client.post("/v1/verdicts", content=wav, headers=plain).status_code == 200


def test_no_cache_keeps_what_is_somebodys_or_changes(server: Server, wav: bytes) -> None:
    """Verdicts, jobs, rows and errors are not stored; the page is asked for anew; rows say that they follow Accept."""
    with server.client() as client:
        job: dict[str, Any] = client.post("/v1/jobs", files={"file": wav}).json()
        with client.stream("GET", job["events"]) as events:
            events.read()
        paths = ("/v1/jobs", f"/v1/jobs/{job['id']}", job["results"], "/healthz", "/no")
        answers = [client.get(path) for path in paths]
        answers += [client.get(job["results"], params={"format": "parquet"})]
        answers += [client.post("/v1/verdicts", files={"file": wav}), client.post("/v1/verdicts")]
        assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
        assert [answers[k].headers["vary"] for k in (2, 5)] == ["Accept", "Accept"]
        for path in ("/", "/page/page.js"):
            assert client.get(path).headers["cache-control"] == "no-cache"


def test_a_path_on_the_server_that_is_not_absolute_is_refused_by_name(
    serve: Callable[..., Server], tmp_path: Path, wav: bytes
) -> None:
    """It starts nowhere that the sender knows; in a manifest it starts at the manifest's folder."""
    (tmp_path / "a.wav").write_bytes(wav)
    (tmp_path / "list.csv").write_text("path\na.wav\n")
    with serve(manifest_roots=tmp_path).client() as client:
        for asked, code in (({"paths": ["/x.wav", "a.wav"]}, "bad_path"), ({"manifest": "list.csv"}, "bad_manifest")):
            detail = is_problem(client.post("/v1/jobs", json=asked), 422, code)["detail"]
            assert "'a.wav'" in detail or "'list.csv'" in detail
            assert "absolute" in detail
        job = client.post("/v1/jobs", json={"manifest": str(tmp_path / "list.csv")}).json()
        with client.stream("GET", job["events"]) as events:
            assert '"done":1' in events.read().decode()


def test_a_manifest_without_a_path_in_every_row_is_refused(serve: Callable[..., Server], tmp_path: Path) -> None:
    """A missing path of a Parquet file is not taken for a file named None."""
    pq.write_table(pa.table({"path": ["a.wav", None]}), tmp_path / "list.parquet")
    with serve(manifest_roots=tmp_path).client() as client:
        answer = client.post("/v1/jobs", json={"manifest": str(tmp_path / "list.parquet")})
    assert "a path that is no text" in is_problem(answer, 422, "bad_manifest")["detail"]


def test_a_form_in_pieces_that_grows_too_large_is_called_too_large(serve: Callable[..., Server]) -> None:
    """Without a length beforehand the limit is met in the middle of the form, and is no fault of its wrapping."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(30):
            yield b"x" * 100_000

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with serve(max_body_mb=1).client() as client:
        answer = client.post("/v1/verdicts", content=pieces(), headers=headers)
    assert "at most 1 MB" in is_problem(answer, 413, "content_too_large")["detail"]
