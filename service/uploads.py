"""Uploads: a body or a form's file, written to the spool as it comes in."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
from fastapi import Request
from starlette.datastructures import UploadFile

from service.problems import Problem

FORM = "multipart/form-data"
RAW_TYPES = ("application/octet-stream", "application/ogg", "video/mp4")
"""Content types of a raw body besides ``audio/*``."""
_FLUSH_BYTES = 1 << 20


class Spool:
    """A folder for files that live as long as their request.

    Args:
        folder: made if missing, and emptied: one service owns it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.iterdir():
            left.unlink()

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[Path]:
        """Write the one file of a request and yield its path; it is deleted afterwards.

        Args:
            request: a form with the field ``file``, or a raw body with an audio content type.

        Raises:
            Problem: 415 for another content type, 422 for a form without a file.
        """
        path = self.folder / uuid.uuid4().hex
        try:
            await _receive(request, path)
            yield path
        finally:
            path.unlink(missing_ok=True)


async def save(upload: UploadFile, path: Path) -> None:
    """Copy a form's file.

    Args:
        upload: the form's file.
        path: to write.
    """

    def copy() -> None:
        with path.open("wb") as out:
            upload.file.seek(0)
            shutil.copyfileobj(upload.file, out, _FLUSH_BYTES)

    await anyio.to_thread.run_sync(copy)


def media_type(request: Request) -> str:
    """Return the content type of a request without its parameters, in lower case.

    Args:
        request: any request.
    """
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def _receive(request: Request, path: Path) -> None:
    kind = media_type(request)
    if kind == FORM:
        async with request.form(max_files=1, max_fields=0) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise Problem(422, "no_file", "found a form without a file; needed: one in the field 'file'")
            await save(upload, path)
    elif kind.startswith("audio/") or kind in RAW_TYPES:
        await _stream(request, path)
    else:
        found = f"content type {kind!r}" if kind else "no content type"
        needed = f"audio/*, {', '.join(RAW_TYPES)} or {FORM}"
        raise Problem(415, "unsupported_media_type", f"found {found}; needed: {needed}")


async def _stream(request: Request, path: Path) -> None:
    held = bytearray()
    with path.open("wb") as out:
        async for chunk in request.stream():
            held += chunk
            if len(held) >= _FLUSH_BYTES:
                await anyio.to_thread.run_sync(out.write, held)
                held = bytearray()
        if held:
            await anyio.to_thread.run_sync(out.write, held)
