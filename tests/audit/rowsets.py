"""Rows of audits that never were, for what comes after scoring: shares, claims and landmarks are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from provenance.audit import plan
from provenance.audit.items import SHARD_SIZE, Claims, Item
from provenance.audit.rows import SCHEMA
from provenance.suitability import USES, judge


def write(
    out: Path, n: int, model: str, seed: int = 0, separated: float = 0.1, unreadable: int = 0, sample: int | None = None
) -> None:
    """Write plan and parts of an audit of n files, four stems a song, of which a share is called separated.

    So many of each shard are unreadable. Of n files, ``sample`` are drawn, or all.
    """
    rng = np.random.default_rng(seed)
    with plan.locked(out):
        settings = plan.Settings("drawn", model, "full", sample=sample, shuffled=sample is not None)
        plan.make(out, settings, (_item(i) for i in range(n)))
    fits = {o: {f.use: f.suitable for f in judge(o, "wet", None)} for o in ("studio", "separated", "undecided")}  # type: ignore[arg-type]
    for shard in plan.read_shards(out):
        m = len(shard.items)
        origin = rng.choice(["separated", "studio", "undecided"], m, p=[separated, 0.7 - separated, 0.3])
        p = np.where(origin == "separated", rng.uniform(0.92, 0.999, m), rng.uniform(0.01, 0.3, m))
        p = np.where(origin == "undecided", rng.uniform(0.3, 0.9, m), p)
        peaks = rng.zipf(1.4, (m, 160)) % 230
        hashes = (peaks << 13) | (rng.integers(9, 230, (m, 160)) << 5) | rng.integers(2, 32, (m, 160))
        columns = {
            "path": [item.path for item in shard.items],
            "shard": [shard.number] * m,
            "position": list(range(m)),
            "status": ["error" if i < unreadable else "ok" for i in range(m)],
            "verdict_status": [None if i < unreadable else "ok" for i in range(m)],
            "origin": list(origin),
            "p_separated": list(p.round(4)),
            "processing": ["undecided" if o == "separated" else "wet" for o in origin],
            "p_dry": [0.1] * m,
            "p_hybrid": [0.2] * m,
            "p_wet": [0.7] * m,
            "reasons": [["low_confidence"] if o == "undecided" else [] for o in origin],
            "suitable_for": [fits[o] for o in origin],
            "segments": [[{"start_s": 4.0 * k, "end_s": 4.0 * k + 4, "p_separated": 0.5} for k in range(7)]] * m,
            "duration_s": list(rng.uniform(20, 40, m).round(3)),
            "sample_rate_hz": [44_100] * m,
            "n_channels": [2] * m,
            "codec": ["WAV/PCM_16"] * m,
            "rms_db": list(rng.normal(-20, 5, m).round(2)),
            "peak_db": list(rng.uniform(-6, 0, m).round(2)),
            "clipped": [0] * m,
            "landmarks": [sorted(set(row), key=lambda h: h * 2654435761 & 0xFFFFFFFF) for row in hashes.tolist()],
            "claimed_origin": ["studio"] * m,
            "claimed_processing": ["dry" if i % 9 == 0 else "wet" for i in range(m)],
            "song": [item.claims.song for item in shard.items],
            "stem": [item.claims.stem for item in shard.items],
            "kind": ["file"] * m,
            "source": [item.where for item in shard.items],
            "source_start": [0] * m,
            "source_length": [0] * m,
            "model": [model] * m,
        }
        columns["landmark_frames"] = [rng.integers(0, 600, len(row)).tolist() for row in columns["landmarks"]]
        arrays = [
            pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(m, f.type) for f in SCHEMA
        ]  # fmt: skip
        parquet.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), out / "parts" / f"{shard.name}.parquet",
                            compression="zstd")  # fmt: skip
    assert len(USES) == 8
    assert SHARD_SIZE == 64


def _item(i: int) -> Item:
    path = f"songs/{i // 4:06d}/{('vocals', 'drums', 'bass', 'other')[i % 4]}.wav"
    return Item(path, "file", path, claims=Claims(song=f"song {i // 4}", stem=path.split("/")[-1][:-4]))
