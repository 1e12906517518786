"""What a catalogue must hold before it is learnt from: no song in two folds, both origins, rows of these folds."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.training.test_splits import clip
from training import catalogue, checks, examples, fit, splits
from training.evaluate import __main__ as evaluate
from training.separators import scripts

SCRIPT = 'STEMS = ("vocals",)\n\n\ndef separate(mix):\n    return {"vocals": mix}\n'


def test_excerpts_of_a_song_with_a_short_name_are_not_judged_by_what_learnt_from_it() -> None:
    """Two letters join nothing, so a song and pairs cut from it may be dealt apart: that is told, with both clips."""
    clips = [
        clip(k, set_name, f"s{k % 4}", "", "", "vocals") for k, set_name in enumerate(["field"] * 4 + ["pairs"] * 4)
    ]
    unit_fold, _ = splits.folds(clips)
    apart = [k for k in range(4) if unit_fold[f"repo:s{k}"] != unit_fold[f"song:s{k}"]]
    assert apart
    with pytest.raises(ValueError, match=rf"found {apart[0]}.wav in fold .* and {apart[0] + 4}.wav, of the same song"):
        checks.of_songs(clips, unit_fold)
    named = [
        clip(k, set_name, f"mysong{k % 4}", "", "", "vocals")
        for k, set_name in enumerate(["field"] * 4 + ["pairs"] * 4)
    ]
    checks.of_songs(named, splits.folds(named)[0])


def test_short_names_of_different_repositories_are_different_songs() -> None:
    """``01`` of one repository is not that of another."""
    clips = [clip(k, "field", "01", f"owner/{k}", "", "vocals") for k in range(6)]
    checks.of_songs(clips, splits.folds(clips)[0])


def catalogue_of(*separators: str, n_songs: int = 9) -> list[catalogue.Clip]:
    """True stems of songs, each with an output of each separator."""
    made = ("", *separators)
    return [
        clip(len(made) * k + number, "pairs", f"long name {k}", "", separator, "vocals")
        for k in range(n_songs)
        for number, separator in enumerate(made)
    ]


def test_separators_of_one_family_cannot_judge_each_other() -> None:
    """Two models of one family lie in one fold: no line can be drawn for it by what other folds hold."""
    for separators in (("htdemucs", "mdx_extra"), ("spleeter:2stems",)):
        clips = catalogue_of(*separators)
        with pytest.raises(ValueError, match=r"found no extraction outside fold \d.*separators of two families"):
            checks.of_folds(clips, splits.folds(clips), 3, makes_extractions=True)
    clips = catalogue_of("htdemucs", "spleeter:2stems", "umxhq")
    checks.of_folds(clips, splits.folds(clips), 3, makes_extractions=True)


def test_songs_of_one_unit_cannot_be_learnt_from_and_judged() -> None:
    """Dry takes of one source are one unit; a fold that holds all of it leaves its model nothing."""
    clips = [clip(k, "dry", f"long name {k}", "our-songs", "", "vocals") for k in range(9)]
    with pytest.raises(ValueError, match=r"found no true stem to learn from outside fold \d: 1 songs and repositories"):
        checks.of_folds(clips, splits.folds(clips), 3, makes_extractions=True)


def test_rows_that_were_made_by_other_folds_are_told(tmp_path: Path) -> None:
    """What a clip was mixed with came from the fold it lay in then; where it lay first is kept."""
    clips = catalogue_of("htdemucs", "spleeter:2stems", "umxhq")
    unit_fold, _ = splits.folds(clips)
    assert checks.of_earlier(clips, unit_fold, tmp_path / "rows") == ""
    assert checks.of_earlier(clips, unit_fold, tmp_path / "rows") == ""
    moved = unit_fold | {"song:long name 3": (unit_fold["song:long name 3"] + 1) % 3}
    for _ in range(2):
        told = checks.of_earlier(clips, moved, tmp_path / "rows")
        assert told.startswith("4 clips, such as 12.wav, lay in other folds")
        assert "another --work" in told
    kept = json.loads((tmp_path / "rows" / "folds.json").read_text(encoding="utf-8"))
    assert kept["12.wav"] == unit_fold["song:long name 3"]


def test_what_is_left_out_and_whose_family_nobody_knows_is_told() -> None:
    """Each reason has its number; a separator of no listed family is named, for a relative of it would count as new."""
    clips = catalogue_of("htdemucs", "my-net", "my-net-large")
    left_out, families = checks.notes(clips, ["a: origin is unknown", "b: origin is unknown", "c: no such file"])
    assert left_out == "36 clips; 3 rows left out: 2 origin is unknown, 1 no such file"
    assert "my-net (9 clips), my-net-large (9 clips); one that is built like another" in families
    assert len(list(checks.notes(catalogue_of("htdemucs"), []))) == 1


def test_a_flag_of_no_clip_is_told(tmp_path: Path) -> None:
    """A name that is spelt otherwise than in the manifest leaves nothing out."""
    flags = tmp_path / "struck.csv"
    flags.write_text("clip,flag\n0.wav,bleed\ngone.wav,bleed\n0.WAV,bleed\n", encoding="utf-8")
    *_, told = checks.notes(catalogue_of("htdemucs"), ["gone.wav: flagged bleed"], [flags])
    assert told == f"{flags}: 1 of its clips are in no manifest, such as 0.WAV: nothing was left out"
    flags.write_text("clip,flag\n0.wav,bleed\n", encoding="utf-8")
    assert len(list(checks.notes(catalogue_of("htdemucs"), [], [flags]))) == 1


@pytest.mark.parametrize("command", [fit.main, evaluate.main])
def test_one_family_is_refused_before_any_row_is_made(command: object, tmp_path: Path) -> None:
    """The commands end with exit code 2 and one reason, not after hours with a traceback."""
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["clip", "set", "song_id", "stem", "origin", "separator"])
        for each in catalogue_of("htdemucs", "mdx_extra"):
            (tmp_path / each.name).touch()
            writer.writerow([each.name, "pairs", each.song, each.stem, each.origin, each.separator])
    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    given = [str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 2, done.output
    assert "needed: true stems, and separators of two families at least" in done.stderr
    assert not (tmp_path / "work").exists()
    missing = CliRunner().invoke(app, [str(tmp_path / "none.csv"), *given[1:]])
    assert missing.exit_code == 2
    assert "no such manifest" in missing.stderr


@pytest.mark.parametrize(
    ("recipe", "file", "told"),
    [
        (
            examples.Recipe(networks="{}", network_names=("umx-a", "umx-b")),
            "umx-a/network.json",
            "--networks {}: found no umx-b; ",
        ),
        (
            examples.Recipe(demucs_repo="{}", demucs_models=("ab12", "cd34")),
            "ab12-9f.th",
            "--demucs-repo {}: found no cd34; ",
        ),
        (
            examples.Recipe(scripts="{}", script_names=("mine",), remask_name="large", drawn_names=("two",)),
            "mine.py",
            "--scripts {}: found no large, two; ",
        ),
    ],
    ids=("networks", "demucs", "scripts"),
)
def test_separators_that_are_not_there_are_told_before_any_row(
    recipe: examples.Recipe, file: str, told: str, tmp_path: Path
) -> None:
    """A folder without what the recipe names ends a fit at its beginning; one that holds all of it does not."""
    clips = catalogue_of("umxhq", "spleeter")
    option = told.split()[0].removeprefix("--").replace("-", "_")
    checks.before_rows(clips, splits.folds(clips)[0], tmp_path / "rows", dataclasses.replace(recipe, **{option: ""}))
    given = dataclasses.replace(recipe, **{option: str(tmp_path)})
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(SCRIPT)
    with pytest.raises(ValueError, match=re.escape(told.format(tmp_path))):
        checks.before_rows(clips, splits.folds(clips)[0], tmp_path / "none", given)
    assert not (tmp_path / "none").exists()
    for name in ("umx-b/network.json", "cd34.yaml", "large.py", "two.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SCRIPT)
    checks.before_rows(clips, splits.folds(clips)[0], tmp_path / "rows", given)


def test_a_script_that_lacks_its_checkout_or_fails_is_told_before_any_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable that should name its checkout is said, and what to set it to; so is what a broken file says."""
    monkeypatch.delenv("TDC_UNET_FOLDER", raising=False)
    recipe = examples.Recipe(scripts=str(Path(scripts.__file__).parent), drawn_names=("tdc_unet",))
    with pytest.raises(ValueError, match="TDC_UNET_FOLDER names no folder; set it to a checkout of"):
        checks.of_separators(recipe)
    monkeypatch.setenv("TDC_UNET_FOLDER", str(tmp_path))
    checks.of_separators(recipe)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    with pytest.raises(ValueError, match=r"broken\.py: could not be loaded \(ModuleNotFoundError"):
        checks.of_separators(examples.Recipe(scripts=str(tmp_path), script_names=("broken",)))


def test_weights_that_no_row_needs_may_be_missing(tmp_path: Path) -> None:
    """Demucs models count only where examples are made with them: by themselves, or out of whole mixes."""
    recipe = examples.Recipe(demucs_repo=str(tmp_path), demucs_models=("ab12",), n_demucs=0)
    checks.of_separators(recipe)
    for made in ({"n_demucs": 1}, {"n_easy": 1}, {"whole_names": ("ab12",)}, {"remask_name": "ab12"}):
        with pytest.raises(ValueError, match="found no ab12"):
            checks.of_separators(dataclasses.replace(recipe, **made))  # type: ignore[arg-type]
