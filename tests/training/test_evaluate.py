"""The unseen protocol: which rows are judged, with what others fixed, and how far luck moves a figure."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.test_report import scored
from tests.training.test_splits import clip
from training import calibrate, config, evaluate, heads, refit


def test_intervals_resample_what_is_held_out_as_one() -> None:
    """Clips without a repository go song by song (as one unit their interval had no width), shared songs as one."""
    files = scored()
    low, high = evaluate.interval(files, evaluate.auc, 0) or (0.0, 0.0)
    assert high - low > 0.02
    assert evaluate.interval(files.assign(unit="repo:owner/one"), evaluate.auc, 0) is None
    clips = [
        clip(0, "field", "first song", "", "", "vocals"),
        clip(1, "field", "second song", "", "", "vocals"),
        clip(2, "field", "a shared song", "owner/one", "", "vocals"),
        clip(3, "field", "a shared song", "owner/two", "", "vocals"),
    ]
    rows = pd.DataFrame({
        "clip": [each.name for each in clips], "kind": "clean", "window": 0, "origin": "studio", "family": "",
        "sdr_db": np.nan, "fold": 0, "n_frames": 9,
    })  # fmt: skip
    meta = evaluate.describe_rows(rows, clips, [Path("a/manifest.csv")], {})
    units = evaluate.files(meta, {"logit": np.zeros(4)}, np.ones(4, bool)).set_index("clip")["unit"]
    assert units["0.wav"] != units["1.wav"]
    assert units["2.wav"] == units["3.wav"]


@pytest.mark.parametrize(
    ("files", "labels"),
    [(("one/manifest.csv", "two/manifest.csv"), ("one", "two")), (("one/a.csv", "one/b.csv"), ("one/a", "one/b"))],
)
def test_manifests_are_told_apart(files: tuple[str, str], labels: tuple[str, str]) -> None:
    """By their folder, and by their own name where one folder has both."""
    clips = [
        dataclasses.replace(clip(number, "field", f"song number {number}", "", "", "vocals"), manifest=number)
        for number in range(2)
    ]
    rows = pd.DataFrame({
        "clip": [each.name for each in clips], "kind": "clean", "window": 0, "origin": "studio", "family": "",
        "sdr_db": np.nan, "fold": 0, "n_frames": 9,
    })  # fmt: skip
    meta = evaluate.describe_rows(rows, clips, [Path(file) for file in files], {})
    assert tuple(meta["manifest"]) == labels


def test_a_manifest_of_this_folder_is_named_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`catalogue.csv` lies in a folder that has a name."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    only = [clip(0, "field", "a song", "", "", "vocals")]
    rows = pd.DataFrame([{"clip": only[0].name, "kind": "clean", "family": ""}])
    assert list(evaluate.describe_rows(rows, only, [Path("catalogue.csv")], {})["manifest"]) == ["mine"]


def test_clips_that_are_struck_are_learnt_from_and_not_judged(tmp_path: Path) -> None:
    """Their rows teach and are no one's figures; a file that names a clip nobody has is refused by that name."""
    meta = pd.DataFrame({
        "clip": ["a", "a", "b", "c"], "kind": "clean", "origin": ["studio", "studio", "studio", "separated"],
        "fold": [0, 0, 1, 1], "family_fold": [-1, -1, -1, 1], "oracle": False,
    })  # fmt: skip
    file = tmp_path / "struck.csv"
    file.write_text("clip,flag\na,two_sources\n")
    struck = evaluate.strike(meta, [file])
    assert evaluate.judged_rows(meta, 2).tolist() == [True] * 4
    assert evaluate.judged_rows(struck, 2).tolist() == [False, False, True, True]
    assert evaluate.training_rows(struck, 1).tolist() == [True, True, False, False]
    assert evaluate.without_struck(pd.DataFrame({"clip": ["a", "c"]}), struck)["clip"].tolist() == ["c"]
    assert not evaluate.strike(meta, [])["struck"].any()
    file.write_text("clip,flag\nz,two_sources\n")
    with pytest.raises(ValueError, match=r"struck.csv: found clip z"):
        evaluate.strike(meta, [file])
    assert not evaluate.strike(meta, [file], besides=["z"])["struck"].any()


