"""Jobs survive: kill -9, SIGTERM, and what time and cut uploads leave."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.service import sounds
from tests.service.server import Server, wait_until, workers
from tests.service.test_jobs import ended, follow, manifest, rows


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that manifests may name files of: twelve stems."""
    folder = tmp_path_factory.mktemp("root")
    for k in range(12):
        (folder / f"{k:02}.flac").write_bytes(sounds.stem("flac", 8.0, seed=k))
    return folder


def test_a_killed_server_keeps_what_was_done_and_goes_on(serve: Callable[..., Server], root: Path) -> None:
    """After kill -9 in the middle of a job and a restart every row is there once, and what was done is not redone."""
    server = serve(manifest_roots=root)
    names = [f"{k % 12:02}.flac" for k in range(60)]
    with server.client() as client:
        job = client.post("/v1/jobs", json={"manifest": str(manifest(root, names))}).json()
        upload = client.post("/v1/jobs", files=[("file", (f"{k}.flac", sounds.stem("flac", 20.0))) for k in range(6)])
        for kept in (5, 12):
            wait_until(lambda kept=kept: client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"] >= kept, 60)
            before = client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"]
            server.kill()
            server.start()
            assert client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"] >= before
        for one, total in ((job, 60), (upload.json(), 6)):
            now = ended(client, one)
            assert now["state"] == "done"
            assert now["files"]["total"] == total
            assert now["files"]["waiting"] == now["files"]["running"] == 0
        found = rows(client, job)
        assert [row["path"] for row in found] == names
        assert [row.pop("index") for row in found] == list(range(60))
        verdicts: dict[str, dict[str, Any]] = {}
        for row in found:  # a file in flight at both kills, if there was one, is given up
            assert row["status"] == "ok" or row["error"]["code"] == "crashed"
            if row["status"] == "ok":
                assert verdicts.setdefault(row["path"], row) == row
        metrics = client.get("/metrics").text
    scored = sum(float(line.split()[1]) for line in metrics.splitlines() if line.startswith("stem_verdicts_total"))
    assert scored <= 66 - 12, "files that were done before the last kill were scored again"
    wait_until(lambda: not list((server.state / "jobs").iterdir()))  # uploads are deleted after the end


def test_stopping_finishes_files_in_flight_and_leaves_the_rest(serve: Callable[..., Server], root: Path) -> None:
    """SIGTERM in the middle of a job ends soon and cleanly, also for one who follows it; the next start goes on."""
    server = serve(manifest_roots=root, shutdown_s=100)
    with server.client() as client:
        job = client.post("/v1/jobs", json={"paths": [str(root / f"{k % 12:02}.flac") for k in range(80)]}).json()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"] >= 3, 60)
        following: list[Any] = []
        follower = threading.Thread(target=follow, args=(client, job, following))
        follower.start()
        wait_until(lambda: following)
        started = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        assert server.stop(150) == 0
        assert time.monotonic() - started < 90
        follower.join(10)
        assert not follower.is_alive()
        assert "Traceback" not in server.log
        server.start()
        now = ended(client, job)
        assert now["files"]["done"] == 80
        assert [row["path"] for row in rows(client, job)] == [str(root / f"{k % 12:02}.flac") for k in range(80)]


def test_a_stop_that_gives_files_up_counts_no_try(serve: Callable[..., Server], root: Path) -> None:
    """Stopped three times while files take longer than the stop may, jobs end with a verdict on each file."""
    server = serve(workers=1, shutdown_s=1, manifest_roots=root)
    paths = [str(root / f"{k % 12:02}.flac") for k in range(30)]
    with server.client() as client:
        jobs = [client.post("/v1/jobs", json={"paths": paths}).json() for _ in range(2)]  # two files, one worker
        for _ in range(3):
            for pid in workers(server):
                os.kill(pid, signal.SIGSTOP)  # the service kills it
            wait_until(
                lambda: all(client.get(f"/v1/jobs/{job['id']}").json()["files"]["running"] == 1 for job in jobs), 60
            )
            assert server.stop(30) == 0
            server.start()
        for job in jobs:
            assert ended(client, job)["files"]["done"] == 30
    assert "Traceback" not in server.log
    assert '"level": "ERROR"' not in server.log


def test_answers_and_jobs_have_one_time_to_end(serve: Callable[..., Server], root: Path, wav: bytes) -> None:
    """A stop that neither a caller's file nor a job's can be finished in takes the time for both once."""
    server = serve(workers=2, shutdown_s=10, manifest_roots=root)
    with server.client() as client, ThreadPoolExecutor(1) as threads:
        for pid in workers(server):
            os.kill(pid, signal.SIGSTOP)
        job = client.post("/v1/jobs", json={"paths": [str(root / "02.flac")] * 3}).json()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["files"]["running"] >= 1, 60)
        answer = threads.submit(client.post, "/v1/verdicts", files={"file": wav})
        time.sleep(1)
        started = time.monotonic()
        assert server.stop(60) == 0
        assert 9 < time.monotonic() - started < 19
        assert answer.exception(10) is not None or answer.result().status_code >= 500


def test_old_jobs_are_forgotten(serve: Callable[..., Server], wav: bytes) -> None:
    """A job that ended longer ago than the setting says is deleted with its rows at the next start at the latest."""
    server = serve(job_keep_s=1)
    with server.client() as client:
        job = client.post("/v1/jobs", files={"file": wav}).json()
        ended(client, job)
        server.stop()
        time.sleep(1)
        server.start()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").status_code == 404)


def test_an_upload_cut_short_is_cleared_at_the_next_start(serve: Callable[..., Server], wav: bytes) -> None:
    """Uploads that never became a job do not stay on the disk."""
    server = serve()
    server.kill()
    folder = server.state / "jobs" / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(wav)
    server.start()
    assert not folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
