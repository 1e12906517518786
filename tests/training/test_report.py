"""Figures of held-out files against scikit-learn, and where they must not come out too good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from training import config, report


def scored(n: int = 120, seed: int = 0, **columns: object) -> pd.DataFrame:
    """Held-out files of three folds, whose log odds overlap."""
    rng = np.random.default_rng(seed)
    separated = np.arange(n) % 2 == 1
    plain = {"codec": "WAV", "n_frames": 100}
    return pd.DataFrame(plain | {
        "unit": [f"song {k // 4}" for k in range(n)], "fold": np.arange(n) // 4 % 3, "separated": separated,
        "logit": rng.normal(np.where(separated, 1.0, -1.0), 1.0), "called": np.where(separated, "separated", "studio"),
    } | columns)  # fmt: skip


@pytest.mark.parametrize("n", [30, 120, 1200])
def test_what_is_caught_at_a_rate_of_false_alarms_is_what_the_curve_says(n: int) -> None:
    """No more true stems lie above the line than the rate allows; of twenty, none at 1 %."""
    files = scored(n)
    found = report.caught_at(files)
    for rate in report.FALSE_ALARMS:
        shares = []
        for _, part in files.groupby("fold"):
            alarms, caught, _ = roc_curve(part["separated"], part["logit"], drop_intermediate=False)
            shares.append(caught[alarms <= rate + 1e-9].max())
        assert found[f"{rate:g}"] == pytest.approx(np.mean(shares), abs=1e-4)


def test_coding_that_tells_the_origin_shows_among_few_files() -> None:
    """A leaf of twenty files would call two codings of forty files the same, and say that nothing is wrong."""
    files = scored(36, codec=np.where(np.arange(36) % 2, "WAV", "VORBIS"))
    assert report.metadata_probe(files) == 1.0
    assert report.metadata_probe(scored(36)) == 0.5


def test_no_figure_is_of_a_clip_that_stays_unjudged() -> None:
    """Nor that of families which were learnt from."""
    meta = pd.DataFrame({
        "clip": ["a", "b", "c", "d"], "kind": "clean", "origin": ["studio", "studio", "separated", "separated"],
        "fold": 0, "family_fold": [-1, -1, 1, 1], "oracle": False, "struck": [True, False, True, False], "n_frames": 9,
        "stem": "vocals", "set": "s", "repo": "r", "song": "g", "family": "", "manifest": "m", "codec": "",
        "separator": "", "wetness": "wet", "sdr_db": np.nan,
    })  # fmt: skip
    seen = report.seen_family(meta, {"logit": np.zeros(4)}, type("Config", (), {"n_folds": 3}))  # type: ignore[arg-type]
    assert seen["clip"].tolist() == ["b", "d"]


def test_the_table_of_files_is_decided_like_the_figures(root: Path, tmp_path: Path) -> None:
    """What a rework keeps from the line is undecided in ``files.csv`` too."""
    n = 600
    separated = np.arange(n) % 2 == 1
    rng = np.random.default_rng(11)
    meta = pd.DataFrame({
        "clip": [f"c{k}" for k in range(n)], "kind": "clean", "window": 0, "fold": np.arange(n) // 2 % 3,
        "origin": np.where(separated, "separated", "studio"), "family": np.where(separated, "a", ""), "oracle": False,
        "struck": False, "stem": "vocals", "set": "true", "repo": "r", "song": "s", "manifest": "m", "sdr_db": np.nan,
        "codec": "WAV", "separator": "", "wetness": "unknown", "n_frames": 100,
    })  # fmt: skip
    meta["family_fold"] = np.where(separated, meta["fold"], -1)
    logit = np.where(separated, 2.0, -2.0) + rng.normal(0, 0.5, n)
    eased = np.where(np.arange(n) == 1, 9.0, 0.0)
    held = {"logit": logit, "distance": np.ones(n)}
    by = config.load(root / "training" / "stem-v1.toml")
    called = []
    for said in (held, held | {"eased": eased}):
        report.write(tmp_path, {"reliability": [], "risk": []}, meta, said, by)
        called.append(pd.read_csv(tmp_path / "files.csv").set_index("clip")["called"])
    assert called[0]["c1"] == "separated"
    assert called[1]["c1"] == "undecided"
    assert called[0].drop("c1").equals(called[1].drop("c1"))
