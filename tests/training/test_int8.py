"""What eight-bit weights would cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from provenance import frontend
from provenance.bundle import Calibration
from tests.training.fitted import N_FEATURES, N_FRAMES
from training import export, texture_net
from training.heads import Fusion, Trees, Voice
from training.research import int8
from training.texture_net import Ensemble


def test_eight_bits_are_compared_with_the_float_model(
    trees: Trees, net: Ensemble, features: np.ndarray, tmp_path: Path
) -> None:
    """The int8 form is close on windows it was not calibrated on; a model without a network is refused."""
    fusion = Fusion(Voice(1.3, 0.6), Voice(0.7, 0.4))
    file = tmp_path / "m.onnx"
    export.export(trees, net, fusion, N_FEATURES, file)
    rng = np.random.default_rng(4)
    packed = rng.integers(0, 256, (24, 2, N_FRAMES, frontend.N_MAP_BINS)).astype(np.uint8)
    maps = texture_net.unpack(packed).contiguous().numpy()
    rows = [{"features": features[k : k + 1], "map": maps[k : k + 1]} for k in range(24)]
    truth, seen = (features[:24, 0] + features[:24, 3]) > 0, np.arange(24) < 8
    found = int8.compare(file, rows, truth, seen, Calibration(1.0, 0.0))
    assert found["n_windows"] == 16
    assert found["mean_change_of_p"] < 0.1
    assert found["window_auc"]["int8"] > 0.8
    assert found["ms_per_window"]["int8"] > 0
    export.export(trees, None, Fusion(), N_FEATURES, tmp_path / "trees.onnx")
    with pytest.raises(ValueError, match="network"):
        int8.compare(tmp_path / "trees.onnx", rows, truth, seen, Calibration(1.0, 0.0))
