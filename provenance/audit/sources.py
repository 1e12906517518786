"""Where items come from: a folder, a glob, a manifest, tars, a store, an audio dataset; listed one by one."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from provenance import listing
from provenance.audio import EXTENSIONS
from provenance.audit import containers, manifests, plan, stores
from provenance.audit.errors import AuditError, DamagedError, UnreadError
from provenance.audit.items import Item, choose_columns

_MANIFESTS = (".csv", ".tsv", ".jsonl", ".ndjson")
_TABLES = (".parquet", ".arrow")
_ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_NO_MANIFESTS = (".json", ".txt", ".xls", ".xlsx", ".ods", ".yaml", ".yml", ".xml")
_NEEDED = "a folder, a glob, a manifest (.csv, .parquet, .jsonl), a .tar, an s3:// prefix or an audio dataset"


def list_items(
    source: str, columns: Mapping[str, str] | None = None, passed: Counter[str] | None = None
) -> Iterator[Item]:
    """Yield the items of a source in a fixed order, never holding them all.

    Args:
        source: a folder, a glob, a manifest (CSV, TSV, Parquet, JSON Lines), a WebDataset tar or a folder or glob of
            them, an ``s3://`` URI of any of these, a folder or files of a Hugging Face audio dataset, or
            ``hf:NAME`` or ``hf:NAME@SPLIT``.
        columns: what the columns of a manifest or dataset hold, where their names do not tell.
        passed: counts, by ending, the files of folders, globs and tars that hold no audio by their ending.

    Raises:
        AuditError: there is no such source, or it cannot be understood.
    """
    given = dict(columns or {})
    try:
        choose_columns(list(given.values()), given)
    except KeyError as error:
        raise AuditError(f"--column: {error.args[0]}") from error
    passed = Counter() if passed is None else passed
    if source.startswith("hf:"):
        for file in containers.find_hub_files(source[3:]):
            yield from containers.list_cells(file, given)
        return
    size = stores.size_of(source) if not _is_glob(source) else None
    if size is None and _is_glob(source):
        yield from _list_glob(source, given, passed)
    elif size is None:
        raise AuditError(f"{source}: no such file or folder; needed: {_NEEDED}")
    elif size >= 0:
        facts = size, stores.changed(source)
        yield from _list_alone(source, facts, given, passed)
    else:
        yield from _list_folder(source, given, passed)


def _is_glob(source: str) -> bool:
    return not stores.is_remote(source) and not os.path.exists(source) and glob.has_magic(source)


def _list_glob(pattern: str, given: dict[str, str], passed: Counter[str]) -> Iterator[Item]:
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise AuditError(f"{pattern}: matches nothing; needed: {_NEEDED}")
    for path in found:
        if os.path.isdir(path):
            yield from _list_folder(path, given, passed)
        else:
            yield from _list_file(path, stores.facts_of(path), given, passed)


def _list_alone(where: str, facts: tuple[int, int], given: dict[str, str], passed: Counter[str]) -> Iterator[Item]:
    """List the one file that a source is: audio itself, or what a manifest, tar or dataset names."""
    ending = Path(where).suffix.lower()
    if _is_container(where):
        yield from containers.list_inside(where, given, passed)
    elif ending in (*_MANIFESTS, ".parquet"):
        yield from manifests.list_rows(where, given)
    elif ending in (*_ARCHIVES, *_NO_MANIFESTS):
        tables = "a manifest as .csv, .tsv, .jsonl (an object a line) or .parquet"
        needed = "it unpacked, or an uncompressed .tar" if ending in _ARCHIVES else tables
        raise AuditError(f"{where}: found the ending {ending!r}; needed: {needed}")
    elif ending in _TABLES:
        raise AuditError(f"{where}: found no column of audio (a struct of bytes and path); needed: {_NEEDED}")
    else:
        yield _item(where, facts)


def _list_file(where: str, facts: tuple[int, int], given: dict[str, str], passed: Counter[str]) -> Iterator[Item]:
    """List one file of several: audio itself, or what a tar or dataset holds. What is neither is counted.

    Hidden ones are no part of a delivery: macOS leaves ``._a.wav`` beside each file it copies.
    """
    if Path(where).name.startswith("."):
        return
    try:
        if _is_container(where):
            yield from containers.list_inside(where, given, passed)
        elif Path(where).suffix.lower() in EXTENSIONS:
            yield _item(where, facts)
        else:
            listing.note(passed, where)
    except (DamagedError, UnreadError):  # one of thousands must not end an audit: its row says what is wrong
        yield _item(where, facts)


def _is_container(where: str) -> bool:
    ending = Path(where).suffix.lower()
    return ending == ".tar" or (ending in _TABLES and containers.find_audio_column(where) is not None)


def _item(where: str, facts: tuple[int, int]) -> Item:
    n_bytes, changed = facts
    return Item(where, "object" if stores.is_remote(where) else "file", where, n_bytes=n_bytes, changed=changed)


def _list_folder(folder: str, given: dict[str, str], passed: Counter[str]) -> Iterator[Item]:
    if stores.is_remote(folder):
        for where, facts in stores.walk(folder):
            yield from _list_file(where, facts, given, passed)
        return
    for where, facts, is_audit in _walk(folder):
        yield from _list_file(where, facts, given, Counter() if is_audit else passed)


def _walk(
    folder: str, is_audit: bool = False, above: tuple[tuple[int, int], ...] = ()
) -> Iterator[tuple[str, tuple[int, int], bool]]:
    """Yield path, size and date of the files below a folder in order, and whether that looks like an audit's.

    One branch of it is held at a time. A link to a folder that it lies in is passed over; ``above`` holds device and
    number of those. What an audit writes holds no audio, so that whatever does is listed there too: anybody can name
    files so.
    """
    try:
        here = os.stat(folder)
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise AuditError(f"{folder}: {error.strerror}; needed: a folder that can be listed") from error
    if (here.st_dev, here.st_ino) in above:
        return
    is_audit = is_audit or {entry.name for entry in inside} >= plan.MARKS
    above = (*above, (here.st_dev, here.st_ino))
    for entry in inside:
        path = os.path.join(folder, entry.name)
        try:
            inner = entry.is_dir(follow_symlinks=True)
            found = entry.stat()
        except OSError:  # a link to nothing, or to itself
            yield path, (-1, 0), is_audit
            continue
        if not inner:
            yield path, (found.st_size, found.st_mtime_ns), is_audit
        elif not entry.name.startswith("."):
            yield from _walk(path, is_audit, above)
