"""Uploads and connections that stand still are given up; slow ones, and answers that take long, are not."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.service.server import Server, wait_until, workers

STALL_S = 2.0


def post(server: Server, kind: str, length: int, part: bytes) -> socket.socket:
    """Begin to send a body."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = f"POST /v1/verdicts HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + part)
    return connection


def answer(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Return status and body of what comes until the other end closes."""
    whole = b""
    while some := connection.recv(65_536):
        whole += some
    head, _, body = whole.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_a_body_that_stands_still_is_given_up(serve: Callable[..., Server], wav: bytes) -> None:
    """Raw or in a form, it is answered 408, the connection is closed, and no file is left."""
    server = serve(stall_s=STALL_S)
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    for kind, part in (("audio/wav", wav[:1000]), ("multipart/form-data; boundary=b", form + wav[:1000])):
        begun = time.monotonic()
        status, problem = answer(post(server, kind, 100_000, part))
        assert (status, problem["code"]) == (408, "stalled")
        assert STALL_S - 0.1 < time.monotonic() - begun < STALL_S + 10
    spool: Path = server.state / "spool"
    wait_until(lambda: not list(spool.iterdir()))


def test_a_form_lies_in_the_state_folder(serve: Callable[..., Server]) -> None:
    """What comes of a form's file is written below STEM_STATE_DIR, not to the folder for temporary files."""
    server = serve()
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    def held() -> list[str]:
        found = []
        for entry in Path(f"/proc/{server.pid}/fd").iterdir():
            with suppress(OSError):
                found.append(os.readlink(entry))
        return [target for target in found if target.endswith(" (deleted)") and target.startswith("/")]

    before = set(held())
    with post(server, "multipart/form-data; boundary=b", 4_000_000, form + bytes(3_000_000)):
        wait_until(lambda: set(held()) - before, 20)
        assert [Path(target).parent for target in set(held()) - before] == [server.state / "spool"]
    wait_until(lambda: set(held()) == before, 20)


def ended(connection: socket.socket, within_s: float) -> bytes:
    """Return what comes until the other end closes, which it does in time."""
    connection.settimeout(within_s)
    whole = b""
    try:
        while some := connection.recv(65_536):
            whole += some
    except ConnectionResetError:
        pass
    return whole


def test_a_connection_on_which_no_request_comes_is_closed(serve: Callable[..., Server]) -> None:
    """Nothing, half a head, another request's half a head, a body after its answer: none holds a descriptor on."""
    server = serve(stall_s=STALL_S)
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    refused = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    for sent, statuses in ((b"", []), (whole[:9], []), (whole + whole[:9], [b"200"]), (refused + b"x", [b"404"])):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
            begun = time.monotonic()
            got = ended(connection, STALL_S + 10)
            assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == statuses
            assert time.monotonic() - begun > STALL_S - 0.1
    with server.client() as client:  # the same connection, after a pause that is shorter
        for _ in range(3):
            assert client.get("/healthz").status_code == 200
            time.sleep(0.7 * STALL_S)


def test_an_answer_that_nobody_takes_is_given_up(serve: Callable[..., Server]) -> None:
    """Who asks on and on and reads nothing is cut off; who reads slowly gets it all."""
    server = serve(stall_s=STALL_S)
    asked = 600
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        connection.connect(("127.0.0.1", server.port))
        connection.settimeout(STALL_S)
        try:
            for _ in range(asked):
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        except OSError:
            pass  # it takes no more requests before its answers are read
        time.sleep(2 * STALL_S)
        assert ended(connection, STALL_S).count(b"HTTP/1.1 200") < asked
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(1.5 * STALL_S)
        assert ended(connection, STALL_S).rstrip().endswith(b"}")


def test_what_is_no_request_is_answered_as_a_problem(serve: Callable[..., Server]) -> None:
    """Even where there is no request that a route could see."""
    server = serve()
    for sent in (
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: example.org\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(sent)
            status, problem = answer(connection)
        assert (status, problem["code"], problem["status"]) == (400, "bad_request", 400)
    assert problem["detail"] == "found more than one Host header; needed: one"
    with server.client() as client:
        assert 'stem_requests_total{method="other",route="other",status="400"} 3.0' in client.get("/metrics").text
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert [line["caller"] for line in lines if line.get("status") == 400] == ["127.0.0.1"] * 3


def test_a_head_without_end_is_refused(serve: Callable[..., Server]) -> None:
    """Many headers, one long one, a long address, trailers: 431 or the end, in little memory; less is served."""
    server = serve()
    begun = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    chunked = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    fields = b"".join(b"X-%d: %s\r\n" % (k, b"a" * 1000) for k in range(70))
    for sent in (begun + fields + b"\r\n", begun + b"X: " + b"a" * 70_000 + b"\r\n\r\n", b"GET /" + b"a" * 64_001):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(sent)
            status, problem = answer(connection)
        assert (status, problem["code"], problem["status"]) == (431, "head_too_large", 431)
    before = resident_bytes(server)
    for first, more in (
        (begun, fields),
        (begun + b"X: ", b"a" * 70_000),
        (chunked, fields),
        (chunked + b"X: ", fields),
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection, suppress(OSError):
            connection.sendall(first)
            for _ in range(1000):  # 70 MB, were they taken
                connection.sendall(more)
            raise AssertionError("all of it was taken")
    assert resident_bytes(server) < before + 20e6
    many = (begun + fields[: 50 * 1000].rpartition(b"\r\n")[0] + b"\r\n\r\n") * 5
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(many + begun + b"Connection: close\r\n\r\n")
        assert ended(connection, 30).count(b"HTTP/1.1 200") == 6


def resident_bytes(server: Server) -> int:
    """Return the memory of a server's own process."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_slow_body_and_a_long_answer_are_not_given_up(serve: Callable[..., Server], wav: bytes) -> None:
    """What comes in pieces with shorter pauses is scored, though the whole takes longer; so are events that last."""
    server = serve(stall_s=STALL_S)
    connection = post(server, "audio/wav", len(wav), b"")
    size = len(wav) // 5 + 1
    for at in range(0, len(wav), size):
        time.sleep(0.6 * STALL_S)
        connection.sendall(wav[at : at + size])
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    connection.close()
    held = workers(server)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        with server.client() as client:
            job = client.post("/v1/jobs", files={"file": wav}).json()
            with client.stream("GET", job["events"]) as events:
                lines = events.iter_lines()
                assert next(lines) == "event: progress"
                time.sleep(1.5 * STALL_S)
                for pid in held:
                    os.kill(pid, signal.SIGCONT)
                assert "event: ended" in list(lines)
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)


def test_what_the_end_of_the_service_cuts_off_may_be_sent_again(serve: Callable[..., Server], wav: bytes) -> None:
    """A body that still comes, and a file that is still scored, are answered 503 when the time to stop is over."""
    server = serve(shutdown_s=1, workers=1)
    for pid in workers(server):
        os.kill(pid, signal.SIGSTOP)  # the service kills it
    scored = post(server, "audio/wav", len(wav), wav)
    coming = post(server, "audio/wav", len(wav), wav[:1000])
    time.sleep(0.5)
    assert server.stop(30) == 0
    for connection in (scored, coming):
        status, problem = answer(connection)
        assert (status, problem["code"], problem["title"]) == (503, "not_ready", "Service Unavailable")
    assert "Traceback" not in server.log
