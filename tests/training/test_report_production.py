"""What is told of how a stem was produced is judged on what was held out, by lines from other folds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from provenance.model import EFFECTS
from training import config, evaluate, report


def test_each_processing_is_stated_only_where_it_is_right_often_enough(root: Path) -> None:
    """Statements that are right over all but wrong for one class are not enough: the line goes up to where none is."""
    n = 100
    size = [n, n, 40, n]
    truth = np.repeat(["dry", "wet", "wet", "hybrid"], size)
    said = np.repeat([[0.605, 0.195, 0.2], [0.1, 0.1, 0.8], [0.605, 0.195, 0.2], [0.1, 0.8, 0.1]], size, axis=0)
    meta = pd.DataFrame(
        {"processing": truth, "wetness": "dry", "kind": "processed", "origin": "studio", "set": "", "take": ""}
    )
    settings = config.load(root / "training" / "stem-v1-production.toml")
    assert (said.argmax(1) == pd.Series(truth).map({"dry": 0, "hybrid": 1, "wet": 2})).mean() > 0.85  # 40 called dry
    assert report.processing_threshold(meta, {"p_processing": said}, settings) == pytest.approx(0.61)
    more = [*range(n)] * 9 + [*range(n, len(meta))]  # nine times as many dry ones
    again = {"p_processing": said[more]}
    assert report.processing_threshold(meta.iloc[more], again, settings) == pytest.approx(0.61), "classes count alike"
    without = meta["processing"].ne("wet") | (said[:, 2] > 0.5)
    assert report.processing_threshold(meta[without], {"p_processing": said[without]}, settings) == pytest.approx(0.5)


def test_what_is_stated_is_judged_by_lines_of_the_other_folds(root: Path) -> None:
    """One fold is sure and wrong: only the others' lines rise, and what is stated of each is counted by its own."""
    n = 60
    meta = pd.DataFrame({
        "processing": ["dry", "wet"] * n, "origin": "studio", "kind": "clean", "set": "dry", "wetness": "dry",
        "fold": np.repeat([0, 1, 2], 2 * n // 3), "take": "",
    })  # fmt: skip
    sure = np.where(np.arange(2 * n) % 2 == 0, 0.7, 0.3)
    sure[meta["fold"] == 0] = 1 - sure[meta["fold"] == 0]
    p = np.stack([sure, np.zeros(2 * n), 1 - sure], axis=1)
    found = report.processing(meta, {"p_processing": p}, config.load(evaluate.CONFIG_FILE))["made"]
    assert found["stated"] == pytest.approx(1 / 3, abs=1e-3), "fold 0 alone has a line below 0.7"
    assert found["right_of_stated"] == 0
    assert found["wet_called_dry"] == found["dry_called_wet"] == pytest.approx(1 / 3, abs=1e-3)


def test_a_take_is_judged_by_the_mean_of_its_windows(root: Path) -> None:
    """One window of three is sure of something else: each is wrong by itself, and no take is; so with the effects."""
    n = 30
    processing = np.array(["dry", "wet"] * n)
    meta = pd.DataFrame({
        "processing": processing, "origin": "studio", "kind": "processed", "set": "dry", "wetness": "dry",
        "fold": np.arange(2 * n) % 3, "take": [f"take {k}" for k in range(2 * n)],
        "effects": [f'[["reverb", {k / 100}]]' if k % 2 else "" for k in range(2 * n)],
    }).loc[np.repeat(np.arange(2 * n), 3)]  # fmt: skip
    dry = np.where(meta["processing"] == "dry", 0.9, 0.1).reshape(-1, 3)
    dry[:, 1] = 1 - dry[:, 1]
    p = np.stack([dry.ravel(), np.zeros(6 * n), 1 - dry.ravel()], axis=1)
    said = np.zeros((6 * n, len(EFFECTS)))
    said[:, EFFECTS.index("reverb")] = p[:, 2]
    held = {
        "p_processing": p,
        "p_effects": said,
        "strengths": np.where(said > 0, np.arange(6.0 * n)[:, None] / 200, np.nan),
    }
    settings = config.load(evaluate.CONFIG_FILE)
    found = report.processing(meta, held, settings)["made"]
    assert (found["n"], found["n_windows"], found["macro_f1"]) == (2 * n, 6 * n, 1.0)
    assert report.effects(meta, held)["studio"]["reverb"] | {"auc": None} == {
        "n": 2 * n, "share": 0.5, "auc": None, "strong_auc": None, "f1": 1.0,
    }  # fmt: skip
    assert report.strengths(meta, held)["studio"]["reverb"]["n"] == n
    apart = report.processing(meta.assign(take=""), held, settings)["made"]
    assert (apart["n"], apart["macro_f1"]) == (6 * n, pytest.approx(2 / 3, abs=1e-4))


def test_no_figure_is_of_a_clip_whose_label_was_wrong_or_of_an_unlabelled_effect(root: Path) -> None:
    """Struck clips count nowhere; a degradation of a dry extraction may be the very effect it is said to lack."""
    n = 90
    kind = np.repeat(["processed", "separated", "degraded:reverb"], n)
    meta = pd.DataFrame({
        "processing": ["dry", "wet"] * (3 * n // 2), "set": "dry", "wetness": "dry", "kind": kind, "take": "",
        "origin": np.where(kind == "processed", "studio", "separated"), "fold": np.arange(3 * n) % 3,
        "effects": ["", '[["reverb", 0.7]]'] * (3 * n // 2), "struck": np.arange(3 * n) % 9 < 2,
    })  # fmt: skip
    right = ~meta["struck"].to_numpy() & (kind != "degraded:reverb")
    wet = np.where((meta["processing"] == "wet") == right, 0.9, 0.1)
    p = np.stack([1 - wet, np.zeros(3 * n), wet], axis=1)
    held = {"p_processing": p, "p_effects": np.tile(wet[:, None], len(EFFECTS))}
    found = report.processing(meta, held, config.load(evaluate.CONFIG_FILE))
    assert [(found[g]["n"], found[g]["macro_f1"]) for g in ("made", "made_and_separated")] == [(7 * n // 9, 1.0)] * 2
    told = report.effects(meta, held)
    assert [(told[g]["reverb"]["n"], told[g]["reverb"]["f1"]) for g in ("studio", "separated")] == [
        (7 * n // 9, 1.0)
    ] * 2


def test_what_lies_over_noise_is_counted_by_itself() -> None:
    """Rows over noise are no part of the chains that draw the line; produced recordings are no part of them."""
    n = 60
    meta = pd.DataFrame({
        "processing": ["dry", "wet"] * n, "origin": "studio", "kind": np.repeat(["clean", "grounded"], n), "set": "dry",
        "wetness": np.where(np.arange(2 * n) < 2 * n - 20, "dry", "wet"), "fold": np.tile([0, 0, 1, 1, 2, 2], n // 3),
        "take": "",
    })  # fmt: skip
    sure = np.where(np.arange(2 * n) % 2 == 0, 0.9, 0.1)
    sure[meta["kind"] == "grounded"] = 0.4
    p = np.stack([sure, np.zeros(2 * n), 1 - sure], axis=1)
    found = report.processing(meta, {"p_processing": p}, config.load(evaluate.CONFIG_FILE))
    assert (found["made"]["n"], found["made"]["macro_f1"], found["made"]["stated"]) == (n, 1.0, 1.0)
    assert found["over_noise"]["n"] == n - 20
    assert found["over_noise"]["macro_f1"] == pytest.approx(1 / 3, abs=1e-4), "all are called wet"


def test_a_strength_is_told_that_is_heard_better_than_guessed() -> None:
    """Held-out studio stems decide: an error well below a constant's, whatever extractions say."""
    rng = np.random.default_rng(0)
    n = 300
    strength = rng.random((n, 2)).round(3)
    meta = pd.DataFrame({
        "take": "", "fold": np.arange(n) % 3, "origin": np.where(np.arange(n) % 4, "studio", "separated"),
        "effects": [json.dumps([["reverb", float(a)], ["eq", float(b)]]) for a, b in strength],
    })  # fmt: skip
    said = np.full((n, len(EFFECTS)), np.nan)
    said[:, EFFECTS.index("reverb")] = np.where(meta["origin"] == "studio", strength[:, 0] + 0.05, 1 - strength[:, 0])
    said[:, EFFECTS.index("eq")] = rng.random(n)
    found = report.strengths(meta, {"strengths": said})
    assert found["told"] == ["reverb"]
    assert set(found["studio"]) == {"reverb", "eq"}
    assert found["studio"]["reverb"]["n"] == 225
    assert found["studio"]["reverb"]["error"] == pytest.approx(0.05, abs=0.003)
    assert found["studio"]["reverb"]["constant_error"] == pytest.approx(0.25, abs=0.03)
    assert found["studio"]["reverb"]["correlation"] > 0.99 > -0.99 > found["separated"]["reverb"]["correlation"]
    assert report.strengths(meta, {}) == {}
