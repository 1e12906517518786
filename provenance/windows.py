"""Windowing: a stream of blocks cut into windows that lie side by side and cover all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from provenance.audio import SAMPLE_RATE_HZ, Samples

WINDOW_S = 4.0
MIN_WINDOW_S = 1.0
"""A file shorter than this is too short to judge."""


@dataclass(frozen=True)
class Window:
    """A window of audio.

    Args:
        start_s: where it begins in the file.
        samples: float32, shape (n_samples, 1 or 2), 1 to 4 s at 44.1 kHz.
    """

    start_s: float
    samples: Samples

    @property
    def end_s(self) -> float:
        """Where it ends in the file, in seconds."""
        return self.start_s + len(self.samples) / SAMPLE_RATE_HZ


def split(
    blocks: Iterable[Samples], stride: int = 1, sounds: Callable[[Samples], bool] = lambda samples: True
) -> Iterator[Window]:
    """Cut a stream into windows of 4 s; the last is moved back so that it ends with the stream.

    Args:
        blocks: float32 blocks of shape (n, channels) at 44.1 kHz.
        stride: keep one window of so many (1 is full coverage); a short stream is always covered.
        sounds: whether a window holds sound; after one that does not the next is kept, however many were to be passed.

    Yields:
        Windows in order. A stream under 4 s gives one shorter window, one under 1 s gives none. An end of under a
        second is left out, unless nothing that was kept before it sounds.

    >>> import numpy as np
    >>> [round(w.start_s, 2) for w in split([np.zeros((44100 * 9, 1), np.float32)])]
    [0.0, 4.0, 5.0]
    """
    size, minimum = int(WINDOW_S * SAMPLE_RATE_HZ), int(MIN_WINDOW_S * SAMPLE_RATE_HZ)
    held: list[Samples] = []
    n_held = start = index = due = 0
    heard = False
    last: Samples | None = None
    for block in blocks:
        held.append(block)
        n_held += len(block)
        while n_held >= size:
            joined = held[0] if len(held) == 1 else np.concatenate(held)
            last, rest = joined[:size], joined[size:]
            if index >= due:
                does = (stride > 1 or not heard) and sounds(last)
                heard |= does
                due = index + (stride if stride > 1 and does else 1)
                yield Window(start / SAMPLE_RATE_HZ, last)
            index, start = index + 1, start + size
            held, n_held = [rest], len(rest)
    tail = np.concatenate(held) if held else np.zeros((0, 1), np.float32)
    if last is None:
        if len(tail) >= minimum:
            yield Window(0.0, tail)
    elif len(tail) and index >= due:
        moved = np.concatenate([last[len(tail) :], tail])
        if len(tail) >= minimum or (not heard and sounds(moved)):
            yield Window((start + len(tail) - size) / SAMPLE_RATE_HZ, moved)
