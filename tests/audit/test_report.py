"""Summary, findings, report, query, export and gate, on a small vendor set that is made here and audited for real."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import soundfile
from pyarrow import parquet
from typer.testing import CliRunner

import provenance
from provenance import flat, listing
from provenance.audit import (
    answer,
    checks,
    export,
    findings,
    gallery,
    gate,
    items,
    likeness,
    limits,
    mixes,
    phases,
    progress,
    report,
    store,
    summary,
)
from provenance.audit import cli as audit_cli
from provenance.audit.driver import Progress
from provenance.audit.errors import AuditError
from provenance.audit.prevalence import Estimate
from provenance.audit.run import score_source
from provenance.audit.sources import list_items
from provenance.evidence import conclude
from tests.audit import make, rowsets
from tests.audit.drive import LOADER

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vendor's set: eight songs of two stems, one take sold twice, a masked pair of outputs, a broken file.

    The fault scorer calls loud files separated; the songs 6 and 7 are loud and all claim to be studio recordings.
    """
    base = tmp_path_factory.mktemp("vendor")
    rows = []

    def put(name: str, wave: np.ndarray, **claims: str) -> None:
        soundfile.write(base / name, wave, 44_100)
        rows.append({"path": name, "claimed_origin": "studio", "wetness": "dry", **claims})

    for song in range(8):
        loud = 1.0 if song >= 6 else 0.25
        for k, stem in enumerate(("vocals", "bass")):
            put(f"{song}_{stem}.wav", loud * make.take(10 * song + k), song=f"song {song}", stem=stem)
    put("again.wav", 0.3 * make.take(0)[22_050:], song="bonus", stem="vocals")
    first, second = _masked(make.take(91), make.take(92))
    put("masked_a.wav", first, song="masked", stem="vocals")
    put("masked_b.wav", second, song="masked", stem="drums")
    dry = 0.5 * make.take(70, channels=1)
    put("pair_1.wav", dry, song="pair", stem="keys", pair_id="P")
    put("pair_2.wav", _reverb(dry), song="pair", stem="keys", pair_id="P", wetness="wet")
    put("pair_3.wav", _reverb(dry), song="pair2", stem="keys", pair_id="Q")
    put("pair_4.wav", dry, song="pair2", stem="keys", pair_id="Q", wetness="wet")
    put("pair_5.wav", dry, song="pair3", stem="keys", pair_id="R")
    put("pair_6.wav", 0.5 * make.take(55), song="pair3", stem="keys", pair_id="R", wetness="wet")
    (base / "broken.wav").write_bytes(b"RIFF")
    rows.append({"path": "broken.wav", "claimed_origin": "studio", "wetness": "dry", "song": "x"})
    with (base / "manifest.csv").open("w", newline="") as handle:
        table = csv.DictWriter(handle, ["path", "claimed_origin", "wetness", "song", "stem", "pair_id"])
        table.writeheader()
        table.writerows(rows)
    return base


