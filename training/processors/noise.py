"""Noise reduction: hiss under a take, gates and gains that take it away again, and gates that are told no noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal, special

from training import augment

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
MOST_NOISE_DB = -30.0
"""What is louder than this beside the mean of all bands is taken for no noise: a held note has no quiet tenth."""
BY_BINS, SMOOTHLY = ("gate", "subtraction"), "wiener"
"""What opens and closes each bin by itself, and leaves islands of noise; and what looks at the frames before."""
SMOOTHINGS = ("none", "mean", "decay")
"""Of gains: over neighbours, or over earlier frames alone, so that a bin opens and closes by steps."""
SILENT = 0.4
"""How often bins that are closed by themselves are closed altogether."""
LEAST_BELOW_DB, MOST_BELOW_DB = 40.0, 75.0
"""So far below a take lies noise that a program is told of."""
P_OWN_QUIET = 0.25
"""How often it is told of a quiet passage of the take itself, where there is one."""
TOLD_FRAME = 2048
"""Of SoX's and Audacity's noise reduction, in samples, whatever the rate."""
ATTACK_S, RELEASE_S = 0.02, 0.1
"""Of Audacity's, which no longer asks for them."""


def clean(wave: Wave, strength: float, by_bins: bool, n_fft: int, hop: int, rng: np.random.Generator) -> Wave:
    """Lay noise under a stem and take it out again, or take out what lies still in it.

    The noise is known to the cleaner, as of a passage that somebody marked, or read off each band's quietest tenth.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        strength: 0 to 1: how deep noise is taken down and, but for the gate, how far beyond it.
        by_bins: by one of :data:`BY_BINS`, else smoothly.
        n_fft, hop: of the transform, in samples.
        rng: draws the noise, the rule and what the strength leaves open.

    Returns:
        The same shape.

    Source: S. Boll, *Suppression of acoustic noise in speech using spectral subtraction* (1979); the smoothed estimate
    of the signal is of Y. Ephraim and D. Malah (1984).
    """
    noisy = augment.over_noise(wave, rng, 60.0 if rng.random() < 0.7 else 75.0, 40.0) if rng.random() < 0.8 else wave
    hiss = np.asarray(noisy - wave, np.float32)
    is_told = bool(hiss.any()) and rng.random() < 0.6
    rule = str(rng.choice(BY_BINS, p=(0.7, 0.3))) if by_bins else SMOOTHLY
    if rule == "gate":  # power of noise is exponential: 0.1 to 40 % of its bins stay open, as islands
        beyond = np.sqrt(-rng.uniform(np.log(0.001), np.log(0.4)))
    else:
        beyond = 1.0 + strength * rng.uniform(0.5, 4.0)
    floor = 0.0 if by_bins and rng.random() < SILENT else 10 ** (-(6 + 44 * strength * rng.random()) / 20)
    smoothing = str(rng.choice(SMOOTHINGS))
    size, slowness = (int(rng.integers(1, 4)), int(rng.integers(1, 6))), float(rng.uniform(0.3, 0.8))
    out = np.empty_like(noisy)
    for channel in range(wave.shape[1]):
        spectrum = _stft(noisy[:, channel], n_fft, hop)
        power = spectrum.real**2 + spectrum.imag**2
        if is_told:
            found = np.abs(_stft(hiss[:, channel], n_fft, hop)) ** 2
            floor_power = found.mean(1, keepdims=True)
        else:
            quietest = 2.0 * np.quantile(power, 0.1, axis=1, keepdims=True)
            floor_power = np.minimum(quietest, power.mean() * 10 ** (MOST_NOISE_DB / 10))
        gain = gain_of(rule, power / (floor_power + 1e-20), beyond)
        if smoothing == "mean":
            gain = ndimage.uniform_filter(gain, size)
        elif smoothing == "decay":
            gain = signal.lfilter([1 - slowness], [1, -slowness], gain).astype(np.float32)
        out[:, channel] = _as_long(_istft(spectrum * np.maximum(gain, floor), n_fft, hop), len(wave))
    return out


