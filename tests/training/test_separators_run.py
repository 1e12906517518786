"""Separators over a catalogue: adapters, cache, resuming and what is said when something is missing."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")

from tests.training import songs  # noqa: E402
from training import catalogue  # noqa: E402
from training.catalogue import __main__ as catalogue_command  # noqa: E402
from training.catalogue.clips import song_key  # noqa: E402
from training.families import family_of  # noqa: E402
from training.separators import build, cache, command, demucs, networks, run, separator  # noqa: E402
from training.separators.errors import DiskFull, SeparatorError  # noqa: E402
from training.separators.separator import Piece, Separator, Wave, open_separator  # noqa: E402
from training.separators.surrogate import sdr_db  # noqa: E402

RATE_HZ = 44_100
ROOT = Path(__file__).parents[2]
NAMES = ("alpha song", "beta song", "gamma song")

SPLITTER = """
import sys, soundfile, numpy as np
from pathlib import Path
mix, rate = soundfile.read(sys.argv[1], dtype="float32")
spectrum = np.fft.rfft(mix, axis=0)
cut = int(300 / rate * len(mix))
low, high = spectrum.copy(), spectrum.copy()
low[cut:], high[:cut] = 0, 0
out = Path(sys.argv[2]) / "some model" / "input"
out.mkdir(parents=True)
lag = int(sys.argv[3]) if len(sys.argv) > 3 else 0
for name, part in (("input_(Bass)_model.wav", low), ("input_(Instrumental)_model.wav", high)):
    wave = np.fft.irfft(part, len(mix), axis=0).astype("float32")
    soundfile.write(out / name, np.pad(wave, ((lag, 0), (0, 0))), rate, "FLOAT")
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of three synthetic songs of four stems."""
    return songs.write_manifest(tmp_path_factory.mktemp("catalogue"), NAMES, 2.0)


@pytest.fixture
def splitter(tmp_path: Path) -> str:
    """A separator as a program: bass below 300 Hz, the rest above."""
    script = tmp_path / "splitter.py"
    script.write_text(SPLITTER)
    return f"{sys.executable} {script} {{input}} {{output}}"


def mix_of(seed: int, seconds: float = 2.0) -> Wave:
    """Return the sum of a synthetic song's stems."""
    return np.asarray(sum(songs.stem(kind, seconds, seed) for kind in songs.STEMS), np.float32)


def halves(name: str = "halves", calls: list[str] | None = None) -> Separator:
    """Return a separator that gives a fifth of the mix for every stem and counts its calls."""

    def run_(piece: Piece) -> dict[str, Wave]:
        if calls is not None:
            calls.append(piece.song)
        return {kind: piece.mix * np.float32(0.2) for kind in songs.STEMS}

    return Separator(name, f"{name}|1", run_)


def giving(name: str, *kinds: str, gain: float = 0.2, calls: list[str] | None = None) -> Separator:
    """Return a separator that gives a share of the mix for some stems, or fails where none is named."""

    def run_(piece: Piece) -> dict[str, Wave]:
        if calls is not None:
            calls.append(piece.song)
        if not kinds:
            raise SeparatorError(f"{name}: no weights")
        return {kind: piece.mix * np.float32(gain) for kind in kinds}

    return Separator(name, f"{name}|{kinds}|{gain}", run_)


