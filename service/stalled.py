"""Uploads that stand still: each holds a connection and a file, so that enough of them leave none for others."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import Problem


class Unstalled:
    """Gives up a request of whose body nothing comes for some time.

    Args:
        app: the application inside; it is raised a Problem, 408, where it reads the body.
        stall_s: time that a body may stand still.
    """

    def __init__(self, app: ASGIApp, stall_s: float) -> None:
        self._app = app
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        whole = scope["type"] != "http"

        async def received() -> Message:
            nonlocal whole
            if whole:  # what comes then is the end of the connection, whenever that is
                return await receive()
            try:
                async with asyncio.timeout(self._stall_s):
                    message = await receive()
            except TimeoutError as error:
                detail = f"found no more of the body within {self._stall_s:g} s; needed: a body without such a pause"
                raise Problem(408, "stalled", detail, {"Connection": "close"}) from error
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, received, send)
