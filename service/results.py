"""Results of a job as JSON Lines and as Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from service.job_records import Row

JSONL_TYPE = "application/jsonl"
PARQUET_TYPE = "application/vnd.apache.parquet"
_BATCH = 2000


def jsonl(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line for each file: its ``index`` in the job, and the verdict plus its ``path``, as the shell prints it.

    Args:
        rows: finished files.
    """
    for row in rows:
        name = json.dumps({"index": row.n, "path": row.name})[:-1]
        if row.state == "done" and row.body is not None:
            yield f"{name}, {row.body[1:]}\n"
        elif row.state == "error":
            yield f'{name}, "status": "error", "error": {row.body}}}\n'
        else:
            yield f'{name}, "status": "cancelled"}}\n'


def write_parquet(rows: Iterable[Row], folder: Path) -> IO[bytes]:
    """Write a row for each file: the verdict's numbers in columns, and the whole of it as JSON.

    Args:
        rows: finished files.
        folder: to write in.

    Returns:
        An open file without a name, at its beginning: gone when it is closed, however that comes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    segment = pa.struct([("start_s", pa.float64()), ("end_s", pa.float64()), ("p_separated", pa.float64())])
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    schema = pa.schema(
        [
            ("index", whole),
            *((name, text) for name in ("path", "status", "origin", "processing", "family", "layers", "model")),
            *((name, number) for name in ("p_separated", "confidence", "sdr_db", "sdr_low_db", "sdr_high_db")),
            *((name, number) for name in ("p_dry", "p_hybrid", "p_wet", "duration_s")),
            *((name, whole) for name in ("sample_rate_hz", "n_channels", "n_windows", "n_silent")),
            ("codec", text),
            ("effects", pa.map_(text, number)),
            ("effect_strengths", pa.map_(text, number)),
            ("reasons", pa.list_(text)),
            ("segments", pa.list_(segment)),
            ("error_code", text),
            ("error", text),
            ("verdict", text),
        ]
    )
    file = TemporaryFile(dir=folder)  # noqa: SIM115  (closed by who reads it)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for some in _batches(rows):
            writer.write_table(pa.Table.from_pylist([{"index": row.n, **_flat(row)} for row in some], schema))
    file.seek(0)
    return file


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _flat(row: Row) -> dict[str, Any]:
    if row.state == "error":
        error = json.loads(row.body or "{}")
        return {"path": row.name, "status": "error", "error_code": error["code"], "error": error["message"]}
    if row.state != "done" or row.body is None:
        return {"path": row.name, "status": "cancelled"}
    verdict = json.loads(row.body)
    sdr = verdict["sdr_ceiling_db"] or {}
    processing = verdict["p_processing"] or {}
    return {
        **{k: verdict[k] for k in ("status", "origin", "processing", "family", "layers", "model")},
        **{k: verdict[k] for k in ("p_separated", "confidence", "reasons", "segments")},
        **{k: verdict["audio"][k] for k in ("duration_s", "sample_rate_hz", "n_channels", "n_windows", "n_silent")},
        "path": row.name,
        "codec": verdict["audio"]["codec"],
        "sdr_db": sdr.get("estimate"),
        "sdr_low_db": sdr.get("low"),
        "sdr_high_db": sdr.get("high"),
        **{f"p_{k}": processing.get(k) for k in ("dry", "hybrid", "wet")},
        **{k: list(verdict[k].items()) if verdict[k] else None for k in ("effects", "effect_strengths")},
        "verdict": row.body,
    }
