"""The lists of what the shipped model learnt from: complete rows, public sources of the card, nothing of the check."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("pandas")

from training.catalogue import collect
from training.catalogue.clips import read_rows
from training.research import external

LISTS = sorted((Path(__file__).parents[2] / "training" / "sources").glob("*.csv"))
ROWS = [row for file in LISTS for _, row in read_rows(file, collect.NEEDED)]


def test_every_row_can_be_followed() -> None:
    """A full commit, a path, a passage, a label, and a separator where one was at work; no clip twice."""
    assert len(LISTS) == 11
    for row in ROWS:
        assert re.fullmatch(r"[0-9a-f]{40}", row["source_commit"]) or row["source_commit"] == "gh-pages", row["clip"]
        assert row["source_path"]
        assert float(row["duration_s"]) > 0
        assert row["licence"]
        if row["stem"] not in ("rir", "mix"):
            assert row["origin"] in ("studio", "separated", "unknown")
            assert bool(row["separator"]) == (row["origin"] == "separated"), row["clip"]
    assert len({row["clip"] for row in ROWS}) == len(ROWS)


def test_references_are_in_the_lists() -> None:
    """The true stem of an extraction or of a processed take is a clip itself, of the same repository."""
    repository_of = {row["clip"]: row["source_repo"] for row in ROWS}
    listed = [row for row in ROWS if row["reference"] in repository_of]
    assert listed
    for row in listed:
        assert repository_of[row["reference"]] == row["source_repo"], row["clip"]


def test_the_lists_hold_what_the_card_names_and_nothing_of_the_external_check(root: Path) -> None:
    """Each repository is one the shipped model learnt from, and none is one it is checked on."""
    evaluation = json.loads((root / "models" / "stem-v1" / "evaluation.json").read_text(encoding="utf-8"))
    learnt = {source["repository"] for source in evaluation["sources"]}
    listed = {row["source_repo"] for row in ROWS if row["stem"] != "rir"}
    assert listed <= learnt, listed - learnt
    for file in external.LISTS:
        assert not listed & {entry.repository for entry in external.read_list(file)}


def test_clips_that_are_struck_are_true_stems_of_the_lists() -> None:
    """Each stands there as a true stem, with the reason beside it, and the shipped model did not learn from any."""
    root = Path(__file__).parents[2]
    listed = {row["clip"]: row for row in ROWS}
    struck = [row for _, row in read_rows(root / "training" / "struck.csv", ("clip", "flag"))]
    assert struck
    for row in struck:
        assert row["flag"] in ("two_sources", "debleeded")
        assert listed[row["clip"]]["origin"] == "studio"
        assert (listed[row["clip"]]["source_repo"], listed[row["clip"]]["source_path"]) == (
            row["source_repo"],
            row["source_path"],
        )
    evaluation = json.loads((root / "models" / "stem-v1" / "evaluation.json").read_text(encoding="utf-8"))
    twice = {row["clip"] for _, row in read_rows(root / "training" / "heard_twice.csv", ("clip", "flag"))}
    assert evaluation["figures"]["n_struck"] == len(twice) > 0  # those that are struck are left out, not only unjudged
    assert not twice & {row["clip"] for row in struck}
    for repository in {row["source_repo"] for row in struck}:
        true = {row["clip"] for row in ROWS if row["source_repo"] == repository and row["origin"] == "studio"}
        n_learnt = sum(s["n_studio"] for s in evaluation["sources"] if s["repository"] == repository)
        assert n_learnt == len(true - {row["clip"] for row in struck}), repository
