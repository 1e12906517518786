"""What a later call tries again: files that could not be read for the machine's sake, and not for their own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from provenance.audit import journal
from provenance.audit.items import Shard

TRIED_AGAIN = frozenset({"not_found", "not_readable", "changed_while_read", "needs_extra", "broken_extra", "internal"})
"""Codes of errors that may be gone: a store or disk was away, a file was written to, a package was missing."""


def is_again(part: Path) -> bool:
    """Whether a part has rows of such files.

    Args:
        part: whole.
    """
    return _has_errors(part) and any(_mark(parquet.read_table(part, columns=["error_code"])))


def reopen(part: Path, out: Path, shard: Shard) -> None:
    """Turn a part back into a journal without the rows of such files, so that only those are scored again.

    Args:
        part: whole, of the shard as it is planned.
        out: folder of the audit, locked.
        shard: as planned.
    """
    table = parquet.read_table(part)
    journal.clear(out, shard.name)
    log = journal.Journal(out, shard.name)
    for position, (row, again) in enumerate(zip(table.to_pylist(), _mark(table), strict=True)):
        if not again:
            log.done(position, row)
    log.close()
    part.unlink()


def _mark(table: pa.Table) -> list[bool]:
    found: list[bool] = pc.is_in(table["error_code"], value_set=pa.array(sorted(TRIED_AGAIN))).to_pylist()
    return found


def _has_errors(part: Path) -> bool:
    """Whether any row has an error, as far as the footer tells: a set of a million files has thousands of parts."""
    footer = parquet.read_metadata(part)
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    columns = [
        group.column(k)
        for group in groups
        for k in range(group.num_columns)
        if group.column(k).path_in_schema == "error_code"
    ]
    counted = [None if column.statistics is None else column.statistics.null_count for column in columns]
    return counted != [group.num_rows for group in groups]
