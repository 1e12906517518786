"""Webhooks: signed, tried again, sent to allowed hosts only."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.jobs import AT_ONCE
from service.problems import Problem
from service.settings import Settings
from service.webhook import check
from tests.service.server import Server, wait_until

SECRET = "whsec_" + base64.b64encode(b"sixteen bytes or more").decode()


@dataclass
class Receiver:
    """What a webhook receiver got, and how it answers."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server that answers with the statuses it is told, then 200."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status = state.statuses.pop(0) if state.statuses else 200
            self.send_response(status)
            if status == 307:
                self.send_header("Location", f"http://127.0.0.1:{state.port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.port = http.server_port
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield state
        http.shutdown()


def test_the_end_of_a_job_is_told_signed_and_again_until_heard(
    serve: Callable[..., Server], receiver: Receiver, wav: bytes
) -> None:
    """A webhook is signed as Standard Webhooks has it, repeated after 500, and never follows a redirect."""
    receiver.statuses = [500, 307, 404]
    host = f"127.0.0.1:{receiver.port}"
    server = serve(webhook_hosts=host, webhook_secret=SECRET, webhook_wait_s=0.05)
    with server.client() as client:
        data = {"webhook": f"http://{host}/hook?x=1"}
        job = client.post("/v1/jobs", files={"file": wav}, data=data).json()
        assert job["webhook"] == "waiting"
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["webhook"] == "delivered")
    assert [path for path, _, _ in receiver.got] == ["/hook?x=1"] * 4
    for _, headers, body in receiver.got:
        assert headers["webhook-id"] == job["id"]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(base64.b64decode(SECRET[6:]), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
        said = json.loads(body)
        assert said["type"] == "job.ended"
        assert said["data"] == {
            "id": job["id"],
            "state": "done",
            "counts": {"done": 1},
            "results": f"/v1/jobs/{job['id']}/results",
        }


def test_a_job_cancelled_before_it_began_is_told_and_cleared_at_once(
    serve: Callable[..., Server], receiver: Receiver, wav: bytes
) -> None:
    """It waits for none of those that run: its uploads are gone and its webhook is told while they go on."""
    host = f"127.0.0.1:{receiver.port}"
    server = serve(webhook_hosts=host, webhook_secret=SECRET)
    with server.client() as client:
        running = [client.post("/v1/jobs", files=[("file", wav)] * 240).json()["id"] for _ in range(AT_ONCE)]
        wait_until(lambda: all(client.get(f"/v1/jobs/{id_}").json()["state"] == "running" for id_ in running))
        job = client.post("/v1/jobs", files={"file": wav}, data={"webhook": f"http://{host}/"}).json()
        assert (server.state / "jobs" / job["id"]).is_dir()
        assert client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
        assert not (server.state / "jobs" / job["id"]).exists()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["webhook"] == "delivered")
        assert [client.get(f"/v1/jobs/{id_}").json()["state"] for id_ in running] == ["running"] * AT_ONCE
        for id_ in running:
            client.post(f"/v1/jobs/{id_}/cancel")
    assert json.loads(receiver.got[0][2])["data"]["state"] == "cancelled"
    assert len(receiver.got) == 1


def test_a_receiver_that_never_answers_is_given_up(
    serve: Callable[..., Server], receiver: Receiver, wav: bytes
) -> None:
    """After as many tries as the setting says the job says that its webhook failed; its rows are not touched."""
    receiver.statuses = [503] * 100
    host = f"127.0.0.1:{receiver.port}"
    server = serve(webhook_hosts=host, webhook_secret="a secret", webhook_tries=3, webhook_wait_s=0.05)
    with server.client() as client:
        job = client.post("/v1/jobs", files={"file": wav}, data={"webhook": f"http://{host}/"}).json()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["webhook"] == "failed")
        assert client.get(f"/v1/jobs/{job['id']}").json()["state"] == "done"
    assert len(receiver.got) == 3


def test_a_webhook_that_waits_survives_a_kill(serve: Callable[..., Server], receiver: Receiver, wav: bytes) -> None:
    """A webhook not delivered when the service was killed is delivered after its next start."""
    receiver.statuses = [500]
    host = f"127.0.0.1:{receiver.port}"
    server = serve(webhook_hosts=host, webhook_secret=SECRET, webhook_wait_s=600)
    with server.client() as client:
        job = client.post("/v1/jobs", files={"file": wav}, data={"webhook": f"http://{host}/"}).json()
        wait_until(lambda: len(receiver.got) == 1)
        server.kill()
        server.start()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["webhook"] == "delivered")
    assert len(receiver.got) == 2


