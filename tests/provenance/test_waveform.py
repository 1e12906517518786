"""Statistics of the waveform: sounds whose echoes, level and image are known, and what each statistic must say."""

from __future__ import annotations

import numpy as np
import pytest

from provenance import frontend, waveform
from tests import sounds
from training.processors import image, level, space

RATE_HZ = sounds.RATE_HZ
N = 4 * RATE_HZ


def statistics(wave: sounds.Wave) -> dict[str, float]:
    """Statistics of the waveform by name, as the front end computes them."""
    found = frontend.compute(np.asarray(wave, np.float32))[-len(waveform.names()) :]
    return dict(zip(waveform.names(), found.tolist(), strict=True))


def noise(seed: int = 0, channels: int = 1) -> sounds.Wave:
    """Four seconds of white noise."""
    return (0.1 * np.random.default_rng(seed).standard_normal((N, channels))).astype(np.float32)


@pytest.mark.parametrize("delay_ms", [15, 30, 60, 120, 250, 400])
@pytest.mark.parametrize("sound", ["noise", "music"])
def test_an_echo_is_a_peak_at_its_delay(delay_ms: int, sound: str) -> None:
    """A copy 10 dB down raises the highest point of the cepstrum in the range that holds it more than in any other."""
    plain = noise() if sound == "noise" else sounds.music(4.0, channels=1)
    shift = round(delay_ms * 1e-3 * RATE_HZ)
    echoed = plain.copy()
    echoed[shift:] += 0.316 * plain[:-shift]
    before, after = statistics(plain), statistics(echoed)
    gain = {name: after[name] - before[name] for name in after if name.startswith("cepstrum_peak1_")}
    first = max(gain, key=lambda name: gain[name])
    low, high = (int(ms) for ms in first.split("_")[2].removesuffix("ms").split("-"))
    assert low <= delay_ms < high
    assert gain[first] > (0.3 if sound == "noise" else 0.1)


def test_every_delay_of_the_effects_chains_is_seen() -> None:
    """The delay of the chains at half strength, whatever its time and filter, stands out of the cepstrum of music."""
    names = [
        n for n in waveform.names() if n.startswith("cepstrum_peak1_") and int(n.split("-")[1].split("ms")[0]) > 80
    ]
    for seed in range(6):
        plain = sounds.music(4.0, seed=seed)
        echoed = space.delay(plain, 0.5, np.random.default_rng(seed))
        before, after = statistics(plain), statistics(echoed)
        assert max(after[n] - before[n] for n in names) > 0.2


def test_a_late_side_is_a_peak_between_the_channels() -> None:
    """One side 12 ms after the other correlates at that delay, and no longer at none."""
    plain = noise()[:, 0]
    shift = int(0.012 * RATE_HZ)
    late = np.stack([plain, np.concatenate([np.zeros(shift, np.float32), plain[:-shift]])], axis=1)
    found, together = statistics(late), statistics(np.stack([plain, plain * np.float32(0.5)], axis=1))
    heights = {name: value for name, value in found.items() if name.startswith("between_height_")}
    assert max(heights, key=lambda name: heights[name]) == "between_height_10-20ms"
    assert together["between_0"] > 0.9 > 0.2 > found["between_0"]


def test_a_panned_stem_has_one_pan_at_all_pitches() -> None:
    """Panning moves the level of both sides apart alike in every band; a filter on one side does not."""
    plain = np.repeat(noise(), 2, axis=1)
    panned = statistics(plain * np.array([1.0, 0.5], np.float32))
    assert panned["pan"] == pytest.approx(6.02, abs=0.1)
    assert panned["pan_range"] < 0.1
    soft = plain.copy()
    soft[1:, 1] = 0.5 * plain[1:, 1] + 0.5 * plain[:-1, 1]
    assert statistics(soft)["pan_range"] > 1
    placed = statistics(image.place(plain, 0.8, np.random.default_rng(1)))
    assert placed["width"] > statistics(plain)["width"]


def test_a_limiter_lowers_and_a_clipper_flattens_the_peaks() -> None:
    """8 dB into a limiter lower the crest factor; clipped at half its peak, a wave has hundreds of samples there."""
    wave = sounds.music(4.0)
    half = np.float32(0.5 * np.abs(wave.mean(1)).max())
    before = statistics(wave)
    assert statistics(level.limit(wave, 0.5, np.random.default_rng(0)))["crest"] < before["crest"] - 2
    clipped = statistics(np.clip(wave.mean(1, keepdims=True), -half, half))
    assert clipped["above_0.999"] > before["above_0.999"] + 1
    assert clipped["near_peak_0.1_1024"] > before["near_peak_0.1_1024"]


def test_a_high_pass_empties_the_low_end() -> None:
    """What is below 100 Hz falls by more than 10 dB, what is at 300 Hz stays."""
    wave = noise()
    spectrum = np.fft.rfft(wave[:, 0])
    hz = np.fft.rfftfreq(N, 1 / RATE_HZ)
    cut = np.fft.irfft(spectrum * np.where(hz < 100, 0.1, 1.0), N)[:, None].astype(np.float32)
    before, after = statistics(wave), statistics(cut)
    assert after["low_end_40-50"] < before["low_end_40-50"] - 10
    assert after["low_end_250-315"] == pytest.approx(before["low_end_250-315"], abs=0.5)


def test_nothing_depends_on_gain_polarity_or_side() -> None:
    """Turned down, turned over and with its sides swapped, a window gives the same statistics."""
    wave = sounds.music(4.0)
    first = np.array(list(statistics(wave).values()))
    for other in (wave * np.float32(0.1), -wave, wave[:, ::-1]):
        np.testing.assert_allclose(list(statistics(other).values()), first, atol=2e-2)


@pytest.mark.parametrize("seconds", [1.0, 1.7, 3.2, 4.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_statistic_is_finite_on_any_window(seconds: float, channels: int) -> None:
    """Tones, clicks, noise and near silence of one to four seconds give finite values, as many as there are names."""
    n = int(seconds * RATE_HZ)
    click = np.zeros((n, channels), np.float32)
    click[n // 2] = 0.5
    faint = 1e-5 * sounds.noise(seconds, channels=channels)
    one_side = sounds.noise(seconds, channels=channels)
    one_side[:, 0] = 0 if channels == 2 else one_side[:, 0]
    for wave in (sounds.tone(440, seconds, channels=channels), click, faint, one_side):
        found = statistics(wave)
        assert len(found) == len(waveform.names())
        assert np.isfinite(list(found.values())).all()
