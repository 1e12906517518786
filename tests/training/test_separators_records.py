"""The rows of a folder of pairs over several runs: which are kept, which go, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

pytest.importorskip("torch")

from tests.training import songs
from tests.training.test_separators_run import NAMES, RATE_HZ, copier, giving, rows_of
from training import catalogue
from training.separators import build, run
from training.separators.surrogate import sdr_db


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of three synthetic songs of four stems."""
    return songs.write_manifest(tmp_path_factory.mktemp("catalogue"), NAMES, 2.0)


def test_a_second_separator_into_a_folder_adds_its_rows(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first run's rows keep their places, no clip is there twice, it is said; either run again changes nothing."""
    words = [str(manifest), "--seconds", "1", "--out", str(tmp_path / "out"), "--separator"]
    assert run.main([*words, copier("umx", "vocals")]) == 0
    first = rows_of(tmp_path / "out")
    assert "earlier" not in capsys.readouterr().out
    assert run.main([*words, copier("spleeter", "bass")]) == 0
    assert "18 rows of" in (said := capsys.readouterr().out)
    assert ", 3 of them kept of earlier runs; 0 problems" in said
    both = rows_of(tmp_path / "out")
    assert both[:15] == first
    assert [row["separator"] for row in both[15:]] == ["spleeter"] * 3
    for name, stem in (("umx", "vocals"), ("spleeter", "bass")):
        assert run.main([*words, copier(name, stem)]) == 0
        assert rows_of(tmp_path / "out") == both
    assert run.main([*words, copier("lost", "none/vocals")]) == 2
    assert rows_of(tmp_path / "out") == both
    assert catalogue.load([tmp_path / "out" / "manifest.csv"])[1] == []


def test_earlier_rows_go_with_their_clips_and_their_songs(tmp_path: Path) -> None:
    """Earlier rows of a clip that was deleted, or of a song changed or flagged since, go in a line; the others stay."""
    made = songs.write_manifest(tmp_path / "songs", NAMES, 2.0)
    out = tmp_path / "out"
    clips, _ = catalogue.load([made])
    build.build(clips, [giving("umx", "vocals")], out, build.Settings(1.0))
    before = rows_of(out)
    gone = next(row for row in before if row["separator"] and row["song_id"] == "alphasong")
    (out / gone["clip"]).unlink()
    beta = next(clip for clip in clips if clip.song == "betasong")
    wave, _ = soundfile.read(beta.path, dtype="float32")
    soundfile.write(beta.path, wave * 0.5, RATE_HZ, "PCM_16")
    built = build.build(clips, [giving("spleeter", "bass")], out, build.Settings(1.0))
    rows = rows_of(out)
    assert {row["song_id"] for row in rows if row["separator"] == "umx"} == {"gammasong"}
    assert [note.split(", ")[0] for note in built.notes] == [
        "rows of earlier runs left out: 1",
        "rows of earlier runs left out: 5",
    ]
    assert len({row["clip"] for row in rows}) == len(rows) == 3 * 5 + 1
    (tmp_path / "flags.csv").write_text(
        "clip,flag\n" + "".join(f"{clip.name},wrong label\n" for clip in clips if clip.song == "gammasong")
    )
    words = [str(made), "--flags", str(tmp_path / "flags.csv"), "--seconds", "1", "--out", str(out), "--separator"]
    assert run.main([*words, copier("umx", "vocals")]) == 0
    assert {row["song_id"] for row in rows_of(out)} == {"alphasong", "betasong"}
    assert {row["separator"] for row in rows_of(out)} == {"", "umx", "spleeter"}


def test_songs_of_another_catalogue_stay(manifest: Path, tmp_path: Path) -> None:
    """Rows of songs that the second run does not know stay while their files are there, and go with these."""
    other = songs.write_manifest(tmp_path / "songs", ("delta song",), 2.0)
    sets = [catalogue.load([file])[0] for file in (other, manifest)]
    for clips in sets:
        build.build(clips, [giving("umx", "vocals")], tmp_path / "out", build.Settings(1.0))
    assert {row["song_id"] for row in rows_of(tmp_path / "out")} == {"deltasong", "alphasong", "betasong", "gammasong"}
    sets[0][0].path.unlink()
    built = build.build(sets[1], [giving("umx", "vocals")], tmp_path / "out", build.Settings(1.0))
    assert "deltasong" not in {row["song_id"] for row in rows_of(tmp_path / "out")}
    assert len(built.notes) == 1


def test_a_changed_separator_takes_its_clips_over(manifest: Path, tmp_path: Path) -> None:
    """Of two runs that write the same clip, the last one's row counts, and the first is made again when asked for."""
    clips, _ = catalogue.load([manifest])
    calls: list[str] = []
    runs = [giving("umx", *songs.STEMS, calls=calls), giving("umx", "vocals", gain=0.5, calls=calls)]
    for which in (0, 1, 0):
        build.build(clips, [runs[which]], tmp_path, build.Settings(1.0))
        rows = rows_of(tmp_path)
        assert len({row["clip"] for row in rows}) == len(rows) == 3 * (4 + 8)
        for row in rows:
            if row["separator"]:
                estimate, _ = soundfile.read(tmp_path / row["clip"], dtype="float32")
                truth, _ = soundfile.read(tmp_path / row["reference"], dtype="float32")
                assert float(row["sdr_db"]) == pytest.approx(sdr_db(truth, estimate), abs=0.05)
    assert len(calls) == 6


def test_clips_that_were_deleted_are_made_again(manifest: Path, tmp_path: Path) -> None:
    """The same command writes a clip that is no longer there, without separating anew."""
    clips, _ = catalogue.load([manifest])
    calls: list[str] = []
    build.build(clips, [giving("umx", "vocals", calls=calls)], tmp_path, build.Settings(1.0))
    before = rows_of(tmp_path)
    (tmp_path / before[-1]["clip"]).unlink()
    build.build(clips, [giving("umx", "vocals", calls=calls)], tmp_path, build.Settings(1.0))
    assert rows_of(tmp_path) == before
    assert (tmp_path / before[-1]["clip"]).is_file()
    assert len(calls) == 3


def test_rows_of_an_older_version_are_told_and_made_again(manifest: Path, tmp_path: Path) -> None:
    """A record that does not say what it was made of is not trusted: its rows go in a line, until its command runs."""
    clips, _ = catalogue.load([manifest])
    build.build(clips, [giving("umx", "vocals")], tmp_path, build.Settings(1.0))
    before = rows_of(tmp_path)
    for file in (tmp_path / "rows").glob("*.json"):
        file.write_text('{"rows": [], "problems": []}')
    built = build.build(clips, [giving("spleeter", "bass")], tmp_path, build.Settings(1.0))
    assert [note.split(", ")[0] for note in built.notes] == ["rows of earlier runs left out: 3"]
    assert "an older version made them" in built.notes[0]
    build.build(clips, [giving("umx", "vocals")], tmp_path, build.Settings(1.0))
    assert {row["clip"] for row in before} < {row["clip"] for row in rows_of(tmp_path)}
