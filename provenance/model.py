"""The ONNX session: features of windows to raw scores of windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from provenance.bundle import Bundle
from provenance.errors import ModelError

PROCESSINGS = ("dry", "hybrid", "wet")
EFFECTS = (
    "reverb", "delay", "compression", "eq", "de_essing", "saturation", "modulation", "pitch_correction",
    "stereo_imaging",
)  # fmt: skip
KINDS = ("waveform", "hybrid", "spectrogram_mask", "complex_mask", "transformer", "classical")
"""Kinds of separator a model may name; anything else is ``unknown``."""
OUTPUTS = {
    "origin": "logit",
    "processing": "p_processing",
    "sdr": "sdr_db",
    "distance": "distance",
    "effects": "p_effects",
    "strengths": "strengths",
    "family": "p_kind",
    "layers": "p_submix",
    "gated": "p_gated",
}
"""The graph's output of each head."""
HEADS = frozenset(OUTPUTS) - {"gated"}
"""Every head that a part of the verdict comes from; what was gated is a reason alone."""
GATED_FROM = 0.8
"""Probability from which a window counts as gated bin by bin."""


@dataclass(frozen=True)
class WindowScores:
    """Raw scores of n windows; None for a head that the model has not.

    Args:
        logit: shape (n,), uncalibrated log odds of extraction.
        p_processing: shape (n, 3), probabilities of dry, hybrid, wet.
        sdr_db: shape (n,), estimated SDR if it was extracted.
        distance: shape (n,), distance to the training data.
        p_effects: shape (n, 9), probability of each of EFFECTS.
        p_kind: shape (n, 6), probability of each of KINDS, if it was extracted.
        p_submix: shape (n,), probability of several performances.
        strengths: shape (n, 9), 0 to 1, how strong each of EFFECTS is if it was applied; NaN where it cannot be told.
        p_gated: shape (n,), probability that noise was taken out bin by bin.
    """

    logit: npt.NDArray[np.float32]
    p_processing: npt.NDArray[np.float32] | None
    sdr_db: npt.NDArray[np.float32] | None
    distance: npt.NDArray[np.float32] | None
    p_effects: npt.NDArray[np.float32] | None = None
    p_kind: npt.NDArray[np.float32] | None = None
    p_submix: npt.NDArray[np.float32] | None = None
    strengths: npt.NDArray[np.float32] | None = None
    p_gated: npt.NDArray[np.float32] | None = None


def join(parts: Sequence[WindowScores]) -> WindowScores:
    """Return the scores of all windows, in order.

    Args:
        parts: at least one, all of one model.
    """
    columns = ([getattr(part, field.name) for part in parts] for field in dataclasses.fields(WindowScores))
    joined: list[Any] = [None if column[0] is None else np.concatenate(column) for column in columns]
    return WindowScores(*joined)


class Model:
    """An ONNX session over a bundle; safe to share between threads."""

    def __init__(self, bundle: Bundle) -> None:
        """Open a session with one thread.

        Args:
            bundle: a checked model folder.

        Raises:
            ModelError: onnxruntime refuses the file, or a head named in the config is not in it.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(bundle.model_file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise ModelError(f"{bundle.model_file}: refused by onnxruntime ({error}); needed: a valid model") from error
        unknown = sorted(bundle.heads - set(OUTPUTS))
        if unknown:
            raise ModelError(f"{bundle.folder}: found head {', '.join(unknown)}; needed: {', '.join(OUTPUTS)}")
        present = {output.name for output in self._session.get_outputs()}
        missing = {OUTPUTS[head] for head in bundle.heads} - present
        if missing or "origin" not in bundle.heads:
            raise ModelError(f"{bundle.model_file}: found no output {', '.join(sorted(missing)) or 'logit'}")
        self._heads = [head for head in OUTPUTS if head in bundle.heads]
        inputs = {given.name for given in self._session.get_inputs()}
        self.needs_map, self.needs_onsets = "map" in inputs, "onsets" in inputs
        """Whether it wants the windows' maps, and their maps of onsets, beside their statistics."""

    def run(
        self,
        features: npt.NDArray[np.float32],
        maps: npt.NDArray[np.float32] | None = None,
        onsets: npt.NDArray[np.float32] | None = None,
    ) -> WindowScores:
        """Score windows.

        Args:
            features: float32, shape (n, N_FEATURES), n at least 1.
            maps: float32, shape (n, 2, n_frames, N_MAP_BINS), for a model that needs them.
            onsets: float32, shape (n, N_MAP_BANDS, n_fine_frames) of :mod:`provenance.envelope`, likewise.
        """
        inputs = {"features": features}
        if self.needs_map and maps is not None:
            inputs["map"] = maps
        if self.needs_onsets and onsets is not None:
            inputs["onsets"] = onsets
        values = self._session.run([OUTPUTS[head] for head in self._heads], inputs)
        found = dict(zip(self._heads, values, strict=True))

        def flat(head: str) -> npt.NDArray[np.float32] | None:
            return found[head].reshape(len(features)) if head in found else None

        logit = flat("origin")
        assert logit is not None  # checked in __init__; for the type checker
        return WindowScores(
            logit, found.get("processing"), flat("sdr"), flat("distance"), found.get("effects"), found.get("family"),
            flat("layers"), found.get("strengths"), flat("gated"),
        )  # fmt: skip
