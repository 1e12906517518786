"""Statistics of production: sounds whose processing is known, and what each statistic must say of it."""

from __future__ import annotations

import numpy as np
import pytest

from provenance import frontend, production
from tests import sounds

RATE_HZ = sounds.RATE_HZ


def statistics(wave: sounds.Wave) -> dict[str, float]:
    """Statistics of production by name."""
    found = frontend.compute(wave)[frontend.N_TEXTURE : frontend.N_TEXTURE + len(production.names())]
    return dict(zip(production.names(), found.tolist(), strict=True))


def noise(seconds: float = 4.0, seed: int = 0) -> sounds.Wave:
    """White noise in one channel."""
    wave = np.random.default_rng(seed).standard_normal((int(seconds * RATE_HZ), 1))
    return (0.1 * wave).astype(np.float32)


def bursts(period_s: float = 0.8, length_s: float = 0.06) -> sounds.Wave:
    """Short bursts of noise, with nothing but a faint hiss between them."""
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    gate = (t % period_s < length_s).astype(np.float32)[:, None]
    return (noise() * gate + 1e-4 * noise(seed=1)).astype(np.float32)


def test_a_room_lengthens_falls_in_every_band() -> None:
    """After a reverberation of one second, energy 190 ms after a peak is at least 10 dB less far below it."""
    room = np.random.default_rng(2).standard_normal(RATE_HZ) * 10 ** (-3 * np.arange(RATE_HZ) / RATE_HZ)
    dry = bursts()
    wet = np.convolve(dry[:, 0], room)[: len(dry), None].astype(np.float32)
    wet *= np.float32(np.sqrt(np.mean(dry**2) / np.mean(wet**2)))
    before, after = statistics(dry), statistics(wet)
    bands = [name for name in before if name.startswith("after_mean_8_")]
    assert len(bands) == 7
    assert all(after[name] > before[name] + 10 for name in bands)


@pytest.mark.parametrize(("hz", "band"), [(1.5, "1-2"), (3.0, "2-4"), (6.0, "4-8")])
def test_a_tremolo_shows_at_its_rate(hz: float, band: str) -> None:
    """Of noise whose level swings ten decibels hz times a second, that band of modulation holds the most."""
    t = np.arange(4 * RATE_HZ)[:, None] / RATE_HZ
    found = statistics((noise() * 10 ** (5 * np.sin(2 * np.pi * hz * t) / 20)).astype(np.float32))
    shares = {name: value for name, value in found.items() if name.startswith("modulation_") and name.endswith("_all")}
    assert len(shares) == 6
    assert max(shares, key=lambda name: shares[name]) == f"modulation_{band}_all"


def test_an_echo_repeats_the_onsets() -> None:
    """An echo after 300 ms stands out in the group of lags that holds 13 frames, beside the same bursts without it."""
    rng = np.random.default_rng(3)
    starts = np.cumsum(rng.uniform(0.7, 1.1, 5))
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    hits = sum(np.exp(-np.maximum(t - start, 0) / 0.02) * (t >= start) for start in starts if start < 3.8)
    plain = (noise() * hits[:, None] + 1e-4 * noise(seed=1)).astype(np.float32)
    shift = int(0.3 * RATE_HZ)
    echoed = plain.copy()
    echoed[shift:] += 0.6 * plain[:-shift]
    without, with_echo = statistics(plain), statistics(echoed)
    assert with_echo["repeat_11_all"] > without["repeat_11_all"] + 0.3


def test_a_comb_ripples_the_spectrum() -> None:
    """A copy two milliseconds later puts 22 waves into 11 kHz: the steady ripple peaks in that group and no other."""
    comb = noise()
    delay = int(0.002 * RATE_HZ)
    comb[delay:] += 0.9 * comb[:-delay]
    found, plain = statistics(comb), statistics(noise())
    gain = {name: found[name] - plain[name] for name in found if name.startswith("ripple_low_steady_mean_")}
    assert max(gain, key=lambda name: gain[name]) == "ripple_low_steady_mean_16-24"
    assert gain["ripple_low_steady_mean_16-24"] > 0.5


def test_a_band_that_swings_alone_does_not_follow_the_whole() -> None:
    """A top that swings with a loud tone follows the whole; one that swings against it does not."""
    t = np.arange(4 * RATE_HZ)[:, None] / RATE_HZ
    swing = 10 ** (6 * np.sin(2 * np.pi * 2 * t) / 20)
    tone = sounds.tone(300, 4.0)[:, :1]
    name = "follow_correlation_12000-20000"
    together = statistics((tone * swing + 0.1 * noise() * swing).astype(np.float32))
    against = statistics((tone * swing + 0.1 * noise() / swing).astype(np.float32))
    assert together[name] > 0.8
    assert against[name] < -0.8


def test_a_tilt_shows_in_the_long_term_spectrum() -> None:
    """The long-term spectrum of noise through a one-pole low pass falls from its third octave at 1 kHz to the top."""
    flat, soft = noise(), noise()
    for k in range(1, len(soft)):
        soft[k] = 0.9 * soft[k - 1] + 0.1 * soft[k]
    levels = [
        [value for name, value in statistics(wave).items() if name.startswith("spectrum_") and "bend" not in name]
        for wave in (flat, soft)
    ]
    assert np.ptp(levels[0]) < 3
    assert levels[1][0] - levels[1][-1] > 15


@pytest.mark.parametrize("seconds", [1.0, 1.7, 4.0])
def test_every_statistic_is_finite_on_any_window(seconds: float) -> None:
    """Tones, clicks, bursts and noise of one to four seconds give finite values, as many as there are names."""
    click = np.zeros((int(seconds * RATE_HZ), 2), np.float32)
    click[len(click) // 2] = 0.5
    for wave in (sounds.tone(440, seconds), click, noise(seconds), bursts()[: int(seconds * RATE_HZ)]):
        found = frontend.compute(wave)
        assert found.shape == (frontend.N_FEATURES,)
        assert np.isfinite(found).all()
