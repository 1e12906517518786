"""The check on files gathered later: its list keeps away from the training, and its page counts what was found."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

pytest.importorskip("pandas")

import typer

import provenance
from provenance.evidence.conclude import ranges
from tests import tiny
from tests.training.gits import encoded, listing, mirror
from training.research import external, together

app = typer.Typer()
app.command()(external.main)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of three files in two mirrors, and of one that is nowhere."""
    true = mirror(tmp_path, "maker/takes", {"a b.wav": encoded(6.0, 0), "short.wav": encoded(0.3, 1)})
    fake = mirror(tmp_path, "someone/outputs", {"out/vocals.wav": encoded(3.0, 2)})
    rows = [
        ("maker/takes", true, "a b.wav", "2", "3", "studio", "", "vocals", "", "yes"),
        ("maker/takes", true, "short.wav", "", "", "studio", "", "drums", "", ""),
        ("someone/outputs", fake, "out/vocals.wav", "", "", "separated", "spleeter", "vocals", "yes", ""),
        ("nobody/nothing", "0" * 40, "x.wav", "", "", "studio", "", "bass", "", ""),
    ]
    return listing(tmp_path / "list.csv", external.COLUMNS, rows)


def test_nothing_on_the_list_was_trained_on(root: Path) -> None:
    """No repository of the list is among the shipped model's sources."""
    sources = json.loads((root / "models" / "stem-v1" / "evaluation.json").read_text(encoding="utf-8"))["sources"]
    entries = [entry for file in external.LISTS for entry in external.read_list(file)]
    assert {entry.origin for entry in entries} == {"studio", "separated"}
    assert not {entry.repository for entry in entries} & {source["repository"] for source in sources}
    assert all(len(entry.commit) == 40 for entry in entries)
    assert all(entry.separator for entry in entries if entry.origin == "separated")
    assert len({(e.repository, e.path, e.offset_s) for e in entries}) == len(entries)


def test_the_page_counts_what_was_found(listed: Path, tmp_path: Path, root: Path) -> None:
    """Each repository has its line; what cannot be judged or had is counted or named."""
    model = tiny.write(tmp_path / "tiny", thresholds={
        "separated": 0.0, "studio": 0.0, "processing": 0.5, "distance": 100.0, "family": 0.3, "layers": 0.6
    })  # fmt: skip
    page = tmp_path / "page.md"
    arguments = [str(tmp_path / "mirrors"), "--list", str(listed), "--model", str(model), "--out", str(page)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "nobody/nothing: found no mirror" in done.stderr
    text = page.read_text(encoding="utf-8")
    assert "2 recordings from 1 repositories, of which 1 could be judged: 1 called" in " ".join(text.split())
    assert "| someone/outputs **\\*** | spleeter | 1 | 1 | 0 | 0 | 0 |" in text
    assert "| maker/takes | recordings: drums, vocals | 2 | 1 | 0 | 0 | 1 |" in text
    assert "would show none" not in text
    assert "Of the files judged 0.0% were left undecided; of the others 50.0% were right." in text
    assert "tiny@" in text


def test_a_passage_is_cut_where_the_list_says(listed: Path, tmp_path: Path) -> None:
    """Offset and duration choose the seconds that are judged."""
    scorer = provenance.load(tiny.write(tmp_path / "tiny"))
    entries = [e for e in external.read_list(listed) if e.path == "a b.wav"]
    found = external.judge(entries, tmp_path / "mirrors", scorer)
    samples, rate_hz = soundfile.read(io.BytesIO(encoded(6.0, 0)), dtype="float32")
    expected = scorer.score((samples[2 * rate_hz : 5 * rate_hz], rate_hz)).p_separated
    assert found["p_separated"].tolist() == [expected]
    assert np.isclose(entries[0].duration_s, 3.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("origin", "label", "found no column origin"), (",studio,", ",true,", "found origin 'true' of a b.wav")],
)
def test_a_list_of_another_shape_is_refused(listed: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    """A missing column or an origin that is none ends with 2 and a line that names it."""
    listed.write_text(listed.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = CliRunner().invoke(app, [str(tmp_path), "--list", str(listed)])
    assert done.exit_code == 2
    assert message in done.stderr


def test_without_mirrors_nothing_is_claimed(listed: Path, tmp_path: Path) -> None:
    """An empty folder of mirrors gives no page."""
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, [str(tmp_path / "empty"), "--list", str(listed)])
    assert done.exit_code == 2
    assert "found no files of both origins" in done.stderr


def test_several_lists_are_judged_as_one(listed: Path, tmp_path: Path) -> None:
    """Each list has its line and all together one; probabilities are held against what was extracted."""
    app = typer.Typer()
    app.command()(together.main)
    other = tmp_path / "other.csv"
    other.write_text(listed.read_text(encoding="utf-8").replace("spleeter", "hpss"), encoding="utf-8")
    model = tiny.write(tmp_path / "tiny", thresholds={
        "separated": 0.0, "studio": 0.0, "processing": 0.5, "distance": 100.0, "family": 0.3, "layers": 0.6
    })  # fmt: skip
    lists = ["--list", str(listed), "--list", str(other)]
    done = CliRunner().invoke(app, [str(tmp_path / "mirrors"), *lists, "--model", str(model)])
    assert done.exit_code == 0, done.output
    text = done.stdout
    assert "| list.csv | 1 | 1 | 0 | 1 | 1 | 0 |" in text
    assert "| all together | 2 | 2 | 0 | 2 | 2 | 0 |" in text
    assert "recordings called separated 100.0% to 100.0%" in " ".join(text.split())
    assert "| others | 2 | 2 | 0 | 0 |" in text
    bins = [line.split(" | ") for line in text.splitlines() if line.startswith("| 0.")]
    assert sum(int(cells[1]) for cells in bins) == 4
    held = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(held) == len(ranges())
    (crest,) = [line.split(" | ") for line in held if line.startswith("| `crest`")]
    low, high = ranges()["crest"].studio
    evidence = provenance.load(model).score(encoded(3.0, 0)).evidence or ()
    (value,) = [cue.value for cue in evidence if cue.cue == "crest"]
    assert value is not None
    assert crest[1] == f"{low <= value <= high:.0%}"
    assert all(float(cells[0][2:5]) - 0.005 <= float(cells[2]) <= float(cells[0][9:]) + 0.005 for cells in bins)
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, [str(tmp_path / "empty"), *lists, "--model", str(model)])
    assert done.exit_code == 2
    assert "found no files of both origins" in done.stderr
