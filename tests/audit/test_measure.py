"""Measures beside the verdict: levels are those of the samples, landmarks survive what sellers do to a take."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from provenance import audio
from provenance.audit.likeness import MIN_VOTES
from provenance.audit.measure import MAX_LANDMARKS, Measured, Meter
from provenance.audit.phases import MIN_SHARED, share_phase
from provenance.containers import Counts
from tests import sounds
from tests.audit import make
from tests.audit.test_report import _masked


def measure(wave: np.ndarray, block: int = 176_400) -> Measured:
    """Return what a meter finds, shown the wave in blocks."""
    meter = Meter()
    counts = Counts(len(wave), peak=float(np.abs(wave).max()))
    for start in range(0, len(wave), block):
        meter.see(wave[start : start + block], counts)
    return meter.finish()


def measure_file(path: Path) -> Measured:
    """Return what a meter finds in a file, shown it as the scorer shows it."""
    meter = Meter()
    with audio.open_audio(path) as (info, blocks):
        for block in blocks:
            meter.see(block, info.counts)
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


@pytest.mark.parametrize("name", ["a.wav", "a48.wav", "a.mp3"])
def test_what_decoding_overshoots_is_not_clipped(tmp_path: Path, name: str) -> None:
    """A take normalised to full scale has no clipped samples, however far its decoder or resampler overshoots it, and
    the peak that it has in its file."""
    wave = make.take(1)
    rate = 48_000 if "48" in name else 44_100
    found = measure_file(sounds.write(tmp_path / name, wave / np.abs(wave).max(), rate))
    assert found.peak_db is not None
    assert found.peak_db > -0.3 if name == "a.mp3" else found.peak_db == pytest.approx(0, abs=0.01)
    assert found.clipped == 0


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_clipped_samples_are_counted_in_the_file_itself(tmp_path: Path, rate_hz: int) -> None:
    """A take that was driven into full scale has its flat tops counted, at whatever rate it is stored."""
    wave = make.take(1)
    wave = np.clip(4 * wave / np.abs(wave).max(), -1, 1)
    found = measure_file(sounds.write(tmp_path / "a.wav", wave, rate_hz))
    flat = (wave[1:] == wave[:-1]) & (np.abs(wave[1:]) == 1)
    assert found.clipped == pytest.approx(int(flat.sum()), rel=0.02)
    assert found.clipped > 1000


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
