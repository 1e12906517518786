"""What an editor or a poor converter does: images lie where they must, gain goes by steps, pauses are silent."""

from __future__ import annotations

import numpy as np
import pytest

from tests import sounds
from training import rework
from training.processors import edit

RATE_HZ = sounds.RATE_HZ


def level_db(wave: sounds.Wave, hz: float) -> float:
    """Level of a bin and its neighbours beside the loudest."""
    spectrum = np.abs(np.fft.rfft(wave[:, 0] * np.hanning(len(wave))))
    at = round(hz * len(wave) / RATE_HZ)
    return float(20 * np.log10(spectrum[at - 2 : at + 3].max() / spectrum.max()))


@pytest.mark.parametrize(("order", "expected_db"), [(edit.HOLD, -5.3), (edit.LINEAR, -10.6)])
def test_a_poor_converter_mirrors_a_tone(order: int, expected_db: float) -> None:
    """7 kHz at a rate of 22.05 kHz comes back at 15.05 kHz: by a hold 5.3 dB lower, by a line twice as much."""
    tone = sounds.tone(7000, 2.0)
    out = edit.with_images(tone, 22_050, order)
    assert out.shape == tone.shape
    assert out.dtype == np.float32
    assert level_db(tone, 15_050) < -80
    assert level_db(out, 15_050) == pytest.approx(expected_db, abs=0.2)


def test_gain_goes_by_steps_of_one_length() -> None:
    """Beside the input there is one gain for each block, blocks are of one length, and depth is what was asked."""
    wave = np.full((3 * RATE_HZ, 2), 0.1, np.float32)
    gain_db = 20 * np.log10(edit.in_steps(wave, 6.0, 1024, np.random.default_rng(3))[:, 0] / 0.1)
    changes = np.flatnonzero(np.abs(np.diff(gain_db)) > 1e-4)
    assert set(np.unique(np.diff(changes) % 1024)) == {0}
    assert len(changes) > 100
    assert 5.0 < np.abs(gain_db).max() <= 6.01


def test_what_is_quiet_is_cut_to_silence() -> None:
    """Between bursts there is nothing left, bursts are as they were but for the ends, and no cut clicks."""
    n = RATE_HZ // 2
    loud = np.tile(np.repeat([1.0, 0.01], n), 3)[:, None].astype(np.float32)
    wave = sounds.tone(440, 3.0)[:, :1] * loud
    out = edit.chopped(wave, -30.0)
    for second in range(3):
        at = second * RATE_HZ
        assert not out[at + n + 500 : at + 2 * n - 500].any()
        np.testing.assert_allclose(out[at + 1000 : at + n - 1000], wave[at + 1000 : at + n - 1000], rtol=1e-5)
    assert np.abs(np.diff(out[:, 0])).max() <= 1.1 * np.abs(np.diff(wave[:, 0])).max()
    np.testing.assert_allclose(edit.chopped(wave, -60.0)[1000:-1000], wave[1000:-1000], rtol=1e-5)


def test_a_reversed_stem_ends_where_it_began() -> None:
    """The samples are the same, the last one first."""
    wave = sounds.music(1.0)
    made = rework.apply(wave, rework.Rework("reversed", 0.0, 0, 0, "", 0, 1))
    assert np.array_equal(made, wave[::-1])
    assert made.flags["C_CONTIGUOUS"]
