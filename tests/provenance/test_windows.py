"""Windows: side by side, covering everything, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.audio import SAMPLE_RATE_HZ
from provenance.windows import HELD_S, MIN_WINDOW_S, WINDOW_S, split

SIZE = int(WINDOW_S * SAMPLE_RATE_HZ)


def ramp(n: int) -> np.ndarray:
    """Samples that name their own position."""
    return np.arange(n, dtype=np.float32)[:, None]


@settings(max_examples=40, deadline=None)
@given(n=st.integers(0, 4 * SIZE), cuts=st.lists(st.integers(0, 4 * SIZE), max_size=5))
def test_every_sample_lies_in_a_window_and_blocks_do_not_matter(n: int, cuts: list[int]) -> None:
    """Windows hold the samples their times say, cover all of a stream (but a tail under a second), however it came."""
    wave = ramp(n)
    windows = list(split(np.split(wave, sorted(min(c, n) for c in cuts))))
    seen = np.zeros(n, bool)
    for window in windows:
        start = round(window.start_s * SAMPLE_RATE_HZ)
        assert np.array_equal(window.samples, wave[start : start + len(window.samples)])
        assert abs(window.end_s * SAMPLE_RATE_HZ - start - len(window.samples)) < 0.5
        seen[start : start + len(window.samples)] = True
    if n < MIN_WINDOW_S * SAMPLE_RATE_HZ:
        assert not windows
    else:
        assert np.count_nonzero(~seen) < MIN_WINDOW_S * SAMPLE_RATE_HZ
        assert n < SIZE or all(len(w.samples) == SIZE for w in windows)


def test_a_stride_keeps_one_window_of_so_many() -> None:
    """Sparse coverage looks at every fourth window and at a short stream all the same."""
    starts = [round(w.start_s) for w in split([ramp(SIZE * 9)], stride=4)]
    assert starts == [0, 16, 32]
    assert len(list(split([ramp(2 * SAMPLE_RATE_HZ)], stride=4))) == 1


def test_a_stride_goes_on_until_it_meets_sound() -> None:
    """A window without sound is no window looked at: the next one is kept, and then so many are passed again."""
    wave = np.ones((SIZE * 9, 1), np.float32)
    wave[: 2 * SIZE] = 0
    starts = [round(w.start_s) for w in split([wave], 4, lambda samples: bool(samples.any()))]
    assert starts == [0, 4, 8, 24]


@pytest.mark.parametrize(("sounding", "expected"), [(True, [0]), (False, [0, 0.5])])
def test_an_end_of_under_a_second_is_kept_where_nothing_before_it_sounds(sounding: bool, expected: list[float]) -> None:
    """A sample played once at the end of a track is not passed."""
    wave = np.zeros((SIZE + SIZE // 8, 1), np.float32)
    wave[SIZE:] = 1
    wave[:100] = sounding
    windows = list(split([wave], 1, lambda samples: bool(samples.any())))
    assert [window.start_s for window in windows] == expected
    assert windows[-1].samples[-1] == (not sounding)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.99, []), (1.0, [0.0]), (4.0, [0.0]), (4.5, [0.0]), (5.2, [0.0, 1.2])]
)
def test_the_last_window_is_moved_back(seconds: float, expected: list[float]) -> None:
    """The last window ends with the stream and is as long as the others; a tail under a second is left."""
    found = [round(w.start_s, 3) for w in split([ramp(int(seconds * SAMPLE_RATE_HZ))])]
    assert found == pytest.approx(expected)


def test_windows_come_while_blocks_are_read() -> None:
    """A window is given as soon as it is full: nothing waits for the end of a stream."""
    read = []

    def blocks():  # type: ignore[no-untyped-def]
        for k in range(5):
            read.append(k)
            yield ramp(SIZE)

    stream = split(blocks())
    next(stream)
    assert read == [0]


@settings(max_examples=40, deadline=None)
@given(
    before=st.integers(0, 2 * SIZE),
    n=st.integers(1, 2 * SIZE),
    after=st.integers(0, 2 * SIZE),
    cuts=st.lists(st.integers(0, 6 * SIZE), max_size=5),
)
def test_silent_ends_move_no_window(before: int, n: int, after: int, cuts: list[int]) -> None:
    """What is padded is cut as what was padded, only later; a pause inside is no end."""
    sound = 1 + ramp(n) / n
    sound[n // 3 : n // 2] = 0
    padded = np.concatenate([np.zeros((before, 1), np.float32), sound, np.zeros((after, 1), np.float32)])
    pieces = np.split(padded, sorted(min(c, len(padded)) for c in cuts))
    expected = list(split([sound]))
    found = list(split(pieces, below=0.3))
    assert len(found) == len(expected)
    for a, b in zip(expected, found, strict=True):
        assert np.array_equal(a.samples, b.samples)
        assert b.start_s == pytest.approx(a.start_s + before / SAMPLE_RATE_HZ, abs=1e-9)


def test_a_long_end_of_hiss_takes_little_memory() -> None:
    """Quiet that is no digital silence is held for half a minute, then taken for a pause."""
    hiss = np.full((SIZE, 1), 0.1, np.float32)
    given = 0

    def blocks():  # type: ignore[no-untyped-def]
        nonlocal given
        yield np.ones((SIZE, 1), np.float32)
        for _ in range(20):
            given += 1
            yield hiss

    stream = split(blocks(), below=0.5)
    assert [next(stream).start_s for _ in range(2)] == [0.0, WINDOW_S]
    assert HELD_S <= given * WINDOW_S <= HELD_S + 2 * WINDOW_S


def test_ends_are_as_quiet_as_the_file_is_loud() -> None:
    """A copy at another level is cut alike: what is an end lies so far below the loudest sample, before it or after."""
    wave = np.full((3 * SIZE, 2), 0.4, np.float32)
    wave[: SIZE // 3] = 1e-5
    wave[-SIZE // 4 :] = 1e-5
    wave[SIZE] = 0.8
    for gain in (1.0, 0.01, 10.0):
        found = list(split(np.array_split(np.float32(gain) * wave, 7), below=1e-4))
        assert found[0].start_s == pytest.approx(WINDOW_S / 3, abs=1e-4)
        assert found[-1].end_s == pytest.approx(2.75 * WINDOW_S, abs=1e-4)
    wave *= np.float32(0.1)
    wave[SIZE] = 0.8
    assert next(iter(split([wave], below=1e-4))).start_s == pytest.approx(WINDOW_S / 3, abs=1e-4)