def _masked(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Separate a mix of two by a soft mask: both outputs get the phase of the mix."""
    n, hop = 1024, 256
    window = np.hanning(n + 1)[:-1]
    mono = [w.mean(axis=1) for w in (a, b)]
    frames = [np.lib.stride_tricks.sliding_window_view(w, n)[::hop] * window for w in (*mono, mono[0] + mono[1])]
    x, y, mix = (np.fft.rfft(f, axis=1) for f in frames)
    mask = np.abs(x) ** 0.7 / (np.abs(x) ** 0.7 + np.abs(y) ** 0.7 + 1e-9)
    out = []
    for part in (mask * mix, (1 - mask) * mix):
        wave = np.zeros(len(mono[0]))
        for i, frame in enumerate(np.fft.irfft(part, axis=1) * window):
            wave[i * hop : i * hop + n] += frame
        out.append((0.3 * wave).astype(np.float32))
    return out[0], out[1]


def _reverb(wave: np.ndarray) -> np.ndarray:
    """Return a stereo copy with a long tail."""
    rng = np.random.default_rng(0)
    t = np.arange(44_100) / 44_100
    out = []
    for _ in range(2):
        tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / 1.2) * 0.06
        tail[0] = 1.0
        n = len(wave) + len(tail)
        out.append(np.fft.irfft(np.fft.rfft(wave[:, 0], n) * np.fft.rfft(tail, n), n)[: len(wave)])
    return (0.5 * np.stack(out, axis=1)).astype(np.float32)


@pytest.fixture(scope="module")
def audited(vendor: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of its audit and the summary."""
    out = tmp_path_factory.mktemp("audit")
    score_source(str(vendor / "manifest.csv"), out, workers=2, loader=LOADER)
    found = summary.summarise(out)
    report.write(out, found)
    return out, found


def kinds_of(out: Path, path: str) -> set[str]:
    """Return the kinds of finding against a file."""
    return {row[0] for row in store.query(out, f"select kind from findings where path = '{path}'")[1]}


def test_counts_claims_and_shares_add_up(audited: tuple[Path, dict[str, Any]]) -> None:
    """Rows, calls and the table of claims all count the same files, and songs are the groups."""
    _, found = audited
    assert (found["files"]["n_rows"], found["files"]["n_judged"], found["files"]["n_error"]) == (26, 25, 1)
    assert (found["choice"]["n_taken"], found["choice"]["n_scored"]) == (26, 25)
    assert found["answer"].startswith("Of 25 files scored (of 26 listed), ")
    assert found["answer"].endswith("; 1 file could not be read.")
    assert found["clustered_by"] == "claimed song"
    assert found["prevalence"]["separated"]["called"] == 4
    row = next(r for r in found["claims"]["origin"]["rows"] if r["claimed"] == "studio")
    assert (row["separated"], row["studio"] + row["undecided"], row["unread"], row["n"]) == (4, 21, 1, 26)
    for use in found["uses"]:
        assert use["yes"]["n"] + use["needs_pair"]["n"] + use["no"]["n"] + use["unknown"]["n"] == 25
    assert json.loads((audited[0] / "summary.json").read_text()) == found


@pytest.mark.parametrize("stem", ["mix", "Full Mix", ""])
def test_a_mix_beside_its_stems_accuses_none(stem: str, root: Path, tmp_path: Path) -> None:
    """What is summed into a mix shares its phase with it: no sign of a separator, however the mix is named."""
    names = ["dry_voice.flac", "mix.flac"]
    for name in names:
        shutil.copy(root / "examples" / name, tmp_path / name)
    voice, mix = (soundfile.read(tmp_path / name, dtype="float32", always_2d=True)[0] for name in names)
    shared, leftover = phases.share_phase(voice, mix)
    assert shared is not None
    assert leftover is not None
    assert min(shared, 2 * leftover) > phases.MIN_SHARED, "by phase alone they would be a separator's outputs"
    (tmp_path / "manifest.csv").write_text(f"path,song,stem\ndry_voice.flac,one,vocals\nmix.flac,one,{stem}\n")
    out = tmp_path / "out"
    score_source(str(tmp_path / "manifest.csv"), out, workers=2, loader=LOADER)
    found = summary.summarise(out)
    across = {"shared_phase", "separated_version", "processed_version", "same_take", "copy"}
    assert [kinds_of(out, name) & across for name in names] == [set()] * 2
    relations = found["checks"]["same_takes"]["relations"]
    assert relations == ({} if stem else {"part_of_mix": 1}), "with two stems of a song named they are not compared"
    assert ("1 part of mix" in report.write(out, found).read_text()) == (not stem)


@pytest.mark.parametrize(
    ("path", "stem", "is_whole"),
    [
        ("Song/full mix.wav", None, True), ("Song_fullmix.wav", "", True), ("Song (Master).wav", None, True),
        ("a/Mixdown 2.flac", " ", True), ("1.wav", "Full Mix", True), ("1.wav", "mixed", True),
        ("Master of None - vocals.wav", None, False), ("Mix Tape_Bass.wav", None, False), ("drum mix.wav", None, False),
        ("Full Moon.wav", None, False), ("Masterpiece.wav", None, False), ("Song mix.wav", "vocals", False),
        ("Bassline (club mix).wav", None, True),
    ],
)  # fmt: skip
def test_a_song_that_is_called_as_mixes_are_keeps_its_stems(path: str, stem: str | None, is_whole: bool) -> None:
    """A title with Mix or Master takes no stem out of the clean subset whose name says which stem it is."""
    with duckdb.connect() as db:
        db.execute("create table f as select ?::varchar as path, ?::varchar as stem", [path, stem])
        assert db.execute(f"select {mixes.is_mix('f')}, {mixes.is_mix()} from f").fetchone() == (is_whole, is_whole)


def test_a_take_beside_another_mix_of_it_is_no_duplicate(root: Path, tmp_path: Path) -> None:
    """Where no song is claimed a mix is told by its name; called otherwise it is one more file of the performance."""
    relations = {}
    for name in ("song mix.flac", "song.flac"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(root / "examples" / "wet_voice.flac", folder / "voice.flac")
        shutil.copy(root / "examples" / "mix.flac", folder / name)
        score_source(str(folder), tmp_path / f"{name}.out", workers=1)
        relations[name] = summary.summarise(tmp_path / f"{name}.out")["checks"]["same_takes"]["relations"]
    assert relations["song mix.flac"] == {"part_of_mix": 1}
    assert sum(relations["song.flac"].values()) == 1
    assert "part_of_mix" not in relations["song.flac"]
    export.export_all(tmp_path / "song mix.flac.out", tmp_path / "all.csv")
    mix = next(row for row in read_table(tmp_path / "all.csv") if row["listed_as"].endswith("song mix.flac"))
    assert (mix["origin"], mix["findings"], mix["clean"]) == ("studio", "", False), "nothing against it, and no stem"


@pytest.mark.parametrize("stem", ["", "voice dry,voice wet"])
def test_a_take_beside_what_was_made_of_it_accuses_none(stem: str, root: Path, tmp_path: Path) -> None:
    """A dry and a wet version share their phase by nature: no sign of a separator, pair named or not."""
    names = ["dry_voice.flac", "wet_voice.flac"]
    for name in names:
        shutil.copy(root / "examples" / name, tmp_path / name)
    waves = (soundfile.read(root / "examples" / name, dtype="float32", always_2d=True)[0] for name in names)
    shared, leftover = phases.share_phase(*waves)
    assert shared is not None
    assert leftover is not None
    assert min(shared, 2 * leftover) > phases.MIN_SHARED, "by phase alone they would be a separator's outputs"
    rows = zip(names, stem.split(",") if stem else ["", ""], strict=True)
    (tmp_path / "manifest.csv").write_text("path,song,stem\n" + "".join(f"{name},one,{of}\n" for name, of in rows))
    out = tmp_path / "out"
    score_source(str(tmp_path / "manifest.csv"), out, workers=1, loader=LOADER)
    found = summary.summarise(out)
    assert found["checks"]["shared_phase"]["n_songs_checked"] == 1
    assert not any("shared_phase" in kinds_of(out, name) for name in names)


def _shared(*pairs: str, **of: dict[str, Any]) -> dict[str, float]:
    """Who is blamed, and how surely, where these pairs of stems (letters) share their phase."""
    rows = {
        name: {"path": name, "p_separated": 0.1, "claimed_origin": None, **of.get(name, {})}
        for name in sorted("".join(pairs))
    }
    hits = [phases.SharedPhase("song", rows[a], rows[b], 0.5, 0.5) for a, b in pairs]
    return {row["path"]: sure for _, row, _, sure in checks.blame(hits)}


def test_a_shared_phase_is_held_against_the_extraction_and_not_against_what_leaked_into_it() -> None:
    """The one the vendor names, the clearly likelier one, the one that shares it with several; else one of two."""
    both = _shared("ab")
    assert both.keys() == {"a", "b"}
    assert max(both.values()) == 0.5, "at least one of the two"
    assert not _shared("ab", "bc", b={"claimed_origin": "separated"}), "what is declared explains what it shares"
    assert _shared("ab", b={"p_separated": 0.4}).keys() == {"b"}
    assert _shared("ab", "bc", "bd").keys() == {"b"}, "true stems share no phase among each other"
    outputs = _shared("ab", "bc", "ac")
    assert outputs.keys() == {"a", "b", "c"}
    assert min(outputs.values()) > 0.9, "all outputs of one separator"


@pytest.mark.parametrize("by", ["lengths", "names", "pairs", "many", "polarity"])
def test_no_wording_and_no_cut_hides_a_shared_phase(by: str, tmp_path: Path) -> None:
    """Outputs of a separator that end apart, have one name, one pair id with all, or opposite signs are found."""
    first, second = (4 * wave for wave in _masked(make.take(91), make.take(92)))
    waves = {"x.wav": first, "y.wav": (-1 if by == "polarity" else 1) * second[: -22_050 if by == "lengths" else None]}
    waves |= {
        f"{i:02d}.wav": 0.1 * make.take(100 + i, 5.0 if by == "many" else 2.0) for i in range(30 if by == "many" else 2)
    }
    for name, wave in waves.items():
        soundfile.write(tmp_path / name, wave, 44_100)
    of = {name: ("stem" if by == "names" else name[:-4], "P" if by == "pairs" else "") for name in waves}
    table = "path,song,stem,pair\n" + "".join(f"{name},one,{stem},{pair}\n" for name, (stem, pair) in of.items())
    (tmp_path / "manifest.csv").write_text(table)
    out = tmp_path / "out"
    score_source(str(tmp_path / "manifest.csv"), out, workers=1, loader=LOADER)
    found = summary.summarise(out)
    assert found["checks"]["shared_phase"]["n_songs_checked"] == 1
    hit = {name for name in waves if "shared_phase" in kinds_of(out, name)}
    assert hit <= {"x.wav", "y.wav"}
    assert hit
    refuted = sum("pair_not_one_performance" in kinds_of(out, name) for name in waves)
    assert refuted >= 2 if by == "pairs" else refuted == 0, "each is held against the first"


def test_what_is_silent_at_first_is_compared_where_it_sounds(tmp_path: Path) -> None:
    """Stems that come in late share their phase no less, and a copy of one that waits half a minute is a copy."""
    first, second = (4 * wave for wave in _masked(make.take(91), make.take(92)))
    take = make.take(5, channels=1)
    waves = {"x.wav": (20, first), "y.wav": (20, second), "once.wav": (35, take), "again.wav": (36, 0.5 * take)}
    for name, (wait_s, wave) in waves.items():
        silence = np.zeros((wait_s * 44_100, *wave.shape[1:]), np.float32)
        soundfile.write(tmp_path / name, np.concatenate([silence, wave]), 44_100)
    rows = "x.wav,one,vocals\ny.wav,one,bass\nonce.wav,two,vocals\nagain.wav,three,vocals\n"
    (tmp_path / "manifest.csv").write_text("path,song,stem\n" + rows)
    out = tmp_path / "out"
    score_source(str(tmp_path / "manifest.csv"), out, workers=1, loader=LOADER)
    found = summary.summarise(out)
    assert any("shared_phase" in kinds_of(out, name) for name in ("x.wav", "y.wav"))
    assert found["checks"]["same_takes"]["relations"] == {"copy": 1}
    (example,) = found["checks"]["same_takes"]["examples"]
    assert abs(example["offset_samples"]) == 44_100, "counted from the beginnings of the files"


def test_a_stem_sold_twice_within_a_song_is_a_copy(tmp_path: Path) -> None:
    """Under another stem's name too, and however the song is written; stems that are no copies are no finding."""
    take = make.take(5)
    waves = {"lead.wav": take, "double.wav": 0.5 * take, "bass.wav": make.take(6)}
    for name, wave in waves.items():
        soundfile.write(tmp_path / name, wave, 44_100)
    rows = "".join(f"{name},{song},{name[:-4]}\n" for name, song in zip(waves, ("One", "ONE", "one"), strict=True))
    (tmp_path / "manifest.csv").write_text("path,song,stem\n" + rows)
    out = tmp_path / "out"
    score_source(str(tmp_path / "manifest.csv"), out, workers=1, loader=LOADER)
    found = summary.summarise(out)
    assert found["prevalence"]["separated"]["n_songs"] == 1
    assert found["checks"]["same_takes"]["relations"] == {"copy": 1}
    assert [kinds_of(out, name) & {"copy", "same_take"} for name in waves].count({"copy"}) == 1


@pytest.mark.parametrize("by", ["bytes", "gain"])
def test_a_stem_sold_very_often_is_so_many_copies(by: str, tmp_path: Path) -> None:
    """Seventy files of one take are 69 copies and one piece of evidence, equal or at other levels, and one is clean."""
    take, other = make.take(7), make.take(8)
    for i in range(70):
        soundfile.write(tmp_path / f"{i:02d}.wav", take * (1.0 if by == "bytes" else 1.0 - 0.01 * i), 44_100, "FLOAT")
    soundfile.write(tmp_path / "other.wav", other, 44_100)
    out = tmp_path / "out"
    score_source(str(tmp_path), out, workers=2, loader=LOADER)
    found = summary.summarise(out)
    assert found["checks"]["same_takes"]["n_copies"] >= (69 if by == "bytes" else 60), "the rest is told by comparison"
    assert found["checks"]["same_takes"]["relations"] == {"copy": 69}
    copied = [path for path in sorted(tmp_path.glob("*.wav")) if "copy" in kinds_of(out, str(path))]
    assert len(copied) == 69
    assert "other.wav" not in {path.name for path in copied}
    assert {entry["kind"]: entry["n_files"] for entry in found["findings"]["by_kind"]}["copy"] == 69


@pytest.mark.parametrize("by", ["bytes", "shift", "pair"])
@pytest.mark.parametrize("other", ["studio", ""])
def test_what_the_vendor_calls_separated_elsewhere_is_in_no_clean_subset(by: str, other: str, tmp_path: Path) -> None:
    """A recording is sold as studio and, under another name, as separated: both are named, neither is clean."""
    take, honest = 0.5 * make.take(9), 0.5 * make.take(10)
    waves = {"a.wav": take, "b.wav": take if by == "bytes" else 0.5 * take[22_050 * (by == "shift") :]}
    waves |= {"c.wav": honest, "d.wav": honest}
    for name, wave in waves.items():
        soundfile.write(tmp_path / name, wave, 44_100, "FLOAT")
    pair = ("P,dry", "P,wet") if by == "pair" else (",", ",")
    table = f"a.wav,{other},{pair[0]}\nb.wav,separated,{pair[1]}\nc.wav,studio,,\nd.wav,,,\n"
    (tmp_path / "m.csv").write_text("path,origin,pair,processing\n" + table)
    out = tmp_path / "out"
    score_source(str(tmp_path / "m.csv"), out, workers=1, loader=LOADER)
    summary.summarise(out)
    against = [name for name in waves if "claims_contradict" in kinds_of(out, name)]
    assert against == (["a.wav", "b.wav"] if other else ["a.wav"])
    export.export_all(out, tmp_path / "all.csv")
    clean = [row["listed_as"] for row in read_table(tmp_path / "all.csv") if row["clean"]]
    assert clean == ["c.wav"], "and of honest copies one"


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_a_copy_is_no_dry_and_wet_pair(gain: float, tmp_path: Path) -> None:
    """One recording sold as dry and as wet is a copy, and no usable pair."""
    take = make.take(9)
    soundfile.write(tmp_path / "dry.wav", take, 44_100, "FLOAT")
    soundfile.write(tmp_path / "wet.wav", gain * take, 44_100, "FLOAT")
    (tmp_path / "m.csv").write_text("path,pair,processing\ndry.wav,P,dry\nwet.wav,P,wet\n")
    out = tmp_path / "out"
    score_source(str(tmp_path / "m.csv"), out, workers=1, loader=LOADER)
    pairs = summary.summarise(out)["checks"]["claimed_pairs"]
    assert (pairs["n_checked"], pairs["n_usable"]) == (1, 0)
    assert pairs["examples"][0]["order"] == "copy"
    assert [kinds_of(out, name) & {"copy"} for name in ("dry.wav", "wet.wav")] == [set(), {"copy"}]


def test_claims_and_groups_add_up_however_they_are_spelt(tmp_path: Path) -> None:
    """Twenty words that nobody understands are counted all, and one stem in three spellings is one group."""
    names = [f"{i:02d}.wav" for i in range(20)]
    make.files(tmp_path, names)
    spelt = ("vocals", "VOCALS", "Vocals ", "vocals")
    lines = [f"{name},studio take {i},{spelt[i % 4]}" for i, name in enumerate(names)]
    (tmp_path / "m.csv").write_text("path,origin,stem\n" + "\n".join(lines) + "\n")
    out = tmp_path / "out"
    score_source(str(tmp_path / "m.csv"), out, workers=1, loader=LOADER)
    found = summary.summarise(out)
    claims = found["claims"]["origin"]
    assert sum(row["n"] for row in claims["rows"]) == claims["n_not_understood"] == 20
    assert claims["rows"][-1]["claimed"] == "9 others"
    assert any(text.startswith("Of 20 files the claim of origin is not understood") for text in found["cannot_tell"])
    assert "9 others" in report.write(out, found).read_text()
    (group,) = found["groups"]["stem"]
    assert (group["name"], group["n"]) == ("vocals", 20)


def test_what_could_not_be_read_again_is_not_said_to_be_checked(vendor: Path, tmp_path: Path) -> None:
    """Where the audio is gone since it was scored, songs and pairs count as unread, and the report says it."""
    shutil.copytree(vendor, tmp_path / "vendor")
    out = tmp_path / "out"
    score_source(str(tmp_path / "vendor" / "manifest.csv"), out, workers=2, loader=LOADER)
    (tmp_path / "vendor").rename(tmp_path / "moved")
    found = summary.summarise(out)
    songs, pairs = found["checks"]["shared_phase"], found["checks"]["claimed_pairs"]
    assert (songs["n_songs_checked"], songs["n_songs_unread"]) == (0, songs["n_songs"])
    assert (pairs["n_checked"], pairs["counts"]) == (0, {"unread": 3})
    (said,) = [text for text in found["cannot_tell"] if "could not be read again" in text]
    assert f"{songs['n_songs']} songs with several stems and 3 claimed pairs" in said


@pytest.mark.parametrize("has_digests", [True, False])
def test_what_is_there_by_now_is_not_blamed_on_what_was_scored(has_digests: bool, tmp_path: Path) -> None:
    """Audio that took another's place since is compared with nothing; rows without digests tell it by its size."""
    first, second = _masked(make.take(91), make.take(92))
    waves = {"x.wav": make.take(1), "y.wav": make.take(2), "p.wav": make.take(3), "q.wav": make.take(3)}
    for name, wave in waves.items():
        soundfile.write(tmp_path / name, 0.5 * wave, 44_100, "PCM_16")
    rows = "x.wav,one,vocals,,\ny.wav,one,bass,,\np.wav,two,keys,P,dry\nq.wav,two,keys,P,wet\n"
    (tmp_path / "m.csv").write_text("path,song,stem,pair,processing\n" + rows)
    out = tmp_path / "out"
    score_source(str(tmp_path / "m.csv"), out, workers=1, loader=LOADER)
    before = summary.summarise(out)["checks"]
    assert (before["shared_phase"]["n_songs_checked"], before["claimed_pairs"]["n_checked"]) == (2, 1)
    kind = "PCM_16" if has_digests else "PCM_24"
    for name, wave in (("x.wav", first), ("y.wav", second), ("q.wav", 0.5 * make.take(55))):
        soundfile.write(tmp_path / name, wave[: len(waves[name])], 44_100, kind)
    if not has_digests:
        for part in (out / "parts").glob("*.parquet"):
            parquet.write_table(parquet.read_table(part).drop_columns("sha256"), part)
    found = summary.summarise(out)
    assert not any({"shared_phase", "pair_not_one_performance"} & kinds_of(out, name) for name in waves)
    assert found["checks"]["shared_phase"]["n_songs_unread"] == 2
    assert found["checks"]["claimed_pairs"]["counts"] == {"unread": 1}
    assert any("was changed since" in text for text in found["cannot_tell"])


def test_a_share_that_fits_none_is_given_no_interval(tmp_path: Path) -> None:
    """More calls than any share explains are said to be that, not a certain share that was counted."""
    rowsets.write(tmp_path, 256, provenance.load().bundle.reference, separated=0.7)
    found = summary.summarise(tmp_path, effort=checks.Effort(seconds=0))
    found["prevalence"]["separated"] |= {"value": 1.0, "low": 1.0, "high": 1.0, "fits": False, "corrected": True}
    assert "(no share explains what was called)" in answer.answer(found)
    assert "no share fits" in report.write(tmp_path, found).read_text()
    assert audit_cli._interval(found["prevalence"]["separated"]) == "no share fits"
    assert audit_cli._interval(found["prevalence"]["separated"] | {"fits": True}) == "100.0% to 100.0%"
    assert audit_cli._interval(found["prevalence"]["wet"]) == "counted"


def test_stems_that_are_all_called_mixes_are_said_to_be_compared_with_none(tmp_path: Path) -> None:
    """What the vendor's words keep out of a check is named; an export does not write over the manifest audited."""
    make.files(tmp_path, ["a.wav", "b.wav"])
    table = "path,song,stem\na.wav,one,full mix\nb.wav,one,master\n"
    (tmp_path / "manifest.csv").write_text(table)
    score_source(str(tmp_path / "manifest.csv"), tmp_path / "out", workers=1, loader=LOADER)
    found = summary.summarise(tmp_path / "out")
    assert "No claimed song has several stems: nothing was searched for shared phase." in found["cannot_tell"]
    for write in (export.export_clean, export.export_all):
        with pytest.raises(AuditError, match=r"manifest\.csv: is what was audited; needed: another file"):
            write(tmp_path / "out", tmp_path / "out" / ".." / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_text() == table


def test_a_folder_is_read_by_its_name_and_an_export_finds_its_way_through_links(tmp_path: Path) -> None:
    """Signs of a pattern in ``--out`` match no other folder; paths of an export start where its folder really is."""
    make.files(tmp_path / "in", ["a.wav", "b.wav"])
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    with contextlib.chdir(tmp_path):
        for out in (Path("out [2]"), Path("out [v2]"), Path("out*")):
            score_source("in", out, workers=1, loader=LOADER)
            assert summary.summarise(out)["files"]["n_rows"] == 2
            assert export.export_all(out, Path("link/all.csv")) == 2
        assert all(item.n_bytes > 0 for item in list_items("link/all.csv"))


def test_a_spliced_file_is_found(root: Path, tmp_path: Path) -> None:
    """A minute of a true stem with ten seconds of an extraction behind it is undecided, named, and not clean."""
    voice, extraction = (
        soundfile.read(root / "examples" / f"{name}.flac", dtype="float32", always_2d=True)[0].mean(axis=1)
        for name in ("wet_voice", "separated_voice")
    )
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "whole.flac", np.tile(voice, 6), 44_100)
    soundfile.write(tmp_path / "in" / "spliced.flac", np.concatenate([np.tile(voice, 6), extraction]), 44_100)
    out = tmp_path / "out"
    score_source(str(tmp_path / "in"), out, workers=1)
    summary.summarise(out)
    kinds = {name: kinds_of(out, str(tmp_path / "in" / f"{name}.flac")) for name in ("whole", "spliced")}
    assert "parts_disagree" in kinds["spliced"]
    assert "parts_disagree" not in kinds["whole"]
    export.export_all(out, tmp_path / "all.csv")
    rows = {Path(row["listed_as"]).stem: row for row in read_table(tmp_path / "all.csv")}
    assert (rows["spliced"]["origin"], rows["spliced"]["clean"]) == ("undecided", False)


def test_what_the_vendor_calls_separated_is_in_no_clean_subset(tmp_path: Path) -> None:
    """Neither is it said to suit a use, though the model calls it studio; the rest is a manifest wherever it is put."""
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for seed, name in enumerate("ab"):
        soundfile.write(tmp_path / "in" / f"{name}.flac", 0.2 * make.take(seed), 44_100)
    table = "path,claimed_origin\nin/a.flac,separated\nin/b.flac,studio\n"
    (tmp_path / "manifest.csv").write_text(table)
    with contextlib.chdir(tmp_path):
        score_source("manifest.csv", Path("out"), workers=1, loader=LOADER)
        found = summary.summarise(Path("out"))
        assert found["claims"]["origin"]["rows"][0]["studio"] + found["claims"]["origin"]["rows"][1]["studio"] == 2
        assert export.export_clean(Path("out"), Path("elsewhere/clean.csv")) == 1
        with open("elsewhere/clean.csv", newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert (row["path"], row["listed_as"]) == ("../in/b.flac", "in/b.flac")
        assert all(use["no"]["n"] >= 1 for use in found["uses"])
        score_source("elsewhere/clean.csv", Path("again"), workers=1, loader=LOADER)
        assert summary.summarise(Path("again"))["files"]["n_judged"] == 1


def test_no_cell_of_csv_is_run_and_all_of_it_is_read_again(tmp_path: Path) -> None:
    """What a spreadsheet would run has an apostrophe, a path its folder; read as a manifest it says what it said."""
    names = ["=cmd|' _C calc'!A0.wav", "@sum.wav", "+1.wav", "-9.wav", "plain.wav"]
    make.files(tmp_path, names)
    songs = ["=HYPERLINK(0)", "@one", "'=quoted", "-7", "plain"]
    manifest = [{"file": name, "song": song, "take": "+x"} for name, song in zip(names, songs, strict=True)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in manifest))
    with contextlib.chdir(tmp_path):
        score_source("m.jsonl", Path("out"), workers=1, loader=LOADER)
        summary.summarise(Path("out"))
        export.export_all(Path("out"), Path("all.csv"))
        export.export_all(Path("out"), Path("all.jsonl"))
        cells = [cell for row in csv.reader(Path("all.csv").read_text().splitlines()) for cell in row]
        risky = [cell for cell in cells if cell[:1] in tuple("=+-@\t\r\n") and not re.fullmatch(r"-?[\d.e-]+", cell)]
        assert risky == []
        told = {row["listed_as"].removeprefix("'"): row for row in read_table(Path("all.csv"))}
        assert [told[name]["song"] for name in names] == ["'=HYPERLINK(0)", "'@one", "''=quoted", "-7", "plain"]
        assert [told[name]["path"] for name in names] == [*(f"./{name}" for name in names[:4]), "plain.wav"]
        verbatim = {row["listed_as"]: row for row in read_table(Path("all.jsonl"))}
        assert [verbatim[name]["song"] for name in names] == songs
        again = list(list_items("all.csv"))
        assert sorted(os.path.normpath(item.where) for item in again) == sorted(names)
        assert sorted(item.claims.song or "" for item in again) == sorted(songs)
        asked = CliRunner().invoke(
            audit_cli.audit_app, ["query", "out", "select song from stems order by 1", "--format", "csv"]
        )
        assert asked.stdout.splitlines() == ["song", "''=quoted", "-7", "'=HYPERLINK(0)", "'@one", "plain"]


def test_findings_name_the_right_files(audited: tuple[Path, dict[str, Any]]) -> None:
    """The take sold twice, the masked outputs, the swapped and the false pair, false claims: found, and no others."""
    out, found = audited
    assert "separated_sold_as_studio" in kinds_of(out, "7_bass.wav")
    assert kinds_of(out, "broken.wav") == {"unreadable"}
    assert {"shared_phase"} <= kinds_of(out, "masked_a.wav") & kinds_of(out, "masked_b.wav")
    same = {"copy", "same_take", "processed_version"}
    assert (kinds_of(out, "again.wav") | kinds_of(out, "0_vocals.wav")) & same
    assert "pair_swapped" in kinds_of(out, "pair_3.wav") & kinds_of(out, "pair_4.wav"), "each is the other"
    swapped = next(row for row in found["findings"]["by_kind"] if row["kind"] == "pair_swapped")
    assert swapped["weight_s"] == pytest.approx(0.85 * 0.5 * 2 * 5.0), "the seconds of both, once"
    assert "pair_not_one_performance" in kinds_of(out, "pair_6.wav")
    assert not kinds_of(out, "pair_2.wav") & {"pair_swapped", "pair_not_one_performance"}
    assert not kinds_of(out, "1_vocals.wav") - {"clipped"}
    assert found["checks"]["claimed_pairs"]["n_usable"] == 1
    weights = [row["weight_s"] for row in found["findings"]["first"]]
    assert weights == sorted(weights, reverse=True)


def test_a_rerun_gives_the_same_summary(audited: tuple[Path, dict[str, Any]]) -> None:
    """Summing up again changes nothing."""
    out, found = audited
    assert summary.summarise(out) == found


def test_rows_are_read_by_duckdb_pandas_and_the_query(audited: tuple[Path, dict[str, Any]]) -> None:
    """The parts are plain Parquet with the documented columns; a wrong query is one clear line."""
    out, _ = audited
    counted = duckdb.sql(f"select count(*) from '{out}/parts/*.parquet'").fetchall()[0][0]
    names, rows = store.query(out, "select origin, count(*) as n from stems group by 1 order by 2 desc")
    assert names == ["origin", "n"]
    assert sum(n for _, n in rows) == counted == 26
    pandas = pytest.importorskip("pandas")
    assert len(pandas.read_parquet(out / "parts")) == 26
    with pytest.raises(AuditError, match="nope"):
        store.query(out, "select nope from stems")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_the_clean_subset_is_a_manifest(audited: tuple[Path, dict[str, Any]], tmp_path: Path, ending: str) -> None:
    """The export holds studio stems without a finding and can be audited as a source itself."""
    from provenance.audit.sources import list_items

    out, _ = audited
    file = tmp_path / f"clean.{ending}"
    n = export.export_clean(out, file)
    dirty = {
        row[0] for row in store.query(out, "select source from stems where path in (select path from findings)")[1]
    }
    paths = {item.path for item in list_items(str(file))}
    assert len(paths) == n > 4
    assert not paths & dirty
    assert all(Path(path).is_file() for path in paths)
    with pytest.raises(AuditError, match=r"needed: \.csv, \.jsonl or \.parquet"):
        export.export_clean(out, tmp_path / "clean.txt")


@pytest.mark.parametrize("stamped", [True, False])
def test_nothing_is_exported_by_findings_of_other_rows(stamped: bool, tmp_path: Path) -> None:
    """A run that was ended left rows that nobody looked at together: they are summed up first, in a copy as well.

    Findings of an earlier version bear no stamp; then the dates tell.
    """
    make.files(tmp_path / "in", ["a.wav"])
    out = tmp_path / "out"
    score_source(str(tmp_path / "in"), out, workers=1, loader=LOADER)
    with pytest.raises(AuditError, match="not summed up yet; needed: run the audit to its end"):
        export.export_clean(out, tmp_path / "clean.csv")
    summary.summarise(out)
    if not stamped:
        table = parquet.read_table(out / store.FINDINGS)
        parquet.write_table(table.replace_schema_metadata(None), out / store.FINDINGS)
    assert export.export_clean(out, tmp_path / "clean.csv") == 1
    make.files(tmp_path / "in", ["b.wav"], loud={"b.wav"})
    score_source(str(tmp_path / "in"), out, workers=1, loader=LOADER)
    for write in (export.export_clean, export.export_all):
        with pytest.raises(AuditError, match="not summed up since rows or plan changed; needed: run the audit to its"):
            write(out, tmp_path / "clean.csv")
    summary.summarise(out)
    shutil.copytree(out, tmp_path / "copy", copy_function=shutil.copyfile)
    assert export.export_clean(tmp_path / "copy", tmp_path / "clean.csv") == 1


def test_a_query_shows_no_findings_of_other_rows(tmp_path: Path) -> None:
    """What asks for them ends with 2 and says how to sum up anew, as an export does; what asks for rows is answered."""
    make.files(tmp_path / "in", ["a.wav"])
    score_source(str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    asks = ("select * from findings", "describe Findings", "select 1 from stems where path in (from main.findings)")
    needed = "needed: run the audit to its end, or 'audit report out'\n"

    def ask(sql: str) -> tuple[int, str, str]:
        done = cli("audit", "query", "out", sql, "--format", "csv", cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    assert ask(asks[0]) == (2, "", f"out: not summed up yet; {needed}")
    summary.summarise(tmp_path / "out")
    assert ask("select count(*) as n from findings") == (0, "n\n0\n", "")
    make.files(tmp_path / "in", ["b.wav"], loud={"b.wav"})
    score_source(str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    for sql in asks:
        assert ask(sql) == (2, "", f"out: not summed up since rows or plan changed; {needed}")
    assert ask("select count(*) as n from stems") == (0, "n\n2\n", "")
    assert ask("with findings as (from stems) select count(*) as n from findings") == (0, "n\n2\n", "")
    assert "nope" in ask("select nope as findings from stems")[2]
    (tmp_path / "out" / store.FINDINGS).write_bytes(b"PAR1, as after a loss of power")
    assert ask(asks[0]) == (2, "", f"out: not summed up since rows or plan changed; {needed}")
    summary.summarise(tmp_path / "out")
    assert ask("select kind from findings") == (0, "kind\nseparated\n", "")


def read_table(file: Path) -> list[dict[str, Any]]:
    """Return the rows of an export, what is empty as ''."""
    if file.suffix == ".csv":
        with file.open(newline="", encoding="utf-8") as handle:
            rows: list[dict[str, Any]] = [*csv.DictReader(handle)]
        return [row | {"clean": row["clean"] == "true"} for row in rows]
    if file.suffix == ".jsonl":
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    else:
        rows = parquet.read_table(file).to_pylist()
    return [{name: "" if value is None else value for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_all_files_are_one_flat_table(
    audited: tuple[Path, dict[str, Any]], vendor: Path, tmp_path: Path, ending: str
) -> None:
    """Every file has a row with what it was called and what was found; ``clean`` are those of the clean subset."""
    out, found = audited
    file, clean = tmp_path / f"all.{ending}", tmp_path / f"clean.{ending}"
    assert export.export_all(out, file) == found["files"]["n_rows"] == 26
    export.export_clean(out, clean)
    rows = {row["listed_as"]: row for row in read_table(file)}
    with (vendor / "manifest.csv").open(newline="") as handle:
        assert list(rows) == [row["path"] for row in csv.DictReader(handle)], "in the manifest's order"
    assert len(rows) == 26
    assert tuple(rows["again.wav"]) == tuple(flat.name_columns(export.ALL))
    with duckdb.connect() as db:
        wanted = {path for (path,) in db.execute(f"select listed_as from '{clean}'").fetchall()}
    assert {name for name, row in rows.items() if row["clean"]} == wanted
    assert {name: set(row["findings"].split()) for name, row in rows.items()} == {n: kinds_of(out, n) for n in rows}
    bad = rows["broken.wav"]
    assert (bad["status"], bad["error_code"], bad["origin"], bad["clean"]) == ("error", "not_audio", "", False)
    assert (bad["claimed_origin"], bad["song"]) == ("studio", "x")
    loud = rows["7_bass.wav"]
    assert (loud["origin"], loud["verdict_status"], loud["suitable_for.karaoke"]) == ("separated", "ok", "no")
    assert float(loud["p_separated"]) == 0.99
    assert int(loud["n_bytes"]) > 0
    assert Path(loud["path"]).is_file()
    assert {name: row["sha256"] for name, row in rows.items()} == {
        name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in rows
    }, "of the broken file too"


def test_a_row_has_the_digest_of_what_a_tar_or_a_table_holds_of_its_file(root: Path, tmp_path: Path) -> None:
    """A member and a cell have the digest of the same file on disk; a file that is gone has none, nor has a pipe."""
    file = root / "examples" / "dry_voice.flac"
    wanted = hashlib.sha256(file.read_bytes()).hexdigest()
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(file, "dry_voice.flac")
    cells = [{"audio": {"bytes": file.read_bytes(), "path": "dry_voice.flac"}}]
    parquet.write_table(pa.Table.from_pylist(cells), tmp_path / "set.parquet")
    (tmp_path / "gone.csv").write_text("path\ngone.flac\n")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "pipe.csv").write_text("path\npipe.wav\n")
    found = {}
    for name in ("set.tar", "set.parquet", "gone.csv", "pipe.csv"):
        out = tmp_path / f"{name}.out"
        score_source(str(tmp_path / name), out, workers=1, loader=LOADER, file_timeout_s=60)
        found[name] = store.query(out, "select sha256, status from stems")[1]
    assert found == {
        "set.tar": [(wanted, "ok")], "set.parquet": [(wanted, "ok")], "gone.csv": [(None, "error")],
        "pipe.csv": [(None, "error")],
    }  # fmt: skip


def test_an_audit_of_an_earlier_version_is_read_and_goes_on(vendor: Path, tmp_path: Path) -> None:
    """A column that its parts lack is empty in a query and in exports; what is scored then has it, and no row is lost.

    One of its parts was completed by a call that was killed.
    """
    out, source = tmp_path / "out", tmp_path / "set"
    shutil.copytree(vendor, source)
    score_source(str(source), out, workers=2, loader=LOADER)
    parts = sorted((out / "parts").glob("*.parquet"))
    assert len(parts) > 2
    for part in parts[:-1]:
        parquet.write_table(parquet.read_table(part).drop_columns("sha256"), part)
    n = len(store.query(out, "select path from stems")[1])
    n_old = sum(len(parquet.read_table(part)) for part in parts[:-1])
    assert store.query(out, "select count(sha256) from stems")[1] == [(0,)]
    summary.summarise(out)
    for write in (export.export_all, export.export_clean):
        assert write(out, tmp_path / "rows.jsonl") > 0
        rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
        assert {row["sha256"] for row in rows} == {None}
    shutil.copy(next(source.glob("*.wav")), source / "new.wav")
    score_source(str(source), out, workers=2, loader=LOADER)
    assert store.query(out, "select count(*), count(sha256) from stems")[1] == [(n + 1, n + 1 - n_old)]


def test_an_audit_of_an_earlier_version_goes_on_past_a_damaged_part(vendor: Path, tmp_path: Path) -> None:
    """The first part is damaged and scored again with the column; the others, which lacked it, are read beside it."""
    out = tmp_path / "out"
    score_source(str(vendor), out, workers=2, loader=LOADER)
    n = len(store.query(out, "select path from stems")[1])
    first, *others = sorted((out / "parts").glob("*.parquet"))
    for part in others:
        parquet.write_table(parquet.read_table(part).drop_columns("sha256"), part)
    n_new = len(parquet.read_table(first))
    first.write_bytes(b"PAR1")
    score_source(str(vendor), out, workers=2, loader=LOADER)
    assert store.query(out, "select count(*), count(sha256) from stems")[1] == [(n, n_new)]


def test_an_export_of_all_files_is_a_source_itself(audited: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """It can be audited again with the vendor's claims; a use narrows what is clean and leaves the rows."""
    from provenance.audit.sources import list_items

    out, _ = audited
    export.export_all(out, tmp_path / "all.csv")
    listed = list(list_items(str(tmp_path / "all.csv")))
    assert len(listed) == 26
    assert {item.claims.origin for item in listed} == {"studio"}
    assert {item.claims.pair for item in listed} == {None, "P", "Q", "R"}
    assert export.export_all(out, tmp_path / "karaoke.jsonl", "karaoke") == 26
    assert not any(row["clean"] for row in read_table(tmp_path / "karaoke.jsonl")), "all that is clean here is dry"


def test_nested_columns_are_spread_by_name(tmp_path: Path) -> None:
    """Uses, effects with strengths and cues of the shipped model's verdict each have the column of their name."""
    soundfile.write(tmp_path / "a.wav", make.take(1, 4.0), 44_100)
    score_source(str(tmp_path / "a.wav"), tmp_path / "out", workers=1)
    summary.summarise(tmp_path / "out")
    export.export_all(tmp_path / "out", tmp_path / "all.parquet")
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.schema.field("effects.reverb").type == table.schema.field("evidence.bandwidth").type == pa.float64()
    assert table.schema.field("n_windows").type == pa.int32()
    (row,) = table.to_pylist()
    verdict = provenance.score(tmp_path / "a.wav")
    assert {name: row[f"effects.{name}"] for name in verdict.effects or {}} == verdict.effects
    assert {n: row[f"effect_strengths.{n}"] for n in verdict.effect_strengths or {}} == verdict.effect_strengths
    assert {cue.cue: row[f"evidence.{cue.cue}"] for cue in verdict.evidence or ()} == {
        cue.cue: cue.value for cue in verdict.evidence or ()
    }
    assert {fit.use: row[f"suitable_for.{fit.use}"] for fit in verdict.suitable_for} == {
        fit.use: fit.suitable for fit in verdict.suitable_for
    }
    assert row["reasons"] == " ".join(verdict.reasons)


def test_a_folder_of_before_is_read_and_summed_up_anew(tmp_path: Path, root: Path) -> None:
    """What an older program left is read: its rows are, its summary is written anew; a plan of another is refused."""
    rowsets.write(tmp_path, 128, provenance.load().bundle.reference)
    plan_file = tmp_path / "plan.jsonl"
    plan_file.write_text(plan_file.read_text().replace(', "passed": {}', ""))
    (tmp_path / "summary.json").write_text(json.dumps({"version": "1", "choice": {"n_scored": 128}}))
    done = cli("audit", "report", str(tmp_path), "--check", "1s", cwd=root)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found["version"] == summary.SUMMARY_VERSION == "2"
    assert (found["choice"]["n_taken"], found["choice"]["n_scored"]) == (128, found["files"]["n_judged"])
    done = cli("audit", "export", str(tmp_path), str(tmp_path / "all.jsonl"), "--all", cwd=root)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/all.jsonl: 128 files\n")
    page = (root / "docs" / "audit.md").read_text(encoding="utf-8")
    assert f'`"version": "{summary.SUMMARY_VERSION}"` of `summary.json`' in page
    plan_file.write_text(plan_file.read_text().replace('{"format": 1,', '{"format": 99,', 1))
    done = cli("audit", "report", str(tmp_path), cwd=root)
    assert (done.returncode, done.stderr) == (2, f"{tmp_path}: its plan has another format; needed: 1\n")


def test_the_gate_reads_kinds_verdicts_and_shares(audited: tuple[Path, dict[str, Any]]) -> None:
    """A condition holds if there is such a file, or if the interval's low end lies above a share."""
    out, found = audited
    words = lambda *values: gate.check(found, gate.read(list(values)), out)  # noqa: E731
    assert words("crashed,wet") == []
    assert len(words("unreadable", "separated", "undecided>0.5")) == 2
    low = found["prevalence"]["separated"]["low"]
    assert bool(words(f"separated>{max(0.0, low - 0.01):.3f}")) == (low > 0.01)
    assert words("separated>0.99") == []
    assert words("unreadable") == ["unreadable: 1 file"]
    with pytest.raises(AuditError, match="found 'nonsense'"):
        gate.read(["nonsense"])
    for nothing in ("", " , "):
        with pytest.raises(AuditError, match="--fail-on: found nothing"):
            gate.read([nothing])


def test_the_gate_counts_only_files_that_were_judged(tmp_path: Path) -> None:
    """A silent file has no verdict, so it trips none: the gate and the summary count the same files."""
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "silent.wav", np.zeros(88_200), 44_100)
    score_source(str(tmp_path / "in"), tmp_path / "out", workers=1)
    found = summary.summarise(tmp_path / "out")
    assert found["prevalence"]["undecided"]["called"] == 0
    assert gate.check(found, gate.read(["undecided"]), tmp_path / "out") == []
    assert gate.check(found, gate.read(["silent"]), tmp_path / "out") == ["silent: 1 file"]


def test_the_gate_passes_no_share_of_nothing(tmp_path: Path) -> None:
    """Where no file was judged a limit on a share is not met, whatever the share."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.wav").write_bytes(b"RIFF")
    score_source(str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    found = summary.summarise(tmp_path / "out")
    for name in gate.SHARES:
        (hit,) = gate.check(found, gate.read([f"{name}>5%"]), tmp_path / "out")
        assert hit == f"{name}: no file was judged, so no share is known to be 5.0% or less"


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_report_opens_offline_in_a_browser(audited: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """One file, nothing fetched, no script error, no sideways scrolling, pictures drawn, the answer on top."""
    sync_api = pytest.importorskip("playwright.sync_api")
    out, found = audited
    alone = tmp_path / "report.html"
    shutil.copy(out / "report.html", alone)
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(offline=True, viewport={"width": 1100, "height": 900}).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: asked.append(str(error)))
        page.goto(alone.as_uri())
        assert page.inner_text("h1") == found["answer"]
        assert all(url.startswith(("file://", "data:")) for url in asked)
        assert page.evaluate(
            "[...document.images].length > 3 && [...document.images].every(i => i.naturalWidth == 480)"
        )
        text = page.inner_text("main")
        assert "What this audit cannot tell" in text
        assert "again.wav" in text
        for width in (1100, 380):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()


def test_a_name_cannot_inject_into_the_report(tmp_path: Path) -> None:
    """A file name with markup is shown as text."""
    name = "<img src=x onerror=alert(1)>.wav"
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / name, 3 * make.take(1, 2.0), 44_100)
    out = tmp_path / "out"
    score_source(str(tmp_path / "in"), out, workers=1, loader=LOADER)
    page = report.write(out, summary.summarise(out)).read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_drawn_rows_sum_up_with_the_models_own_rates(tmp_path: Path) -> None:
    """On rows drawn for the shipped model, the estimate is corrected by its evaluation and limits are stated."""
    scorer = provenance.load()
    rowsets.write(tmp_path / "drawn", 2_000, scorer.bundle.reference)
    found = summary.summarise(tmp_path / "drawn")
    share = found["prevalence"]["separated"]
    assert share["corrected"]
    assert share["low"] < share["value"] < share["high"]
    at_least = found["acceptance"]["at_least"]
    assert 0 < at_least < share["low"]
    (said,) = re.findall(r"; whatever separated them, at least ([\d.]+) %\)", found["answer"])
    assert 0 <= at_least - float(said) / 100 < (0.001 if at_least < 0.1 else 0.01), "rounded down"
    assert share["n_songs"] == 500
    assert found["claims"]["studio"]["alarms"]["expected"] < found["claims"]["studio"]["alarms"]["called"]
    assert any("evidence, not proof" in text for text in found["cannot_tell"])


def test_a_claim_in_words_that_are_not_understood_is_named(tmp_path: Path) -> None:
    """A vendor who writes 'studio recording' is told from one who claims nothing: on stderr and in the report."""
    make.files(tmp_path, ["a.wav", "b.wav"], loud={"a.wav"})
    (tmp_path / "m.csv").write_text("file,claimed_origin\na.wav,Studio Recording\nb.wav,studio\n")
    score_source(str(tmp_path / "m.csv"), tmp_path / "out", workers=1, loader=LOADER)
    found = summary.summarise(tmp_path / "out")
    (said,) = limits.of_claims(found)
    assert said.startswith("Of 1 file the claim of origin is not understood ('Studio Recording')")
    assert said in found["cannot_tell"]
    assert not items.is_understood("origin", "isolated")  # isolated vocals are as often extracted as recorded


def test_what_a_share_rests_on_is_said_beside_it(tmp_path: Path) -> None:
    """How much of what is called studio is none, that mixes and sparse windows err otherwise, and how to do it over."""
    rowsets.write(tmp_path, 512, provenance.load().bundle.reference, sample=256)
    part = min((tmp_path / "parts").glob("*.parquet"))
    rows = parquet.read_table(part)
    stems = pa.array(["mix", *rows["stem"].to_pylist()[1:]], pa.string())
    parquet.write_table(rows.set_column(rows.schema.get_field_index("stem"), "stem", stems), part)
    plan = tmp_path / "plan.jsonl"
    plan.write_text(plan.read_text().replace('"coverage": "full"', '"coverage": "sparse"', 1))
    found = summary.summarise(tmp_path)
    told = " ".join(found["cannot_tell"])
    evaluation = json.loads((tmp_path / "model-evaluation.json").read_text())
    missed, right = (evaluation["figures"]["unseen"][f"{of}_called_studio"] for of in ("separated", "studio"))
    share = found["prevalence"]["separated"]
    middle, most = (p * missed / (p * missed + (1 - p) * right) for p in (share["value"], share["high"]))
    n_studio = 256 - share["called"] - found["prevalence"]["undecided"]["called"]
    assert f"Of the {n_studio} files called studio here about {middle:.1%} are extractions" in told
    assert f"and {most:.1%} if the upper end" in told
    assert found["files"]["n_mixes"] == 1
    assert f"of true mixes {evaluation['figures']['sums']['mixes']['studio_called_separated']:.1%} were called" in told
    assert "one window of four was looked at" in told
    assert "Of a set that was picked by its verdicts" in told
    page = report.write(tmp_path, found).read_text()
    assert f"Called separated from p = {evaluation['thresholds']['separated']}" in page
    assert "<code>--sample 256</code>, <code>--seed 0</code>" in page
    assert found["begun"][:16].replace("T", " ") in page
    assert summary.summarise(tmp_path)["begun"] == found["begun"]


def test_wet_is_counted_where_it_is_stated(tmp_path: Path) -> None:
    """A separated stem that is most probably wet is none of the wet: nothing is stated of it; and why is said."""
    rowsets.write(tmp_path / "drawn", 2_000, provenance.load().bundle.reference)
    found = summary.summarise(tmp_path / "drawn")
    wet, n_separated = found["prevalence"]["wet"], found["prevalence"]["separated"]["called"]
    assert n_separated > 0
    assert (wet["called"], wet["unstated"], wet["n"]) == (2_000 - n_separated, n_separated, 2_000)
    assert (wet["corrected"], wet["value"]) == (False, round(1 - n_separated / 2_000, 5))
    text = " ".join(found["cannot_tell"])
    assert f"Of {n_separated:,} of 2,000 judged files no processing is stated" in text
    assert "share of wet stems is not corrected for errors" in text
    assert f"{found['rates']['wet']['false_alarms']['value']:.0%} of the dry and hybrid ones" in text
    assert "no processing is stated" in report.write(tmp_path / "drawn", found).read_text()


@pytest.mark.parametrize("sample", [None, 400])
def test_a_bound_is_on_files_that_can_be_judged(tmp_path: Path, sample: int | None) -> None:
    """What was opened and could not be read is neither scored nor of the set that the bound is on."""
    rowsets.write(tmp_path, 800, provenance.load().bundle.reference, unreadable=2, sample=sample)
    found = summary.summarise(tmp_path)
    bad = found["files"]["n_error"]
    assert bad > 0
    assert found["acceptance"]["n_scored"] == found["files"]["n_judged"] == (sample or 800) - bad
    assert found["acceptance"]["n_set"] == 800 - bad
    assert f"of the {800 - bad} files judged" in found["acceptance"]["bound"]
    assert found["answer"].startswith(f"Of {(sample or 800) - bad} files scored (of 800 listed), ")


def test_copies_are_counted_as_files_and_not_as_pairs(tmp_path: Path) -> None:
    """Four copies of a take are findings against three files, in the table, in the gate, and by weight."""
    wave = make.take(3)
    (tmp_path / "in").mkdir()
    for i in range(4):
        soundfile.write(tmp_path / "in" / f"{i}.wav", (0.4 - 0.05 * i) * wave, 44_100, subtype="FLOAT")
    out = tmp_path / "out"
    score_source(str(tmp_path / "in"), out, workers=1, loader=LOADER)
    found = summary.summarise(out)
    row = next(row for row in found["findings"]["by_kind"] if row["kind"] == "copy")
    assert (row["n"], row["n_files"]) == (3, 3)
    assert row["expected"] <= 3
    assert row["weight_s"] <= 3 * 5.0
    assert gate.check(found, gate.read(["copy"]), out) == ["copy: 3 files"]


def test_a_copy_is_no_second_piece_of_evidence(tmp_path: Path) -> None:
    """Songs that are copies of each other count as one in the intervals; a set of nothing but copies bounds nothing."""
    out = tmp_path / "drawn"
    rowsets.write(out, 512, provenance.load().bundle.reference, separated=0.0)
    before = summary.summarise(out)["acceptance"]
    parts = sorted((out / "parts").glob("*.parquet"))
    first = parquet.read_table(parts[0])
    for part in parts:
        rows = parquet.read_table(part)
        for name in ("landmarks", "landmark_frames"):
            marks = pa.array([first[name][0].as_py()] * len(rows), rows.schema.field(name).type)
            rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), marks)
        parquet.write_table(rows, part)
    found = summary.summarise(out)
    assert (found["prevalence"]["separated"]["n"], found["prevalence"]["separated"]["n_songs"]) == (512, 1)
    assert found["acceptance"]["n_effective"] == 1 < before["n_effective"]
    assert before["at_most"] < 0.05 < found["acceptance"]["at_most"]
    assert found["acceptance"]["bound"].startswith("All these are worth 1 independent of each other: too few")


def test_card_and_evaluation_lie_where_the_report_says(audited: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The model's card and evaluation are copied beside the report that names them; of another scorer none is named."""
    bundle = provenance.load().bundle
    rowsets.write(tmp_path, 64, bundle.reference)
    found = summary.summarise(tmp_path)
    page = report.write(tmp_path, found).read_text()
    assert found["model_files"] == ["model-card.md", "model-evaluation.json"]
    for name, copy in zip(("README.md", "evaluation.json"), found["model_files"], strict=True):
        assert f"<code>{copy}</code>" in page
        assert (tmp_path / copy).read_bytes() == (bundle.folder / name).read_bytes()
    assert audited[1]["model_files"] == []
    assert "model-card.md" not in (audited[0] / "report.html").read_text()


def test_an_audit_of_another_model_keeps_its_evaluation(tmp_path: Path) -> None:
    """Summed up without the model's name, shares are corrected by the evaluation that was copied beside them."""
    bundle = provenance.load().bundle
    mine = tmp_path / "mine"
    shutil.copytree(bundle.folder, mine)
    config = json.loads((mine / "config.json").read_text())
    (mine / "config.json").write_text(json.dumps(config | {"name": "mine"}))
    out = tmp_path / "out"
    rowsets.write(out, 128, provenance.load(mine).bundle.reference)
    first = summary.summarise(out, str(mine), checks.Effort(seconds=0))
    assert first["prevalence"]["separated"]["corrected"]
    again = summary.summarise(out, None, checks.Effort(seconds=0))
    assert all(again[name] == first[name] for name in ("prevalence", "rates", "acceptance", "cannot_tell"))
    (out / "model-evaluation.json").unlink()
    bare = summary.summarise(out, None, checks.Effort(seconds=0))
    assert bare["cannot_tell"][0].startswith("No evaluation of the model is at hand")


def test_a_claim_of_dry_is_refuted_no_surer_than_the_model_knows(tmp_path: Path) -> None:
    """Where half of dry takes were stated wet in the evaluation, one that is called wet is wet two times in three."""
    rowsets.write(tmp_path, 128, provenance.load().bundle.reference)
    found = summary.summarise(tmp_path, effort=checks.Effort(seconds=0))
    wet = found["rates"]["wet"]
    surest = wet["sensitivity"]["value"] / (wet["sensitivity"]["value"] + wet["dry_stated_wet"])
    kinds = {row["kind"]: row for row in found["findings"]["by_kind"]}
    row = kinds["wet_sold_as_dry"]
    assert row["expected"] / row["n"] == pytest.approx(min(0.9, surest), abs=1e-5)
    seen = [row["what"] for row in found["findings"]["first"] if row["kind"] == "separated_sold_as_studio"]
    assert not any("p_separated 1.0" in what for what in seen)


@pytest.mark.parametrize(("share", "sure"), [(None, 0.95), (0.9, 0.95), (0.5, 0.95), (0.1, 0.6786)])
def test_no_file_is_surer_for_the_company_it_keeps(share: float | None, sure: float) -> None:
    """A share estimated from the same calls lowers a finding where few are separated, and never raises one."""
    db = duckdb.connect()
    db.execute("""create table judged as select 'a.wav' as path, 'studio' as claimed_origin, 'separated' as origin,
        0.95 as p_separated, 5.0 as duration_s, null as sdr_db, []::varchar[] as reasons, null as claimed_processing,
        'undecided' as processing, null::double as p_wet, null::double as p_hybrid, null::double as p_dry,
        0 as clipped, 'ok' as status, 'ok' as verdict_status, null as error_found""")
    db.execute("create view stems as select * from judged")
    findings.begin(db, None if share is None else Estimate(share, max(0.0, share - 0.1), share + 0.1))
    assert db.execute("select sure from found").fetchall() == [(pytest.approx(sure, abs=1e-4),)]
    findings.begin(db, Estimate(0.1, 0.0, 0.9))
    assert db.execute("select sure from found").fetchall() == [(pytest.approx(0.95),)], "of a share that is not told"


def test_what_contradicts_no_share_is_no_estimate(tmp_path: Path) -> None:
    """Of too few files the first sentence says how many were called, not a share with an interval of everything."""
    rowsets.write(tmp_path, 256, provenance.load().bundle.reference)
    found = summary.summarise(tmp_path, effort=checks.Effort(seconds=0))
    share = found["prevalence"]["separated"]
    assert "an estimated" in answer.answer(found)
    few = {"value": 0.8, "low": 0.0, "high": 1.0, "called": 1, "n": 2}
    found["prevalence"]["separated"] = share | few
    found["claims"]["studio"]["separated"] |= few | {"called": 2}
    said = answer.answer(found)
    assert "80 %" not in said
    assert ", 1 was called separated: too few to say what share was extracted from mixes, not recorded (95 %: " in said
    assert "; of the 2 sold as studio recordings, 2 called so (0.0 % to 100 %)" in said
    page = report.write(tmp_path, found).read_text()
    assert page.count(">not told <tspan") == 1
    assert page.count('r="5.5"') == page.count("<tspan") - 1
    found["prevalence"]["separated"] |= {"low": 0.22}
    assert "an estimated 80 %" in answer.answer(found)


def test_what_is_looked_at_shows_cues_of_both_sides(tmp_path: Path) -> None:
    """Those that lean to a recording stand beside those that lean to extraction, and all are counted."""
    words = [
        "usual in separated stems, rare in studio ones", "more usual in separated stems than in studio ones",
        "usual in separated stems, rare in studio ones", "usual in studio stems, rare in separated ones",
        "rare in both", "usual in both",
    ]  # fmt: skip
    cues = [{"cue": f"c{k}", "value": 1.0, "suggests": f"{w}; so"} for k, w in enumerate(words)]
    assert [cue["cue"] for cue in gallery._telling(cues)] == ["c0", "c2", "c3", "c4"]
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", np.clip(9 * make.take(1, 6.0), -1, 1), 44_100)
    out = tmp_path / "out"
    score_source(str(tmp_path / "in"), out, workers=1)
    found = summary.summarise(out)
    with store.connect(out) as db:
        db.execute("create table findings as select path, 'separated' as kind, 0.9 as sure, 5.0 as cost_s, "
                   "null as other, 'made for the test' as what, 4.5 as weight_s from stems")  # fmt: skip
        (shown,) = gallery.collect(db, 3)
        evidence = shown["stem"]["evidence"]
    leans = [conclude.leaning(cue["suggests"]) for cue in evidence]
    assert shown["leans"] == {kind: leans.count(kind) for kind in set(leans)}
    assert sum(shown["leans"].values()) == len(evidence) > 10
    p = shown["stem"]["p_separated"]
    assert shown["alone"] is None, "the windows alone gave it"
    assert gallery._alone(shown["stem"] | {"p_separated": p + 0.02}) == pytest.approx(p, abs=2e-3)
    assert found["findings"]["total"], "it clips"
    said = f"{shown['leans']['separated']} cues lean to separated, {shown['leans']['studio']} to studio"
    assert said in report.write(out, found).read_text()


def test_what_is_nearly_certain_is_not_said_to_be_certain(tmp_path: Path) -> None:
    """A probability of 0.9997 is printed as over 0.999, not as 1."""
    db = duckdb.connect()
    db.execute("""create table judged as select 'a.wav' as path, null as claimed_origin, 'separated' as origin,
        0.9997 as p_separated, 5.0 as duration_s, null as sdr_db, []::varchar[] as reasons, null as claimed_processing,
        'undecided' as processing, null::double as p_wet, null::double as p_hybrid, null::double as p_dry,
        0 as clipped, 'ok' as status, 'ok' as verdict_status, null as error_found""")
    db.execute("create view stems as select * from judged")
    findings.begin(db, None)
    assert db.execute("select what from found").fetchall() == [("p_separated over 0.999",)]


def test_clipping_is_held_against_a_file_where_its_verdict_says_so(tmp_path: Path) -> None:
    """Samples at full scale alone are none; what a verdict says of clipping and of parts is told as it was found."""
    db = duckdb.connect()
    rows = {"loud.wav": [], "clipped.wav": ["clipped"], "spliced.wav": ["parts_disagree"]}
    for path, reasons in rows.items():
        into = "insert into judged" if path != "loud.wav" else "create table judged as"
        db.execute(f"""{into} select '{path}' as path, null as claimed_origin, 'undecided' as origin,
            0.5 as p_separated, 5.0 as duration_s, null as sdr_db, {reasons}::varchar[] as reasons,
            null as claimed_processing, 'undecided' as processing, null::double as p_wet, null::double as p_hybrid,
            null::double as p_dry, 826 as clipped, 'ok' as status, 'ok' as verdict_status, null as error_found""")
    db.execute("create view stems as select * from judged")
    findings.begin(db, None)
    assert db.execute("select path, kind, what from found order by path").fetchall() == [
        ("clipped.wav", "clipped", "826 samples flat at full scale"),
        ("spliced.wav", "parts_disagree", "2 sounding windows in a row on either side of the lines"),
    ]


def test_what_was_read_and_not_judged_is_called_nothing(tmp_path: Path) -> None:
    """A silent file is none of those found undecided: each row of the claims has it as not judged."""
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "silent.wav", np.zeros(88_200), 44_100)
    (tmp_path / "m.csv").write_text("path,claimed_origin,wetness\nin/silent.wav,studio,dry\n")
    score_source(str(tmp_path / "m.csv"), tmp_path / "out", workers=1)
    found = summary.summarise(tmp_path / "out")
    for name in ("origin", "processing"):
        (row,) = found["claims"][name]["rows"]
        assert (row["undecided"], row["refused"], row["unread"], row["n"]) == (0, 1, 0, 1)
    assert ">not judged</th>" in report.write(tmp_path / "out", found).read_text()


def test_an_extraction_is_no_dry_version(tmp_path: Path) -> None:
    """As ``pairs`` does, an audit says nothing on dry and wet of two files one of which is called separated."""
    dry = 0.5 * make.take(70, channels=1)
    for name, wave in (("dry.wav", dry), ("wet.wav", _reverb(dry))):
        soundfile.write(tmp_path / name, wave, 44_100)
    told = {}
    for origin in ("studio", "separated"):
        sides = [
            {"path": str(tmp_path / name), "kind": "file", "source": str(tmp_path / name), "source_start": 0,
             "source_length": 0, "n_bytes": None, "mix": False, "song": None, "stem": None, "origin": of}
            for name, of in (("dry.wav", origin), ("wet.wav", "undecided"))
        ]  # fmt: skip
        pair = likeness.compare_rows(*sides)
        assert pair is not None
        told[origin] = (pair.same_performance, pair.dry, likeness.relation(likeness.Candidate(*sides, 9), pair))
    assert told["studio"] == ("yes", "first", "processed_version")
    assert told["separated"] == ("yes", "undecided", "same_take")


def test_a_sharp_in_a_name_makes_no_folder(tmp_path: Path) -> None:
    """``C#/`` of a tar parts a container from a member; ``F#m 1.wav`` of a folder is one file of it."""
    make.files(tmp_path / "in", [f"{key}#m {i}.wav" for key in "ABCDEF" for i in range(3)])
    score_source(str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)
    assert summary.summarise(tmp_path / "out")["clustered_by"] == "file"


def test_more_time_for_checks_is_more_to_check() -> None:
    """Ten minutes look at ten times as many songs, pairs and candidates as one; a second at no fewer, if it can."""
    usual, more = checks.Effort(), checks.Effort.lasting(600)
    assert (more.same_takes, more.songs, more.pairs) == (10 * usual.same_takes, 10 * usual.songs, 10 * usual.pairs)
    assert checks.Effort.lasting(1) == checks.Effort(seconds=1)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_an_export_that_fails_leaves_no_half_of_a_manifest(
    audited: tuple[Path, dict[str, Any]], tmp_path: Path, ending: str
) -> None:
    """On a full disk what was exported before stays as it was, and nothing else is left."""
    file = tmp_path / f"all.{ending}"
    file.write_text("before")
    code = (
        "import resource, sys\nfrom pathlib import Path\nimport signal\nfrom provenance.audit import export\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "export.export_all(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    line = [sys.executable, "-c", code, str(audited[0]), str(file)]
    assert b"OSError" in subprocess.run(line, capture_output=True, check=False).stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(file.name, "before")]


def test_a_query_prints_names_as_they_are(tmp_path: Path) -> None:
    """Brackets are no markup, control characters steer no terminal, and what is no number is null in JSON."""
    rowsets.write(tmp_path, 64, provenance.load().bundle.reference)
    sql = "select '[/b].wav' as name, 'x' || chr(27) || '[31m' as red, 'nan'::double as n"
    done = cli("audit", "query", str(tmp_path), sql, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "[/b].wav" in done.stdout
    assert "\x1b" not in done.stdout
    done = cli("audit", "query", str(tmp_path), sql, "--format", "jsonl", cwd=tmp_path)
    assert json.loads(done.stdout, parse_constant=pytest.fail)["n"] is None
    for nothing in ("", "/* no query */"):
        done = cli("audit", "query", str(tmp_path), nothing, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"found no query in {nothing!r}; needed: such as 'select * from stems'\n"


def test_a_disk_that_is_full_for_duckdb_is_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What DuckDB cannot write ends with 2 and a line, not with a traceback and 1, which is a finding."""
    rowsets.write(tmp_path, 64, provenance.load().bundle.reference)

    def fail(*_: object) -> None:
        raise duckdb.IOException("IO Error: Could not write to file: No space left on device")

    monkeypatch.setattr(findings, "finish", fail)
    done = CliRunner().invoke(audit_cli.audit_app, ["report", str(tmp_path), "--check", "1s"])
    assert done.exit_code == 2
    assert "No space left on device; needed: a folder that can be written" in done.stderr


def test_a_run_without_a_terminal_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job of days that writes to a log has a line a minute there; a short one has none."""
    for every_s, lines in ((60.0, 0), (0.0, 2)):
        monkeypatch.setattr(progress, "EVERY_S", every_s)
        with progress.show([]) as told:
            told(Progress(1_000_000, 64_000))
            told(Progress(1_000_000, 128_000))
        assert capsys.readouterr().err.splitlines()[-1:] == ["scored 128,000 of 1,000,000 files"] * (lines > 0)


def test_a_file_is_given_some_time(tmp_path: Path) -> None:
    """No time at all is a wrong call, not a shard that fails."""
    done = CliRunner().invoke(
        audit_cli.audit_app, ["run", str(tmp_path), "--out", str(tmp_path / "o"), "--file-timeout", "0"]
    )
    assert done.exit_code == 2
    assert "more than 0 s" in done.stderr


def cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    code = "import sys; from provenance.cli import main; sys.argv[0] = 'stem-provenance'; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd)


def test_the_command_from_folder_to_gate(tmp_path: Path, root: Path) -> None:
    """With the shipped model: exit 0, then 1 for a finding, 2 for an unreadable file or a wrong call, nothing twice."""
    for i in range(3):
        (tmp_path / "set").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "set" / f"{i}.wav", make.take(i, 4.0), 44_100)
    call = ("audit", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--workers", "1")
    first = cli(*call, "--format", "json", cwd=root)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert json.loads(first.stdout)["files"]["n_rows"] == 3
    origin = store.query(tmp_path / "out", "select origin from stems limit 1")[1][0][0]
    second = cli(*call, "--fail-on", origin, cwd=root)
    assert second.returncode == 1
    assert f"--fail-on: {origin}" in second.stderr
    (tmp_path / "set" / "empty.wav").touch()
    assert cli(*call, cwd=root).returncode == 2
    assert cli(*call, "--allow-unreadable", cwd=root).returncode == 0
    queried = cli(
        "audit", "query", str(tmp_path / "out"), "select count(*) as n from stems", "--format", "csv", cwd=root
    )
    assert queried.stdout.split() == ["n", "4"]
    told = cli("audit", "export", str(tmp_path / "out"), str(tmp_path / "all.csv"), "--all", cwd=root)
    assert told.stdout == f"{tmp_path}/all.csv: 4 files\n"
    scored = [*csv.DictReader(cli("score", str(tmp_path / "set"), "--format", "csv", cwd=root).stdout.splitlines())]
    exported = read_table(tmp_path / "all.csv")
    assert [{name: row[name] for name in scored[0]} for row in exported] == scored, "score has the audit's columns"
    for name in ("lost.WMA", "notes.txt", ".hidden.txt"):
        (tmp_path / "set" / name).touch()
    (tmp_path / "set" / "empty.wav").unlink()
    told = cli("audit", str(tmp_path / "set"), "--out", str(tmp_path / "o1"), "--workers", "1", cwd=root)
    assert told.stderr == f"{tmp_path}/set: {listing.describe({'.wma': 1, '.txt': 1})}\n"
    assert ".txt 1, .wma 1" in (tmp_path / "o1" / "report.html").read_text()
    assert any(
        ".txt 1, .wma 1" in text for text in json.loads((tmp_path / "o1" / "summary.json").read_text())["cannot_tell"]
    )
    reader, writer = os.pipe()
    os.close(reader)
    code = "from provenance.cli import main; main()"
    for form in ("table", "json"):
        line = [sys.executable, "-c", code, "audit", str(tmp_path / "set"), "--out", str(tmp_path / "o1")]
        left = subprocess.run([*line, "--format", form], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=root)
        assert (left.returncode, left.stderr) == (141, ""), "whoever reads the sum may leave early"
    os.close(writer)
    wrong = cli("audit", str(tmp_path / "nothing"), "--out", str(tmp_path / "o2"), cwd=root)
    assert wrong.returncode == 2
    assert "no such file or folder" in wrong.stderr
    assert "Traceback" not in wrong.stderr
