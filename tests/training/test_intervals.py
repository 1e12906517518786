"""Figures of SDR over several deals, put into the model that ships."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import typer
from typer.testing import CliRunner

from provenance import bundle, frontend
from tests.training.test_report_separation import scored
from training import intervals, refit, report

MODEL = Path("models") / "stem-v1"


@pytest.fixture
def deals(tmp_path: Path, root: Path) -> Path:
    """Two deals of the shipped model's head, one of another head, and one of another configuration."""
    rng = np.random.default_rng(3)
    settings = json.loads((root / MODEL / "evaluation.json").read_text(encoding="utf-8"))["training"]["sdr"]
    rows = []
    for deal in (0, 1):
        unseen, known = scored(rng, 0.3), scored(rng, 0.2)
        figures = {"sdr": report.sdr(unseen), "sdr_seen_family": report.sdr(known, unseen)}
        rows.append({"config": "stem-v1", "deal": deal, "head": "sdr", "settings": settings} | figures)
    rows += [rows[1] | {"head": "origin", "deal": 2}, rows[1] | {"config": "other", "deal": 3}]
    file = tmp_path / "deals.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_the_means_of_the_deals_are_what_the_model_states(deals: Path, tmp_path: Path, root: Path) -> None:
    """Figures, interval and card are of both deals; the verdict's interval is that; other heads say what they said."""
    out = tmp_path / "stem-v1"
    intervals.put(root / MODEL, deals, out, "stem-v1")
    rows = [json.loads(line) for line in deals.read_text(encoding="utf-8").splitlines()][:2]
    evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    told = evaluation["figures"]["sdr"]
    assert told["deals"] == 2
    assert told["mae_db"] == pytest.approx(np.mean([row["sdr"]["mae_db"] for row in rows]), abs=1e-3)
    assert told["mae_spread_db"] == pytest.approx(np.std([row["sdr"]["mae_db"] for row in rows]), abs=1e-3)
    assert sum(band["n"] for band in told["by_estimate"]) == pytest.approx(300, abs=1)
    interval = bundle.load(out).sdr_interval
    assert asdict(interval) == pytest.approx(told["interval"])
    assert interval.half_width(12.0) > 1.5 * interval.half_width(4.0)
    card = " ".join((out / "README.md").read_text(encoding="utf-8").split())
    assert f"± {interval.half_width(10.0):.1f} dB at 10 dB" in card
    assert "In the mean of 2 deals" in card
    sessions = [
        onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        for folder in (root / MODEL, out)
    ]
    names = [output.name for output in sessions[0].get_outputs() if output.name != "sdr_db"]
    given = refit.inputs_of(sessions[0], some_features())
    for name, old, new in zip(names, *(session.run(names, given) for session in sessions), strict=True):
        assert np.array_equal(old, new, equal_nan=True), name


def some_features() -> np.ndarray:
    """A few rows as wide as the front end's."""
    return np.random.default_rng(0).normal(0, 20, (4, frontend.N_FEATURES)).astype(np.float32)


def test_deals_of_a_configuration_of_ones_own_are_found(deals: Path, tmp_path: Path, root: Path) -> None:
    """As the guide writes it, without its name: the one there is; where there are others they are named."""
    rows = [json.loads(line) for line in deals.read_text(encoding="utf-8").splitlines()]
    settings = rows[0]["settings"]
    deals.write_text("".join(json.dumps(row | {"config": "mine"}) + "\n" for row in rows), encoding="utf-8")
    assert len(intervals.read(deals, "", settings)) == 3
    with pytest.raises(
        intervals.IntervalError, match=r"found 0 deals of 'stem-v1' .*needed: two and more \(others: mine"
    ):
        intervals.read(deals, "stem-v1", settings)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda rows: rows[:1], "found 1 deals of 'stem-v1' with --head sdr; needed: two and more"),
        (lambda rows: [row | {"settings": row["settings"] | {"width": 7}} for row in rows], "found another width"),
        (lambda rows: [row | {"sdr": {"n": 4}} for row in rows], "found fewer than ten files in deal 0"),
    ],
)
def test_deals_that_say_nothing_of_the_model_are_refused(
    deals: Path, tmp_path: Path, root: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], found: str
) -> None:
    """Too few, of another head, or of too few files: one line says so and nothing is written."""
    rows = change([json.loads(line) for line in deals.read_text(encoding="utf-8").splitlines()])
    deals.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    app = typer.Typer()
    app.command()(intervals.main)
    done = CliRunner().invoke(app, [str(root / MODEL), str(deals), "--out", str(tmp_path / "new")])
    assert done.exit_code == 2
    assert found in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*new*"))
