"""Documentation: its examples run, and no figure stands in it that a command did not print."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from provenance.audit import items, sources, summary
from tests import pages
from tests.golden import make
from training import card

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
GENERATED = re.compile(r"<!-- (\w+):begin -->.*?<!-- \1:end -->", re.S)
SERVER = "127.0.0.1:8000"


def blocks(root: Path, language: str, page: str = "README.md") -> list[str]:
    """A page's code in one language, in order."""
    return [code for name, code in BLOCK.findall((root / page).read_text(encoding="utf-8")) if name == language]


@pytest.fixture(scope="module")
def place(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository to a reader of the README."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(root / "examples", folder / "examples")
    shutil.copy(root / "README.md", folder)
    (folder / "bin").mkdir()
    script = f"#!/bin/sh\nexec {sys.executable} -c 'from provenance.cli import main; main()' \"$@\"\n"
    (folder / "bin" / "stem-provenance").write_text(script)
    (folder / "bin" / "stem-provenance").chmod(0o755)
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "bin" / "python").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def environment(root: Path, place: Path) -> dict[str, str]:
    """The environment of examples: the repository's own code and command."""
    return os.environ | {"PYTHONPATH": str(root), "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def server(place: Path, environment: dict[str, str]) -> Iterator[str]:
    """A running service, and where it listens."""
    pytest.importorskip("fastapi")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    state = {"STEM_WORKERS": "1", "STEM_STATE_DIR": str(place / "state"), "STEM_MANIFEST_ROOTS": str(place)}
    process = subprocess.Popen(
        [str(place / "bin" / "stem-provenance"), "serve", "--port", str(port)],
        env=environment | state, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(240):
            if process.poll() is not None:
                pytest.fail(f"the service did not start: {process.stderr.read() if process.stderr else ''}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                    break
            except OSError:
                time.sleep(0.5)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def run(command: list[str], place: Path, environment: dict[str, str]) -> str:
    """Run an example as a reader would and return what it printed."""
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_examples_run(root: Path, place: Path, environment: dict[str, str]) -> None:
    """Each Python block of the README that needs no server runs and prints."""
    found = [code for code in blocks(root, "python") if SERVER not in code]
    assert len(found) >= 2
    for code in found:
        assert run([sys.executable, "-c", code], place, environment).strip(), code


def test_shell_examples_run(root: Path, place: Path, environment: dict[str, str]) -> None:
    """Each shell block that needs no server runs line by line without an error."""
    found = [code for code in blocks(root, "sh") if SERVER not in code]
    assert found
    for code in found:
        run(["bash", "-euo", "pipefail", "-c", code], place, environment)
    rows = [json.loads(line) for line in (place / "verdicts.jsonl").read_text().splitlines()]
    assert len(rows) >= 4


def test_http_examples_run(root: Path, place: Path, environment: dict[str, str], server: str) -> None:
    """The curl and httpx examples get a verdict from a running service."""
    for code in blocks(root, "python"):
        if SERVER in code:
            assert run([sys.executable, "-c", code.replace(SERVER, server)], place, environment).strip()
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    for code in blocks(root, "sh"):
        if SERVER in code:
            printed = run(["bash", "-euo", "pipefail", "-c", code.replace(SERVER, server)], place, environment)
            assert json.loads(printed.splitlines()[-1])["status"] == "ok"


def test_the_audit_pages_examples_run(root: Path, place: Path, environment: dict[str, str]) -> None:
    """A manifest with claims is audited as the page says: claims are read, a refuted one is found, a pair compared.

    Files that changed since are named by their digests.
    """
    code, check = blocks(root, "sh", "docs/audit.md")
    printed = run(["bash", "-euo", "pipefail", "-c", code], place, environment)
    assert "separated_sold_as_studio" in printed
    assert "a claim is refuted" in printed
    found = json.loads((place / "audit-of-vendor" / "summary.json").read_text(encoding="utf-8"))
    claimed = {row["claimed"] for row in found["claims"]["origin"]["rows"]}
    assert claimed == {"studio"}
    assert found["clustered_by"] == "claimed song"
    assert found["checks"]["claimed_pairs"]["n_claimed"] == 1
    assert (place / "clean.csv").exists()
    assert run(["bash", "-euo", "pipefail", "-c", check], place, environment) == ""
    voice = place / "examples" / "dry_voice.flac"
    kept = voice.read_bytes()
    try:
        voice.write_bytes(kept + b"x")
        told = run(["bash", "-uo", "pipefail", "-c", f"{check.strip()} || true"], place, environment)
    finally:
        voice.write_bytes(kept)
    assert told == "examples/dry_voice.flac: FAILED\n"


def test_the_http_pages_examples_run(root: Path, place: Path, environment: dict[str, str], server: str) -> None:
    """Each block runs against a running service: verdicts, a job from its start to its end, keys, a problem."""
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    found = blocks(root, "sh", "docs/http.md")
    printed = [
        run(["bash", "-euo", "pipefail", "-c", code.replace(SERVER, server)], place, environment) for code in found
    ]
    one, job, named, key, problem = printed
    assert [json.loads(part)["status"] for part in one.replace("}{", "}\n{").splitlines()] == ["ok", "ok"]
    assert "event: ended" in job
    assert job.count('"path": "') == 2
    assert (place / "results.parquet").stat().st_size > 0
    assert json.loads(named)["files"]["total"] == 1
    assert not key
    assert "'windows'; needed: of query parameters only 'coverage'" in json.loads(problem)["detail"]


@pytest.mark.parametrize("page", pages.PAGES)
def test_tables_are_what_the_code_says(root: Path, page: str) -> None:
    """Columns, words, kinds, exit codes, settings, problems and limits are those of the code."""
    text = (root / page).read_text(encoding="utf-8")
    assert text == pages.place(text), "python -m tests.pages"
    assert len(re.findall(r"<!-- \w+:begin -->\n\|", text)) >= 3
    assert not re.findall(r"\d+\.\d+|\d+\s*dB", GENERATED.sub("", BLOCK.sub("", text)).replace("127.0.0.1", ""))
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((root / page).parent / target).exists(), target


def test_problems_that_are_sent_stand_on_the_page(root: Path) -> None:
    """The codes that tests of the service meet are in the table of problems."""
    table = pages.codes()
    assert table in (root / "docs" / "http.md").read_text(encoding="utf-8")
    for file in ("test_problems.py", "test_jobs.py", "test_keys.py"):
        text = (root / "tests" / "service" / file).read_text(encoding="utf-8")
        for status, code in re.findall(r'(?:is_problem\(.*|"), (4\d\d|503), "(\w+)"\)', text):
            (row,) = [line for line in table.splitlines() if line.startswith(f"| {status} |")]
            assert f"`{code}`" in row, (file, status, code)


def _grouped_by(paths: list[str], songs: list[str | None]) -> tuple[str, set[str]]:
    """What judged files of these paths and claimed songs are grouped by, and the groups."""
    with duckdb.connect() as db:
        db.execute("create table stems (path varchar, song varchar, status varchar, verdict_status varchar)")
        db.executemany("insert into stems values (?, ?, 'ok', 'ok')", list(zip(paths, songs, strict=True)))
        for column in ("shard integer", "position integer", "landmarks uinteger[]"):
            db.execute(f"alter table stems add column {column}")
        words = summary._judge(db)
        return words, {key for (key,) in db.execute("select distinct song_key from judged").fetchall()}


def test_folders_are_grouped_as_the_audit_page_says(root: Path) -> None:
    """SONG/STEM infers no song: it groups from five folders on, up to fifty files each, unless half are claimed."""
    five = [f"set/song{k}/{stem}.wav" for k in range(5) for stem in ("vocals", "bass")]
    no_songs: list[str | None] = [None] * len(five)
    assert _grouped_by(five, no_songs) == ("folder", {f"set/song{k}" for k in range(5)})
    assert _grouped_by(five[:8], no_songs[:8])[0] == "file"
    assert _grouped_by(five[::2], no_songs[::2])[0] == "file"
    many = [f"set/song{k}/{n}.wav" for k in range(5) for n in range(50)]
    assert _grouped_by(many, [None] * 250)[0] == "folder"
    assert _grouped_by([*many, "set/song0/more.wav"], [None] * 251)[0] == "file"
    assert _grouped_by(five, ["a"] * 5 + [None] * 5)[0] == "claimed song"
    assert _grouped_by(five, ["a"] * 4 + [None] * 6)[0] == "folder"
    assert items.Item("song/vocals.wav", "file", "song/vocals.wav").claims == items.Claims()
    assert all(item.claims == items.Claims() for item in sources.list_items(str(root / "examples")))


def test_every_make_target_that_is_named_exists(root: Path) -> None:
    """README and CONTRIBUTING name only targets of the Makefile."""
    targets = set(re.findall(r"^([a-z][\w-]*):", (root / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (root / page).read_text(encoding="utf-8")
        named = set(re.findall(r"`make ([\w-]+)", text)) | set(re.findall(r"^make ([\w-]+)", text, re.M))
        assert named <= targets, page


def test_every_link_leads_somewhere(root: Path) -> None:
    """Each relative link of the README is a file."""
    text = (root / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (root / target).exists(), target


def test_the_card_and_the_readme_show_what_the_command_prints(root: Path) -> None:
    """The model card and the README's figures are word for word what ``python -m training.card`` writes."""
    folder = root / "models" / "stem-v1"
    described, evaluation = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in ("config.json", "evaluation.json")
    )
    assert (folder / "README.md").read_text(encoding="utf-8") == card.render(described, evaluation)
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert readme == card.place(readme, card.block(evaluation)), "python -m training.card models/stem-v1 README.md"


def test_no_figure_is_typed(root: Path) -> None:
    """Outside generated blocks and code, the README has no measured figure: no decimals, shares or decibels."""
    text = (root / "README.md").read_text(encoding="utf-8")
    text = GENERATED.sub("", BLOCK.sub("", text))
    for known in ("Apache-2.0", "Python 3.11", "127.0.0.1", "90&nbsp;%"):
        text = text.replace(known, "")
    assert not re.findall(r"\d+\.\d+|\d+\s*%|\d+\s*dB|AUC", text)


def test_the_demo_output_is_what_the_command_prints(root: Path) -> None:
    """The table in the README is that of ``make demo``, but for rounding on another CPU."""
    text = (root / "README.md").read_text(encoding="utf-8")
    here, there = make.demo(), text.split(make.DEMO_BEGIN)[1].split(make.DEMO_END)[0]
    split = re.compile(r"-?\d+\.\d+")
    assert split.sub("#", here).split() == split.sub("#", there).split(), "make golden"
    for a, b in zip(split.findall(here), split.findall(there), strict=True):
        assert abs(float(a) - float(b)) <= 0.6 if abs(float(a)) > 1 else abs(float(a) - float(b)) < 0.06


def test_the_changelogs_have_what_is_shipped(root: Path) -> None:
    """The shipped model stands in the models' changelog, and changes since the last release in the other."""
    assert "## stem-v1" in (root / "models" / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in (root / "CHANGELOG.md").read_text(encoding="utf-8")
