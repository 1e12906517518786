"""What can be seen of the service: probes, metrics, logs, traces, schema."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

import provenance
from service.uploads import Spool
from tests.service.server import Server, wait_until


def samples(client: httpx.Client) -> dict[str, float]:
    """Return the metrics by name and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {f"{s.name}{sorted(s.labels.items()) or ''}": s.value for family in families for s in family.samples}


def test_metrics_count_what_happened(serve: Callable[..., Server], wav: bytes) -> None:
    """Requests are counted by route and status, verdicts by origin, refusals by code."""
    server = serve()
    with server.client() as client:
        origin = client.post("/v1/verdicts", files={"file": wav}).json()["origin"]
        client.post("/v1/verdicts", files={"file": b"none"})
        client.get("/v1/jobs/00000000000000000000000000000000")
        found = samples(client)
    assert found[f"stem_verdicts_total[('origin', '{origin}')]"] == 1
    assert found["stem_refused_total[('code', 'not_audio')]"] == 1
    assert found["stem_scoring_seconds_count"] == 1
    assert found["stem_workers_alive"] == 2
    route = "[('method', 'POST'), ('route', '/v1/verdicts'), ('status', '{}')]"
    assert found["stem_requests_total" + route.format(200)] == 1
    assert found["stem_requests_total" + route.format(415)] == 1
    assert found["stem_requests_total[('method', 'GET'), ('route', '/v1/jobs/{job_id}'), ('status', '404')]"] == 1


def test_logs_are_json_with_the_request_id(server: Server) -> None:
    """Each line is a JSON object, and a request's carries the id that its answer had."""
    with server.client() as client:
        given = client.get("/healthz", headers={"X-Request-ID": "from-the-caller.1"})
        made = client.get("/healthz", headers={"X-Request-ID": "no\tgood"})
    assert given.headers["x-request-id"] == "from-the-caller.1"
    assert made.headers["x-request-id"] != "no\tgood"
    wait_until(lambda: made.headers["x-request-id"] in server.log)  # a line follows its answer
    lines = [json.loads(line) for line in server.log.splitlines()]
    ids = {line["request_id"]: line for line in lines if line["message"] == "request"}
    assert ids["from-the-caller.1"]["status"] == 200
    assert made.headers["x-request-id"] in ids


def test_a_service_without_a_place_for_uploads_is_not_ready(serve: Callable[..., Server], wav: bytes) -> None:
    """A spool that is gone is made again; where nothing can be written the probe says so, and then no longer."""
    server = serve()
    spool = server.state / "spool"
    with server.client() as client:
        spool.rmdir()
        assert client.get("/readyz").status_code == 200
        for path, status in (("/v1/verdicts", 200), ("/v1/jobs", 202)):
            spool.rmdir()
            assert client.post(path, files={"file": wav}).status_code == status
        spool.rmdir()
        spool.write_bytes(b"in its place")
        lost = client.get("/readyz")
        assert (lost.status_code, lost.json()["code"]) == (503, "out_of_resources")
        spool.unlink()
        assert client.get("/readyz").status_code == 200
        assert list(spool.iterdir()) == []


def test_a_spool_on_a_file_system_of_its_own_starts(tmp_path: Path) -> None:
    """A folder such as lost+found is left where it is; files of a former service go."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "left").write_bytes(b"x")
    spool = Spool(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lost+found"]
    spool.probe()
    assert [path.name for path in tmp_path.iterdir()] == ["lost+found"]


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/healthz", "/readyz"])
def test_probes_may_ask_for_the_head_alone(server: Server, path: str) -> None:
    """HEAD is answered as GET is, without the body."""
    with server.client() as client:
        head, whole = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_the_schema_is_the_librarys_and_holds(server: Server, wav: bytes) -> None:
    """One JSON schema describes the library's verdicts and the service's."""
    with server.client() as client:
        schema = client.get("/v1/verdict.schema.json").json()
        verdict = client.post("/v1/verdicts", files={"file": wav}).json()
    assert schema == json.loads(provenance.json_schema())
    jsonschema.validate(verdict, schema)


def test_no_origin_may_call_unless_it_is_listed(serve: Callable[..., Server], wav: bytes) -> None:
    """CORS is a setting: a listed origin's page may call, any other gets no permission."""
    server = serve(cors_origins="https://app.example")
    headers = {"Sec-Fetch-Site": "cross-site"}
    with server.client() as client:
        for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
            asked = client.options("/v1/verdicts", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
            assert (asked.headers.get("access-control-allow-origin") == origin) == allowed
            answer = client.post("/v1/verdicts", files={"file": wav}, headers={**headers, "Origin": origin})
            assert (answer.status_code == 200) == allowed
            assert (answer.headers.get("access-control-allow-origin") == origin) == allowed


def test_a_listed_origin_may_read_every_error(serve: Callable[..., Server], wav: bytes) -> None:
    """Also what the framework refuses before a route sees it, such as a body that is too large by its own account."""
    server = serve(cors_origins="https://app.example", max_body_mb=0.1)
    with server.client(headers={"Origin": "https://app.example", "Content-Type": "audio/wav"}) as client:
        answers = [client.post("/v1/verdicts", content=wav), client.post("/v1/nothing"), client.get("/v1/verdicts")]
        refused = client.options("/v1/verdicts", headers={"Access-Control-Request-Method": "PUT"})
    assert [answer.status_code for answer in (*answers, refused)] == [413, 404, 405, 400]
    for answer in (*answers, refused):
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["content-type"] == "application/problem+json"


def test_traces_are_exported_by_setting(serve: Callable[..., Server], wav: bytes) -> None:
    """With STEM_OTEL spans of requests reach the collector that OTEL_EXPORTER_OTLP_ENDPOINT names."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra 'otel'")
    got: dict[str, bytes] = {}

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got[self.path] = got.get(self.path, b"") + body
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        server = serve(
            otel="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_COMPRESSION="none",
            OTEL_BSP_SCHEDULE_DELAY="100",
            OTEL_SERVICE_NAME="stem-under-test",
        )
        with server.client() as client:
            assert client.post("/v1/verdicts", files={"file": wav}).status_code == 200
        try:
            wait_until(lambda: b"/v1/verdicts" in got.get("/v1/traces", b""), 60)
        finally:
            server.stop()
            collector.shutdown()
    assert b"stem-under-test" in got["/v1/traces"]
