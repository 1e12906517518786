"""The page at ``/``: three files, nothing from elsewhere."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter
from starlette.responses import Response

router = APIRouter(include_in_schema=False)


def _file(name: str, media_type: str) -> Response:
    content = resources.files(__name__).joinpath(name).read_bytes()
    return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})


@router.get("/")
async def give_page() -> Response:
    """Return the page."""
    return _file("index.html", "text/html; charset=utf-8")


@router.get("/page.css")
async def give_style() -> Response:
    """Return its style."""
    return _file("page.css", "text/css; charset=utf-8")


@router.get("/page.js")
async def give_script() -> Response:
    """Return its script."""
    return _file("page.js", "text/javascript; charset=utf-8")
