"""Whether two recordings hold the same performance, and how many samples apart they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance.audio import SAMPLE_RATE_HZ, Samples

Wave: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (n,), one channel at 44.1 kHz."""

WHITENING = 0.75
"""Exponent of the cross-spectrum's magnitude that is divided out: 1 is the phase transform of C. H. Knapp and
G. C. Carter (1976), 0 plain correlation. Between them a reverberant copy still peaks at its direct sound."""
_GUARD = 64
"""Samples on each side of a peak that belong to it."""
CANCELLED = 1e-3
"""Power of the middle beside that of the channels below which they are of opposite polarity, and the first speaks."""


@dataclass(frozen=True)
class Alignment:
    """Where two recordings match best.

    Args:
        offset_samples: what happens in the first at sample n happens in the second at n + offset, at 44.1 kHz.
        peak: height of the whitened correlation's peak in standard deviations of the rest.
        runner_up: height of the next peak elsewhere, in the same unit.
        inverted: whether the second has the opposite polarity there.
        overlap_s: how long both go on together at that offset.
    """

    offset_samples: int
    peak: float
    runner_up: float
    inverted: bool
    overlap_s: float


def fold(samples: Samples) -> Wave:
    """Return the middle of the channels, without its mean.

    Args:
        samples: float32, shape (n, 1 or 2).
    """
    wave = middle(samples)
    out: Wave = (wave - wave.mean()).astype(np.float32)
    return out


def middle(samples: Samples) -> Wave:
    """Return the mean of the channels, or the first of two that cancel each other.

    Args:
        samples: float32, shape (n, 1 or 2).
    """
    wave: Wave = samples.mean(axis=1)
    if samples.shape[1] > 1 and len(samples) and wave.var() < CANCELLED * samples.var(axis=0).mean():
        return samples[:, 0]
    return wave


def align(first: Wave, second: Wave) -> Alignment:
    """Find the offset at which two recordings match best.

    Args:
        first, second: float32, shape (n,), 44.1 kHz.

    Returns:
        The alignment; a peak of 0 where one of them is silent.
    """
    found = correlate(first, second, WHITENING, 1e-6)
    if found is None:
        return Alignment(0, 0.0, 0.0, False, 0.0)
    lags = np.concatenate([found[len(found) - len(first) + 1 :], found[: len(second)]])
    del found
    inverted = bool(-lags.min() > lags.max())
    height = np.abs(lags, out=lags)
    best = int(height.argmax())
    highest = float(height[best])
    offset = best - (len(first) - 1)
    height[max(0, best - _GUARD) : best + _GUARD + 1] = 0.0
    spread = float(np.sqrt(np.vdot(height, height) / len(height))) or 1e-12
    overlap = min(len(first), len(second) - offset) - max(0, -offset)
    return Alignment(
        offset,
        highest / spread,
        float(height.max() / spread),
        inverted,
        max(0, overlap) / SAMPLE_RATE_HZ,
    )


def correlate(first: Wave, second: Wave, whitening: float, floor: float) -> npt.NDArray[np.floating] | None:
    """Return the generalised correlation of two recordings at every offset, padded with silence.

    Args:
        first, second: float32, shape (n,) and (m,), 44.1 kHz.
        whitening: exponent of the cross-spectrum's magnitude that is divided out, 0..1.
        floor: share of its largest magnitude below which less is divided out.

    Returns:
        Shape (a power of two,): from offset 0 up, and negative offsets from the end down; None where one is silent.

    Source: C. H. Knapp and G. C. Carter, The generalized correlation method for estimation of time delay, IEEE TASSP
    24, 1976.
    """
    n = 1 << (len(first) + len(second) - 2).bit_length()
    own = np.fft.rfft(first, n).astype(np.complex64)  # of a minute it would hold 67 MB beside those of the second
    cross = np.fft.rfft(second, n)
    cross *= np.conj(own, out=own)
    del own
    size = np.abs(cross)
    loudest = float(size.max()) if len(size) else 0.0
    if loudest <= 1e-12:
        return None
    size += floor * loudest
    cross /= np.power(size, whitening, out=size)
    del size
    return np.fft.irfft(cross, n)


def overlap(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32], offset: int) -> tuple[Samples, Samples]:
    """Return the parts of both that sound together.

    Args:
        first, second: float32, time along the first axis.
        offset: of :class:`Alignment`.
    """
    start = max(0, -offset)
    end = min(len(first), len(second) - offset)
    if end <= start:
        return first[:0], second[:0]
    return first[start:end], second[start + offset : end + offset]
