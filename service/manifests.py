"""Manifests on the server: which files a job's list names."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from provenance.errors import UnreadableAudio
from service.errors import lacking
from service.problems import Problem
from service.worker import Task, open_file

COLUMN = "path"
MAX_BYTES = 64_000_000
csv.field_size_limit(MAX_BYTES)  # of cells beside the path, which are not looked at, too


def read(manifest: str, roots: tuple[str, ...], limit: int) -> list[tuple[str, str]]:
    """Return the files that a manifest names.

    Args:
        manifest: path of a CSV (``.csv``), JSON Lines (``.jsonl``) or Parquet (``.parquet``) file on the server, with a
            column ``path``; paths in it that are not absolute start at its folder.
        roots: folders below which it must lie. The files it names are checked when they are read.
        limit: most files that it may name.

    Returns:
        Of each file its name in the manifest and its path.

    Raises:
        Problem: 422 for a manifest that cannot be read, lies elsewhere, or names none or too many.
        OSError: the machine has no descriptor or memory left for it.
    """
    if not roots:
        raise Problem(422, "manifests_off", "found a manifest; needed: a service with STEM_MANIFEST_ROOTS")
    if "\0" in manifest:
        raise Problem(422, "bad_manifest", "found a path with a NUL character; needed: the path of a file")
    if not os.path.isabs(manifest):
        raise Problem(422, "bad_manifest", f"found the manifest {manifest[:200]!r}; needed: its absolute path")
    try:
        with open_file(Task(manifest, roots=roots)) as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise Problem(422, "bad_manifest", f"found over {MAX_BYTES} bytes; needed: several smaller manifests")
            names = list(_names(file, Path(manifest).suffix.lower()))
    except UnreadableAudio as error:
        raise Problem(422, error.code, f"manifest: found {error.found}; needed: {error.needed}") from error
    except (ValueError, KeyError, OSError, RuntimeError, csv.Error) as error:  # pyarrow's and json's are of these
        if lacking(error):
            raise
        needed = f"CSV, JSON Lines or Parquet with a column {COLUMN!r}"
        raise Problem(422, "bad_manifest", f"manifest: found {_said(error)}; needed: {needed}") from error
    return checked(names, Path(manifest).parent, roots, limit)


def checked(names: list[str], folder: Path | None, roots: tuple[str, ...], limit: int) -> list[tuple[str, str]]:
    """Return names with their paths, if there are neither none nor too many.

    Args:
        names: as listed.
        folder: where names that are not absolute start; None refuses them.
        roots: folders below which files may lie.
        limit: most names.

    Raises:
        Problem: 422.
    """
    if not roots:
        raise Problem(422, "manifests_off", "found a list of paths; needed: a service with STEM_MANIFEST_ROOTS")
    if not 1 <= len(names) <= limit:
        raise Problem(422, "n_files", f"found {len(names)} files named; needed: 1 to {limit}")
    if any("\0" in name or not name for name in names):
        raise Problem(422, "bad_path", "found an empty path or one with a NUL character; needed: paths of files")
    if folder is None and (vague := [name for name in names if not os.path.isabs(name)]):
        needed = "absolute ones, or a manifest, at whose folder such paths start"
        raise Problem(422, "bad_path", f"found {len(vague)} paths such as {vague[0][:200]!r}; needed: {needed}")
    return [(name, str((folder or Path("/")) / name)) for name in names]


def _names(file: BinaryIO, suffix: str) -> Iterator[str]:
    if suffix == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(file, columns=[COLUMN])
        yield from (_text(name) for name in table.column(COLUMN).to_pylist())
        return
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    if suffix == ".csv":
        for row in csv.DictReader(text):
            yield _text(row[COLUMN])
    elif suffix in (".jsonl", ".ndjson"):
        for line in text:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("a line that is no JSON object")
                yield _text(row[COLUMN])
    else:
        raise ValueError(f"the file name ending {suffix!r}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a {COLUMN} that is no text")
    value.encode()  # a ValueError for half a pair of surrogates, which JSON can spell and no database keeps
    return value


def _said(error: Exception) -> str:
    return f"no column {error}" if isinstance(error, KeyError) else (str(error).splitlines() or ["an error"])[0][:200]