def copier(name: str, stem: str) -> str:
    """Return a separator that copies its input as one stem, as an option."""
    return f"command[{name}]:cp {{input}} {{output}}/{stem}.wav"


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Read the rows of a folder of pairs."""
    with (folder / "manifest.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_help_is_about_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what the command does and what a separator is, in words for a shell and not those of a docstring."""
    with pytest.raises(SystemExit) as ended:
        run.main(["--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for needed in ("Mix excerpts of the songs", "Exit code 0", "demucs:MODEL[@REPOSITORY]", "folder[NAME]:PATH"):
        assert needed in said
    for foreign in ("``", "Args:", "Raises:", "SeparatorError", "MANIFEST... --separator SPEC --out DIR"):
        assert foreign not in said


def test_every_kind_of_separator_is_in_the_help() -> None:
    """The kinds that the help names are those that can be opened."""
    for kind in separator._OPENERS:
        assert re.search(rf"\b{kind}\b", run._SPEC), kind


def test_pairs_hold_what_they_say(manifest: Path, tmp_path: Path, splitter: str) -> None:
    """Each separated row's file lies at its SDR from its reference, and training reads the manifest with its family."""
    out = tmp_path / "pairs"
    given = [str(manifest), "--separator", f"command[umx-split]:{splitter}", "--out", str(out), "--seconds", "1.5"]
    assert run.main(given) == 0
    rows = rows_of(out)
    separated = [row for row in rows if row["origin"] == "separated"]
    assert len(separated) == 3
    assert len(rows) == 3 + 12
    for row in separated:
        estimate, _ = soundfile.read(out / row["clip"], dtype="float32")
        truth, _ = soundfile.read(out / row["reference"], dtype="float32")
        assert float(row["sdr_db"]) == pytest.approx(sdr_db(truth, estimate), abs=0.05)
        assert float(row["sdr_db"]) > 2
        assert row["licence"] == "CC0-1.0"
    clips, left_out = catalogue.load([out / "manifest.csv"])
    assert left_out == []
    assert {clip.family for clip in clips if clip.origin == "separated"} == {family_of("umx")}


def test_residuals_add_up_to_the_mix(manifest: Path, tmp_path: Path) -> None:
    """A residual is the mix less the other estimates, so with them it gives the mix back."""
    clips, _ = catalogue.load([manifest])
    build.build(clips, [halves()], tmp_path, build.Settings(seconds=1.0))
    rows = [row for row in rows_of(tmp_path) if row["song_id"] == "alphasong"]
    read = {(r["stem"], r["note"].split(";")[0] or "true"): soundfile.read(tmp_path / r["clip"])[0] for r in rows}
    mix = sum(read[kind, "true"] for kind in songs.STEMS)
    for kind in songs.STEMS:
        others = sum(read[other, "direct"] for other in songs.STEMS if other != kind)
        np.testing.assert_allclose(read[kind, "residual"] + others, mix, atol=1e-5)


def test_estimates_that_add_up_to_the_mix_are_no_residuals_too(manifest: Path, tmp_path: Path) -> None:
    """What is left of the mix is then the direct output itself: one clip, however it was written, and not two."""
    clips, _ = catalogue.load([manifest])
    shares = dict(zip(songs.STEMS, (0.1, 0.2, 0.3, 0.4), strict=True))
    rng = np.random.default_rng(0)
    for error, hows in ((0.0, {"direct"}), (2.0**-16, {"direct"}), (0.01, {"direct", "residual"})):

        def run_(piece: Piece, error: float = error) -> dict[str, Wave]:
            noise = rng.uniform(-error, error, (4, *piece.mix.shape)).astype(np.float32)
            return {kind: piece.mix * np.float32(share) + noise[k] for k, (kind, share) in enumerate(shares.items())}

        out = tmp_path / str(error)
        built = build.build(clips, [Separator("spleeter", f"spleeter|{error}", run_)], out, build.Settings(1.0))
        assert built.problems == []
        made = [row for row in rows_of(out) if row["origin"] == "separated"]
        assert {(row["stem"], row["note"]) for row in made} == {(kind, how) for kind in songs.STEMS for how in hows}


def test_two_runs_can_be_read_together(manifest: Path, tmp_path: Path) -> None:
    """Manifests of two separators over the same songs name no clip twice, so training takes both beside the songs'."""
    clips, _ = catalogue.load([manifest])
    for name in ("one", "two"):
        build.build(clips, [halves(f"umx-{name}")], tmp_path / name, build.Settings(seconds=1.0))
    both, left_out = catalogue.load([manifest, tmp_path / "one" / "manifest.csv", tmp_path / "two" / "manifest.csv"])
    assert left_out == []
    assert len(both) == 12 + 2 * 36


def test_nothing_is_computed_twice(manifest: Path, tmp_path: Path) -> None:
    """A second run, and a run of other excerpts beside it, reuse what is there; a changed separator does not."""
    clips, _ = catalogue.load([manifest])
    calls: list[str] = []
    build.build(clips, [halves(calls=calls)], tmp_path, build.Settings(seconds=1.0))
    assert len(calls) == 3
    before = (tmp_path / "manifest.csv").read_text()
    build.build(clips, [halves(calls=calls)], tmp_path, build.Settings(seconds=1.0))
    assert len(calls) == 3
    assert (tmp_path / "manifest.csv").read_text() == before
    build.build(clips, [halves(calls=calls)], tmp_path, build.Settings(seconds=1.0, residuals=False))
    assert len(calls) == 3
    build.build(
        clips, [Separator("halves", "halves|2", halves(calls=calls).run)], tmp_path, build.Settings(seconds=1.0)
    )
    assert len(calls) == 6


def test_the_cache_tells_mixes_and_settings_apart_and_mends_itself(tmp_path: Path) -> None:
    """The key changes with a sample and with the identity; a result damaged on disk is made again."""
    calls: list[str] = []
    kept = halves(calls=calls)
    piece = Piece(mix_of(0))
    first = cache.separate(kept, piece, tmp_path)
    again = cache.separate(kept, piece, tmp_path)
    assert len(calls) == 1
    np.testing.assert_allclose(again["bass"], first["bass"], atol=2e-7)
    changed = piece.mix.copy()
    changed[100, 0] += np.float32(1e-4)
    assert cache.key_of(kept, Piece(changed)) != cache.key_of(kept, piece)
    assert cache.key_of(Separator("halves", "other", kept.run), piece) != cache.key_of(kept, piece)
    assert cache.key_of(kept, Piece(piece.mix, "another name")) == cache.key_of(kept, piece)
    file = next(tmp_path.glob("*/0.flac"))
    file.write_bytes(file.read_bytes()[:100])
    cache.separate(kept, piece, tmp_path)
    assert len(calls) == 2
    assert len(soundfile.read(file)[0]) == len(piece.mix)


def test_a_full_disk_loses_nothing(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails the run stops with a line, leaves no half result, and the rest of it goes on later."""
    clips, _ = catalogue.load([manifest])
    calls: list[str] = []
    real = soundfile.write
    monkeypatch.setattr(soundfile, "write", lambda *a, **k: full() if len(calls) == 2 else real(*a, **k))

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match=r"No space left.*is kept"):
        build.build(clips, [halves(calls=calls)], tmp_path, build.Settings(seconds=1.0))
    assert not [p for p in (tmp_path / "cache").iterdir() if p.name.startswith(".")]
    assert len(rows_of(tmp_path)) == 12
    monkeypatch.setattr(soundfile, "write", real)
    calls.clear()
    built = build.build(clips, [halves(calls=calls)], tmp_path, build.Settings(seconds=1.0))
    assert (built.n_rows, built.problems, len(calls)) == (36, [], 2)


def test_a_killed_run_goes_on(tmp_path: Path, manifest: Path) -> None:
    """After kill -9 in the middle the same command finishes, and what was separated is not separated again."""
    script = tmp_path / "slow.py"
    log = tmp_path / "calls"
    script.write_text(
        f"import os, time\nwith open({str(log)!r}, 'a') as calls:\n    calls.write('x')\n"
        f"while os.path.getsize({str(log)!r}) == 2:\n    time.sleep(0.02)\n{SPLITTER}"
    )  # the second call waits until it is killed
    spec = f"command[umx-slow]:{sys.executable} {script} {{input}} {{output}}"
    words = [sys.executable, "-m", "training.separators.run", str(manifest), "--separator", spec, "--seconds", "1"]
    words += ["--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    process = subprocess.Popen(words, cwd=ROOT, env=environment, start_new_session=True, **quiet)
    deadline = time.monotonic() + 300
    while not (log.exists() and log.stat().st_size == 2) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)  # with the program that it had started
    process.wait()
    done = len(list((tmp_path / "out" / "cache").glob("*/done.json")))
    before = len(log.read_text())
    assert (done, before) == (1, 2)
    assert len(rows_of(tmp_path / "out")) > 0
    finished = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert len(log.read_text()) - before == 3 - done
    assert len(rows_of(tmp_path / "out")) == 3 * 5
    assert not list((tmp_path / "out" / "out-clips").glob(".*"))


def test_a_command_is_aligned_and_its_failures_told(tmp_path: Path, splitter: str) -> None:
    """Outputs that a codec shifted come back in place; a missing program, an error and silence each say what to do."""
    mix = mix_of(1)
    stems = command.open_command(splitter).run(Piece(mix))
    assert set(stems) == {"bass", "accompaniment"}
    late = command.open_command(f"{splitter} 1105").run(Piece(mix))
    np.testing.assert_allclose(late["accompaniment"][:-1200], stems["accompaniment"][:-1200], atol=1e-5)
    with pytest.raises(SeparatorError, match="no such program"):
        command.open_command("spleeter-that-is-not-here {input} {output}")
    with pytest.raises(SeparatorError, match=r"needed: a program with \{input\}"):
        command.open_command("cp a b")
    failing = command.open_command(
        f"{sys.executable} -c 'import sys; sys.exit(\"no weights for {{input}} {{output}}\")'"
    )
    with pytest.raises(SeparatorError, match="ended with 1: no weights"):
        failing.run(Piece(mix))
    with pytest.raises(SeparatorError, match="left no audio"):
        command.open_command(f"{sys.executable} -c pass {{input}} {{output}}").run(Piece(mix))
    slow = f"{sys.executable} -c 'import time; time.sleep(60)' {{input}} {{output}}"
    with pytest.raises(SeparatorError, match="not done after"):
        command.open_command(slow, timeout_s=0.5).run(Piece(mix))


WRITER = """
import sys, soundfile, numpy as np
mix, rate = soundfile.read(sys.argv[1], dtype="float32")
sys.stdin.read()
for word in sys.argv[3:]:
    name, share = word.split("=")
    soundfile.write(f"{sys.argv[2]}/{name}.wav", mix[: int(len(mix) * float(share))], rate, "FLOAT")
"""


def writer(folder: Path, *outputs: str) -> str:
    """Return a command that writes its input as some outputs, each ``NAME=SHARE`` of its length."""
    (folder / "a writer.py").write_text(WRITER)
    return f"{sys.executable} '{folder / 'a writer.py'}' {{input}} {{output}} {' '.join(outputs)}"


@pytest.mark.parametrize(
    ("outputs", "told"),
    [(("vocals=0.5", "other=1"), r"a-tool: vocals ends 1\.0 s before the mix; needed: outputs as long as it$"),
     (("vocals=0",), r"a-tool: vocals\.wav: a header with no samples; needed: at least one second of audio$"),
     (("kick=1", "snare=1"), r"a-tool: found kick\.wav and snare\.wav, both of them drums; needed: one file for each")],
)  # fmt: skip
def test_outputs_that_cannot_be_meant_are_told_in_the_same_words_for_every_song(
    outputs: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    """Nothing is padded with silence, no output takes another's place, and no temporary folder is in the message."""
    separator = command.open_command(writer(tmp_path, *outputs), "a-tool")
    with pytest.raises(SeparatorError, match=told):
        separator.run(Piece(mix_of(1)))


def test_a_copy_of_the_mix_is_no_stem(tmp_path: Path) -> None:
    """A tool may leave its input beside the stems; a command finds its standard input closed."""
    separator = command.open_command(writer(tmp_path, "input=1", "vocals=1"), "a-tool")
    assert set(separator.run(Piece(mix_of(1)))) == {"vocals"}


def test_why_a_command_failed_may_stand_on_stdout(tmp_path: Path) -> None:
    """Tools log on either; nothing on stderr is not nothing said."""
    failing = f"{sys.executable} -c 'print(\"no weights\"); raise SystemExit(3)' {{input}} {{output}}"
    with pytest.raises(SeparatorError, match="ended with 3: no weights"):
        command.open_command(failing, "a-tool").run(Piece(mix_of(1)))


@pytest.mark.skipif(sys.platform == "win32", reason="groups of processes")
def test_a_command_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """A shell's child holds the pipes: the run would wait for it, and it for ever."""
    number = tmp_path / "number"
    slow = f"sh -c 'sleep 60 & echo $! > {number}; wait' {{input}} {{output}}"
    began = time.monotonic()
    with pytest.raises(SeparatorError, match="not done after"):
        command.open_command(slow, timeout_s=1.0).run(Piece(mix_of(1)))
    assert time.monotonic() - began < 20
    for _ in range(50):
        if not Path(f"/proc/{number.read_text().strip()}/fd/1").exists():
            break
        time.sleep(0.1)
    else:
        pytest.fail("what the command started is still there")


def test_a_quiet_output_is_not_moved_to_where_the_rest_repeats() -> None:
    """The delay of a codec is that of all outputs; by itself a quiet one resembles a louder stem elsewhere more."""
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    loud, quiet = (
        np.float32(g) * np.sin(2 * np.pi * 55 * t + p).astype(np.float32) for g, p in ((0.5, 2.0), (0.01, 0))
    )
    noise = np.random.default_rng(0).standard_normal(len(t)).astype(np.float32) * np.float32(0.02)
    stems = [np.stack([wave, wave], 1) for wave in (loud + noise, quiet)]
    mix = np.sum(stems, axis=0)
    assert command.lag_of([stems[1]], mix) != 0  # what was done to it
    for lag in (0, 1105):
        shifted = [np.pad(stem, ((lag, 0), (0, 0)))[: len(mix)] for stem in stems]
        assert command.lag_of(shifted, mix) == lag


def test_finished_outputs_that_a_codec_shifted_come_back_in_place(tmp_path: Path) -> None:
    """As those of a command: their SDR would be measured on other samples."""
    mix = mix_of(3, 3.0)
    (tmp_path / "a long song").mkdir()
    soundfile.write(tmp_path / "a long song" / "vocals.wav", np.pad(mix, ((1105, 0), (0, 0))), RATE_HZ, "FLOAT")
    folder = open_separator(f"folder[umx]:{tmp_path}")
    for start, stop in ((0, 40_000), (30_000, 90_000)):
        found = folder.run(Piece(mix[start:stop], "a long song", start))["vocals"]
        np.testing.assert_allclose(found, mix[start:stop], atol=1e-6)


def test_outputs_of_two_models_in_one_folder_are_told(tmp_path: Path) -> None:
    """Of ``separated/htdemucs`` and ``separated/mdx_extra`` one would stand for the other; hidden files are none."""
    for model in ("htdemucs", "mdx_extra"):
        (tmp_path / model / "a long song").mkdir(parents=True)
        soundfile.write(tmp_path / model / "a long song" / "vocals.wav", mix_of(1), RATE_HZ)
    (tmp_path / "htdemucs" / "a long song" / "._vocals.wav").write_bytes(b"as macOS leaves beside it")
    (tmp_path / "htdemucs" / "a long song" / "bass.wav").symlink_to(tmp_path / "nowhere.wav")
    with pytest.raises(SeparatorError, match=r"found htdemucs/.*vocals.wav and mdx_extra/.*vocals.wav, both of them"):
        open_separator(f"folder[umx]:{tmp_path}").run(Piece(mix_of(1), "a long song"))
    one = open_separator(f"folder[umx]:{tmp_path / 'htdemucs'}")
    assert set(one.run(Piece(mix_of(1), "a long song"))) == {"vocals"}


def test_finished_outputs_that_were_replaced_are_taken_anew(manifest: Path, tmp_path: Path) -> None:
    """A vendor's second delivery into the same folder is another one."""
    words = [str(manifest), "--seconds", "1", "--out", str(tmp_path / "out"), "--separator", f"folder[umx]:{tmp_path}"]
    for gain in (0.5, 0.1):
        for number, name in enumerate(NAMES):
            (tmp_path / name).mkdir(exist_ok=True)
            soundfile.write(tmp_path / name / "vocals.wav", mix_of(number) * gain, RATE_HZ, "FLOAT")
        assert run.main(words) == 0
        rows = [row for row in rows_of(tmp_path / "out") if row["origin"] == "separated"]
        assert len(rows) == 3
        for row in rows:
            wave, _ = soundfile.read(tmp_path / "out" / row["clip"])
            assert np.abs(wave).max() == pytest.approx(
                gain * np.abs(_excerpt_of(row, tmp_path / "out")).max(), rel=0.01
            )


@pytest.mark.parametrize("layout", ["{model}/{song}/{stem}.wav", "{model}/{song}_{stem}.wav"])
def test_what_is_wrong_with_many_songs_of_a_folder_is_one_line(
    layout: str, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a vendor's few songs not each other song of the catalogue is told, nor each that two models gave."""
    vendor, out = tmp_path / "vendor", tmp_path / "out"
    words = [str(manifest), "--seconds", "1", "--out", str(out), "--separator", f"folder[umx]:{vendor}"]

    def told(*models: str) -> list[str]:
        for model in models:
            for number, name in enumerate(NAMES[: 2 * len(models) - 1]):
                file = vendor / layout.format(model=model, song=name, stem="vocals")
                file.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(file, mix_of(number), RATE_HZ, "FLOAT")
        run.main(words)
        return [line for line in capsys.readouterr().err.splitlines() if str(vendor) in line]

    none = f"{vendor}: found no outputs of the song; needed: a folder or files of its name"
    assert told("htdemucs") == [f"{none} (2 songs, such as {song_key(NAMES[1])})"]
    a, b = (layout.format(model=model, song="SONG", stem="vocals") for model in ("htdemucs", "mdx_extra"))
    twice = f"{vendor}: found {a} and {b}, both of them vocals; needed: one file for each stem"
    assert told("htdemucs", "mdx_extra") == [f"{twice} (3 songs, such as {song_key(NAMES[0])})"]


def _excerpt_of(row: dict[str, str], folder: Path) -> Wave:
    """The mix that a row's clip was separated from."""
    beside = [r["clip"] for r in rows_of(folder) if r["song_id"] == row["song_id"] and r["origin"] == "studio"]
    return np.sum([soundfile.read(folder / clip)[0] for clip in beside], axis=0)


@pytest.mark.parametrize("layout", ["{song}/{stem}.wav", "htdemucs/{song}/{stem}.wav", "{song}_{stem}.wav"])
def test_finished_outputs_are_found_by_song(layout: str, tmp_path: Path) -> None:
    """A vendor's folder serves the right song, stem and place, whatever its layout."""
    mix = mix_of(2)
    for song, gain in (("Alpha Song", 0.5), ("Alpha Song II", 0.1)):
        for kind in ("vocals", "mixture"):
            path = tmp_path / layout.format(song=song, stem=kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, mix * gain, RATE_HZ, "FLOAT")
    folder = open_separator(f"folder[umx-vendor]:{tmp_path}")
    assert folder.name == "umx-vendor"
    stems = folder.run(Piece(mix[20_000:40_000], "alphasong", 20_000))
    assert set(stems) == {"vocals"}
    np.testing.assert_allclose(stems["vocals"], mix[20_000:40_000] * 0.5, atol=1e-6)
    with pytest.raises(SeparatorError, match="found no outputs of the song; needed: a folder or files of its name"):
        folder.run(Piece(mix, "omega"))
    with pytest.raises(SeparatorError, match="ends before the mix"):
        folder.run(Piece(np.concatenate([mix, mix]), "alphasong"))


def test_what_is_not_installed_is_told_once_and_the_others_run(
    manifest: Path, tmp_path: Path, splitter: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A separator without its package gives one line that says what to install; alone, the exit code is 2."""
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    monkeypatch.delitem(sys.modules, "openunmix", raising=False)
    monkeypatch.delitem(sys.modules, "openunmix.utils", raising=False)
    base = [str(manifest), "--seconds", "1", "--out", str(tmp_path / "out")]
    missing = ["--separator", "torchaudio", "--separator", "openunmix:umxl", "--separator", f"net:{tmp_path}/none"]
    assert run.main([*base, *missing, "--separator", f"command[umx]:{splitter}"]) == 0
    err = capsys.readouterr().err
    assert err.count("torchaudio does not start beside torch") == 1
    assert err.count("openunmix does not start") == 1
    assert err.count("found no network.json") == 1
    assert run.main([*base, *missing]) == 2
    assert run.main([*base, "--separator", "magic"]) == 2
    assert "found separator 'magic'" in capsys.readouterr().err
    assert run.main([*base, "--separator", f"command[umx]:{splitter}", "--device", "abacus"]) == 2
    assert "found no device 'abacus'" in capsys.readouterr().err


def test_torchaudio_that_cannot_link_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The OSError of torchaudio beside a CPU build of torch becomes the same kind of line as a missing package."""

    class Unlinked:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name.startswith("torchaudio"):
                raise OSError("libcudart.so.13: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Unlinked(), *sys.meta_path])
    with pytest.raises(SeparatorError, match=r"libcudart.*needed: pip install torchaudio"):
        open_separator("torchaudio")


def test_open_unmix_runs_through_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real package separates with a folder of its own weights, of two stems, untrained."""
    monkeypatch.setitem(sys.modules, "torchaudio", sys.modules.get("torchaudio") or types.ModuleType("torchaudio"))
    try:
        from openunmix import model
    except ImportError:
        pytest.skip("openunmix is not installed")
    torch.manual_seed(0)
    for kind in ("vocals", "drums"):
        net = model.OpenUnmix(nb_bins=513, nb_channels=2, hidden_size=16, max_bin=300)
        torch.save(net.state_dict(), tmp_path / f"{kind}.pth")
        (tmp_path / f"{kind}.json").write_text(
            json.dumps({"args": {"nfft": 1024, "nb_channels": 2, "hidden_size": 16}})
        )
    settings = {"sample_rate": 44_100, "nfft": 1024, "nhop": 256, "nb_channels": 2}
    (tmp_path / "separator.json").write_text(json.dumps(settings))
    opened = open_separator(f"openunmix[umx-small]:{tmp_path}")
    stems = opened.run(Piece(mix_of(3, 1.0)))
    assert set(stems) == {"vocals", "drums"}
    assert all(wave.shape == (RATE_HZ, 2) and np.isfinite(wave).all() for wave in stems.values())
    with pytest.raises(SeparatorError, match="was not to be had"):
        open_separator("openunmix:no_such_model")


def tiny_demucs(folder: Path) -> str:
    """Write an untrained demucs model as a local repository holds it, and return its signature."""
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    settings = {"channels": 8, "depth": 3, "t_layers": 1, "t_heads": 2, "nfft": 1024, "use_train_segment": False}
    given = {"klass": HTDemucs, "args": (list(songs.STEMS),), "kwargs": settings, "training_args": {}}
    package = given | {"state": HTDemucs(list(songs.STEMS), **settings).state_dict()}
    path = folder / "0a1b2c3d.th"
    torch.save(package, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path.rename(folder / f"0a1b2c3d-{digest}.th")
    return "0a1b2c3d"


def test_demucs_runs_from_a_local_repository_and_as_its_command(tmp_path: Path) -> None:
    """A local demucs model separates; as its command writes, a loud stem is rescaled and in 16 bits."""
    pytest.importorskip("demucs")
    name = tiny_demucs(tmp_path)
    plain = open_separator(f"demucs[htdemucs-tiny]:{name}@{tmp_path}")
    written = open_separator(f"demucs[htdemucs-tiny]+cli:{name}@{tmp_path}")
    mix = mix_of(4, 1.0)
    direct, as_cli = plain.run(Piece(mix)), written.run(Piece(mix))
    assert set(direct) == set(songs.STEMS)
    assert plain.identity != written.identity
    for kind, wave in as_cli.items():
        np.testing.assert_allclose(wave * 32767, np.round(wave * 32767), atol=2e-3)
        assert np.abs(wave - direct[kind]).max() < 1e-4
    loud = networks.as_written(mix * 20)
    assert np.abs(loud).max() == pytest.approx(1 / 1.01, abs=1e-4)
    with pytest.raises(SeparatorError, match="was not to be had from the folder"):
        demucs.load("ffffffff", tmp_path)
    with pytest.raises(SeparatorError, match="no such folder"):
        open_separator(f"demucs:{name}@{tmp_path / 'none'}")


@pytest.mark.parametrize(("model", "name"), [("mdx", "demucs-mdx"), ("mdx_q", "mdx_q"), ("htdemucs_ft", "htdemucs_ft")])
def test_every_model_of_the_demucs_package_is_of_its_family(
    model: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ``mdx`` and ``mdx_q`` are Demucs: under other names what learnt from siblings would judge them as new."""
    pytest.importorskip("demucs")
    monkeypatch.setattr(demucs, "load", lambda *_: None)
    opened = open_separator(f"demucs:{model}")
    assert opened.name == name
    assert family_of(opened.name) == family_of("htdemucs")


def test_a_song_that_fails_does_not_stop_the_others(manifest: Path, tmp_path: Path) -> None:
    """NaN from a separator, a silent song and a song of one stem are each told; the other songs are separated."""
    clips, _ = catalogue.load([manifest])
    text = "clip,set,song_id,stem,origin\n"
    for song, kind in (("quiet song", "drums"), ("quiet song", "bass"), ("lonely song", "bass")):
        soundfile.write(tmp_path / f"{song} {kind}.wav", np.zeros((RATE_HZ, 2)), RATE_HZ)
        text += f"{song} {kind}.wav,pairs,{song},{kind},studio\n"
    (tmp_path / "m.csv").write_text(text)
    clips += catalogue.load([tmp_path / "m.csv"])[0]

    def sometimes(piece: Piece) -> dict[str, Wave]:
        return {"bass": piece.mix * np.float32(np.nan if piece.song == "betasong" else 0.3)}

    built = build.build(clips, [Separator("umx", "umx|1", sometimes)], tmp_path / "out", build.Settings(1.0))
    assert built.n_rows == 3 * 4 + 2
    problems = built.problems
    assert sum("bass has NaN" in line and "betasong" in line for line in problems) == 1
    assert sum("quietsong" in line and "needed: two" in line for line in problems) == 1
    assert sum("songs have stems of one kind only" in line for line in problems) == 1


def test_a_separator_of_one_stem_gives_rows_of_it(manifest: Path, tmp_path: Path) -> None:
    """The voice alone, or the accompaniment alone, is a row of the voice for each song; both also leave a residual."""
    base = [str(manifest), "--seconds", "1", "--out"]
    for stem, hows in (("vocals", {"direct"}), ("accompaniment", {"residual"})):
        assert run.main([*base, str(tmp_path / stem), "--separator", copier("umx", stem)]) == 0
        made = [row for row in rows_of(tmp_path / stem) if row["origin"] == "separated"]
        assert len(made) == 3
        assert {(row["stem"], row["note"]) for row in made} == {("vocals", how) for how in hows}
    clips, _ = catalogue.load([manifest])
    build.build(clips, [giving("umx", "vocals", "accompaniment")], tmp_path / "both", build.Settings(1.0))
    made = [row for row in rows_of(tmp_path / "both") if row["origin"] == "separated"]
    assert sorted(row["note"] for row in made) == ["direct"] * 3 + ["residual"] * 3


def test_the_other_of_two_outputs_is_all_but_the_voice(manifest: Path, tmp_path: Path) -> None:
    """Models of voice and rest call the rest ``other``: it is laid beside no true ``other``, which holds less."""
    clips, _ = catalogue.load([manifest])
    build.build(clips, [giving("mdx23c", "vocals", "other")], tmp_path, build.Settings(1.0))
    made = [row for row in rows_of(tmp_path) if row["origin"] == "separated"]
    assert {row["stem"] for row in made} == {"vocals"}
    assert sorted(row["note"] for row in made) == ["direct"] * 3 + ["residual"] * 3
    two = [clip for clip in clips if clip.stem in ("vocals", "other")]
    build.build(two, [giving("mdx23c", "vocals", "other")], tmp_path / "two", build.Settings(1.0))
    assert {row["stem"] for row in rows_of(tmp_path / "two") if row["separator"]} == {"vocals", "other"}


def test_what_is_left_of_a_part_of_the_outputs_is_no_residual(manifest: Path, tmp_path: Path) -> None:
    """The mix less the drums alone is no voice: a residual is what is left by estimates of all other stems."""
    clips, _ = catalogue.load([manifest])
    build.build(clips, [giving("umx", "vocals", "drums")], tmp_path, build.Settings(1.0))
    made = [row for row in rows_of(tmp_path) if row["origin"] == "separated"]
    assert sorted((row["stem"], row["note"]) for row in made) == [("drums", "direct")] * 3 + [("vocals", "direct")] * 3


def test_silence_is_no_output(manifest: Path, tmp_path: Path) -> None:
    """Less silence the mix is the mix: labelled as an extraction it would teach that true sums are; it is told once."""
    clips, _ = catalogue.load([manifest])
    built = build.build(clips, [giving("umx", *songs.STEMS, gain=0.0)], tmp_path / "a", build.Settings(1.0))
    assert built.n_separated == 0
    assert [line for line in built.problems if "umx" in line] == [
        "umx: gave silence; left out (3 songs, such as alphasong)"
    ]

    def one(piece: Piece) -> dict[str, Wave]:
        return {kind: piece.mix * np.float32(0.0 if kind == "bass" else 0.3) for kind in songs.STEMS}

    built = build.build(clips, [Separator("umx", "one", one)], tmp_path / "b", build.Settings(1.0))
    assert sum("umx: gave silence for bass, which sounds; left out (3 songs" in line for line in built.problems) == 1
    made = [row for row in rows_of(tmp_path / "b") if row["origin"] == "separated"]
    assert len(made) == 3 * 7


def test_two_separators_of_one_name_are_refused(
    manifest: Path, tmp_path: Path, splitter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clips go by the separator's name: the second would silently replace those of the first."""
    words = [str(manifest), "--seconds", "1", "--out", str(tmp_path / "out"), "--separator", copier("umx", "vocals")]
    assert run.main([*words, "--separator", f"command[umx]+cli:{splitter}"]) == 2
    assert "found two separators named umx" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run.main([*words, "--separator", f"command[umx-cli]+cli:{splitter}"]) == 0
    assert {row["separator"] for row in rows_of(tmp_path / "out")} == {"", "umx", "umx-cli"}


def test_a_network_that_runs_out_of_memory_does_not_stop_the_others(manifest: Path, tmp_path: Path) -> None:
    """Whatever a separator raises is told with its songs; the other songs and separators are done."""

    def greedy(piece: Piece) -> dict[str, Wave]:
        if piece.song == "betasong":
            raise RuntimeError("out of memory\nTried to allocate 7 GiB")
        return {"vocals": piece.mix * np.float32(0.5)}

    clips, _ = catalogue.load([manifest])
    separators = [Separator("greedy", "greedy|1", greedy), giving("umx", "vocals")]
    built = build.build(clips, separators, tmp_path / "out", build.Settings(1.0))
    assert built.problems == ["betasong: greedy: failed (RuntimeError: out of memory)"]
    made = [row["separator"] for row in rows_of(tmp_path / "out") if row["note"] == "direct"]
    assert sorted(made) == ["greedy"] * 2 + ["umx"] * 3


def test_what_a_command_says_need_not_be_text(manifest: Path, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 on stderr are no failure, and quoted where the program fails."""
    for code in (0, 3):
        script = tmp_path / "speaker.py"
        script.write_text(
            "import shutil, sys\nsys.stderr.buffer.write(b'caf\\xe9')\n"
            f"shutil.copy(sys.argv[1], sys.argv[2] + '/vocals.wav')\nsys.exit({code})\n"
        )
        speaker = command.open_command(f"{sys.executable} {script} {{input}} {{output}}", "speaker")
        if code:
            with pytest.raises(SeparatorError, match="speaker: ended with 3: caf"):
                speaker.run(Piece(mix_of(0)))
        else:
            assert set(speaker.run(Piece(mix_of(0)))) == {"vocals"}


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--seconds", "0"], "longer than 0 s"), (["--excerpts", "0"], "found 0 excerpts"),
     (["--effects", "30"], "a share from 0 to 1"),
     (["--separator", "command[x]:y '{input} {output}"], "quotes that close"),
     (["--separator", "folder[x]:"], "found separator 'folder[x]:'; needed: demucs:MODEL")],
)  # fmt: skip
def test_numbers_and_commands_that_are_none_are_refused(
    words: list[str], told: str, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what was found and what is needed."""
    own = ["--separator", copier("umx", "vocals")] if "--separator" not in words else []
    assert run.main([str(manifest), "--out", str(tmp_path / "out"), *own, *words]) == 2
    assert told in capsys.readouterr().err


def test_temporary_files_need_room(tmp_path: Path, splitter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mix that cannot be handed to a command stops the run, which says where room is needed."""

    def full(*_: object) -> None:
        raise soundfile.LibsndfileError(2, "No space left. ")

    piece = Piece(mix_of(0))
    monkeypatch.setattr(command.soundfile, "write", full)
    with pytest.raises(DiskFull, match="needed: room for temporary files"):
        command.open_command(splitter).run(piece)


def test_a_song_that_is_listed_twice_is_mixed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A song of two data sets, or under two names of one, goes by one name; its true stems are those of one of them."""
    for top, name in (("one", "Alpha Song"), ("two", "Alpha Song"), ("two", "Another Name")):
        songs.write_song(tmp_path / top / name, 2.0, 1)
    out = tmp_path / "all.csv"
    assert catalogue_command.main([str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(out)]) == 0
    words = [str(out), "--seconds", "1", "--out", str(tmp_path / "pairs"), "--separator", copier("umx", "vocals")]
    assert run.main(words) == 0
    assert "alphasong: found it again as two, Alpha Song and two, Another Name; of one, Alpha Song alone" in (
        capsys.readouterr().err
    )
    for row in rows_of(tmp_path / "pairs"):
        assert "sum of" not in row["note"]
        wave, _ = soundfile.read(tmp_path / "pairs" / row["clip"])
        assert row["origin"] == "separated" or float(np.abs(wave).max()) < 0.4


def test_tracks_in_folders_of_their_own_are_one_recording(tmp_path: Path) -> None:
    """Stems are summed where no other folder has as many again, as of a band and a voice recorded apart."""
    text = "clip,set,song_id,stem,origin,source_repo,source_path\n"
    for place, kinds in (("band", ("drums", "bass")), ("voice", ("vocals",)), ("choir", ("vocals",))):
        for kind in kinds:
            soundfile.write(tmp_path / f"{place} {kind}.wav", songs.stem(kind, 1.0, 1), RATE_HZ)
            text += f"{place} {kind}.wav,pairs,alpha song,{kind},studio,maker/songs,alpha/{place}/{kind}.wav\n"
    (tmp_path / "m.csv").write_text(text)
    clips, _ = catalogue.load([tmp_path / "m.csv"])
    built = build.build(clips, [giving("umx", "vocals")], tmp_path / "out", build.Settings(1.0))
    assert built.problems == []
    true = [row for row in rows_of(tmp_path / "out") if row["origin"] == "studio"]
    assert {row["stem"]: row["note"] for row in true} == {"drums": "", "bass": "", "vocals": "sum of 2 tracks"}


def test_outputs_that_are_parts_of_a_stem_are_laid_beside_it_together(manifest: Path, tmp_path: Path) -> None:
    """Guitar and piano of a separator of six stems are in the true ``other``: their sum with its own is its output."""
    parts = {"drums": 0.0, "bass": 0.0, "vocals": 0.0, "other": 0.5, "guitar": 0.3, "piano": 0.2}

    def six(piece: Piece) -> dict[str, Wave]:
        found = {name: piece.mix * np.float32(share) for name, share in parts.items()}
        return found | {"accompaniment": piece.mix}

    clips, _ = catalogue.load([manifest])
    build.build(clips, [Separator("htdemucs_6s", "six|1", six)], tmp_path / "out", build.Settings(1.0))
    rows = [row for row in rows_of(tmp_path / "out") if row["stem"] == "other" and row["origin"] == "separated"]
    assert {row["note"] for row in rows} == {"direct; sum of 3 outputs"}
    assert len(rows) == 3
    for row in rows:
        wave, _ = soundfile.read(tmp_path / "out" / row["clip"])
        song = [r for r in rows_of(tmp_path / "out") if r["song_id"] == row["song_id"] and r["origin"] == "studio"]
        mix = sum(soundfile.read(tmp_path / "out" / r["clip"])[0] for r in song)
        assert np.abs(wave - mix).max() < 1e-4


@pytest.mark.parametrize(("stem", "told"), [("piano", "gave piano; needed: one of drums"), ("mix", "gave no stem")])
def test_outputs_that_are_no_stem_are_told_by_name_and_the_others_run(
    stem: str, told: str, manifest: Path, tmp_path: Path, splitter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A separator of which nothing can be used is a problem with its name; alone, nothing was separated: 2."""
    words = [str(manifest), "--seconds", "1", "--out", str(tmp_path / "out"), "--separator", copier("odd-one", stem)]
    assert run.main(words) == 2
    said = capsys.readouterr()
    assert said.err.count(f"odd-one: {told}") == 1
    assert "nothing was separated" in said.err
    assert "1 problems" in said.out
    assert run.main([*words, "--separator", f"command[umx]:{splitter}"]) == 0
    assert {row["separator"] for row in rows_of(tmp_path / "out")} == {"", "umx"}


def test_a_program_that_cannot_start_is_told_and_the_others_run(
    manifest: Path, tmp_path: Path, splitter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no program does not end the run."""
    (tmp_path / "broken").write_bytes(bytes(16))
    (tmp_path / "broken").chmod(0o755)
    words = [str(manifest), "--seconds", "1", "--out", str(tmp_path / "out")]
    words += ["--separator", f"command:{tmp_path / 'broken'} {{input}} {{output}}"]
    assert run.main([*words, "--separator", f"command[umx]:{splitter}"]) == 0
    assert "broken: did not start: Exec format error (3 songs" in capsys.readouterr().err.replace(
        "; needed: a program", ""
    )


def test_a_failure_is_told_once_with_its_songs_and_tried_again(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails at every song is one line with how many, also of a command whose files lie elsewhere each time."""
    weights = tmp_path / "weights"
    script = tmp_path / "needy.py"
    script.write_text(
        "from pathlib import Path\nSTEMS = ('vocals',)\ndef separate(mix):\n"
        f"    if not Path({str(weights)!r}).exists():\n        raise OSError('no weights here')\n"
        "    return {'vocals': mix * 0.5}\n"
    )
    words = [str(manifest), "--seconds", "1", "--out", str(tmp_path / "out")]
    words += ["--separator", f"script[umx-needy]:{script}"]
    failing = ["--separator", "command[lost]:cp {input} {output}/none/vocals.wav"]
    assert run.main([*words, *failing]) == 2
    said = capsys.readouterr()
    assert said.err.count("no weights here") == 1
    assert "failed (OSError: no weights here) (3 songs, such as alphasong)" in said.err
    assert said.err.count("lost: ended with 1") == 1
    assert "2 problems" in said.out
    weights.touch()
    assert run.main(words) == 0
    assert run.main([*words, *failing, "--strict"]) == 1
    assert len([row for row in rows_of(tmp_path / "out") if row["separator"] == "umx-needy"]) == 3


def test_processed_stems_are_mixed_and_labelled(manifest: Path, tmp_path: Path) -> None:
    """With effects, the reference is the processed stem, both twins carry the same chain, and dry is dry no more."""
    clips, _ = catalogue.load([manifest])
    dry = [catalogue.Clip(**{**vars(c), "wetness": "dry"}) for c in clips if c.song == "alphasong"]
    build.build(dry, [halves("umx")], tmp_path, build.Settings(seconds=1.0, p_effects=1.0))
    rows = rows_of(tmp_path)
    assert {row["wetness"] for row in rows} <= {"hybrid", "wet"}
    for kind in songs.STEMS:
        twins = [row for row in rows if row["stem"] == kind]
        chains = {row["note"].split("effects ")[1] for row in twins}
        assert len(twins) == 3
        assert len(chains) == 1
        assert json.loads(chains.pop())


def test_measured_rooms_of_the_manifest_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, splitter: str
) -> None:
    """With effects, the impulse responses that the manifest lists reach the chains; a broken one is passed over."""
    made = songs.write_manifest(tmp_path, ("alpha song",), 1.2)
    room = np.exp(-np.arange(30_000) / 4000)[:, None] * np.random.default_rng(0).standard_normal((30_000, 2)) * 0.2
    soundfile.write(tmp_path / "hall.wav", room, RATE_HZ, "PCM_16")
    (tmp_path / "broken.wav").write_bytes(b"none")
    with made.open("a") as handle:
        handle.write("hall.wav,rir,hall,rir,unknown,,,,\nbroken.wav,rir,broken,rir,unknown,,,,\n")
    given: list[int] = []
    real = build.effects.produce
    monkeypatch.setattr(
        build.effects, "produce", lambda w, p, r, rooms=(): (given.append(len(rooms)), real(w, p, r, rooms))[1]
    )
    words = [str(made), "--separator", f"command[umx]:{splitter}", "--seconds", "1", "--effects", "1"]
    assert run.main([*words, "--out", str(tmp_path / "out")]) == 0
    assert given == [1] * 4


def test_excerpts_lie_where_every_stem_sounds(tmp_path: Path) -> None:
    """Of a song whose voice enters late, the excerpt is cut where it sings."""
    folder = songs.write_song(tmp_path / "late song", 8.0, 3)
    voice = songs.stem("vocals", 8.0, 3)
    voice[: 5 * RATE_HZ] = 0
    soundfile.write(folder / "vocals.wav", voice, RATE_HZ, "PCM_16")
    text = "clip,set,song_id,stem,origin\n"
    text += "".join(f"late song/{kind}.wav,pairs,late song,{kind},studio\n" for kind in songs.STEMS)
    (tmp_path / "m.csv").write_text(text)
    clips, _ = catalogue.load([tmp_path / "m.csv"])
    build.build(clips, [halves("umx")], tmp_path / "out", build.Settings(seconds=2.0))
    assert {float(row["offset_s"]) for row in rows_of(tmp_path / "out")} <= {4.5, 5.0, 5.5, 6.0}


def test_identities_change_with_the_weights(tmp_path: Path) -> None:
    """The same network trained further is another separator to the cache."""
    variant = networks.VARIANTS["tasnet-a"]
    record = {"architecture": variant.architecture, "settings": variant.settings, "stems": list(networks.STEMS)}
    identities = []
    for seed in range(2):
        torch.manual_seed(seed)
        networks.save(tmp_path / "tasnet-a", networks.build(variant.architecture, variant.settings), record)
        identities.append(separator.open_separator(f"net:{tmp_path / 'tasnet-a'}").identity)
    assert identities[0] != identities[1]
