"""The common chain: what happens to a stem between its making and its being offered, alike for both classes.

A :class:`Chain` is drawn once and applied to a separated clip and to its true twin alike, so that no element of it
can tell the class.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from scipy import signal

from training.processors.level import LEAST_CHANGE_DB, change_db

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
_BY_FFMPEG = {"aac": ("aac", "adts", 1024, 0), "wma": ("wmav2", "asf", 2048, 2048)}
"""Encoder, container, samples of a frame and how many the decoder loses at the front, of what libsndfile does not
write."""
CODECS = ("mp3", "mp3", "mp3", "vorbis", "vorbis", "opus", "aac", "aac")


@dataclass(frozen=True)
class Chain:
    """A drawn chain of processing; None or 0 leaves an element out.

    Args:
        speed: ratio of a tape-like speed change.
        via_rate_hz: a rate to resample to and back from.
        low_pass_hz, low_pass_order: a Butterworth filter; order 0 is a brick wall.
        eq: (centre_hz, gain_db, q) of each peaking filter.
        drive: gain in dB into a soft limiter.
        gate_db: what lies so far below the loudest frame becomes digital silence.
        noise_db: white noise relative to the clip's level.
        fold: ``mono``, ``dual`` (mono in two channels) or empty.
        width: factor on the side signal.
        codec, bitrate_kbps: a lossy coding and its rate.
        peak_db, bits: the level and depth it is stored with.
        seed: for the noise.
    """

    speed: float
    via_rate_hz: int
    low_pass_hz: float
    low_pass_order: int
    eq: tuple[tuple[float, float, float], ...]
    drive: float
    gate_db: float
    noise_db: float
    fold: str
    width: float
    codec: str
    bitrate_kbps: int
    peak_db: float
    bits: int
    seed: int


def draw(rng: np.random.Generator, strength: float = 1.0) -> Chain:
    """Draw a chain.

    Args:
        rng: source of randomness.
        strength: scales the chance of each element, 0 to 1.
    """
    chance = lambda p: bool(rng.random() < p * strength)  # noqa: E731
    codec = str(rng.choice(CODECS)) if chance(0.5) else ""
    return Chain(
        speed=float(rng.uniform(0.92, 1.08)) if chance(0.12) else 1.0,
        via_rate_hz=int(rng.choice([48_000, 48_000, 48_000, 32_000, 96_000, 24_000])) if chance(0.25) else 0,
        low_pass_hz=float(rng.uniform(9_000, 20_000)) if chance(0.3) else 0.0,
        low_pass_order=int(rng.choice([0, 4, 8])),
        eq=tuple(
            (
                float(np.exp(rng.uniform(np.log(80), np.log(14_000)))),
                float(rng.uniform(-9, 9)),
                float(rng.uniform(0.4, 2)),
            )
            for _ in range(int(rng.integers(1, 4)) if chance(0.3) else 0)
        ),
        drive=float(rng.uniform(0, 12)) if chance(0.12) else 0.0,
        gate_db=float(rng.uniform(40, 70)) if chance(0.12) else 0.0,
        noise_db=float(rng.uniform(-85, -50)) if chance(0.15) else 0.0,
        fold=str(rng.choice(["mono", "mono", "dual"])) if chance(0.3) else "",
        width=float(rng.uniform(0.3, 1.6)) if chance(0.15) else 1.0,
        codec=codec,
        bitrate_kbps=int(rng.choice([64, 96, 128, 128, 160, 192, 192, 256, 320])),
        peak_db=float(rng.uniform(-24, -0.5)),
        bits=int(rng.choice([16, 16, 24])),
        seed=int(rng.integers(2**31)),
    )


def over_noise(wave: Wave, rng: np.random.Generator, most_db: float = 95.0, least_db: float = 45.0) -> Wave:
    """Lay noise under a passage: white to pink, from one source or one for each channel.

    Args:
        wave: float32 (n, 1 or 2); it is not changed.
        rng: draws level, colour and noise.
        most_db, least_db: so far below the passage's level it lies.
    """
    below_db, colour = float(rng.uniform(least_db, most_db)), float(rng.uniform(0, 1))
    noise = rng.standard_normal(wave.shape if rng.random() < 0.6 else (len(wave), 1))
    noise = tinted(noise, colour, 20.0)
    level = np.sqrt(np.mean(wave**2)) * 10 ** (-below_db / 20) / (noise.std() + 1e-12)
    return np.asarray(wave + noise * level, np.float32)


def tinted(noise: npt.NDArray[np.float64], colour: float, flat_below_hz: float) -> npt.NDArray[np.float64]:
    """Return white noise with a spectrum that falls.

    Args:
        noise: (n, channels) at 44.1 kHz.
        colour: 0 leaves it white, 1 makes it pink.
        flat_below_hz: it does not rise further below.
    """
    n = len(noise)
    spectrum = np.fft.rfft(noise, axis=0)
    spectrum *= np.maximum(np.arange(len(spectrum)), n * flat_below_hz / RATE_HZ)[:, None] ** (-colour / 2)
    out: npt.NDArray[np.float64] = np.fft.irfft(spectrum, n, axis=0)
    return out


def effects_of(wave: Wave, chain: Chain) -> tuple[tuple[str, float], ...]:
    """Return what a chain does that is an effect by itself, with a strength of 0 to 1, as effects chains name it.

    Another width of what has next to no side is none, by the rule of effects chains.

    Args:
        wave: float32 (n, 1 or 2) that it is applied to.
        chain: drawn.
    """
    found: list[tuple[str, float]] = []
    if chain.eq:
        found.append(("eq", (max(abs(gain_db) for _, gain_db, _ in chain.eq) - 3) / 9))
    if chain.drive:
        found.append(("saturation", (10 ** (chain.drive / 20) - 1) / 9))
    wide = chain.width != 1.0 and not chain.fold and wave.shape[1] == 2
    if wide and change_db(wave, _with_width(wave, chain.width)) > LEAST_CHANGE_DB:
        found.append(("stereo_imaging", (abs(chain.width - 1.0) - 0.3) / 1.7))
    return tuple((name, round(min(1.0, max(0.0, strength)), 4)) for name, strength in found)


def apply(wave: Wave, chain: Chain) -> Wave:
    """Apply a chain.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        chain: what to do.

    Returns:
        float32 (about n, 1 or 2) at 44.1 kHz.
    """
    out = wave
    if chain.speed != 1.0:
        out = soxr.resample(out, RATE_HZ * chain.speed, RATE_HZ)
    if chain.eq:
        for centre_hz, gain_db, q in chain.eq:
            out = signal.sosfilt(peaking(centre_hz, gain_db, q), out, axis=0)
    if chain.low_pass_hz:
        out = _low_pass(out, chain.low_pass_hz, chain.low_pass_order)
    out = np.asarray(out, np.float32)
    if chain.drive:
        peak = np.abs(out).max() + 1e-9
        gain = 10 ** (chain.drive / 20) / peak
        out = np.tanh(out * gain) / gain
    if chain.gate_db:
        out = _gate(out, chain.gate_db)
    if out.shape[1] == 2 and chain.width != 1.0:
        out = _with_width(out, chain.width)
    if chain.fold:
        mono = out.mean(1, keepdims=True)
        out = np.repeat(mono, 2, 1) if chain.fold == "dual" else mono
    if chain.noise_db:
        level = np.sqrt(np.mean(out**2)) * 10 ** (chain.noise_db / 20)
        out = out + np.random.default_rng(chain.seed).standard_normal(out.shape) * level
    if chain.via_rate_hz:
        out = soxr.resample(soxr.resample(out, RATE_HZ, chain.via_rate_hz), chain.via_rate_hz, RATE_HZ)
    out = out * (10 ** (chain.peak_db / 20) / (np.abs(out).max() + 1e-9))
    if chain.codec:
        out = code(np.asarray(out, np.float32), chain.codec, chain.bitrate_kbps)
    scale = 2.0 ** (chain.bits - 1)
    return np.ascontiguousarray(np.round(out * scale) / scale, dtype=np.float32)


def at_peak(wave: Wave) -> Wave:
    """Return a wave at a peak of 0.7, which coders do not clip.

    Args:
        wave: float32 (n, channels).
    """
    return wave * np.float32(0.7 / (np.abs(wave).max() + 1e-9))


VORBIS_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
"""Nominal rates of stereo at 44.1 kHz, of qualities 0 to 10 as libvorbis has them."""


def code(wave: Wave, codec: str, bitrate_kbps: int) -> Wave:
    """Encode and decode.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz, peak below 1.
        codec: ``mp3``, ``vorbis``, ``opus``, ``aac`` or ``wma``.
        bitrate_kbps: wanted rate of a stereo signal; MP3 takes it for mono, too, others half of it. Vorbis has a
            quality for it, and what that gives goes with the sound.

    Raises:
        ValueError: an unknown codec.
    """
    if codec in _BY_FFMPEG:
        return _code_by_ffmpeg(wave, bitrate_kbps, *_BY_FFMPEG[codec])
    buffer = io.BytesIO()
    if codec == "mp3":
        level = float(np.clip((320 - bitrate_kbps) / (320 - 40), 0.0, 1.0))
        soundfile.write(buffer, wave, RATE_HZ, format="MP3", compression_level=level, bitrate_mode="CONSTANT")
    elif codec == "vorbis":
        level = 1.0 - float(np.interp(bitrate_kbps, VORBIS_KBPS, np.linspace(0.0, 1.0, len(VORBIS_KBPS))))
        _write_ogg(buffer, wave, RATE_HZ, "VORBIS", level)
    elif codec == "opus":  # libsndfile has 6 to 256 kbit/s for each channel
        level = float(np.clip(1.0 - (bitrate_kbps / 2 - 6) / 250, 0.0, 1.0))
        _write_ogg(buffer, soxr.resample(wave, RATE_HZ, 48_000), 48_000, "OPUS", level)
    else:
        raise ValueError(f"found codec {codec!r}; needed: mp3, vorbis, opus, aac or wma")
    buffer.seek(0)
    out, rate = soundfile.read(buffer, dtype="float32", always_2d=True)
    if rate != RATE_HZ:
        out = soxr.resample(out, rate, RATE_HZ)
    return np.asarray(out, np.float32)


def _write_ogg(buffer: io.BytesIO, wave: Wave, rate: int, subtype: str, level: float) -> None:
    with soundfile.SoundFile(buffer, "w", rate, wave.shape[1], subtype, format="OGG", compression_level=level) as file:
        for start in range(0, len(wave), rate):  # one long write overflows libsndfile's stack
            file.write(wave[start : start + rate])


def _code_by_ffmpeg(wave: Wave, bitrate_kbps: int, name: str, form: str, n_frame: int, n_lost: int) -> Wave:
    import av

    n = len(wave)
    if n_lost:
        wave = np.pad(wave, ((n_lost, 2 * n_frame), (0, 0)))
    layout = "stereo" if wave.shape[1] == 2 else "mono"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(name, rate=RATE_HZ, layout=layout)
        stream.bit_rate = bitrate_kbps * 1000 // (1 if wave.shape[1] == 2 else 2)
        for start in range(0, len(wave), n_frame):
            block = np.ascontiguousarray(wave[start : start + n_frame].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.rate, frame.pts = RATE_HZ, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, format=form) as container:
        frames = [f.to_ndarray() for f in container.decode(audio=0)]
    out = np.concatenate(frames, 1).T.astype(np.float32)
    return out[:n] if n_lost else out


def peaking(centre_hz: float, gain_db: float, q: float) -> npt.NDArray[np.float64]:
    """Return a peaking biquad as second-order section, shape (1, 6).

    Args:
        centre_hz: of the peak.
        gain_db: at the peak.
        q: quality factor.

    Source: R. Bristow-Johnson, Audio EQ Cookbook.
    """
    a = 10 ** (gain_db / 40)
    w = 2 * np.pi * centre_hz / RATE_HZ
    alpha = np.sin(w) / (2 * q)
    b = np.array([1 + alpha * a, -2 * np.cos(w), 1 - alpha * a])
    d = np.array([1 + alpha / a, -2 * np.cos(w), 1 - alpha / a])
    return np.concatenate([b / d[0], d / d[0]])[None]


def _with_width(wave: Wave, width: float) -> Wave:
    mid, side = wave.mean(1), (wave[:, 0] - wave[:, 1]) / 2 * width
    return np.stack([mid + side, mid - side], 1)


def _low_pass(wave: Wave, cutoff_hz: float, order: int) -> Wave:
    if order == 0:
        spectrum = np.fft.rfft(wave, axis=0)
        spectrum[int(cutoff_hz / RATE_HZ * len(wave)) :] = 0
        return np.fft.irfft(spectrum, len(wave), axis=0).astype(np.float32)
    sos = signal.butter(order, cutoff_hz, fs=RATE_HZ, output="sos")
    return signal.sosfilt(sos, wave, axis=0).astype(np.float32)


def _gate(wave: Wave, below_db: float) -> Wave:
    size = 882
    n = len(wave) // size
    energy = (wave[: n * size].reshape(n, size, -1) ** 2).mean((1, 2))
    closed = energy < energy.max() * 10 ** (-below_db / 10)
    gain = np.repeat((~closed).astype(np.float32), size)
    gain = np.convolve(gain, np.ones(221, np.float32) / 221, "same")
    out = wave.copy()
    out[: n * size] *= gain[:, None]
    return out
