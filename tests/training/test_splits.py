"""Splits: no song, repository or separator family on both sides, whatever the catalogue."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.training import songs
from training import catalogue, evaluate, splits
from training.catalogue import Clip
from training.families import family_of

SEPARATORS = ("", "", "htdemucs", "spleeter:4stems", "umxhq", "wave-u-net", "bsrnn", "rpca", "somebody's own")
SONGS = tuple(f"long song name {k}" for k in range(12))
REPOS = tuple(f"owner/repo{k}" for k in range(8))


def clip(number: int, set_name: str, song: str, repo: str, separator: str, stem: str) -> Clip:
    """A clip without a file."""
    return Clip(
        path=Path(f"{number}.wav"), name=f"{number}.wav", set_name=set_name, song=song, stem=stem,
        origin="separated" if separator else "studio", separator=separator,
        family=family_of(separator) if separator else None, wetness="wet", sdr_db=None, reference="", codec="",
        repo=repo, commit="", source_path="", licence="", note="", oracle=False,
    )  # fmt: skip


@st.composite
def catalogues(draw: st.DrawFn) -> list[Clip]:
    """Any mixture of paired and other sets, of songs in several repositories, of separators in several sets."""
    clips = []
    for number in range(draw(st.integers(1, 60))):
        set_name = draw(st.sampled_from(["pairs", "field", "true", "dry"]))
        repo = "owner/pairs" if set_name == "pairs" else draw(st.sampled_from(REPOS))
        separator = draw(st.sampled_from(SEPARATORS)) if set_name in ("pairs", "field") else ""
        stem = draw(st.sampled_from(["vocals", "drums"]))
        clips.append(clip(number, set_name, draw(st.sampled_from(SONGS)), repo, separator, stem))
    return clips


def rows(clips: list[Clip], unit_fold: dict[str, int], family_fold: dict[str, int]) -> pd.DataFrame:
    """One row for each clip, with the columns that decide who may learn from it."""
    return pd.DataFrame(
        {
            "fold": [unit_fold[splits.unit_of(c)] for c in clips],
            "family_fold": [family_fold.get(c.family.name, -1) if c.family else -1 for c in clips],
            "origin": [c.origin for c in clips],
            "oracle": False,
            "kind": "clean",
        }
    )


@settings(max_examples=60, deadline=None)
@given(catalogues(), st.integers(0, 3), st.booleans())
def test_nothing_that_is_judged_was_learnt_from(clips: list[Clip], seed: int, shuffled: bool) -> None:
    """No song, no repository (but that of the paired set) and no family of a judged clip is among what was learnt."""
    unit_fold, family_fold = splits.folds(clips, 3, seed, shuffled=shuffled)
    meta = rows(clips, unit_fold, family_fold)
    for fold in range(3):
        learnt = [c for c, use in zip(clips, evaluate.training_rows(meta, fold), strict=True) if use]
        judged = [c for c, use in zip(clips, evaluate.held_out_rows(meta, fold), strict=True) if use]
        assert not {c.song for c in learnt} & {c.song for c in judged}
        other = [{c.repo for c in part if c.set_name not in splits.PAIRED_SETS} for part in (learnt, judged)]
        assert not other[0] & other[1]
        families = [{c.family.name for c in part if c.family} for part in (learnt, judged)]
        assert not families[0] & families[1]


@settings(max_examples=25, deadline=None)
@given(catalogues())
def test_every_unit_and_family_has_one_fold(clips: list[Clip]) -> None:
    """Each clip's unit and family has a fold within range, and the same input gives the same folds in any order."""
    unit_fold, family_fold = splits.folds(clips, 3)
    assert {splits.unit_of(c) for c in clips} == set(unit_fold)
    assert {c.family.name for c in clips if c.family} == set(family_fold)
    assert {*unit_fold.values(), *family_fold.values()} <= {0, 1, 2}
    assert splits.folds(clips, 3) == (unit_fold, family_fold)


@settings(max_examples=25, deadline=None)
@given(catalogues())
def test_the_shipped_model_learns_from_all_but_oracles(clips: list[Clip]) -> None:
    """Without a fold every row is learnt from, but near-oracles."""
    meta = rows(clips, *splits.folds(clips, 3))
    meta.loc[meta.index[::3], "oracle"] = True
    assert (evaluate.training_rows(meta, None) == ~meta["oracle"].to_numpy(bool)).all()