def gate_by_own_level(wave: Wave, strength: float, n_fft: int, hop: int, rng: np.random.Generator) -> Wave:
    """Close each bin that lies low beside its own band, as noise reduction does that is told no noise.

    Beside the band's mean level over the passage, or beside how it moves: what is held long closes as noise would.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        strength: 0 to 1: how much of what is closed is taken away.
        n_fft, hop: of the transform, in samples.
        rng: draws the rule and its thresholds.

    Returns:
        The same shape.

    Source: T. Sainburg, *noisereduce* (2019), both of whose rules these are; values are drawn around its own.
    """
    moves, slowness_s = bool(rng.random() < 0.5), float(rng.uniform(0.5, 3.0))
    beyond = float(rng.uniform(1.0, 2.5)) if moves else float(rng.uniform(0.5, 1.75))
    over_bins, over_frames = 500 * n_fft // RATE_HZ, RATE_HZ // (20 * hop)  # 500 Hz and 50 ms either way
    size = 1 + 2 * int(rng.integers(0, over_bins + 1)), 1 + 2 * int(rng.integers(0, over_frames + 1))
    kept = 0.0 if rng.random() < SILENT else 0.4 * (1.0 - strength)
    out = np.empty_like(wave)
    for channel in range(wave.shape[1]):
        spectrum = _stft(wave[:, channel], n_fft, hop)
        amplitude = np.abs(spectrum) + 1e-9
        if moves:
            step = 1.0 - np.exp(-hop / (RATE_HZ * slowness_s))
            usual = signal.filtfilt([step], [1.0, step - 1.0], amplitude, axis=1, padtype=None)
            gain = special.expit(10.0 * (amplitude / np.maximum(usual, 1e-9) - 1.0 - beyond))
        else:
            level = np.log(amplitude)
            gain = np.asarray(level > level.mean(1, keepdims=True) + beyond * level.std(1, keepdims=True), np.float64)
        gain = ndimage.uniform_filter(ndimage.uniform_filter(gain, size), size)  # a triangle
        back = _istft(spectrum * np.asarray(kept + (1.0 - kept) * gain, np.float32), n_fft, hop)
        out[:, channel] = _as_long(back, len(wave))
    return out


