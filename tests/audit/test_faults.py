"""Faults with real processes: no row lost, none twice, no innocent blamed."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from provenance.audit import again, containers
from provenance.audit.items import Shard
from provenance.audit.run import Choice, score_source
from provenance.audit.shard import Options, part_path, score_shard
from provenance.audit.sources import list_items
from tests.audit import make
from tests.audit.drive import LOADER
from tests.service.server import alive

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds worker processes in /proc")


def rows(out: Path) -> list[dict[str, Any]]:
    """Return all rows of an audit, by path."""
    return sorted(parquet.read_table(out / "parts").to_pylist(), key=lambda row: row["path"])


def workers_of(pid: int) -> list[int]:
    """Return the worker processes whose parent is a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == pid and b"provenance.audit.worker" in command:
            found.append(int(entry.name))
    return found


def test_poison_and_stuck_files_are_named_and_no_other(tmp_path: Path) -> None:
    """A file that kills or stops every worker gets a row that says so; every other file gets its verdict."""
    names = [f"{i:03d}.wav" for i in range(100)] + ["020_poison.wav", "090_hang.wav"]
    make.files(tmp_path / "in", names)
    (tmp_path / "in" / "empty.wav").touch()
    progress = score_source(str(tmp_path / "in"), tmp_path / "out", workers=2, loader=LOADER, file_timeout_s=2.0)
    found = rows(tmp_path / "out")
    assert progress.n_done == progress.n_planned == len(found) == 103
    assert len({row["path"] for row in found}) == 103
    by_status = {s: {Path(r["path"]).name for r in found if r["status"] == s} for s in ("crashed", "error")}
    assert by_status["crashed"] == {"020_poison.wav", "090_hang.wav"}
    assert by_status["error"] == {"empty.wav"}
    assert all("SIGSEGV" in r["error_found"] for r in found if r["path"].endswith("poison.wav"))
    assert not [p for p in (tmp_path / "out" / "journal").iterdir() if p.suffix == ".jsonl"]


@linux
def test_workers_killed_at_random_blame_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers killed at any moment cost no row, double none, and leave no innocent file as crashed."""
    monkeypatch.setenv("FAULT_SLOW_S", "0.02")
    make.files(tmp_path / "in", [f"slow{i:03d}.wav" for i in range(150)])
    over = threading.Event()
    killed = []

    def kill() -> None:
        chance = random.Random(3)
        while not over.wait(chance.uniform(0.8, 1.4)) and len(killed) < 4:
            for pid in chance.sample(found := workers_of(os.getpid()), k=min(1, len(found))):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    progress = score_source(str(tmp_path / "in"), tmp_path / "out", workers=2, loader=LOADER)
    over.set()
    thread.join()
    found = rows(tmp_path / "out")
    assert len(killed) >= 2
    assert progress.n_deaths >= 1
    assert Counter(row["status"] for row in found) == {"ok": 150}
    assert len({row["path"] for row in found}) == 150


@linux
def test_a_killed_driver_is_resumed_by_running_again(tmp_path: Path, root: Path) -> None:
    """After kill -9 of the driver its workers go, a rerun scores only what is missing, and the rows are the same."""
    make.files(tmp_path / "in", [f"slow{i:03d}.wav" for i in range(140)])
    out = tmp_path / "out"
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.audit.drive", str(tmp_path / "in"), str(out), "local"],
        cwd=root,
        env=os.environ | {"FAULT_SLOW_S": "0.2"},
    )
    deadline = time.monotonic() + 300
    while len(list(out.glob("parts/*.parquet"))) < 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    orphans = workers_of(driver.pid)
    driver.kill()
    driver.wait()
    assert orphans
    kept = {p.name: p.stat().st_mtime_ns for p in out.glob("parts/*.parquet")}
    assert 1 <= len(kept) < 28
    while any(alive(pid) for pid in orphans) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in orphans)
    seen: list[int] = []
    progress = score_source(str(tmp_path / "in"), out, workers=2, loader=LOADER, told=lambda p: seen.append(p.n_done))
    found = rows(out)
    assert progress.n_done == len(found) == len({row["path"] for row in found}) == 140
    assert {row["status"] for row in found} == {"ok"}
    assert all((out / "parts" / name).stat().st_mtime_ns == stamp for name, stamp in kept.items())
    score_source(str(tmp_path / "in"), tmp_path / "once", workers=1, loader=LOADER)
    assert rows(tmp_path / "once") == found


def test_what_could_not_be_reached_is_tried_again_and_nothing_else(tmp_path: Path) -> None:
    """A file that was away and is back gets its verdict from the same command; other rows stay, damaged files too."""
    names = [f"{i:02d}.wav" for i in range(40)]
    make.files(tmp_path, names)
    (tmp_path / "40.wav").write_bytes(b"RIFF")
    (tmp_path / "m.csv").write_text("path\n" + "".join(f"{name}\n" for name in [*names, "40.wav"]))
    out = tmp_path / "out"
    score_source(str(tmp_path / "m.csv"), out, workers=1, loader=LOADER)
    part = out / "parts" / "0000000.parquet"
    whole = parquet.read_table(part)
    assert whole["path"].to_pylist() == ["00.wav", "01.wav"]
    for name, values in (("error_code", [None, "not_readable"]), ("rms_db", [-1.0, None])):
        at = whole.schema.get_field_index(name)
        whole = whole.set_column(at, whole.schema.field(at), pa.array(values, whole.schema.field(at).type))
    parquet.write_table(whole, part)
    kept = {p.name: p.stat().st_mtime_ns for p in (out / "parts").iterdir() if p != part}
    stopped = score_source(str(tmp_path / "m.csv"), out, workers=1, loader=LOADER, choice=Choice(budget_s=0.0))
    assert stopped.stopped
    assert len(rows(out)) == 41, "no row is taken out before its time"
    assert score_source(str(tmp_path / "m.csv"), out, workers=1, loader=LOADER).n_done == 41
    found = rows(out)
    assert {row["path"]: row["error_code"] for row in found if row["error_code"]} == {"40.wav": "not_audio"}
    assert found[0]["rms_db"] == -1.0, "what stood beside it was not scored anew"
    assert found[1]["rms_db"] is not None
    assert {p.name: p.stat().st_mtime_ns for p in (out / "parts").iterdir() if p != part} == kept
    assert not list((out / "journal").glob("*.jsonl"))


def test_workers_that_cannot_start_end_the_audit_with_a_reason(tmp_path: Path) -> None:
    """A scorer that cannot be loaded is one clear error, not a row for every file."""
    from provenance.audit.errors import AuditError

    make.files(tmp_path / "in", ["a.wav"])
    with pytest.raises(AuditError, match="No module named 'nowhere'"):
        score_source(str(tmp_path / "in"), tmp_path / "out", workers=1, loader="nowhere:load")


def test_an_interrupt_that_is_lost_in_a_finaliser_still_stops(tmp_path: Path) -> None:
    """Raised where Python can only ignore it, Ctrl-C counts at the next look at the workers; the same line goes on."""
    make.files(tmp_path / "in", [f"{i:03d}.wav" for i in range(40)])
    code = """