def test_songs_of_several_repositories_join_them() -> None:
    """Two repositories that share a song are one unit for the split."""
    clips = [
        clip(0, "field", "a shared song", "owner/one", "", "vocals"),
        clip(1, "field", "a shared song", "owner/two", "", "vocals"),
        clip(2, "field", "another song", "owner/two", "", "vocals"),
        clip(3, "field", "a third song", "owner/three", "", "vocals"),
    ]
    for seed in range(8):
        unit_fold, _ = splits.folds(clips, 3, seed)
        assert unit_fold["repo:owner/one"] == unit_fold["repo:owner/two"]


@settings(max_examples=40, deadline=None)
@given(catalogues(), st.integers(0, 4))
def test_what_was_dealt_stays_where_it_is(clips: list[Clip], n_first: int) -> None:
    """Clips that come later move no unit and no family of those before them, and nothing judged was learnt from."""
    first = clips[: len(clips) * n_first // 4]
    dealt = splits.folds(first, 3)
    try:
        unit_fold, family_fold = splits.folds(clips, 3, dealt=dealt)
    except ValueError:  # a song of the later ones joins two folds
        assume(False)
    assert dealt[0].items() <= unit_fold.items()
    assert dealt[1].items() <= family_fold.items()
    meta = rows(clips, unit_fold, family_fold)
    for fold in range(3):
        learnt = [c for c, use in zip(clips, evaluate.training_rows(meta, fold), strict=True) if use]
        judged = [c for c, use in zip(clips, evaluate.held_out_rows(meta, fold), strict=True) if use]
        assert not {c.song for c in learnt} & {c.song for c in judged}


def test_a_song_that_joins_two_folds_is_refused() -> None:
    """Whoever adds a repository with songs of two folds is told to leave them out."""
    first = [clip(k, "field", f"a long song {k}", f"owner/r{k}", "", "vocals") for k in range(2)]
    dealt = splits.folds(first, 2)
    assert set(dealt[0].values()) == {0, 1}
    both = [clip(k + 2, "field", f"a long song {k}", "owner/both", "", "vocals") for k in range(2)]
    with pytest.raises(ValueError, match="in a unit of another fold; needed: leave those clips out"):
        splits.folds([*first, *both], 2, dealt=dealt)


def test_folds_are_of_a_size() -> None:
    """Thirty repositories of one clip each are dealt ten to a fold."""
    clips = [clip(k, "true", f"long song name {k:03}", f"owner/r{k}", "", "vocals") for k in range(30)]
    unit_fold, _ = splits.folds(clips, 3)
    assert sorted(list(unit_fold.values()).count(k) for k in range(3)) == [10, 10, 10]


def test_clips_may_lie_anywhere(tmp_path: Path) -> None:
    """Each manifest's clips are told by the manifest that lists them, wherever their files are."""
    music = songs.write_manifest(tmp_path / "music", ("one song", "two songs", "three songs")).parent
    table = tmp_path / "tables" / "catalogue.csv"
    table.parent.mkdir()
    lines = (music / "manifest.csv").read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], *(f"{music}/{line}" for line in lines[1:])]), encoding="utf-8")
    other = songs.write_manifest(tmp_path / "other", ("four songs", "five songs"))
    clips, _ = catalogue.load([table, other], [])
    assert {clip.name.startswith(str(music)): clip.manifest for clip in clips} == {True: 0, False: 1}
    unit_fold, _ = splits.folds_in_turn(clips)
    assert {splits.unit_of(clip) for clip in clips} == set(unit_fold)
    first, _ = splits.folds([clip for clip in clips if clip.manifest == 0])
    assert first.items() <= unit_fold.items()


def test_shuffled_deals_part_families_otherwise() -> None:
    """Largest first, families of unlike sizes are parted in one way by every seed; shuffled, in several."""
    sizes = {"htdemucs": 6, "spleeter:4stems": 5, "umxhq": 4, "wave-u-net": 3, "bsrnn": 2}
    names = [name for name, size in sizes.items() for _ in range(size)]
    clips = [clip(k, "field", f"long song name {k}", f"owner/r{k}", name, "vocals") for k, name in enumerate(names)]

    def partings(shuffled: bool) -> set[frozenset[frozenset[str]]]:
        found = set()
        for seed in range(10):
            fold = splits.folds(clips, 3, seed, shuffled=shuffled)[1]
            found.add(frozenset(frozenset(name for name in fold if fold[name] == k) for k in range(3)))
        return found

    assert len(partings(shuffled=False)) == 1
    assert len(partings(shuffled=True)) > 2
