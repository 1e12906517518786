"""Keys, and who is served at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.access import Access
from service.errors import StartError
from service.problems import Problem
from service.settings import Settings, check_exposure
from tests.service.server import ROOT, START_S, Server, wait_until
from tests.service.test_problems import is_problem


def make_key(file: Path, name: str) -> str:
    """Make a key as an operator does."""
    command = [sys.executable, "-m", "service.keys", str(file), name]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_keys_are_asked_for_hashed_and_rotated_without_a_restart(serve: Callable[..., Server], tmp_path: Path) -> None:
    """With keys nothing but the page and the probes answers without one, and a changed file counts at once."""
    file = tmp_path / "keys"
    old = make_key(file, "old")
    assert old not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    server = serve(keys_file=file, manifest_roots=tmp_path)
    with server.client() as client:

        def status(**headers: str) -> int:
            return client.get("/v1/verdict.schema.json", headers=headers).status_code

        problem = client.get("/v1/verdict.schema.json")
        is_problem(problem, 401, "unauthorized")
        assert problem.headers["www-authenticate"] == "Bearer"
        for method, path in (
            ("POST", "/v1/verdicts"),
            ("POST", "/v1/jobs"),
            ("GET", "/v1/jobs"),
            ("GET", "/v1/jobs/0"),
            ("GET", "/v1/jobs/0?wait=1"),
            ("GET", "/metrics"),
        ):
            assert client.request(method, path).status_code == 401, path
        assert [client.get(p).status_code for p in ("/", "/healthz", "/readyz", "/openapi.json")] == [200] * 4
        assert status(Authorization="Bearer wrong") == 401
        wait_until(lambda: '"status": 401, "ms"' in server.log)
        refused = [line for line in map(json.loads, server.log.splitlines()) if line.get("status") == 401]
        assert {line["caller"] for line in refused} == {"127.0.0.1"}
        assert status(Authorization=f"Bearer {old}") == 200
        new = make_key(file, "new")
        assert status(**{"X-API-Key": new}) == 200
        assert status(**{"X-API-Key": old}) == 200
        file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("old ")))
        assert status(**{"X-API-Key": old}) == 401
        assert status(**{"X-API-Key": new}) == 200
        file.write_text("half a li")
        assert status(**{"X-API-Key": new}) == 200, "a half-written file must not lock everybody out"
        file.write_text("")
        assert status(**{"X-API-Key": new}) == 401, "the last key is taken back by deleting its line, too"
        last = make_key(file, "last")
        assert status(**{"X-API-Key": last}) == 200


def test_a_job_is_seen_by_its_own_key_only(serve: Callable[..., Server], tmp_path: Path, wav: bytes) -> None:
    """Another caller's job is as good as none."""
    file = tmp_path / "keys"
    mine, other = ({"X-API-Key": make_key(file, name)} for name in ("mine", "other"))
    server = serve(keys_file=file)
    with server.client() as client:
        job = client.post("/v1/jobs", files={"file": wav}, headers=mine).json()
        path = f"/v1/jobs/{job['id']}"
        assert [one["id"] for one in client.get("/v1/jobs", headers=mine).json()["jobs"]] == [job["id"]]
        assert client.get("/v1/jobs", headers=other).json()["jobs"] == []
        assert client.get(path, headers=mine).status_code == 200
        for method, end in (("GET", ""), ("GET", "/results"), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")):
            is_problem(client.request(method, path + end, headers=other), 404, "no_such_job")


def test_the_rate_is_counted_per_key(serve: Callable[..., Server], tmp_path: Path) -> None:
    """One key over its rate does not slow another, and guessing keys is limited by address."""
    file = tmp_path / "keys"
    keys = [make_key(file, name) for name in ("a", "b")]
    server = serve(keys_file=file, rate_limit="5/hour")
    with server.client() as client:

        def statuses(key: str, n: int) -> list[int]:
            headers = {"X-API-Key": key}
            return [client.get("/v1/verdict.schema.json", headers=headers).status_code for _ in range(n)]

        assert statuses(keys[0], 7) == [200] * 5 + [429] * 2
        assert statuses("guess", 7) == [401] * 5 + [429] * 2
        assert statuses(keys[1], 1) == [200]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "stem.example"])
