"""Extractions coded as true stems were: which, how, and what the clip and its manifest are then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from provenance import audio
from tests.training import gits
from training.catalogue import collect, counterweight
from training.catalogue.clips import CatalogueError, read_rows

app = typer.Typer()
app.command()(counterweight.main)
HEAD = (*collect.NEEDED, "source_codec")
LISTS = [Path(__file__).parents[2] / "training" / "sources" / f"{name}.csv" for name in ("further", "listed")]


def listed(file: Path, n: int = 200) -> Path:
    """A list of lossless and lossy extractions and of true stems."""
    kinds = (("separated", "WAV/PCM_16"), ("separated", "mp3@128k"), ("studio", "WAV/PCM_16"))
    rows = [
        (f"a/{number}-{kind}.wav", "s", "vocals", origin, "who/what", "0" * 40, "x.wav", codec)
        for number in range(n)
        for kind, (origin, codec) in enumerate(kinds)
    ]
    return gits.listing(file, HEAD, rows)


def coded(file: Path) -> dict[str, str]:
    """The clips of a list that are to be coded, and how."""
    return {row["clip"]: row[collect.CODED] for _, row in read_rows(file, (collect.CODED,)) if row[collect.CODED]}


def test_a_share_of_the_lossless_extractions_is_chosen_and_nothing_else(tmp_path: Path) -> None:
    """Neither true stems nor lossy extractions; the same clips under other folders and endings, and in a second run."""
    file = listed(tmp_path / "a.csv")
    done = CliRunner().invoke(app, [str(file), "--share", "0.3"])
    first = coded(file)
    assert done.exit_code == 0
    assert f"{len(first)} clips are to be coded" in done.stdout
    assert 40 <= len(first) <= 80
    assert all(name.endswith("-0.wav") for name in first)
    assert {how.split("@")[0] for how in first.values()} == {"vorbis", "aac"}
    counterweight.weigh(file, 0.3)
    assert coded(file) == first
    moved = tmp_path / "b.csv"
    moved.write_text(file.read_text(encoding="utf-8").replace("a/", "b/c/").replace(".wav,s,", ".flac,s,"), "utf-8")
    counterweight.weigh(moved, 0.3)
    assert {Path(name).stem for name in coded(moved)} == {Path(name).stem for name in first}
    counterweight.weigh(file, 0.0)
    assert not coded(file)


def test_no_list_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A file without the columns is named, code 2."""
    file = tmp_path / "a.csv"
    file.write_text("clip,what\nx,y\n", encoding="utf-8")
    done = CliRunner().invoke(app, [str(file)])
    assert done.exit_code == 2
    assert "found no column" in done.stderr
    assert file.read_text(encoding="utf-8") == "clip,what\nx,y\n"


@pytest.mark.parametrize(("how", "codec"), [("vorbis@128", "OGG/VORBIS"), ("aac@96", "aac@96k")])
def test_a_coded_clip_is_as_long_and_loud_and_lacks_what_the_codec_drops(how: str, codec: str, tmp_path: Path) -> None:
    """Level and length stay within what a coder does to them, the wave does not, and the manifest names the coding."""
    commit = gits.mirror(tmp_path, "someone/outputs", {"v.wav": gits.encoded(4.0, 1)})
    rows = [
        (f"{name}.wav", "s", "vocals", "separated", "someone/outputs", commit, "v.wav", "WAV/PCM_16", coding)
        for name, coding in (("plain", ""), ("coded", how))
    ]
    table = collect.collect(
        [gits.listing(tmp_path / "l.csv", (*HEAD, collect.CODED), rows)], tmp_path / "mirrors", tmp_path / "clips"
    )
    assert not table.problems
    assert {Path(row["clip"]).stem: row["source_codec"] for row in table.rows} == {
        "plain": "WAV/PCM_16", "coded": codec
    }  # fmt: skip
    before, after = (audio.read(tmp_path / "clips" / f"{name}.flac")[1] for name in ("plain", "coded"))
    assert before.shape == after.shape
    assert np.sqrt(np.mean(after**2)) == pytest.approx(np.sqrt(np.mean(before**2)), rel=0.2)
    assert np.abs(after - before).max() > 1e-3


def test_a_clip_whose_coding_changed_is_cut_anew(tmp_path: Path) -> None:
    """What lies there was cut before its list said how it is coded: the clip follows the list; nothing else is cut."""
    commit = gits.mirror(tmp_path, "someone/outputs", {"v.wav": gits.encoded(2.0, 1), "w.wav": gits.encoded(2.0, 2)})
    before: dict[str, bytes] = {}
    for coding in ("", "vorbis@96", "aac@96", "aac@96", ""):
        rows = [
            (name, "s", "vocals", "separated", "someone/outputs", commit, name, "WAV/PCM_16", how)
            for name, how in (("v.wav", coding), ("w.wav", ""))
        ]
        file = gits.listing(tmp_path / "l.csv", (*HEAD, collect.CODED), rows)
        table = collect.collect([file], tmp_path / "mirrors", tmp_path / "clips")
        after = {f"{name}{coding}": (tmp_path / "clips" / f"{name}.flac").read_bytes() for name in "vw"}
        assert [row["source_codec"] for row in table.rows if row["clip"].endswith("v.flac")] == [
            {"": "WAV/PCM_16", "vorbis@96": "OGG/VORBIS", "aac@96": "aac@96k"}[coding]
        ]
        assert before.get(f"v{coding}", after[f"v{coding}"]) == after[f"v{coding}"]
        assert before.get("w", after[f"w{coding}"]) == after[f"w{coding}"]
        before |= after | {"w": after[f"w{coding}"]}
    assert len({before[f"v{coding}"] for coding in ("", "vorbis@96", "aac@96")}) == 3


def test_a_coding_that_is_none_is_refused(tmp_path: Path) -> None:
    """The clip and what is needed are named."""
    commit = gits.mirror(tmp_path, "someone/outputs", {"v.wav": gits.encoded(1.0, 1)})
    row = ("c.wav", "s", "vocals", "separated", "someone/outputs", commit, "v.wav", "WAV/PCM_16", "mp3@loud")
    file = gits.listing(tmp_path / "l.csv", (*HEAD, collect.CODED), [row])
    with pytest.raises(CatalogueError, match=r"c\.wav: found coded 'mp3@loud'; needed: vorbis@RATE or aac@RATE"):
        collect.collect([file], tmp_path / "mirrors", tmp_path / "clips")


def test_the_lists_of_the_model_are_weighed_as_the_command_weighs_them() -> None:
    """No row was coded by hand."""
    for file in LISTS:
        rows = [row for _, row in read_rows(file, (*collect.NEEDED, collect.CODED))]
        assert any(row[collect.CODED] for row in rows)
        for row in rows:
            assert row[collect.CODED] == counterweight.coding_of(row, 0.15), row["clip"]
