"""Many files in one: WebDataset tars, and tables with a column of encoded audio as Hugging Face writes them."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from provenance.audit import stores, tars
from provenance.audit.errors import AuditError, DamagedError
from provenance.audit.items import Item, choose_columns, find_repeated, read_claims
from provenance.errors import UnreadableAudio

INSIDE = r"(?is)^(.+?\.(?:tar|parquet|arrow))#(.+)$"
"""Pattern of the name of a member or cell: of its container, and within it."""
_ENDINGS = (".tar", ".parquet", ".arrow")
MAX_BYTES = 2**31
"""A member, object or cell above this is not read into memory."""


def list_inside(where: str, given: Mapping[str, str], passed: Counter[str] | None = None) -> Iterator[Item]:
    """Yield what a container holds: the members of a tar, the cells of a table.

    Args:
        where: path or URI of a tar, or of a table with a column of audio.
        given, passed: as for :func:`provenance.audit.tars.list_members`.
    """
    return tars.list_members(where, given, passed) if where.lower().endswith(".tar") else list_cells(where, given)


def find_hub_files(name: str) -> list[str]:
    """Return the Arrow files of a Hugging Face dataset, downloading it where it is not in the cache.

    Args:
        name: of the dataset, with ``@SPLIT`` if it is not ``train``.

    Raises:
        AuditError: the package ``datasets`` is missing, or it cannot load the dataset.
    """
    try:
        import datasets
    except ModuleNotFoundError as error:
        if error.name != "datasets":
            raise
        raise AuditError(f"hf:{name}: needed: pip install datasets, or the dataset's Parquet files") from error
    path, _, split = name.partition("@")
    try:
        data = datasets.load_dataset(path, split=split or "train")
    except Exception as error:  # datasets raises many kinds
        raise AuditError(f"hf:{name}: {error}; needed: a dataset that can be loaded") from error
    return [entry["filename"] for entry in data.cache_files]


def find_audio_column(where: str) -> str | None:
    """Return the column of a table that holds encoded audio: a struct of bytes and path.

    Args:
        where: path or URI of a Parquet or Arrow file.

    Raises:
        DamagedError: it is not such a file.
    """
    for field in _schema(where):
        if pa.types.is_struct(field.type) and {"bytes", "path"} <= {inner.name for inner in field.type}:
            return str(field.name)
    return None


def _schema(where: str) -> pa.Schema:
    try:
        return parquet.read_schema(stores.open_file(where)) if _is_parquet(where) else _arrow(where).schema
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedError(where, error, "a Parquet or Arrow file") from error


def list_cells(where: str, given: Mapping[str, str]) -> Iterator[Item]:
    """Yield the audio cells of a table without reading the audio.

    Args:
        where: path or URI of a Parquet or Arrow file with a column of audio.
        given: fields to columns.

    Raises:
        AuditError: no column holds audio, or columns are not those that are given.
        DamagedError: it is no such file, or has a column twice.
    """
    audio = find_audio_column(where)
    if audio is None:
        raise AuditError(f"{where}: found no column of audio; needed: a struct of bytes and path")
    repeated = find_repeated(_schema(where).names)
    if repeated is not None:
        raise DamagedError(where, f"the column {repeated!r} twice", "each name once")
    columns: dict[str, str] | None = None
    changed = stores.changed(where)
    for n, (group, place, row) in enumerate(_scalars(where, audio)):
        if columns is None:
            try:
                columns = choose_columns(list(row), given)
            except KeyError as error:
                raise AuditError(f"{where}: {error.args[0]}") from error
        yield Item(f"{where}#{n}", "cell", where, group, place, -1, read_claims(row, columns), changed)


def _scalars(where: str, audio: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    if not _is_parquet(where):
        table = _arrow(where)
        rest = table.drop_columns([audio])
        names = table.column(audio).combine_chunks().field("path").to_pylist()
        for i, name in enumerate(names):
            yield 0, i, {"name": name, **{c: rest.column(c)[i].as_py() for c in rest.column_names}}
        return
    with stores.open_file(where) as file:
        table = parquet.ParquetFile(file)
        wanted = [f.name for f in table.schema_arrow if f.name != audio and not pa.types.is_nested(f.type)]
        for group in range(table.num_row_groups):
            i = 0
            for batch in table.iter_batches(256, row_groups=[group], columns=[*wanted, f"{audio}.path"]):
                for row in batch.to_pylist():
                    name = (row.pop(audio) or {}).get("path")
                    yield group, i, {"name": name, **row}
                    i += 1


def find_inside(place: str) -> Item | None:
    """Return what a manifest names as ``CONTAINER#NAME``, as an export of an audit does; None where it is no such name.

    Args:
        place: a path or a URI, with the container's.

    Raises:
        AuditError: the container is not what its ending says.
    """
    found = re.match(INSIDE, place)
    if found is None or stores.size_of(place) is not None or (stores.size_of(found[1]) or -1) < 0:
        return None
    return _contents(found[1]).get(place)


@lru_cache(maxsize=2)
def _contents(where: str) -> dict[str, Item]:
    return {item.path: item for item in list_inside(where, {})}


def fetch(item: Item) -> str | io.BytesIO:
    """Return what the scorer reads for an item: its path, or its bytes under its name.

    Args:
        item: to read.

    Raises:
        UnreadableAudio: it is not there, too large to hold, a member whose bytes lie nowhere as they are, or a
            container that could not be listed.
    """
    if item.kind in ("file", "object") and item.where.lower().endswith(_ENDINGS):
        _check(item)
    if item.kind == "file":
        return item.where
    tars.check(item)
    if item.n_bytes > MAX_BYTES:
        raise UnreadableAudio(item.path, "too_large", f"{item.n_bytes} bytes in a container", f"at most {MAX_BYTES}")
    try:
        if item.kind == "cell":
            data = _read_cell(item)
        elif item.kind == "member":
            data = stores.read_bytes(item.where, item.start, item.length)
        else:
            data = stores.read_bytes(item.where, most=MAX_BYTES)  # of one that a manifest names no size is known
    except FileNotFoundError as error:
        raise UnreadableAudio(item.path, "not_found", "no such file or object", "a readable audio file") from error
    except (OSError, AuditError, pa.ArrowException) as error:
        raise UnreadableAudio(item.path, "not_readable", str(error), "a readable audio file") from error
    return _Named(data, item.path)


def digest(source: str | io.BytesIO) -> str | None:
    """Return the SHA-256 of what :func:`fetch` returned, in hexadecimal; None where it cannot be read.

    Args:
        source: a path, or bytes under a name, which are left at their beginning.
    """
    if isinstance(source, io.BytesIO):
        return hashlib.sha256(source.getbuffer()).hexdigest()
    if not os.path.isfile(source):  # a pipe would be waited for
        return None
    try:
        with open(source, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # whoever reads it next says why
        return None


def _check(item: Item) -> None:
    """Raise what is wrong with a container that stands in a plan as a file, because its listing failed."""
    try:
        for _ in list_inside(item.where, {}):
            pass
    except DamagedError as error:
        raise UnreadableAudio(item.path, "damaged_container", error.found, error.needed) from error
    except AuditError:  # a table without audio, which a manifest names
        return


class _Named(io.BytesIO):
    """Bytes with a name, for messages."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def _read_cell(item: Item) -> bytes:
    column = _audio_cells(item.where, item.start)
    cell = column[item.length].as_py()
    data = cell and cell.get("bytes")
    if data:
        return bytes(data)
    if not cell or not cell.get("path"):
        raise UnreadableAudio(item.path, "empty_file", "a cell with neither bytes nor a path", "encoded audio")
    base = item.where.rsplit("/", 1)[0]
    return stores.read_bytes(stores.join(base, cell["path"]), most=MAX_BYTES)


@lru_cache(maxsize=1)
def _audio_cells(where: str, group: int) -> Any:
    """Return the audio column of a row group; the last one is kept, since a shard's items lie side by side."""
    audio = find_audio_column(where)
    if not _is_parquet(where):
        return _arrow(where).column(audio)
    with stores.open_file(where) as file:
        return parquet.ParquetFile(file).read_row_group(group, columns=[audio]).column(0)


@lru_cache(maxsize=1)
def _arrow(where: str) -> Any:
    source = stores.open_file(where) if stores.is_remote(where) else pa.memory_map(os.fspath(where))
    try:
        return pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_file(source).read_all()


def _is_parquet(where: str) -> bool:
    return Path(where).suffix.lower() == ".parquet"