def gate_as_sox(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Take noise out as SoX's ``noisered`` does, and Audacity before 2.1: laid there and known, or a quiet passage's.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        strength: 0 to 1: the program's amount, from 0.02 to its default of 0.5.
        rng: draws the noise.

    Returns:
        The same shape.
    """
    noisy, told = _told_noise(wave, rng)
    return noisered(noisy, told, 0.02 * 25.0**strength)


def gate_as_audacity(wave: Wave, strength: float, rng: np.random.Generator) -> Wave:
    """Take noise out as Audacity's Noise Reduction does: laid there and known, or a quiet passage's.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        strength: 0 to 1: how deep noise is taken down, from 6 to 48 dB.
        rng: draws the noise, sensitivity and smoothing, around the program's own.

    Returns:
        The same shape.
    """
    noisy, told = _told_noise(wave, rng)
    sensitivity = float(np.exp(rng.uniform(np.log(2.0), np.log(24.0))))
    return noise_reduction(noisy, told, 6.0 * 8.0**strength, sensitivity, int(rng.choice([0, 0, 1, 3, 3, 6, 12])))


def noisered(noisy: Wave, told: Wave, amount: float) -> Wave:
    """Open each bin that lies so far above noise, half as far as is left in each frame.

    Args:
        noisy: float32 (n, channels); it is not changed. Frames begin with the first sample, which fades in.
        told: float32 (m, channels), noise alone.
        amount: 0 to 1: eight times as many nepers of power above the mean level of noise a bin has to lie.

    Returns:
        The same shape.

    Source: I. Turner, ``noiseprof`` and ``noisered`` of SoX 14.4.2. Noise is measured in frames without a window and
    the take in frames with one, in which noise of the same level lies 4.3 dB lower.
    """
    hop, window = TOLD_FRAME // 2, np.hanning(TOLD_FRAME)
    out = np.empty_like(noisy)
    for channel in range(noisy.shape[1]):
        alone = np.pad(told[:, channel], (0, -len(told) % TOLD_FRAME)).reshape(-1, TOLD_FRAME)
        line = np.log(np.abs(np.fft.rfft(alone)) ** 2 + 1e-30).mean(0) + 8.0 * amount
        padded = np.pad(noisy[:, channel], (0, hop + -len(noisy) % hop))
        frames = np.lib.stride_tricks.sliding_window_view(padded, TOLD_FRAME)[::hop]
        power = np.abs(np.fft.rfft(frames * window)) ** 2
        gain = _by_halves((power == 0) | (np.log(power + 1e-30) >= line))
        made = np.fft.irfft(np.fft.rfft(frames) * gain) * window
        whole = np.zeros((len(frames) + 1, hop))
        whole[:-1] += made[:, :hop]
        whole[1:] += made[:, hop:]
        out[:, channel] = whole.ravel()[: len(noisy)]
    return out


def _by_halves(is_open: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return gains, (n_frames, n_bins), that go half the way in each frame; a bin that opens all alone does not."""
    gain = np.zeros(is_open.shape[1])
    out = np.empty(is_open.shape)
    for frame, opens in enumerate(is_open):
        gain = 0.5 * gain + 0.5 * opens
        shut, middle = gain < 0.1, gain[2:-2]
        middle[(middle >= 0.5) & (middle <= 0.55) & shut[:-4] & shut[1:-3] & shut[3:-1] & shut[4:]] = 0.0
        out[frame] = gain
    return out


def noise_reduction(
    noisy: Wave, told: Wave, less_db: float = 12.0, sensitivity: float = 6.0, n_smoothed: int = 3
) -> Wave:
    """Turn down each bin that is no louder than noise in its frame and those around it, by slopes and smoothly.

    Args:
        noisy: float32 (n, channels); it is not changed.
        told: float32 (m, channels), noise alone, of a frame at least.
        less_db: by how much noise is turned down.
        sensitivity: tens to this power is how seldom noise is to pass, were one frame asked.
        n_smoothed: over so many bins either way gains are averaged, in decibels.

    Returns:
        The same shape.

    Source: D. Mazzoni and P. Licameli, Noise Reduction of Audacity 2.1 to 3, whose defaults these are: a bin is noise
    where the second loudest of the five frames that overlap it lies below noise's mean power times the sensitivity's
    natural logarithm.
    """
    hop = TOLD_FRAME // 4
    alone = np.stack([_stft(channel, TOLD_FRAME, hop)[:, 2:-3] for channel in told.T])  # whole frames
    line = sensitivity * np.log(10.0) * np.mean(np.abs(alone) ** 2, axis=(0, 2))[:, None]
    out = np.empty_like(noisy)
    for channel in range(noisy.shape[1]):
        spectrum = _stft(noisy[:, channel], TOLD_FRAME, hop)
        second = ndimage.rank_filter(np.abs(spectrum) ** 2, -2, size=(1, 5), mode="constant")
        gain_db = _by_slopes(np.where(second > line, 0.0, -less_db), less_db, hop)
        gain_db = ndimage.uniform_filter1d(gain_db, 2 * n_smoothed + 1, axis=0, mode="nearest")
        back = _istft(spectrum * np.asarray(10 ** (gain_db / 20), np.float32), TOLD_FRAME, hop)
        out[:, channel] = _as_long(back, len(noisy))
    return out


def _by_slopes(gain_db: npt.NDArray[np.float64], less_db: float, hop: int) -> npt.NDArray[np.float64]:
    """Return gains, (n_bins, n_frames), that rise before a bin opens and fall after it, by even steps of decibels."""
    rise_db, fall_db = (less_db / (1 + int(length_s * RATE_HZ / hop)) for length_s in (ATTACK_S, RELEASE_S))
    out = gain_db.copy()
    for frame in range(1, out.shape[1]):
        out[:, frame] = np.maximum(out[:, frame], out[:, frame - 1] - fall_db)
    for frame in range(out.shape[1] - 2, -1, -1):
        out[:, frame] = np.maximum(out[:, frame], out[:, frame + 1] - rise_db)
    return out


def _told_noise(wave: Wave, rng: np.random.Generator) -> tuple[Wave, Wave]:
    """Return a take over noise and up to 1.5 s of that alone; or as it is, and the quietest such passage of it."""
    n = int(rng.uniform(0.3, 1.5) * RATE_HZ)
    if rng.random() < P_OWN_QUIET:
        quiet = quietest(wave, n)
        if len(quiet):
            return wave, quiet
    noisy = augment.over_noise(wave, rng, MOST_BELOW_DB, LEAST_BELOW_DB)
    return noisy, noisy[:n] - wave[:n]


def quietest(wave: Wave, n: int) -> Wave:
    """Return the quietest passage that may be noise: none where something is louder or digitally silent in all.

    Args:
        wave: float32 (n_samples, channels).
        n: length of a passage, in samples; whole frames of it are returned, one at least.

    Returns:
        float32 (about n, channels), or (0, channels).
    """
    n_frames = max(1, n // TOLD_FRAME)
    if len(wave) < n_frames * TOLD_FRAME:
        return wave[:0]
    frames = wave[: len(wave) - len(wave) % TOLD_FRAME].reshape(-1, TOLD_FRAME * wave.shape[1])
    level_db = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, 1) + 1e-20)
    below_db = 10 * np.log10(np.mean(wave.astype(np.float64) ** 2) + 1e-20) - level_db
    passages = np.lib.stride_tricks.sliding_window_view(below_db, n_frames)
    least_db = np.where(passages.max(1) < MOST_BELOW_DB, passages.min(1), 0.0)
    start = int(least_db.argmax())
    if least_db[start] < -MOST_NOISE_DB:
        return wave[:0]
    return wave[start * TOLD_FRAME : (start + n_frames) * TOLD_FRAME]


