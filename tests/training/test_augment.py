"""The common chain: alike for both twins, no sign of the class, and every element does what its name says."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import soundfile
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from tests import sounds
from training import augment
from training.processors import level

PLAIN = augment.Chain(
    speed=1.0, via_rate_hz=0, low_pass_hz=0.0, low_pass_order=4, eq=(), drive=0.0, gate_db=0.0, noise_db=0.0, fold="",
    width=1.0, codec="", bitrate_kbps=128, peak_db=-6.0, bits=24, seed=0,
)  # fmt: skip


def level_above(wave: sounds.Wave, hz: float) -> float:
    """Share of the energy above a frequency, in dB."""
    power = np.abs(np.fft.rfft(wave[:, 0])) ** 2
    return float(10 * np.log10(power[int(hz / 44_100 * len(wave)) :].sum() / power.sum() + 1e-20))


def test_a_plain_chain_only_sets_the_level() -> None:
    """With every element left out, the wave is scaled to its peak and rounded to its depth."""
    wave = sounds.music(1.5)
    found = augment.apply(wave, PLAIN)
    assert np.abs(found).max() == pytest.approx(10 ** (-6 / 20), abs=1e-4)
    assert np.corrcoef(found[:, 0], wave[:, 0])[0, 1] > 0.99999


@pytest.mark.parametrize(
    "change",
    [{"codec": c} for c in ("mp3", "vorbis", "opus", "aac")]
    + [{"speed": 1.05}, {"via_rate_hz": 48_000}, {"low_pass_hz": 10_000.0},
       {"low_pass_hz": 10_000.0, "low_pass_order": 0},
       {"eq": ((3000.0, 8.0, 1.0),)}, {"drive": 9.0}, {"gate_db": 50.0}, {"noise_db": -50.0}, {"fold": "mono"},
       {"fold": "dual"}, {"width": 0.4}, {"bits": 16}],
    ids=str,
)  # fmt: skip
def test_each_element_changes_the_sound_and_not_its_input(change: dict[str, object]) -> None:
    """Each element alone changes the samples, keeps them finite and about as long, and leaves its input alone."""
    wave = sounds.music(1.5)
    before = wave.copy()
    plain = augment.apply(wave, PLAIN)
    found = augment.apply(wave, dataclasses.replace(PLAIN, **change))  # type: ignore[arg-type]
    assert np.array_equal(wave, before)
    assert np.isfinite(found).all()
    assert 0.9 < len(found) / len(wave) < 1.12
    assert found.shape != plain.shape or np.abs(found - plain).max() > 1e-6


def test_a_low_pass_takes_what_lies_above() -> None:
    """The brick wall at 10 kHz leaves nothing above 11 kHz, an order of eight little."""
    wave = sounds.noise(1.5)
    for order, least in ((0, -60), (8, -14)):
        chain = dataclasses.replace(PLAIN, low_pass_hz=10_000.0, low_pass_order=order)
        assert level_above(augment.apply(wave, chain), 12_000) < least


def test_noise_has_its_level() -> None:
    """Noise at -40 dB below the clip is found there."""
    wave = sounds.tone(500, 1.5)
    noisy = augment.apply(wave, dataclasses.replace(PLAIN, noise_db=-40.0))
    clean = augment.apply(wave, PLAIN)
    gain = float(np.vdot(noisy, clean) / np.vdot(clean, clean))
    residual = noisy - gain * clean
    ratio = 20 * np.log10(np.sqrt(np.mean(residual**2)) / np.sqrt(np.mean((gain * clean) ** 2)))
    assert ratio == pytest.approx(-40, abs=0.5)


@pytest.mark.parametrize("channels", [1, 2])
def test_noise_is_laid_under_a_passage_as_it_is(channels: int) -> None:
    """What is added lies 95 to 45 dB below the level, between white and pink, and leaves the passage alone."""
    wave = sounds.music(2.0, channels=channels)
    before = wave.copy()
    level = np.sqrt(np.mean(wave.astype(float) ** 2))
    below, tilts, shared = [], [], []
    for seed in range(60):
        noise = augment.over_noise(wave, np.random.default_rng(seed)).astype(float) - wave
        below.append(-20 * np.log10(np.sqrt(np.mean(noise**2)) / level))
        power = np.abs(np.fft.rfft(noise[:, 0])) ** 2
        octaves = [power[2 * k : 4 * k].mean() for k in (500, 8000)]
        tilts.append(10 * np.log10(octaves[0] / octaves[1]) / 4 / 3.01)
        shared.append(channels == 2 and np.allclose(noise[:, 0], noise[:, 1], atol=1e-7))
    assert np.array_equal(wave, before)
    assert 44.9 < min(below) < 55 < 85 < max(below) < 95.5
    assert -0.1 < min(tilts) < 0.2 < 0.8 < max(tilts) < 1.1
    assert (0.1 < np.mean(shared) < 0.7) if channels == 2 else not any(shared)
    assert np.array_equal(
        augment.over_noise(wave, np.random.default_rng(3)), augment.over_noise(wave, np.random.default_rng(3))
    )


def test_what_a_chain_does_is_on_record() -> None:
    """Filters, drive and width count as the effects they are, as strong as an effects chain would call them, width only
    where there is a side that stays."""
    wide = sounds.noise(1.0)
    chain = dataclasses.replace(PLAIN, eq=((400.0, -6.0, 1.0), (90.0, 3.0, 0.7)), drive=6.0, width=1.4)
    found = dict(augment.effects_of(wide, chain))
    assert found == {"eq": round(3 / 9, 4), "saturation": 0.1106, "stereo_imaging": round(0.1 / 1.7, 4)}
    loud = dataclasses.replace(PLAIN, eq=((400.0, 13.0, 1.0),), drive=20.0, width=0.0)
    assert dict(augment.effects_of(wide, loud)) == {"eq": 1.0, "saturation": 1.0, "stereo_imaging": 0.4118}
    flat = np.repeat(wide[:, :1], 2, axis=1)
    for wave, folded in ((flat, chain), (wide[:, :1], chain), (wide, dataclasses.replace(chain, fold="dual"))):
        assert dict(augment.effects_of(wave, folded)) == {k: found[k] for k in ("eq", "saturation")}
    assert augment.effects_of(wide, dataclasses.replace(PLAIN, codec="mp3", low_pass_hz=9_000.0)) == ()


@pytest.mark.parametrize("width", [0.4, 1.6])
@pytest.mark.parametrize(("side_db", "is_heard"), [(-90.0, False), (-60.0, False), (-20.0, True), (0.0, True)])
def test_a_width_that_nobody_hears_is_not_on_record(width: float, side_db: float, is_heard: bool) -> None:
    """Stereo that is mono but for a coder's rounding has no image to change; what the chain makes of it tells so."""
    mid, side = sounds.noise(1.0)[:, :1], sounds.noise(1.0, seed=1)[:, :1] * 10 ** (side_db / 20)
    wave = np.hstack([mid + side, mid - side]).astype(np.float32)
    chain = dataclasses.replace(PLAIN, width=width)
    assert (dict(augment.effects_of(wave, chain)).keys() == {"stereo_imaging"}) == is_heard
    made, plain = augment.apply(wave, chain), augment.apply(wave, PLAIN)
    assert (level.change_db(plain, made) > level.LEAST_CHANGE_DB) == is_heard


