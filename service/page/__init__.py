"""The page at ``/``: a few files, nothing from elsewhere."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter
from starlette.responses import Response

from service.problems import Problem

router = APIRouter(include_in_schema=False)

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_SCRIPTS = ("page", "aiff", "dom", "pick", "send", "sound", "spectrum", "table", "verdict")
_NAMES = ("page.css", *(f"{name}.js" for name in _SCRIPTS))


def _file(name: str, media_type: str) -> Response:
    content = resources.files(__name__).joinpath(name).read_bytes()
    return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})


@router.get("/")
@router.head("/")
async def give_page() -> Response:
    """Return the page."""
    return _file("index.html", "text/html; charset=utf-8")


@router.get("/page/{name}")
@router.head("/page/{name}")
async def give_part(name: str) -> Response:
    """Return its style or one of its scripts.

    Raises:
        Problem: 404 for another name.
    """
    if name not in _NAMES:
        raise Problem(404, "not_found", f"found no part of the page named {name!r}; needed: one of {', '.join(_NAMES)}")
    return _file(name, _TYPES[name[name.rindex(".") :]])
