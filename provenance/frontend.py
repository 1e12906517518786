"""The front end: a window of audio to one vector of statistics, in numpy.

Timbre says which instrument plays; texture says how the signal was made. A local mean over frequency is taken off
every log spectrum, so what is left is holes, combs, floors and smear, and the statistics of that and of energy over
time are what origin is judged by above all. Statistics of production and of the waveform, for processing and effects,
follow them. The numbers here are the model's contract: they are copied into its ``config.json`` and compared at load.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance import dynamics, envelope, production, waveform
from provenance.audio import SAMPLE_RATE_HZ, Samples

VERSION = 5
N_FFT = 2048
HOP = 1024
FLOOR_DB = -110.0
"""Power below this, relative to the window's mean bin, is not looked at: 16-bit noise lies there."""
TEXTURE_BINS = 21
"""Width of the local mean over frequency: 450 Hz."""
BAND_EDGES_HZ = (
    40, 300, 600, 1000, 1500, 2200, 3200, 4500, 6000, 7500, 9000, 10500,
    12000, 13500, 15000, 16000, 17500, 19000, 20500, 22000,
)  # fmt: skip
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
FREQUENCY_LAGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
TIME_LAGS = (1, 2, 3, 4, 6, 8)
QUIET_SHARE = 0.1
SPARSE = 2
"""Order statistics, and all of the side channel, are taken from every second frame: it halves their cost."""
PHASE_FRAMES = 80
"""Phase statistics look at this many frames from the middle of the window."""
N_MAP_BINS = 1024
"""Bins of the map, from the first above DC."""
TEXTURE_RANGE_DB = (-32.0, 31.75)
LEVEL_RANGE_DB = (-110.0, 17.5)
"""What the map's two channels hold; the steps of its eight-bit form are 0.25 and 0.5 dB."""

_ONE_SIDED = 1e-6
"""A channel 60 dB below the other is none: a mono take that was exported to one side of a stereo file stays mono."""
_TURNED = 2.0
"""Where the difference of the channels has so many times the power of their sum, one is taken for inverted."""
_BLOCK = 64
"""So many frames are transformed, and their texture computed, at once: they stay in the cache."""

Features: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (N_FEATURES,)."""
Map: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (2, n_frames, N_MAP_BINS): texture and level of the mid channel, each scaled to about one."""
_Array: TypeAlias = npt.NDArray[np.float32]
_Complex: TypeAlias = npt.NDArray[np.complex64]


def contract() -> dict[str, object]:
    """Return the front end's numbers, for a model to carry and a loader to compare."""
    return {
        "version": VERSION,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "n_fft": N_FFT,
        "hop": HOP,
        "floor_db": FLOOR_DB,
        "texture_bins": TEXTURE_BINS,
        "band_edges_hz": list(BAND_EDGES_HZ),
        "percentiles": list(PERCENTILES),
        "frequency_lags": list(FREQUENCY_LAGS),
        "time_lags": list(TIME_LAGS),
        "quiet_share": QUIET_SHARE,
        "sparse": SPARSE,
        "phase_frames": PHASE_FRAMES,
        "map_bins": N_MAP_BINS,
        "energy_edges_hz": list(dynamics.EDGES_HZ),
        "energy_percentiles": list(dynamics.PERCENTILES),
        "energy_lags": list(dynamics.LAGS),
        "envelope_frame": [envelope.N_FRAME, envelope.HOP],
        "envelope_edges": list(envelope.EDGES),
        "envelope_after": list(envelope.AFTER),
        "envelope_before": list(envelope.BEFORE),
        "envelope_modulation_hz": list(envelope.MODULATION_HZ),
        "envelope_map_edges": list(envelope.MAP_EDGES),
        "envelope_map_range_db": list(envelope.MAP_RANGE_DB),
        "production_after": list(production.AFTER),
        "production_before": list(production.BEFORE),
        "production_modulation_hz": list(production.MODULATION_HZ),
        "production_third_octaves_hz": list(production.THIRD_OCTAVES_HZ),
        "production_ripple": list(production.RIPPLE_EDGES),
        "production_repeats": list(production.REPEATS),
        "waveform_samples": waveform.N_FFT,
        "waveform_echo_bands_hz": [list(band) for band in waveform.ECHO_BANDS_HZ],
        "waveform_echo_ranges_ms": [list(part) for part in waveform.ECHO_RANGES_MS],
        "waveform_low_end_hz": list(waveform.LOW_END_HZ),
        "waveform_frames": list(waveform.FRAME_SIZES),
        "waveform_stereo_ranges_ms": [list(part) for part in waveform.STEREO_RANGES_MS],
        "texture_range_db": list(TEXTURE_RANGE_DB),
        "level_range_db": list(LEVEL_RANGE_DB),
        "n_features": N_FEATURES,
        "n_texture": N_TEXTURE,
    }


