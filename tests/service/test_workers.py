"""A hostile file costs one worker and one request, and stopping finishes what runs."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from service import manifests, problems, worker
from service.pool import Pool
from service.worker import Limits, Outcome, Refused, Scored, Task
from tests.service import sounds
from tests.service.server import Server, alive, children, wait_until, workers
from tests.service.test_jobs import ended, rows
from tests.service.test_problems import is_problem
from tests.sounds import encode, music


def test_a_killed_worker_costs_nobody_an_answer(serve: Callable[..., Server]) -> None:
    """Workers killed from outside while they score are replaced, and their files are scored again."""
    server = serve()
    long = sounds.stem("flac", 60.0)
    with server.client() as client, ThreadPoolExecutor(20) as threads:
        expected = client.post("/v1/verdicts", files={"file": long}).json()
        running = [threads.submit(client.post, "/v1/verdicts", files={"file": long}) for _ in range(20)]
        wait_until(lambda: client.get("/healthz").json()["waiting"] >= 2)
        victim = max(workers(server))
        os.kill(victim, signal.SIGKILL)
        assert [r.result().json() for r in running] == [expected] * 20
        wait_until(lambda: client.get("/healthz").json()["workers"] == 2)
    assert victim not in workers(server)


def test_the_log_is_json_whatever_decoders_write(serve: Callable[..., Server]) -> None:
    """A damaged MP3, of which its decoder writes to standard error, adds no line; a worker that was killed adds one."""
    whole = sounds.stem("mp3")
    damaged = whole[: len(whole) // 2] + whole[len(whole) // 2 + 137 :]
    server = serve(workers=1)
    (pid,) = workers(server)
    os.kill(pid, signal.SIGSTOP)
    with server.client() as client, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(client.post, "/v1/verdicts", files={"file": damaged})
        wait_until(lambda: "stem_workers_busy 1.0" in client.get("/metrics").text)
        os.kill(pid, signal.SIGKILL)
        assert answer.result().status_code in (200, 422)
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert [line["exit_code"] for line in lines if line["message"] == "worker ended"] == [-signal.SIGKILL]


def test_an_idle_worker_that_dies_is_replaced(serve: Callable[..., Server], wav: bytes) -> None:
    """The service is ready again without a request that fails first."""
    server = serve()
    with server.client() as client:
        before = workers(server)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert client.post("/v1/verdicts", files={"file": wav}).status_code == 200
        wait_until(lambda: client.get("/readyz").status_code == 200 and client.get("/readyz").json()["workers"] == 2)
        assert "stem_workers_replaced_total 2.0" in client.get("/metrics").text


def test_a_file_that_takes_too_long_is_given_up(serve: Callable[..., Server], wav: bytes) -> None:
    """Over its time a file is refused with 422, its worker is replaced, and others are served meanwhile."""
    server = serve(worker_time_s=5)
    with server.client() as client, ThreadPoolExecutor(2) as threads:
        os.kill(workers(server)[0], signal.SIGSTOP)  # its file takes for ever on any machine
        both = [threads.submit(client.post, "/v1/verdicts", files={"file": wav}) for _ in range(2)]
        good, slow = sorted((one.result() for one in both), key=lambda answer: answer.status_code)
        assert good.status_code == 200
        assert "over 5 s" in is_problem(slow, 422, "time_limit")["detail"]
        wait_until(lambda: client.get("/healthz").json()["workers"] == 2)


def test_a_flac_bomb_is_stopped_by_its_decoded_length(server: Server) -> None:
    """What decodes to hours is refused by the seconds counted, in the memory of a block."""
    bomb = sounds.flac_bomb(120)
    assert len(bomb) < 3_000_000
    with server.client() as client:
        is_problem(client.post("/v1/verdicts", files={"file": bomb}), 413, "too_long")


def test_memory_is_limited(tiny_model: Path, tmp_path: Path, wav: bytes) -> None:
    """A worker whose file takes more memory than allowed gives the file up."""
    file = tmp_path / "stem.wav"
    file.write_bytes(wav)

    async def score(memory_bytes: int) -> Outcome:
        pool = Pool(str(tiny_model), Limits(memory_bytes, 60, 2, 48_000), 1, 60, 0)
        await pool.start()
        try:
            return await pool.score(Task(str(file)))
        finally:
            await pool.close()

    outcome = asyncio.run(score(400_000))
    assert isinstance(outcome, Refused)
    assert outcome.code in ("memory_limit", "worker_died")
    outcome = asyncio.run(score(1_000_000_000))
    assert isinstance(outcome, Scored)


def test_who_leaves_the_queue_takes_no_worker_along(tiny_model: Path, tmp_path: Path, wav: bytes) -> None:
    """Callers cancelled while they wait, or at the moment they are given the worker, leave it to the next."""
    file = tmp_path / "stem.wav"
    file.write_bytes(wav)

    async def leave() -> None:
        pool = Pool(str(tiny_model), Limits(1_000_000_000, 60, 2, 48_000), 1, 60, 8)
        await pool.start()
        try:
            slot = pool._idle.get_nowait()
            callers = [asyncio.create_task(pool.score(Task(str(file)))) for _ in range(4)]
            await asyncio.sleep(0.1)
            assert pool.n_waiting == 4
            callers[1].cancel()
            pool._idle.put_nowait(slot)
            callers[0].cancel()  # it is its turn already
            outcomes = await asyncio.gather(*callers, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2 + [Scored] * 2
            assert isinstance(await pool.score(Task(str(file))), Scored)
            assert (pool.n_waiting, pool._n_callers, len(pool._since_s)) == (0, 0, 0)
        finally:
            await pool.close()

    asyncio.run(leave())


def test_who_has_left_keeps_nobody_out(serve: Callable[..., Server], wav: bytes) -> None:
    """A full queue says to wait for what runs, too; when its callers hang up it takes others, and scores only those."""
    server = serve(workers=1, queue_size=2)
    fields = f"Host: localhost\r\nContent-Type: audio/wav\r\nContent-Length: {len(wav)}"
    head = f"POST /v1/verdicts HTTP/1.1\r\n{fields}\r\n\r\n"
    (pid,) = workers(server)
    with server.client() as client, ThreadPoolExecutor(3) as threads:

        def post() -> httpx.Response:
            return client.post("/v1/verdicts", files={"file": wav})

        os.kill(pid, signal.SIGSTOP)
        try:
            runs = threads.submit(post)
            wait_until(lambda: "stem_workers_busy 1.0" in client.get("/metrics").text)
            leaving = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
            for connection in leaving:
                connection.sendall(head.encode() + wav)
            wait_until(lambda: client.get("/healthz").json()["waiting"] == 2)
            time.sleep(3)
            full = post()
            is_problem(full, 503, "queue_full")
            assert int(full.headers["retry-after"]) >= 5  # three seconds of what runs, and one for each that waits
            for connection in leaving:
                connection.close()
            wait_until(lambda: client.get("/healthz").json()["waiting"] == 0, 10)
            stay = [threads.submit(post) for _ in range(2)]
            wait_until(lambda: client.get("/healthz").json()["waiting"] == 2)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert [one.result().status_code for one in (runs, *stay)] == [200] * 3
        metrics = client.get("/metrics").text
    assert sum(float(x.split()[1]) for x in metrics.splitlines() if x.startswith("stem_verdicts_total")) == 3
    assert list((server.state / "spool").iterdir()) == []
    assert "Traceback" not in server.log


def test_a_folder_in_a_job_costs_no_descriptor(serve: Callable[..., Server], tmp_path: Path) -> None:
    """A folder or a pipe that a job names is an error of its row, said as such, and leaves nothing open."""
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    os.mkfifo(root / "pipe")
    server = serve(workers=1, manifest_roots=root)
    (worker,) = workers(server)
    n_open = []
    with server.client() as client:
        for n in (1, 40):
            job = client.post("/v1/jobs", json={"paths": [str(root / "folder"), str(root / "pipe")] * n}).json()
            ended(client, job)
            n_open.append(len(list(Path(f"/proc/{worker}/fd").iterdir())))
            assert [row["error"]["code"] for row in rows(client, job)] == ["not_a_file"] * 2 * n
    assert workers(server) == [worker]
    assert n_open[0] == n_open[1]
    assert "Traceback" not in server.log


def test_a_machine_without_descriptors_is_not_the_callers_fault(
    serve: Callable[..., Server], tmp_path: Path, wav: bytes
) -> None:
    """Without descriptors the answer is 503 and a job's row says so; a worker without is replaced, which helps."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "stem.wav").write_bytes(wav)
    server = serve(workers=1, manifest_roots=root)

    def exhaust(pid: int) -> tuple[int, int]:
        held = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        first_free = min(set(range(len(held) + 1)) - held)
        most = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        return resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, most))

    with server.client() as client:
        assert client.get("/healthz").status_code == 200  # so that the connection is open
        before = exhaust(server.pid)
        for way in ({"files": {"file": wav}}, {"content": wav, "headers": {"Content-Type": "audio/wav"}}):
            is_problem(client.post("/v1/verdicts", **way), 503, "out_of_resources")  # type: ignore[arg-type]
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
        exhaust(*workers(server))
        answer = client.post("/v1/verdicts", files={"file": wav})
        assert "Too many open files" in is_problem(answer, 503, "out_of_resources")["detail"]
        assert int(answer.headers["retry-after"]) > 0
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/verdicts", files={"file": wav}).status_code == 200
        exhaust(*workers(server))
        job = client.post("/v1/jobs", json={"paths": [str(root / "stem.wav")] * 2}).json()
        ended(client, job)
        found = rows(client, job)
    assert found[0]["error"]["code"] == "out_of_resources"
    assert found[1]["status"] == "ok"


