"""Jobs: many files in the background, each there once, whatever is killed."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import DeletedError
from service.job_records import NewJob
from service.job_routes import MOST_FOLLOWED
from service.jobs import Jobs
from service.store import Store
from service.tables import engine_for
from tests.service import sounds
from tests.service.server import Server, wait_until, workers
from tests.service.test_problems import is_problem


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that manifests may name files of: twelve stems, a broken one, and links."""
    folder = tmp_path_factory.mktemp("root")
    for k in range(12):
        (folder / f"{k:02}.flac").write_bytes(sounds.stem("flac", 8.0, seed=k))
    (folder / "broken.wav").write_bytes(b"no audio at all")
    (folder / "link inside").symlink_to(folder / "00.flac")
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.flac").write_bytes(sounds.stem("flac", 4.0))
    (folder / "link outside").symlink_to(outside / "secret.flac")
    (folder / "folder outside").symlink_to(outside)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, root: Path, tiny_model: Path) -> Iterator[Server]:
    """A server that may read the folder."""
    state = tmp_path_factory.mktemp("jobs") / "state"
    with Server(state, model=tiny_model, manifest_roots=root, max_job_files=600) as running:
        yield running


def manifest(folder: Path, names: list[str], kind: str = "csv") -> Path:
    """Write a manifest."""
    file = folder / f"manifest-{len(list(folder.iterdir()))}.{kind}"
    if kind == "csv":
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerows([["title", "path"], *([f"song {n}", n] for n in names)])
        file.write_text(out.getvalue(), encoding="utf-8")
    elif kind == "jsonl":
        file.write_text("".join(json.dumps({"path": n, "bpm": 120}) + "\n" for n in names), encoding="utf-8")
    else:
        pq.write_table(pa.table({"path": names, "bpm": [120] * len(names)}), file)
    return file


def ended(client: httpx.Client, job: dict[str, Any], timeout_s: float = 300) -> dict[str, Any]:
    """Wait until a job has ended and return it."""
    now: dict[str, Any] = {}

    def over() -> bool:
        now.update(client.get(f"/v1/jobs/{job['id']}").json())
        return now["state"] in ("done", "cancelled")

    wait_until(over, timeout_s, 0.1)
    return now