import os, signal
from provenance import cli
from provenance.audit import driver
class Falls:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))
real = driver._Run._tell
def falling(run):
    fallen = Falls()
    del fallen
    real(run)
if not os.environ.get("STEADY"):
    driver._Run._tell = falling
cli.main()
"""
    line = [sys.executable, "-c", code, "audit", "run", str(tmp_path / "in"), "--out", str(tmp_path / "out"),
            "--workers", "1"]  # fmt: skip
    stopped = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert stopped.returncode == 130, stopped.stderr
    assert "run the same command again" in stopped.stderr
    again = subprocess.run(
        line, capture_output=True, text=True, timeout=120, check=False, env=os.environ | {"STEADY": "1"}
    )
    assert again.returncode == 0, again.stderr
    assert len(rows(tmp_path / "out")) == 40


@pytest.mark.parametrize("how", ["replaced", "appended", "same"])
def test_a_digest_and_a_verdict_are_of_the_same_bytes(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced or written to between the two is unreadable, and tried again."""
    make.files(tmp_path, ["in/a.wav", "other.wav"])
    file, digest = tmp_path / "in" / "a.wav", containers.digest

    def digest_and_change(source: str | io.BytesIO) -> str | None:
        found = digest(source)
        if how == "replaced":
            os.utime(tmp_path / "other.wav", ns=(file.stat().st_mtime_ns,) * 2)
            os.replace(tmp_path / "other.wav", file)
        elif how == "appended":
            with file.open("ab") as end:
                end.write(bytes(4))
        return found

    monkeypatch.setattr(containers, "digest", digest_and_change)
    for name in ("parts", "journal"):
        (tmp_path / "out" / name).mkdir(parents=True)
    score_shard(Shard(0, tuple(list_items(str(tmp_path / "in")))), Options(str(tmp_path / "out"), loader=LOADER))
    (row,) = rows(tmp_path / "out")
    assert row["error_code"] == (None if how == "same" else "changed_while_read")
    assert (row["sha256"] is None) == (how != "same")
    assert again.is_again(part_path(tmp_path / "out", "0000000")) == (how != "same")
