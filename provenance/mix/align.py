"""Alignment of a stem with the mix it claims to come from: delay by whitened correlation, gain by projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provenance.audio import SAMPLE_RATE_HZ, Samples

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

    Source: C. Knapp and G. Carter, The generalized correlation method for estimation of time delay, IEEE TASSP 24,
    1976; here with half of the whitening, which keeps quiet bands from ruling.
    """
    a, b = (_mono(wave) for wave in (stem, mix))
    n = 1 << int(len(a) + len(b) - 1).bit_length()
    cross = np.fft.rfft(b, n) * np.conj(np.fft.rfft(a, n))
    cross /= np.sqrt(np.abs(cross)) + 1e-9 * float(np.abs(cross).max()) ** 0.5 + 1e-30
    found = np.fft.irfft(cross, n)
    limit = min(int(MAX_DELAY_S * SAMPLE_RATE_HZ), n // 2 - 1)
    near = np.concatenate([found[-limit:], found[: limit + 1]])
    best = int(np.abs(near).argmax())
    spread = float(near.std())
    return Alignment(best - limit, float(np.abs(near[best]) / spread) if spread > 0 else 0.0)


def _mono(samples: Samples) -> npt.NDArray[np.float32]:
    mono = samples.mean(axis=1)
    out: npt.NDArray[np.float32] = mono - mono.mean()
    return out
