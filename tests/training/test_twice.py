"""Sounds that lie in two folds under two names."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import soundfile
import typer
from typer.testing import CliRunner

from tests.training import songs
from training import catalogue, splits
from training.research import twice

APP = typer.Typer()
APP.command()(twice.main)
NAMES = ("amber", "birch", "cedar", "drift", "ember", "flint")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Songs of six repositories; the first voice, half as loud and cut elsewhere, stands for all others."""
    made = songs.write_manifest(tmp_path, NAMES, seconds=5.0, set_name="listed")
    voice = songs.stem("vocals", 5.0, 0)
    for name in NAMES[1:]:
        soundfile.write(tmp_path / name / "vocals.wav", 0.5 * voice[20_000:], songs.RATE_HZ, "PCM_16")
    return made


def test_a_sound_in_two_folds_is_named_with_the_other_place(manifest: Path, tmp_path: Path) -> None:
    """Every voice that has a copy in another fold is named, and nothing else; the file is one for --unjudged."""
    out = tmp_path / "twice.csv"
    made = CliRunner().invoke(APP, [str(manifest), "--out", str(out), "--workers", "1"])
    assert made.exit_code == 0, made.output
    with out.open(encoding="utf-8") as file:
        found = {row["clip"]: row["heard_in"] for row in csv.DictReader(file)}
    unit_fold, _ = splits.deal([manifest], 3)
    clips = {clip.name: clip for clip in catalogue.load([manifest])[0]}
    folds = {name: unit_fold[splits.unit_of(clip)] for name, clip in clips.items()}
    assert set(found) == {f"{name}/vocals.wav" for name in NAMES}
    assert all(folds[name] != folds[other] for name, other in found.items())
    assert all(other.endswith("vocals.wav") for other in found.values())


def test_the_place_of_the_file_is_made_or_refused_before_anything_is_heard(tmp_path: Path) -> None:
    """Hours of fingerprints are not lost for a folder that is not there."""
    (tmp_path / "file").write_text("x")
    refused = CliRunner().invoke(APP, [str(tmp_path / "none.csv"), "--out", str(tmp_path / "file" / "twice.csv")])
    assert refused.exit_code == 2
    assert "none.csv" not in refused.output
    made = songs.write_manifest(tmp_path, NAMES[:1], seconds=1.0)
    done = CliRunner().invoke(APP, [str(made), "--out", str(tmp_path / "new" / "twice.csv"), "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new" / "twice.csv").is_file()


def test_a_manifest_that_is_missing_is_named(tmp_path: Path) -> None:
    """Nothing is written, and the line says what was not there."""
    out = tmp_path / "twice.csv"
    made = CliRunner().invoke(APP, [str(tmp_path / "none.csv"), "--out", str(out)])
    assert made.exit_code == 2
    assert "none.csv" in made.output
    assert not out.exists()
