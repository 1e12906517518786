"""Noise reduction as two programs have it: SoX's as SoX itself does it, Audacity's by what its controls promise."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests import sounds
from training.processors import noise
from training.research import cleaning

RATE_HZ = sounds.RATE_HZ
EDGE = 2 * noise.TOLD_FRAME


def hiss(seed: int, level: float = 0.001, seconds: float = 2.0) -> sounds.Wave:
    """White noise in two channels."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((int(seconds * RATE_HZ), 2))).astype(np.float32)


def less_db(before: sounds.Wave, after: sounds.Wave) -> float:
    """How much quieter the middle of a passage became."""
    power = [float(np.mean(wave[EDGE:-EDGE].astype(float) ** 2)) for wave in (before, after)]
    return 10 * np.log10(power[0] / power[1])


@pytest.mark.skipif(shutil.which(cleaning.SOX) is None, reason="needs SoX, whose output it is compared with")
@pytest.mark.parametrize("amount", [0.02, 0.1, 0.21, 0.5])
@pytest.mark.parametrize("channels", [1, 2])
def test_noisered_is_what_sox_makes_of_the_same(amount: float, channels: int) -> None:
    """What differs from the program's own output lies 50 dB below it, and 30 dB below what was taken out."""
    wave = sounds.music(3.0, seed=2)[:, :channels].copy()
    noisy, told = cleaning.with_hiss(wave)
    theirs = cleaning._noise_reduced(wave, amount)
    assert len(wave) - noise.TOLD_FRAME < len(theirs) <= len(wave)
    inside = slice(0, len(theirs) - EDGE)
    ours = noise.noisered(noisy, told, amount)
    assert ours.shape == wave.shape
    power = lambda part: 10 * np.log10(np.mean(part[inside].astype(float) ** 2))  # noqa: E731
    differs_db = power(ours[: len(theirs)] - theirs)
    assert power(theirs) - differs_db > 50
    assert power(noisy[: len(theirs)] - theirs) - differs_db > 30


def test_a_bin_that_opens_all_alone_stays_shut() -> None:
    """One bin among closed ones is noise, three side by side open by halves and close so."""
    is_open = np.zeros((5, 12), bool)
    is_open[:2, 4] = is_open[:2, 8:11] = True
    gain = noise._by_halves(is_open)
    assert gain[:, 4].max() == 0
    assert gain[:, 9] == pytest.approx([0.5, 0.75, 0.375, 0.1875, 0.09375])


@pytest.mark.parametrize("depth_db", [12.0, 30.0])
@pytest.mark.parametrize("n_smoothed", [0, 3])
def test_noise_reduction_turns_noise_down_by_what_is_asked(depth_db: float, n_smoothed: int) -> None:
    """Other noise of the same kind becomes so much quieter, and a tone above it stays where it is."""
    alone = hiss(0)
    made = noise.noise_reduction(alone, hiss(1), depth_db, n_smoothed=n_smoothed)
    assert (made.shape, made.dtype) == (alone.shape, np.float32)
    assert less_db(alone, made) == pytest.approx(depth_db, abs=0.5)
    tone = sounds.tone(1000, 2.0, channels=2)
    assert less_db(tone, noise.noise_reduction(tone + alone, hiss(1), depth_db, n_smoothed=n_smoothed)) < 0.1


def test_the_more_sensitive_the_less_noise_passes() -> None:
    """At no sensitivity nothing is noise; at more, less of it is left."""
    alone = hiss(0)
    left = [less_db(alone, noise.noise_reduction(alone, hiss(1), 40.0, value, 0)) for value in (0.0, 0.5, 1.0, 6.0)]
    assert left[0] == pytest.approx(0, abs=0.01)
    assert np.all(np.diff(left) > 1)


def test_gains_rise_before_what_opens_and_fall_after_it() -> None:
    """By even steps of decibels: two frames of 512 samples for 20 ms, nine for 100 ms."""
    gain_db = np.full((1, 20), -18.0)
    gain_db[0, 5] = 0
    slopes_db = noise._by_slopes(gain_db, 18.0, 512)[0]
    assert slopes_db[:8] == pytest.approx([-18, -18, -18, -18, -9, 0, -2, -4])
    assert slopes_db[14:] == pytest.approx(-18)


def test_the_quietest_passage_is_found_and_silence_is_none() -> None:
    """Of a tone with a pause of noise the pause; of digital silence beside a tone, and of a tone alone, nothing."""
    wave = sounds.tone(500, 3.0, channels=2)
    pause = slice(RATE_HZ, 2 * RATE_HZ)
    wave[pause] = hiss(0, seconds=1.0)
    found = noise.quietest(wave, RATE_HZ // 2)
    assert len(found) == pytest.approx(RATE_HZ // 2, abs=noise.TOLD_FRAME)
    assert np.abs(found).max() < 0.01
    wave[pause] = 0
    assert len(noise.quietest(wave, RATE_HZ // 2)) == 0
    assert len(noise.quietest(sounds.tone(500, 1.0), RATE_HZ // 2)) == 0
    assert len(noise.quietest(sounds.tone(500, 1.0), 2 * RATE_HZ)) == 0
