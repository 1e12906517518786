"""Labels: what a head is taught, and where it is taught nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    kinds = ["reworked", "clean", "whole", "twin", "surrogate", "narrow", "degraded:pitch_shift", "gated", "edited"]
    found = labels.reworked(table(kind=kinds, origin=["studio", "studio", *["separated"] * 7]))
    assert np.array_equal(found, [1, 0, 0, 0, 0, *[np.nan] * 4], equal_nan=True)


def test_what_is_gated_bin_by_bin_is_told_from_smooth_reductions_too() -> None:
    """Whatever else was done to a stem is none of it; only single degradations teach nothing."""
    kinds = ["gated", "cleaned", "clean", "reworked", "edited", "narrow", "degraded:pitch_shift"]
    assert np.array_equal(labels.gated(table(kind=kinds)), [1, 0, 0, 0, 0, 0, np.nan], equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=6, max_size=6), st.sampled_from([0.0, 0.5]))
def test_a_heavy_hand_speaks_for_neither_class(sizes: list[tuple[int, int]], family_power: float) -> None:
    """True stems after each heavy hand weigh as much as extractions after it, and classes stay alike."""
    groups = [
        (kind, origin, size)
        for kind, both in zip([*labels.WORKED_AS, "clean"], sizes, strict=True)
        for origin, size in zip(("separated", "studio"), both, strict=True)
    ]
    kinds = [kind for kind, _, size in groups for _ in range(size)]
    origins = [origin for _, origin, size in groups for _ in range(size)]
    n = len(kinds)
    families = ["" if origin == "studio" else f"f{k % 3}" for k, origin in enumerate(origins)]
    meta = table(kind=kinds, origin=origins, family=families, repo=[f"r{k % 7}" for k in range(n)])
    separated = (meta["origin"] == "separated").to_numpy()
    found = labels.weights(meta, separated, family_power)
    assert (found > 0).all()
    assert found[separated].sum() == pytest.approx(n / 2)
    assert found[~separated].sum() == pytest.approx(n / 2)
    for hand in labels.WORKED_AS:
        worked = (meta["kind"] == hand).to_numpy()
        assert found[worked & ~separated].sum() == pytest.approx(found[worked & separated].sum())


def test_weights_stay_finite_where_a_class_is_missing_or_all_of_it_was_worked_on() -> None:
    """What cannot be balanced is left; where one class holds nothing else the classes are alike all the same."""
    meta = table(kind=["narrow"] * 3 + ["clean"], origin=["separated", "studio", "studio", "separated"])
    for rows in (meta, meta[meta["origin"] == "studio"], meta.iloc[:3], meta.iloc[1:], meta.iloc[[0, 1, 2, 2]]):
        separated = (rows["origin"] == "separated").to_numpy()
        found = labels.weights(rows, separated)
        assert np.isfinite(found).all()
        assert (found > 0).all()
        if separated.any():
            assert found[separated].sum() == pytest.approx(found[~separated].sum())


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
