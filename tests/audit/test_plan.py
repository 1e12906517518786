"""The plan: what is scored, in which order, and what a second run of the same command means."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from provenance.audit import plan, run, store, summary
from provenance.audit.errors import AuditError
from provenance.audit.items import SHARD_SIZE, Claims, Item
from provenance.audit.run import Choice, score_source
from provenance.audit.shard import Options
from provenance.audit.sources import list_items
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
    """A rerun keeps the shards there are and puts new files into new ones; what was scored stays."""
    plan.make(tmp_path, settings(), items(100))
    before = list(plan.read_shards(tmp_path))
    counts = plan.make(tmp_path, settings(), [Item("0.wav", "file", "0.wav"), *items(150)])
    after = list(plan.read_shards(tmp_path))
    assert after[: len(before)] == before
    assert counts.n_planned == len(planned(tmp_path)) == len(set(planned(tmp_path))) == 151


def test_files_that_are_gone_or_changed_leave_the_plan(tmp_path: Path) -> None:
    """What is no longer as it was is taken out and counted, a changed file is new; with nothing left it is an error."""
    plan.make(tmp_path, settings(), items(100))
    counts = plan.make(tmp_path, settings(), [replace(items(1)[0], changed=7), *items(100)[1:90]])
    assert (counts.n_planned, counts.n_listed, counts.n_gone) == (90, 90, 11)
    assert sorted(planned(tmp_path)) == [item.path for item in items(90)]
    assert len({shard.number for shard in plan.read_shards(tmp_path)}) == len(list(plan.read_shards(tmp_path)))
    assert plan.make(tmp_path, settings(), [replace(items(1)[0], changed=7), *items(100)[1:90]]).n_gone == 0
    with pytest.raises(AuditError, match="none of the 90 planned files is in src as it was"):
        plan.make(tmp_path, settings(), [Item("other.wav", "file", "other.wav")])


def test_a_container_that_was_changed_is_scored_again(tmp_path: Path) -> None:
    """A tar that a member was put into is another file for each of its members; all of them are judged anew."""
    source = tmp_path / "in.tar"
    for names in (["a.wav", "b.wav"], ["c.wav"]):
        with tarfile.open(source, "a") as tar:
            for file in make.files(tmp_path / "in", names):
                tar.add(file, file.name)
        os.utime(source, ns=(len(names), len(names)))
        done = score_source(str(source), tmp_path / "out", workers=1, loader=LOADER)
    assert done.n_done == 3
    assert plan.read_counts(tmp_path / "out").n_gone == 2


def test_a_plan_of_before_goes_on_by_path_and_size(tmp_path: Path) -> None:
    """A plan that knows no dates takes a file of the same path and size for the same."""
    plan.make(tmp_path, settings(), items(5))
    file = tmp_path / "plan.jsonl"
    file.write_text(
        file.read_text().replace('"dated": true, ', "").replace(', "n_gone": 0', "").replace(", [], 0]", ", []]")
    )
    counts = plan.make(tmp_path, settings(), [replace(item, changed=7) for item in items(6)])
    assert (counts.n_planned, counts.n_gone) == (6, 0)


def test_two_spellings_are_one_file_and_two_claims_are_refused(tmp_path: Path) -> None:
    """``a.wav`` and ``./a.wav`` are scored once; claims that contradict each other are the vendor's to mend."""
    twice = [Item("a.wav", "file", "in/a.wav"), Item("./a.wav", "file", "in/./a.wav")]
    counts = plan.make(tmp_path, settings(), twice)
    assert (counts.n_planned, counts.n_repeated) == (1, 1)
    claims = [
        replace(item, claims=Claims(origin=origin)) for item, origin in zip(twice, ("separated", "studio"), strict=True)
    ]
    with pytest.raises(AuditError, match=r"\./a\.wav: found it twice with .* differ \(origin: separated, studio\)"):
        plan.make(tmp_path, settings(), claims)
    absolute = [Item(str(Path("in/a.wav").absolute()), "file", str(Path("in/a.wav").absolute())), twice[0]]
    numbered = [replace(item, claims=Claims(extra=str(i))) for i, item in enumerate(absolute)]
    counts = plan.make(tmp_path, settings(), numbered)
    assert (counts.n_planned, counts.n_repeated, counts.n_gone) == (1, 1, 0), "a number of the row is no claim"