def test_other_machines_are_not_served_without_keys(monkeypatch: pytest.MonkeyPatch, host: str, tmp_path: Path) -> None:
    """Another address than loopback needs keys, or to be told that it does not."""
    for name in [k for k in os.environ if k.startswith("STEM_")]:
        monkeypatch.delenv(name)
    with pytest.raises(StartError, match=r"no keys; needed: STEM_KEYS_FILE"):
        check_exposure(Settings(), host)
    check_exposure(Settings(), "127.0.0.1")
    check_exposure(Settings(allow_no_keys=True), host)
    check_exposure(Settings(keys_file=tmp_path / "keys"), host)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "no-such-model"}, "no such model"),
        ({"keys_file": "/nonexistent/keys"}, "readable file of keys"),
        ({"workers": 0}, "STEM_WORKERS"),
        ({"workers": "0"}, "STEM_WORKERS: found '0'; needed: greater than or equal to 1"),
        ({"port": "abc"}, "found port 'abc'; needed: a number from 0 to 65535"),
        ({"port": "99999"}, "found port '99999'; needed: a number from 0 to 65535"),
        ({"rate_limit": "often"}, "'600/minute'"),
        ({"database_url": "mysql://nowhere/x"}, "SQLite or PostgreSQL"),
        ({"host": "0.0.0.0"}, "STEM_ALLOW_NO_KEYS"),
        ({"webhook_secret": "whsec_abc"}, "STEM_WEBHOOK_SECRET: Value error, found 'whsec_' before what is no Base64"),
        ({"webhook_secret": "whsec_"}, "needed: 'whsec_' and Base64, or another text"),
    ],
)
def test_what_cannot_start_says_why_in_a_line(
    serve: Callable[..., Server], settings: dict[str, str], said: str
) -> None:
    """A wrong setting ends the start with status 2 and a message, not a traceback; no port is cut to another."""
    server = serve(start=False, **settings)
    assert server.spawn().wait(START_S) == 2
    assert said in server.log
    assert "Traceback" not in server.log


def test_a_database_that_is_none_is_named(serve: Callable[..., Server]) -> None:
    """Of the two files in the state folder the damaged one; a good one is nobody else's to read."""
    for name in ("jobs", "queue"):
        server = serve(start=False)
        server.state.mkdir()
        (server.state / f"{name}.sqlite").write_bytes(b"no database at all" * 300)
        assert server.spawn().wait(START_S) in (2, 3)
        assert f"{name}.sqlite: found no usable job database" in server.log
    server = serve(start=False)
    server.state.mkdir()
    (server.state / "jobs.sqlite").touch(mode=0o644)
    server.start()
    assert {(server.state / f"{name}.sqlite").stat().st_mode & 0o777 for name in ("jobs", "queue")} == {0o600}


def test_a_clock_that_is_set_back_locks_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted in a time to come is forgotten; a limit holds again at once."""
    now = 1_700_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    access = Access(Settings(rate_limit="3/minute"))

    def let_in() -> int:
        n = 0
        with contextlib.suppress(Problem):
            while n < 9:
                access.count("caller")
                n += 1
        return n

    assert [let_in(), let_in()] == [3, 0]
    now -= 86_400
    assert [let_in(), let_in()] == [3, 0]


def test_two_services_do_not_share_a_state_folder(server: Server, tmp_path: Path, tiny_model: Path) -> None:
    """A second service on the same folder refuses to start, and the first is not disturbed."""
    second = Server(tmp_path / "second", state_dir=server.state, model=tiny_model)
    assert second.spawn().wait(START_S) == 2
    assert "another service that uses it" in second.log
    assert "Traceback" not in second.log
    with server.client() as client:
        assert client.get("/readyz").status_code == 200


def test_the_image_can_read_the_keys_that_are_made_as_it_says(tmp_path: Path) -> None:
    """The file is made by the caller's user and read by the image's: the steps above the Dockerfile see to that."""
    make_key(tmp_path / "keys", "alice")
    steps = re.findall(r"^#   (\w.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    here = [step for step in steps if not step.startswith("docker")]
    subprocess.run(["sh", "-ec", "\n".join(here)], cwd=tmp_path, check=True)
    assert (tmp_path / "keys").stat().st_mode & 0o007 == 0o004
