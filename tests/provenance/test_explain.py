"""Explanations: tiles and their silencing, marks that hold under deletion, the picture, the page, splices."""

from __future__ import annotations

import dataclasses
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import provenance
from provenance import flat, frontend
from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.cli import app
from provenance.explain import explain, page
from provenance.explain.picture import outline, paint, to_png
from provenance.explain.tiles import N_BANDS, Tiles, mark
from provenance.verdict import REASONS

N = 4 * SAMPLE_RATE_HZ
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
COMMAND = (sys.executable, "-c", "from provenance.cli import main; main()")


def noise(n: int = N, channels: int = 2, seed: int = 0) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal((n, channels))).astype(np.float32)


def energy_at(wave: Samples, low_hz: float, high_hz: float, first_s: float, last_s: float) -> float:
    part = np.abs(frontend.stft(np.ascontiguousarray(wave[:, 0]))) ** 2
    frames = slice(round(first_s * SAMPLE_RATE_HZ / 1024), round(last_s * SAMPLE_RATE_HZ / 1024))
    return float(part[frames, round(low_hz / 21.53) : round(high_hz / 21.53)].mean())


def planted(windows: Iterable[Samples]) -> np.ndarray:
    """A model whose log odds are the level at 11 to 12.4 kHz in the second second: it has one place to look."""
    return np.array([10 * np.log10(energy_at(w, 11_100, 12_300, 1.1, 1.4) + 1e-9) for w in windows], np.float32)


def test_silencing_a_tile_takes_its_energy_and_no_other() -> None:
    """The silenced tile falls by 20 dB or more, the tiles beside it stay within 1 dB."""
    tiles = Tiles(noise())
    grid = np.zeros(tiles.shape, np.bool_)
    grid[2, 8] = True
    after = tiles.silence(grid)
    ratio = lambda *at: energy_at(after, *at) / energy_at(tiles.samples, *at)  # noqa: E731
    assert ratio(11_400, 12_000, 1.15, 1.35) < 0.01
    assert ratio(13_000, 13_700, 1.15, 1.35) == pytest.approx(1, abs=0.2)
    assert ratio(11_400, 12_000, 2.2, 2.4) == pytest.approx(1, abs=0.01)


def test_silencing_nothing_changes_nothing_and_the_input_stays() -> None:
    """An empty grid returns the samples, and marking does not touch them."""
    wave = noise()
    before = wave.copy()
    tiles = Tiles(wave)
    np.testing.assert_array_equal(tiles.silence(np.zeros(tiles.shape, np.bool_)), wave)
    mark(wave, planted)
    np.testing.assert_array_equal(wave, before)


def test_marks_find_the_place_the_model_looks_at() -> None:
    """The one tile a planted model reads is marked and moves most; marks lower it, random ones hardly do."""
    found = mark(noise(), planted)
    span, band = np.unravel_index(int(found.moves.argmax()), found.moves.shape)
    assert (span, band) == (2, 8)
    assert found.marked[2, 8]
    assert int(found.marked.sum()) == round(0.1 * found.marked.size)
    assert found.marked_drop > 10
    assert found.marked_drop > 3 * abs(found.random_drop)


def test_marks_against_extraction_raise_the_score() -> None:
    """Asked for what speaks for a studio stem, the marks raise a model that falls with the same place."""
    found = mark(noise(), lambda windows: -planted(windows), direction=-1)
    assert found.marked[2, 8]
    assert found.marked_drop < -10


def test_a_short_window_has_fewer_spans() -> None:
    """One second has two spans of tiles."""
    assert Tiles(noise(SAMPLE_RATE_HZ)).shape == (2, N_BANDS)


def test_png_holds_the_picture_it_was_given() -> None:
    """Unpacking the file gives back every pixel."""
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    data = to_png(image)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert (width, height, depth, colour) == (5, 7, 8, 2)
    start = data.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompress(data[start:]), np.uint8).reshape(7, 16)
    np.testing.assert_array_equal(rows[:, 1:].reshape(7, 5, 3), image)


