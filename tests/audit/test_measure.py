"""Measures beside the verdict: levels are those of the samples, landmarks survive what sellers do to a take."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from provenance.audit.likeness import MIN_VOTES
from provenance.audit.measure import MAX_LANDMARKS, Measured, Meter
from provenance.audit.phases import MIN_SHARED, share_phase
from tests import sounds
from tests.audit import make
from tests.audit.test_report import _masked


def measure(wave: np.ndarray, block: int = 176_400) -> Measured:
    """Return what a meter finds, shown the wave in blocks."""
    meter = Meter()
    for start in range(0, len(wave), block):
        meter.see(wave[start : start + block], float(np.abs(wave[start : start + block]).max()))
    return meter.finish()


def votes(a: Measured, b: Measured) -> int:
    """Return how many landmarks two files have in common at one offset."""
    at = defaultdict(list)
    for h, t in zip(a.landmarks, a.landmark_frames, strict=True):
        at[h].append(t)
    found: Counter[int] = Counter()
    for h, t in zip(b.landmarks, b.landmark_frames, strict=True):
        for u in at[h]:
            found[u - t] += 1
    return max((found[d] + found.get(d + 1, 0) for d in found), default=0)


def test_levels_are_those_of_the_samples() -> None:
    """A sine of half scale has a peak of -6.02 dBFS and a level of -9.03, in any blocks; silence has none."""
    found = measure(sounds.tone(997, 4.0, level=0.5, channels=2), 10_000)
    assert found.peak_db == pytest.approx(-6.02, abs=0.02)
    assert found.rms_db == pytest.approx(-9.03, abs=0.02)
    assert measure(np.zeros((44_100, 1), np.float32)).rms_db is None
    assert measure(np.clip(4 * make.take(1), -1, 1)).clipped > 0 == found.clipped


@pytest.mark.parametrize("block", [1_000, 44_100, 176_400])
def test_landmarks_do_not_depend_on_the_blocks(block: int) -> None:
    """A file has the same landmarks however its decoder cuts it."""
    wave = make.take(3, 8.0)
    found, whole = measure(wave, block), measure(wave, len(wave))
    assert found.landmarks == whole.landmarks
    assert 40 < len(found.landmarks) <= MAX_LANDMARKS


def test_landmarks_find_a_take_again_and_no_other() -> None:
    """Trimmed, quieter, noisy, folded to mono: enough landmarks stay at one offset; other takes have too few."""
    wave = make.take(5, 8.0)
    noise = sounds.noise(8.0, level=0.003)
    changed = (0.3 * wave + noise[: len(wave)])[30_000:].mean(axis=1, keepdims=True)
    assert votes(measure(wave), measure(changed)) >= MIN_VOTES
    others = [measure(make.take(seed, 8.0)) for seed in range(20, 32)]
    assert max(votes(measure(wave), other) for other in others) < MIN_VOTES


def test_masked_outputs_share_their_phase_and_takes_do_not() -> None:
    """A mask gives both outputs the phase of the mix; two takes agree by chance."""
    a, b = make.take(91), make.take(92)
    first, second = (wave[:, None] for wave in _masked(a, b))
    shared, leftover = share_phase(first, second)
    assert shared is not None
    assert shared > 0.6 > MIN_SHARED
    assert leftover is not None
    assert leftover > 0.5
    for seed in range(100, 106):
        apart, _ = share_phase(make.take(seed), make.take(seed + 50))
        assert apart is None or abs(apart) < MIN_SHARED / 2
