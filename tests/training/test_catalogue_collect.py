"""Clips out of public repositories: what is cut, what is kept, and what cannot be had."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from provenance import audio
from tests.training import gits
from training import catalogue
from training.catalogue import collect
from training.catalogue.clips import read_rows
from training.catalogue.table import COLUMNS

app = typer.Typer()
app.command()(collect.main)
TRUE, MP3 = gits.encoded(6.0, 0), gits.encoded(3.0, 1, "MP3", "MPEG_LAYER_III")


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of a true stem, two extractions and a file nobody has."""
    true = gits.mirror(tmp_path, "maker/takes", {"a b.wav": TRUE, "text.wav": b"no audio"})
    fake = gits.mirror(tmp_path, "someone/outputs", {"out/vocals.mp3": MP3})
    rows = [
        ("later/a.flac", "s", "vocals", "studio", "", "", "maker/takes", true, "a b.wav", "2", "3"),
        ("later/b.mp3", "s", "vocals", "separated", "spleeter", "later/a.flac", "someone/outputs", fake,
         "out/vocals.mp3", "", ""),
        ("c.flac", "s", "vocals", "separated", "x", "", "nobody/nothing", "0" * 40, "x.wav", "", ""),
        ("d.flac", "s", "vocals", "separated", "x", "", "nobody/nothing", "0" * 40, "y.wav", "", ""),
        ("e.flac", "s", "vocals", "studio", "", "", "maker/takes", true, "gone.wav", "", ""),
        ("f.flac", "s", "vocals", "studio", "", "", "maker/takes", true, "text.wav", "", ""),
        ("g.flac", "s", "vocals", "studio", "", "", "", "", "", "", ""),
    ]  # fmt: skip
    head = (*collect.NEEDED[:4], "separator", "reference", *collect.NEEDED[4:], "offset_s", "duration_s")
    return gits.listing(tmp_path / "list.csv", head, rows)


def run(listed: Path, tmp_path: Path, *more: str) -> tuple[int, str]:
    """Run the command; exit code and what it said on stderr."""
    arguments = [str(listed), "--mirrors", str(tmp_path / "mirrors"), "--out", str(tmp_path / "clips"), *more]
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stderr


def test_the_passage_is_cut_bit_for_bit_and_the_manifest_can_be_trained_on(listed: Path, tmp_path: Path) -> None:
    """Sixteen bits stay as they are, offset and length choose the seconds, references lead to clips."""
    code, _ = run(listed, tmp_path)
    assert code == 1
    cut, rate_hz = soundfile.read(tmp_path / "clips" / "later" / "a.flac", dtype="int16")
    whole, _ = soundfile.read(io.BytesIO(TRUE), dtype="int16")
    assert rate_hz == audio.SAMPLE_RATE_HZ
    assert np.array_equal(cut, whole[2 * rate_hz : 5 * rate_hz])
    clips, left_out = catalogue.load([tmp_path / "clips" / "manifest.csv"])
    assert not left_out
    assert {clip.name: clip.reference for clip in clips} == {
        "later/a.flac": "", "later/b.flac": "later/a.flac"
    }  # fmt: skip
    assert next(clip for clip in clips if clip.separator).source_path == "out/vocals.mp3"


def test_a_lossy_source_keeps_what_its_decoder_gave(listed: Path, tmp_path: Path) -> None:
    """What the product would have read of the file is read of the clip, but for a rounding far below any trace."""
    run(listed, tmp_path)
    before, after = audio.read(io.BytesIO(MP3))[1], audio.read(tmp_path / "clips" / "later" / "b.flac")[1]
    assert before.shape == after.shape
    assert 0 < np.abs(before - after).max() < 2**-23


def test_what_cannot_be_had_is_named_once(listed: Path, tmp_path: Path) -> None:
    """A missing mirror, a missing file and a file that is no audio each have their line."""
    _, said = run(listed, tmp_path)
    assert said.count("nobody/nothing: found no mirror") == 1
    assert "maker/takes: found no gone.wav at" in said
    assert "maker/takes, text.wav: no audio that can be decoded" in said


def test_a_clip_whose_passage_changed_is_cut_anew(listed: Path, tmp_path: Path) -> None:
    """The manifest would say what the clip is not; what the list means as before is not touched."""
    run(listed, tmp_path)
    clips = [tmp_path / "clips" / "later" / f"{name}.flac" for name in "ab"]
    before = [clip.stat().st_mtime_ns for clip in clips]
    text = listed.read_text(encoding="utf-8")
    listed.write_text(text.replace("a b.wav,2,3", "a b.wav,1.0,4"), encoding="utf-8")
    run(listed, tmp_path)
    cut, rate_hz = soundfile.read(clips[0], dtype="int16")
    whole, _ = soundfile.read(io.BytesIO(TRUE), dtype="int16")
    assert np.array_equal(cut, whole[rate_hz : 5 * rate_hz])
    changed = clips[0].stat().st_mtime_ns
    assert before[0] < changed
    listed.write_text(text.replace("a b.wav,2,3", "a b.wav,1,4.0"), encoding="utf-8")
    run(listed, tmp_path)
    assert [clip.stat().st_mtime_ns for clip in clips] == [changed, before[1]]


