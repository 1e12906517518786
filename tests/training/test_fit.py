"""Training from end to end on synthetic songs: interrupted, gone on with, exported, loaded and scored with."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pandas as pd
import pytest
import soundfile
import torch
import typer
from typer.testing import CliRunner

import provenance
from provenance.model import HEADS
from tests.training import songs
from training import (
    card,
    catalogue,
    config,
    dataset,
    evaluate,
    examples,
    fit,
    folds,
    nets,
    perceptron,
    publish,
    refit,
    splits,
    texture_net,
)
from training.research import repeat
from training.separators import surrogate

SEPARATORS = ("spleeter:4stems", "umxhq", "wave-u-net", "bsrnn")
CONFIG = """
name = "small"
n_folds = 3
seed = 3

[recipe]
n_windows = 1
n_augmented = 1
n_surrogates = 1
n_demucs = 0
n_classical = 0
n_networks = 0
n_processed = 1
n_submixes = 1
n_bundles = 1
n_reworked = 1
n_gated = 1
edited_share = 0.5
cleaned_share = 0.5
degraded_share = 0.0
keep_maps = {maps}
keep_onsets = {maps}

[origin]
rounds = 12
leaves = 7

[reworked]
rounds = 6
leaves = 5

[gated]
rounds = 6
leaves = 5

[origin_perceptron]
n_steps = 40
width = 8
batch = 32
share = 0.25

[processing]
rounds = 6
leaves = 7

[sdr]
n_steps = 60
width = 8
batch = 32

[effects]
rounds = 4
leaves = 7

[kind]
rounds = 4
leaves = 7

[layers]
rounds = 4
leaves = 7

[network]
channels = [4, 8, 8, 8]
width = 16
members = 2
cycles = {cycles}
n_steps = 4
further_cycles = [3]
batch = 4
share = 0.3
share_of_start = 0.25

[onsets]
channels = [4, 4, 8, 8]
width = 8
cycles = {cycles}
n_steps = 4
batch = 4
share = 0.2
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs, what four corrupted masks made of them, and dry takes, with a manifest."""
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    rows = []
    for song in range(6):
        stems = {name: songs.stem(name, 1.6, song) for name in ("vocals", "bass", "other")}
        mix = np.sum(list(stems.values()), axis=0)
        for name, wave in stems.items():
            clip = f"song{song}-{name}.flac"
            soundfile.write(folder / clip, wave, songs.RATE_HZ)
            about = {"set": "field", "song_id": f"a long song name {song}", "stem": name,
                     "source_repo": f"maker/{song}", "licence": "CC0-1.0"}  # fmt: skip
            rows.append(about | {"clip": clip, "origin": "studio", "wetness": "wet"})
            estimate, sdr = surrogate.separate(wave, mix - wave, rng)
            made = f"song{song}-{name}-separated.flac"
            soundfile.write(folder / made, np.clip(estimate, -1, 1), songs.RATE_HZ)
            separator = SEPARATORS[song % len(SEPARATORS)]
            rows.append(about | {"clip": made, "origin": "separated", "separator": separator, "sdr_db": f"{sdr:.2f}"})
        dry = f"dry{song}.flac"
        soundfile.write(folder / dry, songs.stem("vocals", 1.6, 100 + song), songs.RATE_HZ)
        rows.append({"clip": dry, "set": "dry", "song_id": f"a dry take of singer {song}", "stem": "vocals",
                     "origin": "studio", "wetness": "dry", "source_repo": f"singer/{song}",
                     "licence": "CC0-1.0"})  # fmt: skip
    (folder / "broken.flac").write_bytes(b"fLaC and then nothing")
    rows.append({"clip": "broken.flac", "set": "field", "song_id": "broken", "stem": "vocals", "origin": "studio"})
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, (*songs.COLUMNS, "sdr_db"))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


def command(manifest: Path, out: Path, *, network: bool) -> list[str]:
    """The command line of a small training."""
    config = out.parent / "config.toml"
    config.write_text(CONFIG.format(maps=str(network).lower(), cycles=[1, 1] if network else []), encoding="utf-8")
    return [
        sys.executable, "-m", "training.fit", str(manifest), "--out", str(out), "--config", str(config),
        "--work", str(out.parent / "work"), "--workers", "1",
    ]  # fmt: skip


def environment(root: Path) -> dict[str, str]:
    """One thread, and the repository's own code."""
    return os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}


