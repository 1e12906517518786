"""MDenseNet on eight subbands as channels (H. Liu et al., Interspeech 2020): masks for the voice and for the rest, 0.57
million parameters in two networks of 0.28, 44.1 kHz, stereo.

Each channel goes through a filter bank of eight bands (64 taps); each band's spectrum (window 256, root of Hann, hop 44
at 5.5 kHz) gives two planes, real and imaginary; masks between 0 and 1 multiply the planes. Code, filters and weights
are sought in a checkout of ``SOURCE``, which ``CWS_MDENSENET_FOLDER`` names; they are no part of this project. The
original takes a song in twenty parts; a mix of some seconds is one part here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.separators.script import folder_of, module_of

Wave = npt.NDArray[np.float32]
SOURCE = {
    "repository": "haoheliu/Subband-Music-Separation",
    "commit": "d82acea81f6d5c50abe3a3dcefea702890638b82",
    "licence": "none stated",
}
FOLDER = "CWS_MDENSENET_FOLDER"
STEMS = ("vocals", "accompaniment")
BANDS, TAPS, WINDOW, HOP = 8, 64, 256, 44
NETWORKS = {"accompaniment": 0, "vocals": 1}


def separate(mix: Wave) -> dict[str, Wave]:
    """The voice and the rest."""
    import torch

    bank, nets, window = _load()
    n = len(mix)
    with torch.inference_mode():
        wave = torch.from_numpy(np.pad(mix.T, ((0, 0), (0, -n % BANDS + 8 * TAPS))))[None]
        bands = bank.analysis(wave)[0]  # 2 * BANDS, time
        spectra = torch.stft(bands, WINDOW, HOP, window=window, return_complex=True, pad_mode="reflect")
        planes = torch.stack([spectra.real, spectra.imag], 1).flatten(0, 1)[None]
        made = {}
        for stem, number in NETWORKS.items():
            masked = (planes * torch.sigmoid(nets[number](planes)))[0].unflatten(0, (2 * BANDS, 2))
            waves = torch.istft(
                torch.complex(masked[:, 0], masked[:, 1]), WINDOW, HOP, window=window, length=bands.shape[1]
            )
            made[stem] = np.ascontiguousarray(bank.synthesis(waves[None])[0, :, :n].T.numpy(), np.float32)
    return {stem: made[stem] for stem in STEMS}


@lru_cache(maxsize=1)
def _load() -> tuple[Any, list[Any], Any]:
    """Filter bank, networks (rest, voice) and window."""
    import torch

    folder = folder_of(FOLDER, SOURCE)
    bank = module_of(folder / "util" / "subband" / "ana_syn_util.py").PQMF(BANDS, TAPS, str(folder))
    file = next(folder.glob("checkpoints/*/model155700.pth"))
    state = torch.load(file, map_location="cpu", weights_only=True)
    nets = []
    for number in range(2):
        net = module_of(folder / "models" / "_mdensenet.py").MDenseNet(4 * BANDS, 4 * BANDS, drop_rate=0.1)
        prefix = f"unet{number}."
        net.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        nets.append(net.eval())
    return bank.eval(), nets, torch.sqrt(torch.hann_window(WINDOW))