def stft(samples: npt.NDArray[np.float32], hop: int = HOP) -> _Complex:
    """Return the short-time Fourier transform of one channel, without padding.

    Args:
        samples: float32, shape (n,), n at least 2048.
        hop: samples from frame to frame.

    Returns:
        complex64, shape (1 + (n - 2048) // hop, 1025), scaled so that a full-scale sine peaks near 1.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::hop]
    out = np.empty((len(frames), N_FFT // 2 + 1), np.complex64)
    for first in range(0, len(frames), _BLOCK):
        some = slice(first, first + _BLOCK)
        out[some] = np.fft.rfft(frames[some] * _hann(), axis=1, norm="forward")  # another norm computes in float64
    return out


def power(spectrum: _Complex) -> _Array:
    """Return the power of each bin.

    Args:
        spectrum: complex64, any shape.
    """
    out: _Array = spectrum.real * spectrum.real
    out += spectrum.imag * spectrum.imag
    return out


def log_power(power: _Array, reference: float) -> _Array:
    """Return power in dB relative to ``reference``, with the floor at -110 dB.

    Args:
        power: float32, any shape.
        reference: the power that counts as 0 dB, above zero.
    """
    level: _Array = np.log10(power * np.float32(1.0 / reference) + np.float32(10 ** (FLOOR_DB / 10)))
    level *= np.float32(10.0)
    return level


def texture(level: _Array) -> _Array:
    """Take the local mean over frequency off a log spectrum.

    Args:
        level: float32 dB, shape (n_frames, n_bins).

    Returns:
        float32 dB of the same shape; at the edges the mean is of what there is.
    """
    out = np.empty_like(level)
    for first in range(0, len(level), _BLOCK):
        _texture(level[first : first + _BLOCK], out[first : first + _BLOCK])
    return out


def _texture(level: _Array, out: _Array) -> None:
    """Texture of a few frames; sums of two, four, eight and 16 bins give that of 21 faster than a running sum does."""
    half, n_bins = TEXTURE_BINS // 2, level.shape[1]
    two = level[:, 1:] + level[:, :-1]
    four = two[:, 2:] + two[:, :-2]
    eight = four[:, 4:] + four[:, :-4]
    inside = out[:, half : n_bins - half]
    np.add(eight[:, 8:-5], eight[:, :-13], out=inside)
    inside += four[:, 16:-1]
    inside += level[:, 20:]
    out[:, :half] = np.cumsum(level[:, : 2 * half], axis=1)[:, half:]
    out[:, n_bins - half :] = np.cumsum(level[:, : -2 * half - 1 : -1], axis=1)[:, : half - 1 : -1]
    out *= _share_of_box(n_bins, half)
    np.subtract(level, out, out=out)


@dataclass(frozen=True)
class Spectra:
    """The spectra of a window, from which features and evidence are measured.

    Args:
        mid_wave: float32, shape (n,), the mid channel without its mean.
        side_wave: float32, the side channel, or None if there is none.
        mid: complex64, shape (n_frames, n_bins), transform of the mid channel.
        mid_power: float32, its power.
        side: complex64, shape (ceil(n_frames / 2), n_bins), transform of the side channel, or None if there is none.
        side_power: float32, its power, or None.
        reference: mean power of a bin of mid and side together.
        level: float32 dB, shape of ``mid``, relative to ``reference``.
        flat: float32 dB, ``level`` less its local mean over frequency.
        fine_power: float32, of the mid channel over frames of 5.8 ms, from :func:`envelope.power`.
        is_turned: whether the difference of the channels is far stronger than their sum, and is the mid channel.
    """

    mid_wave: _Array
    side_wave: _Array | None
    mid: _Complex
    mid_power: _Array
    side: _Complex | None
    side_power: _Array | None
    reference: float
    level: _Array
    flat: _Array
    fine_power: _Array
    is_turned: bool


def analyse(samples: Samples) -> Spectra:
    """Compute the spectra of a window.

    Args:
        samples: float32, shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent.
    """
    mid_wave, side_wave, is_turned = _mid_side(samples)
    mid = stft(mid_wave)
    mid_power = power(mid)
    has_side = bool(side_wave.any())
    side = stft(side_wave, HOP * SPARSE) if has_side else None
    side_power = power(side) if side is not None else None
    reference = float(mid_power.mean()) + (float(side_power.mean()) if side_power is not None else 0.0)
    reference = max(reference, 1e-30)
    level = log_power(mid_power, reference)
    return Spectra(
        mid_wave, side_wave if has_side else None, mid, mid_power, side, side_power, reference, level, texture(level),
        envelope.power(mid_wave), is_turned,
    )  # fmt: skip


def describe(spectra: Spectra) -> Features:
    """Compute the texture statistics of a window's spectra.

    Args:
        spectra: from :func:`analyse`.

    Returns:
        float32, shape (N_FEATURES,), in the order of :func:`feature_names`.
    """
    s = spectra
    bin_power, energy = dynamics.energies(_level_bytes(s.level[:, 1:]))
    parts = [
        _percentiles(s.flat[::SPARSE]),
        _spread(s.level[::SPARSE]),
        _motion(s.level),
        _lags(s.flat),
        _quiet(s.level, s.flat, s.mid_power),
        _long_term(s.level),
        _phase(s.mid, s.mid_power),
        _stereo(s.mid[::SPARSE], s.side, s.mid_power[::SPARSE], s.side_power, s.level[::SPARSE], s.reference),
        dynamics.compute(energy),
        envelope.compute(s.fine_power),
        production.compute(bin_power, energy, _texture_bytes(s.flat[:: production.RIPPLE_SPARSE, 1:])),
        waveform.compute(s.mid_wave, s.side_wave),
    ]
    out: Features = np.concatenate(parts).astype(np.float32)
    return out


def compute(samples: Samples) -> Features:
    """Compute the texture statistics of a window.

    Nothing in them depends on gain, on polarity or on which channel is left.

    Args:
        samples: float32, shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent.

    Returns:
        float32, shape (N_FEATURES,), in the order of :func:`feature_names`.
    """
    return describe(analyse(samples))


def compute_with_map(samples: Samples) -> tuple[Features, Map]:
    """Compute the texture statistics of a window and the spectrum they were taken from.

    Args:
        samples: as for :func:`compute`.

    Returns:
        The statistics, and the map of shape (2, n_frames, N_MAP_BINS): what :func:`texture` leaves over 16 dB, and
        the level in dB, plus 60, over 30, each cut to its range.
    """
    spectra = analyse(samples)
    return describe(spectra), draw(spectra)


def draw(spectra: Spectra) -> Map:
    """Draw the map of a window's spectra.

    Args:
        spectra: from :func:`analyse`.
    """
    flat, level = spectra.flat, spectra.level
    spectrum = np.empty((2, len(flat), N_MAP_BINS), np.float32)
    np.clip(flat[:, 1:], *TEXTURE_RANGE_DB, out=spectrum[0])
    np.clip(level[:, 1:], *LEVEL_RANGE_DB, out=spectrum[1])
    spectrum[0] *= np.float32(1 / 16)
    spectrum[1] += np.float32(60)
    spectrum[1] *= np.float32(1 / 30)
    return spectrum


def draw_onsets(spectra: Spectra) -> _Array:
    """Draw the map of onsets of a window's spectra: what :func:`envelope.draw` returns.

    Args:
        spectra: from :func:`analyse`.
    """
    return envelope.draw(spectra.fine_power, len(spectra.level))


def n_map_frames(n_samples: int) -> int:
    """Return how many frames the map of a window has.

    Args:
        n_samples: length of the window, at least 2048.
    """
    return 1 + (n_samples - N_FFT) // HOP


def to_bytes(spectrum: Map) -> npt.NDArray[np.uint8]:
    """Pack a map into eight bits.

    Args:
        spectrum: as :func:`compute_with_map` returns it.
    """
    return np.stack([_texture_bytes(spectrum[0] * 16), _level_bytes(spectrum[1] * 30 - 60)])


def _texture_bytes(flat_db: _Array) -> npt.NDArray[np.uint8]:
    inside = np.clip(flat_db, *TEXTURE_RANGE_DB)
    inside -= np.float32(TEXTURE_RANGE_DB[0])
    inside *= np.float32(4)
    return np.rint(inside, out=inside).astype(np.uint8)


def _level_bytes(level_db: _Array) -> npt.NDArray[np.uint8]:
    inside = np.clip(level_db, *LEVEL_RANGE_DB)
    inside -= np.float32(LEVEL_RANGE_DB[0])
    inside *= np.float32(1 / dynamics.STEP_DB)
    return np.rint(inside, out=inside).astype(np.uint8)


@lru_cache(maxsize=1)
def feature_names() -> tuple[str, ...]:
    """Return the name of each feature, in order."""
    bands = [f"{low}-{high}" for low, high in pairwise(BAND_EDGES_HZ)]
    names = [f"texture_p{p}_{b}" for b in bands for p in PERCENTILES]
    names += [f"spread_p{p}_{b}" for b in bands for p in PERCENTILES if p != 50]
    names += [f"motion_p{p}_{b}" for b in bands for p in (25, 50, 90, 99)]
    names += [f"corr_f{lag}_{q}" for q in range(4) for lag in FREQUENCY_LAGS]
    names += [f"corr_t{lag}_{q}" for q in range(4) for lag in TIME_LAGS]
    names += [f"quiet_{what}_{b}" for what in ("depth", "roughness") for b in bands]
    names += [f"long_term_{what}_{b}" for what in ("level", "std", "max", "min") for b in bands]
    names += [f"phase_{what}_{b}" for what in ("time", "frequency") for b in bands]
    names += [f"side_{what}_{b}" for what in ("level", "spread", "coherence") for b in bands]
    names += [f"side_texture_p{p}_{b}" for b in bands for p in (1, 5, 50, 95, 99)]
    names += ["side_present"]
    return (*names, *dynamics.names(), *envelope.names(), *production.names(), *waveform.names())


@lru_cache(maxsize=1)
def _hann() -> _Array:
    n = np.arange(N_FFT)
    window: _Array = (2.0 - 2.0 * np.cos(2 * np.pi * n / N_FFT)).astype(np.float32)
    return window


@lru_cache(maxsize=4)
def _share_of_box(n_bins: int, half: int) -> _Array:
    """One over how many bins the local mean around each bin is of."""
    k = np.arange(n_bins)
    return (1 / (np.minimum(k + half + 1, n_bins) - np.maximum(k - half, 0))).astype(np.float32)


@lru_cache(maxsize=1)
def _bands() -> tuple[tuple[int, int], ...]:
    edges = [round(hz * N_FFT / SAMPLE_RATE_HZ) for hz in BAND_EDGES_HZ]
    return tuple(pairwise(edges))


def _starts() -> npt.NDArray[np.int64]:
    return np.array([a for a, _ in _bands()] + [_bands()[-1][1]])


def _band_means(rows: _Array) -> _Array:
    """Mean over the bins of each band: (..., n_bins) to (..., n_bands)."""
    starts = _starts()
    sums = np.add.reduceat(rows, starts, axis=-1)[..., :-1]
    out: _Array = np.divide(sums, np.diff(starts), dtype=np.float32)
    return out


def _mid_side(samples: Samples) -> tuple[_Array, _Array, bool]:
    """Return the stronger and the other of sum and difference, and whether the difference is the stronger."""
    channels = np.array(samples.T, order="C")
    channels -= channels.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    none = np.zeros(0, np.float32)
    if len(channels) == 1:
        return channels[0], none, False
    left, right = (float(channel @ channel) for channel in channels)
    if min(left, right) < _ONE_SIDED * max(left, right):
        return channels[int(right > left)], none, False
    mid, side = (channels[0] + channels[1]) * np.float32(0.5), (channels[0] - channels[1]) * np.float32(0.5)
    mid_energy, side_energy = float(mid @ mid), float(side @ side)
    is_turned = side_energy > _TURNED * mid_energy
    if is_turned:
        mid, side, mid_energy, side_energy = side, mid, side_energy, mid_energy
    return mid, none if side_energy < 1e-9 * mid_energy else side, is_turned


def _at(values: _Array, percentiles: tuple[int, ...]) -> _Array:
    """Percentiles of a sorted array, nearest rank."""
    return values[_ranks(len(values), percentiles)]


@lru_cache(maxsize=1024)
def _ranks(n: int, percentiles: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return np.array([min(n - 1, int(p / 100 * n)) for p in percentiles])


def _percentiles(flat: _Array, wanted: tuple[int, ...] = PERCENTILES) -> _Array:
    return np.concatenate([_at(np.sort(flat[:, a:b], axis=None), wanted) for a, b in _bands()])


def _spread(level: _Array) -> _Array:
    rows = []
    middle = PERCENTILES.index(50)
    for a, b in _bands():
        p = _at(np.sort(level[:, a:b], axis=None), PERCENTILES)
        rows.append(np.delete(p - p[middle], middle))
    return np.concatenate(rows)


def _motion(level: _Array) -> _Array:
    step = np.abs(level[1::SPARSE] - level[: len(level) - 1 : SPARSE])
    return _percentiles(step, (25, 50, 90, 99))


def _quarters() -> tuple[tuple[int, int], ...]:
    edges = [round(hz * N_FFT / SAMPLE_RATE_HZ) for hz in (100, 3000, 8000, 14000, 20000)]
    return tuple(pairwise(edges))


def _lags(flat: _Array) -> _Array:
    over_frequency, over_time = [], []
    for a, b in _quarters():
        part = np.ascontiguousarray(flat[:, a:b])
        energy = np.float32(np.vdot(part, part)) / part.size + np.float32(1e-6)
        for lag in FREQUENCY_LAGS:
            over_frequency.append(np.einsum("ij,ij->", part[:, lag:], part[:, :-lag]) / part[:, lag:].size / energy)
        for lag in TIME_LAGS:
            over_time.append(np.vdot(part[lag:], part[:-lag]) / part[lag:].size / energy)
    return np.array(over_frequency + over_time, np.float32)


def _quiet(level: _Array, flat: _Array, power: _Array) -> _Array:
    energy = power.sum(axis=1)
    n = max(1, round(QUIET_SHARE * len(energy)))
    quiet = np.argpartition(energy, n - 1)[:n]
    depth = _band_means(level[quiet].mean(axis=0)) - _band_means(level.mean(axis=0))
    roughness = np.sqrt(_band_means((flat[quiet] ** 2).mean(axis=0)))
    return np.concatenate([depth, roughness])


def _long_term(level: _Array) -> _Array:
    mean = level.mean(axis=0)
    flat = texture(mean[None])[0]
    bands = _bands()
    return np.concatenate(
        [
            _band_means(mean),
            np.array([flat[a:b].std() for a, b in bands], np.float32),
            np.array([flat[a:b].max() for a, b in bands], np.float32),
            np.array([flat[a:b].min() for a, b in bands], np.float32),
        ]
    )


def _phase(spectrum: _Complex, power: _Array) -> _Array:
    """How steadily phase advances, over time and over frequency, weighted by magnitude (second differences)."""
    skip = max(0, (len(spectrum) - PHASE_FRAMES) // 2)
    spectrum, power = spectrum[skip : skip + PHASE_FRAMES], power[skip : skip + PHASE_FRAMES]
    magnitude = np.sqrt(power) + np.float32(1e-12)
    unit: _Complex = spectrum / magnitude
    turn = unit[1:] * unit[:-1].conj()
    over_time = (turn[1:] * turn[:-1].conj()).real * magnitude[1:-1]
    turn = unit[:, 1:] * unit[:, :-1].conj()
    over_frequency = np.zeros_like(power)
    over_frequency[:, 1:-1] = (turn[:, 1:] * turn[:, :-1].conj()).real * magnitude[:, 1:-1]
    weight_t = _band_means(magnitude[1:-1].sum(axis=0)) + np.float32(1e-12)
    weight_f = _band_means(magnitude.sum(axis=0)) + np.float32(1e-12)
    return np.concatenate(
        [_band_means(over_time.sum(axis=0)) / weight_t, _band_means(over_frequency.sum(axis=0)) / weight_f]
    )


def _stereo(
    mid: _Complex,
    side: _Complex | None,
    mid_power: _Array,
    side_power: _Array | None,
    level: _Array,
    reference: float,
) -> _Array:
    n_bands = len(_bands())
    if side is None or side_power is None:
        values = np.full(n_bands * 8 + 1, -200.0, np.float32)
        values[-1] = 0.0
        return values
    side_level = log_power(side_power, reference)
    ratio = side_level - level
    mean = _band_means(ratio.mean(axis=0))
    spread = np.sqrt(np.maximum(_band_means((ratio**2).mean(axis=0)) - mean**2, 0))
    cross = _band_means((mid * side.conj()).sum(axis=0).view(np.float32).reshape(-1, 2).T.copy())
    power = _band_means(mid_power.sum(axis=0)) * _band_means(side_power.sum(axis=0)) + np.float32(1e-30)
    coherence = np.hypot(cross[0], cross[1]) / np.sqrt(power)
    return np.concatenate(
        [mean, spread, coherence, _percentiles(texture(side_level), (1, 5, 50, 95, 99)), np.ones(1, np.float32)]
    ).astype(np.float32)


N_FEATURES = len(feature_names())
N_TEXTURE = N_FEATURES - len(production.names()) - len(waveform.names())
"""So many features, the first, tell how the signal was made; timbre is in the rest, and origin is not judged by it."""
