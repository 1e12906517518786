"""Surrogate and classical separations, and the SDR they are labelled with."""

from __future__ import annotations

import numpy as np
import pytest

from tests import sounds
from tests.training import songs
from training.separators import classical, surrogate


@pytest.mark.parametrize("error_db", [-5.0, 0.0, 10.0, 30.0])
def test_sdr_is_what_it_is_by_construction(error_db: float) -> None:
    """Noise added at a known ratio gives that SDR, over both channels at once."""
    rng = np.random.default_rng(0)
    wave = sounds.music(1.5)
    noise = rng.standard_normal(wave.shape)
    noise *= np.sqrt((wave.astype(float) ** 2).sum() / (noise**2).sum()) * 10 ** (-error_db / 20)
    assert surrogate.sdr_db(wave, (wave + noise).astype(np.float32)) == pytest.approx(error_db, abs=0.01)


def test_sdr_has_its_ends() -> None:
    """A perfect estimate is 60 dB, silence 0 dB, and nothing is below -30 dB."""
    wave = sounds.music(1.5)
    assert surrogate.sdr_db(wave, wave) == 60.0
    assert surrogate.sdr_db(wave, wave * 0) == pytest.approx(0.0, abs=1e-6)
    assert surrogate.sdr_db(wave, wave * 1000) == -30.0


def test_surrogates_are_labelled_with_their_own_sdr() -> None:
    """Every drawn surrogate is finite, as long as its target, differs from it, and carries its SDR."""
    rng = np.random.default_rng(1)
    target, other = songs.stem("vocals", 1.2, 0), songs.stem("drums", 1.2, 1)
    found = []
    for _ in range(10):
        estimate, sdr = surrogate.separate(target, other, rng)
        assert estimate.shape == target.shape
        assert estimate.dtype == np.float32
        assert np.isfinite(estimate).all()
        assert sdr == pytest.approx(surrogate.sdr_db(target, estimate), abs=1e-6)
        assert sdr < 60
        found.append(sdr)
    assert np.ptp(found) > 5, "severity is drawn"


def test_surrogates_are_better_than_the_mix_mostly() -> None:
    """Most surrogates are nearer to their target than an even mix is: they are extractions, not mixes."""
    rng = np.random.default_rng(2)
    target, other = songs.stem("vocals", 1.2, 0), songs.stem("other", 1.2, 1)
    sdrs = [surrogate.separate(target, other, rng)[1] for _ in range(12)]
    assert np.mean(np.array(sdrs) > 0) > 0.7


def test_the_same_seed_gives_the_same_surrogate() -> None:
    """Surrogates are reproducible and leave their inputs as they were."""
    target, other = songs.stem("vocals", 1.5, 0), songs.stem("drums", 1.5, 1)
    before = target.copy(), other.copy()
    one, two = (surrogate.separate(target, other, np.random.default_rng(9))[0] for _ in range(2))
    assert np.array_equal(one, two)
    assert np.array_equal(target, before[0])
    assert np.array_equal(other, before[1])


@pytest.mark.parametrize("stem", ["vocals", "drums", "bass", "other"])
def test_classical_separation_raises_the_sdr_of_its_stem(stem: str) -> None:
    """Each classical method gives a stem of the mix's length; drums and bass come nearer to the truth than the mix."""
    parts = {name: songs.stem(name, 2.0, 5) for name in songs.STEMS}
    mix = np.sum(list(parts.values()), axis=0)
    found = classical.separate(mix, stem)
    assert found.shape == mix.shape
    assert np.isfinite(found).all()
    assert not np.allclose(found, mix)
    if stem in ("drums", "bass"):
        assert surrogate.sdr_db(parts[stem], found) > surrogate.sdr_db(parts[stem], mix)
