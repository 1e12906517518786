"""Verdicts after one degradation: each has its line, counted by origin; programs that are missing are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("pandas")

import typer

from provenance.audio import SAMPLE_RATE_HZ
from tests import sounds, tiny
from tests.training.gits import encoded, listing, mirror
from training.degrade import DEGRADATIONS
from training.research import after, cleaning, desk, external

app = typer.Typer()
app.command()(after.main)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of a recording, an output and a file that is nowhere."""
    true = mirror(tmp_path, "maker/takes", {"a.wav": encoded(3.0, 0)})
    fake = mirror(tmp_path, "someone/outputs", {"vocals.wav": encoded(3.0, 2)})
    rows = [
        ("maker/takes", true, "a.wav", "", "", "studio", "", "vocals", "", ""),
        ("someone/outputs", fake, "vocals.wav", "", "", "separated", "spleeter", "vocals", "", ""),
        ("nobody/nothing", "0" * 40, "x.wav", "", "", "studio", "", "bass", "", ""),
    ]
    return listing(tmp_path / "list.csv", external.COLUMNS, rows)


def test_every_degradation_has_its_line(listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a model that calls everything separated, each line counts one accused and one caught."""
    monkeypatch.setattr(after, "STRETCHERS", {"nobody's": ("no-such-program", "{before}", "{after}")})
    heads = [head for head in tiny.HEADS if head != "gated"]  # that a file is gated would leave it undecided
    model = tiny.write(tmp_path / "tiny", heads=heads, outputs=("p_gated",), thresholds={
        "separated": 0.0, "studio": 0.0, "processing": 0.5, "distance": 100.0, "family": 0.3, "layers": 0.6
    })  # fmt: skip
    arguments = [str(tmp_path / "mirrors"), "--list", str(listed), "--model", str(model), "--workers", "1"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "page.md")])
    assert done.exit_code == 0, done.output
    assert "left out: nobody/nothing: found no mirror" in done.stderr
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    absent = sorted(["no-such-program", *cleaning.cleaners()[1], *desk.desk()[1]])
    assert f"Not installed here: {', '.join(absent)}." in text
    for name in (after.AS_IT_IS, *DEGRADATIONS, *cleaning.cleaners()[0], *desk.desk()[0]):
        assert f"| {name} | 1 | 1 | 0 | 1 | 1 | 0 |" in text
    assert "| nobody's |" not in text


def test_a_program_gets_the_wave_and_gives_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an installed program writes is what is judged; a wave above full scale reaches it unclipped."""
    monkeypatch.setattr(after, "STRETCHERS", {"copy": ("cp", "{before}", "{after}")})
    tools, absent = after.stretchers()
    wave = sounds.music(1.0, seed=1).astype(np.float32)
    wave /= np.abs(wave).max() / 2
    assert not absent
    made = tools["copy"](wave)
    assert made.shape == wave.shape
    assert np.allclose(made, wave / 2, atol=2**-15)
    assert len(made) == SAMPLE_RATE_HZ


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", desk.desk()[0])
def test_what_is_done_at_a_desk_changes_a_take_and_keeps_its_channels(name: str, channels: int) -> None:
    """Something is changed, as many channels come back, finite and not silent, and the take stays as it was."""
    wave = sounds.music(2.0, seed=2)[:, :channels].copy()
    before = wave.copy()
    made = desk.desk()[0][name](wave)
    assert np.array_equal(wave, before)
    assert made.shape[1] == channels
    assert len(made) == pytest.approx(len(wave), abs=9000)
    assert np.isfinite(made).all()
    assert np.abs(made).max() > 1e-3
    assert made.shape != wave.shape or not np.allclose(made, wave * 0.7 / np.abs(wave).max(), atol=1e-6)


CLEANERS = cleaning.cleaners()[0]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", CLEANERS)
def test_a_cleaner_takes_hiss_and_leaves_the_stem(name: str, channels: int) -> None:
    """Where nothing sounds what was laid there is less than before, where a tone sounds it stays, and as long."""
    wave = sounds.tone(500, 3.0, channels=channels)
    wave[: SAMPLE_RATE_HZ // 2] = wave[SAMPLE_RATE_HZ * 3 // 2 :] = 0
    before = wave.copy()
    level = lambda part: 10 * np.log10(np.mean(part.astype(float) ** 2) + 1e-20)  # noqa: E731
    silent = slice(SAMPLE_RATE_HZ * 2, SAMPLE_RATE_HZ * 11 // 4)
    hissing = cleaning.with_hiss(wave)[0]
    assert level(hissing[silent]) - level(wave) == pytest.approx(cleaning.HISS_DB, abs=0.5)
    made = CLEANERS[name](wave)
    assert np.array_equal(wave, before)
    assert made.dtype == np.float32
    assert made.shape[1] == channels
    assert len(made) == pytest.approx(len(wave), abs=SAMPLE_RATE_HZ // 10)
    assert level(made[SAMPLE_RATE_HZ // 2 : SAMPLE_RATE_HZ]) == pytest.approx(level(wave[30_000:60_000]), abs=1.5)
    taken = level(hissing[silent]) - level(made[silent])
    assert taken == 0 if name == "hiss" else taken > 6


def test_one_repository_does_not_outweigh_the_others() -> None:
    """Of a large repository an even spread is taken, of a small one everything."""
    entry = lambda name, number: external.Entry(name, "", str(number), 0, 0, "studio", "", "vocals", False, True)  # noqa: E731
    many = [entry("bank", number) for number in range(45)]
    few = [entry("small", number) for number in range(after.MOST_OF_ONE)]
    kept = after.thinned([*many, *few])
    assert sum(e.repository == "bank" for e in kept) == after.MOST_OF_ONE
    assert sum(e.repository == "small" for e in kept) == len(few)
    places = [int(e.path) for e in kept if e.repository == "bank"]
    step = len(many) / after.MOST_OF_ONE
    assert max(np.diff([-1, *places, len(many)])) <= step + 1


def test_without_mirrors_nothing_is_claimed(listed: Path, tmp_path: Path) -> None:
    """An empty folder of mirrors gives no page."""
    (tmp_path / "empty").mkdir()
    model = str(tiny.write(tmp_path / "tiny"))
    done = CliRunner().invoke(app, [str(tmp_path / "empty"), "--list", str(listed), "--model", model])
    assert done.exit_code == 2
    assert "found no file that can be judged" in done.stderr
