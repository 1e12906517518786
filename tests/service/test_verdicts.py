"""One file in, its verdict out: the same as the shell's."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provenance.verdict import Verdict
from tests.service import sounds
from tests.service.server import ROOT, Server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One stem in every format."""
    folder = tmp_path_factory.mktemp("formats")
    found = {}
    for kind in sounds.TYPES:
        found[kind] = folder / f"stem.{kind}"
        found[kind].write_bytes(sounds.stem(kind))
    return found


@pytest.fixture(scope="module")
def by_shell(files: dict[str, Path], tiny_model: Path) -> dict[str, dict[str, Any]]:
    """The verdicts of ``stem-provenance score``, by format."""
    command = [sys.executable, "-m", "provenance.cli", "score", "--format", "jsonl", "--model", str(tiny_model)]
    command = [sys.executable, "-c", "from provenance.cli import main; main()", *command[3:], *map(str, files.values())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(row.pop("path")).suffix[1:]: row for row in rows}


@pytest.mark.parametrize("kind", list(sounds.TYPES))
@pytest.mark.parametrize("way", ["raw", "form"])
def test_every_format_gets_the_verdict_of_the_shell(
    server: Server, files: dict[str, Path], by_shell: dict[str, dict[str, Any]], kind: str, way: str
) -> None:
    """A file has one verdict, whichever way in it takes."""
    data = files[kind].read_bytes()
    with server.client() as client:
        if way == "raw":
            answer = client.post("/v1/verdicts", content=data, headers={"Content-Type": sounds.TYPES[kind]})
        else:
            answer = client.post("/v1/verdicts", files={"file": (f"stem.{kind}", data, sounds.TYPES[kind])})
    assert answer.status_code == 200, answer.text
    assert answer.json() == by_shell[kind]


def test_the_name_and_type_of_a_file_do_not_matter(server: Server, files: dict[str, Path], by_shell: Any) -> None:
    """What a file is, its bytes say: a wrong name or type changes nothing."""
    with server.client() as client:
        body = files["m4a"].read_bytes()
        answer = client.post("/v1/verdicts", content=body, headers={"Content-Type": "application/octet-stream"})
        assert answer.json() == by_shell["m4a"]
        answer = client.post("/v1/verdicts", files={"file": ("x.wav", files["mp3"].read_bytes(), "audio/wav")})
        assert answer.json() == by_shell["mp3"]


def test_the_verdict_has_every_field_and_its_own_time(server: Server, wav: bytes) -> None:
    """The answer is the whole record of the library, and Server-Timing says how long the scorer took."""
    with server.client() as client:
        answer = client.post("/v1/verdicts", files={"file": wav})
    assert list(answer.json()) == list(Verdict.__dataclass_fields__)
    name, value = answer.headers["server-timing"].split(";dur=")
    assert name == "score"
    assert 0 < float(value) < answer.elapsed.total_seconds() * 1e3


def test_sparse_looks_at_less(server: Server) -> None:
    """With coverage=sparse a long file is judged by one window of four."""
    with server.client() as client:
        long = sounds.stem("flac", 40.0)
        n = [
            client.post("/v1/verdicts", params={"coverage": c}, files={"file": long}).json()["audio"]["n_windows"]
            for c in ("full", "sparse")
        ]
    assert n[1] <= n[0] // 3


def test_many_at_once_get_their_own_verdicts(server: Server) -> None:
    """Verdicts are not mixed up between callers that come at once."""
    stems = [sounds.stem("wav", 4.0 + 0.5 * k, seed=k) for k in range(6)]
    with server.client() as client:
        alone = [client.post("/v1/verdicts", files={"file": s}).json() for s in stems]
        with ThreadPoolExecutor(12) as threads:
            together = list(threads.map(lambda s: client.post("/v1/verdicts", files={"file": s}).json(), stems * 4))
    assert together == alone * 4
    assert len({v["audio"]["duration_s"] for v in alone}) == len(stems)


def test_no_upload_is_kept(server: Server, wav: bytes) -> None:
    """An upload is gone when its answer is there."""
    with server.client() as client:
        client.post("/v1/verdicts", files={"file": wav})
        client.post("/v1/verdicts", files={"file": b"no audio"})
    assert list((server.state / "spool").iterdir()) == []
