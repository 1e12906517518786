"""Every cue on signals whose answer is known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from provenance import evidence, frontend
from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.evidence.conclude import ranges
from provenance.evidence.view import Clip, View

N = 4 * SAMPLE_RATE_HZ
T = np.arange(N) / SAMPLE_RATE_HZ


def noise(seed: int = 0, n_channels: int = 1) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal((N, n_channels))).astype(np.float32)


def shaped(wave: Samples, gain: np.ndarray) -> Samples:
    """Multiply the spectrum of the whole signal by a gain over its bins."""
    return np.fft.irfft(np.fft.rfft(wave, axis=0) * gain[:, None], n=len(wave), axis=0).astype(np.float32)


def hz() -> np.ndarray:
    return np.fft.rfftfreq(N, 1 / SAMPLE_RATE_HZ)


def gated(wave: Samples, period_s: float = 0.5, on: float = 0.5, off_gain: float = 0.0) -> Samples:
    open_ = (T % period_s) < on * period_s
    return (wave * np.where(open_, 1.0, off_gain)[:, None]).astype(np.float32)


def masked(wave: Samples, seed: int = 0, share: float = 0.3, hold: int = 6) -> Samples:
    """Pass a signal through a random mask that closes fully and holds each decision for some frames."""
    rng = np.random.default_rng(seed)
    spectrum = frontend.stft(wave[:, 0])
    blocks = rng.random((len(spectrum) // hold + 1, spectrum.shape[1])) > share
    spectrum = spectrum * np.repeat(blocks, hold, axis=0)[: len(spectrum)]
    out = np.zeros(N, np.float32)
    for i, frame in enumerate(np.fft.irfft(spectrum, n=2048, axis=1) * 512):
        out[i * 1024 : i * 1024 + 2048] += frame
    return out[:, None]


def read(name: str, wave: Samples) -> float | str:
    return evidence.look(wave, frontend.analyse(wave))[name]


def value(name: str, wave: Samples) -> float:
    found = read(name, wave)
    assert not isinstance(found, str), found
    return found


@pytest.mark.parametrize("cut_hz", [8000, 11_025, 16_000])
def test_bandwidth_is_where_a_low_pass_ends(cut_hz: int) -> None:
    """Noise cut off at a frequency has that bandwidth, to 150 Hz."""
    assert value("bandwidth", shaped(noise(), (hz() < cut_hz).astype(float))) == pytest.approx(cut_hz, abs=150)


def test_bandwidth_of_the_whole_band_is_half_the_rate() -> None:
    """White noise, and noise under a floor-less slope, use the whole band."""
    assert value("bandwidth", noise()) == 22_050


def test_bandwidth_sees_an_edge_above_a_floor_of_noise() -> None:
    """A cut-off is found though dither fills the band above it."""
    wave = shaped(noise(), (hz() < 16_000).astype(float)) + noise(1) * 1e-3
    assert value("bandwidth", wave.astype(np.float32)) == pytest.approx(16_000, abs=200)


def test_bandwidth_names_what_ends_there() -> None:
    """A cut-off at 11 kHz names Spleeter, one at 9 kHz names nobody."""
    cue = evidence.bandwidth.measure(Clip({"bandwidth": [11_025.0]}))
    assert "Spleeter" in cue.suggests
    assert "no separator or codec" in evidence.bandwidth.measure(Clip({"bandwidth": [9_400.0]})).suggests


@pytest.mark.parametrize("level", [0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_bandwidth_of_an_mp3_names_mp3_at_every_rate(level: float, tmp_path: Path) -> None:
    """Noise that was an MP3 file is never said to end where separators alone do, nor where nothing does."""
    soundfile.write(
        tmp_path / "a.mp3", noise(0, 2), SAMPLE_RATE_HZ, subtype="MPEG_LAYER_III", compression_level=level,
        bitrate_mode="CONSTANT",
    )  # fmt: skip
    decoded, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    end = value("bandwidth", np.ascontiguousarray(decoded[:N]))
    assert end < 20_700
    assert "MP3" in evidence.bandwidth.measure(Clip({"bandwidth": [end]})).suggests


def test_bandwidth_that_ends_without_an_edge_names_nobody() -> None:
    """A sound that fades out towards 11 kHz is not told where separators and codecs end."""
    fading = shaped(noise(), 10 ** (-np.clip(hz() / 11_000, 0, 2) * 100 / 20))
    clip = Clip({name: [read(name, fading)] for name in ("bandwidth", "brick_wall")})
    for at in (11_000.0, 14_700.0, 17_600.0):
        cue = evidence.bandwidth.measure(Clip({**clip.readings, "bandwidth": [at]}))
        assert cue.suggests.endswith("it ends by itself, without an edge")
    sharp = shaped(noise(), (hz() < 11_000).astype(float))
    clip = Clip({name: [read(name, sharp)] for name in ("bandwidth", "brick_wall")})
    assert "Spleeter" in evidence.bandwidth.measure(clip).suggests


def test_brick_wall_is_the_height_of_the_edge() -> None:
    """An edge of 40 dB reads 40 dB; white noise has none."""
    wave = shaped(noise(), np.where(hz() < 12_000, 1.0, 0.01))
    assert value("brick_wall", wave) == pytest.approx(40, abs=3)
    assert value("brick_wall", noise()) < 2


def test_spectral_holes_of_noise_are_those_of_an_exponential() -> None:
    """White noise has about 1.8 % of its bins 15 dB down, a closing mask has many more."""
    assert 1.0 < value("spectral_holes", noise()) < 2.5
    assert value("spectral_holes", masked(noise(), share=0.5)) > 1.5 * value("spectral_holes", noise())


def test_peaks_above_20_khz_are_lines_there() -> None:
    """A line at 21 kHz is seen, noise gives next to none, and an empty band cannot be measured."""
    tones = sum(0.003 * np.sin(2 * np.pi * f * T)[:, None] for f in (20_700, 21_100, 21_500))
    low = shaped(noise(), np.where(hz() < 20_000, 1.0, 0.001))
    assert value("peaks_above_20_khz", (low + tones).astype(np.float32)) > 5 * value("peaks_above_20_khz", low) + 1
    assert "nothing above 20 kHz" in read("peaks_above_20_khz", shaped(noise(), (hz() < 15_000).astype(float)))


def test_peaks_above_20_khz_of_noise_are_said_to_be_noise() -> None:
    """White and brown noise are told of no lines, bursts or masks, however short."""
    steps = np.cumsum(noise(3), axis=0)
    brown = (0.5 * (steps - steps.mean()) / np.abs(steps).max()).astype(np.float32)
    for wave in (noise(), noise(1, 2), noise(2)[:SAMPLE_RATE_HZ], brown):
        cue = evidence.top_band.measure(Clip({"peaks_above_20_khz": [value("peaks_above_20_khz", wave)]}))
        assert cue.suggests.endswith("no more stands out than in noise")


@pytest.mark.parametrize("name", [cue.NAME for cue in evidence.CUES])
def test_what_half_of_all_studio_stems_have_names_no_separator_alone(name: str) -> None:
    """In the middle half of studio stems a note that speaks of masks and networks names an honest cause as well."""
    low, high = ranges()[name].studio_middle
    cue = next(cue for cue in evidence.CUES if name == cue.NAME)
    for at in np.linspace(low, high, 50):
        said = cue.measure(Clip({name: [float(at)]})).suggests.partition("; ")[2]
        if re.search(r"\bmask|network|separator|upsampling|Spleeter|MDX|Unmix|gated, reversed", said):
            assert re.search(r"MP3|codec|converter|partials|noise|transients|panned|harmonics|held|room|no line", said)


def test_notch_is_a_dip_that_stays() -> None:
    """A dip of 100 Hz at 10 kHz is found, noise has none."""
    dip = np.where(np.abs(hz() - 10_000) < 60, 0.03, 1.0)
    assert value("notch", shaped(noise(), dip)) > 12
    assert value("notch", noise()) < 3


def test_comb_is_a_line_at_a_multiple_of_the_stride_frequency() -> None:
    """A steady line at 8 x 1378 Hz is seen, the same line between multiples is not."""
    at = 8 * SAMPLE_RATE_HZ / 32
    line = lambda f: (noise() + 0.02 * np.sin(2 * np.pi * f * T)[:, None]).astype(np.float32)  # noqa: E731
    assert value("comb", line(at)) > 8
    assert value("comb", line(at + 500)) < 2


def test_persistence_is_zero_for_noise_and_high_for_a_held_mask() -> None:
    """A mask that holds its decisions keeps detail in place; noise does not."""
    assert abs(value("texture_persistence", noise())) < 0.02
    assert value("texture_persistence", masked(noise(), hold=12)) > 0.15


def test_blur_rises_when_the_transform_is_short() -> None:
    """Bursts of 3 ms put neighbouring bins in step; steady noise leaves them apart."""
    bursts = noise() * ((np.arange(N) % 2048) < 132)[:, None]
    assert value("frequency_blur", noise()) < 0.05
    assert value("frequency_blur", bursts.astype(np.float32)) > 0.2


@pytest.mark.parametrize("gain_db", [-20, -40, -60])
def test_pause_level_follows_what_fills_the_pauses(gain_db: float) -> None:
    """Lowering what fills the pauses lowers the reading by as much."""
    wave = gated(noise(), off_gain=10 ** (gain_db / 20))
    assert value("pause_level", wave) == pytest.approx(gain_db + 3, abs=2)


def test_pause_grain_of_noise_is_that_of_an_exponential_and_rises_with_harmonics() -> None:
    """Noise in the pauses strays 5.6 dB; a leaking harmonic source strays more."""
    room = gated(noise(), off_gain=0.003)
    leak = sum(np.sin(2 * np.pi * 220 * k * T)[:, None] for k in range(5, 40)) * 1e-4
    assert value("pause_grain", room) == pytest.approx(5.6, abs=0.4)
    assert value("pause_grain", (room + leak).astype(np.float32)) > value("pause_grain", room) + 2


def test_pause_grain_of_digital_silence_cannot_be_measured() -> None:
    """Exact silence has no grain, and the cue says so."""
    assert "digitally silent" in read("pause_grain", gated(noise()))


def test_pause_rhythm_is_low_for_steady_and_high_for_pulsing_residue() -> None:
    """What pulses in the pauses reads higher than what is steady."""
    wave = gated(noise(), period_s=2.0, off_gain=0.003)
    pulse = np.where((T % 0.2) < 0.1, 1.0, 0.05)[:, None] * noise(3) * 0.01
    both = gated(noise(), period_s=2.0) + pulse
    assert value("pause_rhythm", wave) < 2.5
    assert value("pause_rhythm", both.astype(np.float32)) > 5


def test_noise_floor_moves_with_the_floor() -> None:
    """A tone over noise 20 dB softer has a floor 20 dB lower."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * T)[:, None]
    loud, soft = (tone + noise() * g for g in (0.01, 0.001))
    difference = value("noise_floor", loud.astype(np.float32)) - value("noise_floor", soft.astype(np.float32))
    assert difference == pytest.approx(20, abs=1)


