"""The job store in PostgreSQL: a real server on loopback, made for these tests."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.service import sounds
from tests.service.server import Server, free_port, wait_until
from tests.service.test_jobs import ended, rows


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    command = shutil.which("pg_ctl")
    return Path(command).parent if command else None


class Postgres:
    """A PostgreSQL server in a folder, run as another user where we are root, which it refuses.

    Args:
        binaries: folder of ``initdb`` and ``pg_ctl``.
        folder: for its data.
        user: to run as, or '' for ourselves.
    """

    def __init__(self, binaries: Path, folder: Path, user: str) -> None:
        self._binaries, self._folder, self._user = binaries, folder, user
        self.port = free_port()
        self.url = f"postgresql://stem@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "--auth=trust", "--username=stem", "--no-sync", "--encoding=UTF8", "--pgdata", "data")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "--pgdata", "data", "--log", "log", "--options", options)

    def stop(self) -> None:
        """Stop it at once."""
        self._run("pg_ctl", "stop", "--mode=immediate", "--pgdata", "data")

    def _run(self, name: str, *arguments: str) -> None:
        prefix = ["runuser", "-u", self._user, "--"] if self._user else []
        command = [*prefix, str(self._binaries / name), *arguments]
        done = subprocess.run(command, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A running server with an empty database."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    user = ""
    if os.geteuid() == 0:
        user = "postgres"
        try:
            owner = pwd.getpwnam(user)
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres'")
    folder = Path(tempfile.mkdtemp(prefix="stem-postgres-"))  # pytest's own folder is closed to other users
    if user:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    server = Postgres(binaries, folder, user)
    try:
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_jobs_live_in_postgresql_and_survive_a_kill(serve: Callable[..., Server], postgres: Postgres) -> None:
    """With the setting, jobs, rows and queue lie in PostgreSQL, and kill -9 in the middle loses and doubles nothing."""
    server = serve(database_url=postgres.url)
    assert not list(server.state.glob("*.sqlite*"))
    stems = [sounds.stem("flac", 15.0, seed=k) for k in range(3)]
    uploads = [("file", (f"{k}.flac", stems[k % 3])) for k in range(60)]
    with server.client() as client:
        job = client.post("/v1/jobs", files=uploads).json()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"] >= 3, 60)
        server.kill()
        with psycopg.connect(postgres.url) as connection:
            states = dict(connection.execute("SELECT state, count(*) FROM stem_job_files GROUP BY state").fetchall())
        assert states["done"] >= 3
        assert states["waiting"] > 0
        server.start()
        now = ended(client, job)
        found = rows(client, job)
        newer = client.post("/v1/jobs", files={"file": stems[0]}).json()
        first = client.get("/v1/jobs", params={"limit": 1}).json()
        second = client.get("/v1/jobs", params={"limit": 1, "cursor": first["next"]}).json()
    assert [one["id"] for one in first["jobs"] + second["jobs"]] == [newer["id"], job["id"]]
    assert second["jobs"][0]["files"]["done"] == 60
    assert now["files"]["done"] == 60
    assert [row["path"] for row in found] == [f"{k}.flac" for k in range(60)]


def test_two_services_share_a_database(serve: Callable[..., Server], postgres: Postgres, wav: bytes) -> None:
    """Each runs the jobs whose uploads it has, and neither touches the other's, also not at a start."""
    one, two = serve(database_url=postgres.url), serve(database_url=postgres.url)
    with one.client() as first, two.client() as second:
        posts = ((first, 8), (second, 100))
        jobs: list[Any] = [c.post("/v1/jobs", files=[("file", wav)] * n).json() for c, n in posts]
        two.kill()
        assert ended(first, jobs[0])["files"]["done"] == 8
        assert first.get(f"/v1/jobs/{jobs[1]['id']}").json()["state"] != "done"
        two.start()
        assert ended(second, jobs[1])["files"]["done"] == 100


def test_a_database_that_goes_away_is_waited_for(serve: Callable[..., Server], postgres: Postgres, wav: bytes) -> None:
    """Without its database the service is not ready, but gives verdicts; when it is back, the job goes on."""
    server = serve(database_url=postgres.url)
    with server.client() as client:
        job = client.post("/v1/jobs", files=[("file", sounds.stem("flac", 20.0))] * 50).json()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"] >= 2, 60)
        for _ in range(2):  # as often as a file may be in flight when the service is killed
            postgres.stop()
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
            assert client.get(f"/v1/jobs/{job['id']}").status_code == 503
            assert client.post("/v1/verdicts", files={"file": wav}).status_code == 200
            postgres.start()
            wait_until(lambda: client.get("/readyz").status_code == 200, 60)
        now = ended(client, job)
    assert now["files"] == {"total": 50, "done": 50, "error": 0, "cancelled": 0} | {
        k: v for k, v in now["files"].items() if k in ("waiting", "running")
    }, "no file is to blame for its database"


def test_jobs_of_another_state_folder_are_named(serve: Callable[..., Server], postgres: Postgres, wav: bytes) -> None:
    """A new folder beside an old database says at its start that what waits there is not its own to end."""
    old = serve(database_url=postgres.url)
    with old.client() as client:
        client.post("/v1/jobs", files=[("file", sounds.stem("flac", 20.0))] * 100)
        old.kill()
    new = serve(database_url=postgres.url)
    assert re.search(r"[1-9][0-9]* jobs in the database are of other state folders", new.log)