def test_claims_that_changed_are_in_the_rows_without_scoring_anew(tmp_path: Path) -> None:
    """A manifest that was mended says so in plan and parts; verdicts stay, and nothing is left to score."""
    make.files(tmp_path, [f"{i}.wav" for i in range(70)])
    manifest, out = tmp_path / "m.csv", tmp_path / "out"
    manifest.write_text("path,claimed_origin\n" + "".join(f"{i}.wav,studio\n" for i in range(70)))
    score_source(str(manifest), out, workers=1, loader=LOADER)
    with store.connect(out) as db:
        before = store.fetch(db, "select path, p_separated, landmarks, shard from stems order by path")
    said = "".join(f"{i}.wav,{'separated' if i == 3 else 'studio'},{i % 7 or ''}\n" for i in range(70) if i != 5)
    manifest.write_text("path,claimed_origin,song\n" + said)
    made = plan.make(out, plan.read_settings(out), list_items(str(manifest)))
    assert (made.n_planned, made.n_gone, made.n_restated) == (69, 1, 59)
    with store.connect(out) as db:
        now = store.fetch(db, "select path, p_separated, landmarks, shard from stems order by path")
        claims = store.fetch(db, "select path, claimed_origin as origin, song from stems where song is not null")
        refuted = store.fetch(db, "select path from stems where claimed_origin <> 'studio'")
    assert now == [row for row in before if row["path"] != "5.wav"]
    assert len(claims) == 59
    assert all(row["song"] == str(int(row["path"][:-4]) % 7) for row in claims)
    assert refuted == [{"path": "3.wav"}]
    assert plan.make(out, plan.read_settings(out), list_items(str(manifest))).n_restated == 0


