"""The clock of blocks: found after strides and blocks, whatever is on top, and in nothing that has none."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from scipy import signal

from provenance import bundle, evidence, frontend
from provenance.bundle import CyclesWeight
from provenance.decide import decide, of_windows
from provenance.errors import ModelError
from provenance.evidence import cycles
from provenance.evidence.cycles import Pool
from provenance.explain import page
from provenance.model import WindowScores
from tests import sounds, tiny
from tests.provenance import test_decide as decisions

FOUND, NONE = 1.3, 1.05


def strided(seconds: float = 4.0, stride: int = 1024, seed: int = 0) -> sounds.Wave:
    """Noise out of a transposed convolution, float32 (n, 2): one kernel of four strides, one step a block."""
    rng = np.random.default_rng(seed)
    n_blocks = int(seconds * sounds.RATE_HZ) // stride + 1
    steps = np.zeros((n_blocks * stride, 2))
    steps[::stride] = rng.standard_normal((n_blocks, 2))
    kernel = rng.standard_normal(4 * stride)
    out = signal.fftconvolve(steps, kernel[:, None], axes=0)[: int(seconds * sounds.RATE_HZ)]
    return np.asarray(0.1 * out / out.std(), np.float32)


def read(*windows: sounds.Wave) -> float:
    """The cue of a file of these windows."""
    pool = Pool()
    for window in windows:
        pool.add(window)
    assert pool.value is not None
    return pool.value


@pytest.mark.parametrize("level_db", [-10, -20])
def test_what_a_stride_made_is_found_under_noise(level_db: float) -> None:
    """Upsampled noise is found by itself, and 20 dB below noise without a clock over four windows."""
    assert read(strided()) > FOUND
    mixed = [sounds.noise(seed=k) + strided(seed=k) * np.float32(10 ** (level_db / 20)) for k in range(4)]
    plain = [sounds.noise(seed=k) for k in range(4)]
    assert read(*mixed) > read(*plain)
    if level_db > -15:
        assert read(*mixed) > NONE


@pytest.mark.parametrize(("stride", "is_coder"), [(1024, False), (512, False), (2048, True), (4096, True)])
def test_a_clock_of_longer_blocks_is_a_coders(stride: int, is_coder: bool) -> None:
    """Blocks of 2048 samples and more show between the multiples, shorter ones do not; noise has no clock at all."""
    pool, plain = Pool(), Pool()
    for k in range(3):
        pool.add(strided(stride=stride, seed=k))
        plain.add(sounds.noise(seed=k))
    assert pool.is_coder == is_coder
    assert not plain.is_coder
    assert isinstance(pool.reading, str) == is_coder


def test_wma_raises_nothing() -> None:
    """Notes that WMA coded keep its clock; a file of them is raised by nothing, and its cue says why."""
    augment = pytest.importorskip("training.augment")
    gallery, pool = evidence.Gallery(), Pool()
    wave = np.concatenate([sounds.music(4.0, seed=k) for k in range(4)])
    wave *= np.float32(0.5 / np.abs(wave).max())
    for coded in np.split(augment.code(wave, "wma", 64)[: 12 * sounds.RATE_HZ], 3):
        pool.add(coded)
        gallery.add(coded, frontend.analyse(coded))
    assert pool.value is not None
    assert pool.value > NONE
    assert pool.is_coder
    assert gallery.cycles is None
    cue = next(cue for cue in gallery.cues() if cue.cue == cycles.NAME)
    assert cue.value is None
    assert "WMA" in cue.suggests


@pytest.mark.parametrize(("level_db", "is_coder"), [(-40, False), (-70, False), (-110, True)])
def test_a_clock_out_of_next_to_nothing_is_a_coders(level_db: float, is_coder: bool) -> None:
    """Blocks heard above 5.5 kHz alone are a network's, but not where next to nothing is, as AAC leaves it."""
    pool, n = Pool(), 168 * cycles.BLOCK
    for k in range(3):
        spectrum, low = (np.fft.rfft(wave[:n], axis=0) for wave in (strided(seed=k), sounds.noise(seed=k)))
        spectrum[: n // 8], low[n // 100 :] = 0, 0
        top, base = np.fft.irfft(spectrum, axis=0), np.fft.irfft(low, axis=0) * np.hanning(n)[:, None]
        wave = base / base.std() * 0.1 + top / top.std() * 0.1 * 10 ** (level_db / 20)
        pool.add(np.asarray(wave, np.float32))
    assert pool.value is not None
    assert pool.value > NONE
    assert pool.is_coder == is_coder


def test_the_clock_is_found_wherever_the_passage_was_cut(subtests: pytest.Subtests) -> None:
    """Where in a block a window begins does not matter, nor do gain, polarity and the order of the channels."""
    wave = strided(5.0)
    whole = read(wave[: 4 * sounds.RATE_HZ])
    for start in (1, 300, 777):
        with subtests.test(start=start):
            assert read(wave[start : start + 4 * sounds.RATE_HZ]) == pytest.approx(whole, rel=0.15)
    window = wave[: 4 * sounds.RATE_HZ]
    assert read(-window[:, ::-1] * np.float32(0.01)) == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_is_found_in_noise_music_and_a_tone(channels: int) -> None:
    """Sounds without a clock of blocks stay at chance, short or long."""
    for seconds in (1.0, 4.0):
        for seed in range(5):
            assert read(sounds.noise(seconds, channels=channels, seed=seed)) < NONE
            assert read(sounds.music(seconds, channels=channels, seed=seed)) < NONE
    assert read(sounds.tone(441.0, channels=channels) + sounds.noise(level=1e-4, channels=channels)) < NONE


@pytest.mark.parametrize("stride", [441, 1000, 1152])
def test_clocks_of_other_blocks_are_not_it(stride: int) -> None:
    """Blocks of other lengths, 1152 of MP3 among them, are no multiple of this clock."""
    assert read(strided(stride=stride)) < FOUND < read(strided())


@pytest.mark.parametrize("fmt", ["MP3", "OGG"])
def test_codecs_are_not_it(fmt: str) -> None:
    """Noise and music are as they were after MP3 and Vorbis."""
    for wave in (sounds.noise(), sounds.music(4.0)):
        coded, _ = soundfile.read(io.BytesIO(sounds.encode(wave, fmt=fmt)), dtype="float32", always_2d=True)
        assert read(coded[: 4 * sounds.RATE_HZ]) < NONE


@pytest.mark.parametrize("kbps", [64, 128])
def test_a_band_that_aac_switches_on_and_off_is_not_it(kbps: int) -> None:
    """Above 8 kHz of a recording that ended there AAC keeps this very clock; one band alone does not count."""
    pytest.importorskip("av")
    augment = pytest.importorskip("training.augment")
    low = sounds.music(6.0, rate_hz=16_000, seed=1) + sounds.noise(6.0, rate_hz=16_000, level=0.003)
    wave = soxr.resample(low, 16_000, sounds.RATE_HZ).astype(np.float32)
    coded = augment.code(wave, "aac", kbps)[sounds.RATE_HZ // 2 :][: 4 * sounds.RATE_HZ]
    heights = np.minimum(cycles.lines(np.ascontiguousarray(coded[:, 0], np.float32)), cycles.MOST).mean(axis=1)
    assert heights[2] > 2.5 > 1.5 > heights[:2].max()
    assert read(np.asarray(coded, np.float32)) < NONE


def test_notes_that_begin_with_a_block_are_not_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A software instrument that starts each note at a multiple of 1024 samples keeps the clock, but not in between."""
    rng = np.random.default_rng(0)
    wave = 1e-3 * rng.standard_normal((4 * sounds.RATE_HZ, 2))
    decay = np.exp(-np.arange(int(0.1 * sounds.RATE_HZ)) / sounds.RATE_HZ / 0.01)[:, None]
    for start in cycles.BLOCK * rng.choice(150, 60, replace=False):
        wave[start : start + len(decay)] += 0.1 * rng.standard_normal((len(decay), 2)) * decay
    window = wave.astype(np.float32)
    assert read(window) < NONE
    assert read(window + strided() * np.float32(0.05)) > FOUND
    monkeypatch.setattr(cycles, "ONSET_RATIO", 1e9)
    assert read(window) > FOUND


def test_a_file_has_one_value_out_of_all_its_windows() -> None:
    """The gallery adds windows up, and the cue carries the value; without a window there is none and it says so."""
    gallery = evidence.Gallery()
    assert gallery.cycles is None
    assert {cue.cue: cue for cue in gallery.cues()}["cycles"].value is None
    for k in range(3):
        window = strided(seed=k)
        gallery.add(window, frontend.analyse(window))
    assert gallery.cycles == pytest.approx(read(*(strided(seed=k) for k in range(3))))
    cue = {cue.cue: cue for cue in gallery.cues()}["cycles"]
    assert cue.value == pytest.approx(gallery.cycles, rel=1e-3)
    assert "blocks of 1024" in cue.suggests


def test_silence_in_a_channel_or_a_band_is_left_out() -> None:
    """One channel alone, a band without sound and a file in one channel are read by what there is."""
    wave = strided()
    wave[:, 1] = 0
    assert read(wave) > FOUND
    assert read(wave[:, :1]) > FOUND
    assert np.isfinite(cycles.lines(sounds.tone(100.0)[:, 0])).all(axis=1).sum() <= cycles.N_BANDS


def test_the_weight_follows_its_points() -> None:
    """Nothing below the first, in proportion between two, no more beyond the last, nothing where it is not measured."""
    weight = CyclesWeight((1.0, 1.2, 1.4), (0.0, 2.0, 4.0))
    assert [weight.of(v) for v in (None, 0.5, 1.0)] == [0, 0, 0]
    assert weight.of(1.1) == pytest.approx(1.0)
    assert weight.of(1.3) == pytest.approx(3.0)
    assert weight.of(1.4) == weight.of(9.0) == 4.0


@pytest.mark.parametrize("points", [((), ()), ((1.0, 1.0), (0.0, 1.0)), ((1.0, 2.0), (0.0, -1.0)), ((1.0,), (0.5,)),
                                    ((1.0, 2.0), (0.0,))])  # fmt: skip
def test_a_weight_that_falls_or_has_no_start_is_refused(points: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    """More of the cue never counts for less, and without it nothing is added."""
    with pytest.raises(ValueError, match="weight of cycles"):
        CyclesWeight(*points)


@pytest.mark.parametrize(
    ("p", "cycles_value", "origin"),
    [(0.3, None, "undecided"), (0.3, 0.9, "undecided"), (0.3, 2.0, "separated"), (0.01, 2.0, "undecided")],
)
def test_cycles_raise_the_probability_of_a_file(p: float, cycles_value: float | None, origin: str) -> None:
    """Evidence adds to the log odds of the file; its windows keep what the model says, and it never lowers."""
    weighed = dataclasses.replace(decisions.bundle(), cycles=CyclesWeight((1.0, 1.2), (0.0, 4.0)))
    scores = WindowScores(np.array([decisions.log_odds(p)], np.float32), None, None, None)
    found = decide(scores, decisions.spans([0.1]), decisions.audio_info(), weighed, cycles_value)
    assert found.origin == origin
    assert found.segments[0].p_separated == pytest.approx(p, abs=1e-4)
    plain = decide(scores, decisions.spans([0.1]), decisions.audio_info(), decisions.bundle(), cycles_value)
    assert plain.p_separated == pytest.approx(p, abs=1e-4)
    assert found.p_separated is not None
    assert found.p_separated >= p - 1e-4
    assert of_windows(s.p_separated for s in found.segments) == pytest.approx(p, abs=1e-4)
    raised = [value for name, value in page._raised(found) if name == "of the windows alone"]
    assert [value.split("<")[0] for value in raised] == ([f"{p:.3f}"] if cycles_value == 2.0 else [])


def test_a_model_folder_carries_the_weight(tmp_path: Path) -> None:
    """It is read from the config; without one the model leaves the cue to the reader, and a broken one is refused."""
    folder = tiny.write(tmp_path / "m")
    assert bundle.load(folder).cycles is None
    file = folder / "config.json"
    config = json.loads(file.read_text())
    cue = cycles.contract()
    whole = {"values": [1.0, 1.2], "raises": [0.0, 3.0], "cue": cue}
    file.write_text(json.dumps(config | {"cycles": whole}))
    assert bundle.load(folder).cycles == CyclesWeight((1.0, 1.2), (0.0, 3.0))
    file.write_text(json.dumps(config | {"cycles": whole | {"cue": cue | {"most": 5.0}}}))
    with pytest.raises(ModelError, match=r"another cue of cycles \(most\): found most 5.0; needed: 4.0"):
        bundle.load(folder)
    for broken in ({"values": [1.0]}, {"values": [1.0, 0.5], "raises": [0.0, 3.0]}, whole | {"raises": [1.0, 3.0]}):
        file.write_text(json.dumps(config | {"cycles": {"cue": cue} | broken}))
        with pytest.raises(ModelError, match="no usable"):
            bundle.load(folder)


def test_a_file_that_cannot_be_read_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two bands do not sound the cue has no value, and the reason is not that nothing sounds."""
    monkeypatch.setattr(cycles, "LEAST_SHARE", 2.0)
    gallery = evidence.Gallery()
    window = sounds.noise()
    gallery.add(window, frontend.analyse(window))
    cue = {cue.cue: cue for cue in gallery.cues()}["cycles"]
    assert cue.value is None
    assert cue.suggests == "not measured: too few bands sound between onsets"
