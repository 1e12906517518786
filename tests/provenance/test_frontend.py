"""The front end: physics on synthetic sounds, what it must not depend on, and librosa as its judge."""

from __future__ import annotations

import numpy as np
import pytest

from provenance import audio, frontend
from tests import sounds

NAMES = frontend.feature_names()


def features(wave: sounds.Wave) -> dict[str, float]:
    """Features by name."""
    return dict(zip(NAMES, frontend.compute(wave).tolist(), strict=True))


def group(found: dict[str, float], prefix: str) -> np.ndarray:
    """The values of one statistic over the bands, in order."""
    return np.array([v for k, v in found.items() if k.startswith(prefix + "_")])


def low_passed(wave: sounds.Wave, hz: float) -> sounds.Wave:
    """A brick wall."""
    spectrum = np.fft.rfft(wave, axis=0)
    spectrum[int(hz / sounds.RATE_HZ * len(wave)) :] = 0
    return np.fft.irfft(spectrum, len(wave), axis=0).astype(np.float32)


def test_a_full_scale_sine_peaks_at_one_in_its_own_bin() -> None:
    """A sine of amplitude 1 in the middle of a bin has magnitude 1 there and next to nothing three bins away."""
    hz = 100 * sounds.RATE_HZ / frontend.N_FFT
    magnitude = np.abs(frontend.stft(sounds.tone(hz, 1.0, level=1.0)[:, 0]))
    assert magnitude.dtype == np.float32
    assert np.allclose(magnitude[:, 100], 1.0, atol=1e-4)
    assert magnitude[:, 104:].max() < 1e-4


def test_frames_are_where_they_should_be() -> None:
    """A click shows in the frames that hold it and in no other."""
    wave = np.zeros(44_100, np.float32)
    wave[20_000] = 1.0
    energy = np.abs(frontend.stft(wave)).sum(1)
    starts = np.arange(len(energy)) * frontend.HOP
    holds = (starts < 20_000) & (starts + frontend.N_FFT > 20_000)
    assert (energy[~holds] == 0).all()
    assert (energy[holds] > 0).all()


def test_log_power_has_its_floor() -> None:
    """Nothing lies below -110 dB, and what lies above is ten times the logarithm."""
    level = frontend.log_power(np.array([0.0, 1e-20, 1e-3, 1.0, 100.0], np.float32), 1.0)
    assert level == pytest.approx([-110, -110, -30, 0, 20], abs=1e-3)


def test_texture_takes_the_local_mean_and_leaves_the_rest() -> None:
    """A flat or sloping spectrum has no texture; one bin that sticks out keeps all of its height but its share."""
    n = 400
    slope = np.repeat(np.linspace(0, -60, n, dtype=np.float32)[None], 3, 0)
    half = frontend.TEXTURE_BINS // 2
    assert np.abs(frontend.texture(slope)[:, half:-half]).max() < 1e-2
    bump = np.zeros((1, n), np.float32)
    bump[0, 200] = 21.0
    found = frontend.texture(bump)[0]
    assert found[200] == pytest.approx(20.0, abs=1e-3)
    assert found[195] == pytest.approx(-1.0, abs=1e-3)
    assert found[150] == pytest.approx(0.0, abs=1e-3)


def test_texture_is_the_plain_running_mean() -> None:
    """The running sums give what averaging the neighbours one by one gives, at the edges too."""
    level = np.random.default_rng(0).normal(-60, 20, (4, 120)).astype(np.float32)
    half = frontend.TEXTURE_BINS // 2
    slow = np.stack([level[:, k] - level[:, max(0, k - half) : k + half + 1].mean(1) for k in range(120)], 1)
    assert np.abs(frontend.texture(level) - slow).max() < 2e-3


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seconds", [1.0, 2.7, 4.0])
def test_features_have_one_shape_and_are_finite(channels: int, seconds: float) -> None:
    """Any window of one to four seconds, mono or stereo, gives the same number of finite float32 features."""
    found = frontend.compute(sounds.music(4.0, channels=channels)[: int(seconds * sounds.RATE_HZ)])
    assert found.shape == (frontend.N_FEATURES,)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_names_are_one_for_each_feature() -> None:
    """Each feature has a name of its own."""
    assert len(set(NAMES)) == len(NAMES) == frontend.N_FEATURES