def test_a_call_killed_while_it_takes_out_rows_costs_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were taken out before the plan said so are scored again where their files are back."""
    make.files(tmp_path / "in", [f"{i:02d}.wav" for i in range(70)])
    call = functools.partial(score_source, str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    call()
    (tmp_path / "in" / "05.wav").rename(tmp_path / "05.wav")
    with monkeypatch.context() as patch:
        patch.setattr(plan, "_write_shards", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            call()
    (tmp_path / "05.wav").rename(tmp_path / "in" / "05.wav")
    assert call().n_done == 70
    with store.connect(tmp_path / "out") as db:
        assert store.fetch(db, "select count(distinct path) as n from stems") == [{"n": 70}]


def _interrupt(*_: object) -> int:
    raise KeyboardInterrupt


def test_a_replaced_file_is_scored_again_and_a_removed_one_has_no_row(tmp_path: Path) -> None:
    """A file of the same size in the place of another is judged anew; rows of what was removed are gone."""
    make.files(tmp_path / "in", [f"{i}.wav" for i in range(70)])
    call = functools.partial(score_source, str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    call()
    os.utime(tmp_path / "in" / "3.wav", ns=(1, 1))
    (tmp_path / "in" / "5.wav").unlink()
    assert call().n_done == 69
    with store.connect(tmp_path / "out") as db:
        rows = store.fetch(db, "select path, count(*) as n, max(shard) as shard from stems group by 1 order by path")
    assert [row["path"] for row in rows] == [
        str(tmp_path / "in" / name) for name in sorted(os.listdir(tmp_path / "in"))
    ]
    assert {row["n"] for row in rows} == {1}
    (again,) = [row["shard"] for row in rows if row["path"].endswith("/3.wav")]
    assert again > max(row["shard"] for row in rows if not row["path"].endswith("/3.wav")), (
        "it was scored in a new shard"
    )


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


def test_a_larger_sample_is_random_too(tmp_path: Path) -> None:
    """What a larger sample of the same set adds follows in the same order; a smaller one would throw rows away."""
    plan.make(tmp_path, settings(sample=50, shuffled=True), items(1000))
    counts = plan.make(tmp_path, settings(sample=80, shuffled=True), items(1000))
    assert (counts.n_planned, counts.n_gone) == (80, 0)
    assert plan.read_settings(tmp_path).shuffled
    with pytest.raises(AuditError, match="holds a sample of 80; found --sample 20; needed: as many or more"):
        plan.make(tmp_path, settings(sample=20, shuffled=True), items(1000))
    plan.make(tmp_path, settings(sample=80, shuffled=True), items(2000))
    assert not plan.read_settings(tmp_path).shuffled, "new files lie among those before, and are scored after them"


def test_a_whole_sample_is_random_whatever_came_in_between(tmp_path: Path) -> None:
    """A sample that grew, and one of a set that grew, is one of the whole set once it is scored."""
    make.files(tmp_path / "in", [f"{i:02d}.wav" for i in range(40)])
    call = functools.partial(score_source, str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    for n_files, n in ((40, 10), (40, 20), (60, 20)):
        make.files(tmp_path / "in", [f"{i:02d}.wav" for i in range(40, n_files)])
        call(choice=Choice(sample=n))
        found = summary.summarise(tmp_path / "out")
        assert (found["choice"]["kind"], found["choice"]["n_taken"], found["choice"]["n_set"]) == (
            "random sample", n, n_files,
        )  # fmt: skip


def test_a_source_spelt_otherwise_is_the_same(tmp_path: Path) -> None:
    """A slash that the shell put behind a folder, or the path from the root, goes on with the audit there is."""
    make.files(tmp_path / "in", ["a.wav", "b.wav"])
    with tarfile.open(tmp_path / "in" / "c.tar", "w") as tar:
        tar.add(tmp_path / "in" / "a.wav", "c.wav")
    with contextlib.chdir(tmp_path):
        for source in ("in", "in/", "./in", str(tmp_path / "in")):
            score_source(source, Path("out"), workers=1, loader=LOADER)
            counts = plan.read_counts(Path("out"))
            assert (counts.n_planned, counts.n_gone, counts.n_restated) == (3, 0, 0), source
        with pytest.raises(AuditError, match="holds an audit with source in; found other"):
            score_source("other", Path("out"), workers=1, loader=LOADER)


def test_an_audit_within_its_own_source_is_no_part_of_it(tmp_path: Path) -> None:
    """Rows and reports of an audit whose folder lies in the source are neither listed nor counted as passed over."""
    make.files(tmp_path, ["a.wav"])
    for _ in range(2):
        score_source(str(tmp_path), tmp_path / "audits" / "out", workers=1, loader=LOADER)
        counts = plan.read_counts(tmp_path / "audits" / "out")
        assert (counts.n_listed, counts.passed) == (1, {})


def test_files_named_like_an_audits_hide_nothing(tmp_path: Path) -> None:
    """Audio beside and below what is named as an audit names its own is listed like any other."""
    hidden = tmp_path / "in" / "vendor"
    make.files(hidden, ["a.wav", "parts/b.wav", "journal/c.wav"])
    for name in ("lock", "plan.jsonl"):
        (hidden / name).touch()
    score_source(str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    assert plan.read_counts(tmp_path / "out").n_listed == 3


def test_the_source_itself_is_no_folder_for_its_audit(tmp_path: Path) -> None:
    """It is refused before anything is written, however it is spelt, and can be audited elsewhere afterwards."""
    make.files(tmp_path / "in", ["a.wav"])
    with contextlib.chdir(tmp_path / "in"), pytest.raises(AuditError, match="found the source itself"):
        score_source(".", Path("../in"), workers=1, loader=LOADER)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.wav"]
    score_source(str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    assert plan.read_counts(tmp_path / "out").n_listed == 1


def test_a_damaged_part_is_scored_again(tmp_path: Path) -> None:
    """What a loss of power left of a part is no traceback: the report says what to do, and a rerun does it."""
    make.files(tmp_path / "in", ["a.wav", "b.wav"])
    out = tmp_path / "out"
    call = functools.partial(score_source, str(tmp_path / "in"), out, workers=1, loader=LOADER)
    call()
    part = next((out / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(AuditError, match="needed: run the audit again"):
        summary.summarise(out)
    (tmp_path / "in" / "b.wav").unlink()
    assert call().n_done == 1
    assert summary.summarise(out)["files"]["n_rows"] == 1


def test_as_many_workers_as_cores_may_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that is held to one core of many starts one worker."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    (tmp_path / "journal").mkdir()
    engine = run._engine("local", Options(str(tmp_path)), None, None, 100)
    assert engine.n_slots == 1
    engine.close()


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
