"""The first stretch of a file that sounds: what two files are compared by, however long they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from provenance import audio
from provenance.audio import SAMPLE_RATE_HZ, Samples, Source


@dataclass(frozen=True)
class Head:
    """A stretch of a file.

    Args:
        samples: float32, shape (n, 1 or 2) at 44.1 kHz; none where nothing sounds.
        start_samples: where it begins in the file.
        goes_on: whether the file goes on behind it.
        rate_hz: of the file.
    """

    samples: Samples
    start_samples: int
    goes_on: bool
    rate_hz: int


def read_head(source: Source, most_s: float, least_rms: float, start_samples: int | None = None) -> Head:
    """Read a stretch of a file; what lies before it is decoded and not kept.

    Args:
        source: a path, encoded bytes, a binary file, or ``(samples, rate)``.
        most_s: so much of it.
        least_rms: level from which a block of up to four seconds sounds.
        start_samples: where to begin; None is the first block that sounds.

    Raises:
        UnreadableAudio: it cannot be read.
    """
    held: list[Samples] = []
    n = position = 0
    want = int(most_s * SAMPLE_RATE_HZ)
    start = start_samples
    with audio.open_audio(source) as (info, blocks):
        for block in blocks:
            if start is None and audio.level(block) >= least_rms:
                start = position
            skip = len(block) if start is None else max(0, start - position)
            position += len(block)
            if skip < len(block):
                held.append(block[skip:])
                n += len(block) - skip
            if n > want:
                break
    joined = np.concatenate(held)[:want] if held else np.zeros((0, info.n_channels), np.float32)
    return Head(joined, start or 0, n > want, info.sample_rate_hz)