def test_a_manifest_is_not_to_blame_for_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A manifest that cannot be opened for want of memory or descriptors is answered with 503, not with 422."""
    file = tmp_path / "a.csv"
    file.write_text("path\nx.wav\n")

    def fails(*_: object) -> int:
        raise OSError(errno.ENFILE, "Too many open files in system")

    monkeypatch.setattr(worker.os, "open", fails)
    with pytest.raises(OSError, match="in system") as caught:
        manifests.read(str(file), (str(tmp_path),), 10)
    problem = problems._as_problem(caught.value, {})
    assert (problem.status, problem.code) == (503, "out_of_resources")


def test_stopping_finishes_what_runs(serve: Callable[..., Server]) -> None:
    """After SIGTERM a request that runs gets its verdict, the process ends with 0, and no worker is left."""
    server = serve(shutdown_s=100)
    long = encode(np.tile(music(60.0), (4, 1)), fmt="FLAC")
    pids = children(server.pid)
    with server.client() as client, ThreadPoolExecutor(2) as threads:
        running = threads.submit(client.post, "/v1/verdicts", files={"file": long})
        wait_until(lambda: "stem_workers_busy 1.0" in client.get("/metrics").text)
        started = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        assert running.result().status_code == 200
    assert server.stop(150) == 0
    assert time.monotonic() - started < 90
    wait_until(lambda: not any(alive(pid) for pid in pids))
    try:
        httpx.get(f"{server.url}/healthz", timeout=1)
        raise AssertionError("it still answers")
    except httpx.TransportError:
        pass
    assert list((server.state / "spool").iterdir()) == []


def test_a_killed_server_leaves_no_worker(serve: Callable[..., Server], wav: bytes) -> None:
    """After kill -9 the workers end by themselves, and the next start clears the spool."""
    server = serve()
    pids = children(server.pid)
    server.kill()
    (server.state / "spool" / "left").write_bytes(wav)
    wait_until(lambda: not any(alive(pid) for pid in pids))
    server.start()
    assert list((server.state / "spool").iterdir()) == []
