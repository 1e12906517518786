"""The ``openunmix`` package: ``umxl``, ``umxhq``, ``umx``, or a folder of models trained with it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.separators.errors import SeparatorError
from training.separators.separator import RATE_HZ, Piece, Separator, Wave, digest_of


def open_model(model: str, label: str = "", device: str = "cpu") -> Separator:
    """Load Open-Unmix.

    Args:
        model: a pretrained name, whose weights are downloaded, or a folder with ``separator.json`` and for each stem
            ``STEM.json`` and ``STEM*.pth``.
        label: name in manifests; the model's by default.
        device: where torch computes.

    Raises:
        SeparatorError: the package or its torchaudio is missing, or the weights are.

    Source: F.-R. Stoter et al., Open-Unmix: a reference implementation for music source separation, JOSS 2019.
    """
    try:
        from openunmix import utils
    except (ImportError, OSError) as error:
        raise SeparatorError(
            f"openunmix does not start ({error}); needed: pip install openunmix, and a torchaudio that fits torch "
            f"{torch.__version__}"
        ) from error
    folder = Path(model)
    local = folder.is_dir()
    targets = sorted(f.stem for f in folder.glob("*.json") if f.stem != "separator") if local else None
    if local and not (targets and (folder / "separator.json").is_file()):
        raise SeparatorError(f"{folder}: found no Open-Unmix model; needed: separator.json and STEM.json with STEM.pth")
    try:
        separator: Any = utils.load_separator(model, targets=targets, niter=1, device=device, pretrained=True)
    except (OSError, AttributeError, NameError, StopIteration, KeyError, ValueError, RuntimeError) as error:
        raise SeparatorError(
            f"Open-Unmix model {model!r} was not to be had ({error}); needed: umxl, umxhq or umx and a way to its "
            "download server, or a folder of weights"
        ) from error
    separator.eval()
    weights = digest_of([f for f in folder.iterdir() if f.is_file()]) if local else "pretrained"

    def run(piece: Piece) -> dict[str, Wave]:
        if round(float(separator.sample_rate)) != RATE_HZ:
            raise SeparatorError(f"{model}: works at {float(separator.sample_rate):.0f} Hz; needed: {RATE_HZ} Hz")
        wave = torch.from_numpy(np.ascontiguousarray(piece.mix.T))[None].to(device)
        with torch.no_grad():
            estimates = separator.to_dict(separator(wave))
        return {stem: np.ascontiguousarray(e[0].T.cpu().numpy(), np.float32) for stem, e in estimates.items()}

    shown = label or (folder.name if local else model)
    return Separator(shown, f"openunmix {importlib.metadata.version('openunmix')}|{model}|{weights}", run)