def test_a_second_run_reads_no_mirror_for_what_is_there(listed: Path, tmp_path: Path) -> None:
    """With the mirrors gone, clips that were cut still make the manifest."""
    run(listed, tmp_path)
    (tmp_path / "mirrors").rename(tmp_path / "gone")
    (tmp_path / "mirrors").mkdir()
    run(listed, tmp_path)
    assert len(list(read_rows(tmp_path / "clips" / "manifest.csv", COLUMNS))) == 2


def test_a_repository_without_a_mirror_is_cloned(listed: Path, tmp_path: Path) -> None:
    """With --clone, what is missing comes from where it is published; what is not there either is named."""
    commit = gits.work_tree(tmp_path / "hub" / "nobody" / "nothing", {"x.wav": TRUE, "y.wav": TRUE})
    listed.write_text(listed.read_text(encoding="utf-8").replace("0" * 40, commit), encoding="utf-8")
    hub = f"file://{tmp_path}/hub/{{repository}}"
    interrupted = tmp_path / "mirrors" / ".nobody+nothing.part"
    interrupted.mkdir()
    (interrupted / "HEAD").write_text("ref: refs/heads/main", encoding="utf-8")
    code, said = run(listed, tmp_path, "--clone", "--source", hub)
    assert code == 1
    assert "nobody/nothing" not in said
    assert (tmp_path / "clips" / "d.flac").is_file()
    text = listed.read_text(encoding="utf-8").replace("nobody", "none").replace("d.flac", "h.flac")
    listed.write_text(text, encoding="utf-8")
    assert "none/nothing: could not be cloned" in run(listed, tmp_path, "--clone", "--source", hub)[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("source_path", "where", "found no column source_path"), ("c.flac", "d.flac", "found clip d.flac a second time"),
     ("c.flac", "later/b.flac", r"found clip later/b.flac beside later/b.mp3, which would be one file"),
     ("c.flac", "../c.flac", "found clip '../c.flac'; needed: a path below the folder of clips"),
     ("c.flac", "/c.flac", "found clip '/c.flac'; needed: a path below"), ("c.flac", "", "found clip ''; needed"),
     (",2,3", ",1:20,3", "line 2: found offset_s '1:20'; needed: seconds"), (",2,3", ",-2,3", "found offset_s '-2'"),
     (",2,3", ",nan,3", "found offset_s 'nan'"), (",2,3", ",2,inf", "found duration_s 'inf'; needed: seconds"),
     (",2,3", ",2,3,a note", "line 2: found more fields than columns; needed: quotes"),
     ("maker/takes", "nobody/at-all", None)],
)  # fmt: skip
def test_a_list_that_is_none_is_refused(listed: Path, tmp_path: Path, old: str, new: str, message: str | None) -> None:
    """What cannot be followed, or would write elsewhere, ends with 2 and a line before anything is cut."""
    text = listed.read_text(encoding="utf-8").replace(old, new)
    if message is None:
        text = text.replace("someone/outputs", "nobody/at-all")
    listed.write_text(text, encoding="utf-8")
    code, said = run(listed, tmp_path)
    assert code == 2
    assert (message or "none of the listed clips could be had") in said
    assert not list(tmp_path.glob("clips/**/*.flac"))


@pytest.mark.parametrize(
    ("repository", "commit", "message"),
    [("maker/takes", "--output={}", "found commit '--output"), ("", "", "found repository ''; needed: OWNER/NAME"),
     ("..", "", "found repository '..'; needed"), ("maker/..", "", "found repository 'maker/..'; needed")],
)  # fmt: skip
def test_a_row_leads_nowhere_but_into_its_repository(
    listed: Path, tmp_path: Path, repository: str, commit: str, message: str
) -> None:
    """No commit is an option of git, by which a list could write a file; an empty name is not the first mirror."""
    written = tmp_path / "written"
    row = ("a.flac", "s", "vocals", "studio", repository, commit.format(written) or "0" * 40, "a b.wav")
    file = gits.listing(tmp_path / "other.csv", collect.NEEDED, [row])
    table = collect.collect([file], tmp_path / "mirrors", tmp_path / "clips")
    assert not table.rows
    assert message in table.problems[0]
    assert not list(tmp_path.glob("written*"))
