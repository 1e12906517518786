"""The rows of an audit as a table: through DuckDB here, and for any tool that reads Parquet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import duckdb

from provenance.audit import plan
from provenance.audit.errors import AuditError

MEMORY = "384MB"
FINDINGS = "findings.parquet"


def connect(out: Path) -> duckdb.DuckDBPyConnection:
    """Open the rows of an audit as the view ``stems``, and its findings as ``findings`` where it has been summed up.

    Args:
        out: folder of the audit.

    Raises:
        AuditError: it holds no rows.
    """
    plan.read_settings(out)
    if next((out / "parts").glob("*.parquet"), None) is None:
        raise AuditError(f"{out}: nothing is scored yet; needed: run the audit first")
    db = duckdb.connect(config={"memory_limit": MEMORY, "threads": 2, "temp_directory": str(out / ".duckdb")})
    db.execute("set preserve_insertion_order = false")
    db.execute(f"create view stems as select * from read_parquet({_quoted(out / 'parts')} || '/*.parquet')")
    if (out / FINDINGS).exists():
        db.execute(f"create view findings as select * from read_parquet({_quoted(out / FINDINGS)})")
    return db


def fetch(db: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> list[dict[str, Any]]:
    """Return the rows of a query as dictionaries.

    Args:
        db: of :func:`connect`.
        sql: a query.
        values: of its parameters.
    """
    cursor = db.execute(sql, list(values))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def query(out: Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run a query of a user over ``stems`` and ``findings``.

    Args:
        out: folder of the audit.
        sql: the query.

    Returns:
        Names of the columns, and rows.

    Raises:
        AuditError: DuckDB refuses it; the message is DuckDB's.
    """
    with connect(out) as db:
        try:
            cursor = db.execute(sql)
            return [column[0] for column in cursor.description], cursor.fetchall()
        except duckdb.Error as error:
            raise AuditError(f"{error}") from error


def export_clean(out: Path, file: Path, use: str | None = None) -> int:
    """Write the stems nothing was found against as a manifest, with the vendor's claims and other columns.

    Args:
        out: folder of the audit, summed up.
        file: ``.csv``, ``.jsonl`` or ``.parquet``.
        use: keep only what suits this use, or None.

    Returns:
        How many rows it has.

    Raises:
        AuditError: another ending, or the audit has not been summed up.
    """
    if file.suffix not in (".csv", ".jsonl", ".parquet"):
        raise AuditError(f"{file}: found the ending {file.suffix!r}; needed: .csv, .jsonl or .parquet")
    if not (out / FINDINGS).exists():
        raise AuditError(f"{out}: not summed up yet; needed: run the audit to its end")
    suits = f"and suitable_for['{use}'] = 'yes'" if use else ""
    sql = f"""
        select case when kind in ('file', 'object') then source else path end as path, path as listed_as, origin,
            p_separated, processing, duration_s, claimed_origin, claimed_processing, pair, song, singer, stem, extra,
            model
        from stems where status = 'ok' and verdict_status = 'ok' and origin = 'studio' {suits}
            and stems.path not in (select path from findings where path is not null)
        order by listed_as"""
    with connect(out) as db:
        if file.suffix == ".parquet":
            db.execute(f"copy ({sql}) to {_quoted(file)} (format parquet)")
            return int(db.execute(f"select count(*) from read_parquet({_quoted(file)})").fetchall()[0][0])
        cursor = db.execute(sql)
        names = [column[0] for column in cursor.description]
        n = 0
        with file.open("w", encoding="utf-8", newline="") as handle:
            table = csv.writer(handle)
            if file.suffix == ".csv":
                table.writerow(names)
            while batch := cursor.fetchmany(1000):
                for row in batch:
                    if file.suffix == ".csv":
                        table.writerow(row)
                    else:
                        handle.write(json.dumps(dict(zip(names, row, strict=True))) + "\n")
                n += len(batch)
        return n


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
