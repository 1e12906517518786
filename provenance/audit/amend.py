"""What a later call changes in an audit: files that are gone, claims that read otherwise, columns added since."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import pyarrow as pa
from pyarrow import parquet

from provenance.audit import journal
from provenance.audit.items import Item, Shard
from provenance.audit.rows import SCHEMA, claimed
from provenance.audit.shard import count_rows, replace_part

Amend = Callable[[Item], Item | None]
"""Returns an item as the source has it by now, or None where it is gone."""


def amend(out: Path, shard: Shard, now: Amend) -> list[Item] | None:
    """Bring a shard's part up to what the source holds by now; rows of files that are gone leave it.

    Args:
        out: folder of the audit, locked.
        shard: as planned.
        now: of each of its items.

    Returns:
        Its items by now, or None where nothing changed.
    """
    found = [now(item) for item in shard.items]
    if all(new is old for new, old in zip(found, shard.items, strict=True)):
        return None
    left = [item for item in found if item is not None]
    part = out / "parts" / f"{shard.name}.parquet"
    journal.clear(out, shard.name)  # its positions and claims are those of the shard as it was
    if not left or count_rows(part) != len(found):  # then it is scored again
        part.unlink(missing_ok=True)
        return left
    rows = parquet.read_table(part)
    replace_part(part, _with_claims(rows.filter(pa.array([item is not None for item in found])), left))
    return left


def is_older(out: Path) -> bool:
    """Whether the parts of an audit lack a column, told by the first whole one: :func:`complete` completes that last.

    Args:
        out: folder of the audit.
    """
    for part in sorted((out / "parts").glob("*.parquet")):
        try:
            return not _is_complete(parquet.read_schema(part))
        except (OSError, pa.ArrowException):  # a damaged part; whoever reads it next says so
            continue
    return False


def complete(out: Path) -> None:
    """Add to parts of an audit the columns that they lack, empty; it may be ended at any time and called again.

    Args:
        out: folder of the audit, locked.
    """
    if not is_older(out):
        return
    for part in sorted((out / "parts").glob("*.parquet"), reverse=True):
        if count_rows(part) < 0:
            continue  # damaged: it is scored again
        rows = parquet.read_table(part)
        if not _is_complete(rows.schema):
            named = [rows[f.name] if f.name in rows.schema.names else pa.nulls(len(rows), f.type) for f in SCHEMA]
            replace_part(part, pa.Table.from_arrays(named, schema=SCHEMA))


def _is_complete(schema: pa.Schema) -> bool:
    return set(SCHEMA.names) <= set(schema.names)


def copy_shards(plan: Path, file: TextIO, amended: Mapping[int, list[Item]]) -> None:
    """Copy the shards of a plan, those that were amended as they are by now, without those that are empty.

    Args:
        plan: that is copied.
        file: written to.
        amended: shards to items.
    """
    with plan.open(encoding="utf-8") as old:
        for line in old:
            if not line.startswith('{"shard"'):
                continue
            number = int(line[len('{"shard": ') : line.index(",")])
            if number not in amended:
                file.write(line)
            elif amended[number]:
                file.write(json.dumps({"shard": number, "items": [item.to_json() for item in amended[number]]}) + "\n")


def _with_claims(rows: pa.Table, items: list[Item]) -> pa.Table:
    said = [claimed(item.claims) for item in items]
    for name in said[0]:
        column = pa.array([claims[name] for claims in said], SCHEMA.field(name).type)
        rows = rows.set_column(rows.schema.get_field_index(name), SCHEMA.field(name), column)
    return rows