def test_a_painting_has_low_frequencies_at_the_bottom_and_loud_ones_bright() -> None:
    """A loud lowest row is bright in the picture's last line; silence is black."""
    level = np.full((10, 8), -120.0)
    level[:, 0] = 0.0
    image = paint(level)
    assert image.shape == (8, 10, 3)
    assert image[-1].mean() > 150
    assert image[0].max() <= 4


def test_an_outline_surrounds_its_tile() -> None:
    """The four sides are drawn, the inside is not."""
    image = np.zeros((101, 101, 3), np.uint8)
    outline(image, 0.2, 0.4, 0.5, 0.7, (1, 2, 3))
    assert tuple(image[50, 30]) == (1, 2, 3)
    assert tuple(image[30, 30]) == (1, 2, 3)
    assert image[40, 30].sum() == 0


def test_the_page_shows_everything_and_needs_no_network(scorer: provenance.Scorer) -> None:
    """Verdict, pictures, timeline, every cue with its ranges and the deletion are there; nothing is loaded."""
    found = explain(scorer, (noise(9 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ), 1)
    text = page.render(found, 'a <b> & "c".wav')
    assert "a &lt;b&gt; &amp; &quot;c&quot;.wav" in text
    assert len(found.windows) == 1
    assert text.count("data:image/png;base64,") == 2
    assert found.verdict.evidence is not None
    for cue in found.verdict.evidence:
        assert cue.cue.replace("_", " ") in text
    assert text.count("class=range") >= 20
    assert "a random tenth moves them" in text
    assert "model's uncalibrated log odds by" in text
    assert "before calibration: no probability follows from them" in text
    assert "<th scope=row>calibrated probability of extraction</th>" in text
    assert text.count("<title>", text.index("timeline")) >= len(found.verdict.segments)
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import|<script', text)
    assert found.verdict.model in text


def test_a_silent_file_has_a_page_that_says_so(scorer: provenance.Scorer) -> None:
    """Silence is explained by its reason, with no window looked into."""
    found = explain(scorer, (np.zeros((3 * SAMPLE_RATE_HZ, 1), np.float32), SAMPLE_RATE_HZ))
    assert found.windows == ()
    assert "silent" in page.render(found, "nothing.wav")


@pytest.mark.parametrize("before_s", [0.0, 0.7, 2.3])
def test_the_picture_has_no_seams_and_shows_where_a_file_is_silent(scorer: provenance.Scorer, before_s: float) -> None:
    """Every column between the first and the last sample that sounds is drawn, wherever windows meet; none beside."""
    silent = np.zeros((round(before_s * SAMPLE_RATE_HZ), 2), np.float32)
    found = explain(scorer, (np.concatenate([silent, noise(10 * SAMPLE_RATE_HZ), silent]), SAMPLE_RATE_HZ), 0)
    drawn = found.picture_db.max(axis=1) > -100
    share = before_s / (10 + 2 * before_s)
    ends = np.flatnonzero(drawn)[[0, -1]] / len(drawn)
    assert ends == pytest.approx([share, 1 - share], abs=0.01)
    assert drawn[ends_of(drawn)].all()


def ends_of(drawn: np.ndarray) -> slice:
    """From the first column that is drawn to the last."""
    first, last = np.flatnonzero(drawn)[[0, -1]]
    return slice(first, last + 1)


def test_a_splice_is_found_to_a_second(scorer: provenance.Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the model changes sides in the middle of a window, the splice is placed within a second."""
    cut_s = 9.5
    wave = noise(20 * SAMPLE_RATE_HZ)
    wave[round(cut_s * SAMPLE_RATE_HZ) :] *= 10

    def loud(windows: Iterable[Samples]) -> np.ndarray:
        return np.array([8.0 * np.log10(float(np.mean(w**2)) * 10) for w in windows], np.float32)

    verdict = scorer.score((wave, SAMPLE_RATE_HZ))
    from provenance import explain as module

    monkeypatch.setattr(scorer, "logits", loud)
    segments = tuple(
        type(s)(s.start_s, s.end_s, 0.99 if s.start_s > cut_s else 0.01) for s in verdict.segments
    )  # the window that holds the cut counts as studio
    changed = type(verdict)(**{**verdict.__dict__, "segments": segments})
    splices = list(module._splices(scorer, (wave, SAMPLE_RATE_HZ), changed))
    assert len(splices) == 1
    assert splices[0] == pytest.approx(cut_s, abs=1.0)


def test_many_splices_are_found_in_one_reading(scorer: provenance.Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the timeline changes sides, the source is read once more for all of it, and each is placed."""
    wave = noise(60 * SAMPLE_RATE_HZ)
    verdict = scorer.score((wave, SAMPLE_RATE_HZ))
    segments = tuple(type(s)(s.start_s, s.end_s, 0.99 if k // 3 % 2 else 0.01) for k, s in enumerate(verdict.segments))
    changed = type(verdict)(**{**verdict.__dict__, "segments": segments})
    from provenance import explain as module

    n_read = 0
    real = module._windows

    def counted(source: module.Source) -> Iterable[object]:
        nonlocal n_read
        n_read += 1
        return real(source)

    monkeypatch.setattr(module, "_windows", counted)
    monkeypatch.setattr(scorer, "logits", lambda windows: np.zeros(len(list(windows)), np.float32))
    splices = list(module._splices(scorer, (wave, SAMPLE_RATE_HZ), changed))
    ends = [s.end_s for k, s in enumerate(segments[:-1]) if k % 3 == 2]
    assert len(splices) == len(ends) >= 4
    assert np.abs(np.array(splices) - ends).max() <= 4.0
    assert n_read == 1


def test_marks_of_an_undecided_file_are_said_to_speak_for_a_side(scorer: provenance.Scorer) -> None:
    """Without a verdict the colours speak for the likelier side, and the page says which."""
    found = explain(scorer, (noise(), SAMPLE_RATE_HZ), 1)
    assert f"orange speaks for {found.towards}, blue against it" in page.render(found, "a.wav")


def test_times_are_read_as_a_person_says_them(scorer: provenance.Scorer) -> None:
    """A last window that begins between two samples is headed by tenths of a second."""
    text = page.render(explain(scorer, (noise(19 * SAMPLE_RATE_HZ // 2 - 7), SAMPLE_RATE_HZ), 3), "a.wav")
    assert "<h2>5.5 to 9.5 s</h2>" in text
    times = re.findall(r">([^\s<>]+) to (\S+) s[:<]", text)
    assert len(times) == 6
    assert all(re.fullmatch(r"\d+\.\d", time) for span in times for time in span)


def test_no_probability_is_shown_as_certain(scorer: provenance.Scorer) -> None:
    """What is rounded to 1 in the record is over 0.999 on the page; every reason is told in words."""
    found = explain(scorer, (noise(), SAMPLE_RATE_HZ), 0)
    sure = dataclasses.replace(found.verdict, p_separated=1.0, confidence=1.0, reasons=("parts_disagree", "clipped"))
    text = page.render(dataclasses.replace(found, verdict=sure), "a.wav")
    assert "<td>over 0.999<small>, for a set half of which is extracted</small>" in text
    assert "1.000" not in text
    for code in sure.reasons:
        assert f"{code}: {REASONS[code]}" in text
    assert "never proof about a person" in text


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_is_read_on_a_phone_and_in_the_dark(scorer: provenance.Scorer, tmp_path: Path) -> None:
    """In a browser without network nothing scrolls sideways at 375 px, and a dark scheme has a dark ground."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = explain(scorer, (noise(9 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ), 2)
    (tmp_path / "why.html").write_text(page.render(found, "a_long_name_without_any_break" * 4 + ".wav"), "utf-8")
    ground = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(offline=True, viewport={"width": 375, "height": 800}, color_scheme="light")
        view = context.new_page()
        view.goto((tmp_path / "why.html").as_uri())
        for width in (320, 375, 768, 1280):
            view.set_viewport_size({"width": width, "height": 800})
            assert view.evaluate("document.documentElement.scrollWidth") <= width
        assert view.evaluate(ground) > 200
        view.emulate_media(color_scheme="dark")
        assert view.evaluate(ground) < 60
        browser.close()


@pytest.mark.parametrize("options", [["--out", "stem.wav"], ["--out", "a.html", "--picture", "a.html"],
                                     ["--out", "a.html", "--picture", "./stem.wav"]])  # fmt: skip
def test_nothing_is_written_over_the_audio(tmp_path: Path, tiny_model: Path, options: list[str]) -> None:
    """A page or a picture that would take the place of the audio, or of one another, is refused."""
    soundfile.write(tmp_path / "stem.wav", noise(2 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    before = (tmp_path / "stem.wav").read_bytes()
    run = subprocess.run(
        [*COMMAND, "explain", "stem.wav", "--windows", "0", "--model", str(tiny_model), *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert (tmp_path / "stem.wav").read_bytes() == before
    assert not (tmp_path / "a.html").exists()


def test_a_name_that_is_no_utf8_has_its_page(tmp_path: Path, tiny_model: Path) -> None:
    """A name in another coding, or with escapes in it, is written out, on the page and on stdout."""
    for name in ("l\udce9.wav", "red\x1b[31m.wav"):
        with (tmp_path / name).open("wb") as file:
            soundfile.write(file, noise(2 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ, format="WAV")
        run = subprocess.run(
            [*COMMAND, "explain", name, "--windows", "0", "--model", str(tiny_model)],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (run.returncode, run.stdout) == (0, flat.printable(name) + ".html\n"), run.stderr
        assert flat.printable(name) in (tmp_path / (name + ".html")).read_text(encoding="utf-8")


def test_the_command_writes_page_and_picture(tmp_path: Path, tiny_model: Path, root: Path) -> None:
    """``explain FILE --out PAGE --picture PNG`` writes both and prints the page's path."""
    file, out, png = tmp_path / "stem.wav", tmp_path / "why.html", tmp_path / "why.png"
    soundfile.write(file, noise(2 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    run = subprocess.run(
        [*COMMAND, "explain", str(file), "--out", str(out), "--picture", str(png)]
        + ["--windows", "1", "--model", str(tiny_model)],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout.strip()) == (0, str(out)), run.stderr
    assert "stem.wav" in out.read_text(encoding="utf-8")
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("place", ["nowhere/why.html", "folder"])
def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path, place: str) -> None:
    """A page that has no place to go is refused before the audio is read, or even a model."""
    (tmp_path / "folder").mkdir()
    done = CliRunner().invoke(
        app, ["explain", str(tmp_path / "missing.wav"), "--out", str(tmp_path / place), "--model", "no such model"]
    )
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
    assert place in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named_with_the_page(tmp_path: Path, tiny_model: Path) -> None:
    """What fails in the middle of writing is told with the name of the page."""
    soundfile.write(tmp_path / "a.wav", noise(2 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    line = ["explain", str(tmp_path / "a.wav"), "--out", "/dev/full", "--windows", "0", "--model", str(tiny_model)]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2
    assert done.stderr.startswith("/dev/full: cannot be written (No space left on device)")


@pytest.mark.parametrize(("name", "said"), [("missing.wav", "no such file"), ("text.wav", "no audio")])
def test_the_command_names_bad_input(tmp_path: Path, tiny_model: Path, root: Path, name: str, said: str) -> None:
    """A missing or foreign file ends with exit code 2 and one line that names it."""
    (tmp_path / "text.wav").write_text("this is no audio")
    run = subprocess.run(
        [*COMMAND, "explain", str(tmp_path / name), "--model", str(tiny_model)],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert name in run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr
