"""UNMIXX (ICASSP 2026): two voices out of a mix of two voices, a network of the TIGER kind (bands, complex masks that
sum to one, attention), 0.95 million parameters at 24 kHz, window 960, hop 240.

As in the repository's own inference one channel goes in; here it is the mean of both, and the whole of the mix is one
window (trained on 4 s). Code and weights are sought in a checkout of ``SOURCE``, which ``UNMIXX_FOLDER`` names; they
are no part of this project. Nothing above 12 kHz comes out.
"""

from __future__ import annotations

import contextlib
import io
import sys
import types
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.separators.script import TWO, folder_of, module_of

Wave = npt.NDArray[np.float32]
SOURCE = {
    "repository": "jihoojung0106/unmixx",
    "commit": "8e750521b5942f4717656cac86a23cf0bd90dea5",
    "licence": "none stated",
}
FOLDER = "UNMIXX_FOLDER"
STEMS = TWO
TWO_OF = "vocals"
RATE_HZ, MONO = 24_000, True
MIX_RATE_HZ = 44_100


def separate(mix: Wave) -> dict[str, Wave]:
    """Both voices, in the order in which the network gives them; the two channels alike."""
    import librosa
    import soxr
    import torch

    mono = soxr.resample(mix.mean(1, dtype=np.float32), MIX_RATE_HZ, RATE_HZ, "VHQ")
    with torch.inference_mode():
        made = _load()(torch.from_numpy(np.ascontiguousarray(mono, np.float32))[None, None])[0][0].numpy()
    voices = [soxr.resample(voice, RATE_HZ, MIX_RATE_HZ, "VHQ") for voice in made]
    voices = [librosa.util.fix_length(voice, size=len(mix))[:, None].repeat(2, 1) for voice in voices]
    return dict(zip(TWO, voices, strict=True))


@lru_cache(maxsize=1)
def _load() -> Any:
    """The network with its weights."""
    import torch

    with contextlib.redirect_stdout(io.StringIO()):  # its constructor prints
        net = _module().UNMIXX(
            sample_rate=RATE_HZ,
            out_channels=128,
            in_channels=256,
            num_blocks=8,
            upsampling_depth=5,
            win=960,
            stride=240,
            num_sources=2,
        )
    state = torch.load(folder_of(FOLDER, SOURCE) / "ckpt" / "best.ckpt", map_location="cpu", weights_only=True)[
        "state_dict"
    ]
    net.load_state_dict({key.removeprefix("audio_model."): value for key, value in state.items()})
    return net.eval()


@lru_cache(maxsize=1)
def _module() -> Any:
    """``look2hear/models/unmixx_model.py`` without the packages that inference has no use for."""
    import torch

    def pad_x_to_y(x: Any, y: Any) -> Any:
        return torch.nn.functional.pad(x, [0, y.shape[-1] - x.shape[-1]])

    class BaseModel(torch.nn.Module):
        def __init__(self, sample_rate: int, in_chan: int = 1) -> None:
            super().__init__()

    names = (
        "look2hear",
        "look2hear.models",
        "look2hear.models.layers",
        "look2hear.models.base_model",
        "asteroid",
        "asteroid.utils",
        "asteroid.utils.torch_utils",
        "look2hear.models.layers.activations",
        "look2hear.models.layers.normalizations",
        "look2hear.models.unmixx_model",
    )
    before: dict[str, types.ModuleType | None] = {name: sys.modules.get(name) for name in names}
    try:
        for name in names[:7]:
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = []  # type: ignore[attr-defined]
        sys.modules["asteroid.utils.torch_utils"].pad_x_to_y = pad_x_to_y  # type: ignore[attr-defined]
        sys.modules["look2hear.models.base_model"].BaseModel = BaseModel  # type: ignore[attr-defined]
        models = folder_of(FOLDER, SOURCE) / "look2hear" / "models"
        for layer in ("activations", "normalizations"):
            module = module_of(models / "layers" / f"{layer}.py", f"look2hear.models.layers.{layer}")
            setattr(sys.modules["look2hear.models.layers"], layer, module)
        return module_of(models / "unmixx_model.py", "look2hear.models.unmixx_model")
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
