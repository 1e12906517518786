"""Labels: what a head is taught, and where it is taught nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from provenance.model import EFFECTS
from training import labels


def table(**columns: list[object]) -> pd.DataFrame:
    """Rows with the columns labels look at."""
    n = len(next(iter(columns.values())))
    plain: dict[str, object] = {
        "origin": "studio", "sdr_db": np.nan, "processing": "unknown", "set": "true", "separator_kind": "",
        "wetness": "unknown", "effects": "", "layers": "", "clip": [f"c{k}" for k in range(n)], "repo": "r",
        "kind": "clean",
    }  # fmt: skip
    return pd.DataFrame(plain | columns, index=range(n))


def test_every_extraction_but_reworked_ones_is_no_rework() -> None:
    """What separators of any kind made is told from a rework; a narrow band and single degradations teach nothing."""
    kinds = ["reworked", "clean", "whole", "twin", "surrogate", "narrow", "degraded:pitch_shift", "gated"]
    found = labels.reworked(table(kind=kinds, origin=["studio", "studio", *["separated"] * 6]))
    assert np.array_equal(found, [1, 0, 0, 0, 0, np.nan, np.nan, np.nan], equal_nan=True)


def test_what_is_gated_bin_by_bin_is_told_from_smooth_reductions_too() -> None:
    """Whatever else was done to a stem is none of it; only single degradations teach nothing."""
    kinds = ["gated", "cleaned", "clean", "reworked", "narrow", "degraded:pitch_shift"]
    assert np.array_equal(labels.gated(table(kind=kinds)), [1, 0, 0, 0, 0, np.nan], equal_nan=True)


@pytest.mark.parametrize("hand", ["reworked", "narrow", "gated", "cleaned"])
def test_a_heavy_hand_speaks_for_neither_class(hand: str) -> None:
    """Reworked true stems, of which there are fewer, weigh as much as reworked extractions, and classes stay alike."""
    kind = [hand] * 8 + ["clean"] * 2
    meta = table(kind=kind, origin=["separated"] * 6 + ["studio"] * 2 + ["separated", "studio"])
    separated = (meta["origin"] == "separated").to_numpy()
    found = labels.weights(meta, separated)
    reworked = (meta["kind"] == hand).to_numpy()
    assert found[separated].sum() == pytest.approx(found[~separated].sum())
    ratio = found[reworked & ~separated].sum() / found[reworked & separated].sum()
    assert ratio == pytest.approx(1.0, abs=0.2)
    one = labels.weights(meta[separated], separated[separated])
    assert np.isfinite(one).all()


def test_weights_balance_classes_and_spare_small_repositories() -> None:
    """Both classes weigh the same, and a repository of a hundred clips weighs ten times one of one, not a hundred."""
    origin = ["studio"] * 101 + ["separated"] * 10
    repo = ["big"] * 100 + ["small"] + ["other"] * 10
    meta = table(origin=origin, repo=repo)
    found = labels.weights(meta, (meta["origin"] == "separated").to_numpy())
    assert np.isclose(found[:101].sum(), found[101:].sum())
    assert np.isclose(found[:100].sum() / found[100], 10)


def test_sdr_is_taught_of_extractions_only_and_cut() -> None:
    """Studio stems have no SDR, and far values are cut."""
    found = labels.sdr(table(origin=["studio", "separated", "separated", "separated"], sdr_db=[9.0, 9.0, 60.0, -30.0]))
    assert np.isnan(found[0])
    assert found[1:].tolist() == [9.0, 25.0, -5.0]


def test_real_pairs_are_kept_for_judging() -> None:
    """Processing is taught where it is known, and never of ``fx_pairs``."""
    found = labels.processing(
        table(processing=["dry", "hybrid", "wet", "unknown", "wet"], set=["dry"] * 4 + ["fx_pairs"])
    )
    assert found.tolist() == [0, 1, 2, -1, -1]


def test_effects_that_nobody_knows_are_not_taught() -> None:
    """A dry take has none; a produced song's are unknown but for what was added; a limiter is a compressor."""
    chain = json.dumps([["reverb", 0.5], ["limiting", 0.2]])
    found = labels.effects(
        table(wetness=["dry", "dry", "unknown"], processing=["dry", "wet", "unknown"], effects=["", chain, chain])
    )
    names = list(EFFECTS)
    assert (found[0] == 0).all()
    assert found[1, names.index("reverb")] == found[1, names.index("compression")] == 1
    assert found[1, names.index("delay")] == 0
    assert np.isnan(found[2, names.index("delay")])
    assert found[2, names.index("reverb")] == 1


def test_kinds_are_taught_of_extractions_only() -> None:
    """The kind of separator is known of extractions by known separators."""
    found = labels.kind(
        table(origin=["separated", "separated", "studio"], separator_kind=["hybrid", "unknown", "hybrid"])
    )
    assert found.tolist() == [1, -1, -1]


def test_no_family_counts_by_its_size_where_that_is_asked() -> None:
    """At power 1 each family of extractions has the same total weight, and the classes stay alike; at 0 rows do."""
    family = ["big"] * 90 + ["small"] * 10 + [""] * 50
    meta = pd.DataFrame({"clip": [f"c{k}" for k in range(150)], "repo": "r", "kind": "augmented", "family": family})
    positive = np.arange(150) < 100
    plain, alike = labels.weights(meta, positive), labels.weights(meta, positive, 1.0)
    assert plain[:90].sum() == pytest.approx(9 * plain[90:100].sum())
    assert alike[:90].sum() == pytest.approx(alike[90:100].sum())
    for w in (plain, alike):
        assert w[positive].sum() == pytest.approx(w[~positive].sum())


def test_strengths_are_those_of_the_chain() -> None:
    """Of a compressor and a limiter the stronger counts; what was not applied has none."""
    found = labels.strengths(table(effects=["", json.dumps([["limiting", 0.7], ["compression", 0.2], ["eq", 0.4]])]))
    names = list(EFFECTS)
    assert np.isnan(found[0]).all()
    assert found[1, names.index("compression")] == np.float32(0.7)
    assert found[1, names.index("eq")] == np.float32(0.4)
    assert np.isnan(found[1, names.index("reverb")])


def test_fx_pairs_are_no_dry_recordings_to_learn_from() -> None:
    """Rows of dry clips and of what was made of them are known whole, but for the pairs kept for judging."""
    meta = table(wetness=["dry", "dry", "wet"], set=["listed", "fx_pairs", "true"])
    assert labels.from_dry(meta).tolist() == [True, False, False]
