"""Separators in Python files: as sources of negatives, through the seam of all separators, and what can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from provenance import audio
from tests.training import songs
from training import card, catalogue, dataset, examples, splits
from training.separators import script
from training.separators.errors import SeparatorError
from training.separators.separator import Piece, open_separator

HALF = """
SOURCE = {"repository": "owner/net", "commit": "0123456789abcdef", "licence": "MIT"}
STEMS = ("vocals", "accompaniment")


def separate(mix):
    low = mix.copy()
    low[1:] = 0.5 * (mix[1:] + mix[:-1])
    return {"vocals": 0.8 * low, "accompaniment": mix - 0.8 * low}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one separator, of a family that has a name."""
    made = tmp_path / "scripts"
    made.mkdir()
    (made / "spleeter-like.py").write_text(HALF, encoding="utf-8")
    return made


def test_it_separates_by_itself_and_through_the_seam(folder: Path) -> None:
    """Both give the same stems, whose sum is the mix; the family is read off the name."""
    mix = songs.stem("vocals", 1.0, 0) + songs.stem("bass", 1.0, 0)
    loaded = script.load(folder / "spleeter-like.py")
    stems = script.run(loaded, mix)
    np.testing.assert_allclose(stems["vocals"] + stems["accompaniment"], mix, atol=1e-6)
    opened = open_separator(f"script:{folder / 'spleeter-like.py'}")
    np.testing.assert_array_equal(opened.run(Piece(mix))["vocals"], stems["vocals"])
    assert opened.name == "spleeter-like"
    assert loaded.family.name == "spleeter"
    assert opened.identity == open_separator(f"script:{folder / 'spleeter-like.py'}").identity


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("STEMS = ('vocals',)\n", "found no STEMS or no separate"),
        ("import no_such_package_of_anyone\n", "could not be loaded"),
        ("STEMS = ('vocals',)\ndef separate(mix):\n    return {'vocals': mix[:-1]}\n", "needed: "),
        ("STEMS = ('vocals',)\ndef separate(mix):\n    return {'vocals': mix * float('nan')}\n", "all finite"),
        ("STEMS = ('vocals',)\ndef separate(mix):\n    raise IndexError('none')\n", "failed .IndexError: none"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    """Each line says which file and what is missing."""
    file = tmp_path / "wrong.py"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SeparatorError, match=f"wrong.*{why}"):
        script.run(script.load(file), np.zeros((1000, 2), np.float32) + 0.1)
    with pytest.raises(SeparatorError, match="found no such Python file"):
        script.load(tmp_path / "none.py")


def test_it_makes_negatives_beside_their_twins(folder: Path, tmp_path: Path) -> None:
    """Voices are taken out of any mix; other stems out of mixes with voices alone, as the rest."""
    manifest = songs.write_manifest(tmp_path / "songs", ("one song", "two songs", "three songs", "four songs"))
    clips, _ = catalogue.load([manifest], [])
    unit_fold, _ = splits.folds_in_turn(clips)
    names = ("spleeter-like",)
    recipe = examples.Recipe(
        n_windows=1, n_augmented=0, n_surrogates=0, n_demucs=0, n_classical=0, n_networks=0, n_easy=2, n_submixes=0,
        scripts=str(folder), script_names=names,
    )  # fmt: skip
    meta = dataset.build(clips, unit_fold, recipe, tmp_path / "rows", n_workers=1).meta
    made = meta[meta["kind"] == "easy"]
    assert set(made["family"]) == {"spleeter"}
    stems = {clip.name: clip.stem for clip in clips}
    assert {stems[name] for name in made["clip"]} == {"vocals", "bass", "drums", "other"}
    twins = meta[meta["kind"] == "twin"]
    assert set(made["pair"]) == set(twins["pair"])
    assert set(twins["origin"]) == {"studio"}
    assert card.separators(recipe) == [
        {"name": names[0], "family": "spleeter", "repository": "owner/net", "commit": "0123456789abcdef",
         "licence": "MIT"}
    ]  # fmt: skip


@pytest.mark.parametrize("part", ["network", "easy"])
def test_extractions_of_dry_takes_lie_beside_their_twins_too(folder: Path, tmp_path: Path, part: str) -> None:
    """Through the same chain, so that a dry take is told from an extraction of one by the separation alone."""
    dry, _ = catalogue.load([songs.write_manifest(tmp_path / "dry", ("one song", "two songs"), set_name="dry")], [])
    others, _ = catalogue.load([songs.write_manifest(tmp_path / "songs", ("three songs", "four songs"))], [])
    recipe = examples.Recipe(n_easy=1, scripts=str(folder), script_names=("spleeter-like",))
    found = []
    for clip in dry:
        found += examples.make(clip, audio.read(clip.path)[1], part, [*dry, *others], recipe).meta
    made = [row["pair"] for row in found if row["origin"] == "separated"]
    assert made
    assert made == [row["pair"] for row in found if row["kind"] == "twin" and row["origin"] == "studio"]


def test_it_leaves_the_band_when_it_takes_the_voice_out(folder: Path, tmp_path: Path) -> None:
    """Beside true instrumentals lie what scripts leave of them and what surrogates do, each with its SDR."""
    manifest = songs.write_manifest(tmp_path / "songs", ("one song", "two songs"))
    clips, _ = catalogue.load([manifest], [])
    recipe = examples.Recipe(n_bundles=8, scripts=str(folder), script_names=("spleeter-like",))
    made = []
    for clip in clips:
        made += examples.make(clip, audio.read(clip.path)[1], "bundle", clips, recipe).meta
    fake = [row for row in made if row["origin"] == "separated"]
    assert {row["family"] for row in fake} == {"spleeter", "surrogate"}
    assert all(isinstance(row["sdr_db"], float) for row in fake)
    assert {row["pair"] for row in fake} < {row["pair"] for row in made if row["origin"] == "studio"}


def test_clips_of_later_manifests_give_the_rows_that_are_wanted(tmp_path: Path) -> None:
    """The first manifest's clips give all parts, the second's those that the recipe lists."""
    first = songs.write_manifest(tmp_path / "first", ("one song", "two songs", "three songs"))
    second = songs.write_manifest(tmp_path / "second", ("four songs", "five songs", "six songs"))
    clips, _ = catalogue.load([first, second], [])
    unit_fold, _ = splits.folds_in_turn(clips)
    recipe = examples.Recipe(
        n_windows=1, n_augmented=1, n_surrogates=1, n_demucs=0, n_classical=1, n_networks=0, further_parts=("clean",)
    )
    further = {clip.name for clip in clips if clip.path.is_relative_to(second.parent)}
    meta = dataset.build(clips, unit_fold, recipe, tmp_path / "rows", n_workers=1).meta
    kinds = meta.groupby(meta["clip"].isin(further))["kind"].agg(set)
    assert kinds[True] == {"clean"}
    assert kinds[False] == {"clean", "augmented", "surrogate", "twin", "classical"}