def test_digital_silence_is_the_share_of_still_samples() -> None:
    """A signal gated to nothing for a quarter of the time reads 25 %."""
    assert value("digital_silence", gated(noise(), on=0.75)) == pytest.approx(25, abs=0.1)
    assert value("digital_silence", noise()) == 0


def test_mid_side_texture_tells_a_panned_source_from_two() -> None:
    """A panned mono source has the same texture in mid and side, two noises have not."""
    panned = noise() * np.array([[1.0, 0.3]], np.float32)
    assert value("mid_side_texture", panned) > 0.95
    assert abs(value("mid_side_texture", noise(0, 2))) < 0.05
    assert "no side" in read("mid_side_texture", noise())


def test_opposite_phase_is_half_for_unrelated_channels_and_none_for_a_panned_one() -> None:
    """Unrelated channels agree half of the time, a panned source always, an inverted one never."""
    assert value("opposite_phase", noise(0, 2)) == pytest.approx(50, abs=2)
    assert value("opposite_phase", noise() * np.array([[1.0, 0.3]], np.float32)) == pytest.approx(0, abs=0.1)
    assert value("opposite_phase", noise() * np.array([[1.0, -0.3]], np.float32)) == pytest.approx(100, abs=0.1)
    assert "no side" in read("opposite_phase", noise())