def rows(client: httpx.Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a job."""
    answer = client.get(job["results"])
    assert answer.headers["content-type"].startswith("application/jsonl")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_uploads_become_a_job_with_a_row_each(server: Server, wav: bytes) -> None:
    """202 and Location at once; then a row for each file in order: its verdict as alone, or why it has none."""
    with server.client() as client:
        alone = client.post("/v1/verdicts", files={"file": wav}).json()
        mp3 = sounds.stem("mp3")
        files = [("file", ("a.wav", wav)), ("file", ("b.wav", b"no audio")), ("file", ("a.wav", mp3))]
        made = client.post("/v1/jobs", files=files, data={"coverage": "full"})
        assert made.status_code == 202
        assert made.headers["location"] == f"/v1/jobs/{made.json()['id']}"
        assert made.json()["files"]["total"] == 3
        job = ended(client, made.json())
        assert job["state"] == "done"
        assert (job["files"]["done"], job["files"]["error"]) == (2, 1)
        found = rows(client, job)
        assert found[0] == {"index": 0, "path": "a.wav", **alone}
        assert found[1]["status"] == "error"
        assert found[1]["error"]["code"] == "not_audio"
        assert found[1]["error"]["message"].startswith("b.wav: ")
        assert found[1]["index"] == 1
        assert found[2] == {"index": 2, "path": "a.wav", **client.post("/v1/verdicts", files={"file": mp3}).json()}
    wait_until(lambda: not (server.state / "jobs" / job["id"]).exists())  # uploads are deleted after the end


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_manifest_names_files_below_allowed_folders(served: Server, root: Path, kind: str) -> None:
    """Relative and absolute paths work; what really lies elsewhere is refused, links resolved, there or not."""
    inside = ["00.flac", str(root / "01.flac"), "link inside", "broken.wav", "missing.wav"]
    outside = ["link outside", "folder outside/secret.flac", "folder outside/missing.flac", "../x.wav", "/etc/passwd"]
    with served.client() as client:
        file = manifest(root, inside + outside, kind)
        made = client.post("/v1/jobs", json={"manifest": str(file)})
        assert made.status_code == 202, made.text
        job = ended(client, made.json())
        found = rows(client, job)
    assert [row["path"] for row in found] == inside + outside
    assert [row["status"] for row in found[:3]] == ["ok"] * 3
    assert [row.pop("index") for row in found] == list(range(len(found)))
    assert {k: v for k, v in found[0].items() if k != "path"} == {k: v for k, v in found[2].items() if k != "path"}
    codes = [row["error"]["code"] for row in found[3:]]
    assert codes == ["not_audio", "not_readable", *["outside_roots"] * 5]


def test_parquet_has_the_rows_of_json_lines(served: Server, root: Path) -> None:
    """Both forms hold the same rows; Accept chooses as well as the query."""
    with served.client() as client:
        job = client.post("/v1/jobs", json={"paths": [str(root / n) for n in ("02.flac", "broken.wav", "03.flac")]})
        job = ended(client, job.json())
        lines = rows(client, job)
        asked = client.get(job["results"], params={"format": "parquet"})
        accepted = client.get(job["results"], headers={"Accept": "application/vnd.apache.parquet"})
    assert asked.headers["content-type"] == "application/vnd.apache.parquet"
    table = pq.read_table(io.BytesIO(asked.content)).to_pylist()
    assert pq.read_table(io.BytesIO(accepted.content)).to_pylist() == table
    assert [row["path"] for row in table] == [line["path"] for line in lines]
    assert [row["index"] for row in table] == [line["index"] for line in lines] == [0, 1, 2]
    for row, line in zip(table, lines, strict=True):
        if line["status"] == "error":
            assert (row["status"], row["error_code"]) == ("error", line["error"]["code"])
            continue
        assert {"index": row["index"], "path": row["path"], **json.loads(row["verdict"])} == line
        for name in ("origin", "p_separated", "confidence", "segments", "reasons", "model"):
            assert row[name] == line[name]
        assert row["duration_s"] == line["audio"]["duration_s"]
        assert row["sdr_db"] == (line["sdr_ceiling_db"] or {}).get("estimate")
    wait_until(lambda: not list((served.state / "spool").iterdir()))  # what was sent is deleted after it


def test_parquet_is_sent_whole_and_leaves_nothing(served: Server, root: Path) -> None:
    """A range of a file that is made anew for each request belongs to no other; none is given, and no file is left."""
    with served.client() as client:
        made = client.post("/v1/jobs", json={"paths": [str(root / "00.flac")]}).json()
        wait_until(lambda: client.get(f"/v1/jobs/{made['id']}").json()["state"] == "done")
        document = client.get("/openapi.json").json()["paths"]["/v1/jobs/{job_id}/results"]["get"]["responses"]
        for wanted in ("bytes=0-9", "bytes=-5", "bytes=99999999-", "lines=1"):
            address = f"{made['results']}?format=parquet"
            answer = client.get(address, headers={"Range": wanted})
            assert str(answer.status_code) in document, wanted
            assert len(answer.content) == int(answer.headers["content-length"])
            assert pq.read_table(io.BytesIO(answer.content)).num_rows == 1
            with client.stream("GET", address) as left:  # and not read
                assert left.status_code == 200
        wait_until(lambda: not list((served.state / "spool").iterdir()))


def test_events_tell_progress_and_the_end(served: Server, root: Path) -> None:
    """Server-sent events grow to the total and end with one event ``ended``, also for a job that has ended."""
    with served.client() as client:
        paths = [str(root / f"{k:02}.flac") for k in range(12)]
        job = client.post("/v1/jobs", json={"paths": paths * 10}).json()
        first, second = (follow(client, job) for _ in range(2))
    done = [data["files"]["done"] for _, data in first]
    assert done == sorted(done)
    assert done[-1] == 120
    assert len(set(done)) > 3
    assert [name for name, _ in first] == ["progress"] * (len(first) - 1) + ["ended"]
    assert [name for name, _ in second] == ["ended"]


def follow(
    client: httpx.Client, job: dict[str, Any], found: list[tuple[str, dict[str, Any]]] | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of a job with their data, until they end; each is in ``found`` as soon as it came."""
    found = [] if found is None else found
    with client.stream("GET", job["events"]) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                found.append((name, json.loads(line[6:])))
    return found


def test_results_of_a_job_that_is_deleted_meanwhile_do_not_end_as_if_whole(tmp_path: Path) -> None:
    """Who reads them sees a broken answer, and not fewer rows."""
    store = Store(engine_for(f"sqlite:///{tmp_path / 'jobs.sqlite'}"), "here")
    job = NewJob("0" * 32, "", "full", None)
    assert store.create(job, [(f"{k}.wav", f"/{k}.wav") for k in range(1200)], 9)
    assert store.cancel(job.id)
    assert len(list(store.results(job.id))) == 1200
    read = store.results(job.id)
    assert [next(read).n for _ in range(600)] == [*range(600)]
    store.delete(job.id)
    with pytest.raises(DeletedError, match="deleted while its results were read"):
        list(read)


def test_a_caller_follows_so_many_jobs_and_all_who_follow_one_share_a_look(served: Server, root: Path) -> None:
    """One more is a 429 until one ends; of a job that many follow the database is read as of one."""
    with served.client() as client, contextlib.ExitStack() as open_:
        job = client.post("/v1/jobs", json={"paths": [str(root / f"{k % 12:02}.flac") for k in range(600)]}).json()
        for _ in range(MOST_FOLLOWED):
            assert open_.enter_context(client.stream("GET", job["events"])).status_code == 200
        over = client.get(job["events"])
        is_problem(over, 429, "too_many_followed")
        assert int(over.headers["retry-after"]) > 0
        open_.close()
        client.post(f"/v1/jobs/{job['id']}/cancel")
        assert follow(client, job)[-1][0] == "ended"

    class Read:
        n = 0

        def job(self, job_id: str) -> str:
            self.n += 1
            return job_id

    jobs = Jobs.__new__(Jobs)
    jobs.store, jobs._looks = Read(), {}  # type: ignore[assignment]

    async def many() -> list[object]:
        return await asyncio.gather(*(jobs.look(name) for name in ["a", "b"] * 50))

    assert asyncio.run(many()) == ["a", "b"] * 50
    assert jobs.store.n == 2  # type: ignore[attr-defined]


def test_a_type_with_no_weight_is_not_asked_for(served: Server, root: Path) -> None:
    """``q=0`` refuses a type, as HTTP has it."""
    with served.client() as client:
        job = client.post("/v1/jobs", json={"paths": [str(root / "00.flac")]}).json()
        ended(client, job)
        for accept, kind in (
            ("application/vnd.apache.parquet;q=0, */*", "application/jsonl"),
            ("application/vnd.apache.parquet; q=0.000", "application/jsonl"),
            ("text/html, application/vnd.apache.parquet;q=0.5", "application/vnd.apache.parquet"),
            ("application/vnd.apache.parquet;q=0.1, application/jsonl", "application/jsonl"),
        ):
            assert client.get(job["results"], headers={"Accept": accept}).headers["content-type"] == kind


def test_a_cancelled_job_scores_no_more(served: Server, root: Path) -> None:
    """Cancelling keeps what is there, stops what waits, and a row says so for each file; then it can be deleted."""
    with served.client() as client:
        paths = [str(root / f"{k:02}.flac") for k in range(12)]
        job = client.post("/v1/jobs", json={"paths": paths * 40}).json()
        is_problem(client.delete(f"/v1/jobs/{job['id']}"), 409, "not_ended")
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"] >= 3)
        assert client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] in ("cancelling", "cancelled")
        job = ended(client, job)
        assert job["state"] == "cancelled"
        assert 3 <= job["files"]["done"] < 480
        found = rows(client, job)
        assert len(found) == 480
        assert sum(row["status"] == "ok" for row in found) == job["files"]["done"]
        assert sum(row["status"] == "cancelled" for row in found) == job["files"]["cancelled"] > 0
        time.sleep(0.5)
        assert client.get(f"/v1/jobs/{job['id']}").json() == job
        is_problem(client.post(f"/v1/jobs/{job['id']}/cancel"), 409, "ended")
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
        is_problem(client.get(f"/v1/jobs/{job['id']}"), 404, "no_such_job")


