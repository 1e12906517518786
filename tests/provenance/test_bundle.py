"""Model folders: what does not fit refuses to load, with a message that says what was found and needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import provenance
from provenance import bundle, frontend
from provenance.errors import ModelError
from tests import tiny


def test_a_folder_describes_itself(tiny_model: Path) -> None:
    """Name, checksum, heads and thresholds come from the folder alone."""
    found = bundle.load(tiny_model)
    assert found.heads == set(tiny.HEADS)
    assert found.reference == f"tiny@{found.sha256[:12]}"
    assert found.thresholds.separated == 0.8


def test_an_altered_model_is_refused(tmp_path: Path) -> None:
    """One changed byte of the model is found by its checksum."""
    folder = tiny.write(tmp_path / "m")
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.onnx: found sha256 .*; needed: .*changed or is damaged"):
        provenance.load(folder)


@pytest.mark.parametrize("key", sorted(frontend.contract()))
def test_another_front_end_is_refused(tmp_path: Path, key: str) -> None:
    """A model made with any other number of the front end is refused, and the number is named."""
    folder = tiny.write(tmp_path / "m", frontend=frontend.contract() | {key: 7})
    with pytest.raises(ModelError, match=rf"another front end \({key}\): found {key} 7; needed:"):
        provenance.load(folder)


def test_a_front_end_with_an_unknown_number_is_refused(tmp_path: Path) -> None:
    """A contract with a number this front end does not know is another contract."""
    folder = tiny.write(tmp_path / "m", frontend=frontend.contract() | {"mel_bands": 80})
    with pytest.raises(ModelError, match="mel_bands"):
        provenance.load(folder)


@pytest.mark.parametrize("key", ["thresholds", "calibration", "sha256", "heads", "frontend", "licence", "format"])
def test_an_incomplete_config_is_refused(tmp_path: Path, key: str) -> None:
    """A config without one of its keys is refused by that key's name."""
    folder = tiny.write(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"config.json: found no usable '{key}'"):
        provenance.load(folder)


@pytest.mark.parametrize(
    "changes", [{"thresholds": {"separated": 0.9}}, {"calibration": {"slope": 1, "x": 2}}, {"format": 99}]
)
def test_a_config_of_another_shape_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    """Missing or unknown thresholds, calibrations and formats are refused."""
    with pytest.raises(ModelError, match="needed"):
        provenance.load(tiny.write(tmp_path / "m", **changes))


@pytest.mark.parametrize("content", ["", "not json", "[]", "null"])
def test_a_config_that_is_no_config_is_refused(tmp_path: Path, content: str) -> None:
    """Whatever stands in config.json, the error is a ModelError that names the file."""
    folder = tiny.write(tmp_path / "m")
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=folder.name):
        provenance.load(folder)


def test_a_named_head_must_be_in_the_graph(tmp_path: Path) -> None:
    """A head that the config names and the graph lacks is refused by its output's name."""
    with pytest.raises(ModelError, match="found no output sdr_db"):
        provenance.load(tiny.write(tmp_path / "m", outputs=("sdr_db",)))


def test_a_model_without_an_origin_is_no_model(tmp_path: Path) -> None:
    """Without the origin head there is nothing to say."""
    with pytest.raises(ModelError, match="logit"):
        provenance.load(tiny.write(tmp_path / "m", heads=["processing"]))


def test_an_unknown_head_is_refused(tmp_path: Path) -> None:
    """A head that this version does not know is refused, not skipped."""
    with pytest.raises(ModelError, match="telepathy"):
        provenance.load(tiny.write(tmp_path / "m", heads=["origin", "telepathy"]))


def test_a_broken_graph_with_a_right_checksum_is_refused(tmp_path: Path) -> None:
    """A file that onnxruntime does not take is a ModelError, not a traceback of another library."""
    import hashlib

    folder = tiny.write(tmp_path / "m", sha256=hashlib.sha256(b"no graph").hexdigest())
    (folder / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="refused by onnxruntime"):
        provenance.load(folder)


def test_fewer_heads_are_fewer_fields(tmp_path: Path) -> None:
    """A model with the origin alone gives verdicts whose other fields are null."""
    from tests import sounds

    found = provenance.load(tiny.write(tmp_path / "m", heads=["origin"])).score((sounds.music(), 44_100))
    assert found.p_separated is not None
    assert (found.p_processing, found.sdr_ceiling_db) == (None, None)


def test_a_folder_that_happens_to_be_here_is_not_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scoring in a folder that holds another ``stem-v1`` does not pick that one up unasked."""
    tiny.write(tmp_path / bundle.DEFAULT_MODEL)
    monkeypatch.chdir(tmp_path)
    assert bundle.find(bundle.DEFAULT_MODEL).resolve() == tmp_path / bundle.DEFAULT_MODEL
    assert bundle.find().resolve() != tmp_path / bundle.DEFAULT_MODEL


@pytest.mark.parametrize("name", ["nothing", "/no/such/folder", ""])
def test_a_missing_model_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or name that is not there is an error that says what a model is."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"no such model; needed: a folder with config\.json and model\.onnx"):
        bundle.load(name)
