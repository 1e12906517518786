"""The plan: what is scored, in which order, and what a second run of the same command means."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from provenance.audit import plan
from provenance.audit.errors import AuditError
from provenance.audit.items import SHARD_SIZE, Item
from provenance.audit.run import Choice, score_source
from tests.audit import make
from tests.audit.drive import LOADER


def items(n: int) -> list[Item]:
    """Return n items."""
    return [Item(f"{i:05d}.wav", "file", f"{i:05d}.wav", n_bytes=1000 + i) for i in range(n)]


def planned(out: Path) -> list[str]:
    """Return the planned paths in order."""
    return [item.path for shard in plan.read_shards(out) for item in shard.items]


def settings(**changes: object) -> plan.Settings:
    """Return settings of a test's plan."""
    return plan.Settings("src", "m@1", "full", **changes)  # type: ignore[arg-type]


def test_every_file_once_in_shards_of_64(tmp_path: Path) -> None:
    """Every listed file is planned once, a repeated one too, in shards of 64; a small set is cut finer."""
    counts = plan.make(tmp_path, settings(), [*items(3000), *items(3)])
    assert planned(tmp_path) == [item.path for item in items(3000)]
    assert max(len(shard.items) for shard in plan.read_shards(tmp_path)) == SHARD_SIZE
    assert (counts.n_listed, counts.n_planned, counts.n_repeated, counts.n_shards) == (3000, 3000, 3, 47)
    (tmp_path / "small").mkdir()
    assert plan.make(tmp_path / "small", settings(), items(70)).n_shards == 24


def test_what_was_passed_over_is_kept_with_the_plan(tmp_path: Path) -> None:
    """The plan keeps the endings met most often, however many there were, and a plan of before reads as of none."""
    passed = {f".{i:04d}": 2 for i in range(900)} | {".wma": 7, "other": 1}
    plan.make(tmp_path, settings(), items(3), passed)
    kept = plan.read_counts(tmp_path).passed
    assert next(iter(kept.items())) == (".wma", 7)
    assert sum(kept.values()) == sum(passed.values())
    assert len(kept) < 20
    file = tmp_path / "plan.jsonl"
    file.write_text(file.read_text().replace(json.dumps(kept), "{}").replace(', "passed": {}', ""))
    assert "passed" not in file.read_text()
    assert plan.read_counts(tmp_path).passed == {}


def test_new_files_are_added_and_nothing_planned_moves(tmp_path: Path) -> None:
    """A rerun keeps the shards there are and puts new files into new ones; files that are gone are an error."""
    plan.make(tmp_path, settings(), items(100))
    before = list(plan.read_shards(tmp_path))
    counts = plan.make(tmp_path, settings(), [Item("0.wav", "file", "0.wav"), *items(150)])
    after = list(plan.read_shards(tmp_path))
    assert after[: len(before)] == before
    assert counts.n_planned == len(planned(tmp_path)) == len(set(planned(tmp_path))) == 151
    with pytest.raises(AuditError, match="51 of 151 planned files are no longer in src"):
        plan.make(tmp_path, settings(), items(100))


@pytest.mark.parametrize(("field", "value"), [("model", "m@2"), ("coverage", "sparse"), ("source", "other")])
def test_a_folder_holds_one_audit(tmp_path: Path, field: str, value: str) -> None:
    """Another model, coverage or source needs another folder."""
    plan.make(tmp_path, settings(), items(3))
    other = plan.Settings(**{"source": "src", "model": "m@1", "coverage": "full", field: value})
    with pytest.raises(AuditError, match=f"holds an audit with {field}"):
        plan.make(tmp_path, other, items(3))


def test_a_sample_is_random_nested_and_blind_to_names(tmp_path: Path) -> None:
    """Samples of one seed nest, so a larger one only adds; each file is as likely as another; seeds differ."""
    chosen = {}
    for n in (50, 80):
        (tmp_path / str(n)).mkdir()
        plan.make(tmp_path / str(n), settings(sample=n, shuffled=True), items(1000))
        chosen[n] = planned(tmp_path / str(n))
    assert set(chosen[50]) < set(chosen[80])
    hits = np.zeros(200)
    for seed in range(300):
        order = sorted(items(200), key=lambda item: item.order(seed))[:50]
        hits[[int(item.path[:5]) for item in order]] += 1
    chi_squared = float(((hits - 75) ** 2 / (75 * 0.75)).sum())
    assert 140 < chi_squared < 265


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    """A folder that an audit is writing to is refused to a second one."""
    with plan.locked(tmp_path), pytest.raises(AuditError, match="another audit is writing here"), plan.locked(tmp_path):
        pass


def test_a_budget_stops_early_and_a_rerun_goes_on(tmp_path: Path) -> None:
    """A spent budget starts no shard and leaves a random order behind; without it the same folder is finished."""
    make.files(tmp_path / "in", [f"{i:02d}.wav" for i in range(40)])
    call = functools.partial(score_source, str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    stopped = call(choice=Choice(budget_s=0.0))
    assert stopped.stopped
    assert stopped.n_done == 0
    order = planned(tmp_path / "out")
    assert order != sorted(order)
    assert sorted(order) == [str(tmp_path / "in" / f"{i:02d}.wav") for i in range(40)]
    assert call().n_done == 40
    assert planned(tmp_path / "out") == order
