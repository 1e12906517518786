"""Alignment of a stem with the mix it claims to come from: delay by whitened correlation, gain by projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.pairs.align import correlate, fold

MAX_DELAY_S = 10.0
LEAST_PROMINENCE = 15.0
"""A peak of the correlation below this many standard deviations is chance: stems of other songs reached 13."""


@dataclass(frozen=True)
class Alignment:
    """Where a stem lies in a mix.

    Args:
        delay_samples: how much later the stem's first sample lies in the mix; negative if the mix starts later.
        prominence: height of the correlation's peak in standard deviations.
    """

    delay_samples: int
    prominence: float

    @property
    def found(self) -> bool:
        """Whether the stem was found in the mix at all."""
        return self.prominence >= LEAST_PROMINENCE


def align(stem: Samples, mix: Samples) -> Alignment:
    """Find where a stem lies in a mix.

    Args:
        stem: float32, shape (n, 1 or 2) at 44.1 kHz, up to about a minute.
        mix: float32, shape (m, 1 or 2), from the same start.

    Source: generalised correlation (:func:`provenance.pairs.align.correlate`) with half of the whitening, which keeps
    quiet bands from ruling.
    """
    found = correlate(fold(stem), fold(mix), 0.5, 1e-18)
    if found is None:
        return Alignment(0, 0.0)
    limit = min(int(MAX_DELAY_S * SAMPLE_RATE_HZ), len(found) // 2 - 1)
    near = np.concatenate([found[-limit:], found[: limit + 1]])
    best = int(np.abs(near).argmax())
    spread = float(near.std())
    return Alignment(best - limit, float(np.abs(near[best]) / spread) if spread > 0 else 0.0)