EXTREMES = {
    "click": lambda: np.eye(1, 100_000, 50_000, dtype=np.float32).T,
    "one channel": lambda: sounds.noise(2.0) * np.array([1, 0], np.float32),
    "faint": lambda: sounds.noise(2.0) * np.float32(1e-3),
    "beyond full scale": lambda: sounds.noise(2.0) * np.float32(2e9),
    "square": lambda: np.sign(sounds.tone(100, 2.0)),
    "digital silence for half": lambda: np.concatenate([sounds.noise(1.0), np.zeros((44_100, 2), np.float32)]),
    "constant but for a step": lambda: np.repeat(np.float32([[0.2], [0.4]]), 44_100, 0),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_stay_finite(name: str) -> None:
    """No sound makes a feature NaN or infinite, and none warns."""
    with np.errstate(all="raise", under="ignore"):
        found = frontend.compute(EXTREMES[name]())
    assert np.isfinite(found).all()


@pytest.mark.parametrize("gain_db", [-40, -20, 20, 60])
def test_gain_does_not_show(gain_db: float) -> None:
    """Twenty decibels more or less move no feature by more than rounding."""
    wave = sounds.music(4.0)
    here, there = frontend.compute(wave), frontend.compute(wave * np.float32(10 ** (gain_db / 20)))
    assert np.abs(here - there).max() < 0.1  # of decibels; at the floor float32 rounding shows


def test_polarity_channel_order_and_offset_do_not_show() -> None:
    """Inverting the signal, swapping its channels or adding a constant changes no feature."""
    wave = sounds.music(4.0)
    here = frontend.compute(wave)
    assert np.abs(here - frontend.compute(-wave)).max() < 1e-4
    assert np.abs(here - frontend.compute(wave[:, ::-1].copy())).max() < 1e-4
    assert np.abs(here - frontend.compute(wave + np.float32(0.1))).max() < 0.05


def test_one_channel_inverted_is_the_same_mono() -> None:
    """Dual mono, dual mono with one channel inverted, and mono are one signal."""
    mono = sounds.music(4.0, channels=1)
    both = np.repeat(mono, 2, 1)
    here = frontend.compute(mono)
    assert np.abs(here - frontend.compute(both)).max() < 1e-3
    assert np.abs(here - frontend.compute(both * np.array([1, -1], np.float32))).max() < 1e-3


@pytest.mark.parametrize("coding", ["PCM_16", "MP3"])
def test_one_channel_inverted_is_the_same_stem_whatever_its_coding(coding: str) -> None:
    """What dither or a coder leaves of the sum of the channels is not taken for the stem; nor is a narrow room."""
    one, room = sounds.music(4.0, channels=1), sounds.noise(4.0, channels=2, level=0.01)
    turned = np.array([1, -1], np.float32)
    _, wave = audio.read(_coded(np.repeat(one, 2, 1) * turned, coding))
    assert np.array_equal(frontend.compute(wave), frontend.compute(wave * turned))
    narrow = np.repeat(one, 2, 1) + room
    assert np.array_equal(frontend.compute(narrow), frontend.compute(narrow * turned))


def _coded(wave: sounds.Wave, coding: str) -> bytes:
    if coding == "MP3":
        return sounds.encode(wave, fmt="MP3")
    dither = np.random.default_rng(2).uniform(-0.5, 0.5, (2, *wave.shape)).sum(axis=0) / 2**15
    return sounds.encode((wave + dither).astype(np.float32))


@pytest.mark.parametrize("level_db", [-200.0, -75.0])
def test_a_take_on_one_side_alone_is_the_same_mono(level_db: float) -> None:
    """Beside a silent channel, or one with the noise of a converter, a signal is what it is as mono; either side."""
    mono = sounds.music(4.0, channels=1)
    hiss = sounds.noise(4.0, channels=1, seed=3)
    hiss *= np.float32(np.sqrt(np.mean(mono**2) / np.mean(hiss**2)) * 10 ** (level_db / 20))
    here = frontend.compute(mono)
    for sides in ([mono, hiss], [hiss, mono]):
        assert np.abs(here - frontend.compute(np.concatenate(sides, 1))).max() < 1e-4
    names = frontend.feature_names()
    panned = frontend.compute(np.concatenate([mono, mono * np.float32(0.01)], 1))
    assert (here[names.index("side_present")], panned[names.index("side_present")]) == (0, 1), "40 dB are heard"


def test_input_is_not_changed() -> None:
    """The window that was given is as it was."""
    wave = sounds.music(4.0)
    before = wave.copy()
    frontend.compute(wave)
    assert np.array_equal(wave, before)


def test_a_cut_off_shows_above_it_and_only_there() -> None:
    """Cutting noise at 11 kHz drops the long-term level to the floor above 12 kHz and leaves it below 9."""
    wave = sounds.noise(4.0, channels=1)
    here, cut = features(wave), features(low_passed(wave, 11_000))
    change = group(cut, "long_term_level") - group(here, "long_term_level")
    low = np.array(frontend.BAND_EDGES_HZ[1:]) <= 9_000
    high = np.array(frontend.BAND_EDGES_HZ[:-1]) >= 12_000
    assert np.abs(change[low]).max() < 4  # the rest of the power is now half of it: 3 dB
    assert change[high].max() < -60


def test_a_steady_tone_sticks_out_of_the_long_term_spectrum() -> None:
    """A faint tone at 16.5 kHz raises the maximum of its own band and of no other."""
    wave = sounds.noise(4.0, channels=1)
    gain = group(features(wave + sounds.tone(16_500, level=0.05)), "long_term_max") - group(
        features(wave), "long_term_max"
    )
    band = frontend.BAND_EDGES_HZ.index(16_000)
    assert gain[band] > 10
    assert np.abs(np.delete(gain, band)).max() < 1


def test_a_comb_over_frequency_shows_at_its_lag() -> None:
    """A comb that repeats every eight bins is found by the correlation at eight bins and its double."""
    rng = np.random.default_rng(0)
    n = 4 * sounds.RATE_HZ
    spectrum = np.fft.rfft(rng.standard_normal(n))
    bins = np.arange(len(spectrum)) * frontend.N_FFT / n
    spectrum *= 1 + 0.9 * np.cos(2 * np.pi * bins / 8)
    found = features(np.fft.irfft(spectrum, n).astype(np.float32)[:, None])
    lags = {lag: found[f"corr_f{lag}_1"] for lag in frontend.FREQUENCY_LAGS}
    assert min(lags[8], lags[16]) > 0.2
    assert lags[4] < 0
    assert lags[12] < 0


def test_silence_between_notes_deepens_the_quiet_frames() -> None:
    """Gating the pauses to nothing lowers the quiet frames against the mean, by tens of decibels."""
    wave = sounds.noise(4.0, channels=1)
    level = np.where((np.arange(len(wave)) // 22_050) % 2 == 0, 1.0, 10 ** (-50 / 20))[:, None]
    gated = np.where(level == 1.0, wave, 0).astype(np.float32)
    noisy = features((wave * level).astype(np.float32))
    assert (group(features(gated), "quiet_depth") < group(noisy, "quiet_depth") - 10).all()


def test_side_level_is_the_width() -> None:
    """A side signal 20 dB below the mid is measured at -20 dB; mono has none and says so."""
    mid, side = sounds.noise(4.0, channels=1, seed=1), sounds.noise(4.0, channels=1, seed=2) * np.float32(0.1)
    stereo = np.concatenate([mid + side, mid - side], 1)
    found = features(stereo)
    assert group(found, "side_level") == pytest.approx(np.full(19, -20.0), abs=1.0)
    assert found["side_present"] == 1.0
    assert features(mid)["side_present"] == 0.0


def test_coherence_tells_a_panned_voice_from_independent_channels() -> None:
    """Mid and side of one panned source are coherent; of two independent channels they are not."""
    one = sounds.noise(4.0, channels=1)
    panned = features(np.concatenate([one * np.float32(0.8), one * np.float32(0.2)], 1))
    apart = features(sounds.noise(4.0, channels=2))
    assert group(panned, "side_coherence").min() > 0.99
    assert group(apart, "side_coherence").max() < 0.5


def test_a_steady_phase_is_told_from_a_random_one() -> None:
    """Phase advances steadily over time in a tone and not in noise."""
    tone = sounds.tone(5_000, channels=1) + sounds.noise(4.0, channels=1, level=1e-5)
    band = f"{4500}-{6000}"
    assert features(tone)[f"phase_time_{band}"] > 0.9
    assert abs(features(sounds.noise(4.0, channels=1))[f"phase_time_{band}"]) < 0.1


def test_the_contract_names_every_number() -> None:
    """Every public constant of the front end stands in the contract, so that no change goes unnoticed."""
    contract = frontend.contract()
    constants = {k.lower(): v for k, v in vars(frontend).items() if k.isupper() and not k.startswith("_")}
    names = {"n_map_bins": "map_bins"}
    for key, value in constants.items():
        expected = list(value) if isinstance(value, tuple) else value
        assert contract[names.get(key, key)] == expected, key


def test_the_map_is_the_texture_and_the_level() -> None:
    """The map has a frame each 1024 samples and 1024 bins, the same statistics beside it, and packs into eight bits."""
    wave = sounds.music(4.0)
    statistics, spectrum = frontend.compute_with_map(wave)
    assert np.array_equal(statistics, frontend.compute(wave))
    assert spectrum.shape == (2, frontend.n_map_frames(len(wave)), frontend.N_MAP_BINS)
    assert spectrum.dtype == np.float32
    packed = frontend.to_bytes(spectrum).astype(np.float32)
    assert np.abs(packed[0] / 4 + frontend.TEXTURE_RANGE_DB[0] - spectrum[0] * 16).max() <= 0.126
    assert np.abs(packed[1] / 2 + frontend.LEVEL_RANGE_DB[0] - (spectrum[1] * 30 - 60)).max() <= 0.251


def test_librosa_agrees_on_the_log_spectrum() -> None:
    """librosa's own transform and decibels give our log spectrum to a tenth of a decibel down to -80 dB."""
    librosa = pytest.importorskip("librosa")
    wave = sounds.music(2.0, channels=1)[:, 0]
    ours = np.abs(frontend.stft(wave)) ** 2
    theirs = np.abs(
        librosa.stft(wave, n_fft=frontend.N_FFT, hop_length=frontend.HOP, window="hann", center=False)
    ).T / (frontend.N_FFT / 4)
    reference = float(ours.mean())
    level = frontend.log_power(ours, reference)
    judged = librosa.power_to_db(theirs**2 + reference * 1e-11, ref=reference, amin=1e-30, top_db=None)
    assert level.shape == judged.shape
    difference = np.abs(level - judged)
    assert difference[judged > -80].max() < 0.1
    assert difference.max() < 0.5
