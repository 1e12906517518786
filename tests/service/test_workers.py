"""A hostile file costs one worker and one request, and stopping finishes what runs."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from service.pool import Pool
from service.worker import Limits, Outcome, Refused, Scored, Task
from tests.service import sounds
from tests.service.server import Server, alive, children, wait_until
from tests.service.test_problems import is_problem
from tests.sounds import encode, music


def workers(server: Server) -> list[int]:
    """Return the processes of a server that hold a model."""
    return [pid for pid in children(server.pid) if "multiprocessing.forkserver" in _command(pid) and not children(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


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


def test_an_idle_worker_that_dies_is_replaced(serve: Callable[..., Server], wav: bytes) -> None:
    """The service is ready again without a request that fails first."""
    server = serve()
    with server.client() as client:
        before = workers(server)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert client.post("/v1/verdicts", files={"file": wav}).status_code == 200
        wait_until(lambda: client.get("/readyz").status_code == 200 and client.get("/readyz").json()["workers"] == 2)
        assert "stem_workers_replaced 2.0" in client.get("/metrics").text


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
