"""The files of an audit as a manifest: the clean subset, or all of them in one flat table."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import parquet

from provenance import flat
from provenance.audit import amend, containers, mixes, plan, store
from provenance.audit.errors import AuditError
from provenance.audit.rows import SCHEMA

CLEAN = (
    "path", "listed_as", "origin", "p_separated", "processing", "duration_s", "sha256", "claimed_origin",
    "claimed_processing", "pair", "song", "singer", "stem", "extra", "model",
)  # fmt: skip
"""Columns of the clean subset."""
WORDS: dict[str, str] = {
    "listed_as": "as the source names it; `path` is where a file lies, seen from the folder of the export",
    "clean": "whether `audit export` without `--all` has it",
    "findings": "kinds of the findings against it, parted by spaces",
    "n_bytes": "size",
    "sha256": "of the file's bytes, or of those a container holds of it",
    "peak_db": "level of the highest sample",
    "rms_db": "mean level",
    "clipped": "samples flat at full scale, in the file itself",
    "cutoff_hz": "where the spectrum ends at a wall",
    "claimed_origin": "as the manifest says it",
    "claimed_processing": "as the manifest says it",
    "pair": "likewise",
    "song": "likewise",
    "singer": "likewise",
    "stem": "likewise",
    "extra": "its other columns, as JSON",
}
"""What an export of all files has beside the columns of :data:`provenance.flat.WORDS`, and what it holds."""
_MADE = {"listed_as": pa.string(), "clean": pa.bool_(), "findings": pa.string()}
"""Columns that no part has."""
ALL = (
    "path", *_MADE, *(name for name in flat.WORDS if name != "path"), *(name for name in WORDS if name not in _MADE),
)  # fmt: skip
"""Columns of an export of all files, before those that are nested are spread."""
_ENDINGS = (".csv", ".jsonl", ".parquet")
_BATCH, _PARTS = 1000, 64


def export_clean(out: Path, file: Path, use: str | None = None) -> int:
    """Write the stems nothing was found against as a manifest, with the vendor's claims.

    No file is among them that is called a mix, and none that the vendor himself says is separated.

    Args:
        out: folder of the audit, summed up.
        file: ``.csv``, ``.jsonl`` or ``.parquet``.
        use: keep only what suits this use, or None.

    Returns:
        How many rows it has.

    Raises:
        AuditError: another ending, the audit's own source, or the audit has not been summed up since its rows changed.
    """
    with _opened(out, file) as db:
        sql = f"{_select(CLEAN, 'stems', use, file.parent)} where clean order by listed_as"
        return _write(file, _schema(CLEAN), _read(db.execute(sql)))


def export_all(out: Path, file: Path, use: str | None = None) -> int:
    """Write a row for each file that was opened, in the order of the plan: accepted, undecided, refused, unreadable.

    Args:
        out: folder of the audit, summed up.
        file: ``.csv``, ``.jsonl`` or ``.parquet``; flat in each.
        use: that ``clean`` asks for too, or None.

    Returns:
        How many rows it has.

    Raises:
        AuditError: another ending, the audit's own source, or the audit has not been summed up since its rows changed.
    """
    with _opened(out, file) as db:
        return _write(file, _schema(ALL), _read_parts(db, out, use, file.parent))


@contextmanager
def _opened(out: Path, file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    if file.suffix not in _ENDINGS:
        raise AuditError(f"{file}: found the ending {file.suffix!r}; needed: .csv, .jsonl or .parquet")
    if os.path.realpath(plan.read_settings(out).source) == os.path.realpath(file):
        raise AuditError(f"{file}: is what was audited; needed: another file to write to")
    store.check_findings(out)
    with store.connect(out) as db:
        store.add_findings(db, out)
        db.execute("""
            create temp table against as select path, string_agg(distinct kind, ' ' order by kind) as kinds
            from findings where path is not null group by path""")
        yield db


def _select(names: Iterable[str], source: str, use: str | None, folder: Path) -> str:
    """Return the query of an export into a folder: paths of files that are not absolute start there, as manifests'."""
    back = os.path.relpath(os.path.realpath("."), os.path.realpath(folder))
    prefix = "''" if back == "." else store.quoted(Path(back))[:-1] + "/'"
    columns = ", ".join(name for name in names if name in (*_MADE, *SCHEMA.names))
    suits = f"and suitable_for['{use}'] = 'yes'" if use else ""
    return f"""
        with listed as (
            select case when starts_with(source, '/') or contains(source, '://') then '' else {prefix} end || source
                    || if(kind in ('member', 'cell'), '#' || regexp_extract(files.path, '{containers.INSIDE}', 2), '')
                    as path,
                files.path as listed_as, kinds as findings,
                coalesce(status = 'ok' and verdict_status = 'ok' and origin = 'studio' {suits}, false)
                    and kinds is null and coalesce(claimed_origin, '') <> 'separated'
                    and not {mixes.is_mix("files")} as clean,
                files.* exclude (path)
            from {source} as files left join against on against.path = files.path)
        select {columns} from listed"""


def _read_parts(
    db: duckdb.DuckDBPyConnection, out: Path, use: str | None, folder: Path
) -> Iterator[list[dict[str, Any]]]:
    """Read some parts at a time: rows with their evidence, sorted as a whole, do not fit into DuckDB's memory."""
    parts, older = sorted((out / "parts").glob("*.parquet")), amend.is_older(out)
    for i in range(0, len(parts), _PARTS):
        some = ", ".join(store.quoted(store.literal(part)) for part in parts[i : i + _PARTS])
        rows = f"({store.rows_of(f'[{some}]', older)})"
        yield from _read(db.execute(f"{_select(ALL, rows, use, folder)} order by shard, position"))


def _read(cursor: duckdb.DuckDBPyConnection) -> Iterator[list[dict[str, Any]]]:
    names = [column[0] for column in cursor.description]
    while batch := cursor.fetchmany(_BATCH):
        yield [flat.spread(dict(zip(names, row, strict=True))) for row in batch]


def _write(file: Path, schema: pa.Schema, batches: Iterable[list[dict[str, Any]]]) -> int:
    """Write a manifest that is there whole or not at all: half of one would pass for the whole."""
    scratch = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        n = _write_rows(scratch, schema, batches)
        if file.exists():
            scratch.chmod(file.stat().st_mode & 0o777)
        os.replace(scratch, os.path.realpath(file))
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(file)) from error
    finally:
        scratch.unlink(missing_ok=True)
    return n


def _write_rows(file: Path, schema: pa.Schema, batches: Iterable[list[dict[str, Any]]]) -> int:
    n = 0
    if file.suffix == ".parquet":
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                n += len(batch)
        return n
    with file.open("w", encoding="utf-8", newline="") as handle:
        table = csv.DictWriter(handle, schema.names, extrasaction="ignore")
        if file.suffix == ".csv":
            table.writeheader()
        for batch in batches:
            for row in batch:
                if file.suffix == ".csv":
                    table.writerow(flat.to_csv(row))
                else:
                    handle.write(json.dumps({name: row.get(name) for name in schema.names}) + "\n")
            n += len(batch)
    return n


def _schema(names: Iterable[str]) -> pa.Schema:
    """Return the columns of a flat table with their types: those of a part, numbers and texts where it is nested."""
    text, number = pa.string(), pa.float64()
    nested = {"suitable_for": text, "effects": number, "effect_strengths": number, "evidence": number, "reasons": text}
    fields = []
    for name in names:
        kind = nested.get(name) or _MADE.get(name) or SCHEMA.field(name).type
        fields += [(column, kind) for column in flat.name_columns([name])]
    return pa.schema(fields)
