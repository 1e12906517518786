"""Uploads: a body or a form's file, written to the spool as it comes in; and names that nobody asked for, refused."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from service.problems import Problem

FORM = "multipart/form-data"
RAW_TYPES = ("application/octet-stream", "application/ogg", "video/mp4")
"""Content types of a raw body besides ``audio/*``."""
BINARY = {"type": "string", "format": "binary"}
_FLUSH_BYTES = 1 << 20
_PROBE_BYTES = 1 << 16
_ONE_FILE = "one file in the field 'file'; a job takes several: POST /v1/jobs"
_FILE_PART = "a file with its name (with curl: -F file=@NAME)"
MOST_FIELDS = 16
"""Text fields of a form that are read, so that one which is not known can be named."""
_FIELD_BYTES = 64_000
_HINTS = {
    "windows": "the command line's --windows is 'coverage' here",
    "files": "one field 'file' for each file",
}
"""What is meant by names that are often sent, where that is not plain."""


def describe_form(file: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    """Return what is sent as a form, for the OpenAPI document.

    Args:
        file: schema of the field ``file``, without which there is no form.
        others: schemas of the other fields it may have, by name.
    """
    properties = {"file": file, **others}
    return {"schema": {"type": "object", "required": ["file"], "additionalProperties": False, "properties": properties}}


class Spool:
    """A folder for files that live as long as their request; the parts of forms lie there without a name.

    Args:
        folder: made if missing, and emptied: one service owns it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.make()
        for left in folder.iterdir():
            if not left.is_dir():  # as lost+found of a file system of its own
                left.unlink()

    def make(self) -> None:
        """Make the folder where it is not there.

        Raises:
            OSError: it cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def probe(self) -> None:
        """Write and delete a small file; a folder that is gone is made again.

        Raises:
            OSError: nothing can be written.
        """
        self.make()
        path = self.folder / uuid.uuid4().hex
        try:
            path.write_bytes(bytes(_PROBE_BYTES))
        finally:
            path.unlink(missing_ok=True)

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[Path]:
        """Write the one file of a request and yield its path; it is deleted afterwards.

        Args:
            request: a form with the field ``file``, or a raw body with an audio content type.

        Raises:
            Problem: 415 for another content type, 422 for a form without a file or with another field, 400 for a form
                with several files.
        """
        self.make()
        path = self.folder / uuid.uuid4().hex
        try:
            await _receive(request, path)
            yield path
        finally:
            path.unlink(missing_ok=True)


@asynccontextmanager
async def form_of(request: Request, max_files: int, needed: str) -> AsyncIterator[FormData]:
    """Read a form; what it uploads is gone afterwards.

    Args:
        request: with the content type of a form.
        max_files: that it may hold.
        needed: said where it holds more.

    Raises:
        Problem: 400 for more files or text fields than are read, or for too long a text.
    """
    try:
        form = await request.form(max_files=max_files, max_fields=MOST_FIELDS, max_part_size=_FIELD_BYTES)
    except HTTPException as error:
        if str(error.detail).startswith("Part exceeded"):  # of a part with a file name there is no such limit
            detail = f"found a form field with over {_FIELD_BYTES} bytes of text; needed: for a file, {_FILE_PART}"
            raise Problem(400, "bad_request", detail) from error
        most = {"Too many files": f"{max_files} files", "Too many fields": f"{MOST_FIELDS} text fields"}
        found = most.get(str(error.detail).split(".")[0])
        if found is None and error.status_code != 400:  # too large a body, say
            raise
        if found is None:
            detail = f"found a form that cannot be read ({error.detail.strip('.')}); needed: {FORM} with its boundary"
            raise Problem(400, "bad_request", detail) from error
        raise Problem(400, "bad_request", f"found a form with more than {found}; needed: {needed}") from error
    try:
        yield form
    finally:
        await form.close()


def check_query(request: Request, known: Sequence[str], elsewhere: Mapping[str, str] | None = None) -> None:
    """Refuse query parameters that a route does not have, and those that come more than once.

    Args:
        request: any request.
        known: parameters that the route has.
        elsewhere: where else a name is taken, in words.

    Raises:
        Problem: 422 that names such parameters, and for unknown ones those that are known.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    _check_names("query", "query parameter", names, known, elsewhere or {})
    _check_once("query", "query parameter", names)


def check_fields(form: FormData, known: Sequence[str], elsewhere: Mapping[str, str] | None = None) -> None:
    """Refuse fields that a form does not have, those that come more than once, and a ``file`` that is none.

    Args:
        form: as it was sent.
        known: fields that the form may have.
        elsewhere: where else a name is taken, in words.

    Raises:
        Problem: 422 that names such fields, and for unknown ones those that are known; with the code ``no_file`` where
            the form has no file in the field ``file`` either.
    """
    of_file = [isinstance(value, UploadFile) for value in form.getlist("file")]
    code = "invalid_request" if any(of_file) else "no_file"
    names = [name for name, _ in form.multi_items()]
    _check_names("body", "form field", names, known, elsewhere or {}, code)
    if not all(of_file):
        found = f"the form field 'file' without a file name in {of_file.count(False)} of {len(of_file)} places"
        faults = [{"where": ["body", "file"], "fault": f"text; needed: {_FILE_PART}"}]
        raise Problem(422, code, f"found {found}; needed: {_FILE_PART}", errors=faults)
    _check_once("body", "form field", [name for name in names if name != "file"], code)


def _check_names(
    place: str, kind: str, found: Sequence[str], known: Sequence[str], elsewhere: Mapping[str, str],
    code: str = "invalid_request",
) -> None:  # fmt: skip
    unknown = [name for name in dict.fromkeys(found) if name not in known]
    if not unknown:
        return
    needed = f"of {kind}s only {', '.join(map(repr, known))}" if known else f"no {kind}"
    hints = (elsewhere.get(name) or _HINTS.get(name) for name in unknown)
    words = "".join(f" ({hint})" for hint in dict.fromkeys(h for h in hints if h))
    named = ", ".join(repr(name[:100]) for name in unknown[:5])
    faults = [{"where": [place, name[:100]], "fault": f"unknown; needed: {needed}"} for name in unknown[:5]]
    raise Problem(422, code, f"found the {kind} {named}; needed: {needed}{words}", errors=faults)


def _check_once(place: str, kind: str, names: Sequence[str], code: str = "invalid_request") -> None:
    for name in dict.fromkeys(names):
        if (n := names.count(name)) > 1:
            faults = [{"where": [place, name], "fault": f"{n} times; needed: once"}]
            raise Problem(422, code, f"found the {kind} {name!r} {n} times; needed: once", errors=faults)


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
    check_coding(request)
    if kind == FORM:
        async with form_of(request, 2, _ONE_FILE) as form:
            check_fields(form, ("file",), {"coverage": "'coverage' is a query parameter here"})
            uploads = [upload for upload in form.getlist("file") if isinstance(upload, UploadFile)]
            if not uploads:
                raise Problem(422, "no_file", "found a form without a file; needed: one in the field 'file'")
            if len(uploads) > 1:
                names = ", ".join(repr((upload.filename or "")[:100]) for upload in uploads)
                raise Problem(400, "bad_request", f"found {len(uploads)} files ({names}); needed: {_ONE_FILE}")
            await save(uploads[0], path)
    elif kind.startswith("audio/") or kind in RAW_TYPES:
        await _stream(request, path)
    else:
        found = f"content type {kind!r}" if kind else "no content type"
        needed = f"audio/*, {', '.join(RAW_TYPES)} or {FORM}"
        raise Problem(415, "unsupported_media_type", f"found {found}; needed: {needed}")


def check_coding(request: Request) -> None:
    """Refuse a body that was packed on its way.

    Args:
        request: any request.

    Raises:
        Problem: 415 for a content coding.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        found = f"a body with Content-Encoding {coding[:100]!r}"
        detail = f"found {found}; needed: the file as it is, without a content coding"
        raise Problem(415, "unsupported_media_type", detail, {"Accept-Encoding": "identity"})


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