def test_both_twins_go_through_the_same_chain() -> None:
    """One drawn chain is deterministic: the same wave twice gives the same samples, noise included."""
    rng = np.random.default_rng(3)
    for _ in range(12):
        chain = augment.draw(rng)
        wave = sounds.music(1.5)
        assert np.array_equal(augment.apply(wave, chain), augment.apply(wave.copy(), chain))


def test_a_chain_says_nothing_of_the_class() -> None:
    """Level, bandwidth, length and shape after the chain do not tell twins apart that only differ by a small change."""
    rng = np.random.default_rng(0)
    facts, labels = [], []
    for k in range(40):
        wave = sounds.music(0.8, seed=k % 4)
        chain = augment.draw(rng)
        for label, twin in enumerate((wave, wave * np.float32(0.5))):
            found = augment.apply(twin, chain)
            facts.append(
                [np.abs(found).max(), level_above(found, 15_000), len(found), found.shape[1], (found == 0).mean()]
            )
            labels.append(label)
    score = cross_val_score(RandomForestClassifier(60, random_state=0), facts, labels, cv=5).mean()
    assert score < 0.65


@pytest.mark.parametrize("kbps", [64, 128, 320])
@pytest.mark.parametrize("codec", ["mp3", "opus", "vorbis"])
def test_coders_keep_the_rate_they_are_given(codec: str, kbps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the bytes written: within a sixth, of Vorbis, which has qualities, within a quarter."""
    sizes, read = [], soundfile.read

    def weigh(file: io.BytesIO, **options: object) -> object:
        sizes.append(len(file.getvalue()))
        return read(file, **options)

    monkeypatch.setattr(augment.soundfile, "read", weigh)
    augment.code(sounds.music(8.0), codec, kbps)
    assert abs(sizes[0] * 8 / 8000 / kbps - 1) < (0.25 if codec == "vorbis" else 1 / 6)


def test_an_unknown_codec_is_refused() -> None:
    """A codec nobody knows is a ValueError that lists the others."""
    with pytest.raises(ValueError, match="needed: mp3, vorbis, opus, aac or wma"):
        augment.code(sounds.noise(0.5), "atrac", 128)


@pytest.mark.parametrize("codec", ["mp3", "vorbis", "opus", "aac", "wma"])
@pytest.mark.parametrize("channels", [1, 2])
def test_codecs_keep_the_sound(codec: str, channels: int) -> None:
    """Each codec gives back the tone it was given, with as many channels."""
    wave = sounds.tone(1000, 1.5, channels=channels)
    found = augment.code(wave, codec, 128)
    assert found.shape[1] == channels
    middle = found[20_000:50_000, 0] * np.hanning(30_000)
    assert np.argmax(np.abs(np.fft.rfft(middle))) * 44_100 / 30_000 == pytest.approx(1000, abs=3)
