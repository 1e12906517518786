"""Real separations by the ``demucs`` package: any pretrained name, or any model of a local repository."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.separators.errors import SeparatorError

Wave = npt.NDArray[np.float32]


@lru_cache(maxsize=8)
def load(name: str, repo: Path | None = None) -> Any:
    """Load a demucs model, in evaluation mode.

    Args:
        name: a pretrained name such as ``htdemucs``, or a signature of the local repository.
        repo: folder of ``.th`` files; None takes the pretrained models, which are downloaded.

    Raises:
        SeparatorError: the package is not installed, or the weights are not there.
    """
    try:
        from demucs.pretrained import get_model
        from demucs.repo import ModelLoadingError
    except ImportError as error:
        raise SeparatorError("demucs is not installed; pip install 'stem-provenance[train]'") from error
    try:
        model = get_model(name, repo=repo)
    except (ModelLoadingError, OSError, SystemExit) as error:
        where = f"the folder {repo.name}" if repo else "the download server"
        raise SeparatorError(
            f"demucs model {name!r} was not to be had from {where}: {error}; give a local repository"
        ) from error
    model.eval()
    return model


def separate(
    mix: Wave, name: str, repo: Path | None = None, *, as_cli: bool = False, device: str = "cpu"
) -> dict[str, Wave]:
    """Separate a mix.

    Args:
        mix: float32 (n, 2) at 44.1 kHz.
        name: as for :func:`load`.
        repo: as for :func:`load`.
        as_cli: rescale each stem where it would clip and round it to 16 bits, as the demucs command writes it.
        device: where torch computes.

    Returns:
        Stem name to estimate of shape (n, 2).

    Raises:
        SeparatorError: as for :func:`load`.
    """
    import torch
    from demucs.apply import apply_model

    from training.separators.networks import as_written

    model = load(name, repo)
    wave = torch.from_numpy(np.ascontiguousarray(mix.T))
    mean, std = wave.mean(), wave.std() + 1e-8
    with torch.no_grad():
        out = apply_model(model, ((wave - mean) / std)[None], shifts=0, split=True, progress=False, device=device)[0]
    out = out.cpu() * std + mean
    stems: dict[str, Wave] = {}
    for stem, estimate in zip(model.sources, out, strict=True):
        array = estimate.numpy().T.astype(np.float32)
        stems[stem] = as_written(array) if as_cli else array
    return stems
