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


def test_a_card_warns_of_what_is_worse_than_the_rest(shipped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A family of which all are caught, and a stem than which none ranks better, is no warning of a small set."""
    described, evaluation = shipped
    figures = copy.deepcopy(evaluation["figures"])
    some = figures["by_family"]["demucs"]
    figures["by_family"] = {
        "demucs": some | {"separated_called_separated": 1.0},
        "open-unmix": some | {"separated_called_separated": 0.0},
    }
    stem = figures["by_stem"]["vocals"]
    figures["by_stem"] = {name: stem | {"auc": auc} for name, auc in (("bass", 1.0), ("drums", 0.75), ("vocals", 1.0))}
    text = card.render(described, evaluation | {"figures": figures})
    assert "Worst caught: open-unmix (0.0 %)." in text
    assert "ranks worst: drums (AUC 0.750)." in text


def test_a_card_of_one_repository_of_produced_stems(shipped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """One is no plural, and without dry takes no drums were programmed from hits."""
    described, evaluation = shipped
    assert "Drum stems are also programmed from single hits." in card.render(described, evaluation)
    rows = {kind: n for kind, n in evaluation["rows"].items() if kind != "processed/studio"}
    text = card.render(described, evaluation | {"rows": rows, "sources": evaluation["sources"][:1]})
    assert "programmed from single hits" not in text
    assert " clips from 1 repository:" in text


def test_a_head_that_could_not_be_judged_is_told(shipped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A kind of separator without figures is said to have none; a model that tells no kind says nothing of it."""
    described, evaluation = shipped
    unjudged = evaluation | {"figures": evaluation["figures"] | {"kind": {}}}
    assert "Kind of separator: told, and not judged" in card.render(described, unjudged)
    without = described | {"heads": [head for head in described["heads"] if head != "family"]}
    assert "Kind of separator" not in card.render(without, unjudged)


def test_an_sdr_without_an_interval_of_others_has_none(shipped: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Files of one fold alone are held against no median and no interval of other folds."""
    described, evaluation = shipped
    figures = copy.deepcopy(evaluation["figures"])
    figures["sdr"] |= {"mae_of_other_folds_median_db": None, "coverage_on_other_folds": None}
    for band in figures["sdr"]["by_estimate"]:
        band |= {"half_width_db": None, "covered": None}
    text = card.render(described, evaluation | {"figures": figures})
    unseen = text.split("Families not trained on. ")[1].split("Families trained on, songs not.")[0]
    assert "median of the other folds" not in unseen
    assert "Too few lie in other folds to fix an interval there." in unseen
    assert "None" not in text
    figures["sdr"] |= {"coverage_on_other_folds": 0.75, "n_bounded": 8}
    few = card.render(described, evaluation | {"figures": figures})
    assert "lie 75.0 % of the 8 for which others fixed one." in few
    assert "for which others fixed one" not in card.render(described, evaluation)
