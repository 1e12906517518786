"""The script around HTDemucs' graph: spectra, segments and levels, with a graph that gives stems shares of the mix."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.training import songs
from training.families import family_of
from training.separators import script
from training.separators.errors import SeparatorError

FILE = Path(__file__).parents[2] / "training" / "separators" / "scripts" / "htdemucs.py"
SHARES = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
N_BINS, N_FRAMES = 2048, 336


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script's module, with a graph of the real one's inputs and outputs."""
    pytest.importorskip("demucs")
    found = importlib.import_module("training.separators.scripts.htdemucs")
    n = found.N_SEGMENT
    halves = SHARES.reshape(1, 4, 1, 1) / 2
    nodes = [
        helper.make_node("Unsqueeze", ["spectrum", "axis"], ["spectra"]),
        helper.make_node("Mul", ["spectra", "share5"], ["masks"]),
        helper.make_node("Unsqueeze", ["wave", "axis"], ["waves1"]),
        helper.make_node("Mul", ["waves1", "share4"], ["waves"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shares",
        [
            helper.make_tensor_value_info("wave", TensorProto.FLOAT, (1, 2, n)),
            helper.make_tensor_value_info("spectrum", TensorProto.FLOAT, (1, 4, N_BINS, N_FRAMES)),
        ],
        [
            helper.make_tensor_value_info("masks", TensorProto.FLOAT, (1, 4, 4, N_BINS, N_FRAMES)),
            helper.make_tensor_value_info("waves", TensorProto.FLOAT, (1, 4, 2, n)),
        ],
        [
            onnx.numpy_helper.from_array(np.array([1], np.int64), "axis"),
            onnx.numpy_helper.from_array(halves[..., None], "share5"),
            onnx.numpy_helper.from_array(halves, "share4"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, str(tmp_path / "htdemucs.onnx"))
    monkeypatch.setenv("HTDEMUCS_ONNX", str(tmp_path / "htdemucs.onnx"))
    found._load.cache_clear()
    yield found
    found._load.cache_clear()


@pytest.mark.parametrize("seconds", [2.0, 7.8, 11.3])
def test_each_stem_is_its_share_of_the_mix(module: ModuleType, seconds: float) -> None:
    """Half by the spectrum, half by the wave: both paths keep place and level, over segments too."""
    mix = songs.stem("vocals", seconds, 0) + songs.stem("other", seconds, 0)
    stems = module.separate(mix)
    assert tuple(stems) == module.STEMS
    edge = 4096  # of the spectrum
    for share, wave in zip(SHARES, stems.values(), strict=True):
        assert wave.shape == mix.shape
        np.testing.assert_allclose(wave[edge:-edge], share * mix[edge:-edge], atol=2e-4)


def test_it_is_a_script_like_any_other(module: ModuleType) -> None:
    """It loads through the seam of scripts and is of the demucs family."""
    loaded = script.load(FILE)
    mix = songs.stem("bass", 1.0, 0)
    assert set(script.run(loaded, mix)) == set(songs.STEMS)
    assert loaded.family == family_of("htdemucs")
    assert "research use" in loaded.source["licence"]


def test_without_the_file_it_says_what_to_do(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing graph is one line."""
    monkeypatch.setenv("HTDEMUCS_ONNX", "no/such/file.onnx")
    module._load.cache_clear()
    with pytest.raises(SeparatorError, match="set HTDEMUCS_ONNX to the file"):
        module.separate(songs.stem("bass", 1.0, 0))
