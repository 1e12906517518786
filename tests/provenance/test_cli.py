"""The command line: data on stdout, progress on stderr, exit codes 0, 1 and 2."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

import provenance
from provenance import flat, listing, table
from provenance.cli import app
from provenance.errors import UnreadableAudio
from tests import sounds, tiny

ENV = os.environ | {"COLUMNS": "160", "PYTHONPATH": str(Path(provenance.__file__).parent.parent)}
COMMAND = [sys.executable, "-c", "from provenance.cli import main; main()"]


def run(*arguments: object) -> Result:
    """Run the command line in this process; stdout and stderr are kept apart."""
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, [*map(str, arguments)])


def spawn(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with nothing that is a terminal."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, env=ENV, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models that call everything separated, studio and undecided."""
    folder = tmp_path_factory.mktemp("calls")
    limits = {"processing": 0.0, "distance": 100.0, "family": 0.0, "layers": 0.5}
    return {
        "separated": tiny.write(folder / "separated", thresholds=limits | {"separated": 0.0, "studio": 0.0}),
        "studio": tiny.write(folder / "studio", thresholds=limits | {"separated": 2.0, "studio": 1.0}),
        "undecided": tiny.write(folder / "undecided", thresholds=limits | {"separated": 2.0, "studio": -1.0}),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stems, one below another folder, beside files that are not audio."""
    top = tmp_path_factory.mktemp("stems")
    (top / "b").mkdir()
    sounds.write(top / "a.wav", sounds.music(2.0))
    sounds.write(top / "b" / "c.FLAC", sounds.music(2.0, seed=1), fmt="FLAC")
    (top / "notes.txt").write_text("no audio")
    (top / ".git").mkdir()
    (top / ".git" / "HEAD").write_text("no part of what is scored")
    (top / "._a.wav").write_bytes(b"\x00\x05\x16\x07 a resource fork")
    return top


@pytest.mark.parametrize("call", ["separated", "studio", "undecided"])
def test_fail_on_gives_exit_code_one(call: str, model: dict[str, Path], folder: Path) -> None:
    """A verdict that --fail-on names gives 1; another gives 0."""
    file = folder / "a.wav"

    def at(wanted: str) -> int:
        return run("score", file, "--model", model[call], "--fail-on", wanted, "--format", "json").exit_code

    assert at(call) == 1
    assert at(f"dry,hybrid,wet,{call}") == 1
    others = {"separated", "studio", "undecided"} - {call}
    assert at(",".join(sorted(others))) == 0


def test_an_error_outweighs_a_finding(model: dict[str, Path], folder: Path) -> None:
    """An unreadable input gives 2, whatever else was found."""
    arguments = [str(folder / "a.wav"), str(folder / "gone.wav"), "--model", str(model["separated"])]
    assert CliRunner().invoke(app, ["score", *arguments, "--fail-on", "separated"]).exit_code == 2


WRONG = (
    "score",
    "score a.wav --fail-on fake",
    "score a.wav --fail-on ,",
    "score a.wav --fail-on=",
    "against a.wav b.wav --fail-on=",
    "score a.wav --format xml",
    "score a.wav --windows some",
    "score a.wav --model no-such-model",
    "score a.wav --no-such-option",
    "sing",
)


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_call_is_an_error_of_the_caller(line: str) -> None:
    """Unknown options, values and models give 2 and a message on stderr, and nothing on stdout."""
    done = run(*line.split())
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_a_wrong_finding_lists_the_right_ones() -> None:
    """The message of --fail-on says what was found and what is needed."""
    done = run("score", "a.wav", "--fail-on", "fake,separated")
    assert re.search(r"found fake; needed:\s+separated", re.sub(r"[│\s]+", " ", done.stderr))


def test_no_table_shows_a_probability_as_certain(scorer: provenance.Scorer) -> None:
    """What rounds to 1 or 0 is over 0.99 or under 0.01; several errors are counted as such."""
    found = scorer.score((sounds.music(2.0), 44_100))
    rows = [table.Row(name, dataclasses.replace(found, p_separated=p, confidence=max(p, 1 - p)), None)
            for name, p in (("a.wav", 0.9997), ("b.wav", 0.0003), ("c.wav", 0.94))]  # fmt: skip
    rows += [table.Row(name, None, UnreadableAudio(name, "broken", "a hole", "a whole file")) for name in "de"]
    console = Console(file=io.StringIO(), width=160)
    table.show(rows, console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert re.findall(r"^\w\.wav +\w+ +(\S+) +(\S+)", printed, re.M) == [
        (">0.99", ">0.99"), (">0.99", "<0.01"), ("0.94", "0.94")
    ]  # fmt: skip
    assert "2 errors" in printed


def test_an_empty_finding_is_no_gate_that_lets_all_pass() -> None:
    """``--fail-on "$UNSET"`` is refused by name: it would find nothing, whatever is scored."""
    done = run("score", "a.wav", "--fail-on", "")
    assert "found nothing; needed: separated" in re.sub(r"[│\s]+", " ", done.stderr)


@pytest.mark.parametrize("output", ["table", "csv", "json", "jsonl"])
@pytest.mark.parametrize("coding", ["ascii", "cp1252"])
def test_a_name_that_the_output_has_no_letters_for_is_written_out(
    model: dict[str, Path], tmp_path: Path, output: str, coding: str
) -> None:
    """Output redirected on Windows, say, is in a coding of its own: no traceback, and no exit code of a finding."""
    sounds.write(tmp_path / "\u6b4c\u0142.wav", sounds.music(2.0))
    done = subprocess.run(
        [*COMMAND, "score", str(tmp_path), "--format", output, "--model", str(model["studio"])],
        env=ENV | {"PYTHONIOENCODING": coding}, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u6b4c\\u0142.wav" in done.stdout


@pytest.mark.parametrize("output", ["jsonl", "csv"])
def test_a_dash_is_what_comes_in_on_stdin(model: dict[str, Path], folder: Path, output: str) -> None:
    """``-`` has the verdict of the same bytes in a file, by whatever pipe they come; none is an error of its own."""
    command = [*COMMAND, "score", "-", "--format", output, "--model", str(model["studio"])]
    data = (folder / "a.wav").read_bytes()
    done = subprocess.run(command, input=data, env=ENV, capture_output=True, check=True, timeout=120)
    by_name = spawn("score", folder / "a.wav", "--format", output, "--model", model["studio"])
    assert done.stdout.decode().replace("-", str(folder / "a.wav"), 1).split() == by_name.stdout.split()
    done = subprocess.run(command, input=b"", env=ENV, capture_output=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (2, b"-: no bytes at all; needed: an audio file\n")


def test_folders_are_walked_in_order_and_only_for_audio(model: dict[str, Path], folder: Path) -> None:
    """A folder gives its audio files, those in folders below too, in order; notes are counted, resource forks not."""
    done = spawn("score", folder, "--format", "jsonl", "--model", model["studio"])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows] == [str(folder / "a.wav"), str(folder / "b" / "c.FLAC")]
    assert done.returncode == 0
    assert done.stderr == "1 file passed over, whose ending names no audio that is read: .txt 1\n"


def test_a_folder_holds_the_same_files_as_to_an_audit(folder: Path, tmp_path: Path) -> None:
    """Links to folders are followed and lead nobody in circles; hidden folders are no part of a delivery."""
    shutil.copytree(folder, tmp_path / "elsewhere")
    top = tmp_path / "delivery"
    shutil.copytree(folder, top)
    shutil.copytree(folder, top / ".Trashes")
    (top / "b" / "more").symlink_to("../../elsewhere")
    (top / "b" / "up").symlink_to("..")
    (top / "itself").symlink_to("itself")
    passed: Counter[str] = Counter()
    found = list(listing.walk([str(top)], passed))
    names = ["a.wav", "b/c.FLAC", "b/more/a.wav", "b/more/b/c.FLAC"]
    assert found == [str(top / name) for name in names]
    assert passed == {".txt": 2, "none": 1}
    sources = pytest.importorskip("provenance.audit.sources", reason="needs the extra 'audit'")
    assert [item.path for item in sources.list_items(str(top))] == found


def test_a_folder_that_may_not_be_entered_is_named(
    model: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be listed is an error row, and does not pass for an empty one."""
    sounds.write(tmp_path / "a.wav", sounds.music(1.5))
    (tmp_path / "locked").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    done = CliRunner().invoke(app, ["score", str(tmp_path), "--format", "jsonl", "--model", str(model["studio"])])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert rows[1]["error"]["code"] == "not_readable"
    assert done.exit_code == 2


def test_json_is_one_list_and_json_lines_are_rows(model: dict[str, Path], folder: Path) -> None:
    """--format json is one array, jsonl one object a line, of the same rows: the verdict plus its path as given."""
    arguments = ("score", folder / "a.wav", folder / "gone.wav", "--model", model["studio"])
    whole = json.loads(run(*arguments, "--format", "json").stdout)
    lines = [json.loads(line) for line in run(*arguments, "--format", "jsonl").stdout.splitlines()]
    assert whole == lines
    assert whole[0] == {"path": str(folder / "a.wav"), **json.loads(
        json.dumps(provenance.load(model["studio"]).score(folder / "a.wav").to_dict()))}  # fmt: skip
    assert whole[1]["error"].keys() == {"code", "found", "needed", "message"}


def test_csv_is_a_flat_row_a_file(model: dict[str, Path], folder: Path) -> None:
    """--format csv has the columns of an audit's rows, one value each, and an unreadable file a row with its code."""
    odd = folder.parent / os.fsdecode(b"csv-\xe9.wav")
    odd.write_bytes((folder / "a.wav").read_bytes())
    done = spawn("score", folder / "a.wav", folder / "gone.wav", odd, "--format", "csv", "--model", model["separated"])
    assert done.returncode == 2
    assert "no such file; needed: " in done.stderr
    good, bad, named = csv.DictReader(io.StringIO(done.stdout, newline=""))
    verdict = provenance.load(model["separated"]).score(folder / "a.wav")
    assert tuple(good) == tuple(flat.name_columns(flat.WORDS))
    assert (good["path"], good["status"], good["verdict_status"]) == (str(folder / "a.wav"), "ok", "ok")
    assert verdict.sdr_ceiling_db is not None
    assert verdict.effects is not None
    told = {
        "origin": verdict.origin,
        "p_separated": verdict.p_separated,
        "sdr_db": verdict.sdr_ceiling_db.estimate,
        "p_wet": (verdict.p_processing or {})["wet"],
        "reasons": " ".join(verdict.reasons),
        "duration_s": verdict.audio.duration_s,
        **{f"effects.{name}": p for name, p in verdict.effects.items()},
        **{f"suitable_for.{fit.use}": fit.suitable for fit in verdict.suitable_for},
        **{f"evidence.{cue.cue}": "" if cue.value is None else cue.value for cue in verdict.evidence or ()},
    }
    assert {name: good[name] for name in told} == {name: str(value) for name, value in told.items()}
    assert {name: value for name, value in bad.items() if value} == {
        "path": str(folder / "gone.wav"), "status": "error", "error_code": "not_found", "error_found": "no such file",
        "error_needed": "a readable audio file"}  # fmt: skip
    assert named["path"].endswith("csv-\\udce9.wav")


def test_no_cell_of_csv_is_run_by_a_spreadsheet(
    model: dict[str, Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that begins as a formula is told with its folder, and so is still that path; JSON has it as given."""
    monkeypatch.chdir(tmp_path)
    name = "=HYPERLINK(0).wav"
    Path(name).write_bytes((folder / "a.wav").read_bytes())
    given = ("score", name, "@gone.wav", "--model", model["studio"])
    told = list(csv.DictReader(io.StringIO(spawn(*given, "--format", "csv").stdout, newline="")))
    assert [row["path"] for row in told] == [f"./{name}", "./@gone.wav"]
    assert [json.loads(line)["path"] for line in spawn(*given, "--format", "jsonl").stdout.splitlines()] == [
        name, "@gone.wav"]  # fmt: skip


def test_paths_are_printed_as_given(model: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path stays relative, and a name that is not UTF-8 is printed so that it can be read again."""
    odd = folder.parent / os.fsdecode(b"latin-\xe9.wav")
    odd.write_bytes((folder / "a.wav").read_bytes())
    monkeypatch.chdir(folder)
    done = spawn("score", "a.wav", "b/../a.wav", odd, "--format", "jsonl", "--model", model["studio"])
    assert done.returncode == 0, done.stderr
    paths = [json.loads(line)["path"] for line in done.stdout.splitlines()]
    assert paths == ["a.wav", "b/../a.wav", str(odd)]
    table = spawn("score", odd, odd.with_name("gone-" + odd.name), "--model", model["studio"])
    assert table.returncode == 2
    assert "Traceback" not in table.stderr
    assert "latin-" in table.stdout


def test_stdout_is_data_and_stderr_is_messages(model: dict[str, Path], folder: Path) -> None:
    """Messages about unreadable files go to stderr alone, in every format."""
    for fmt in ("jsonl", "table"):
        done = spawn("score", folder / "a.wav", folder / "gone.wav", "--model", model["studio"], "--format", fmt)
        assert "no such file; needed: a readable audio file" in done.stderr.replace("\n", " ")
        assert "needed: a readable audio file" not in done.stdout or fmt != "table"


def test_the_table_says_what_matters(model: dict[str, Path], folder: Path) -> None:
    """The table has a line for each file with its origin, confidence, processing, and for an error what was found."""
    done = run("score", folder / "a.wav", folder / "gone.wav", "--model", model["separated"])
    lines = done.stdout.splitlines()
    row = next(line for line in lines if "a.wav" in line)
    assert "separated" in row
    assert re.search(r"\d\.\d\d", row)
    assert re.search(r"-?\d+\.\d dB|-?\d+\.\d \(", row)
    bad = next(line for line in lines if "gone.wav" in line)
    assert "error" in bad
    assert "no such file" in bad


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_the_table_fits_its_terminal(
    columns: int, model: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On any usual width the words of a verdict stand whole in their cells, and no line is too long."""
    from rich.console import Console

    from provenance import cli, table

    sounds.write(folder / f"a rather long name of a stem of {columns}.wav", sounds.music(1.5))
    scorer = provenance.load(model["separated"])
    rows = [cli._score(scorer, str(path), cli.Windows.full) for path in sorted(folder.glob("*.wav"))]
    console = Console(width=columns, force_terminal=True, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    table.show(rows, console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= columns
    assert "separated" in text
    assert "processing" in text
    assert "..." not in text


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_rows_come_while_files_are_scored(form: str, model: dict[str, Path], folder: Path) -> None:
    """JSON Lines and CSV are written file by file: the first row is there before the last file is read."""
    many = [str(folder / "a.wav")] * 40
    process = subprocess.Popen(
        [*COMMAND, "score", *many, "--format", form, "--model", str(model["studio"])],
        stdout=subprocess.PIPE, text=True, env=ENV,
    )  # fmt: skip
    assert process.stdout is not None
    if form == "csv":
        assert process.stdout.readline().startswith("path,status,error_code,")
    first = process.stdout.readline()
    running = process.poll() is None
    rest = process.stdout.read()
    assert process.wait(60) == 0
    assert str(folder / "a.wav") in first
    assert "studio" in first
    assert running
    assert len(rest.splitlines()) == 39


def test_a_closed_pipe_is_no_traceback(model: dict[str, Path], folder: Path) -> None:
    """``| head`` ends the command quietly."""
    many = " ".join([str(folder / "a.wav")] * 30)
    command = f"{sys.executable} -c 'from provenance.cli import main; main()'"
    line = f"{command} score {many} --format jsonl --model {model['studio']} | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=ENV, timeout=120, check=False)
    assert json.loads(done.stdout)["status"] == "ok"
    assert "Traceback" not in done.stderr


def test_an_interrupt_is_neither_done_nor_a_finding(model: dict[str, Path], folder: Path) -> None:
    """Ctrl-C ends with 130 and says how far it came."""
    many = [str(folder / "a.wav")] * 400
    process = subprocess.Popen(
        [*COMMAND, "score", *many, "--format", "jsonl",
         "--model", str(model["studio"])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"stopped after \d+ of 400 files", messages)
    assert "Traceback" not in messages


def test_an_interrupt_that_is_lost_in_a_finaliser_still_stops(model: dict[str, Path], folder: Path) -> None:
    """Raised where Python can only ignore it, Ctrl-C counts at the end of the file under way."""
    code = """
import os, signal
from provenance import cli
class Falls:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))
real = cli._score
def falling(*arguments):
    fallen = Falls()
    del fallen
    return real(*arguments)
cli._score = falling
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "score", *[str(folder / "a.wav")] * 5, "--format", "jsonl",
         "--model", str(model["studio"])], capture_output=True, text=True, env=ENV, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 130
    assert "stopped after 1 of 5 files" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_the_package_runs_as_a_module(model: dict[str, Path], folder: Path) -> None:
    """``python -m provenance`` is the command line, with its exit codes."""
    command = [sys.executable, "-m", "provenance", "score", str(folder / "a.wav"), "--format", "jsonl"]
    for called, code in (("separated", 1), ("studio", 0)):
        done = subprocess.run(
            [*command, "--model", str(model[called]), "--fail-on", "separated"],
            capture_output=True, text=True, env=ENV, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code
        assert json.loads(done.stdout)["origin"] == called


def test_sparse_windows_look_at_less(model: dict[str, Path], tmp_path: Path) -> None:
    """--windows sparse scores one window of four."""
    file = sounds.write(tmp_path / "long.wav", sounds.noise(34.0))
    rows = {
        windows: json.loads(
            run("score", file, "--format", "jsonl", "--windows", windows, "--model", model["studio"]).stdout
        )
        for windows in ("full", "sparse")
    }
    assert rows["full"]["audio"]["n_windows"] == 9
    assert rows["sparse"]["audio"]["n_windows"] == 3


def test_info_prints_model_thresholds_licences_and_versions(model: dict[str, Path]) -> None:
    """``info`` names the model by checksum, its heads, thresholds and licence, and every library's version."""
    assert run("info", "--format", "csv", "--model", model["studio"]).exit_code == 2
    facts = json.loads(run("info", "--format", "json", "--model", model["studio"]).stdout)
    bundle = provenance.load(model["studio"]).bundle
    assert facts["model"] == bundle.reference
    assert facts["heads"] == sorted(tiny.HEADS)
    assert facts["thresholds"]["separated"] == 2.0
    assert facts["thresholds"].keys() == {field.name for field in dataclasses.fields(bundle.thresholds)}
    assert facts["code licence"] == "Apache-2.0"
    assert facts["model licence"] == bundle.licence
    assert facts["versions"]["stem-provenance"] == provenance.__version__
    assert facts["versions"]["numpy"]
    table = run("info", "--model", model["studio"])
    assert table.exit_code == 0
    assert bundle.reference in table.stdout


def test_info_in_json_lines_is_one_line(model: dict[str, Path]) -> None:
    """--format jsonl is one object on one line, as it is of ``score``."""
    lines = run("info", "--format", "jsonl", "--model", model["studio"]).stdout.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["code licence"] == "Apache-2.0"


READ_EARLY = (
    "score a.wav a.wav --format table",
    "score a.wav --format json",
    "score a.wav a.wav --format jsonl --fail-on separated",
    "score a.wav --format csv",
    "info",
    "--help",
)


@pytest.mark.parametrize("line", READ_EARLY)
def test_a_reader_that_leaves_early_is_no_finding(line: str, model: dict[str, Path], folder: Path) -> None:
    """Where nobody reads stdout any more the exit code is 141, as after SIGPIPE, and nothing is complained of."""
    reader, writer = os.pipe()
    os.close(reader)
    chosen = [] if line == "--help" else ["--model", str(model["separated"])]
    try:
        done = subprocess.run([*COMMAND, *line.split(), *chosen], stdout=writer, stderr=subprocess.PIPE, text=True,
                              env=ENV, cwd=folder, timeout=120, check=False)  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("fmt", ["table", "json", "jsonl", "csv"])
def test_a_full_disk_is_an_error(fmt: str, model: dict[str, Path], folder: Path) -> None:
    """Where what was found cannot be written the exit code is 2, with a line that says so."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "score", "a.wav", "--format", fmt, "--model", str(model["studio"])],
                              stdout=full, stderr=subprocess.PIPE, text=True, env=ENV, cwd=folder, timeout=120,
                              check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "stdout cannot be written: No space left on device\n")


@pytest.mark.parametrize("fmt", ["table", "json", "jsonl", "csv"])
def test_a_closed_stdout_is_an_error_and_no_finding(fmt: str, model: dict[str, Path], folder: Path) -> None:
    """Where the caller has closed stdout the exit code is 2, with a line that says so."""
    command = [*COMMAND, "score", "a.wav", "--format", fmt, "--model", str(model["studio"])]
    done = subprocess.run(["bash", "-c", '"$@" >&-', "-", *command], capture_output=True, text=True, env=ENV,
                          cwd=folder, timeout=120, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "stdout cannot be written: it is closed\n")


def test_a_closed_stderr_puts_no_messages_among_the_data(model: dict[str, Path], folder: Path) -> None:
    """What would have been said on stderr is not said on stdout."""
    command = [*COMMAND, "score", "gone.wav", "a.wav", "--format", "jsonl", "--model", str(model["studio"])]
    done = subprocess.run(["bash", "-c", '"$@" 2>&-', "-", *command], capture_output=True, text=True, env=ENV,
                          cwd=folder, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 2
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["error", "ok"]


def test_a_fault_of_the_program_is_no_finding(tmp_path: Path) -> None:
    """Whatever goes wrong where nobody expects it, the exit code is not that of a finding."""
    broken = "import provenance, provenance.cli as cli; provenance.load = lambda model: 1 / 0; cli.main()"
    done = subprocess.run([sys.executable, "-c", broken, "score", "a.wav"], capture_output=True, text=True, env=ENV,
                          cwd=tmp_path, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr


def test_the_version_is_printed_alone() -> None:
    """``--version`` is one line and needs no command."""
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"stem-provenance {provenance.__version__}\n")


def test_a_name_cannot_steer_the_terminal(model: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    """Escape sequences and new lines in a file's name are written out, in the table and in a message."""
    for name, content in (("red\x1b[31m\nb.wav", (folder / "a.wav").read_bytes()), ("bad\x1b[31m.wav", b"no audio")):
        (tmp_path / name).write_bytes(content)
    done = spawn("score", tmp_path, "--model", model["studio"])
    assert "\x1b" not in done.stdout + done.stderr
    assert r"red\x1b[31m\nb.wav" in done.stdout
    assert r"bad\x1b[31m.wav" in done.stderr


def test_help_names_every_command() -> None:
    """``--help`` lists the commands and leaves with 0."""
    done = run("--help")
    assert done.exit_code == 0
    for name in ("score", "info", "serve"):
        assert name in done.stdout


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_serve_without_its_extra_names_it(package: str) -> None:
    """Status 2 and one line that says what to install, whichever package of the extra is missing."""
    without = f"import sys; sys.modules[{package!r}] = None; from provenance.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, "serve"], capture_output=True, text=True, env=ENV, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "pip install 'stem-provenance[service]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.corpus
def test_the_whole_field_is_scored_without_a_crash(corpus: Path, tmp_path: Path) -> None:
    """Every tenth clip of the field set gets a verdict or an error row, one for each file."""
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        files = [corpus / row["clip"] for row in csv.DictReader(handle) if row["set"] == "field"][::10]
    done = run("score", *files, "--format", "jsonl", "--model", tiny.write(tmp_path / "tiny"), "--windows", "sparse")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(files)
    assert done.exit_code in (0, 2)
    assert "Traceback" not in done.stderr
    assert sum(row["status"] == "ok" for row in rows) > 0.9 * len(rows)
