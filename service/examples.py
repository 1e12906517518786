"""Examples for the OpenAPI document."""

from __future__ import annotations

from typing import Any

VERDICT: dict[str, Any] = {
    "schema_version": "1",
    "status": "ok",
    "origin": "separated",
    "p_separated": 0.9731,
    "confidence": 0.9731,
    "family": "transformer",
    "sdr_ceiling_db": {"estimate": 8.4, "low": 4.9, "high": 11.9},
    "processing": "undecided",
    "p_processing": {"dry": 0.03, "hybrid": 0.11, "wet": 0.86},
    "effects": {"reverb": 0.91, "compression": 0.84, "eq": 0.77},
    "effect_strengths": {"reverb": None, "compression": None, "eq": None},
    "layers": "individual",
    "segments": [
        {"start_s": 0.0, "end_s": 4.0, "p_separated": 0.981},
        {"start_s": 4.0, "end_s": 8.0, "p_separated": None},
    ],
    "evidence": [
        {
            "cue": "brick_wall",
            "value": 52.1,
            "unit": "dB",
            "suggests": "usual in separated stems, rare in studio ones; a brick wall: a codec's low-pass, "
            "a lower sample rate once, or the edge of a network's range",
            "studio_range": [2.535, 46.38],
            "separated_range": [4.981, 59.84],
        }
    ],
    "suitable_for": [
        {"use": "voice_cloning", "suitable": "no", "why": "separated, not recorded; its ceiling is about 8 dB SDR"}
    ],
    "reasons": [],
    "audio": {
        "duration_s": 8.0,
        "sample_rate_hz": 44100,
        "n_channels": 2,
        "codec": "FLAC/PCM_16",
        "n_windows": 1,
        "n_silent": 1,
    },
    "model": "stem-v1@0a1b2c3d4e5f",
    "thresholds": {
        "separated": 0.8,
        "studio": 0.2,
        "processing": 0.6,
        "distance": 4.0,
        "family": 0.5,
        "layers": 0.5,
    },
}
