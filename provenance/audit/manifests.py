"""Manifests: one row a file, with the vendor's own claims as columns."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from provenance import flat
from provenance.audit import containers, stores
from provenance.audit.errors import AuditError
from provenance.audit.items import Claims, Item, Kind, choose_columns, find_repeated, read_claims, read_object


def list_rows(where: str, given: Mapping[str, str]) -> Iterator[Item]:
    """Yield the items a manifest names; relative names start at its folder, ``CONTAINER#NAME`` is looked up.

    Args:
        where: path or URI of a CSV, TSV, Parquet or JSON Lines file.
        given: fields to columns.

    Raises:
        AuditError: there is no column of paths, a row has none, it contradicts the ``.json`` or the table that
            lies in a container, or the file is not what its name says.
    """
    base = where.rsplit("/", 1)[0] if stores.is_remote(where) else os.path.dirname(where)
    columns: dict[str, str] = {}
    names: Collection[str] = ()
    by_cells = Path(where).suffix.lower() in (".csv", ".tsv")
    n = 0
    for n, row in enumerate(read_rows(where), start=1):
        if None in row:
            found = f"row {n} has more cells than the header"
            raise AuditError(f"{where}: {found}; needed: quotes around a cell that holds what parts the cells")
        if row.keys() != names:  # of JSON Lines each may say something else
            columns, names = _columns(where, list(row), given), row.keys()
        if not any(value not in (None, "") for value in row.values()):  # as spreadsheets leave below a table
            continue
        path = row.get(columns["path"])
        if not isinstance(path, str) or not path.strip():
            raise AuditError(f"{where}: row {n} has no path in column {columns['path']!r}; needed: one in every row")
        if by_cells:
            row = {k: flat.unguard(v) if isinstance(v, str) and k != columns["path"] else v for k, v in row.items()}
        place = stores.find_spelt(stores.join(base, path.strip()))
        inside = containers.find_inside(place) if "#" in place else None
        if inside is not None:
            claims = read_claims(row, columns)
            _agree(where, path.strip(), claims, inside.claims)
            yield replace(inside, path=path.strip(), claims=claims)
            continue
        kind: Kind = "object" if stores.is_remote(place) else "file"
        n_bytes, changed = stores.facts_of(place)
        yield Item(path.strip(), kind, place, n_bytes=n_bytes, claims=read_claims(row, columns), changed=changed)
    if n == 0:
        raise AuditError(f"{where}: no rows; needed: one row a file")


def _agree(where: str, path: str, claims: Claims, inside: Claims) -> None:
    """Raise where a manifest says another thing than the container of a file does; case does not matter."""
    for name, says in asdict(claims).items():
        was = getattr(inside, name)
        if name != "extra" and says is not None and was is not None and says.lower() != was.lower():
            found = f"claims of {path} that differ from those in its container ({name}: {says}, {was})"
            raise AuditError(f"{where}: found {found}; needed: one claim a file")


def read_rows(where: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as dictionaries.

    Args:
        where: path or URI of a CSV, TSV, Parquet or JSON Lines file.

    Raises:
        AuditError: the file is not what its name says.
    """
    ending = Path(where).suffix.lower()
    with stores.open_file(where) as file:
        if ending == ".parquet":
            yield from _parquet(where, file)
            return
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            if ending in (".jsonl", ".ndjson"):
                yield from _json_lines(where, text)
            else:
                table = csv.DictReader(text, delimiter="\t" if ending == ".tsv" else _delimiter(text))
                _check_names(where, table.fieldnames or ())
                yield from table
        except (UnicodeDecodeError, csv.Error) as error:
            raise AuditError(f"{where}: {error}; needed: a table in UTF-8") from error


def _delimiter(text: io.TextIOWrapper) -> str:
    """What parts the columns: a comma or, as spreadsheets of half of Europe write it, a semicolon."""
    header = text.readline()
    text.seek(0)
    return ";" if header.count(";") > header.count(",") else ","


def _check_names(where: str, names: Sequence[str]) -> None:
    """Raise where a header has a name twice: of two columns the last would speak, unseen."""
    repeated = find_repeated(names)
    if repeated is not None:
        raise AuditError(f"{where}: found the column {repeated!r} twice; needed: each name once")


def _columns(where: str, names: list[str], given: Mapping[str, str]) -> dict[str, str]:
    try:
        columns = choose_columns(names, given)
    except KeyError as error:
        raise AuditError(f"{where}: {error.args[0]}") from error
    if "path" not in columns:
        raise AuditError(
            f"{where}: found the columns {', '.join(names)}; needed: one of paths, named path, file or clip, "
            "or named with --column path=NAME"
        )
    return columns


def _parquet(where: str, file: Any) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
        _check_names(where, table.schema_arrow.names)
        for batch in table.iter_batches(1024):
            yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise AuditError(f"{where}: {error}; needed: a Parquet file") from error


def _json_lines(where: str, text: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    for n, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            row = read_object(line)
        except ValueError as error:
            raise AuditError(f"{where}: line {n} holds {error}; needed: an object a line, each key once") from error
        yield row
