"""Rows: what is on record of a wave after its fold and the common chain is what is to be heard in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests import sounds
from tests.training import songs
from tests.training.test_augment import PLAIN
from training import augment, catalogue, dataset, examples, splits
from training.examples import Recipe, Rows
from training.examples.rows import Context, add
from training.families import family_of

CHAINED = dataclasses.replace(PLAIN, eq=((500.0, 6.0, 1.0),))
CHAIN = {"processing": "wet", "effects": json.dumps([["reverb", 0.5], ["stereo_imaging", 0.3]])}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> catalogue.Clip:
    """A dry stem."""
    clips, _ = catalogue.load([songs.write_manifest(tmp_path_factory.mktemp("song"), ("one",), 2.0)], [])
    return dataclasses.replace(clips[0], wetness="dry")


def made(clip: catalogue.Clip, known: dict[str, object], mono: bool, chain: augment.Chain | None) -> dict[str, object]:
    """Columns of one row."""
    rows = Rows(clip)
    context = Context(rows, clip, sounds.music(2.0), [], Recipe(), (), np.random.default_rng(0))
    add(context, sounds.music(2.0), "processed", 0, "", mono, chain, known)
    return rows.meta[0]


@pytest.mark.parametrize(
    ("mono", "chain", "names"),
    [
        (False, None, ["reverb", "stereo_imaging"]),
        (True, None, ["reverb"]),
        (False, dataclasses.replace(PLAIN, fold="dual"), ["reverb"]),
        (False, CHAINED, ["reverb", "stereo_imaging", "eq"]),
        (True, CHAINED, ["reverb", "eq"]),
    ],
)  # fmt: skip
def test_what_a_row_says_is_what_is_heard(
    clip: catalogue.Clip, mono: bool, chain: augment.Chain | None, names: list[str]
) -> None:
    """A fold takes the stereo image off the record, and what the chain filters comes onto it."""
    row = made(clip, CHAIN, mono, chain)
    assert [name for name, _ in json.loads(str(row["effects"]))] == names
    assert row["processing"] == "wet"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("wetness", "wet"), ("sdr_db", 3.5), ("oracle", True), ("family", family_of("htdemucs")), ("stem", "piano"),
        ("set_name", "true"), ("song", "another"), ("reference", "vocals.wav"),
    ],
)  # fmt: skip
def test_rows_of_a_clip_whose_label_was_put_right_are_made_again(
    clip: catalogue.Clip, column: str, value: object, tmp_path: Path
) -> None:
    """All of its rows are, and those of the others stay."""
    recipe = Recipe(n_windows=1, n_augmented=1)
    extracted = dataclasses.replace(
        clip, name="extracted.wav", origin="separated", family=family_of("my_net"), sdr_db=float("nan")
    )
    clips = [clip, extracted]
    folds = {splits.unit_of(each): 0 for each in clips}
    for each in clips:
        assert dataset.make(each, ["clean", "augmented"], [], recipe, tmp_path, []) == ""
    wanted = {part for part in dataset.parts_of(clip, recipe) if part not in ("clean", "augmented")}
    assert all(set(job.parts) == wanted for job in dataset.missing(clips, folds, recipe, tmp_path))
    changed = dataclasses.replace(extracted, **{column: value})
    folds[splits.unit_of(changed)] = 0
    jobs = {job.clip.name: set(job.parts) for job in dataset.missing([clip, changed], folds, recipe, tmp_path)}
    assert jobs == {clip.name: wanted, "extracted.wav": wanted | {"clean", "augmented"}}


def test_rows_of_a_separator_that_was_changed_are_made_again(
    clip: catalogue.Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the parts that run it, and of no others; its files are read once, however many clips there are."""
    files = {
        "network": tmp_path / "nets" / "small" / "weights.pt",
        "drawn": tmp_path / "scripts" / "two.py",
        "bundle": tmp_path / "scripts" / "one.py",
        "demucs": tmp_path / "repo" / "abc-0123.th",
        "whole": tmp_path / "repo" / "def-0123.th",
    }
    users = {
        "network": {"network", "easy"}, "drawn": {"drawn"}, "bundle": {"bundle", "network", "easy"},
        "demucs": {"demucs", "easy"}, "whole": {"demucs", "easy", "whole"},
    }  # fmt: skip
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("first", encoding="utf-8")
    recipe = Recipe(
        demucs_repo=str(tmp_path / "repo"), demucs_models=("abc", "def"), networks=str(tmp_path / "nets"),
        network_names=("small",), scripts=str(tmp_path / "scripts"), script_names=("one",), whole_names=("def",),
        drawn_names=("two",),
    )  # fmt: skip
    read: list[list[Path]] = []
    digest_of = dataset.digest_of
    monkeypatch.setattr(dataset, "digest_of", lambda given: read.append(given) or digest_of(given))

    def named() -> dict[str, Path]:
        dataset._digest.cache_clear()
        return {part: dataset.file_of(clip, part, recipe, tmp_path) for part in examples.PARTS}

    before = named()
    assert named() == before
    read.clear()
    dataset._digest.cache_clear()
    for number in range(5):
        for part in examples.PARTS:
            dataset.file_of(dataclasses.replace(clip, name=f"{number}.wav"), part, recipe, tmp_path)
    assert sorted(file for given in read for file in given) == sorted(files.values())
    for changed, file in files.items():
        file.write_text("second", encoding="utf-8")
        now = named()
        assert {part for part in now if now[part] != before[part]} == users[changed]
        before = now


