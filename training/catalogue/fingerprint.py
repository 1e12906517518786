"""Audio fingerprints: the same song under two names, at another level, cut elsewhere or after a codec."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import soxr

Wave = npt.NDArray[np.float32]
Print = npt.NDArray[np.uint32]
FROM_HZ, RATE_HZ = 44_100, 5_512.5
FRAME, HOP = 2048, 64
"""0.37 s and 11.6 ms, as in the source."""
N_BANDS, LOW_HZ, HIGH_HZ = 33, 300.0, 2000.0
MAX_BIT_ERRORS = 0.35
MIN_OVERLAP = 172
"""Two seconds: fewer frames in common prove nothing."""
MIN_VOTES = 3
_QUIET_DB = -60.0


def compute(wave: Wave) -> Print:
    """Return a fingerprint: one word of 32 bits each 11.6 ms, 0 where it is quiet.

    A bit says whether the difference of two neighbouring bands grew since the frame before.

    Args:
        wave: float32 (n, channels) at 44.1 kHz.

    Source: J. Haitsma and T. Kalker, A highly robust audio fingerprinting system, ISMIR 2002.
    """
    mono = soxr.resample(wave.mean(1), FROM_HZ, RATE_HZ) if len(wave) else np.zeros(0, np.float32)
    if len(mono) < FRAME + HOP:
        return np.zeros(0, np.uint32)
    frames = np.lib.stride_tricks.sliding_window_view(mono, FRAME)[::HOP]
    edges = np.geomspace(LOW_HZ, HIGH_HZ, N_BANDS + 1) / RATE_HZ * FRAME
    starts = np.round(edges).astype(int)
    window = np.hanning(FRAME).astype(np.float32)
    bands = np.empty((len(frames), N_BANDS))
    for at in range(0, len(frames), 1024):  # a few megabytes at a time
        power = np.abs(np.fft.rfft(frames[at : at + 1024] * window)) ** 2
        bands[at : at + 1024] = np.add.reduceat(power[:, : starts[-1]], starts[:-1], 1)
    step = np.diff(bands, axis=1)
    bits = (np.diff(step, axis=0) > 0).astype(np.uint32)
    words = (bits << np.arange(N_BANDS - 1, dtype=np.uint32)).sum(1, dtype=np.uint32)
    total = bands[1:].sum(1)
    words[total <= total.max(initial=0.0) * 10 ** (_QUIET_DB / 10)] = 0
    return words


def same(a: Print, b: Print, lag: int) -> bool:
    """Whether two fingerprints agree where they overlap.

    Args:
        a, b: as :func:`compute` returns them.
        lag: frame of ``a`` on which the first of ``b`` falls; may be negative.
    """
    start, stop = max(0, lag), min(len(a), lag + len(b))
    if stop - start < MIN_OVERLAP:
        return False
    x, y = a[start:stop], b[start - lag : stop - lag]
    known = (x != 0) & (y != 0)
    if known.sum() < MIN_OVERLAP:
        return False
    wrong = np.bitwise_count(x[known] ^ y[known]).mean() / (N_BANDS - 1)
    return bool(wrong < MAX_BIT_ERRORS)


def pairs(prints: Mapping[str, Print]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of names whose sound is the same.

    Args:
        prints: fingerprint of each name.
    """
    where: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for name, words in prints.items():
        votes: Counter[tuple[str, int]] = Counter()
        for at, word in enumerate(words.tolist()):
            if word:
                for other, place in where.get(word, ()):
                    votes[other, place - at] += 1
        joined: set[str] = set()
        for (other, lag), count in votes.most_common(50):
            if count >= MIN_VOTES and other not in joined and same(prints[other], words, lag):
                joined.add(other)
                yield other, name
        for at, word in enumerate(words.tolist()):
            if word and len(where[word]) < 200:  # a word that is everywhere tells nothing
                where[word].append((name, at))