def interrupt(line: list[str], root: Path, when: Callable[[], bool], how: signal.Signals) -> None:
    """Start a training and end it as soon as something is there."""
    process = subprocess.Popen(
        line, cwd=root, env=environment(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 420
        while not when() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it could be interrupted"
    finally:
        os.killpg(process.pid, how)
        process.wait(60)


@pytest.fixture(scope="module")
def trained(manifest: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int], str]:
    """A model that was killed while examples were made and again while heads were fitted, and then finished.

    Returns the model's folder, when the files made before the last run were written, and what was said on stderr.
    """
    out = tmp_path_factory.mktemp("fit") / "small"
    rows, heads = out.parent / "work" / "rows", out.parent / "work" / "heads"
    line = command(manifest, out, network=False)
    interrupt(line, root, lambda: len(list(rows.glob("*.npz"))) > 12, signal.SIGKILL)
    assert not out.exists()
    interrupt(line, root, lambda: len(list(heads.glob("*.joblib"))) >= 2, signal.SIGKILL)
    assert not out.exists()
    kept = [*rows.glob("*.npz"), *heads.glob("*.joblib")]
    before = {str(file): file.stat().st_mtime_ns for file in kept if ".part" not in file.name}
    done = subprocess.run(line, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out, before, done.stderr


@pytest.mark.slow
def test_maps_go_to_another_process_by_name(tmp_path: Path) -> None:
    """A table's pickle holds the file of the maps, not what is in it."""
    maps = np.random.default_rng(0).integers(0, 255, (40, 2, 86, 256), np.uint8)
    np.save(tmp_path / "maps.npy", maps)
    features, meta = np.zeros((40, 3), np.float32), pd.DataFrame({"n_frames": [86] * 40})
    table = dataset.Table(features, meta, np.load(tmp_path / "maps.npy", mmap_mode="r"))
    packed = pickle.dumps(table)
    assert len(packed) < maps.nbytes / 20
    np.testing.assert_array_equal(pickle.loads(packed).maps, maps)


def test_an_interrupted_training_goes_on_where_it_stopped(trained: tuple[Path, dict[str, int], str]) -> None:
    """Rows and heads that were finished before a kill are not made again, and the model is whole."""
    out, before, _ = trained
    assert sum(name.endswith(".npz") for name in before) > 12
    assert sum(name.endswith(".joblib") for name in before) >= 2
    assert all(Path(name).stat().st_mtime_ns == when for name, when in before.items())
    assert {file.name for file in out.iterdir()} == {"model.onnx", "config.json", "evaluation.json", "README.md"}
    assert not list(out.parent.glob(".small.*")), "nothing half-written is left"


@pytest.mark.slow
def test_a_second_run_gives_the_same_model(
    trained: tuple[Path, dict[str, int], str], manifest: Path, root: Path
) -> None:
    """With everything in the work folder the same model comes out, byte by byte."""
    out, _, _ = trained
    again = out.parent / "again"
    done = subprocess.run(
        command(manifest, again, network=False), cwd=root, env=environment(root), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (again / "model.onnx").read_bytes() == (out / "model.onnx").read_bytes()


@pytest.mark.slow
def test_what_could_not_be_read_is_named(trained: tuple[Path, dict[str, int], str]) -> None:
    """A broken clip is named on stderr and in the evaluation, and the rest was trained on."""
    out, _, messages = trained
    evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert "left out: " in messages
    assert "broken.flac" in messages
    assert any("broken.flac" in line for line in evaluation["failures"])
    assert f"written to {out}; unseen: AUC" in messages


@pytest.mark.slow
def test_the_folder_is_a_model(trained: tuple[Path, dict[str, int], str], manifest: Path) -> None:
    """The exported graph differs by less than 1e-4 from what was trained, loads, and scores a clip."""
    out, _, _ = trained
    evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["parity_largest_difference"] < 1e-4
    scorer = provenance.load(out)
    assert scorer.bundle.reference.startswith("small@")
    limits = scorer.bundle.thresholds
    assert 0 < limits.studio <= limits.separated < 1
    verdict = scorer.score(manifest.parent / "song0-vocals.flac")
    assert verdict.status == "ok"
    assert verdict.p_separated is not None


@pytest.mark.slow
def test_its_card_is_generated(trained: tuple[Path, dict[str, int], str]) -> None:
    """The card is what ``render`` makes of the two JSON files, and names licence, sources and settings."""
    out, _, _ = trained
    described, evaluation = (json.loads((out / f"{name}.json").read_text()) for name in ("config", "evaluation"))
    text = (out / "README.md").read_text(encoding="utf-8")
    assert text == card.render(described, evaluation)
    for needed in ("maker/0", "CC0-1.0", described["sha256"][:12], "Have your counsel", "When not to trust it"):
        assert needed in text


@pytest.mark.slow
def test_its_licence_is_that_of_its_audio(trained: tuple[Path, dict[str, int], str]) -> None:
    """Who trains on free recordings of their own gets no model that says it learnt from restricted ones."""
    described = json.loads((trained[0] / "config.json").read_text(encoding="utf-8"))
    assert "audio whose licence is not stated" in described["licence"]  # of the clip that cannot be read
    assert "non-commercial" not in described["licence"]


@pytest.mark.parametrize(
    ("licences", "begun", "words"),
    [(("CC0-1.0", "MIT"), False, "trained on audio of the licences"), (("CC0-1.0", ""), False, "licence is not stated"),
     (("see repository",), False, "licence is not stated"), (("", "CC-BY-NC-4.0"), False, "only non-commercial"),
     (("non-commercial/share-alike",), False, "only non-commercial"), (("research only",), False, "non-commercial"),
     (("CC0-1.0",), True, "only non-commercial"), (("Incubator-1.0",), False, "trained on audio of the licences")],
)  # fmt: skip
def test_the_narrowest_licence_is_told(licences: tuple[str, ...], begun: bool, words: str) -> None:
    """Restricted audio, else audio of no stated licence, else what is listed; another model brings its own."""
    clips = [SimpleNamespace(licence=licence) for licence in licences]
    assert words in (told := publish.licence_of(clips, begun))
    free = publish.licence_of([SimpleNamespace(licence="MIT")])
    assert publish.narrower(told, free) == publish.narrower(free, told) == told


@pytest.mark.slow
def test_two_heads_are_fitted_anew(
    trained: tuple[Path, dict[str, int], str], manifest: Path, root: Path, tmp_path: Path
) -> None:
    """Refitted with more rounds, processing and effects say something else, all else the same, and the card says so."""
    out, start = trained[0], tmp_path / "start"
    shutil.copytree(out, start)
    described = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    described["carried"] = {"heads": ["processing", "effects"], "from": "stem-v0@0123456789ab"}
    (start / "evaluation.json").write_text(json.dumps(described), encoding="utf-8")
    settings = tmp_path / "refit.toml"
    settings.write_text(
        CONFIG.format(maps="false", cycles=[]).replace("rounds = 6", "rounds = 9").replace("rounds = 4", "rounds = 5"),
        encoding="utf-8",
    )
    line = [
        sys.executable, "-m", "training.refit", str(start), str(manifest), "--out", str(tmp_path / "small"),
        "--config", str(settings), "--work", str(out.parent / "work"), "--workers", "1",
    ]  # fmt: skip
    done = subprocess.run(line, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "24 studio stems of known processing" in done.stderr
    song = manifest.parent / "song0-vocals.flac"
    before, after = (provenance.load(folder).score(song) for folder in (out, tmp_path / "small"))
    assert (after.p_separated, after.confidence) == (before.p_separated, before.confidence)
    assert after.effects != before.effects
    assert after.p_processing != before.p_processing
    evaluation = json.loads((tmp_path / "small" / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["refitted"]["n_dry"] == 6
    assert evaluation["refitted"]["rows"]["processed/studio"] == 12
    card_text = (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    assert "carried" not in evaluation
    assert "taken over" not in card_text
    assert "fitted anew by `python -m training.refit`" in card_text
    assert provenance.load(out).bundle.reference in card_text


@pytest.mark.slow
def test_the_head_of_gates_is_fitted_anew(
    trained: tuple[Path, dict[str, int], str], manifest: Path, root: Path, tmp_path: Path
) -> None:
    """With more rounds that head says something else, processing the same; the card names both models and counts."""
    out = trained[0]
    settings = tmp_path / "gates.toml"
    settings.write_text(CONFIG.format(maps="false", cycles=[]).replace("rounds = 6", "rounds = 9"), encoding="utf-8")
    line = [
        sys.executable, "-m", "training.regate", str(out), str(manifest), "--out", str(tmp_path / "small"),
        "--config", str(settings), "--work", str(out.parent / "work"), "--workers", "1",
    ]  # fmt: skip
    done = subprocess.run(line, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "held-out area under the curve" in done.stderr
    song = manifest.parent / "song0-vocals.flac"
    before, after = (provenance.load(folder).score(song) for folder in (out, tmp_path / "small"))
    assert after.p_processing == before.p_processing
    evaluation = json.loads((tmp_path / "small" / "evaluation.json").read_text(encoding="utf-8"))
    record = evaluation["regated"]
    assert record["rows"]["gated/studio"] == evaluation["rows"]["gated/studio"]
    assert record["figures"]["held"]["as they are"]["studio"]["n"] > 0
    assert record["training"]["gated"]["rounds"] == 9
    assert record["from"] == record["before"] == provenance.load(out).bundle.reference
    card_text = (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    assert "fitted anew by `python -m training.regate`" in card_text
    assert provenance.load(out).bundle.reference in card_text
    line[3] = str(tmp_path / "none")
    shutil.copytree(out, tmp_path / "none")
    described = json.loads((out / "config.json").read_text(encoding="utf-8"))
    described["heads"].remove("gated")
    (tmp_path / "none" / "config.json").write_text(json.dumps(described), encoding="utf-8")
    refused = subprocess.run(line, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "found no head gated" in refused.stderr


@pytest.mark.slow
def test_a_model_of_another_front_end_is_not_refitted(
    trained: tuple[Path, dict[str, int], str], tmp_path: Path
) -> None:
    """Statistics that were added at the end are no hindrance; another hop, or a head that is missing, is named."""
    out, _, _ = trained
    folder = tmp_path / "small"
    shutil.copytree(out, folder)
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))

    def read(**changes: object) -> dict[str, object]:
        (folder / "config.json").write_text(json.dumps(described | changes), encoding="utf-8")
        return refit.read(folder)[0]

    older = {k: v for k, v in described["frontend"].items() if not k.startswith("waveform")}
    found = read(frontend=older | {"version": 3, "n_features": 1273})
    assert found["frontend"] == described["frontend"]
    with pytest.raises(refit.RefitError, match="another hop"):
        read(frontend=described["frontend"] | {"hop": 512})
    with pytest.raises(refit.RefitError, match="another n_features"):
        read(frontend=described["frontend"] | {"n_features": 9_999})
    with pytest.raises(refit.RefitError, match="no head effects"):
        read(heads=[head for head in described["heads"] if head != "effects"])


@pytest.mark.slow
def test_figures_count_what_was_held_out(trained: tuple[Path, dict[str, int], str]) -> None:
    """The unseen figures are of clips as they are, no more than the catalogue has of each class."""
    out, _, _ = trained
    evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    unseen, sums = evaluation["figures"]["unseen"], evaluation["figures"]["sums"]
    assert 0 < unseen["n_studio"] <= 24
    assert 0 < unseen["n_separated"] <= 18
    assert sum(each["n_studio"] for each in sums.values()) == evaluation["rows"]["bundle/studio"] > 0


@pytest.mark.slow
def test_both_classes_are_reworked(trained: tuple[Path, dict[str, int], str]) -> None:
    """What a heavy hand worked on is in both classes: a true stem beside each surrogate."""
    out, _, _ = trained
    rows = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["rows"]
    for hand in ("reworked", "edited", "gated", "cleaned"):
        assert rows[f"{hand}/studio"] > 0
        assert rows[f"{hand}/separated"] >= rows[f"{hand}/studio"]


@pytest.mark.slow
def test_what_was_denoised_is_judged_with_and_without_the_head(trained: tuple[Path, dict[str, int], str]) -> None:
    """Of what was gated bin by bin no more is called separated than without the head; the card tells."""
    out, _, _ = trained
    found = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["figures"]["denoised"]
    assert 0 <= found["auc_studio"] <= 1
    for name in ("as they are", "bin by bin", "smoothly"):
        with_head, without = found["figures"][name], found["figures"][f"{name}, without the head"]
        assert with_head["n_studio"] == without["n_studio"] > 0
        assert with_head["studio_called_separated"] <= without["studio_called_separated"]
    assert "### After noise reduction" in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_was_edited_is_judged_beside_windows_as_they_are(trained: tuple[Path, dict[str, int], str]) -> None:
    """Both classes are judged after edits; the card says which."""
    out, _, _ = trained
    found = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["figures"]["edited"]
    assert set(found) == {"as they are", "edited"}
    assert all(each["n_studio"] > 0 and each["n_separated"] > 0 for each in found.values())
    card = (out / "README.md").read_text(encoding="utf-8")
    assert all(words in card for words in ("### After edits", "played backwards", "cut to digital silence"))


@pytest.mark.slow
def test_settings_are_compared_on_several_deals(
    trained: tuple[Path, dict[str, int], str], manifest: Path, root: Path
) -> None:
    """Each setting is judged on every deal of the folds, from the rows at hand; what is done is not done again."""
    work = trained[0].parent
    plain = CONFIG.format(maps="false", cycles=[])
    (work / "plain.toml").write_text(plain, encoding="utf-8")
    (work / "families.toml").write_text(plain.replace("[origin]", "[origin]\nfamily_power = 1.0"), encoding="utf-8")
    made = len(list((work / "work" / "rows").glob("*.npz")))
    line = [
        sys.executable, "-m", "training.research.repeat", str(manifest), "--out", str(work / "deals.jsonl"),
        "--config", str(work / "plain.toml"), "--config", str(work / "families.toml"), "--deals", "2",
        "--work", str(work / "work"), "--workers", "1",
    ]  # fmt: skip
    first = subprocess.run(line, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert len(list((work / "work" / "rows").glob("*.npz"))) == made
    rows = [json.loads(text) for text in (work / "deals.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {(row["config"], row["deal"]) for row in rows} == {(c, d) for c in ("plain", "families") for d in (0, 1)}
    assert all(0 <= row["auc"] <= 1 and row["n_studio"] and row["n_separated"] for row in rows)
    assert len({row["auc"] for row in rows}) > 1
    again = subprocess.run(line, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    assert again.stdout == first.stdout
    assert "deal 0" not in again.stderr
    assert len((work / "deals.jsonl").read_text(encoding="utf-8").splitlines()) == len(rows)
    sdr = [*line[: line.index("--config")], "--config", str(work / "plain.toml"), "--deals", "2", "--head", "sdr"]
    sdr += line[line.index("--work") :]
    other = subprocess.run(sdr, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    assert other.returncode == 0, other.stderr
    assert "unseen_constant" in other.stdout


def test_results_of_other_settings_or_rows_are_told_from_these(tmp_path: Path) -> None:
    """A configuration that was changed under its name is judged anew, and so are rows of other clips."""
    meta = pd.DataFrame({"clip": ["a", "b"], "kind": "clean", "window": 0, "origin": "studio", "family": ""})
    (tmp_path / "plain.toml").write_text(CONFIG.format(maps="false", cycles=[]), encoding="utf-8")
    settings = config.load(tmp_path / "plain.toml")
    found = repeat.digest_of(settings, meta)
    assert repeat.digest_of(config.load(tmp_path / "plain.toml"), meta.copy()) == found
    others = dataclasses.replace(settings, origin=dataclasses.replace(settings.origin, rounds=13))
    assert repeat.digest_of(others, meta) != found
    assert repeat.digest_of(settings, meta.assign(family=["", "demucs"])) != found


def test_a_gain_is_counted_deal_by_deal() -> None:
    """A setting that is a little better on every deal shows, though deals differ by more."""
    figures = {"auc_vocals": 0.9, "auc_drums": None, "caught_1": 0.4, "caught_2": 0.5, "accused": 0.01}
    found = pd.DataFrame(
        [{"config": name, "deal": d, "auc": 0.80 + 0.05 * d + gain} | figures
         for d in range(3) for name, gain in (("a", 0.0), ("b", 0.004))]
    )  # fmt: skip
    table = repeat.compare(found).set_index("config")
    assert table.loc["b", "gain"] == "+0.0040"
    assert table.loc["b", "better in"] == "3 of 3"
    assert table.loc["a", "better in"] == "0 of 3"
    assert table.loc["a", "auc"] == "0.850 ± 0.041"


def test_the_sdr_of_unseen_families_is_judged_on_every_deal() -> None:
    """A statistic that tells SDR alike in all families is learnt across them; one that each family shifts is not."""
    rng = np.random.default_rng(0)
    rows = 600
    truth = rng.uniform(0, 20, rows)
    number = rng.integers(0, 6, rows)
    meta = pd.DataFrame(
        {"clip": [f"c{k}" for k in range(rows)], "kind": "clean", "window": 0, "oracle": False, "struck": False,
         "origin": "separated", "sdr_db": truth, "family": [f"family {k}" for k in number], "family_fold": number % 3,
         "fold": rng.integers(0, 3, rows), "stem": "vocals", "set": "field", "repo": "r", "song": "s", "manifest": "m",
         "codec": "", "separator": "", "wetness": "", "n_frames": 171}
    )  # fmt: skip
    settings = dataclasses.replace(
        config.load(evaluate.CONFIG_FILE), sdr=perceptron.Perceptron(n_steps=300, width=16, dropout=0.0)
    )
    found = {}
    for name, shift in (("alike", 0.0), ("shifted", 20.0)):
        features = rng.normal(0, 0.1, (rows, 4)).astype(np.float32)
        features[:, 0] = truth + shift * number
        found[name] = repeat.measure_sdr(dataset.Table(features, meta), meta, settings)
        assert found[name]["n_unseen"] + found[name]["n_known"] == rows
        assert 4.5 < found[name]["unseen_constant"] < 5.5
    assert found["alike"]["unseen"] < 1.5
    assert found["shifted"]["unseen"] > 3 > found["alike"]["known"]
    compared = repeat.compare(
        pd.DataFrame([{"config": name, "deal": 0} | found[name] for name in ("shifted", "alike")]), repeat.Head.SDR
    ).set_index("config")
    assert compared.loc["alike", "better in"] == "1 of 1"
    assert float(compared.loc["alike", "gain"]) > 1.5
    deals = [{"config": "stem-v1", "deal": deal} | found["alike"] | {"unseen": 1.0 + deal} for deal in (1, 0)]
    page = repeat.page(pd.DataFrame(deals))
    for name, error in (("0", "1.00"), ("1", "2.00"), ("mean", "1.50")):
        assert f"\n| {name} | {found['alike']['n_unseen']} | {error} | " in page
    bands = [row.split(" | ") for row in page.splitlines() if " to " in row and row.startswith("| ")]
    assert sum(int(cells[1]) for cells in bands) == pytest.approx(found["alike"]["n_unseen"], abs=2)
    assert all(len(cells) == 9 for cells in bands)


@pytest.mark.slow
def test_a_network_is_fused_and_exported(manifest: Path, root: Path, tmp_path: Path) -> None:
    """With networks every head is there that so few rows can teach, and the graph agrees with torch."""
    out = tmp_path / "fused"
    done = subprocess.run(
        command(manifest, out, network=True),
        cwd=root,
        env=environment(root),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["parity_largest_difference"] < 1e-4
    scorer = provenance.load(out)
    assert {*scorer.bundle.heads, "strengths"} == HEADS | {"gated"}
    graph = onnx.load(out / "model.onnx").graph
    assert [given.name for given in graph.input] == ["features", "map", "onsets"]
    verdict = scorer.score(manifest.parent / "song0-vocals.flac")
    assert verdict.effects is not None
    assert verdict.layers is not None


@pytest.mark.slow
def test_networks_fitted_elsewhere_are_taken(manifest: Path, root: Path, tmp_path: Path) -> None:
    """Networks of all folds are fitted from two passes of rows, refused by other folds, and fused as if fitted here."""
    out = tmp_path / "elsewhere"
    line = command(manifest, out, network=True)

    def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(arguments, cwd=root, env=environment(root), capture_output=True, text=True, check=False)

    fitted = tmp_path / "nets"
    few = ["--minutes", "0.3", "--passes", "2", "--batch", "4", "--wait", "1.0", "--device", "cpu"]
    done = run([line[0], "-m", "training.nets", *line[3:], *few, "--out", str(fitted)])
    assert done.returncode == 0, done.stderr
    record = json.loads((fitted / "nets.json").read_text(encoding="utf-8"))
    assert len(set(record["steps"])) == 1
    assert record["steps"][0] > 0
    once = len(list((tmp_path / "work" / "rows").glob("*.npz")))
    done = run([*line, "--nets", str(fitted)])
    assert done.returncode == 0, done.stderr
    evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["networks"]["n_rows"] == record["n_rows"]
    assert record["n_rows"] > sum(evaluation["rows"].values()) > 0
    assert once > len(list((tmp_path / "work" / "rows").glob("*.npz"))) / 2
    assert evaluation["parity_largest_difference"] < 1e-4
    taken = (out / "model.onnx").read_bytes()
    done = run([*line, "--nets", str(fitted), "--further", "--nets-out", str(tmp_path / "on")])
    assert done.returncode == 0, done.stderr
    evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert [on["steps"] for on in evaluation["networks"]["further"]] == [12]
    assert evaluation["networks"]["n_rows"] == record["n_rows"]
    assert (out / "model.onnx").read_bytes() != taken
    assert evaluation["parity_largest_difference"] < 1e-4
    assert "then fitted on for 12 steps" in (out / "README.md").read_text(encoding="utf-8")
    again = run([*line, "--further"])
    assert again.returncode == 2
    assert "needed: the networks to go on from" in again.stderr
    again = run([*line, "--nets", str(tmp_path / "on"), "--further"])
    assert again.returncode == 0, again.stderr
    assert "for 12 steps of 4 units from" in (out / "README.md").read_text(encoding="utf-8")
    assert ", then 12 steps of 4 units from" in (out / "README.md").read_text(encoding="utf-8")
    known = run([*line, "--from", str(out)])
    assert known.returncode == 2
    assert "it learnt from" in known.stderr
    other = tmp_path / "other"
    shutil.copytree(out, other)
    evaluation["sources"] = [{"repository": "nobody/else"}]
    (other / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    again = run([*line, "--from", str(other), "--nets-out", str(tmp_path / "from")])
    assert again.returncode == 0, again.stderr
    assert "The networks began as those of `elsewhere@" in (out / "README.md").read_text(encoding="utf-8")
    again = run([*line, "--nets", str(tmp_path / "from"), "--further"])
    assert again.returncode == 0, again.stderr
    again = run([*line, "--nets", str(tmp_path / "from"), "--from", str(other)])
    assert again.returncode == 2
    assert "needed: one of them to begin with" in again.stderr
    again = run([*line, "--nets-out", str(tmp_path / "on")])
    assert again.returncode == 2
    assert "needed: networks that are fitted on" in again.stderr
    again = run([*line, "--nets", str(tmp_path / "on"), "--config", str(evaluate.CONFIG_FILE)])
    assert again.returncode == 2
    assert "needed: cycles in its [network]" in again.stderr
    settings = config.load(tmp_path / "config.toml", "", "", "").network
    folds = splits.deal([manifest], 3, 3)
    two = nets.load(fitted, 0, folds, settings)
    one = nets.load(fitted, 0, folds, dataclasses.replace(settings, members=1))
    assert len(two.members) == 2
    ended = copy.deepcopy(two)
    for value in ended.parameters():
        value.data += 1.0
    there = texture_net.between(two, ended, 0.25).state_dict()
    for name, value in two.named_parameters():
        torch.testing.assert_close(there[name], value.data + 0.75)
    assert len(one.members) == 1
    torch.testing.assert_close(one.members[0].state_dict(), two.members[0].state_dict())
    with pytest.raises(nets.NetsError, match="another shape"):
        nets.load(fitted, 0, folds, dataclasses.replace(settings, members=3))
    unit = next(iter(record["folds"][0]))
    record["folds"][0][unit] = (record["folds"][0][unit] + 1) % 3
    (fitted / "nets.json").write_text(json.dumps(record), encoding="utf-8")
    refused = run([*line, "--nets", str(fitted)])
    assert refused.returncode == 2
    assert unit in refused.stderr
    assert "same manifests" in refused.stderr


def test_networks_need_a_clip_that_can_be_read(manifest: Path, root: Path, tmp_path: Path) -> None:
    """Where no clip gives a row, the fit ends with a line instead of waiting for one."""
    (tmp_path / "broken.flac").write_bytes(b"fLaC and then nothing")
    header, *lines = manifest.read_text(encoding="utf-8").splitlines()
    broken = next(line for line in lines if line.startswith("broken.flac"))
    (tmp_path / "manifest.csv").write_text(f"{header}\n{broken}\n", encoding="utf-8")
    line = command(tmp_path / "manifest.csv", tmp_path / "none", network=True)
    done = subprocess.run(
        [line[0], "-m", "training.nets", *line[3:], "--minutes", "0.1", "--device", "cpu"],
        cwd=root, env=environment(root), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no clip that gave a row" in done.stderr


def test_rows_that_do_not_fit_into_memory_are_counted(tmp_path: Path) -> None:
    """What a GPU has no room for is not learnt from, and a record that said nothing of it would mislead."""
    clips, _ = catalogue.load([songs.write_manifest(tmp_path, ("one song",), 1.5)])
    recipe = examples.Recipe(n_windows=1, keep_maps=True)
    rows = nets.Rows(torch.empty((1, *examples.MAP_SHAPE), dtype=torch.uint8))
    for clip in clips[:3]:
        assert dataset.make(clip, ["clean"], [], recipe, tmp_path, []) == ""
        rows.take(dataset.Job(clip, ["clean"], [], recipe, tmp_path, []), 0)
    assert (len(rows), rows.n_left_out) == (1, 2)


def test_twins_of_a_batch_are_alike() -> None:
    """What a GPU draws holds each extraction beside its own twin, cut at one place and hidden in the same bands."""
    meta = pd.DataFrame(
        [
            {"clip": f"c{k}", "repo": "r", "kind": "clean", "family": "", "pair": f"p{k}" if k < 30 else "",
             "origin": origin}
            for k in range(40)
            for origin in ("separated", "studio")
        ]
    )  # fmt: skip
    cpu = torch.device("cpu")
    draws = nets.Draws(meta, np.arange(len(meta)), 0.0, 20, cpu)
    assert draws.n_pairs
    assert draws.n_single
    for _ in range(70):
        rows = draws.next().numpy()
        pairs = rows[: 2 * draws.n_pairs].reshape(-1, 2)
        np.testing.assert_array_equal(pairs[:, 0] + 1, pairs[:, 1])
        assert (pairs[:, 0] % 2 == 0).all()
        assert (pairs < 60).all()
        assert (rows[2 * draws.n_pairs :] >= 60).all()
    maps = torch.arange(172, dtype=torch.uint8).reshape(1, 1, 172, 1).expand(80, 2, 172, 1024).contiguous()
    n_frames = torch.full((80,), 172)
    n_frames[rows[-1]] = 50
    generator = torch.Generator().manual_seed(0)
    cut = nets.crops(maps, torch.from_numpy(rows), draws.n_pairs, n_frames, generator)
    assert cut.shape == (len(rows), 2, texture_net.N_CROP, 1024)
    starts = cut[:, 0, 0, 0]
    np.testing.assert_array_equal(starts[: 2 * draws.n_pairs : 2], starts[1 : 2 * draws.n_pairs : 2])
    assert len(starts.unique()) > 5
    assert cut[-1].max() == 49, "a short map is repeated, not read beyond its end"
    same = torch.zeros(len(rows), 2, texture_net.N_CROP, 1024)
    hidden = texture_net.augment(same, draws.n_pairs, generator)
    torch.testing.assert_close(hidden[: 2 * draws.n_pairs : 2], hidden[1 : 2 * draws.n_pairs : 2])
    assert len(hidden[2 * draws.n_pairs :].flatten(1).sum(1).unique()) > 3


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("sdr_db", 7.5), ("effects", '[["eq", {}]]'), ("family", "tiger"), ("separator_kind", "transformer"),
        ("layers", "submix"), ("stem", "bass"), ("oracle", True), ("origin", "studio"), ("processing", "wet"),
        ("set", "dry"), ("wetness", "dry"),
    ],
)  # fmt: skip
def test_a_changed_label_fits_a_head_again(column: str, value: object, tmp_path: Path) -> None:
    """A head's file is named by every label of its rows, so that one fitted on other labels is not taken for it."""
    row = {
        "clip": "a.flac", "set": "pairs", "kind": "clean", "window": 0, "pair": 3, "repo": "maker/1", "fold": 0,
        "family_fold": 1, "family": "demucs", "oracle": False, "origin": "separated", "processing": "", "sdr_db": 7.0,
        "wetness": "", "effects": "", "separator_kind": "hybrid", "layers": "individual", "stem": "vocals",
    }  # fmt: skip
    settings = config.load(evaluate.CONFIG_FILE)
    features = np.zeros((2, 3), np.float32)

    def file_of(first: dict[str, object]) -> Path:
        table = dataset.Table(features, pd.DataFrame([first, row]))
        return folds.file_of(table, settings, 0, "sdr", tmp_path)

    assert file_of(row) == file_of(dict(row))
    assert file_of(row) != file_of(row | {column: value})


def test_another_weight_of_families_fits_the_perceptron_again(root: Path, tmp_path: Path) -> None:
    """Its rows are weighted by a setting of the trees; its share of the fusion changes no fit."""
    settings = config.load(root / "training" / "full.toml")
    row = dict.fromkeys(dataset.KNOWN, "")
    table = dataset.Table(np.zeros((1, 3), np.float32), pd.DataFrame([row]))

    def file_of(origin: dict[str, float], perceptron: dict[str, float]) -> Path:
        changed = dataclasses.replace(
            settings,
            origin=dataclasses.replace(settings.origin, **origin),
            origin_perceptron=dataclasses.replace(settings.origin_perceptron, **perceptron),
        )
        return folds.file_of(table, changed, 0, "origin_perceptron", tmp_path)

    before = file_of({}, {})
    assert file_of({"family_power": settings.origin.family_power + 0.25}, {}) != before
    assert file_of({}, {"share": 0.01}) == before


def test_the_shipped_configuration_is_the_one_it_was_made_with(root: Path) -> None:
    """What a researcher copies is what the model's evaluation says it was made with, but for local folders.

    Keys of the recipe that came after the model stand at their defaults.
    """
    told = json.loads(config.to_json(config.load(evaluate.CONFIG_FILE)))
    made = json.loads((root / "models" / "stem-v1" / "evaluation.json").read_text(encoding="utf-8"))["training"]
    made["recipe"] = json.loads(json.dumps(dataclasses.asdict(examples.Recipe()))) | made["recipe"]
    for name in ("demucs_repo", "networks", "scripts"):
        del told["recipe"][name], made["recipe"][name]
    assert made == told


def test_what_the_recipe_is_made_without_is_said(root: Path) -> None:
    """Every part that needs separators of a folder which was not given is named once with them; others are not."""
    file, full = evaluate.CONFIG_FILE, root / "training" / "full.toml"
    whole = config.load(file).recipe

    def said(path: Path, *given: str) -> list[str]:
        return config.left_out(path, config.load(path, *given))

    demucs, scripts = said(file, "", "", "")
    assert demucs.startswith(f"left out of the recipe: demucs (by {', '.join(whole.demucs_models)}); easy (by ")
    assert demucs.endswith(": no folder was given in --demucs-repo")
    for part, names in (
        ("whole", whole.whole_names), ("remask", (whole.remask_name,)), ("drawn", whole.drawn_names)
    ):  # fmt: skip
        assert f"{part} (by {', '.join(names)})" in scripts
    assert scripts.endswith(": no folder was given in --scripts")
    assert said(file, "models", "", "") == [scripts]
    assert said(file, "models", "", "files") == []
    assert said(file) == []
    assert any(line.endswith("--networks") and "network (by " in line for line in said(full, "a", "", "b"))
    assert any("; some of easy (by " in line for line in said(full, "a", "", "b"))


@pytest.mark.parametrize("option", ["--demucs-repo", "--networks", "--scripts"])
def test_a_folder_that_is_not_there_is_refused_at_once(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the command with exit code 2 and one line, before anything is read or made."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file.txt"
    file.write_text("")
    app = typer.Typer()
    app.command()(fit.main)
    for value, found in ((str(tmp_path / "gone"), "no such folder"), (str(file), "a file")):
        done = CliRunner().invoke(app, ["manifest.csv", "--out", "model", option, value])
        assert done.exit_code == 2
        assert done.stderr.startswith(f"{option} {value}: found {found}; needed: Folder of ")
        assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_fit_says_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines stand on stderr before the first clip is looked for."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(fit.main)
    done = CliRunner().invoke(app, ["manifest.csv", "--out", "model"])
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    settings = config.load(evaluate.CONFIG_FILE, "", "", "")
    assert lines[:-1] == config.left_out(evaluate.CONFIG_FILE, settings)
    assert "manifest.csv" in lines[-1]


def test_a_folder_that_is_no_model_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of models, of songs or a file given for the model's is refused before any row is made, and kept."""
    monkeypatch.setattr(fit, "load_checked", lambda *_: [])
    app = typer.Typer()
    app.command()(fit.main)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "mine" / "model.onnx").write_bytes(b"mine")
    (tmp_path / "a file").write_text("")
    for name in ("models", "a file"):
        done = CliRunner().invoke(app, ["m.csv", "--out", str(tmp_path / name), "--work", str(tmp_path / "work")])
        assert done.exit_code == 2
        assert f"{tmp_path / name}: found what is no model folder" in done.stderr
        with pytest.raises(ValueError, match="would be replaced as a whole"), publish.beside(tmp_path / name):
            pass
    assert done.exception is None or isinstance(done.exception, SystemExit)
    with pytest.raises(ValueError, match="cannot be written"):
        publish.check_place(tmp_path / "a file" / "mine")
    publish.check_place(tmp_path / "models" / "mine")
    publish.check_place(tmp_path / "models" / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a file", "models"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]


def test_what_ends_a_fit_ends_it_at_once() -> None:
    """Where a clip's rows cannot be made, those of clips that have not begun are not waited for."""
    made: list[int] = []

    def make(number: int) -> int:
        if number == 2:
            raise OSError("no room")
        time.sleep(0.01)
        made.append(number)
        return number

    with ThreadPoolExecutor(1) as pool, pytest.raises(OSError, match="no room"):
        dataset.results([pool.submit(make, number) for number in range(100)])
    assert len(made) < 10
    told: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        found = dataset.results([pool.submit(make, number) for number in range(3, 9)], lambda: told.append(1))
    assert sorted(found) == list(range(3, 9))
    assert len(told) == 6


def test_rows_that_find_no_room_are_told_with_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy says how many bytes it wrote, which tells nobody that a disk is full."""
    clip = catalogue.load([songs.write_manifest(tmp_path, ("one song",), 1.5)])[0][0]

    def full(*_: object, **__: object) -> None:
        raise OSError("90750 requested and 81792 written")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"rows: cannot be written .*disk has room"):
        dataset.make(clip, ["clean"], [], examples.Recipe(n_windows=1), tmp_path / "rows", [])


def test_the_full_configuration_adds_to_the_shipped_one(root: Path) -> None:
    """It has small networks and one over the spectrum, which the shipped one lacks; all else but shares is the same."""
    full, plain = config.load(root / "training" / "full.toml", None, "nets"), config.load(evaluate.CONFIG_FILE)
    assert full.recipe.network_names
    assert full.origin_perceptron is not None
    assert full.network.cycles
    assert not plain.network.cycles
    assert 0 < full.network.share + full.onsets.share + full.origin_perceptron.share < 1
    assert dataclasses.replace(full, recipe=plain.recipe, network=plain.network, onsets=plain.onsets) == plain
    with pytest.raises(ValueError, match="found no network_names for nets"):
        config.load(evaluate.CONFIG_FILE, None, "nets")


def test_the_trial_has_every_head_and_less_of_all(root: Path) -> None:
    """A trial goes through the steps of the shipped model, with no more rows, rounds or steps anywhere."""
    trial, plain = config.load(root / "training" / "trial.toml"), config.load(evaluate.CONFIG_FILE)
    assert sum(trial.onsets.cycles) * trial.onsets.n_steps <= 20 < sum(plain.onsets.cycles) * plain.onsets.n_steps
    for table in ("recipe", *config.HEADS, "reworked", "gated", "strengths"):
        small, shipped = (dataclasses.asdict(getattr(each, table)) for each in (trial, plain))
        amounts = [name for name in small if name.startswith("n_") or name.endswith("_share") or name == "rounds"]
        assert all(small[name] <= shipped[name] for name in amounts), table
        assert sum(small[name] for name in amounts) < sum(shipped[name] for name in amounts) or table == "strengths"
        assert max(small[name] for name in amounts) >= 1, table
    assert trial.origin_perceptron is not None
    assert trial.n_folds == plain.n_folds


def test_a_configuration_builds_on_the_one_beside_it(tmp_path: Path) -> None:
    """Its keys lie over those of its base, table by table; a base that is not there, or has one, is named."""
    (tmp_path / "plain.toml").write_text(evaluate.CONFIG_FILE.read_text(encoding="utf-8"), encoding="utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "plain.toml"\nseed = 7\n[origin]\nrounds = 3\n', encoding="utf-8")
    plain, found = config.load(evaluate.CONFIG_FILE), config.load(mine)
    assert found == dataclasses.replace(plain, seed=7, origin=dataclasses.replace(plain.origin, rounds=3))
    (tmp_path / "third.toml").write_text('base = "mine.toml"\n', encoding="utf-8")
    with pytest.raises(ValueError, match="needed: one without"):
        config.load(tmp_path / "third.toml")
    mine.write_text('base = "gone.toml"\n', encoding="utf-8")
    with pytest.raises(ValueError, match="found no base gone"):
        config.load(mine)


def test_rows_of_recordings_alone_are_no_rows_of_the_origin(tmp_path: Path) -> None:
    """Noise that only true stems lie over would tell the class: a fit says so before it reads a manifest."""
    plain = config.load(evaluate.CONFIG_FILE)
    grounded = dataclasses.replace(plain, recipe=dataclasses.replace(plain.recipe, n_grounded=2))
    with pytest.raises(ValueError, match="found n_grounded = 2; needed: 0"):
        fit.load_checked([tmp_path / "no.csv"], [], grounded)


POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from training import dataset

if __name__ == "__main__":
    with ProcessPoolExecutor(2, initializer=dataset.limit_threads) as pool:
        print(*{each.result() for each in [pool.submit(os.getpid) for _ in range(20)]}, *pool._processes, flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_of_a_killed_command_end_with_it(root: Path, tmp_path: Path) -> None:
    """They wait for work that nobody sends, each with its hundreds of megabytes."""
    (tmp_path / "pool.py").write_text(POOL)
    line = [sys.executable, str(tmp_path / "pool.py")]
    with subprocess.Popen(line, env=environment(root), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = {int(word) for word in process.stdout.readline().split()}
        process.kill()
    assert workers
    until = time.monotonic() + 20
    while (left := [pid for pid in workers if Path(f"/proc/{pid}/fd/0").exists()]) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.mark.parametrize(
    ("line", "found"),
    [("max_accused = 1", "found max_accused = 1; needed: a share from 0 to below 1"),
     ("min_right = 97", "found min_right = 97; needed: a share"), ("n_folds = 0", "found n_folds = 0; needed: a whole"),
     ("seed = -1", "found seed = -1; needed: a whole"), ("seed = true", "found seed = True"),
     ("[origin]\nlearning_rate = 'fast'", r"learning_rate = 'fast' in \[origin\]; needed: a number"),
     ("[recipe]\nn_windows = '2'", r"n_windows = '2' in \[recipe\]; needed: a whole number"),
     ("[recipe]\nwhole_share = 24", r"whole_share = 24 in \[recipe\]; needed: a share"),
     ("[recipe]\ndemucs_models = 'af9a0947'", r"demucs_models = 'af9a0947' in \[recipe\]; needed: a list of names"),
     ("[onsets]\ncycles = 1", "found cycles = 1, which is no list"), ("origin = 3", r"needed: a table \[origin\]"),
     ("[onsets]\nchannels = [8, 8]", r"channels = \(8, 8\) in \[onsets\]; needed: a list of 4 whole numbers from 1"),
     ("[network]\ncycles = [1]\nmixing = 0.3\n[recipe]\nkeep_maps = true", r"mixing = 0.3 in \[network\], .*needed: 0"),
     ("[reworked]\nround = 3", "unexpected keyword argument 'round'; needed: the keys"),
     ("[origin_perceptron]\nn_step = 3", "unexpected keyword argument 'n_step'; needed: the keys"),
     ("seed = ", "found no TOML .*line 2")],
)  # fmt: skip
def test_a_configuration_that_cannot_be_meant_is_refused(line: str, found: str, tmp_path: Path) -> None:
    """A wrong key, kind or range is one line that names the file, before any row is made."""
    (tmp_path / "plain.toml").write_text(evaluate.CONFIG_FILE.read_text(encoding="utf-8"), encoding="utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(f'base = "plain.toml"\n{line}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=f"mine.toml: .*{found}"):
        config.load(mine)