def test_a_clip_that_cannot_be_read_is_named_without_the_path_of_a_machine(
    clip: catalogue.Clip, tmp_path: Path
) -> None:
    """A manifest may hold paths of the machine it lies on; the line goes into the evaluation that is published."""
    broken = tmp_path / "songs" / "broken.flac"
    broken.parent.mkdir()
    broken.write_bytes(b"fLaC")
    for name, shown in ((str(broken), "songs/broken.flac"), ("later/broken.flac", "later/broken.flac")):
        bad = dataclasses.replace(clip, path=broken, name=name)
        said = dataset.make(bad, ["clean"], [], Recipe(), tmp_path, [])
        assert said.startswith(f"{shown}: ")
        assert str(tmp_path) not in said


def test_a_dry_take_that_a_chain_filtered_is_no_longer_dry(clip: catalogue.Clip) -> None:
    """A codec or a level leaves it dry; a filter makes it a hybrid."""
    assert made(clip, {}, False, dataclasses.replace(PLAIN, codec="mp3"))["processing"] == "dry"
    filtered = made(clip, {}, False, CHAINED)
    assert (filtered["processing"], filtered["effects"]) == ("hybrid", json.dumps([["eq", 0.3333]]))
    unknown = made(dataclasses.replace(clip, wetness="unknown"), {}, False, CHAINED)
    assert (unknown["processing"], unknown["effects"]) == ("unknown", json.dumps([["eq", 0.3333]]))


def test_all_processings_lie_over_noise_alike(clip: catalogue.Clip) -> None:
    """A dry take gives as many dry, hybrid and wet rows over noise, a produced one its own, an extraction none."""
    recipe = Recipe(n_grounded=8)
    samples = sounds.music(6.0)
    rows = examples.make(clip, samples, "grounded", [], recipe)
    names = pd.Series([row["processing"] for row in rows.meta]).value_counts()
    assert names["wet"] == 8, "a chain may filter, which makes a dry row a hybrid one"
    assert names["dry"] >= 5
    assert names["dry"] + names["hybrid"] == 16
    assert {row["origin"] for row in rows.meta} == {"studio"}
    assert all(row["effects"] for row in rows.meta if row["processing"] != "dry")
    again = examples.make(clip, samples, "grounded", [], recipe)
    assert np.array_equal(rows.features, again.features)
    produced = examples.make(dataclasses.replace(clip, wetness="wet"), samples, "grounded", [], recipe)
    assert [row["processing"] for row in produced.meta] == ["wet"] * 8
    extracted = dataclasses.replace(clip, origin="separated", family=family_of("my_net"))
    assert examples.make(extracted, samples, "grounded", [], recipe).meta == []


def test_a_chain_goes_over_a_take_whose_windows_are_judged_together(clip: catalogue.Clip) -> None:
    """Windows of one chain share its effects and its name; as many as the recipe has, fewer of what is shorter."""
    samples = sounds.music(14.0)
    for part, n in (("processed", 8), ("grounded", 12)):
        recipe = Recipe(n_processed=4, n_grounded=4, n_take_windows=3)
        meta = pd.DataFrame(examples.make(clip, samples, part, [], recipe).meta)
        by_take = meta.groupby("take")
        assert len(by_take) == n
        assert set(by_take.size()) <= {1, 2, 3}
        assert by_take.size().max() == 3
        assert (by_take[["processing", "effects", "window"]].nunique() == 1).all(axis=None)
        assert set(
            pd.DataFrame(examples.make(clip, samples, part, [], Recipe(n_grounded=4)).meta)["take"].value_counts()
        ) == {1}
    clean = pd.DataFrame(examples.make(clip, samples, "clean", [], Recipe()).meta)
    assert (len(clean), set(clean["take"])) == (3, {clip.name})