def test_attack_is_above_zero_for_struck_sounds_and_below_for_reversed_ones() -> None:
    """Decaying bursts rise sharply; played backwards they read the opposite."""
    struck = (noise(5) * np.exp(-(T % 0.5) / 0.08)[:, None]).astype(np.float32)
    assert value("attack", struck) > 6
    assert value("attack", np.ascontiguousarray(struck[::-1])) < -6


def test_onsets_are_lower_where_some_of_a_sound_comes_early() -> None:
    """Bursts out of silence rise by the full range, 60 dB; with a tenth of each 25 ms early by 40 and then by 20."""
    burst = (noise(5) * np.exp(-(T % 0.5) / 0.08)[:, None]).astype(np.float32)
    early = np.roll(0.1 * burst, -round(0.025 * SAMPLE_RATE_HZ), axis=0) * ((T % 0.5) > 0.25)[:, None]
    assert value("onsets", burst) > 55
    assert 25 < value("onsets", (burst + early).astype(np.float32)) < 35
    assert read("onsets", noise()) == "too few onsets"


def test_seam_is_the_height_of_a_step_all_bands_share() -> None:
    """A step of 6 dB in the middle reads near 6 dB less what noise strays; without it there is none."""
    step = noise() * np.where(T < 2, 1.0, 0.5)[:, None].astype(np.float32)
    assert 4 < value("seam", step) < 6.5
    assert value("seam", noise()) < 0.5


def test_clipping_counts_samples_at_the_peak() -> None:
    """A clipped sine rests at its peak, a clean one passes through."""
    sine = (0.9 * np.sin(2 * np.pi * 441.3 * T)[:, None]).astype(np.float32)
    assert value("samples_at_peak", np.clip(sine, -0.6, 0.6)) > 3000
    assert value("samples_at_peak", noise()) < 1


