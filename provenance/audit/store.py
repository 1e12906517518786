"""The rows of an audit as a table: through DuckDB here, and for any tool that reads Parquet."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import parquet

from provenance.audit import amend, plan
from provenance.audit.errors import AuditError
from provenance.audit.rows import SCHEMA

MEMORY = "384MB"
FINDINGS = "findings.parquet"
_STAMP = "of"
_FOOTER_BYTES = 1 << 14
"""So much of a part's end holds its footer, with the size and the extremes of each column."""


def connect(out: Path) -> duckdb.DuckDBPyConnection:
    """Open the rows of an audit as the view ``stems``.

    Args:
        out: folder of the audit.

    Raises:
        AuditError: it holds no rows, or some that are damaged.
    """
    plan.read_settings(out)
    if next((out / "parts").glob("*.parquet"), None) is None:
        raise AuditError(f"{out}: nothing is scored yet; needed: run the audit first")
    db = duckdb.connect(config={"memory_limit": MEMORY, "threads": 2, "temp_directory": str(out / ".duckdb")})
    db.execute("set preserve_insertion_order = false")
    parts = quoted(literal(out / "parts") / "*.parquet")
    try:
        db.register("no_rows", SCHEMA.empty_table())
        db.execute(f"create temp view stems as {rows_of(parts, amend.is_older(out))}")
    except duckdb.Error as error:
        raise _damaged(error) from error
    return db


def add_findings(db: duckdb.DuckDBPyConnection, out: Path) -> None:
    """Add what :func:`write_findings` wrote as the view ``findings``; :func:`check_findings` says whether it holds.

    Args:
        db: of :func:`connect`.
        out: folder of the audit, summed up.
    """
    db.execute(f"create view findings as select * from read_parquet({quoted(literal(out / FINDINGS))})")


def stamp(out: Path) -> str:
    """Return what stands for the plan and the parts of an audit as they are.

    Args:
        out: folder of the audit.
    """
    found = hashlib.blake2b(digest_size=16)
    with (out / plan.PLAN).open("rb") as file:
        found.update(hashlib.file_digest(file, "blake2b").digest())
    for part in sorted((out / "parts").glob("*.parquet")):
        with part.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _FOOTER_BYTES))
            found.update(f"{part.name}\0{size}\0".encode() + file.read())
    return found.hexdigest()


def write_findings(db: duckdb.DuckDBPyConnection, sql: str, file: Path, stamped: str) -> None:
    """Write the findings of an audit, replaced as a whole.

    Args:
        db: that holds them.
        sql: the query for them.
        file: Parquet.
        stamped: :func:`stamp` of the rows that they are of.
    """
    scratch = file.with_suffix(".part")
    db.execute(f"copy ({sql}) to {quoted(scratch)} (format parquet, kv_metadata {{{_STAMP}: '{stamped}'}})")
    scratch.replace(file)


def check_findings(out: Path) -> None:
    """Raise where the findings of an audit are not of its rows as they are, as after a run that was ended.

    Args:
        out: folder of the audit. Findings of an older program bear no stamp: they are older than plan and parts then.

    Raises:
        AuditError: the audit was not summed up, or not since.
    """
    file, needed = out / FINDINGS, f"run the audit to its end, or 'audit report {out}'"
    if not file.exists():
        raise AuditError(f"{out}: not summed up yet; needed: {needed}")
    try:
        stamped = (parquet.read_metadata(file).metadata or {}).get(_STAMP.encode())
    except (OSError, pa.ArrowException):
        stamped = b""
    if stamped is None:
        made = file.stat().st_mtime_ns
        is_stale = any(path.stat().st_mtime_ns > made for path in (out / plan.PLAN, *(out / "parts").glob("*.parquet")))
    else:
        is_stale = stamped.decode() != stamp(out)
    if is_stale:
        raise AuditError(f"{out}: not summed up since rows or plan changed; needed: {needed}")


def rows_of(parts: str, older: bool) -> str:
    """Return the query for rows in parts; columns that were added after an audit was begun are empty.

    Args:
        parts: as :func:`quoted` spells them, one or more in a list of SQL.
        older: whether they lack such columns, as :func:`provenance.audit.amend.is_older` tells.
    """
    rows = f"select * from read_parquet({parts})"
    return f"{rows} union all by name select * from no_rows" if older else rows


def fetch(db: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> list[dict[str, Any]]:
    """Return the rows of a query as dictionaries.

    Args:
        db: of :func:`connect`.
        sql: a query.
        values: of its parameters.

    Raises:
        AuditError: a part is damaged.
    """
    try:
        cursor = db.execute(sql, list(values))
    except duckdb.InvalidInputException as error:
        raise _damaged(error) from error
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
        AuditError: DuckDB refuses it, and the message is DuckDB's; or it asks for findings that are not of the rows as
            they are.
    """
    with connect(out) as db:
        why = _why_no_findings(db, out) if "findings" in sql.lower() else None
        try:
            cursor = db.execute(sql)
            if cursor is None or cursor.description is None:  # as of nothing but a comment
                raise AuditError(f"found no query in {sql!r}; needed: such as 'select * from stems'")
            return [column[0] for column in cursor.description], cursor.fetchall()
        except duckdb.Error as error:
            if why is not None and "findings does not exist" in str(error).lower():
                raise why from error
            raise AuditError(f"{error}") from error


def _why_no_findings(db: duckdb.DuckDBPyConnection, out: Path) -> AuditError | None:
    """Add the view ``findings``, or return why there is none: a query may name a table of its own so."""
    try:
        check_findings(out)
    except AuditError as error:
        return error
    add_findings(db, out)
    return None


def _damaged(error: duckdb.Error) -> AuditError:
    return AuditError(f"{str(error).splitlines()[0]}; needed: run the audit again, which scores what is damaged anew")


def quoted(path: Path) -> str:
    """Return a path as SQL has it.

    Args:
        path: of a file or folder.
    """
    return "'" + str(path).replace("'", "''") + "'"


def literal(path: Path) -> Path:
    """Return a path as DuckDB names it where it looks for patterns.

    Args:
        path: of a file or folder.
    """
    return Path(re.sub(r"([*?[])", r"[\1]", str(path)))
