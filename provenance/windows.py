"""Windowing: a stream of blocks cut into windows that lie side by side and cover all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from provenance.audio import SAMPLE_RATE_HZ, Samples

WINDOW_S = 4.0
MIN_WINDOW_S = 1.0
"""A file shorter than this is too short to judge."""
HELD_S = 30.0
"""What is held of an opening to know its loudest sample, and of quiet until it is known whether anything follows.

Digital silence takes no memory.
"""

_TOLD_BY = 1024


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
    blocks: Iterable[Samples],
    stride: int = 1,
    sounds: Callable[[Samples], bool] = lambda samples: True,
    below: float | None = None,
) -> Iterator[Window]:
    """Cut a stream into windows of 4 s; the last is moved back so that it ends with the stream.

    Args:
        blocks: float32 blocks of shape (n, channels) at 44.1 kHz.
        stride: keep one window of so many (1 is full coverage); a short stream is always covered.
        sounds: whether a window holds sound; after one that does not the next is kept, however many were to be passed.
        below: both ends of the stream that never get beyond this share of its loudest sample are left out first: half a
            window of padding says nothing of what was padded. None leaves nothing out.

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
    for at, block in _placed(blocks) if below is None else _sounding(blocks, below):
        if not held and last is None:
            start = at
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
            yield Window(start / SAMPLE_RATE_HZ, tail)
    elif len(tail) and index >= due:
        moved = np.concatenate([last[len(tail) :], tail])
        if len(tail) >= minimum or (not heard and sounds(moved)):
            yield Window((start + len(tail) - size) / SAMPLE_RATE_HZ, moved)


def _placed(blocks: Iterable[Samples]) -> Iterator[tuple[int, Samples]]:
    """Yield each block with where it begins, in samples."""
    at = 0
    for block in blocks:
        yield at, block
        at += len(block)


def _sounding(blocks: Iterable[Samples], below: float) -> Iterator[tuple[int, Samples]]:
    """Yield what lies between the first and the last sample that sounds, and where each block of it begins.

    A sample sounds that is more than ``below`` of the loudest: of the opening for those in it, then of all so far.
    """
    stream = _placed(blocks)
    opening, peak = _opening(stream)
    quiet: list[tuple[int, Samples]] = []
    n_quiet = 0
    begun = False
    for at, block in chain(opening, stream):
        peak = max(peak, _level(block))
        first, end = 0, _end(block, below * peak)
        if end:
            if not begun:
                first = int(np.flatnonzero((np.abs(block) > below * peak).any(axis=1))[0])
            yield from quiet
            quiet, n_quiet = [], 0
            yield at + first, block[first:end]
            begun = True
        if begun and end < len(block):
            rest = block[end:]
            if rest.any():
                n_quiet += len(rest)
            else:
                rest = np.broadcast_to(np.float32(0), rest.shape)
            quiet.append((at + end, rest))
        if n_quiet > HELD_S * SAMPLE_RATE_HZ:
            yield from quiet
            quiet, n_quiet = [], 0


def _opening(stream: Iterator[tuple[int, Samples]]) -> tuple[list[tuple[int, Samples]], float]:
    """Return the blocks of the first HELD_S from where anything is, and the loudest sample of them."""
    held: list[tuple[int, Samples]] = []
    n_held, peak = 0, 0.0
    for at, block in stream:
        level = _level(block)
        if level > 0 or held:
            held.append((at, block))
            n_held, peak = n_held + len(block), max(peak, level)
        if n_held >= HELD_S * SAMPLE_RATE_HZ:
            break
    return held, peak


def _level(block: Samples) -> float:
    return max(float(block.max()), -float(block.min())) if block.size else 0.0


def _end(block: Samples, floor: float) -> int:
    """Return where the last sample beyond a level ends, or 0; mostly the last few samples tell."""
    for start in sorted({max(0, len(block) - _TOLD_BY), 0}, reverse=True):
        loud = np.flatnonzero((np.abs(block[start:]) > floor).any(axis=1))
        if len(loud):
            return start + int(loud[-1]) + 1
    return 0
