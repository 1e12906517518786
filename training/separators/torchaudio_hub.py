"""Hybrid Demucs as torchaudio has it, trained on MUSDB and 150 songs more."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from training.separators import networks
from training.separators.errors import SeparatorError
from training.separators.separator import Piece, Separator, Wave


def open_model(label: str = "", device: str = "cpu") -> Separator:
    """Load the pipeline ``HDEMUCS_HIGH_MUSDB_PLUS``; its weights are downloaded.

    Args:
        label: name in manifests.
        device: where torch computes.

    Raises:
        SeparatorError: torchaudio is missing or does not fit torch, or the weights cannot be downloaded.
    """
    try:  # beside a CPU build of torch its libraries fail to link, which is an OSError
        import torchaudio
        from torchaudio.pipelines import HDEMUCS_HIGH_MUSDB_PLUS as pipeline  # noqa: N811
    except (ImportError, OSError) as error:
        raise SeparatorError(
            f"torchaudio does not start beside torch {torch.__version__} ({error}); needed: pip install torchaudio of "
            "the same version and build (CUDA with CUDA), or the demucs package: demucs:hdemucs_mmi"
        ) from error
    try:
        model: Any = pipeline.get_model().to(device).eval()
    except (OSError, RuntimeError) as error:
        raise SeparatorError(
            f"torchaudio's Hybrid Demucs was not to be had ({error}); needed: a way to download.pytorch.org, once"
        ) from error
    network = networks.Network(model, {"name": "hdemucs", "stems": list(model.sources)})

    def run(piece: Piece) -> dict[str, Wave]:
        mean = np.float32(piece.mix.mean())
        made = networks.run(network, piece.mix - mean, device, chunk_s=10.0)
        return {stem: wave + mean / len(made) for stem, wave in made.items()}

    return Separator(label or "hdemucs_high_musdb_plus", f"torchaudio {torchaudio.__version__}|hdemucs", run)
