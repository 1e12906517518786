"""The research kit on a small corpus made of synthetic stems and their extractions; the notebook; the corpus itself."""

from __future__ import annotations

import csv
import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
import types
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import typer
from click.testing import Result
from typer.testing import CliRunner

import provenance
from provenance import listing
from tests import sounds
from tests.training import songs
from training import catalogue
from training.research import (
    artefacts,
    clips,
    cost,
    deletion,
    detectability,
    detector,
    embedding,
    int8,
    leave_out,
    logistic,
    mixes,
    pictures,
    ranges,
    repeat,
    separate,
    table,
)
from training.separators import surrogate
from training.separators.separator import Separator

RATE = 44_100
FAMILIES = ("spleeter", "open-unmix", "wave-u-net")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of nine songs: a true stem and three extractions of it, each by its own kind of mask."""
    folder = tmp_path_factory.mktemp("small")
    rows = []
    for song in range(9):
        true = sounds.music(2.0, seed=song)
        other = sounds.music(2.0, seed=100 + song)
        waves = {("studio", ""): (true, None)}
        for kind, family in enumerate(FAMILIES):
            estimate, sdr = surrogate.separate(true, other, np.random.default_rng([kind, song % 2]))
            waves["separated", family] = (estimate, sdr)
        for (origin, family), (wave, sdr) in waves.items():
            name = f"{song}-{origin}-{family or 'true'}.flac"
            soundfile.write(folder / name, wave / max(1.0, float(np.abs(wave).max())), RATE)
            rows.append(
                {"clip": name, "set": "field", "song_id": f"a song number {song}", "stem": "other", "origin": origin,
                 "separator": family, "sdr_db": "" if sdr is None else f"{sdr:.2f}", "source_repo": f"repo-{song}"}
            )  # fmt: skip
    with (folder / "manifest.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def cues(small: Path) -> pd.DataFrame:
    return table.build([small], workers=2)


@pytest.fixture(scope="module")
def windows(small: Path) -> detector.Windows:
    return detector.gather([small], workers=2)


def test_the_cue_table_has_a_row_for_every_clip_and_a_column_for_every_cue(cues: pd.DataFrame) -> None:
    """All 36 clips are there with meta data and cues, and no song lies in two folds."""
    assert len(cues) == 36
    assert set(cues.columns) == {*clips.META, *table.CUES}
    assert (cues.groupby("song")["fold"].nunique() == 1).all()


def test_the_logistic_model_never_sees_the_fold_it_judges(cues: pd.DataFrame) -> None:
    """With labels drawn by chance in every fold the held-out AUC is near chance, with a planted cue it is 1."""
    rng = np.random.default_rng(0)
    many = pd.concat([cues] * 3, ignore_index=True)
    many["fold"] = rng.integers(0, 3, len(many))
    planted = many.assign(crest=np.where(many["origin"] == "separated", 30.0, 10.0) + rng.standard_normal(len(many)))
    assert min(logistic.auc_by_fold(planted, logistic.held_out(planted, ("crest",)))) > 0.99
    chance = many.assign(crest=rng.standard_normal(len(many)))
    assert abs(np.mean(logistic.auc_by_fold(chance, logistic.held_out(chance, ("crest",)))) - 0.5) < 0.15


def test_ranges_are_percentiles_of_each_class(cues: pd.DataFrame) -> None:
    """The file's range of a cue is the 5th to 95th percentile of the table's column."""
    found = ranges.ranges(cues)
    values = cues.loc[cues["origin"] == "studio", "crest"]
    assert found["cues"]["crest"]["studio"] == pytest.approx(list(np.percentile(values, (5, 95))), rel=1e-3)
    assert found["clips"] == {"studio": 9, "separated": 27}


def test_ranges_are_written_only_where_they_are_wanted(
    small: Path, cues: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``--out`` nothing is written, least of all over the package's own file; with it, that file."""
    shipped = Path(provenance.__file__).parent / "evidence" / "ranges.json"
    before = shipped.read_bytes()
    app = typer.Typer()
    app.command()(ranges.main)
    monkeypatch.setattr(table, "build", lambda *_: cues)
    written: list[Path] = []
    write = Path.write_text
    monkeypatch.setattr(
        Path,
        "write_text",
        lambda path, *a, **k: (
            (written.append(path), write(path, *a, **k))[1] if path.is_relative_to(tmp_path) else written.append(path)
        ),
    )
    runner = CliRunner()
    refused = runner.invoke(app, [str(small)])
    assert (refused.exit_code, written) == (2, [])
    assert "--out" in refused.output
    assert runner.invoke(app, [str(small), "--out", str(tmp_path / "new" / "mine.json")]).exit_code == 0
    assert json.loads((tmp_path / "new" / "mine.json").read_text())["clips"] == {"studio": 9, "separated": 27}
    assert written == [tmp_path / "new" / "mine.json"]
    assert shipped.read_bytes() == before


