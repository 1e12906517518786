"""Pitch correction: a voice's pitch is tracked, pulled to a scale and the sound resynthesised period by period."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Wave = npt.NDArray[np.float32]
Track = npt.NDArray[np.float64]
RATE_HZ = 44_100
HOP, FRAME = 441, 2048
MIN_HZ, MAX_HZ = 70.0, 900.0
_MAJOR = (0, 2, 4, 5, 7, 9, 11)
LEAST_VOICED = 0.2
"""Share of frames with a pitch below which nothing is corrected: drums and chords have none."""
LEAST_CENTS = 5.0


def track(wave: Wave) -> Track:
    """Return the pitch in Hz every 10 ms, 0 where there is none.

    Args:
        wave: float32 (n, channels), at least 2,048 samples.

    Source: normalised autocorrelation as in P. Boersma, Accurate short-term analysis of the fundamental frequency,
    1993.
    """
    mono = wave.mean(1).astype(np.float64)
    n_frames = 1 + (len(mono) - FRAME) // HOP
    frames = np.lib.stride_tricks.sliding_window_view(mono, FRAME)[::HOP][:n_frames]
    window = np.hanning(FRAME)
    spectrum = np.fft.rfft((frames - frames.mean(1, keepdims=True)) * window, 2 * FRAME)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, : FRAME // 2]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * FRAME)) ** 2)[: FRAME // 2]
    correlation = correlation / (correlation[:, :1] + 1e-12) / (own / own[0])
    lags = np.arange(FRAME // 2)
    allowed = (lags >= RATE_HZ / MAX_HZ) & (lags <= RATE_HZ / MIN_HZ)
    score = np.where(allowed, correlation - 0.0002 * lags, -1.0)  # of octaves the higher, all else alike
    best = score.argmax(1)
    rows = np.arange(n_frames)
    left, middle, right = (correlation[rows, np.clip(best + k, 0, FRAME // 2 - 1)] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(np.abs(bend) > 1e-9, 0.5 * (left - right) / np.where(np.abs(bend) > 1e-9, bend, 1.0), 0.0)
    energy = (frames**2).mean(1)
    voiced = (middle > 0.6) & (energy > energy.max() * 1e-4)
    pitch = np.where(voiced, RATE_HZ / (best + np.clip(shift, -1, 1)), 0.0)
    return np.asarray(pitch * (ndimage.median_filter(voiced.astype(int), 5) > 0), np.float64)


def correct(wave: Wave, strength: float, rng: np.random.Generator) -> Wave | None:
    """Pull the pitch to the notes of a random major scale.

    Args:
        wave: float32 (n, 2), one voice.
        strength: 0 to 1; from slow and partial to at once and wholly.
        rng: draws the scale.

    Returns:
        float32 (n, 2), or None where there is no pitch to correct.

    Source: E. Moulines and F. Charpentier, Pitch-synchronous waveform processing techniques, 1990.
    """
    if len(wave) < 2 * FRAME:
        return None
    hz = track(wave)
    voiced = hz > 0
    if voiced.mean() < LEAST_VOICED:
        return None
    note = 69 + 12 * np.log2(np.where(voiced, hz, 440.0) / 440)
    notes = np.array([12 * octave + tone for octave in range(12) for tone in _MAJOR])
    notes = notes + int(rng.integers(12))
    target = notes[np.abs(note[:, None] - notes[None]).argmin(1)]
    semitones = np.where(voiced, (target - note) * (0.4 + 0.6 * strength), 0.0)
    semitones = ndimage.gaussian_filter1d(semitones, max(0.3, 8 * (1 - strength)))  # how fast it is pulled
    semitones = np.where(voiced, semitones, 0.0)
    if np.abs(semitones[voiced]).mean() * 100 < LEAST_CENTS:
        return None
    return _resynthesise(wave, hz, 2 ** (semitones / 12))


def _resynthesise(wave: Wave, hz: Track, ratio: Track) -> Wave:
    """Lay grains of two periods at the wanted distance, each from the nearest place of the source."""
    n = len(wave)
    at = lambda values, place: values[min(len(values) - 1, max(0, (place - FRAME // 2) // HOP))]  # noqa: E731
    period_at = lambda place: int(RATE_HZ / f) if (f := at(hz, place)) > 0 else HOP  # noqa: E731
    marks, periods = [0], [period_at(0)]
    while marks[-1] + periods[-1] < n:
        marks.append(marks[-1] + periods[-1])
        periods.append(period_at(marks[-1]))
    grid = np.array(marks)
    out = np.zeros((n, 2))
    weight = np.full(n, 1e-3)
    place = 0.0
    while place < n:
        k = int(np.clip(np.searchsorted(grid, place), 1, len(grid) - 1)) if len(grid) > 1 else 0
        k = k - 1 if k and abs(grid[k - 1] - place) <= abs(grid[k] - place) else k
        period, mark, centre = periods[k], int(grid[k]), int(place)
        before = min(period, mark, centre)
        after = min(period, n - mark, n - centre)
        shape = 0.5 + 0.5 * np.cos(np.pi * np.arange(-before, after) / period)
        out[centre - before : centre + after] += wave[mark - before : mark + after] * shape[:, None]
        weight[centre - before : centre + after] += shape
        place += max(8.0, period / float(at(ratio, mark)))
    return np.asarray(out / np.maximum(weight, 0.5)[:, None], np.float32)
