"""The weight of the clock of blocks: as high as the evidence, no higher, and put into a model whole."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import typer

import provenance
from provenance import bundle
from tests import sounds
from tests.provenance.test_cycles import strided
from training import cycles


def table(n_true: int = 1000, n_separated: int = 100, shown: float = 0.5, seed: int = 0) -> pd.DataFrame:
    """True stems around 0.8, extractions of two families of which a share of one shows the clock."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0.8, 0.08, n_true)
    separated = rng.normal(0.8, 0.08, n_separated)
    separated[: int(shown * n_separated)] += 1.0
    return pd.DataFrame({
        "origin": ["studio"] * n_true + ["separated"] * n_separated,
        "family": [""] * n_true + ["strides"] * (n_separated // 2) + ["masks"] * (n_separated - n_separated // 2),
        "fold": np.arange(n_true + n_separated) % 3,
        "cycles": np.r_[true, separated],
    })  # fmt: skip


def test_the_weight_rises_over_the_far_end_of_true_stems() -> None:
    """Below 99 of 100 true stems nothing is added; beyond all of them, what their number allows to say."""
    found = table()
    weight = cycles.fit(found)
    true = found.loc[found["origin"] == "studio", "cycles"]
    assert np.mean([weight.of(value) > 0 for value in true]) <= 0.011
    assert weight.raises[0] == 0
    assert weight.of(1.8) == weight.raises[-1] == pytest.approx(np.log(0.5 / 0.00299), abs=0.6)
    assert cycles.fit(table(n_true=10_000)).raises[-1] > weight.raises[-1] + 1


def test_what_extractions_do_not_show_adds_nothing() -> None:
    """A cue that looks alike in both classes weighs next to nothing."""
    assert max(cycles.fit(table(n_separated=2_000, shown=0.0)).raises) < 1.0


def test_families_count_alike() -> None:
    """Ten times as many files of the family that shows it make it no more likely among extractions."""
    few, many = table(), table()
    more = few[few["family"] == "strides"]
    assert cycles.fit(pd.concat([many, *[more] * 9])).raises == cycles.fit(few).raises


def test_no_clip_at_all_is_told() -> None:
    """A catalogue without one that sounds ends in words, not in the name of a column."""
    with pytest.raises(ValueError, match="found no clip that sounds"):
        cycles.measure([], 1)


def test_one_origin_alone_is_refused() -> None:
    """Nothing can be weighed against nothing."""
    with pytest.raises(ValueError, match="clips of one origin"):
        cycles.fit(table(n_separated=0))


def test_files_are_judged_by_points_of_other_folds() -> None:
    """A fold of true stems that show the clock, which no other fold has, is counted against it."""
    found = table()
    odd = (found["origin"] == "studio") & (found["fold"] == 0)
    found.loc[odd, "cycles"] += 1.0
    figures = cycles.judge(found)
    assert figures["studio_last"] == pytest.approx(odd.sum() / 1000, abs=0.01)
    assert figures["by_family"]["strides"]["last"] > 0.3 > figures["by_family"]["masks"]["first"]
    assert cycles.judge(table())["studio_second"] < 0.01


def test_a_model_gets_its_weight_by_one_command(tmp_path: Path, root: Path) -> None:
    """Real files, a real process: the graph says what it said, its checksum is another, and verdicts use the weight."""
    rows = []
    for k in range(12):
        rows.append((f"true{k}.wav", "studio", "", sounds.noise(4.0, seed=k)))
        rows.append((f"sep{k}.wav", "separated", ("demucs", "spleeter", "open-unmix")[k % 3], strided(4.0, seed=k)))
    for name, _, _, wave in rows:
        sounds.write(tmp_path / name, wave, subtype="PCM_16")
    manifest = tmp_path / "manifest.csv"
    lines = [f"{name},song {name},other,{origin},{separator}" for name, origin, separator, _ in rows]
    manifest.write_text("\n".join(["clip,song_id,stem,origin,separator", *lines]) + "\n", encoding="utf-8")
    source, out = root / "models" / "stem-v1", tmp_path / "weighed"
    done = subprocess.run(
        [sys.executable, "-m", "training.cycles", str(source), str(manifest), "--out", str(out), "--workers", "1",
         "--cues", str(tmp_path / "cues.csv")],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    measured = pd.read_csv(tmp_path / "cues.csv")
    assert measured.loc[measured["origin"] == "separated", "cycles"].min() > 1.3
    assert measured.loc[measured["origin"] == "studio", "cycles"].max() < 1.05
    model = bundle.load(out)
    assert model.cycles is not None
    assert model.cycles.raises[-1] > 0.5
    assert model.sha256 == hashlib.sha256((out / "model.onnx").read_bytes()).hexdigest()
    before, after = (onnx.load(folder / "model.onnx") for folder in (source, out))
    assert before.graph == after.graph
    notes = {prop.key: json.loads(prop.value) for prop in after.metadata_props}
    assert tuple(notes["cycles"]["values"]) == model.cycles.values
    assert "The clock of blocks" in (out / "README.md").read_text(encoding="utf-8")
    scorer = provenance.Scorer(out)
    window = strided(4.0, seed=99)
    found = scorer.score((window, sounds.RATE_HZ))
    raised = found.p_separated
    assert raised is not None
    assert found.segments[0].p_separated is not None
    assert np.log(raised / (1 - raised)) > np.log(found.segments[0].p_separated / (1 - found.segments[0].p_separated))


def test_a_manifest_that_is_missing_is_named(tmp_path: Path, root: Path) -> None:
    """One line on stderr, exit 2, and nothing is written."""
    done = subprocess.run(
        [sys.executable, "-m", "training.cycles", "models/stem-v1", str(tmp_path / "none.csv"), "--out",
         str(tmp_path / "out")], cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no such manifest" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_cue_asks_for_no_other_head_and_for_this_front_end(tmp_path: Path, root: Path) -> None:
    """A model without heads of processing and effects is weighed; one whose graph was made for another is refused."""
    manifest = tmp_path / "manifest.csv"
    lines = []
    for k in range(3):
        sounds.write(tmp_path / f"true{k}.wav", sounds.noise(2.0, seed=k))
        sounds.write(tmp_path / f"sep{k}.wav", strided(2.0, seed=k))
        lines += [f"true{k}.wav,true {k},other,studio,", f"sep{k}.wav,sep {k},other,separated,demucs"]
    manifest.write_text("\n".join(["clip,song_id,stem,origin,separator", *lines]) + "\n", encoding="utf-8")
    folder = tmp_path / "model"
    shutil.copytree(root / "models" / "stem-v1", folder)
    file = folder / "config.json"
    described = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(described | {"heads": ["origin"]}), encoding="utf-8")
    cycles.main(folder, [manifest], tmp_path / "weighed", workers=1)
    assert bundle.load(tmp_path / "weighed").heads == {"origin"}
    file.write_text(json.dumps(described | {"frontend": described["frontend"] | {"hop": 512}}), encoding="utf-8")
    with pytest.raises(typer.Exit):
        cycles.main(folder, [manifest], tmp_path / "other", workers=1)
    assert not (tmp_path / "other").exists()