def test_artefacts_are_compared_by_family_and_drawn(cues: pd.DataFrame, tmp_path: Path) -> None:
    """Each family has its share of pairs per cue, between 0 and 1; tables and plots become files."""
    found = artefacts.compare(cues, "family")
    assert set(found["family"]) == set(FAMILIES)
    values = found[list(set(table.CUES) & set(found.columns))].to_numpy(float)
    assert np.nanmin(values) >= 0
    assert np.nanmax(values) <= 1
    artefacts.draw_table(found, "family", tmp_path / "family.png")
    artefacts.draw_sdr(cues, tmp_path / "sdr.png")
    for name in ("family.png", "sdr.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_planted_artefact_shows_in_its_family_alone(cues: pd.DataFrame) -> None:
    """Raising one cue in one family moves that family to 1 and leaves the others."""
    moved = cues.assign(notch=cues["notch"].where(cues["family"] != "spleeter", 1000.0))
    before, after = (artefacts.compare(c, "family").set_index("family")["notch"] for c in (cues, moved))
    assert after["spleeter"] == 1.0
    assert after["open-unmix"] == before["open-unmix"]


def test_leaving_a_family_out_judges_all_its_clips_by_detectors_that_never_saw_it(
    windows: detector.Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fit sees the family, every clip of it is judged, and a family nobody knows is named with those that are."""
    seen: list[set[str]] = []
    fit = detector.fit

    def spy(given: detector.Windows, rows: np.ndarray, seed: int = 0) -> detector.Detector:
        seen.append(set(given.meta.loc[rows, "family"]))
        return fit(given, rows, seed)

    monkeypatch.setattr(detector, "fit", spy)
    found = leave_out.leave_out(windows, "spleeter")
    assert (found["n"], found["n_true"]) == (9, 9)
    assert 0 <= found["auc"] <= 1
    assert len(seen) == leave_out.N_FOLDS
    assert all(families == {"", "open-unmix", "wave-u-net"} for families in seen)
    known = leave_out.judge(windows, np.ones(len(windows.meta), np.bool_))
    beside = leave_out.leave_out(windows, "spleeter", known)
    assert beside["auc"] == found["auc"]
    assert 0 <= beside["auc_known"] <= 1
    assert f"| spleeter | spectrogram_mask | 9 | 9 | {beside['auc']:.3f} |" in leave_out.page({"spleeter": beside})
    with pytest.raises(ValueError, match="open-unmix, spleeter, wave-u-net"):
        leave_out.leave_out(windows, "nobody's")


def test_repositories_that_share_a_song_are_held_out_together(tmp_path: Path) -> None:
    """The page says that no detector saw the song of what it judged: one in two repositories is on one side."""
    of_song = [("a shared song", "a/one"), ("a shared song", "a/two"), ("another", "a/three")]
    rows = [
        {
            "clip": f"{k}.flac",
            "set": "field",
            "song_id": song,
            "stem": "vocals",
            "origin": "studio",
            "source_repo": repo,
        }
        for k, (song, repo) in enumerate(of_song)
    ]
    for row in rows:
        soundfile.write(tmp_path / row["clip"], sounds.music(1.5), 44_100)
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    unit = detector.gather([tmp_path / "manifest.csv"], 1).meta.drop_duplicates("clip").set_index("clip")["unit"]
    assert unit["0.flac"] == unit["1.flac"] != unit["2.flac"]


def test_the_unseen_split_shares_no_unit_and_no_family(windows: detector.Windows) -> None:
    """What a fold learns from and what it judges have no unit and no separator family in common."""
    for fold in range(3):
        learn, judge = detector.unseen(windows, fold)
        for column in ("unit", "family"):
            one = set(windows.meta.loc[learn & windows.separated | (learn if column == "unit" else False), column])
            two = set(windows.meta.loc[judge & windows.separated | (judge if column == "unit" else False), column])
            assert not one & two


def test_detectability_follows_a_planted_trend() -> None:
    """Where better separations score lower, the rank correlation is -1 and the AUC falls from range to range."""
    sdr = np.linspace(-3, 12, 40)
    clips = pd.DataFrame({"origin": "separated", "sdr_db": sdr, "stem": "vocals", "logit": -sdr})
    true = pd.DataFrame({"origin": "studio", "sdr_db": np.nan, "stem": "vocals", "logit": np.linspace(-12, 0, 40)})
    found = detectability.trace(pd.concat([clips, true], ignore_index=True))
    assert found["rank_correlation"]["all"]["rho"] == -1
    aucs = [part["auc"] for part in found["auc_by_sdr_db"].values()]
    assert len(aucs) >= 4
    assert aucs == sorted(aucs, reverse=True)


def test_the_embedding_parts_families_that_differ(cues: pd.DataFrame, tmp_path: Path) -> None:
    """A family with a planted cue lies apart from the others, and the picture is drawn."""
    moved = cues.assign(notch=cues["notch"].where(cues["family"] != "spleeter", 1000.0))
    places = embedding.embed(moved)
    centres = places.groupby("group")[["x", "y"]].mean()
    spread = places[places["group"] == "spleeter"][["x", "y"]].std().max()
    gap = np.linalg.norm(centres.loc["spleeter"] - centres.drop("spleeter").mean())
    assert gap > 3 * spread
    embedding.draw(places, tmp_path / "embedding.png")
    assert (tmp_path / "embedding.png").stat().st_size > 5000
    assert embedding.nearest(moved)["n"] == 27


def test_the_deletion_report_holds_only_where_marks_lower_three_times_as_much() -> None:
    """Three times is enough, less is not, and a rise never is."""
    good = deletion.report([deletion.Deleted("a", 3.0, 1.0), deletion.Deleted("b", 2.0, 0.1)])
    bad = deletion.report([deletion.Deleted("a", 1.0, 0.9), deletion.Deleted("b", -1.0, -0.9)])
    assert good["holds"] is True
    assert good["clips_where_marked_lowers_three_times_as_much"] == 1.0
    assert bad["holds"] is False


def test_separators_run_side_by_side_and_again_for_nothing(tmp_path: Path) -> None:
    """Every mix goes through every separator once; manifest, cues and picture compare them."""
    (tmp_path / "mixes").mkdir()
    for song in range(2):
        soundfile.write(tmp_path / "mixes" / f"song{song}.wav", sounds.music(2.0, seed=song), RATE)
    calls: list[str] = []

    def keep(low: bool) -> Separator:
        def run(piece: object) -> dict[str, np.ndarray]:
            calls.append(piece.song)  # type: ignore[attr-defined]
            wave = piece.mix  # type: ignore[attr-defined]
            smooth = np.stack([np.convolve(c, np.ones(9) / 9, "same") for c in wave.T], axis=1)
            return {"vocals": (smooth if low else wave - smooth).astype(np.float32)}

        return Separator("low" if low else "high", str(low), run)

    pair = [keep(True), keep(False)]
    found = separate.separate(tmp_path / "mixes", pair, tmp_path / "out")
    assert sorted(calls) == ["song0", "song0", "song1", "song1"]
    assert set(found["separator"]) == {"low", "high"}
    separate.separate(tmp_path / "mixes", pair, tmp_path / "out")
    assert len(calls) == 4
    with (tmp_path / "out" / "manifest.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 4
    assert {row["origin"] for row in rows} == {"separated"}
    separate.draw(found, tmp_path / "out" / "side_by_side.png")
    assert (tmp_path / "out" / "side_by_side.png").read_bytes().startswith(b"\x89PNG")
    separate.separate(tmp_path / "mixes", pair[:1], tmp_path / "out", max_s=0.5)
    assert len(calls) == 6, "another length is another output"
    other = dataclasses.replace(pair[0], identity="another file of the same name")
    separate.separate(tmp_path / "mixes", [other], tmp_path / "out", max_s=0.5)
    assert len(calls) == 8
    with pytest.raises(ValueError, match="several separators named 'low'"):
        separate.separate(tmp_path / "mixes", [pair[0], other], tmp_path / "out")
    with pytest.raises(ValueError, match="found no audio"):
        separate.separate(tmp_path / "nowhere", pair, tmp_path / "out")


def write_songs(folder: Path, names: tuple[str, ...]) -> None:
    """Write a second of noise under each name below a folder."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).standard_normal((RATE, 2)) * 0.1
        soundfile.write(folder / name, noise, RATE, format="WAV")


def test_mixes_are_found_in_folders_of_folders(tmp_path: Path) -> None:
    """Of a data set of songs the mixtures are separated, each once and under its song's name, and no stem or output."""
    stems = ("vocals.wav", "drums.wav", "bass.wav", "other.wav")
    songs = ("train/Song A", "test/Song A", "test/Song B")
    write_songs(
        tmp_path, tuple(f"{song}/{name}" for song in songs for name in ("mixture.wav", "._mixture.wav", *stems))
    )
    write_songs(tmp_path, ("demo.wav", "demo.flac.wav", "old/demo.wav", "old/demo.aif", "old/vocals.wav"))
    (tmp_path / "train" / "notes.txt").write_text("none")
    heard: list[str] = []

    def run(piece: object) -> dict[str, np.ndarray]:
        heard.append(piece.song)  # type: ignore[attr-defined]
        return {"vocals": piece.mix}  # type: ignore[attr-defined]

    out = tmp_path / "out"
    for _ in range(2):  # the outputs of the first run are no mixes of the second
        found = separate.separate(tmp_path, [Separator("same", "same", run)], out)
        assert sorted(heard) == ["Song A", "Song A", "Song B", "demo", "demo", "demo", "demo.flac", "vocals"]
    assert sorted(found["song"]) == [
        "demo", "demo.flac", "old/demo.aif", "old/demo.wav", "old/vocals", "test/Song A/mixture", "test/Song B/mixture",
        "train/Song A/mixture",
    ]  # fmt: skip
    with (out / "manifest.csv").open(newline="") as handle:
        assert {row["song_id"] for row in csv.DictReader(handle)} == {"Song A", "Song B", "demo", "demo.flac", "vocals"}


def test_mixes_are_those_that_score_walks(tmp_path: Path) -> None:
    """The files are those of the command line, what is passed over is told, and outputs never lie among mixes."""
    write_songs(tmp_path / "in", ("b/x.wav", "a/y.wav", "z.WAV", ".hidden.wav"))
    (tmp_path / "in" / "a" / "cover.jpg").write_bytes(b"")
    mixes, notes = separate.list_mixes(tmp_path / "in", tmp_path / "out")
    assert [str(mix.path) for mix in mixes] == list(listing.walk([str(tmp_path / "in")], Counter()))
    assert [mix.place.as_posix() for mix in mixes] == ["a/y", "b/x", "z"]
    assert notes == ["1 file passed over, whose ending names no audio that is read: .jpg 1"]
    write_songs(tmp_path / "in" / "song", ("mix.wav", "vocals.wav"))
    mixes, notes = separate.list_mixes(tmp_path / "in", tmp_path)
    assert [mix.song for mix in mixes] == ["y", "x", "song", "z"]
    assert notes[1].startswith("1 file beside a mix passed over")
    with pytest.raises(ValueError, match="needed: another folder for the outputs"):
        separate.list_mixes(tmp_path / "in", tmp_path / "b" / ".." / "in")


def test_a_mix_tells_true_stems_from_extractions_in_the_research_table() -> None:
    """On made-up songs the signs rank every extraction above every true stem of songs held out."""
    rng = np.random.default_rng(0)
    rows = []
    for song in range(10):
        for separator in ("", "deepconvsep", "spleeter"):
            at = 0.8 if separator else 0.1
            rows.append(
                {"song": str(song), "condition": "plain", "stem": "vocals", "separator": separator,
                 "origin": "separated" if separator else "studio", "phase_agreement": at + 0.05 * rng.standard_normal(),
                 "shared_overlap": at / 4, "exceeds_mix": 0.2, "pause_coherence": None if song % 2 else at}
            )  # fmt: skip
    sets = pd.DataFrame({"song": ["a", "a"] * 5, "separator": ["", "x"] * 5, "n": 4, "agreement": [0.0, 0.9] * 5})
    found = mixes.report(pd.DataFrame(rows), sets)
    assert found["auc_by_condition"]["plain"] == 1.0
    assert found["auc_leaving_a_separator_out"] == {"deepconvsep": 1.0, "spleeter": 1.0}
    assert mixes.weights(pd.DataFrame(rows), sets)["phase_agreement"] > 0


def pairs_of(folder: Path, n_songs: int, n_excerpts: int = 1) -> Path:
    """A manifest of songs of three true stems, each with an extraction, in set pairs; files of two seconds."""
    rows = []
    for song, excerpt, stem in product(range(n_songs), range(n_excerpts), ("vocals", "bass", "drums")):
        wave = songs.stem(stem, 2.0, 10 * song + excerpt)
        for separator in ("", "spleeter"):
            name = f"{song}-{excerpt}-{stem}-{separator or 'studio'}.flac"
            bleed = 0.3 * songs.stem("other", 2.0, song) if separator else 0.0
            soundfile.write(folder / name, wave + bleed, 44_100)
            rows.append({"clip": name, "set": "pairs", "song_id": f"long name {song}", "stem": stem,
                         "origin": "separated" if separator else "studio", "separator": separator})  # fmt: skip
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


def test_stems_of_two_excerpts_are_no_mix(tmp_path: Path) -> None:
    """A song with a kind of true stem twice is passed over and named: the sum would be of seconds apart."""
    clips, _ = catalogue.load([pairs_of(tmp_path, 2, n_excerpts=2)])
    assert mixes.songs(clips) == ({}, ["longname0", "longname1"])
    found, twice = mixes.songs([clip for clip in clips if "-0-" in clip.name])
    assert list(found) == ["longname0", "longname1"]
    assert twice == []


def test_a_stem_that_cannot_be_read_is_not_a_second_of_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An extraction that cannot is passed over, a true stem leaves no mix; neither cuts the others to one second."""
    clips, _ = catalogue.load([pairs_of(tmp_path, 1)])
    whole, _ = mixes.measure("a song", clips)
    (tmp_path / "0-0-bass-spleeter.flac").write_bytes(b"fLaC and nothing")
    rows, _ = mixes.measure("a song", clips)
    of_vocals = [next(r for r in each if r["stem"] == "vocals" and r["origin"] == "studio") for each in (whole, rows)]
    assert of_vocals[0] == of_vocals[1]
    assert len(rows) < len(whole)
    assert "left out" in capsys.readouterr().err
    (tmp_path / "0-0-bass-studio.flac").write_bytes(b"fLaC and nothing")
    assert mixes.measure("a song", clips) == ([], [])


def test_what_a_mix_adds_writes_no_weights_unless_told_where(tmp_path: Path, root: Path) -> None:
    """The weights that the package carries are not written over by looking; too few songs are told."""
    carried = root / "provenance" / "mix" / "weights.json"
    before = carried.read_bytes(), carried.stat().st_mtime_ns
    app = typer.Typer()
    app.command()(mixes.main)
    given = [str(pairs_of(tmp_path, 5)), "--workers", "1"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert (carried.read_bytes(), carried.stat().st_mtime_ns) == before
    assert CliRunner().invoke(app, [*given, "--out", str(tmp_path / "w.json")]).exit_code == 0
    assert json.loads((tmp_path / "w.json").read_text())["weights"].keys() == json.loads(before[0])["weights"].keys()
    few = CliRunner().invoke(app, [str(pairs_of(tmp_path, 2))])
    assert few.exit_code == 2
    assert "found 2 songs with a mix; needed: 5" in few.stderr


def test_signs_that_could_not_be_measured_are_filled_from_what_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean that stands in for one comes from the songs of the fit, not from those that are judged."""
    rows = pd.DataFrame([
        {"song": str(song), "origin": "separated" if made else "studio", "separator": "x" * made}
        | dict.fromkeys(mixes.SIGNS, float(song))
        for song, made in product(range(5), (False, True))
    ])  # fmt: skip
    rows.loc[rows["song"] == "0", mixes.SIGNS[0]] = None
    seen = []
    filled = mixes._filled
    monkeypatch.setattr(mixes, "_filled", lambda own, learnt: seen.append((own, learnt)) or filled(own, learnt))
    mixes.held_out(rows)
    assert len(seen) == 10
    for _, learnt in seen:
        assert learnt["song"].nunique() == 4


def test_the_notebook_runs_from_the_repository(root: Path, tmp_path: Path) -> None:
    """Every cell of ``examples/research.ipynb`` runs, and the mix tells the two voices apart."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(root / "examples" / "research.ipynb", as_version=4)
    environment = {"MPLCONFIGDIR": str(tmp_path), "IPYTHONDIR": str(tmp_path), "PYTHONPATH": str(root)}
    old = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(root)}}
        ).execute()
    finally:
        for name, value in old.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
    said = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "the marked tenth lowers them" in said
    assert "repet-hpss-6" in said
    assert all(not cell.get("outputs") for cell in nbformat.read(root / "examples" / "research.ipynb", 4).cells)


def test_commands_name_what_is_missing(tmp_path: Path, root: Path) -> None:
    """A folder without audio ends the side-by-side command with exit code 2 and its name."""
    run = subprocess.run(
        [sys.executable, "-m", "training.research.separate", str(tmp_path), "--out", str(tmp_path / "out")]
        + ["--separator", "classical"],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "found no audio" in run.stderr


def _run(command: types.ModuleType, manifest: Path) -> Result:
    """Run a command on a manifest, with an --out beside it where it has one."""
    app = typer.Typer()
    app.command()(command.main)
    wants_out = "out" in inspect.signature(command.main).parameters
    return CliRunner().invoke(app, [str(manifest), *(["--out", str(manifest.with_name("out"))] if wants_out else [])])


@pytest.mark.parametrize(
    "command", [artefacts, deletion, detectability, embedding, int8, leave_out, logistic, mixes, ranges]
)
def test_a_manifest_that_is_missing_is_named_by_every_command(command: types.ModuleType, tmp_path: Path) -> None:
    """One line on stderr and exit code 2, no traceback."""
    done = _run(command, tmp_path / "none.csv")
    assert done.exit_code == 2, done.output
    assert "none.csv: no such manifest; needed: a CSV file" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_eight_bits_are_tried_on_the_model_that_ships(small: Path, tmp_path: Path, root: Path) -> None:
    """Its graph asks for onsets and no map: it is given what it asks for; the folder of the file is made."""
    app = typer.Typer()
    app.command()(int8.main)
    out = tmp_path / "new" / "int8.json"
    paired = tmp_path / "paired.csv"  # by repositories all would lie with their separators, on one side
    text = re.sub(r"^(\d)", f"{small.parent}/\\1", small.read_text(encoding="utf-8"), flags=re.MULTILINE)
    paired.write_text(text.replace(",field,", ",pairs,"), encoding="utf-8")
    done = CliRunner().invoke(app, [str(paired), "--out", str(out), "--model", str(root / "models" / "stem-v1")])
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["bytes"]["int8"] < told["bytes"]["float32"]


def test_the_place_of_deals_is_looked_at_before_the_rows(small: Path, tmp_path: Path) -> None:
    """It is one line, not a traceback after the first deal."""
    (tmp_path / "file").write_text("x")
    app = typer.Typer()
    app.command()(repeat.main)
    for where in (["file/deals.jsonl"], ["deals.jsonl", "--head", "sdr", "--page", "file/page.md"]):
        words = [str(tmp_path / word) if "." in word else word for word in where]
        done = CliRunner().invoke(app, [str(small), "--out", *words, "--work", str(tmp_path / "work")])
        assert done.exit_code == 2
        assert isinstance(done.exception, SystemExit)
        assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("sets", [("pairs", "pairs"), ("field", "field"), ("pairs", "field")])
def test_cues_of_a_catalogue_of_one_set_are_judged(cues: pd.DataFrame, sets: tuple[str, str]) -> None:
    """Matched pairs alone, as the guide makes them, are no other sets: what is not there is null."""
    of_class = cues["origin"].map({"studio": sets[0], "separated": sets[1]})
    dealt = np.random.default_rng(0).integers(0, 3, len(cues))
    told = logistic.report(cues.assign(set=of_class, fold=dealt))
    assert (told["auc_paired_set"] is None) == (sets != ("pairs", "pairs"))
    assert (told["auc_other_sets"] is None) == (sets != ("field", "field"))
    with pytest.raises(catalogue.CatalogueError, match="outside fold 0; needed: both"):
        logistic.report(cues.assign(fold=0))


@pytest.mark.parametrize("command", [artefacts, detectability, embedding, leave_out, logistic, ranges])
def test_a_manifest_without_a_clip_is_told(command: types.ModuleType, tmp_path: Path) -> None:
    """It ends with what was found and what is needed, not with the name of a column."""
    (tmp_path / "empty.csv").write_text("clip,song_id,stem,origin\n", encoding="utf-8")
    done = _run(command, tmp_path / "empty.csv")
    assert done.exit_code == 2, done.output
    assert "empty.csv: found no clip that sounds; needed: studio stems and extractions" in done.stderr


def test_the_page_on_artefacts_names_every_cue_and_shows_pictures_that_can_be_remade(
    root: Path, tmp_path: Path
) -> None:
    """``docs/artefacts.md`` leaves no cue out, its pictures are there and small, and the command draws them."""
    text = (root / "docs" / "artefacts.md").read_text(encoding="utf-8")
    assert [name for name in table.CUES if f"`{name}`" not in text] == []
    shown = re.findall(r"!\[[^]]+\]\(pictures/(\w+)\.png\)", text)
    assert sorted(shown) == sorted(pictures.NAMES)
    for name in shown:
        assert (root / "docs" / "pictures" / f"{name}.png").stat().st_size < 200_000
    for number in range(1, 11):
        assert re.search(rf"\[{number}\]", text), f"source {number} is never cited"
    pictures.draw("phase", tmp_path / "phase.png")
    assert (tmp_path / "phase.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="needed: holes"):
        pictures.draw("nothing", tmp_path / "nothing.png")


def test_all_cues_cost_less_than_half_of_front_end_and_model(scorer: provenance.Scorer) -> None:
    """The command's ratio stays under a half, even beside a model that is almost free."""
    assert cost.measure(scorer, n=6)["cues_over_front_end_and_model"] < 0.5


@pytest.mark.corpus
@pytest.mark.slow
def test_cues_alone_reach_auc_080_on_held_out_repositories(corpus: Path) -> None:
    """The evidence is real: a logistic model on the cues finds extractions of repositories it never saw."""
    found = table.build([corpus / "manifest.csv"], workers=2)
    assert logistic.report(found)["auc_held_out_mean"] >= 0.80