def test_peak_level_knows_the_peak_of_demucs() -> None:
    """A stem rescaled to 1/1.01 names Demucs, another does not."""
    at = noise() / np.abs(noise()).max()
    peak = value("peak_level", (at / 1.01).astype(np.float32))
    assert peak == pytest.approx(-0.0864, abs=0.001)
    assert "Demucs" in evidence.rescale.measure(Clip({"peak_level": [-20.0, peak]})).suggests
    assert "Demucs" not in evidence.rescale.measure(Clip({"peak_level": [-0.2]})).suggests


def test_empty_high_bins_are_the_share_above_the_cut() -> None:
    """Noise cut at 15 kHz leaves nearly half of 10 to 20 kHz empty."""
    assert value("empty_high_bins", shaped(noise(), (hz() < 15_000).astype(float))) == pytest.approx(46, abs=4)
    assert value("empty_high_bins", noise()) == 0


def test_top_flicker_is_six_decibels_for_noise_and_none_for_emptiness() -> None:
    """Noise changes by about 6 dB from frame to frame, an empty top does not change."""
    assert value("top_flicker", noise()) == pytest.approx(6.4, abs=0.8)
    assert value("top_flicker", shaped(noise(), (hz() < 15_000).astype(float))) < 1


def test_crest_is_three_decibels_for_a_sine() -> None:
    """A sine's peak stands 3.01 dB over its root mean square."""
    sine = (0.5 * np.sin(2 * np.pi * 441.3 * T)[:, None]).astype(np.float32)
    assert value("crest", sine) == pytest.approx(3.01, abs=0.02)


def test_level_range_is_the_gap_between_loud_and_soft() -> None:
    """Passages 20 dB apart have a range of 20 dB; steady noise has next to none."""
    wave = gated(noise(), period_s=2.0, off_gain=0.1)
    assert value("level_range", wave) == pytest.approx(20, abs=1.5)
    assert value("level_range", noise()) < 2


@pytest.mark.parametrize("decay_s", [0.5, 1.0, 2.0])
def test_decay_time_is_that_of_the_room(decay_s: float) -> None:
    """Noise that decays by 60 dB in a known time reads that time, to a fifth."""
    wave = noise(2) * (10 ** (-3 * (T % 1.3) / decay_s))[:, None]
    assert value("decay_time", wave.astype(np.float32)) == pytest.approx(decay_s, rel=0.2)


def test_decay_time_of_a_steady_sound_cannot_be_measured() -> None:
    """Steady noise never falls, and the cue says so."""
    assert "never falls" in read("decay_time", noise())


@pytest.mark.parametrize("ratio_db", [10, 20, 30])
def test_drop_after_sound_is_the_direct_to_reverberant_ratio(ratio_db: float) -> None:
    """Bursts over a slow tail at a known distance drop by that distance."""
    rng = np.random.default_rng(4)
    burst = (T % 1.0) < 0.3
    level = np.where(burst, 1.0, 10 ** (-ratio_db / 20))
    wave = 0.2 * rng.standard_normal((N, 1)) * level[:, None]
    assert value("drop_after_sound", wave.astype(np.float32)) == pytest.approx(ratio_db, abs=3)


def test_drop_after_sound_of_a_steady_tone_cannot_be_measured() -> None:
    """A tone that does not end has no drop, and the cue says so."""
    assert "no sound in it ends" in read(
        "drop_after_sound", (0.1 * np.sin(2 * np.pi * 500 * T)[:, None]).astype(np.float32)
    )


def test_every_cue_is_tested_here() -> None:
    """No cue is left without a signal of known answer, here or, of the clock of blocks, in a file of its own."""
    text = Path(__file__).read_text(encoding="utf-8") + Path(__file__).with_name("test_cycles.py").read_text("utf-8")
    assert [cue.NAME for cue in evidence.CUES if f'"{cue.NAME}"' not in text] == []


def test_gain_and_polarity_move_only_the_cues_of_level() -> None:
    """Halving and inverting a signal leaves every cue but the peak as it was."""
    wave = gated(noise(0, 2), off_gain=0.01)
    one = evidence.look(wave, frontend.analyse(wave))
    half = -wave * np.float32(0.5)
    two = evidence.look(half, frontend.analyse(half))
    for name in one:
        if name == "peak_level":
            continue
        if isinstance(one[name], str):
            assert one[name] == two[name]
        else:
            assert two[name] == pytest.approx(one[name], rel=1e-2, abs=1e-2), name


def test_a_view_leaves_the_samples_as_they_were() -> None:
    """Measuring changes no input."""
    wave = noise(0, 2)
    before = wave.copy()
    evidence.look(wave, frontend.analyse(wave))
    np.testing.assert_array_equal(wave, before)
    assert View(wave, frontend.analyse(wave)).samples is wave
