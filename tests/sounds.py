"""Sounds that tests are made of: all synthesised, nothing recorded."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATE_HZ = 44_100
Wave = npt.NDArray[np.float32]


def tone(hz: float, seconds: float = 4.0, rate_hz: int = RATE_HZ, level: float = 0.5, channels: int = 1) -> Wave:
    """Return a sine, float32 (n, channels)."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.repeat((level * np.sin(2 * np.pi * hz * t)).astype(np.float32)[:, None], channels, 1)


def noise(seconds: float = 4.0, rate_hz: int = RATE_HZ, level: float = 0.1, channels: int = 2, seed: int = 0) -> Wave:
    """Return white noise, float32 (n, channels)."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((int(seconds * rate_hz), channels))).astype(np.float32)


def music(seconds: float = 6.0, rate_hz: int = RATE_HZ, channels: int = 2, seed: int = 0) -> Wave:
    """Return decaying harmonic notes over a faint floor, float32 (n, channels), peak 0.5, channels not alike."""
    return _music(seconds, rate_hz, channels, seed).copy()


@lru_cache(maxsize=32)
def _music(seconds: float, rate_hz: int, channels: int, seed: int) -> Wave:
    rng = np.random.default_rng(seed)
    out = np.zeros((int(seconds * rate_hz), channels))
    for onset in np.arange(0, seconds, 0.4):
        start = int(onset * rate_hz)
        s = np.arange(min(int(1.2 * rate_hz), len(out) - start)) / rate_hz
        phase = 2 * np.pi * 110 * 2 ** (rng.integers(0, 24) / 12) * s
        top = int(0.45 * rate_hz / 440)
        body = sum(np.sin(phase * k) / k**1.5 for k in range(1, min(20, top)))
        pan = rng.uniform(0.3, 0.7)
        out[start : start + len(s)] += (body * np.exp(-s / 0.2))[:, None] * np.array([pan, 1 - pan])[:channels]
    out = out / np.abs(out).max() * 0.5 + 1e-4 * rng.standard_normal(out.shape)
    return out.astype(np.float32)


def write(path: Path, wave: Wave, rate_hz: int = RATE_HZ, subtype: str | None = None, fmt: str | None = None) -> Path:
    """Write a file through soundfile in blocks, and return its path."""
    with soundfile.SoundFile(path, "w", rate_hz, wave.shape[1], subtype, format=fmt) as file:
        for start in range(0, len(wave), rate_hz):
            file.write(wave[start : start + rate_hz])
    return path


def encode(wave: Wave, rate_hz: int = RATE_HZ, fmt: str = "WAV", subtype: str | None = None) -> bytes:
    """Return a file's bytes."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate_hz, wave.shape[1], subtype, format=fmt) as file:
        for start in range(0, len(wave), rate_hz):
            file.write(wave[start : start + rate_hz])
    return buffer.getvalue()


def encode_m4a(wave: Wave, rate_hz: int = RATE_HZ, fmt: str = "mp4", coding: str = "aac", **options: str) -> bytes:
    """Return the bytes of AAC, or of another coding, in an MP4 or other container, made by PyAV."""
    import av

    layout = "stereo" if wave.shape[1] == 2 else "mono"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=fmt, options=options) as container:
        stream = container.add_stream(coding, rate=rate_hz, layout=layout)
        stream.bit_rate = 192_000
        size = stream.codec_context.frame_size or 1024
        fit = av.AudioResampler(stream.codec_context.format, layout, rate_hz, size)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave.T), format="fltp", layout=layout)
        frame.rate, frame.pts = rate_hz, 0
        for part in (*fit.resample(frame), *fit.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return buffer.getvalue()
