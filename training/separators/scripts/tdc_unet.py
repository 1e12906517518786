"""The TDC U-Net of W. Choi et al. (ISMIR 2020), 17 blocks, vocals: complex spectra (both channels) in, complex spectra
out, 0.57 million parameters; dense convolutions along frequency only. Reported 4.86 dB for vocals of MUSDB18.

Code and weights are sought in ``.deprecated`` of a checkout of ``SOURCE``, which ``TDC_UNET_FOLDER`` names; they are no
part of this project. As the repository's own inference has it: window 2,048, hop 1,024, no centring, segments of 64
frames, 5,000 samples cut from either end of each. The accompaniment is the mix less the voice.
"""

from __future__ import annotations

import types
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.separators.script import folder_of, module_of

Wave = npt.NDArray[np.float32]
SOURCE = {
    "repository": "ws-choi/ISMIR2020_U_Nets_SVS",
    "commit": "aafcb69c43675713b86cd4f96eb659cf7eb55d16",
    "licence": "MIT",
}
FOLDER = "TDC_UNET_FOLDER"
STEMS = ("vocals", "accompaniment")
WINDOW, HOP, FRAMES, TRIM = 2048, 1024, 64, 5000
SEGMENT = HOP * (FRAMES + 1)


def separate(mix: Wave) -> dict[str, Wave]:
    """The voice and the rest."""
    import librosa
    import torch

    n, step = len(mix), SEGMENT - 2 * TRIM
    padded = np.pad(mix.T, ((0, 0), (TRIM, step + TRIM)))
    voice = np.zeros((2, 0), np.float32)
    for start in range(0, n, step):
        part = padded[:, start : start + SEGMENT]
        part = np.pad(part, ((0, 0), (0, SEGMENT - part.shape[1])))
        spectra = librosa.stft(part, n_fft=WINDOW, hop_length=HOP, center=False)
        planes = np.stack([spectra.real, spectra.imag], 1).reshape(1, 4, WINDOW // 2 + 1, FRAMES)
        with torch.inference_mode():
            made = _load()(torch.from_numpy(planes.astype(np.float32)))[0].numpy()
        made = made.reshape(2, 2, WINDOW // 2 + 1, FRAMES)
        wave = librosa.istft(made[:, 0] + 1j * made[:, 1], hop_length=HOP, center=False)
        voice = np.concatenate([voice, wave[:, TRIM:-TRIM]], 1)
    vocals = np.ascontiguousarray(voice[:, :n].T, np.float32)
    return {"vocals": vocals, "accompaniment": mix - vocals}


@lru_cache(maxsize=1)
def _load() -> Any:
    """The network with its weights."""
    import torch

    layers = _file("intermediate_layers")
    net = _file("frameworks").U_Net_Framework(
        types.SimpleNamespace(dim_f=WINDOW // 2, dim_c=4),
        est_mode="cac_mapping",
        internal_channels=24,
        num_blocks=17,
        mk_block_f=lambda n_in, n_out, f, i: layers.TDC(in_channels=n_in, num_layers=5, gr=n_out, kf=3),
        mk_ds_f=lambda i, f: (layers.TDC_sampling(in_channels=24, mode="downsampling"), f // 2),
        mk_us_f=lambda i, f, n: (layers.TDC_sampling(in_channels=24, mode="upsampling"), f * 2),
    )
    weights = _folder() / "pretrained" / "cac_tdc_17_vocals_top1.pt"
    net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return net.eval()


def _file(name: str) -> Any:
    """A file of the repository as a module."""
    return module_of(_folder() / f"{name}.py")


def _folder() -> Path:
    return folder_of(FOLDER, SOURCE) / ".deprecated"