def _stft(wave: npt.NDArray[np.float32], n_fft: int, hop: int) -> npt.NDArray[np.complex64]:
    found: npt.NDArray[np.complex64] = signal.stft(wave, RATE_HZ, nperseg=n_fft, noverlap=n_fft - hop)[2]
    return found


def _istft(spectrum: npt.NDArray[np.complex64], n_fft: int, hop: int) -> npt.NDArray[np.float32]:
    back: npt.NDArray[np.float32] = signal.istft(spectrum, RATE_HZ, nperseg=n_fft, noverlap=n_fft - hop)[1]
    return back


def _as_long(wave: npt.NDArray[np.float32], n: int) -> npt.NDArray[np.float32]:
    return wave[:n] if len(wave) >= n else np.pad(wave, (0, n - len(wave)))


def gain_of(rule: str, ratio: npt.NDArray[np.float32], beyond: float) -> npt.NDArray[np.float32]:
    """Return the gain of each bin, (n_bins, n_frames).

    Args:
        rule: one of :data:`BY_BINS`, or :data:`SMOOTHLY`.
        ratio: each bin's power over that of the noise in its band.
        beyond: how far above the noise a bin has to lie: of the gate as an amplitude, of the others as a power.
    """
    if rule == "gate":
        return np.asarray(ratio > beyond**2, np.float32)
    if rule == "subtraction":
        return np.sqrt(np.maximum(1 - beyond / np.maximum(ratio, 1e-9), 0)).astype(np.float32)
    kept = np.zeros(len(ratio), np.float32)
    out = np.empty_like(ratio)
    for frame in range(ratio.shape[1]):
        prior = 0.96 * kept + 0.04 * np.maximum(ratio[:, frame] / beyond - 1, 0)
        out[:, frame] = prior / (1 + prior)
        kept = out[:, frame] ** 2 * ratio[:, frame]
    return out
