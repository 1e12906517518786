"""Effects chains: each effect does what its name says, and the record is true."""

from __future__ import annotations

import numpy as np
import pytest

from provenance import model
from tests.training import songs
from training import effects
from training.processors import image, level, pitch, space, tone

RATE_HZ = 44_100


def rng(seed: int = 0) -> np.random.Generator:
    """Return a seeded source of randomness."""
    return np.random.default_rng(seed)


def hum(hz: float, seconds: float = 1.5) -> effects.Wave:
    """Return a steady voice-like tone of twelve harmonics, float32 (n, 2), peak 0.5."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * k * hz * t + k) / k for k in range(1, 13))
    wave = wave / np.abs(wave).max() * 0.5
    return np.stack([wave, wave], 1).astype(np.float32)


def level_db(wave: effects.Wave) -> float:
    """Return the power in dB."""
    return float(10 * np.log10(np.mean(wave.astype(np.float64) ** 2) + 1e-12))


def power_above(wave: effects.Wave, hz: float) -> float:
    """Return the power of the first channel above a frequency."""
    spectrum = np.abs(np.fft.rfft(wave[:, 0] * np.hanning(len(wave)))) ** 2
    return float(spectrum[int(hz / RATE_HZ * len(wave)) :].sum())


def test_the_record_covers_the_verdict() -> None:
    """Every effect the verdict speaks of can be in a chain, and limiting is the only one beyond."""
    assert set(effects.EFFECTS) - {"limiting"} == set(model.EFFECTS)


@pytest.mark.parametrize("name", effects.EFFECTS)
def test_every_effect_changes_a_voice_and_not_its_input(name: str) -> None:
    """Every effect keeps shape and type, stays finite, changes the sound and leaves the input array alone."""
    voice = hum(228.0)
    voice *= np.linspace(0.2, 1.0, len(voice), dtype=np.float32)[:, None]
    before = voice.copy()
    for seed in range(3):
        out = effects.apply(name, voice, 0.7, rng(seed))
        assert out is not None
        assert out.shape == voice.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert level.change_db(voice, out) > -45 or name == "de_essing"  # there are no sibilants in it
        np.testing.assert_array_equal(voice, before)


def test_an_unknown_effect_is_named() -> None:
    """Neither an effect nor a processing that nobody listed passes."""
    with pytest.raises(ValueError, match="found effect 'magic'"):
        effects.apply("magic", hum(200.0), 0.5, rng())
    with pytest.raises(ValueError, match="needed: hybrid or wet"):
        effects.produce(hum(200.0), "soaked", rng())


def test_the_pitch_of_a_tone_is_found() -> None:
    """The tracker is within half a percent on tones from 90 to 700 Hz and finds none in noise."""
    for hz in (90.0, 147.3, 228.0, 441.0, 700.0):
        found = pitch.track(hum(hz, 0.5))
        assert np.median(np.abs(found - hz)) < 0.005 * hz
    noise = rng().standard_normal((22_050, 2)).astype(np.float32) * 0.1
    assert (pitch.track(noise) > 0).mean() < 0.1


def test_pitch_correction_puts_a_sour_tone_on_a_note() -> None:
    """At full strength a tone between two notes ends within 12 cents of a note of twelve-tone tuning."""
    for hz in (226.0, 310.0):  # 46 cents above A3 and 6 below D sharp 4's upper quarter
        out = pitch.correct(hum(hz), 1.0, rng(1))
        assert out is not None
        found = pitch.track(out)[20:-20]
        cents = 1200 * np.log2(np.median(found) / 440)
        assert abs(cents - 100 * round(cents / 100)) < 12
        assert abs(level_db(out) - level_db(hum(hz))) < 1.5


def test_pitch_correction_leaves_what_has_no_pitch() -> None:
    """Drums and noise come back as None, and so does a stem shorter than two frames."""
    noise = rng().standard_normal((44_100, 2)).astype(np.float32) * 0.1
    assert pitch.correct(noise, 1.0, rng()) is None
    assert pitch.correct(songs.stem("drums", 1.0, 0), 1.0, rng()) is None
    assert pitch.correct(hum(200.0, 0.05), 1.0, rng()) is None


def test_resynthesis_at_the_same_pitch_is_the_same_sound() -> None:
    """With a ratio of one, the grains add up to the source within -30 dB."""
    voice = hum(205.0)
    track = pitch.track(voice)
    same = pitch._resynthesise(voice, track, np.ones_like(track))
    inside = slice(4000, -4000)
    assert level_db((same - voice)[inside]) < level_db(voice[inside]) - 30


def test_a_limiter_holds_the_peak_and_raises_the_level() -> None:
    """Limiting never passes the former peak, and makes a voice with peaks louder by decibels."""
    voice = songs.stem("drums", 2.0, 3)
    out = level.limit(voice, 0.8, rng())
    assert np.abs(out).max() <= np.abs(voice).max() * 1.0001
    assert level_db(out) > level_db(voice) + 2


def test_compression_narrows_the_dynamics() -> None:
    """A passage 20 dB below another is closer to it afterwards."""
    loud, quiet = hum(200.0, 1.0), hum(200.0, 1.0) * np.float32(0.1)
    out = level.compress(np.concatenate([loud, quiet]), 0.8, rng())
    before = level_db(loud) - level_db(quiet)
    after = level_db(out[5000:40_000]) - level_db(out[50_000:85_000])
    assert after < before - 6


def test_de_essing_spares_what_is_below_the_sibilants() -> None:
    """A 1 kHz tone keeps its level within half a decibel; loud hiss above 8 kHz loses at least three."""
    t = np.arange(RATE_HZ) / RATE_HZ
    tone_1k = np.repeat((0.2 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)[:, None], 2, 1)
    hiss = np.repeat((0.2 * np.sin(2 * np.pi * 9000 * t) * (t > 0.8)).astype(np.float32)[:, None], 2, 1)
    out = level.de_ess(tone_1k + hiss, 0.9, rng())
    early, late = slice(10_000, 30_000), slice(38_000, 44_000)
    assert abs(level_db(out[early]) - level_db(tone_1k[early])) < 0.5
    assert power_above(out[late], 8000) < power_above(hiss[late], 8000) / 2


def test_saturation_adds_harmonics() -> None:
    """A pure tone gains power above its frequency and keeps its peak."""
    t = np.arange(RATE_HZ) / RATE_HZ
    pure = np.repeat((0.4 * np.sin(2 * np.pi * 500 * t)).astype(np.float32)[:, None], 2, 1)
    out = level.saturate(pure, 0.6, rng())
    assert power_above(out, 900) > 1e3 * power_above(pure, 900)
    assert np.abs(out).max() == pytest.approx(np.abs(pure).max(), rel=0.01)


def test_reverb_sounds_on_after_the_stem_and_delay_repeats_it() -> None:
    """After a click a room leaves a tail, measured or simulated, and a delay distinct equal distances."""
    click = np.zeros((RATE_HZ * 2, 2), np.float32)
    click[1000] = 0.5
    rooms = [np.exp(-np.arange(20_000) / 4000)[:, None].astype(np.float32) * rng(1).standard_normal((20_000, 1))]
    for given in ((), [np.asarray(r, np.float32) for r in rooms]):
        out = space.reverb(click, 0.7, rng(2), given)
        assert np.count_nonzero(np.abs(out[2000:8000]).max(1) > 1e-6) > 4000
    out = space.delay(click, 0.7, rng(3))
    peaks = np.flatnonzero(np.abs(out).max(1) > 0.02)
    starts = peaks[np.concatenate([[True], np.diff(peaks) > 1000])]
    assert len(starts) >= 3
    assert np.ptp(np.diff(starts[:3])) <= 20


def test_a_simulated_room_dies_away() -> None:
    """The level of a simulated room's second half is at least 20 dB below its first tenth."""
    for seed in range(10):
        room = space.simulate(rng(seed))
        assert level_db(room[len(room) // 2 :]) < level_db(room[: len(room) // 10]) - 20


def test_imaging_makes_a_difference_between_the_channels() -> None:
    """A mono stem has a side signal afterwards, whichever method was drawn."""
    voice = hum(210.0)
    for seed in range(12):
        out = image.place(voice, 0.5, rng(seed))
        side = (out[:, 0] - out[:, 1]) / 2
        assert level_db(side) > level_db(out) - 30


def test_equalising_is_linear_and_modulation_moves() -> None:
    """Twice the input gives twice the output of an equaliser; a modulated steady tone is no longer steady."""
    voice = hum(210.0)
    once, twice = tone.equalise(voice, 0.5, rng(4)), tone.equalise(voice * 2, 0.5, rng(4))
    np.testing.assert_allclose(twice, once * 2, atol=1e-4)
    moved = tone.modulate(voice, 0.9, rng(5))
    spectrum = np.abs(np.fft.rfft(moved[8000:, 0] * np.hanning(len(moved) - 8000)))
    steady = np.abs(np.fft.rfft(voice[8000:, 0] * np.hanning(len(moved) - 8000)))
    assert (spectrum > spectrum.max() * 1e-3).sum() > (steady > steady.max() * 1e-3).sum()


def test_chains_say_what_they_did() -> None:
    """Hybrid has no space, wet has; strengths lie in 0..1; nothing is twice; the same seed gives the same stem."""
    voice = hum(233.0, 1.0)
    seen: set[str] = set()
    for seed in range(60):
        for processing in ("hybrid", "wet"):
            made = effects.produce(voice, processing, rng(seed))
            names = [name for name, _ in made.effects]
            seen |= set(names)
            assert made.processing == processing
            assert names
            assert len(set(names)) == len(names)
            assert all(0 < strength <= 1 for _, strength in made.effects)
            assert bool(set(names) & effects.SPACE) == (processing == "wet")
            assert np.abs(made.wave).max() <= 1.0
    again = effects.produce(voice, "wet", rng(59))
    assert again.effects == made.effects
    np.testing.assert_array_equal(again.wave, made.wave)
    assert seen == set(effects.EFFECTS)


def test_the_order_of_the_record_is_the_order_of_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is applied first is recorded first, and both usual and swapped orders occur."""
    order: list[str] = []
    real = effects.apply

    def spy(name: str, *given: object) -> effects.Wave | None:
        made = real(name, *given)  # type: ignore[arg-type]
        if made is not None:
            order.append(name)
        return made

    monkeypatch.setattr(effects, "apply", spy)
    voice = songs.stem("vocals", 0.6, 0)
    for seed in range(8):
        order.clear()
        made = effects.produce(voice, "wet", rng(seed))
        kept = [name for name, _ in made.effects]
        assert [name for name in order if name in kept] == kept
        assert set(order) - set(kept) <= {"de_essing", "limiting"}
    drawn = [effects.draw("wet", rng(seed)) for seed in range(300)]
    orders = {tuple(name for name in names if name in ("eq", "compression")) for names in drawn}
    assert {("eq", "compression"), ("compression", "eq")} <= orders


def test_what_cannot_be_heard_is_not_on_record() -> None:
    """Pitch correction of drums is left out of the record, and a chain of it alone becomes an equalisation."""
    drums = songs.stem("drums", 1.0, 0)
    for seed in range(80):
        made = effects.produce(drums, "hybrid", rng(seed))
        names = [name for name, _ in made.effects]
        assert "pitch_correction" not in names
        assert names


def test_folding_to_mono_takes_the_image_off_the_record() -> None:
    """Of a folded stem nobody can tell the imaging; the other labels stay in order."""
    chain = (("eq", 0.5), ("stereo_imaging", 0.4), ("limiting", 0.2))
    assert effects.folded(chain) == (("eq", 0.5), ("limiting", 0.2))
