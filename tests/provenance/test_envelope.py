"""The envelope at 3 ms: how onsets come, what comes before them, and how sounds waver, whatever the gain."""

from __future__ import annotations

import numpy as np
import pytest

from provenance import envelope
from tests import sounds

RATE = sounds.RATE_HZ


def found(wave: sounds.Wave) -> dict[str, float]:
    """Statistics of a window in one channel by name."""
    mono = np.ascontiguousarray(wave.mean(axis=1) if wave.ndim == 2 else wave, np.float32)
    return dict(zip(envelope.names(), envelope.compute(envelope.power(mono)).astype(float), strict=True))


def bursts(rise_s: float, early_s: float = 0.0, seed: int = 0) -> sounds.Wave:
    """Noise that sets in eight times, 40 dB above its floor: so slowly, and with a tenth of it so much too early."""
    rng = np.random.default_rng(seed)
    n = 4 * RATE
    shape = np.full(n, 0.01)
    for k in range(8):
        start = int((0.2 + 0.47 * k) * RATE)
        t = np.arange(n - start) / RATE
        note = np.minimum(1, t / rise_s) * np.exp(-t / 0.1)
        shape[start:] += note
        early = int(early_s * RATE)
        if early:
            shape[start - early : start] += 0.1
    return (0.1 * shape * rng.standard_normal(n)).astype(np.float32)


def test_a_blurred_onset_is_seen() -> None:
    """An onset that takes 30 ms is told from one of 1 ms by the power shortly before it, in every band."""
    sharp, slow = found(bursts(0.001)), found(bursts(0.03))
    for band in ("1032-2580", "2580-5160", "8084-12040", "all"):
        assert sharp[f"envelope_before_mean_4_{band}"] < -30
        assert slow[f"envelope_before_mean_4_{band}"] > sharp[f"envelope_before_mean_4_{band}"] + 6
        assert sharp[f"envelope_rise_1_p99.5_{band}"] > slow[f"envelope_rise_1_p99.5_{band}"] + 3
    assert np.exp(sharp["envelope_n_onsets_all"]) == pytest.approx(9, abs=1)


def test_what_comes_before_it_is_due_is_seen() -> None:
    """A pre-echo of 23 ms, 20 dB below the onset, is a hump: more there than 100 ms earlier."""
    clean, early = found(bursts(0.001)), found(bursts(0.001, early_s=0.023))
    assert abs(clean["envelope_hump_mean_6-20_all"]) < 3
    assert early["envelope_hump_mean_6-20_all"] > 10
    assert early["envelope_before_mean_32_all"] == pytest.approx(clean["envelope_before_mean_32_all"], abs=4)


def test_a_tremolo_is_a_line() -> None:
    """Noise whose level swings five times a second has one line there; noise has none."""
    t = np.arange(4 * RATE) / RATE
    plain = sounds.noise(4.0, channels=1)[:, 0]
    shaken = found(plain * (1 + 0.6 * np.sin(2 * np.pi * 5 * t)).astype(np.float32))
    assert shaken["envelope_line_hz_4-16_all"] == pytest.approx(5, abs=0.3)
    assert shaken["envelope_line_height_4-16_all"] > found(plain)["envelope_line_height_4-16_all"] + 2


def test_bands_that_move_together_are_told_from_those_that_do_not() -> None:
    """Broad bursts move all bands at once; bursts of one band leave its neighbour as it is."""
    together = found(bursts(0.001))
    rng = np.random.default_rng(1)
    low = bursts(0.001, seed=2) * np.float32(0.5) + sounds.tone(4_000.0, 4.0, channels=1)[:, 0]
    spectrum = np.fft.rfft(low)
    spectrum[(2_600 * 4) : (5_160 * 4)] = rng.standard_normal(2_560 * 4) * np.abs(spectrum).mean()
    apart = found(np.fft.irfft(spectrum, 4 * RATE).astype(np.float32))
    assert together["envelope_neighbours_1032-2580"] > 0.5 > apart["envelope_neighbours_1032-2580"]
    assert together["envelope_joint_mean_2580-5160"] > apart["envelope_joint_mean_2580-5160"] + 6


@pytest.mark.parametrize("seconds", [1.0, 2.3, 4.0])
def test_nothing_depends_on_gain_or_polarity(seconds: float) -> None:
    """Music, quieter by 26 dB and inverted, has the same statistics; all are finite."""
    wave = sounds.music(seconds, channels=1)[:, 0]
    values, other = (envelope.compute(envelope.power(w)) for w in (wave, wave * np.float32(-0.05)))
    assert values.shape == (len(envelope.names()),)
    assert np.isfinite(values).all()
    counts = np.array(["_n_peaks_" in name for name in envelope.names()])  # rounding breaks ties in pauses
    np.testing.assert_allclose(values[~counts], other[~counts], rtol=1e-3, atol=5e-3)
    np.testing.assert_allclose(values[counts], other[counts], atol=0.3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("length_s", [0.0001, 0.001, 0.01, 0.04, 0.2])
def test_a_single_hit_has_statistics_too(length_s: float) -> None:
    """A click in digital silence, however short, gives numbers and no warning."""
    wave = np.zeros(RATE, np.float32)
    n = max(1, int(length_s * RATE))
    wave[5_000 : 5_000 + n] = np.random.default_rng(0).standard_normal(n)
    assert np.isfinite(envelope.compute(envelope.power(wave))).all()
