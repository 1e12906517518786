"""Lists out of what was found: commit, passage and licence are filled in, and the list can be cut."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from tests import sounds
from tests.training import gits
from training.catalogue import collect, enlist, mirrors
from training.catalogue.clips import read_rows

app = typer.Typer()
app.command()(enlist.main)
RATE_HZ = 44_100


def encoded(wave: np.ndarray) -> bytes:
    """A WAV file."""
    out = io.BytesIO()
    soundfile.write(out, wave, RATE_HZ, format="WAV")
    return out.getvalue()


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """Files in a repository with a licence and a history, and files that are of no use."""
    late = np.zeros((40 * RATE_HZ, 1), np.float32)
    late[20 * RATE_HZ : 34 * RATE_HZ] = sounds.music(14.0)[:, :1]
    files = {
        "late.wav": encoded(late), "short.wav": encoded(sounds.music(1.0)), "pause.wav": encoded(0 * late),
        "text.wav": b"no audio", "LICENSE": b"MIT\n\nPermission is hereby granted, free of charge, to any",
    }  # fmt: skip
    gits.mirror(tmp_path, "maker/takes", files)
    gone = gits.mirror(tmp_path, "someone/outputs", {"out/vocals.wav": gits.encoded(6.0, 1)})
    bare = tmp_path / "mirrors" / "someone+outputs" / "repo"
    tree = subprocess.run([*gits.GIT, "mktree"], cwd=bare, input=b"", check=True, capture_output=True).stdout.decode()
    removed = subprocess.run(
        [*gits.GIT, "commit-tree", tree.strip(), "-p", gone, "-m", "gone"], cwd=bare, check=True, capture_output=True
    ).stdout.decode()
    subprocess.run([*gits.GIT, "update-ref", "HEAD", removed.strip()], cwd=bare, check=True)
    rows = [
        ("maker/takes", "late.wav", "studio", "bass", "", "song"),
        ("maker/takes", "late.wav", "studio", "bass", "", "song"),
        ("someone/outputs", "out/vocals.wav", "separated", "vocals", "spleeter", ""),
        *(("maker/takes", name, "studio", "bass", "", "") for name in ("short.wav", "pause.wav", "text.wav", "no.wav")),
        ("nobody/nothing", "x.wav", "studio", "bass", "", ""),
    ]
    return gits.listing(tmp_path / "found.csv", (*enlist.NEEDED, "separator", "song_id"), rows)


def test_what_was_found_becomes_a_list_that_can_be_cut(found: Path, tmp_path: Path) -> None:
    """The passage is where it sounds, a removed file is found in its commit, and what is of no use is named once."""
    out = tmp_path / "list.csv"
    arguments = [str(found), "--mirrors", str(tmp_path / "mirrors"), "--set", "new", "--out", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1, done.output
    for words in ("short.wav: found 1.0 s", "pause.wav: found silence", "text.wav: found no audio", "found no no.wav",
                  "nobody/nothing: found no mirror"):  # fmt: skip
        assert done.stderr.count(words) == 1, words
    true, fake = (row for _, row in read_rows(out, collect.NEEDED))
    assert (true["song_id"], true["licence"], true["wetness"]) == ("takes song", "MIT", "unknown")
    assert 20.0 <= float(true["offset_s"]) <= 22.0
    assert true["duration_s"] == "12.000"
    assert (fake["separator"], fake["licence"], fake["offset_s"]) == ("spleeter", "unstated", "0.0")
    table = collect.collect([out], tmp_path / "mirrors", tmp_path / "clips")
    assert not table.problems
    cut, _ = soundfile.read(table.rows[0]["clip"])
    assert len(cut) == 12 * RATE_HZ
    assert np.abs(cut).max() > 0.01


def test_a_list_of_nothing_is_not_written(found: Path, tmp_path: Path) -> None:
    """Without a file that can be had the code is 2; a table of another kind too."""
    for name, rows in (("none", [("nobody/nothing", "x.wav", "studio", "bass")]), ("other", [("a", "b", "c", "d")])):
        head = enlist.NEEDED if name == "none" else ("w", "x", "y", "z")
        table = gits.listing(tmp_path / f"{name}.csv", head, rows)
        out = tmp_path / "none-list.csv"
        arguments = [str(table), "--mirrors", str(tmp_path / "mirrors"), "--set", "new", "--out", str(out)]
        assert CliRunner().invoke(app, arguments).exit_code == 2
        assert not out.exists()


def test_a_file_that_no_commit_holds_is_named(found: Path, tmp_path: Path) -> None:
    """The newest commit that holds a file is found; a file of none is an error that names it."""
    folder = tmp_path / "mirrors"
    with pytest.raises(mirrors.MissingFileError, match=r"found no gone\.wav in any commit"):
        mirrors.find_commit(folder, "maker/takes", "gone.wav")
    with (tmp_path / "found.csv").open(newline="") as handle:
        assert len(list(csv.DictReader(handle))) == 8
    assert len(mirrors.find_commit(folder, "someone/outputs", "out/vocals.wav")) == 40


def test_every_passage_of_a_file_is_listed(found: Path, tmp_path: Path) -> None:
    """Two passages that were written down of one file are two clips; the same one twice is one."""
    head = (*enlist.NEEDED, "offset_s", "duration_s")
    rows = [("maker/takes", "late.wav", " Studio", "Bass", offset, "4") for offset in ("20", "26", "20.0")]
    table = gits.listing(tmp_path / "two.csv", head, rows)
    listed, problems = enlist.enlist([table], tmp_path / "mirrors", "new")
    assert not problems
    assert [(row["offset_s"], row["duration_s"]) for row in listed] == [("20.0", "4.000"), ("26.0", "4.000")]
    assert len({row["clip"] for row in listed}) == 2
    assert {(row["origin"], row["stem"]) for row in listed} == {("studio", "bass")}
    assert listed[0]["clip"] == enlist.enlist([found], tmp_path / "mirrors", "new")[0][0]["clip"]  # as ever


@pytest.mark.parametrize(
    ("row", "message"),
    [(("maker/takes", "late.wav", "real", "bass", "", ""), "found origin 'real'; needed: studio, separated, unknown"),
     (("maker/takes", "late.wav", "studio", "", "", ""), "found no stem"), (("", "late.wav", "studio", "bass", "", ""),
      "found no source_repo"), (("maker/takes", "late.wav", "studio", "bass", "1:20", ""), "found offset_s '1:20'"),
     (("maker/takes", "late.wav", "studio", "bass", "", "drye"), "found wetness 'drye'; needed: dry, hybrid, wet")],
)  # fmt: skip
def test_a_row_of_which_nothing_can_be_learnt_is_refused_at_once(
    row: tuple[str, ...], message: str, found: Path, tmp_path: Path
) -> None:
    """The file and the line are named before any repository is read."""
    table = gits.listing(tmp_path / "bad.csv", (*enlist.NEEDED, "offset_s", "wetness"), [row])
    arguments = [str(table), "--mirrors", str(tmp_path / "mirrors"), "--set", "new", "--out", str(tmp_path / "l.csv")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert f"bad.csv, line 2: {message}" in done.stderr


def test_the_folder_of_the_list_is_made_or_refused_before_the_files_are_read(found: Path, tmp_path: Path) -> None:
    """An hour of reading is not lost for a folder that is not there; a place that holds no file is one line."""
    (tmp_path / "file").write_text("x")
    for out, code in ((tmp_path / "new" / "list.csv", 1), (tmp_path / "file" / "list.csv", 2), (tmp_path / "new", 2)):
        arguments = [str(found), "--mirrors", str(tmp_path / "mirrors"), "--set", "new", "--out", str(out)]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == code, done.output
        assert isinstance(done.exception, SystemExit)
    assert (tmp_path / "new" / "list.csv").is_file()
    assert not list(tmp_path.glob("*.part"))
