"""Reworks: each does what it is named for, alike whenever it is applied again, and leaves its input alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests import sounds
from training import rework
from training.processors import noise
from training.rework import Rework

RATE_HZ = sounds.RATE_HZ


def made(kind: str, amount: float = 0.0, codec: str = "mp3", bitrate_kbps: int = 64) -> Rework:
    """A rework with everything else at its usual."""
    return Rework(kind, amount, 2048, 512, codec, bitrate_kbps, 1)


def loudest_hz(wave: sounds.Wave) -> float:
    """Frequency of the loudest bin."""
    spectrum = np.abs(np.fft.rfft(wave[:, 0] * np.hanning(len(wave))))
    return float(spectrum.argmax() * RATE_HZ / len(wave))


@pytest.mark.parametrize("semitones", [-3.0, 0.5, 4.0])
def test_a_pitch_shift_moves_the_pitch_and_not_the_length(semitones: float) -> None:
    """A sine of 1 kHz lies so many semitones away, in as many samples."""
    wave = sounds.tone(1000, 2.0)
    out = rework.apply(wave, made("pitch_shift", semitones))
    assert out.shape == wave.shape
    assert out.dtype == np.float32
    assert 12 * np.log2(loudest_hz(out) / 1000) == pytest.approx(semitones, abs=0.05)


@pytest.mark.parametrize("rate", [0.85, 1.2])
def test_a_time_stretch_moves_the_length_and_not_the_pitch(rate: float) -> None:
    """A sine of 1 kHz stays there and lasts as long as the rate says."""
    out = rework.apply(sounds.tone(1000, 2.0), made("time_stretch", rate))
    assert len(out) == pytest.approx(2.0 * RATE_HZ / rate, rel=0.01)
    assert loudest_hz(out) == pytest.approx(1000, rel=0.005)


def test_a_room_rings_after_the_sound() -> None:
    """A click of one channel is followed by a tail, in one channel."""
    wave = np.zeros((RATE_HZ, 1), np.float32)
    wave[1000] = 0.5
    out = rework.apply(wave, made("reverb", 1.0))
    assert out.shape == wave.shape
    assert np.abs(out[2000:20_000]).max() > 1e-4


def test_a_low_rate_codec_cuts_the_top() -> None:
    """Noise at 64 kbit/s has lost its top octave by 20 dB and more."""
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal((2 * RATE_HZ, 2))).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(rework.apply(wave, made("codec"))[:RATE_HZ, 0])) ** 2
    top, middle = spectrum[17_000:20_000].mean(), spectrum[1000:5000].mean()
    assert 10 * np.log10(middle / top) > 20


@pytest.mark.parametrize("kind", ["gated", "cleaned"])
@pytest.mark.parametrize("seed", range(12))
def test_noise_reduction_takes_noise_and_leaves_the_stem(seed: int, kind: str) -> None:
    """A held tone keeps its level within 1.5 dB, and what the reduction leaves beside it is no louder than hiss."""
    wave = sounds.tone(440, 2.0, channels=2)
    before = wave.copy()
    out = rework.apply(wave, rework._denoising(kind, np.random.default_rng(seed)))
    assert np.array_equal(wave, before)
    assert (out.shape, out.dtype) == (wave.shape, np.float32)
    middle = slice(RATE_HZ // 4, -RATE_HZ // 4)
    gain = float(np.vdot(out[middle], wave[middle]) / np.vdot(wave[middle], wave[middle]))
    assert abs(20 * np.log10(gain)) < 1.5
    rest = out[middle] - gain * wave[middle]
    assert 10 * np.log10(np.mean(rest**2) / np.mean(wave**2) + 1e-20) < -38


@pytest.mark.parametrize("seed", range(8))
def test_a_gate_by_own_level_lets_what_stands_out_through(seed: int) -> None:
    """A burst of noise 40 dB above what lies around it keeps most of its power; the rest loses most of its own."""
    rng = np.random.default_rng(seed)
    wave = (0.001 * rng.standard_normal((4 * RATE_HZ, 2))).astype(np.float32)
    burst = slice(2 * RATE_HZ, 2 * RATE_HZ + RATE_HZ // 4)
    wave[burst] *= 100
    before = wave.copy()
    out = noise.gate_by_own_level(wave, 1.0, 1024, 256, rng)
    assert np.array_equal(wave, before)
    assert (out.shape, out.dtype) == (wave.shape, np.float32)
    inside = slice(burst.start + 4000, burst.stop - 4000)
    assert np.mean(out[inside] ** 2) > 0.5 * np.mean(wave[inside] ** 2)
    assert np.mean(out[: burst.start - 9000] ** 2) < 0.1 * np.mean(wave[: burst.start - 9000] ** 2)


def test_coders_and_gates_of_every_kind_are_all_drawn() -> None:
    """Each comes up as often as its share says, and a coder leaves sound of finite samples in as many channels."""
    rng = np.random.default_rng(0)
    drawn = [rework.draw_gated(rng) for _ in range(600)]
    share = {kind: np.mean([hand.kind == kind for hand in drawn]) for kind in rework.GATES}
    assert share == pytest.approx(rework.GATES, abs=0.05)
    assert sum(share.values()) == pytest.approx(1)
    coded = next(hand for hand in drawn if hand.kind == "codec")
    assert coded.codec == "wma"
    wave = sounds.music(1.5)
    out = rework.apply(wave, coded)
    assert out.shape == wave.shape, "a length of its own would tell it"
    gain = float(np.vdot(out, wave) / np.vdot(wave, wave))
    assert np.mean((out - gain * wave) ** 2) < 0.1 * np.mean(out**2), "nor is it moved"


@pytest.mark.parametrize("kind", ["as_sox", "as_audacity"])
def test_the_gate_of_a_program_is_the_same_twice_and_moves_nothing(kind: str) -> None:
    """The same samples again, as many as before, of one channel as of two, and what is left lies where it lay."""
    rng = np.random.default_rng(3)
    hands = (rework.draw_gated(rng) for _ in range(200))
    for hand in [hand for hand in hands if hand.kind == kind][:6]:
        for wave in (sounds.music(1.5), sounds.music(1.3)[:, :1].copy()):
            before = wave.copy()
            out = rework.apply(wave, hand)
            assert np.array_equal(out, rework.apply(wave, hand))
            assert np.array_equal(wave, before)
            assert (out.shape, out.dtype) == (wave.shape, np.float32)
            assert np.vdot(out, wave) > 0.9 * np.linalg.norm(out) * np.linalg.norm(wave)


@pytest.mark.parametrize("rule", [*noise.BY_BINS, noise.SMOOTHLY])
def test_every_rule_closes_on_noise_and_opens_for_the_signal(rule: str) -> None:
    """Bins far above the noise pass within 1 dB, bins at its level are turned down by 6 dB and more."""
    ratio = np.ones((4, 60), np.float32)
    ratio[2:] = 1e4
    gain = noise.gain_of(rule, ratio, 2.0)
    assert gain[2:, 10:].min() > 0.89
    assert gain[:2, 10:].max() < 0.5


def test_every_drawn_rework_is_the_same_twice_and_leaves_its_input() -> None:
    """All kinds are drawn; each gives the same samples again, finite and not silent, and the input stays as it was."""
    wave = sounds.music(1.5)
    before = wave.copy()
    rng = np.random.default_rng(7)
    drawn = {hand.kind: hand for draw in (rework.draw, rework.draw_edited) for hand in (draw(rng) for _ in range(100))}
    assert set(drawn) == {*rework.KINDS, *rework.EDITS}
    for hand in drawn.values():
        first, second = rework.apply(wave, hand), rework.apply(wave, hand)
        assert np.array_equal(first, second)
        assert np.isfinite(first).all()
        assert np.abs(first).max() > 1e-3
    assert np.array_equal(wave, before)


@pytest.mark.parametrize("codec", ["", "aac", "vorbis"])
def test_a_narrow_band_ends_where_the_rate_says(codec: str) -> None:
    """Noise of 8 kHz ends at 4 kHz, coded afterwards or not, and is as long as before."""
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal((2 * RATE_HZ, 2))).astype(np.float32)
    out = rework.apply(wave, made("narrow", 8_000, codec, 128))
    assert out.shape[1] == 2
    assert len(out) == pytest.approx(len(wave), abs=3000)
    spectrum = np.abs(np.fft.rfft(out[:RATE_HZ, 0])) ** 2
    assert 10 * np.log10(spectrum[1000:3000].mean() / spectrum[5000:20_000].mean()) > 30
    assert rework.band_limited(wave, 11_025).shape == wave.shape


def test_narrow_bands_are_drawn_with_and_without_coding() -> None:
    """Every rate and codec comes up, and so does none."""
    rng = np.random.default_rng(0)
    drawn = [rework.draw_narrow(rng) for _ in range(200)]
    assert {hand.amount for hand in drawn} == set(map(float, rework.NARROW_HZ))
    assert {hand.codec for hand in drawn} == {"", "aac", "mp3", "vorbis", "opus"}