def test_a_job_does_not_keep_callers_waiting(served: Server, root: Path, wav: bytes) -> None:
    """While a long job runs, a single file is answered after at most the files in the workers."""
    with served.client() as client:
        paths = [str(root / f"{k:02}.flac") for k in range(12)]
        job = client.post("/v1/jobs", json={"paths": paths * 50}).json()
        wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"] >= 1)
        assert client.post("/v1/verdicts", files={"file": wav}).status_code == 200
        assert client.get(f"/v1/jobs/{job['id']}").json()["files"]["done"] < 600
        client.post(f"/v1/jobs/{job['id']}/cancel")
        ended(client, job)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "manifest_or_paths"),
        ({"manifest": "/x.csv", "paths": ["/a"]}, "manifest_or_paths"),
        ({"paths": []}, "n_files"),
        ({"paths": ["/a"] * 601}, "n_files"),
        ({"paths": ["/a\0b"]}, "bad_path"),
        ({"manifest": "/etc/passwd"}, "outside_roots"),
        ({"manifest": "/x\0.csv"}, "bad_manifest"),
        ({"paths": ["/a"], "coverage": "half"}, "invalid_request"),
        ({"paths": ["/a"], "colour": "red"}, "invalid_request"),
        ({"paths": ["/a"], "webhook": "https://example.org/"}, "webhooks_off"),
        ([1], "invalid_request"),
    ],
)
def test_a_wrong_job_is_a_problem(served: Server, body: object, code: str) -> None:
    """What cannot become a job is refused with 422 and leaves none behind."""
    with served.client() as client:
        is_problem(client.post("/v1/jobs", json=body), 422, code)


