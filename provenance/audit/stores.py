"""Files on this machine and objects in S3 behind one set of calls, through ``pyarrow.fs``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from provenance.audit.errors import AuditError, UnreadError

_SCHEMES = ("s3://", "gs://", "gcs://", "abfs://", "hdfs://", "file://")


def is_remote(where: str) -> bool:
    """Return whether a place is a URI of a store.

    Args:
        where: a path or a URI.
    """
    return where.startswith(_SCHEMES)


def locate(where: str) -> tuple[Any, str]:
    """Return the file system of a place, and its path there.

    Args:
        where: a path or a URI. For S3 the endpoint may be given by ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``.

    Raises:
        AuditError: the URI is of no store this build of pyarrow knows, or names no bucket.
    """
    if not is_remote(where):
        return fs.LocalFileSystem(), os.path.abspath(where)
    if where.startswith("s3://"):
        path = where[len("s3://") :].rstrip("/")
        if not path or path.startswith("/"):  # of all buckets none is a delivery
            raise AuditError(f"{where}: found no bucket; needed: s3://BUCKET/PREFIX")
        return _s3(), path
    try:
        found, path = fs.FileSystem.from_uri(where)
    except Exception as error:  # pyarrow raises several kinds
        raise AuditError(f"{where}: {error}; needed: a URI that pyarrow.fs can open") from error
    return found, path


@lru_cache(maxsize=1)
def _s3() -> Any:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {}
    if endpoint:
        parts = urlsplit(endpoint)
        options = {"endpoint_override": parts.netloc, "scheme": parts.scheme}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        options["region"] = region
    return fs.S3FileSystem(**options)


def size_of(where: str) -> int | None:
    """Return the size in bytes of a file or object, -1 for a folder, None where there is nothing.

    Args:
        where: a path or a URI.
    """
    store, path = locate(where)
    info = _info(store, where, path)
    if info.type == fs.FileType.NotFound:
        return None
    return -1 if info.type == fs.FileType.Directory else int(info.size)


def facts_of(where: str) -> tuple[int, int]:
    """Return the size of a file on this machine, and when it was changed last in ns since 1970.

    Args:
        where: a path or a URI.

    Returns:
        -1 and 0 of an object in a store, for which that would be a request a row, or where there is no file.
    """
    if is_remote(where):
        return -1, 0
    try:
        found = os.stat(where)
    except (OSError, ValueError):  # a name that no file can have
        return -1, 0
    return found.st_size, found.st_mtime_ns


def find_spelt(where: str) -> str:
    """Return the file that a path means, where there is none of just that name.

    Args:
        where: a path or a URI; its folders may be parted by backslashes, as Windows has them, and bytes of it that are
            no UTF-8 be written out, as rows and exports do.

    Returns:
        The first spelling of which there is a file, or ``where``.
    """
    if "\\" not in where or is_remote(where):
        return where
    bare = re.sub(r"\\udc([89a-f][0-9a-f])", lambda found: chr(0xDC00 + int(found[1], 16)), where)
    return next((path for path in (where, bare, where.replace("\\", "/")) if facts_of(path)[0] >= 0), where)


def changed(where: str) -> int:
    """Return when a file or object was changed last, in ns since 1970; 0 where that is not known.

    Args:
        where: a path or a URI.
    """
    if not is_remote(where):
        return facts_of(where)[1]
    store, path = locate(where)
    return _info(store, where, path).mtime_ns or 0


def walk(where: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the files below a prefix of a store in order, as URI, and size and date, holding one folder at a time.

    Args:
        where: a URI.
    """
    store, path = locate(where)
    scheme = where.split("://", 1)[0]
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        infos = _list(store, scheme, folder)
        if any(info.path.rstrip("/") == folder for info in infos):  # of keys with an empty part, as a//b.wav
            below = [info for info in _list(store, scheme, folder, deep=True) if info.path.startswith(f"{folder}//")]
            infos = [info for info in infos if info.path.rstrip("/") != folder]
            infos += [info for info in below if info.type == fs.FileType.File]  # they can be named, but not read
        infos.sort(key=lambda info: info.path)
        waiting.extend(
            info.path
            for info in reversed(infos)
            if info.type == fs.FileType.Directory and not info.base_name.startswith(".")
        )
        for info in infos:
            if info.type == fs.FileType.File:
                yield f"{scheme}://{info.path}", (int(info.size), info.mtime_ns or 0)


def _list(store: Any, scheme: str, folder: str, deep: bool = False) -> list[Any]:
    try:
        found: list[Any] = store.get_file_info(fs.FileSelector(folder, recursive=deep))
    except OSError as error:
        raise AuditError(f"{scheme}://{folder}: {error}; needed: a prefix that can be listed") from error
    return found


def open_file(where: str) -> Any:
    """Open a file or object for reading at any place in it.

    Args:
        where: a path or a URI.

    Raises:
        UnreadError: it cannot be opened.
    """
    store, path = locate(where)
    try:
        return store.open_input_file(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UnreadError(f"{where}: {error}; needed: a file that can be read") from error


def read_bytes(where: str, start: int = 0, length: int | None = None, most: int | None = None) -> bytes:
    """Read a file or object, or a range of it.

    Args:
        where: a path or a URI.
        start: first byte.
        length: bytes, or None for all that follow.
        most: bytes that the whole may have, or None.

    Raises:
        AuditError: it has more.
    """
    store, path = locate(where)
    with store.open_input_file(path) as file:
        if most is not None and file.size() > most:
            raise AuditError(f"{where}: {file.size()} bytes; needed: at most {most}")
        file.seek(start)
        data: bytes = file.read() if length is None else file.read(length)
    return data


def join(base: str, name: str) -> str:
    """Return a name as seen from the folder of a manifest: absolute names and URIs stay.

    Args:
        base: folder, a path or a URI.
        name: as the manifest says it.

    >>> join("s3://bucket/lists", "../stems/./a.wav")
    's3://bucket/stems/a.wav'
    """
    if is_remote(name):
        return _without_dots(name)
    if os.path.isabs(name):
        return name
    if is_remote(base):
        return _without_dots(f"{base.rstrip('/')}/{name}")
    return os.path.join(base, name)


def _without_dots(where: str) -> str:
    """A store has no folders to go up in: its keys are texts, and two spellings would be two objects."""
    scheme, _, rest = where.partition("://")
    parts: list[str] = []
    for part in rest.split("/"):
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return f"{scheme}://{'/'.join(parts)}"


def _info(store: Any, where: str, path: str) -> Any:
    try:
        return store.get_file_info(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UnreadError(f"{where}: {error}; needed: a place that can be read") from error
