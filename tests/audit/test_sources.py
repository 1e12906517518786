"""Sources: each names the same files in one order, with the vendor's claims, and the worker reads the same audio."""

from __future__ import annotations

import contextlib
import csv
import datetime
import decimal
import hashlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import time
import tracemalloc
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import soundfile
from pyarrow import fs, parquet

from provenance import audio
from provenance.audit import containers, export, sidecars, stores, summary, tars
from provenance.audit.errors import AuditError
from provenance.audit.items import Item, Shard
from provenance.audit.run import score_source
from provenance.audit.shard import Options, score_shard
from provenance.audit.sources import list_items
from provenance.errors import UnreadableAudio
from tests.audit import make
from tests.audit.drive import LOADER
from tests.audit.test_faults import rows

CLAIMS = [
    {"file": "a/one.wav", "origin": "Recorded", "wetness": "dry", "song": "S", "take_id": "7", "bpm": "120"},
    {"file": "b/two.wav", "origin": "extracted", "wetness": "produced", "song": "S", "take_id": "7", "bpm": ""},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two audio files, a text file and a hidden folder."""
    base = tmp_path / "vendor"
    make.files(base, ["a/one.wav", "b/two.wav", ".git/no.wav"])
    (base / "notes.txt").write_text("no audio")
    return base


def samples_of(item: Item) -> bytes:
    """Return what the worker would decode."""
    return audio.read(containers.fetch(item))[1].tobytes()


def check_claims(items: list[Item]) -> None:
    """Assert that both rows carry what :data:`CLAIMS` says, in the words the audit uses."""
    first, second = (item.claims for item in items)
    assert (first.origin, first.processing, first.song, first.pair) == ("studio", "dry", "S", "7")
    assert (second.origin, second.processing) == ("separated", "wet")
    assert json.loads(first.extra or "{}").get("bpm") == "120"


def test_folder_and_glob_name_audio_only(folder: Path) -> None:
    """A folder yields its audio in order, without hidden folders; a glob yields the same files."""
    found = list(list_items(str(folder)))
    assert [Path(item.path).name for item in found] == ["one.wav", "two.wav"]
    assert [item.path for item in list_items(f"{folder}/*/*.wav")] == [item.path for item in found]
    assert all(item.n_bytes == os.path.getsize(item.where) for item in found)


def test_links_that_lead_back_are_passed_over(folder: Path) -> None:
    """A link to a folder that it lies in, to another that leads back, or to itself, ends no listing."""
    names = [item.path for item in list_items(str(folder))]
    (folder / "a" / "up").symlink_to("..")
    (folder / "a" / "over").symlink_to("../b")
    (folder / "itself").symlink_to("itself")
    found = [item.path for item in list_items(str(folder))]
    assert found == [names[0], str(folder / "a" / "over" / "two.wav"), names[1]]
    (folder / "b" / "back").symlink_to("../a")
    assert set(found) <= {item.path for item in list_items(str(folder))}


def test_what_is_passed_over_is_counted_by_ending(folder: Path, tmp_path: Path) -> None:
    """Of a folder, a glob and a tar, files whose ending is none of audio are counted, hidden ones left out."""
    for name in ("a/lost.wma", "b/lost.WMA", "b/LICENCE", "b/what.is this", ".DS_Store", "a/._one.wma"):
        (folder / name).touch()
    passed: Counter[str] = Counter()
    assert len(list(list_items(str(folder), passed=passed))) == 2
    assert passed == {".wma": 2, ".txt": 1, "none": 1, "other": 1}
    file = tmp_path / "packed.tar"
    with tarfile.open(file, "w") as tar:
        tar.add(folder / "a", "a")
    for source in (f"{folder}/a/*", str(file)):
        passed = Counter()
        assert len(list(list_items(source, passed=passed))) == 1
        assert passed == {".wma": 1}


def test_a_source_without_audio_says_what_it_holds(tmp_path: Path) -> None:
    """Where everything is passed over, the error names the endings that were found."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "song.wma").touch()
    with pytest.raises(AuditError, match=r"found no audio \(1 file passed over, .*: \.wma 1\); needed: at least one"):
        score_source(str(tmp_path / "in"), tmp_path / "out", workers=1, loader=LOADER)


def test_what_is_no_source_says_what_would_be_one(tmp_path: Path) -> None:
    """A JSON array, a spreadsheet and a packed archive are no single audio file that cannot be read."""
    for name, needed in (("m.json", r"\.jsonl \(an object a line\)"), ("M.XLSX", r"\.parquet"),
                         ("s.tar.gz", "unpacked"), ("s.zip", r"an uncompressed \.tar")):  # fmt: skip
        (tmp_path / name).write_bytes(b"[]")
        with pytest.raises(AuditError, match=f"found the ending .*; needed: .*{needed}"):
            list(list_items(str(tmp_path / name)))
    (tmp_path / "take.dat").write_bytes(b"RIFF")
    assert len(list(list_items(str(tmp_path / "take.dat")))) == 1, "audio may be called anything"


def test_hidden_files_are_no_part_of_a_delivery(folder: Path, tmp_path: Path) -> None:
    """What macOS leaves beside each file, ``._a.wav``, is none of a folder's or a tar's, and parts no sample."""
    for name in ("a/._one.wav", "__MACOSX/._two.wav", ".hidden.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"Mac OS X")
    assert [Path(item.path).name for item in list_items(str(folder))] == ["one.wav", "two.wav"]
    file = tmp_path / "mac.tar"
    claims = json.dumps({"song": "S"}).encode()
    with tarfile.open(file, "w") as tar:
        for name, data in (("./._one.wav", b"Mac"), ("./one.wav", (folder / "a" / "one.wav").read_bytes()),
                           ("./._one.json", b"Mac"), ("./one.json", claims)):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (item,) = list_items(str(file))
    assert (item.path, item.claims.song) == (f"{file}#./one.wav", "S")


def test_an_export_of_containers_is_a_manifest_too(folder: Path, tmp_path: Path) -> None:
    """Members of tars and cells of datasets are found by the name an export gives them, with what is claimed there."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    with tarfile.open(tmp_path / "in" / "s#1.tar", "w") as tar:
        for name in ("a/one.wav", "b/two.wav"):
            tar.add(folder / name, f"take #{Path(name).name}")
    cell = {"bytes": (folder / "a" / "one.wav").read_bytes(), "path": "one.wav"}
    parquet.write_table(pa.table({"audio": [cell], "song": ["S"]}), tmp_path / "in" / "deep" / "p.parquet")
    with contextlib.chdir(tmp_path):
        score_source("in", Path("out"), workers=1, loader=LOADER)
        summary.summarise(Path("out"))
        assert export.export_all(Path("out"), Path("in/deep/all.csv")) == 3
        for _ in range(2):
            score_source("in/deep/all.csv", Path("again"), workers=1, loader=LOADER)
        found = rows(Path("again"))
        assert [(row["kind"], row["status"], row["song"]) for row in found] == [
            ("cell", "ok", "S"), ("member", "ok", None), ("member", "ok", None),
        ]  # fmt: skip
        assert sorted(row["rms_db"] for row in found) == sorted(row["rms_db"] for row in rows(Path("out")))
        summary.summarise(Path("again"))
        assert export.export_all(Path("again"), Path("once.csv")) == 3
        assert all(Path(item.where).is_file() and item.kind != "file" for item in list_items("once.csv"))
    (tmp_path / "none.csv").write_text("path\nin/s#1.tar#nothing.wav\n")
    assert next(iter(list_items(str(tmp_path / "none.csv")))).kind == "file", "what is not in it is not found"


def test_a_row_with_a_cell_too_many_is_refused(tmp_path: Path) -> None:
    """An unquoted comma in a title would shift the claims behind it into other columns."""
    (tmp_path / "m.csv").write_text("path,song,claimed_origin\nx.wav,One,studio\na.wav,Hello, World,studio\n")
    with pytest.raises(AuditError, match="row 2 has more cells than the header; needed: quotes"):
        list(list_items(str(tmp_path / "m.csv")))


def test_a_name_twice_in_a_header_is_refused(tmp_path: Path) -> None:
    """Of two columns of one name the last would speak; what a spreadsheet leaves without a name is none."""
    (tmp_path / "m.csv").write_text("path,claimed_origin,claimed_origin\nx.wav,studio,separated\n")
    with pytest.raises(AuditError, match="found the column 'claimed_origin' twice; needed: each name once"):
        list(list_items(str(tmp_path / "m.csv")))
    (tmp_path / "m.csv").write_text("path,claimed_origin,,\nx.wav,studio,,\n")
    assert next(iter(list_items(str(tmp_path / "m.csv")))).claims.origin == "studio"


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "tar", "arrow"])
def test_a_key_twice_is_refused_by_name(ending: str, folder: Path, tmp_path: Path) -> None:
    """A claim of studio may hide one of separated behind it, in a line, a table, a dataset or a sidecar."""
    file = folder / f"m.{ending}"
    said = '{"path": "a/one.wav", "origin": "separated", "extra": {"origin": 1}, "origin": "studio"}'
    columns = [pa.array([text]) for text in ("a/one.wav", "separated", "studio")]
    if ending == "jsonl":
        file.write_text('{"path": "b/two.wav"}\n\n' + said)
        needed = "m.jsonl: line 3 holds the key 'origin' twice; needed: an object a line, each key once"
    elif ending == "parquet":
        parquet.write_table(pa.Table.from_arrays(columns, ["path", "origin", "origin"]), file)
        needed = "m.parquet: found the column 'origin' twice; needed: each name once"
    elif ending == "tar":
        with tarfile.open(file, "w") as tar:
            add(tar, "one.wav", (folder / "a/one.wav").read_bytes())
            add(tar, "one.json", said.encode())
        score_source(str(file), tmp_path / "out", workers=1, loader=LOADER)
        told = [(r["error_code"], r["error_found"], r["error_needed"], r["sha256"]) for r in rows(tmp_path / "out")]
        assert ("unusable_claims", "the key 'origin' twice", "an object of JSON, each key once",
                hashlib.sha256(said.encode()).hexdigest()) in told  # fmt: skip
        assert [item.claims.origin for item in list_items(str(file))] == [None, None]
        return
    else:
        columns[0] = pa.array([{"bytes": (folder / "a/one.wav").read_bytes(), "path": "one.wav"}])
        table = pa.Table.from_arrays(columns, ["audio", "origin", "origin"])
        with pa.ipc.new_stream(str(file), table.schema) as writer:
            writer.write_table(table)
        needed = "m.arrow: the column 'origin' twice; needed: each name once"
        assert next(i for i in list_items(str(folder)) if "arrow" in i.path).path == str(file), "a row, not the end"
    with pytest.raises(AuditError, match=re.escape(needed)):
        list(list_items(str(file)))


def test_columns_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    """Case does not matter, so of these too one would speak unseen; ``--column`` says which, other columns may."""
    (tmp_path / "m.csv").write_text("path,origin,Origin,note,Note\na.wav,studio,separated,x,y\n")
    with pytest.raises(AuditError, match="found the columns 'origin' and 'Origin'; needed: one of them, or --column"):
        list(list_items(str(tmp_path / "m.csv")))
    (item,) = list_items(str(tmp_path / "m.csv"), {"origin": "Origin"})
    assert item.claims.origin == "separated"
    with pytest.raises(AuditError, match="--column: found the field 'orign'; needed: one of path, origin"):
        list(list_items(str(tmp_path), {"orign": "Origin"}))


def test_a_line_claims_what_it_says_whatever_the_lines_before_it_say(tmp_path: Path) -> None:
    """Of JSON Lines the first may hold fewer keys than the others, or other ones."""
    lines = [{"path": "a.wav"}, {"path": "b.wav", "origin": "separated"}, {"file": "c.wav", "song": "S"},
             {"path": "d.wav", "origin": "studio", "claimed_origin": "separated"}]  # fmt: skip
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = list(list_items(str(tmp_path / "m.jsonl")))
    assert [item.claims.origin for item in found] == [None, "separated", None, "separated"]
    assert [item.claims.song for item in found] == [None, None, "S", None]
    assert found[3].claims.extra == '{"origin": "studio"}'


def test_json_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    """As other text that is no JSON, in one line."""
    (tmp_path / "m.jsonl").write_text('{"path": ' + "[" * 200_000)
    with pytest.raises(AuditError, match=r"line 1 holds no JSON \(.*; needed: an object a line"):
        list(list_items(str(tmp_path / "m.jsonl")))


def test_a_manifest_that_contradicts_a_sidecar_is_refused(folder: Path, tmp_path: Path) -> None:
    """As two rows of one file are; what only one of them says is no contradiction, nor is another case."""
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        add(tar, "a.wav", (folder / "a/one.wav").read_bytes())
        add(tar, "a.json", b'{"origin": "separated", "song": "One"}')
    (tmp_path / "m.csv").write_text("path,origin,song,stem\nt.tar#a.wav,,ONE,bass\n")
    assert next(iter(list_items(str(tmp_path / "m.csv")))).claims.stem == "bass"
    (tmp_path / "m.csv").write_text("path,origin\nt.tar#a.wav,studio\n")
    with pytest.raises(AuditError, match=r"claims of t\.tar#a\.wav that differ .* \(origin: studio, separated\)"):
        list(list_items(str(tmp_path / "m.csv")))


def test_a_manifest_of_a_spreadsheet_on_windows_is_read(folder: Path) -> None:
    """Backslashes part folders where there is such a file, and rows of nothing but separators are no rows."""
    (folder / "m.csv").write_text("path;song\r\na\\one.wav;S\r\nb\\none.wav;S\r\n;\r\n;\r\n", newline="")
    found = list(list_items(str(folder / "m.csv")))
    assert [(item.path, item.n_bytes > 0) for item in found] == [("a\\one.wav", True), ("b\\none.wav", False)]
    assert samples_of(found[0])
    (folder / "b\\two.wav").write_bytes((folder / "a" / "one.wav").read_bytes())
    (folder / "m.csv").write_text("path\nb\\two.wav\n")
    assert next(iter(list_items(str(folder / "m.csv")))).where == str(folder / "b\\two.wav"), "a name that is one"
    (folder / "m.csv").write_text("path;song\n;S\n")
    with pytest.raises(AuditError, match="row 1 has no path"):
        list(list_items(str(folder / "m.csv")))


def test_a_name_that_is_no_utf8_is_found_again(folder: Path, tmp_path: Path) -> None:
    """Checks over several files, and an export that is audited, read a file whose name came from another code page."""
    odd = os.fsencode(folder / "a") + b"/caf\xe9.wav"
    soundfile.write(folder / "a" / "copy.wav", make.take(3), 44_100)
    Path(os.fsdecode(odd)).write_bytes((folder / "a" / "copy.wav").read_bytes())
    out = tmp_path / "out"
    score_source(str(folder / "a"), out, workers=1, loader=LOADER)
    assert summary.summarise(out)["checks"]["same_takes"]["relations"] == {"copy": 1}
    export.export_all(out, folder / "all.csv")
    score_source(str(folder / "all.csv"), tmp_path / "again", workers=1, loader=LOADER)
    assert {row["status"] for row in rows(tmp_path / "again")} == {"ok"}
    assert any("udce9" in row["source"] for row in rows(tmp_path / "again"))


def test_text_that_no_file_can_hold_costs_one_row(tmp_path: Path) -> None:
    """A zero in a name and half a surrogate pair are spelt out or not found; the rest is scored."""
    make.files(tmp_path, ["a.wav", "b.wav"])
    lines = [{"path": "a.wav", "song": "\ud800"}, {"path": "b.wav"}, {"path": "c\0.wav"}, {"path": "d\ud800.wav"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    score_source(str(tmp_path / "m.jsonl"), tmp_path / "out", workers=1, loader=LOADER)
    found = rows(tmp_path / "out")
    assert [row["status"] for row in found] == ["ok", "ok", "error", "error"]
    assert found[0]["song"] == "\\ud800"


def test_other_columns_are_kept_whatever_their_type(tmp_path: Path) -> None:
    """Dates, decimals and lists of a Parquet manifest come out again as JSON; what is no number does not."""
    columns = {"path": ["a.wav"], "day": [datetime.date(2024, 1, 2)], "price": [decimal.Decimal("1.50")],
               "tags": [["x", "y"]], "bpm": [float("nan")], "take": [3], "blob": [b"\0"]}  # fmt: skip
    parquet.write_table(pa.table(columns), tmp_path / "m.parquet")
    (item,) = list_items(str(tmp_path / "m.parquet"))
    assert json.loads(item.claims.extra or "") == {"day": "2024-01-02", "price": "1.50", "tags": ["x", "y"], "take": 3}


def test_a_relative_source_is_found_by_a_process_that_stands_elsewhere(folder: Path, tmp_path: Path) -> None:
    """Nodes of a cluster work where it was started: files and members are seen from where the audit was called."""
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.add(folder / "b" / "two.wav", "two.wav")
    (tmp_path / "elsewhere").mkdir()
    with contextlib.chdir(tmp_path):
        shard = Shard(0, (*list_items("vendor/a"), *list_items("b.tar")))
    options = Options(str(tmp_path / "out"), loader=LOADER, base=str(tmp_path))
    with contextlib.chdir(tmp_path / "elsewhere"):
        for name in ("parts", "journal"):
            (tmp_path / "out" / name).mkdir(parents=True)
        assert score_shard(shard, options).n_error == 0
    assert {row["source"] for row in rows(tmp_path / "out")} == {"vendor/a/one.wav", "b.tar"}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_manifests_carry_claims(folder: Path, ending: str) -> None:
    """A manifest in any of three formats gives the same claims, and names that start at its folder."""
    file = folder / f"manifest.{ending}"
    if ending == "csv":
        with file.open("w", newline="") as handle:
            table = csv.DictWriter(handle, list(CLAIMS[0]))
            table.writeheader()
            table.writerows(CLAIMS)
    elif ending == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in CLAIMS))
    else:
        parquet.write_table(pa.Table.from_pylist(CLAIMS), file)
    found = list(list_items(str(file)))
    assert [item.path for item in found] == ["a/one.wav", "b/two.wav"]
    check_claims(found)
    assert samples_of(found[0]) == samples_of(Item("x", "file", str(folder / "a/one.wav")))


def test_a_manifest_names_what_is_wrong_with_it(folder: Path) -> None:
    """A manifest without a column of paths, or with an unknown --column, is refused by name."""
    file = folder / "bad.csv"
    file.write_text("name,origin\na/one.wav,studio\n")
    with pytest.raises(AuditError, match=r"bad\.csv: found the columns name, origin; needed: one of paths"):
        list(list_items(str(file)))
    assert len(list(list_items(str(file), {"path": "name"}))) == 1
    with pytest.raises(AuditError, match="found no column 'nope'"):
        list(list_items(str(file), {"path": "nope"}))
    with pytest.raises(AuditError, match="no such file or folder"):
        list(list_items(str(folder / "missing")))


def test_tar_members_are_read_in_place(folder: Path) -> None:
    """A WebDataset tar yields its audio members with the claims of their sidecars, and the bytes are theirs."""
    file = folder / "shard-000.tar"
    with tarfile.open(file, "w") as tar:
        for row in CLAIMS:
            name = Path(row["file"]).stem
            tar.add(folder / row["file"], f"{name}.wav")
            body = json.dumps(row | {"file": None}).encode()
            info = tarfile.TarInfo(f"{name}.json")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    found = list(list_items(str(file)))
    assert [item.path for item in found] == [f"{file}#one.wav", f"{file}#two.wav"]
    check_claims(found)
    assert samples_of(found[1]) == samples_of(Item("x", "file", str(folder / "b/two.wav")))
    (folder / "packed.tar").write_bytes(b"\x1f\x8b" + bytes(1000))
    with pytest.raises(AuditError, match="needed: an uncompressed tar"):
        list(list_items(str(folder / "packed.tar")))


def test_a_sidecar_that_is_no_object_costs_its_sample_the_claims_alone(folder: Path, tmp_path: Path) -> None:
    """All audio of the tar is scored; the sidecar has a row that names it."""
    file = folder / "shard.tar"
    with tarfile.open(file, "w") as tar:
        for name, body in (("a", b'{"stem": "bass"}'), ("b", b'["vocals"]'), ("c", b"{"), ("d", b'{"stem": "drums"}')):
            tar.add(folder / "a/one.wav", f"{name}.wav")
            info = tarfile.TarInfo(f"{name}.json")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    score_source(str(file), tmp_path / "out", workers=1, loader=LOADER)
    found = {Path(row["path"]).name.split("#")[1]: row for row in rows(tmp_path / "out")}
    assert {name: row["status"] for name, row in found.items() if name.endswith(".wav")} == dict.fromkeys(
        ("a.wav", "b.wav", "c.wav", "d.wav"), "ok"
    )
    assert [found[f"{name}.wav"]["stem"] for name in "abcd"] == ["bass", None, None, "drums"]
    assert {name: row["error_code"] for name, row in found.items() if row["status"] == "error"} == dict.fromkeys(
        ("b.json", "c.json"), "unusable_claims"
    )
    assert found["b.json"]["error_found"] == "no object"


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Put a file into a tar."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def test_every_member_of_one_name_is_judged(folder: Path, tmp_path: Path) -> None:
    """The last of them, which is what unpacking leaves, has a row of its own, and an export names each again."""
    file = tmp_path / "twice.tar"
    for mode, name in (("w", "a/one.wav"), ("a", "b/two.wav"), ("a", "a/one.wav")):
        with tarfile.open(file, mode) as tar:
            tar.add(folder / name, "x.wav")
    found = list(list_items(str(file)))
    assert [item.path for item in found] == [f"{file}#x.wav", f"{file}#x.wav (2)", f"{file}#x.wav (3)"]
    one, two = (samples_of(Item("x", "file", str(folder / name))) for name in ("a/one.wav", "b/two.wav"))
    assert [samples_of(item) for item in found] == [one, two, one]
    out = tmp_path / "out"
    for _ in range(2):
        score_source(str(file), out, workers=1, loader=LOADER)
    assert [row["path"] for row in rows(out)] == [item.path for item in found]
    assert summary.summarise(out)["files"]["n_repeated"] == 0
    export.export_all(out, tmp_path / "all.csv")
    assert [(item.kind, item.start) for item in list_items(str(tmp_path / "all.csv"))] == [
        ("member", item.start) for item in found
    ]


@pytest.mark.parametrize(
    ("names", "claimed", "n_stray"),
    [
        ("take.1.wav take.2.wav take.1.json take.2.json", {"take.1.wav": "take.1", "take.2.wav": "take.2"}, 0),
        ("take.1.wav take.1.json take.2.wav", {"take.1.wav": "take.1", "take.2.wav": None}, 0),
        ("a.wav a.wet.wav a.json", {"a.wav": "a", "a.wet.wav": "a"}, 0),
        ("a.wav a.wav.json", {"a.wav": "a.wav"}, 0),
        ("a.wav a.meta.json", {"a.wav": "a.meta"}, 0),
        ("a.wav a.x.json a.y.json", {"a.wav": None}, 2),
        ("a.wav b.wav a.json b.json", {"a.wav": "a", "b.wav": "b"}, 0),
        ("a.json b.json c.json a.wav b.wav", {"a.wav": "a", "b.wav": "b"}, 1),
        ("./a.wav b.wav ./b.json a.json", {"./a.wav": "a", "b.wav": "b"}, 0),
        ("t.1.wav t.2.wav x.wav t.2.json t.json", {"t.1.wav": "t", "t.2.wav": "t.2", "x.wav": None}, 0),
        ("a.wav b.wav a.meta.json x/b.json", {"a.wav": None, "b.wav": None}, 2),
        ("a.wav a.json b.wav a.json", {"a.wav": "a", "b.wav": None}, 1),
        ("a.wav b.wav a.json b.json a.json", {"a.wav": "a", "b.wav": "b"}, 0),
    ],
)
def test_a_sidecar_claims_of_the_audio_whose_name_it_has(
    names: str, claimed: dict[str, str | None], n_stray: int, folder: Path, tmp_path: Path
) -> None:
    """Of several in a sample none is taken for another's, and those that claim of no audio are counted."""
    file = tmp_path / "dots.tar"
    with tarfile.open(file, "w") as tar:
        for name in names.split():
            said = json.dumps({"song": name.removesuffix(".json").removeprefix("./")}).encode()
            add(tar, name, said if name.endswith(".json") else (folder / "a/one.wav").read_bytes())
    passed: Counter[str] = Counter()
    found = {item.path.split("#")[1]: item.claims.song for item in list_items(str(file), passed=passed)}
    assert found == claimed
    assert passed == ({tars.STRAY_CLAIMS: n_stray} if n_stray else {})


@pytest.mark.parametrize("order", ["*.wav *.json", "*.json *.wav", "$(ls -X)", "$(ls -Xr)", "$(ls)"])
def test_claims_are_joined_whatever_order_a_tar_was_written_in(order: str, folder: Path, tmp_path: Path) -> None:
    """As the shell gives it, or a listing by name or by ending."""
    file = write_tar(folder, tmp_path, order)
    passed: Counter[str] = Counter()
    found = sorted(list_items(str(file), passed=passed), key=lambda item: item.path)
    assert [item.path.split("#")[1] for item in found] == ["one.wav", "two.wav"]
    check_claims(found)
    assert not passed


def write_tar(folder: Path, tmp_path: Path, order: str) -> Path:
    """Return a tar of two files and their sidecars that GNU tar wrote, in an order that the shell spells out."""
    (tmp_path / "in").mkdir()
    for name, row in zip(("one", "two"), CLAIMS, strict=True):
        (tmp_path / "in" / f"{name}.wav").write_bytes((folder / row["file"]).read_bytes())
        (tmp_path / "in" / f"{name}.json").write_text(json.dumps(row | {"file": None}))
    subprocess.run(["bash", "-c", f"tar --format=ustar -cf ../set.tar {order}"], cwd=tmp_path / "in", check=True)
    return tmp_path / "set.tar"


@pytest.mark.parametrize("further", [100, 520])
def test_of_a_tar_that_was_cut_the_claims_before_the_cut_are_joined(further: int, folder: Path, tmp_path: Path) -> None:
    """Within a header or within a sidecar: all audio is listed, and the tar is damaged all the same."""
    file = write_tar(folder, tmp_path, "*.wav *.json")
    with tarfile.open(file) as tar:
        end = tar.getmember("two.json").offset
    file.write_bytes(file.read_bytes()[: end + further])
    listed = list_items(str(file))
    assert [next(listed).claims.origin for _ in CLAIMS] == ["studio", None]
    with pytest.raises(AuditError, match="needed: an uncompressed tar, whole"):
        next(listed)


@pytest.mark.parametrize("between", ["", "b.wav"])
def test_sidecars_of_one_name_that_differ_claim_nothing(between: str, folder: Path, tmp_path: Path) -> None:
    """Beside the audio or not, each of them has a row that says so: one of studio may hide one of separated."""
    wave, file = (folder / "a/one.wav").read_bytes(), tmp_path / "set.tar"
    for origins, refused in ((("studio", "separated"), True), (("studio", "studio"), False)):
        with tarfile.open(file, "w") as tar:
            for name in ("a.wav", *filter(None, [between])):
                add(tar, name, wave)
            for n, origin in enumerate(origins):
                add(tar, "a.json", json.dumps({"origin": origin, "take": n}).encode())
        (item, *others) = [item for item in list_items(str(file)) if not item.path.endswith("b.wav")][::-1]
        names = [item.path.split("#")[1] for item in (item, *others)]
        assert sorted(names) == (["a.json", "a.json (2)", "a.wav"] if refused else ["a.wav"])
        assert {item.claims.origin for item in (item, *others)} == {None if refused else "studio"}
        out = tmp_path / f"out-{refused}"
        score_source(str(file), out, workers=1, loader=LOADER)
        told = [row["error_found"] for row in rows(out) if row["error_code"] == "unusable_claims"]
        assert told == ["claims that differ from those of another of its name"] * (2 * refused)


def test_claims_of_a_tar_are_not_held(tmp_path: Path) -> None:
    """Of thousands behind all audio a few bytes are, and one that is large is not read at all: its row says so."""
    file, n, filler = tmp_path / "set.tar", 2000, "x" * 8000
    with tarfile.open(file, "w") as tar:
        for i in range(n):
            add(tar, f"{i}.wav", b"")
        for i in range(n):
            add(tar, f"{i}.json", json.dumps({"song": str(i), "note": filler}).encode())
        add(tar, "large.json", json.dumps({"note": "x" * sidecars.MAX_BYTES}).encode())
    tracemalloc.start()
    try:
        for i, item in enumerate(list_items(str(file))):
            assert item.claims.song == (str(i) if i < n else None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert i == n
    assert peak < n * len(filler) / 8
    with pytest.raises(UnreadableAudio, match=f"bytes of claims; needed: at most {sidecars.MAX_BYTES}, in an object"):
        containers.fetch(item)


def test_a_sparse_member_is_not_taken_for_its_neighbour(folder: Path, tmp_path: Path) -> None:
    """What is stored of it is not what unpacking gives, so it has a row that says so; its neighbours are read."""
    with (tmp_path / "b.wav").open("wb") as hole:
        hole.write((folder / "a/one.wav").read_bytes())
        hole.seek(1 << 20)
        hole.write((folder / "b/two.wav").read_bytes())
    for name in "ac":
        (tmp_path / f"{name}.wav").write_bytes((folder / "a/one.wav").read_bytes())
    for form in ("gnu", "posix"):
        line = ["tar", f"--format={form}", "--sparse", "-cf", f"{form}.tar", "a.wav", "b.wav", "c.wav"]
        subprocess.run(line, cwd=tmp_path, check=True)
        with tarfile.open(tmp_path / f"{form}.tar") as tar:
            if not tar.getmember("b.wav").issparse():
                pytest.skip("this file system keeps no holes")
        score_source(str(tmp_path / f"{form}.tar"), tmp_path / form, workers=1, loader=LOADER)
        assert [row["error_code"] for row in rows(tmp_path / form)] == [None, "sparse_member", None]


def test_links_in_a_tar_are_the_members_they_lead_to(folder: Path, tmp_path: Path) -> None:
    """Hard or symbolic, over another link, of audio that is called otherwise; what leads nowhere is one row."""
    file = tmp_path / "links.tar"
    one, two = ((folder / name).read_bytes() for name in ("a/one.wav", "b/two.wav"))
    with tarfile.open(file, "w") as tar:
        add(tar, "./in/x.wav", one)
        for name, kind, target in (
            ("./hard.wav", tarfile.LNKTYPE, "./in/x.wav"), ("./in/over.wav", tarfile.SYMTYPE, "../soft.wav"),
            ("./soft.wav", tarfile.SYMTYPE, "in/blob"), ("./gone.wav", tarfile.SYMTYPE, "/elsewhere.wav"),
            ("./round.wav", tarfile.SYMTYPE, "round.wav"),
        ):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
            if name == "./hard.wav":
                add(tar, "./hard.json", b'{"song": "S"}')
        add(tar, "./in/blob", two)
        add(tar, "./in/x.wav", two)
    score_source(str(file), tmp_path / "out", workers=1, loader=LOADER)
    found = {row["path"].split("#./")[1]: row for row in rows(tmp_path / "out")}
    digests = {hashlib.sha256(data).hexdigest(): name for name, data in (("one", one), ("two", two))}
    assert {name: digests.get(row["sha256"], row["error_code"]) for name, row in found.items()} == {
        "in/x.wav": "one", "hard.wav": "one", "in/over.wav": "two", "soft.wav": "two", "gone.wav": "dead_link",
        "round.wav": "dead_link", "in/x.wav (2)": "two",
    }  # fmt: skip
    assert found["hard.wav"]["song"] == "S"


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_cell_without_audio_is_one_row(ending: str, folder: Path, tmp_path: Path) -> None:
    """Of a table with a null among its audio every cell has a row, and the others are scored."""
    cell = {"bytes": (folder / "a/one.wav").read_bytes(), "path": "one.wav"}
    table = pa.table({"audio": [cell, None, cell]})
    file = tmp_path / f"t.{ending}"
    if ending == "parquet":
        parquet.write_table(table, file)
    else:
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    score_source(str(file), tmp_path / "out", workers=1, loader=LOADER)
    assert [row["error_code"] for row in rows(tmp_path / "out")] == [None, "empty_file", None]


def test_a_damaged_container_of_several_is_one_unreadable_row(folder: Path, tmp_path: Path) -> None:
    """Of a delivery of tars and tables, damaged ones are named with what is wrong, and all that is whole is scored."""
    for name in ("whole", "cut", "torn"):
        with tarfile.open(folder / f"{name}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            tar.add(folder / "a/one.wav", "one.wav")
            tar.add(folder / "b/two.wav", "two.wav")
    cut = folder / "cut.tar"
    cut.write_bytes(cut.read_bytes()[: (folder / "a/one.wav").stat().st_size + 2000])
    torn = bytearray((folder / "torn.tar").read_bytes())
    with tarfile.open(folder / "torn.tar") as tar:
        start = tar.getmember("two.wav").offset_data - 512
    torn[start : start + 512] = b"x" * 512
    (folder / "torn.tar").write_bytes(torn)
    (folder / "packed.tar").write_bytes(b"\x1f\x8b" + bytes(1000))
    (folder / "none.parquet").write_bytes(b"PAR1" + bytes(100))
    score_source(str(folder), tmp_path / "out", workers=1, loader=LOADER)
    found = {os.path.relpath(row["path"], folder): row for row in rows(tmp_path / "out")}
    damaged = {name for name, row in found.items() if row["status"] != "ok"}
    assert damaged == {"cut.tar", "torn.tar", "packed.tar", "none.parquet"}
    assert found.keys() - damaged == {
        "a/one.wav",
        "b/two.wav",
        "cut.tar#one.wav",
        "torn.tar#one.wav",
        "whole.tar#one.wav",
        "whole.tar#two.wav",
    }
    assert {found[name]["error_code"] for name in damaged} == {"damaged_container"}
    assert {found[f"{name}.tar"]["error_needed"] for name in ("cut", "torn", "packed")} == {
        "an uncompressed tar, whole"
    }
    assert found["none.parquet"]["error_needed"] == "a Parquet or Arrow file"
    with pytest.raises(AuditError, match="needed: an uncompressed tar"):
        list(list_items(str(cut)))


@pytest.mark.parametrize("kind", ["parquet", "stream"])
def test_audio_datasets_are_read_undecoded(folder: Path, kind: str) -> None:
    """A dataset's column of encoded audio is scored from its bytes, whether Parquet or the Arrow of save_to_disk."""
    cells = [{"bytes": (folder / row["file"]).read_bytes(), "path": row["file"]} for row in CLAIMS]
    table = pa.table(
        {"audio": pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
         **{k: [row[k] for row in CLAIMS] for k in ("origin", "wetness", "song", "take_id", "bpm")}}
    )  # fmt: skip
    data = folder / "data"
    data.mkdir()
    if kind == "parquet":
        parquet.write_table(table, data / "train-00000.parquet", row_group_size=1)
    else:
        with pa.ipc.new_stream(str(data / "data-00000.arrow"), table.schema) as writer:
            writer.write_table(table)
    found = list(list_items(str(data)))
    assert [item.path.rpartition("#")[2] for item in found] == ["0", "1"]
    check_claims(found)
    assert samples_of(found[1]) == samples_of(Item("x", "file", str(folder / "b/two.wav")))


def test_the_hub_is_read_through_datasets_if_it_is_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset that the package datasets loads is listed from its cache and read without decoding."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    pytest.importorskip("datasets", reason="needs the package datasets")
    data = tmp_path / "hub"
    data.mkdir()
    cells = [{"bytes": (folder / row["file"]).read_bytes(), "path": row["file"]} for row in CLAIMS]
    parquet.write_table(pa.table({"audio": cells, "song": ["S", "T"]}), data / "train.parquet")
    found = list(list_items(f"hf:{data}"))
    assert [item.claims.song for item in found] == ["S", "T"]
    assert samples_of(found[0]) == samples_of(Item("x", "file", str(folder / "a/one.wav")))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[fs.S3FileSystem]:
    """A local S3 server with an empty bucket; its endpoint is in the environment."""
    pytest.importorskip("moto", reason="needs moto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    for name, value in (("AWS_ENDPOINT_URL", endpoint), ("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"),
                        ("AWS_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")):  # fmt: skip
        monkeypatch.setenv(name, value)
    stores._s3.cache_clear()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{endpoint}/moto-api/data.json", timeout=2).close()
            break
        except OSError:
            time.sleep(0.2)
    store = fs.S3FileSystem(endpoint_override=f"127.0.0.1:{port}", scheme="http", allow_bucket_creation=True)
    store.create_dir("vendor")
    yield store
    server.terminate()
    server.wait()
    stores._s3.cache_clear()


def put(store: fs.S3FileSystem, key: str, body: bytes) -> None:
    """Put an object into the bucket."""
    with store.open_output_stream(f"vendor/{key}") as file:
        file.write(body)


def test_an_object_that_no_memory_holds_is_refused(
    s3: fs.S3FileSystem, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an object that a manifest names the size is looked at before it is read; hidden prefixes are no delivery."""
    put(s3, "set/one.wav", (folder / "a" / "one.wav").read_bytes())
    put(s3, "set/.cache/two.wav", (folder / "b" / "two.wav").read_bytes())
    put(s3, "set/m.csv", b"path\none.wav\n")
    (item,) = list_items("s3://vendor/set/m.csv")
    assert [item.path for item in list_items("s3://vendor/set")] == ["s3://vendor/set/one.wav"]
    assert samples_of(item)
    monkeypatch.setattr(containers, "MAX_BYTES", 1000)
    with pytest.raises(UnreadableAudio, match="needed: at most 1000"):
        containers.fetch(item)


def test_a_tar_that_was_cut_ends_no_audit_of_a_store(s3: fs.S3FileSystem, folder: Path) -> None:
    """What could be listed of it is, and it has its row, as on a disk; so do the tars beside it."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name in ("a/one.wav", "b/two.wav"):
            tar.add(folder / name, name)
    put(s3, "tars/good.tar", held.getvalue())
    cut = held.getvalue()[: (folder / "a" / "one.wav").stat().st_size // 2]
    put(s3, "tars/bad.tar", cut)
    Path(folder / "tars").mkdir()
    (folder / "tars" / "good.tar").write_bytes(held.getvalue())
    (folder / "tars" / "bad.tar").write_bytes(cut)
    found = list(list_items("s3://vendor/tars"))
    names = [item.path.removeprefix("s3://vendor/tars/") for item in found]
    assert names == [os.path.relpath(item.path, folder / "tars") for item in list_items(str(folder / "tars"))]
    assert {"bad.tar", "good.tar#a/one.wav", "good.tar#b/two.wav"} <= set(names)
    assert samples_of(found[-1]) == samples_of(Item("x", "file", str(folder / "b/two.wav")))
    with pytest.raises(UnreadableAudio, match="unexpected end of data"):
        containers.fetch(next(item for item in found if item.path.endswith("bad.tar")))


def test_a_tar_or_table_that_is_away_ends_no_audit(folder: Path, tmp_path: Path) -> None:
    """As a link to a disk that is not mounted, or an object that may not be read: its row says so."""
    for name in ("away.tar", "away.parquet"):
        (folder / name).symlink_to(tmp_path / "not mounted" / name)
    score_source(str(folder), tmp_path / "out", workers=1, loader=LOADER)
    told = {os.path.relpath(r["path"], folder): r["error_code"] for r in rows(tmp_path / "out")}
    assert told == {"a/one.wav": None, "b/two.wav": None, "away.tar": "not_found", "away.parquet": "not_found"}
    with pytest.raises(AuditError, match="needed: "):
        list(list_items(str(folder / "away.tar")))  # which is all there is


def test_a_key_with_an_empty_part_ends_no_listing(s3: fs.S3FileSystem, folder: Path, tmp_path: Path) -> None:
    """Stores take ``a//b.wav``, which pyarrow lists as the folder itself and cannot read: it has its row, once."""
    boto3 = pytest.importorskip("boto3", reason="needs moto")
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    data = (folder / "a" / "one.wav").read_bytes()
    for key in ("set/one.wav", "set//two.wav", "set/sub/x//deep/three.wav", "set/sub/four.wav", "/five.wav"):
        client.put_object(Bucket="vendor", Key=key, Body=data)
    names = ["one.wav", "/two.wav", "sub/four.wav", "sub/x//deep/three.wav"]
    assert sorted(i.path for i in list_items("s3://vendor/set")) == sorted(f"s3://vendor/set/{n}" for n in names)
    assert "s3://vendor//five.wav" in [item.path for item in list_items("s3://vendor")]
    score_source("s3://vendor/set", tmp_path / "out", workers=1, loader=LOADER)
    found = {row["path"].removeprefix("s3://vendor/set/"): row["error_code"] for row in rows(tmp_path / "out")}
    assert found == {name: "not_readable" if "//" in f"/{name}" else None for name in names}


@pytest.mark.parametrize("source", ["s3://", "s3:///set", "s3://vendor/a//b.wav"])
def test_an_address_without_a_bucket_or_with_an_empty_part_is_refused(s3: fs.S3FileSystem, source: str) -> None:
    """In one line; the whole account is no delivery."""
    with pytest.raises(AuditError, match=r"needed: (s3://BUCKET/PREFIX|a place that can be read)"):
        list(list_items(source))


def test_an_object_under_two_spellings_is_one(s3: fs.S3FileSystem, folder: Path) -> None:
    """A manifest in a store may go up from its prefix, and name an object by its address, too."""
    put(s3, "set/one.wav", (folder / "a" / "one.wav").read_bytes())
    put(s3, "lists/m.csv", b"path\n../set/one.wav\ns3://vendor/set/one.wav\n./../set/./one.wav\n")
    found = list(list_items("s3://vendor/lists/m.csv"))
    assert {item.where for item in found} == {"s3://vendor/set/one.wav"}
    assert len({item.key for item in found}) == 1


def test_s3_is_audited_like_a_folder(s3: fs.S3FileSystem, folder: Path, tmp_path: Path) -> None:
    """Objects under a prefix, and a manifest beside them, give the verdicts that the same files give from disk."""
    for row in CLAIMS:
        put(s3, f"set/{row['file']}", (folder / row["file"]).read_bytes())
    put(s3, "set/broken.wav", b"RIFF nothing")
    put(s3, "set/m.jsonl", "".join(json.dumps(row) + "\n" for row in CLAIMS).encode())
    found = list(list_items("s3://vendor/set"))
    assert [item.path for item in found] == [f"s3://vendor/set/{k}" for k in ("broken.wav", "a/one.wav", "b/two.wav")]
    check_claims(list(list_items("s3://vendor/set/m.jsonl")))
    score_source("s3://vendor/set", tmp_path / "out", workers=1, loader=LOADER)
    score_source(str(folder), tmp_path / "disk", workers=1, loader=LOADER)
    before = {item.path: item.key for item in found}
    time.sleep(1.1)  # a store's dates are of whole seconds
    put(s3, "set/a/one.wav", (folder / "a" / "one.wav").read_bytes())
    changed = [item.path for item in list_items("s3://vendor/set") if item.key != before[item.path]]
    assert changed == ["s3://vendor/set/a/one.wav"], "of the same size and another date"
    from_store = [r for r in rows(tmp_path / "out") if r["status"] == "ok"]
    assert [r["error_code"] for r in rows(tmp_path / "out") if r["status"] == "error"] == ["not_audio"]
    measured = ("p_separated", "rms_db", "peak_db", "landmarks", "duration_s", "codec")
    assert [[r[k] for k in measured] for r in from_store] == [[r[k] for k in measured] for r in rows(tmp_path / "disk")]
