"""The worst findings to look at: spectrogram, timeline and evidence of each."""

from __future__ import annotations

import base64
import struct
import zlib
from collections import Counter
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.audit import store
from provenance.audit.findings import KINDS
from provenance.audit.likeness import read_row
from provenance.decide import raised_from
from provenance.evidence.conclude import leaning
from provenance.frontend import stft
from provenance.pairs.align import fold

SHOWN_S = 12.0
_WIDTH, _HEIGHT = 480, 160
_RANGE_DB = 90.0
_A_KIND = 3
_TELLING = (
    ("usual in separated stems, rare in studio", "more usual in separated"),
    ("usual in studio stems, rare in separated", "more usual in studio"),
    ("rare in both",),
)
"""What is shown of cues: those that lean either way, the clearest first, then what is rare in both."""
_MOST_OF_EACH = 2
_STOPS = np.array([[6, 6, 20], [50, 18, 92], [140, 41, 99], [222, 90, 72], [251, 180, 80], [252, 253, 191]], float)


def collect(db: duckdb.DuckDBPyConnection, most: int) -> list[dict[str, Any]]:
    """Return the surest and costliest findings that have something to look at, at most three of a kind.

    Args:
        db: with ``stems`` and ``findings``.
        most: files.

    Returns:
        For each: its row, its findings, ``image`` (a data URI, or None if the audio is gone) and how much it shows.
    """
    rows = store.fetch(
        db,
        """
        select path, kind, sure, cost_s, other, what from findings
        where kind not in ('unreadable', 'crashed', 'silent', 'too_short', 'band_limited')
        order by weight_s desc, path, kind, other limit 400""",
    )
    counts: Counter[str] = Counter()
    chosen: list[str] = []
    for row in rows:
        if len(chosen) < most and counts[row["kind"]] < _A_KIND and row["path"] not in chosen:
            counts[row["kind"]] += 1
            chosen.append(row["path"])
    out = []
    for path in chosen:
        stem = store.fetch(db, "select * exclude (landmarks, landmark_frames) from stems where path = ? limit 1", path)[
            0
        ]
        found = [row | {"words": KINDS[row["kind"]][1]} for row in rows if row["path"] == path]
        samples = read_row(stem, SHOWN_S)
        usable = samples is not None and len(samples) >= 4096
        out.append(
            {
                "stem": stem,
                "findings": found,
                "cues": _telling(stem["evidence"] or []),
                "leans": Counter(leaning(cue["suggests"]) for cue in stem["evidence"] or []),
                "alone": _alone(stem),
                "image": png_uri(spectrogram(samples)) if usable and samples is not None else None,
                "shown_s": min(SHOWN_S, len(samples) / SAMPLE_RATE_HZ) if samples is not None else 0.0,
            }
        )
    return out


def _telling(cues: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return at most two cues that lean to extraction, two that lean to a recording, and two that are rare in both."""
    known = [cue for cue in cues if cue["value"] is not None]
    out = []
    for kind in _TELLING:
        out += [cue for words in kind for cue in known if cue["suggests"].startswith(words)][:_MOST_OF_EACH]
    return out


def _alone(stem: dict[str, Any]) -> float | None:
    return raised_from(stem["p_separated"], (segment["p_separated"] for segment in stem["segments"] or []))


def spectrogram(samples: Samples) -> npt.NDArray[np.uint8]:
    """Return a picture of a stem: time to the right, 0 to 22.05 kHz upwards, 90 dB from dark to light.

    Args:
        samples: float32, shape (n, 1 or 2), 44.1 kHz, at least 4096.

    Returns:
        uint8, shape (160, 480, 3).
    """
    hop = max(256, (len(samples) - 2048) // _WIDTH)
    power = np.abs(stft(fold(samples), hop)) ** 2
    columns = np.linspace(0, len(power) - 1, _WIDTH).astype(int)
    rows = np.linspace(0, power.shape[1], _HEIGHT + 1).astype(int)
    power = np.add.reduceat(power[columns], rows[:-1], axis=1) / np.diff(rows)
    level = 10 * np.log10(power / max(float(power.max()), 1e-20) + 1e-12)
    shade = np.clip(1 + level / _RANGE_DB, 0, 1).T[::-1] * (len(_STOPS) - 1)
    low = np.minimum(shade.astype(int), len(_STOPS) - 2)
    part = (shade - low)[..., None]
    out: npt.NDArray[np.uint8] = (_STOPS[low] * (1 - part) + _STOPS[low + 1] * part).astype(np.uint8)
    return out


def png_uri(image: npt.NDArray[np.uint8]) -> str:
    """Return an image as a data URI with a PNG.

    Args:
        image: uint8, shape (height, width, 3).
    """
    height, width, _ = image.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    )
    return "data:image/png;base64," + base64.b64encode(data).decode()