@pytest.mark.parametrize(
    "body",
    [
        '{"paths": [' + ",".join(["1"] * 1_000_000) + "]}",
        "{" + ",".join(f'"{k:x}": 1' for k in range(300_000)) + "}",
        '{"' + "x" * 2_000_000 + '": 1}',
    ],
    ids=["no text in a long list", "many unknown names", "one long name"],
)
def test_a_long_json_full_of_faults_is_answered_shortly(served: Server, body: str) -> None:
    """Faults are not listed by the million: that took gigabytes, and nobody else was served meanwhile."""
    with served.client() as client:
        answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"}, timeout=10)
    is_problem(answer, 422, "invalid_request")
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "title\nx\n"),
        ("a.csv", ""),
        ("a.jsonl", "nonsense"),
        ("a.jsonl", "[1]\n"),
        ("a.jsonl", '{"path": "/half a pair \\ud800.wav"}\n'),
        ("a.jsonl", '{"path": "/a.wav", "deep": ' + "[" * 100_000 + "]" * 100_000 + "}\n"),
        ("a.txt", "x"),
        ("a.parquet", "PAR1"),
    ],
)
def test_a_wrong_manifest_is_a_problem(served: Server, root: Path, name: str, content: str) -> None:
    """A manifest that cannot be read, or names nothing, is refused with 422."""
    (root / name).write_text(content)
    with served.client() as client:
        answer = client.post("/v1/jobs", json={"manifest": str(root / name)})
    is_problem(answer, 422, "n_files" if content == "" else "bad_manifest")


def test_other_columns_of_a_manifest_may_be_long(served: Server, root: Path) -> None:
    """Nothing but the paths is looked at: lyrics of any length stand beside them."""
    (root / "lyrics.csv").write_text(f"path,lyrics\n00.flac,{'la ' * 100_000}\n")
    with served.client() as client:
        answer = client.post("/v1/jobs", json={"manifest": str(root / "lyrics.csv")})
        assert answer.status_code == 202, answer.text
        assert ended(client, answer.json())["files"]["done"] == 1


