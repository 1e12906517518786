"""Masks drawn from a separator's estimates and laid over the mix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tests.training import songs
from training.separators import remask, surrogate

Wave = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def stems() -> dict[str, Wave]:
    """The stems of a song of three seconds."""
    return {stem: songs.stem(stem, 3.0, 0) for stem in songs.STEMS}


def estimates_of(stems: dict[str, Wave]) -> dict[str, Wave]:
    """Return stems that hold a tenth of each other."""
    mix = sum(stems.values())
    return {name: np.asarray(0.9 * wave + 0.1 * mix, np.float32) for name, wave in stems.items()}


def test_wiener_masks_share_the_whole_mix_out(stems: dict[str, Wave]) -> None:
    """The masked stems add up to the mix, and each is nearer to its true stem than the mix is."""
    mix = np.asarray(sum(stems.values()), np.float32)
    out = remask.apply(estimates_of(stems), mix, "wiener", np.random.default_rng(1))
    assert np.allclose(sum(out.values()), mix, atol=1e-4)
    for name, wave in out.items():
        assert wave.shape == mix.shape
        assert surrogate.sdr_db(stems[name], wave) > surrogate.sdr_db(stems[name], mix) + 3


@pytest.mark.parametrize("how", list(remask.KINDS))
@pytest.mark.parametrize("seed", range(4))
def test_every_way_gives_something_near_the_estimate_that_is_not_it(
    stems: dict[str, Wave], how: str, seed: int
) -> None:
    """Nearer to the estimate than the mix is, but with errors of its own."""
    mix = np.asarray(sum(stems.values()), np.float32)
    estimates = estimates_of(stems)
    for name, wave in remask.apply(estimates, mix, how, np.random.default_rng(seed)).items():
        assert np.isfinite(wave).all()
        near = surrogate.sdr_db(estimates[name], wave)
        assert surrogate.sdr_db(estimates[name], mix) < near < 45


def test_the_phase_of_the_mix_is_kept(stems: dict[str, Wave]) -> None:
    """A single tone's estimate of half its level and of another phase comes out in phase with the mix."""
    t = np.arange(44_100, dtype=np.float64)[:, None] / 44_100
    mix = np.repeat(np.sin(2 * np.pi * 440 * t), 2, 1).astype(np.float32)
    late = np.repeat(0.5 * np.sin(2 * np.pi * 440 * t + 1.2), 2, 1).astype(np.float32)
    out = remask.apply({"other": late}, mix, "phase_of_mix", np.random.default_rng(0))["other"]
    inner = slice(8_000, 36_000)
    assert np.allclose(out[inner], 0.5 * mix[inner], atol=0.02)


def test_a_way_nobody_knows_is_named(stems: dict[str, Wave]) -> None:
    """The error says which ways there are."""
    with pytest.raises(ValueError, match=r"'magic'.*wiener, phase_of_mix, complex"):
        remask.apply(stems, stems["bass"], "magic", np.random.default_rng(0))


def test_two_draws_in_turn_differ() -> None:
    """A way that was taken is not drawn again."""
    rng = np.random.default_rng(0)
    assert all(remask.draw(rng, how) != how for how in list(remask.KINDS) * 20)