def test_receivers_that_hang_hold_up_no_job(serve: Callable[..., Server], wav: bytes) -> None:
    """While webhooks of more jobs than run at once get no answer, another job runs; a told one can be deleted."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        server = serve(webhook_hosts=host, webhook_secret=SECRET)
        with server.client() as client:
            data = {"webhook": f"http://{host}/"}
            told = [client.post("/v1/jobs", files={"file": wav}, data=data).json() for _ in range(AT_ONCE + 1)]
            other = client.post("/v1/jobs", files={"file": wav}).json()
            wait_until(lambda: client.get(f"/v1/jobs/{other['id']}").json()["state"] == "done", 30)
            for job in told:  # the last of them may end after `other`: as many run at once
                wait_until(lambda job=job: client.get(f"/v1/jobs/{job['id']}").json()["state"] == "done", 30)
                assert client.get(f"/v1/jobs/{job['id']}").json()["webhook"] == "waiting"
            assert client.delete(f"/v1/jobs/{told[0]['id']}").status_code == 204
        assert server.stop() == 0
    assert "Traceback" not in server.log


def test_a_receiver_that_never_comes_to_an_end_is_left(serve: Callable[..., Server], wav: bytes) -> None:
    """Headers that trickle in keep no webhook waiting for hours, and no service from stopping."""
    asked = threading.Semaphore(0)

    def trickle(taken: socket.socket) -> None:
        asked.release()
        with contextlib.suppress(OSError):
            taken.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                taken.sendall(b"x: y\r\n")
                time.sleep(0.2)

    def listen(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=trickle, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, args=(listener,), daemon=True).start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        server = serve(webhook_hosts=host, webhook_secret=SECRET, webhook_tries=2, webhook_wait_s=0.05, shutdown_s=2)
        with server.client() as client:
            job = client.post("/v1/jobs", files={"file": wav}, data={"webhook": f"http://{host}/"}).json()
            wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["webhook"] == "failed", 60)
            client.post("/v1/jobs", files={"file": wav}, data={"webhook": f"http://{host}/"})
            for _ in range(3):
                assert asked.acquire(timeout=30)
        assert server.stop(30) == 0
    assert "no answer within 10 s" in server.log


SETTINGS = Settings(webhook_hosts=("Hooks.Example", "127.0.0.1:9000", "[::1]:80"), webhook_secret="x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/a",
        "https://hooks.example:443/",
        "https://HOOKS.example/",
        "http://127.0.0.1:9000/x",
        "http://[::1]/",
        "http://[::1]:80/",
    ],
)
def test_listed_hosts_are_allowed(url: str) -> None:
    """A host is allowed with its usual port, or with the port that is listed, in whatever case it is written."""
    check(url, SETTINGS)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://other.example/", "webhook_host"),
        ("https://hooks.example.evil.example/", "webhook_host"),
        ("https://hooks.example:8443/", "webhook_host"),
        ("http://127.0.0.1/", "webhook_host"),
        ("http://127.0.0.1:9001/", "webhook_host"),
        ("http://169.254.169.254/latest/meta-data", "webhook_host"),
        ("https://user:pass@hooks.example/", "bad_webhook"),
        ("https://hooks.example@evil.example/", "bad_webhook"),
        ("file:///etc/passwd", "bad_webhook"),
        ("https://", "bad_webhook"),
        ("https://hooks.example:99999/", "bad_webhook"),
        ("not a url", "bad_webhook"),
    ],
)
def test_other_hosts_are_refused(url: str, code: str) -> None:
    """No webhook makes the service call a host or port that is not listed, however the URL is written."""
    with pytest.raises(Problem) as caught:
        check(url, SETTINGS)
    assert (caught.value.status, caught.value.code) == (422, code)


def test_webhooks_are_off_without_hosts_or_secret() -> None:
    """Without a list of hosts, or nothing to sign with, there are no webhooks."""
    hosts = ("hooks.example",)
    for settings in (
        Settings(webhook_secret="x"),  # type: ignore[arg-type]
        Settings(webhook_hosts=hosts),
        Settings(webhook_hosts=hosts, webhook_secret=""),  # type: ignore[arg-type]
    ):
        with pytest.raises(Problem, match="webhooks_off"):
            check("https://hooks.example/", settings)
