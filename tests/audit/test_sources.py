"""Sources: each names the same files in one order, with the vendor's claims, and the worker reads the same audio."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs, parquet

from provenance import audio
from provenance.audit import containers, stores
from provenance.audit.errors import AuditError
from provenance.audit.items import Item
from provenance.audit.run import score_source
from provenance.audit.sources import list_items
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