def test_heads_that_are_fitted_anew_say_nothing_of_clips_that_are_struck() -> None:
    """By which they are in no figure of theirs."""
    meta = pd.DataFrame({"fold": [0, 0, 1], "struck": [True, False, False]})
    held = refit.held_out(
        meta, config.load(refit.CONFIG_FILE), lambda fold, rows: {"p": np.full(rows.sum(), float(fold))}
    )
    np.testing.assert_array_equal(held["p"], [np.nan, 0.0, 1.0])


def test_an_allowance_comes_from_the_other_folds() -> None:
    """What a rework adds in one fold is to be taken off the other's; nothing where even odds are not exceeded."""
    rng = np.random.default_rng(10)
    n = 8000
    separated, worked, fold = rng.random(n) < 0.4, rng.random(n) < 0.4, np.arange(n) % 2
    meta = pd.DataFrame({
        "kind": np.where(worked, "reworked", "clean"), "origin": np.where(separated, "separated", "studio"),
        "family": np.where(separated, "a", ""), "fold": fold, "family_fold": np.where(separated, fold, -1),
        "oracle": False, "struck": False,
    })  # fmt: skip
    raised = np.where(fold == 0, 0.5, 1.0) * worked
    plain = np.where(separated, 1.0, -1.0) + rng.normal(0, 1, n)
    held = {"logit": plain + raised, "p_reworked": np.where(worked, 1.0, 0.4)}
    out, of_all = evaluate.allow_for_rework(meta, held)
    assert out["eased"][~worked] == pytest.approx(0.0)
    assert out["eased"][worked & (fold == 0)] == pytest.approx(1.0, abs=0.12)
    assert out["eased"][worked & (fold == 1)] == pytest.approx(0.5, abs=0.12)
    assert of_all == pytest.approx(0.75, abs=0.12)
    assert np.array_equal(out["logit"], plain + raised)


def test_a_rework_keeps_windows_from_the_line_and_clears_none() -> None:
    """Above the line to ``separated`` something is taken off, down to just below it; below it nothing is."""
    fixed = evaluate.Limits(calibrate.Calibration(2.0, 0.5), 0.9, 0.2, 3.0)
    meta = pd.DataFrame({"fold": [0, 0, 0, 0, 1]})
    logit, eased = np.array([-2.0, 0.5, 3.0, 3.0, 3.0]), np.array([0.7, 0.7, 0.7, 5.0, 0.7])
    held = evaluate.guard(meta, {"logit": logit, "eased": eased}, {0: fixed})
    line = evaluate.line_of(fixed)
    assert 0.898 < calibrate.calibrate(line, fixed.platt) < 0.9
    assert held["logit"] == pytest.approx([-2.0, 0.5, 2.3, line, 3.0])
    assert evaluate.guard(meta, {"logit": logit}, {0: fixed})["logit"] is logit


def test_what_was_gated_is_kept_at_the_line() -> None:
    """What is surely gated comes down to just below the line, whatever a rework adds; the rest stays."""
    fixed = evaluate.Limits(calibrate.Calibration(2.0, 0.5), 0.9, 0.2, 3.0)
    meta = pd.DataFrame({"fold": [0, 0, 0, 0]})
    logit, barred = np.array([-2.0, 9.0, 9.0, 9.0]), heads.held_back(np.array([0.9, 0.9, 0.5, 0.1]))
    line = evaluate.line_of(fixed)
    held = evaluate.guard(meta, {"logit": logit, "barred": barred}, {0: fixed})
    assert held["logit"] == pytest.approx([-2.0, line, 9.0, 9.0])
    eased = np.array([0.0, 0.0, 0.7, 0.0])
    held = evaluate.guard(meta, {"logit": logit, "barred": barred, "eased": eased}, {0: fixed})
    assert held["logit"] == pytest.approx([-2.0, line, 8.3, 9.0])
