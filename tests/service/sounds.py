"""The same stem in every format, and files that mean harm."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

from tests.sounds import RATE_HZ, encode, encode_m4a, music

TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "mp3": "audio/mpeg",
    "aiff": "audio/aiff",
    "m4a": "audio/mp4",
}
"""Content types by format."""


def stem(kind: str = "wav", seconds: float = 6.0, seed: int = 0) -> bytes:
    """Return a stem as a file of one of the formats."""
    if kind == "m4a":
        return encode_m4a(music(seconds, seed=seed))
    if kind == "opus":
        return encode(music(seconds, 48_000, seed=seed), 48_000, "OGG", "OPUS")
    return encode(music(seconds, seed=seed), fmt=kind.upper())


def hostile() -> dict[str, bytes]:
    """Return files that no verdict can be given on, by what is wrong with them."""
    good = stem("wav", 2.0)
    flac = stem("flac", 2.0)
    rng = np.random.default_rng(7)
    nan = io.BytesIO()
    soundfile.write(nan, np.full((44_100, 2), np.nan, np.float32), RATE_HZ, format="WAV", subtype="FLOAT")
    many = io.BytesIO()
    soundfile.write(many, np.zeros((4410, 6), np.float32), RATE_HZ, format="WAV")
    header_only = io.BytesIO()
    soundfile.write(header_only, np.zeros((0, 2), np.float32), RATE_HZ, format="WAV")
    return {
        "empty": b"",
        "one byte": b"R",
        "noise": rng.bytes(50_000),
        "text": b"RIFF is not what this is\n" * 100,
        "picture": b"\x89PNG\r\n\x1a\n" + rng.bytes(5000),
        "zeros": bytes(20_000),
        "header only": header_only.getvalue(),
        "nan": nan.getvalue(),
        "six channels": many.getvalue(),
        "impossible rate": good[:24] + struct.pack("<II", 4_000_000_000, 4_000_000_000) + good[32:],
        "no channels": good[:22] + struct.pack("<H", 0) + good[24:],
        "flac head then noise": flac[:200] + rng.bytes(20_000),
        "riff head then noise": good[:12] + rng.bytes(20_000),
        "mp4 head then noise": b"\0\0\0\x20ftypM4A " + rng.bytes(20_000),
        "adts head then noise": b"\xff\xf1" + rng.bytes(4000),
        "ogg head then noise": b"OggS\0\x02" + rng.bytes(20_000),
        "aiff head then noise": b"FORM\0\0\x10\0AIFF" + rng.bytes(4000),
    }


def flac_bomb(minutes: int = 120) -> bytes:
    """Return a small FLAC file that decodes to hours of digital silence."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", RATE_HZ, 2, format="FLAC", subtype="PCM_16") as file:
        minute = np.zeros((60 * RATE_HZ, 2), np.int16)
        for _ in range(minutes):
            file.write(minute)
    return out.getvalue()
