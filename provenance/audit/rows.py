"""One row a file, whatever happens: the schema of a part, and how rows are made."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from provenance import flat
from provenance.audit.items import Claims, Item
from provenance.audit.measure import Measured
from provenance.suitability import USES
from provenance.verdict import Verdict

ROWS_VERSION = "1"
BRICK_WALL_DB = 25.0
"""A fall of the spectrum from which its end counts as a cut-off; see :mod:`provenance.evidence.brick_wall`."""
FULL_BAND_HZ = 21_500.0

_SEGMENT = pa.struct([("start_s", pa.float64()), ("end_s", pa.float64()), ("p_separated", pa.float64())])
_CUE = pa.struct([("cue", pa.string()), ("value", pa.float64()), ("unit", pa.string()), ("suggests", pa.string())])
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("shard", pa.int32()),
        ("position", pa.int32()),
        ("status", pa.string()),
        ("error_code", pa.string()),
        ("error_found", pa.string()),
        ("error_needed", pa.string()),
        ("verdict_status", pa.string()),
        ("origin", pa.string()),
        ("p_separated", pa.float64()),
        ("confidence", pa.float64()),
        ("family", pa.string()),
        ("sdr_db", pa.float64()),
        ("sdr_low_db", pa.float64()),
        ("sdr_high_db", pa.float64()),
        ("processing", pa.string()),
        ("p_dry", pa.float64()),
        ("p_hybrid", pa.float64()),
        ("p_wet", pa.float64()),
        ("layers", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("suitable_for", pa.struct([(use, pa.string()) for use in USES])),
        ("segments", pa.list_(_SEGMENT)),
        ("evidence", pa.list_(_CUE)),
        ("effects", pa.list_(pa.struct([("effect", pa.string()), ("p", pa.float64()), ("strength", pa.float64())]))),
        ("duration_s", pa.float64()),
        ("sample_rate_hz", pa.int32()),
        ("n_channels", pa.int32()),
        ("codec", pa.string()),
        ("n_windows", pa.int32()),
        ("n_silent", pa.int32()),
        ("n_bytes", pa.int64()),
        ("sha256", pa.string()),
        ("peak_db", pa.float64()),
        ("rms_db", pa.float64()),
        ("clipped", pa.int64()),
        ("cutoff_hz", pa.float64()),
        ("landmarks", pa.list_(pa.uint32())),
        ("landmark_frames", pa.list_(pa.uint32())),
        ("claimed_origin", pa.string()),
        ("claimed_processing", pa.string()),
        ("pair", pa.string()),
        ("song", pa.string()),
        ("singer", pa.string()),
        ("stem", pa.string()),
        ("extra", pa.string()),
        ("kind", pa.string()),
        ("source", pa.string()),
        ("source_start", pa.int64()),
        ("source_length", pa.int64()),
        ("model", pa.string()),
    ],
    metadata={"stem_provenance_rows": ROWS_VERSION},
)
"""The columns of a part. A column is only ever added; ``stem_provenance_rows`` in the metadata is its version."""


def ok_row(item: Item, verdict: Verdict, measured: Measured, sha256: str | None = None) -> dict[str, Any]:
    """Return the row of a file with a verdict.

    Args:
        item: the file.
        verdict: on it.
        measured: what was measured beside.
        sha256: of its bytes, in hexadecimal.
    """
    return (
        _listed(item)
        | flat.of_verdict(verdict)
        | {
            "sha256": sha256,
            "segments": [
                {"start_s": s.start_s, "end_s": s.end_s, "p_separated": s.p_separated} for s in verdict.segments
            ],
            "peak_db": measured.peak_db,
            "rms_db": measured.rms_db,
            "clipped": measured.clipped,
            "cutoff_hz": _cutoff(verdict),
            "landmarks": measured.landmarks,
            "landmark_frames": measured.landmark_frames,
        }
    )


def error_row(item: Item, error: Exception, sha256: str | None = None) -> dict[str, Any]:
    """Return the row of a file that could not be read or scored.

    Args:
        item: the file.
        error: why.
        sha256: of its bytes, in hexadecimal, where they could be had.
    """
    return _listed(item) | flat.of_error(error) | {"sha256": sha256}


def crashed_row(item: Item, how: str) -> dict[str, Any]:
    """Return the row of a file that ended every process that opened it, alone as well.

    Args:
        item: the file.
        how: the last one ended.
    """
    return _listed(item) | {
        "status": "crashed",
        "error_code": "crashed",
        "error_found": how,
        "error_needed": "a file that the decoders survive; this one may be damaged or hostile",
    }


def to_table(rows: list[dict[str, Any]], shard: int) -> pa.Table:
    """Return a part as a table.

    Args:
        rows: in the order of the shard.
        shard: its number.
    """
    numbered = [row | {"shard": shard, "position": i} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered, SCHEMA)


def _cutoff(verdict: Verdict) -> float | None:
    """Return where the spectrum ends, if it ends at a brick wall, from the evidence."""
    found = {cue.cue: cue.value for cue in verdict.evidence or ()}
    wall, end = found.get("brick_wall"), found.get("bandwidth")
    return end if wall is not None and end is not None and wall >= BRICK_WALL_DB and end < FULL_BAND_HZ else None


def claimed(claims: Claims) -> dict[str, str | None]:
    """Return the columns of a row that say what the vendor claims.

    Args:
        claims: of the file.
    """
    return {
        "claimed_origin": claims.origin,
        "claimed_processing": claims.processing,
        "pair": claims.pair,
        "song": claims.song,
        "singer": claims.singer,
        "stem": claims.stem,
        "extra": claims.extra,
    }


def _listed(item: Item) -> dict[str, Any]:
    return {
        "path": flat.to_utf8(item.path),
        "n_bytes": None if item.n_bytes < 0 else item.n_bytes,
        **claimed(item.claims),
        "kind": item.kind,
        "source": flat.to_utf8(item.where),
        "source_start": item.start,
        "source_length": item.length,
    }
