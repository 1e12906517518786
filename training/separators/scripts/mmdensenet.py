"""MMDenseNet of jlqian98/unet-sep: masks for drums, bass, other and voice by densely connected networks for the low
half, the high half and the whole of a magnitude spectrum, trained on MUSDB18; mono, 16 kHz, window 1,022, hop 512,
pieces of 128 frames, the spectrum divided by its maximum.

The repository's setting makes the masks binary; here they are the network's own numbers, which its code offers too,
held between 0 and 1. The original folds to mono and scales each stem to a peak of one; here each channel goes through
by itself and the level stays as in the mix. Code and weights are sought in a checkout of ``SOURCE``, which
``MMDENSENET_FOLDER`` names; they are no part of this project. Nothing above 8 kHz comes out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.separators.script import folder_of, module_of

Wave = npt.NDArray[np.float32]
SOURCE = {
    "repository": "jlqian98/unet-sep",
    "commit": "00d97974d2422e49fc1c978e41b901c4f0a61ea1",
    "licence": "none stated",
}
FOLDER = "MMDENSENET_FOLDER"
STEMS = ("drums", "bass", "other", "vocals")
RATE_HZ = 16_000
MIX_RATE_HZ, WINDOW, HOP, FRAMES = 44_100, 1022, 512, 128


def separate(mix: Wave) -> dict[str, Wave]:
    """Four stems, each channel by itself."""
    made = [_channel(channel) for channel in mix.T]
    return {stem: np.stack([channel[stem] for channel in made], 1) for stem in STEMS}


def _channel(mix: Wave) -> dict[str, Wave]:
    """Four stems of one channel."""
    import librosa
    import soxr
    import torch

    mono = np.asarray(soxr.resample(np.ascontiguousarray(mix), MIX_RATE_HZ, RATE_HZ, "VHQ"), np.float32)
    mono = np.pad(mono, (0, -len(mono) % HOP))
    spectrum = librosa.stft(mono, n_fft=WINDOW, hop_length=HOP)
    magnitude = np.abs(spectrum)
    n = magnitude.shape[1]
    scaled = np.pad(magnitude / max(float(magnitude.max()), 1e-10), ((0, 0), (0, -n % FRAMES)))
    pieces = scaled.reshape(len(scaled), -1, FRAMES).transpose(1, 0, 2)[:, None]
    with torch.inference_mode():
        masks = _load()(torch.from_numpy(np.ascontiguousarray(pieces, np.float32))).numpy()
    masks = masks.transpose(1, 2, 0, 3).reshape(len(STEMS), len(scaled), -1)[:, :, :n]
    masks = np.clip(masks, 0, 1)
    made = {}
    for stem, mask in zip(STEMS, masks, strict=True):
        wave = librosa.istft(spectrum * mask, hop_length=HOP, n_fft=WINDOW, length=len(mono))
        wave = soxr.resample(np.asarray(wave, np.float32), RATE_HZ, MIX_RATE_HZ, "VHQ")
        made[stem] = np.asarray(librosa.util.fix_length(wave, size=len(mix)), np.float32)
    return made


@lru_cache(maxsize=1)
def _load() -> Any:
    """The network with its weights."""
    import torch

    folder = folder_of(FOLDER, SOURCE)
    net = module_of(folder / "models" / "mmdensenet.py").MMDenseNet()
    state = torch.load(folder / "checkpoints" / "mmdensenet" / "best.pkl", map_location="cpu", weights_only=True)
    net.load_state_dict(state["net"])
    return net.eval()
