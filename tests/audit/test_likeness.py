"""Candidates for the same take twice, out of the landmarks of many files."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from provenance.audit import likeness
from provenance.audit.items import SHARD_SIZE
from provenance.audit.measure import MAX_LANDMARKS
from provenance.audit.rows import SCHEMA

N_POPULAR = 8_000
"""Of so many hashes a file has 160: each is found in one file of fifty, as measured on 30 s of the corpus."""


def stems(n: int, n_twice: int, kept: float, pairs: list[str | None] | None = None) -> duckdb.DuckDBPyConnection:
    """Rows of n files; the last ``n_twice`` are the first ones again, 7 frames later, with a share of the landmarks.

    ``pairs`` are their pair ids, or none.
    """
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, N_POPULAR, (n, MAX_LANDMARKS))
    frames = rng.integers(0, 420, (n, MAX_LANDMARKS))
    same = rng.random((n_twice, MAX_LANDMARKS)) < kept
    hashes[n - n_twice :][same] = hashes[:n_twice][same]
    frames[n - n_twice :][same] = frames[:n_twice][same] + 7
    offsets = np.arange(n + 1) * MAX_LANDMARKS
    known = {
        "path": [f"{i:06d}" for i in range(n)],
        "shard": np.arange(n) // SHARD_SIZE,
        "position": np.arange(n) % SHARD_SIZE,
        "status": ["ok"] * n,
        "pair": pairs or [None] * n,
        "landmarks": pa.ListArray.from_arrays(offsets, hashes.ravel()),
        "landmark_frames": pa.ListArray.from_arrays(offsets, frames.ravel()),
    }
    columns = [pa.array(known[f.name]).cast(f.type) if f.name in known else pa.nulls(n, f.type) for f in SCHEMA]
    db = duckdb.connect()
    db.register("rows", pa.Table.from_arrays(columns, schema=SCHEMA))
    db.execute("create table stems as select * from rows")
    return db


@pytest.mark.parametrize("n", [500, 12_000])
def test_takes_sold_twice_are_found_among_many(n: int) -> None:
    """Where every landmark alone is found in hundreds of files, those of a take sold twice are still found together."""
    found = likeness.find_candidates(stems(n, 20, kept=0.5))
    pairs = {(candidate.first["path"], candidate.second["path"]) for candidate in found}
    wanted = {(f"{i:06d}", f"{n - 20 + i:06d}") for i in range(20)}
    assert {tuple(sorted(pair)) for pair in pairs} == wanted


def test_claimed_pairs_crowd_no_take_out_and_one_id_for_all_links_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs take no place among the candidates; an id that all files have hides no take that is sold twice."""
    monkeypatch.setattr(likeness, "MAX_CANDIDATES", 5)
    pairs = [f"p{i % 480}" if i % 480 < 15 else None for i in range(500)]
    found = likeness.find_candidates(stems(500, 20, kept=0.9, pairs=pairs))
    assert sorted(candidate.first["path"] for candidate in found) == [f"{i:06d}" for i in range(15, 20)]
    monkeypatch.setattr(likeness, "MAX_CANDIDATES", 2_000)
    assert len(likeness.find_candidates(stems(500, 20, kept=0.9, pairs=["all"] * 500))) == 20