def test_server_files_are_off_unless_folders_are_listed(server: Server, wav: bytes) -> None:
    """Without roots nobody can make the server read its own files."""
    with server.client() as client:
        is_problem(client.post("/v1/jobs", json={"manifest": "/etc/hosts.csv"}), 422, "manifests_off")
        is_problem(client.post("/v1/jobs", json={"paths": ["/etc/hosts"]}), 422, "manifests_off")


def test_unfinished_jobs_are_bounded(serve: Callable[..., Server], root: Path, wav: bytes) -> None:
    """Over the limit of jobs and of uploads the answer is a problem, and what was uploaded is gone."""
    server = serve(max_jobs=1, max_job_uploads=2, manifest_roots=root)
    with server.client() as client:
        many = is_problem(client.post("/v1/jobs", files=[("file", wav)] * 3), 400, "bad_request")
        assert "more than 2 files; needed: at most 2 files and the fields 'file'" in many["detail"]
        job = client.post("/v1/jobs", json={"paths": [str(root / "00.flac")] * 2000}).json()
        full = client.post("/v1/jobs", files={"file": wav})
        is_problem(full, 503, "queue_full")
        assert int(full.headers["retry-after"]) > 0
        client.post(f"/v1/jobs/{job['id']}/cancel")
        ended(client, job)
        assert client.post("/v1/jobs", files={"file": wav}).status_code == 202
    assert len(list((server.state / "jobs").iterdir())) <= 1


def test_unfinished_jobs_are_bounded_also_when_they_come_together(serve: Callable[..., Server], wav: bytes) -> None:
    """Twelve uploads that were all let in while there was room make as many jobs as may be, and leave no more files."""
    server = serve(max_jobs=2)
    begun = threading.Barrier(12)
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    def halves() -> Iterator[bytes]:
        yield head + wav[:1000]
        begun.wait(60)
        time.sleep(1.0)  # so that the service has seen the head of the last one too
        yield wav[1000:] + b"\r\n--b--\r\n"

    def post(_: int) -> httpx.Response:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        return httpx.post(f"{server.url}/v1/jobs", content=halves(), headers=headers, timeout=60)

    pids = workers(server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # no job ends
    try:
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(post, range(12)))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert sorted(answer.status_code for answer in answers) == [202] * 2 + [503] * 10
    for answer in answers:
        if answer.status_code == 503:
            is_problem(answer, 503, "queue_full")
            assert int(answer.headers["retry-after"]) > 0
    made = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert {folder.name for folder in (server.state / "jobs").iterdir()} <= made


def test_jobs_are_listed_newest_first(serve: Callable[..., Server], wav: bytes) -> None:
    """A client that lost an id finds its jobs, a page at a time, each as it is told alone."""
    server = serve()
    with server.client() as client:
        assert client.get("/v1/jobs").json() == {"jobs": [], "next": None}
        made = [client.post("/v1/jobs", files=[("file", wav)] * (k + 1)).json() for k in range(5)]
        for job in made:
            ended(client, job)
        newest = [client.get(f"/v1/jobs/{job['id']}").json() for job in reversed(made)]
        assert client.get("/v1/jobs").json() == {"jobs": newest, "next": None}
        pages, cursor = [], {}
        while cursor is not None:
            page = client.get("/v1/jobs", params={"limit": 2, **cursor}).json()
            pages.append(page["jobs"])
            cursor = {"cursor": page["next"]} if page["next"] else None
            client.delete(f"/v1/jobs/{page['jobs'][-1]['id']}")  # a cursor holds though its job is gone
        assert pages == [newest[:2], newest[2:4], newest[4:]]
        for wrong in ({"limit": 0}, {"limit": 501}, {"limit": "all"}, {"cursor": "x"}, {"cursor": ""}):
            (name,) = wrong
            problem = is_problem(client.get("/v1/jobs", params=wrong), 422, "invalid_request")
            assert problem["detail"].startswith(f"query.{name}: ")
