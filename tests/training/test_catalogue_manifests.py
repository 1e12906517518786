"""Manifests: what is read of them, what is left out, and what is wrong with them in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests import sounds
from training import catalogue, fit
from training.catalogue import CatalogueError

HEAD = "clip,song_id,stem,origin,set,separator,sdr_db,wetness\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two clips."""
    for name in ("a.wav", "b.wav"):
        sounds.write(tmp_path / name, sounds.noise(0.2))
    return tmp_path


def manifest(folder: Path, rows: str, head: str = HEAD) -> Path:
    """Write a manifest."""
    file = folder / "m.csv"
    file.write_text(head + rows, encoding="utf-8")
    return file


def test_clips_come_with_what_is_known(folder: Path) -> None:
    """A row gives a clip with its family, SDR and wetness; paths are taken from the manifest's folder."""
    clips, left_out = catalogue.load(
        [manifest(folder, "a.wav,S 1,vocals,studio,true,,,dry\nb.wav,S 1,vocals,separated,true,htdemucs,8.5,\n")]
    )
    assert not left_out
    studio, separated = clips
    assert (studio.path, studio.family, studio.wetness, studio.sdr_db) == (folder / "a.wav", None, "dry", None)
    assert separated.family is not None
    assert (separated.family.name, separated.sdr_db, separated.wetness) == ("demucs", 8.5, "unknown")
    assert studio.song == separated.song


def test_the_four_required_columns_are_enough(folder: Path) -> None:
    """A manifest with nothing but the required columns is a manifest."""
    file = manifest(folder, "a.wav,s,vocals,studio\n", "clip,song_id,stem,origin\n")
    assert len(catalogue.load([file])[0]) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [("a.wav,s,vocals,unknown,,,,", "origin is unknown"), ("a.wav,s,vocals,,,,,", "origin is empty"),
     ("a.wav,s,Mix,studio,,,,", "stem is mix"), ("a.wav, ,vocals,studio,,,,", "song_id is empty"),
     ("a.wav,s,,studio,,,,", "stem is empty"), ("gone.wav,s,vocals,studio,,,,", "no such file")],
)  # fmt: skip
def test_rows_that_teach_nothing_are_left_out_with_a_reason(folder: Path, row: str, reason: str) -> None:
    """Unknown origins, mixes and missing files are left out by name, and the rest is kept."""
    clips, left_out = catalogue.load([manifest(folder, f"{row}\nb.wav,s,vocals,studio,,,,\n")])
    assert [clip.name for clip in clips] == ["b.wav"]
    assert left_out == [f"{row.split(',')[0]}: {reason}"]


def test_words_are_known_in_any_case(folder: Path) -> None:
    """As people and spreadsheets write them: `Dry` would be learnt from as of unknown processing."""
    clips, left_out = catalogue.load([manifest(folder, "a.wav,s, Vocals,Studio ,,,,Dry\nb.wav,s,BASS,studio,,,,,,\n")])
    assert not left_out
    assert [(clip.stem, clip.origin, clip.wetness) for clip in clips] == [
        ("vocals", "studio", "dry"), ("bass", "studio", "unknown")
    ]  # fmt: skip


def test_flagged_clips_are_left_out(folder: Path) -> None:
    """A clip on a flag list is left out, but for the two flags that only inform."""
    (folder / "flags.csv").write_text("clip,flag\na.wav,mislabelled\nb.wav,resynthesis\n", encoding="utf-8")
    rows = "a.wav,s,vocals,studio,,,,\nb.wav,s,vocals,studio,,,,\n"
    clips, left_out = catalogue.load([manifest(folder, rows)], [folder / "flags.csv"])
    assert [clip.name for clip in clips] == ["b.wav"]
    assert left_out == ["a.wav: flagged mislabelled"]


WRONG = {
    "no file": (None, r"gone\.csv: no such manifest; needed: a CSV file with columns clip, song_id, stem, origin"),
    "no column": ("clip,song_id\na.wav,s\n", r"m\.csv: found no column stem, origin; needed"),
    "empty": ("", r"m\.csv: found no column clip"),
    "too few fields": (HEAD + "a.wav,s\n", r"m\.csv, line 2: found too few fields"),
    "no number": (HEAD + "a.wav,s,vocals,separated,,umx,good,\n", r"line 2: found sdr_db 'good'; needed: a number"),
    "twice": (
        HEAD + "a.wav,s,vocals,studio,,,,\na.wav,t,bass,studio,,,,\n",
        r"line 3: found clip a\.wav a second time",
    ),
    "semicolons": (HEAD.replace(",", ";"), r"parted by commas; it has clip;song_id;stem"),
    "too many fields": (
        HEAD + "a.wav,s,vocals,studio,,,,dry,with, a comma\n",
        r"line 2: found more fields than columns",
    ),
    "no wetness": (HEAD + "a.wav,s,vocals,studio,,,,drye\n", r"line 2: found wetness 'drye'; needed: dry, hybrid"),
    "no text": (b"\xff\xfe\x00binary\x81\n", r"m\.csv: found no table of text"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_manifest_is_named_with_what_is_needed(name: str, folder: Path) -> None:
    """Each mistake is an error that names the manifest, the line where there is one, and what is needed."""
    content, message = WRONG[name]
    file = folder / "m.csv"
    if content is None:
        file = folder / "gone.csv"
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CatalogueError, match=message):
        catalogue.load([file])


def test_two_manifests_may_not_share_a_name(folder: Path) -> None:
    """The same clip name in two manifests is refused, for rows and references go by names."""
    other = folder / "other"
    other.mkdir()
    sounds.write(other / "a.wav", sounds.noise(0.2))
    row = "a.wav,s,vocals,studio,,,,\n"
    with pytest.raises(CatalogueError, match=r"names that differ, also between manifests"):
        catalogue.load([manifest(folder, row), manifest(other, row)])


@pytest.mark.parametrize("name", WRONG)
def test_the_command_says_it_without_a_traceback(name: str, folder: Path) -> None:
    """``python -m training.fit`` leaves with 2 and the same message."""
    content, _ = WRONG[name]
    file = folder / "m.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    app = typer.Typer()
    app.command()(fit.main)
    done = CliRunner().invoke(app, [str(file), "--out", str(folder / "model"), "--work", str(folder / "work")])
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert "needed" in done.stderr
    assert not (folder / "model").exists()


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [("A Classic Education - NightOwl", "a_classic_education-nightowl.stem", True), ("Café (live)", "cafe live", True),
     ("Song 1", "Song 2", False), ("東京", "大阪", False), ("東京", "東京", True),
     ("東京 (Remastered)", "大阪 (Remastered)", False), ("Привет 1", "Мир 1", False),
     ("東京 - Live", "東京_live.wav", True), ("パン", "バン", False), ("Cafe\u0301", "Café", True),
     ("東京", "東京 (Live)", False)],
)  # fmt: skip
def test_spellings_of_a_song_share_a_key(one: str, two: str, same: bool) -> None:
    """Case, accents, punctuation and file endings do not make another song; other scripts keep their own names."""
    assert (catalogue.song_key(one) == catalogue.song_key(two)) is same
