"""Connections that stand still outside of an upload, or send heads without end: neither may take what others need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.problems import MEDIA_TYPE, Problem, problem_response

HEAD_BYTES = 64_000
"""Address and headers of one request; uvicorn's own parser takes any number."""


def impatient(stall_s: float, note: Callable[[int, str], None]) -> type[HttpToolsProtocol]:
    """Return a protocol for uvicorn that closes what stands still; uvicorn's own waits without end.

    A connection is closed whose next request's head is not there within the time, counted from its beginning or its
    last answer, and so is one that does not take an answer. What is wrong with the head is said as a problem, 431 where
    it is over HEAD_BYTES.

    Args:
        stall_s: the time.
        note: told of the status of each such problem, and the client's address.
    """

    class Impatient(HttpToolsProtocol):
        _head: asyncio.TimerHandle | None = None
        _taking: asyncio.TimerHandle | None = None
        _n_head = 0  # bytes of address and headers, trailers too
        _n_hosts = 0
        _n_bare = 0  # bytes since the last that began a request or was of a body

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop(self._head)
            self._stop(self._taking)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._n_bare += len(data)
            super().data_received(data)
            if self._n_bare > HEAD_BYTES and not self.transport.is_closing():  # of one header, maybe
                self.send_400_response("")

        def on_message_begin(self) -> None:
            self._n_head = self._n_bare = self._n_hosts = 0
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            self._count(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._n_hosts += name.lower() == b"host"
            if self._n_hosts > 1:
                raise ValueError("two Host headers")  # one of which another server before this one may have gone by
            self._count(len(name) + len(value) + 4)
            super().on_header(name, value)

        def on_body(self, body: bytes) -> None:
            self._n_bare = 0
            super().on_body(body)

        def on_headers_complete(self) -> None:
            self._stop(self._head)
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            more = bool(self.pipeline)  # requests whose heads are there already
            super().on_response_complete()
            if not more and not self.transport.is_closing():
                self._wait_for_head()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._wait_for_taker(self.transport.get_write_buffer_size())

        def resume_writing(self) -> None:
            self._stop(self._taking)
            super().resume_writing()

        def send_400_response(self, msg: str) -> None:
            detail = "found a request that is no HTTP/1.1; needed: one that can be read"
            problem = Problem(400, "bad_request", detail)
            if self._n_hosts > 1:
                problem = Problem(400, "bad_request", "found more than one Host header; needed: one")
            if max(self._n_head, self._n_bare) > HEAD_BYTES:
                detail = f"found an address and headers that are too large; needed: at most {HEAD_BYTES} bytes"
                problem = Problem(431, "head_too_large", detail)
            body = bytes(problem_response(problem, "").body)
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[problem.status] + head.encode() + body)
            note(problem.status, self.client[0] if self.client else "")
            self.transport.close()

        def _count(self, n_bytes: int) -> None:
            self._n_head += n_bytes
            if self._n_head > HEAD_BYTES:
                raise ValueError("the head is too large")  # which the parser takes for a request it cannot read

        def _wait_for_head(self) -> None:
            self._stop(self._head)
            self._head = self.loop.call_later(stall_s, self.transport.close)

        def _wait_for_taker(self, n_bytes: int) -> None:
            self._stop(self._taking)
            self._taking = self.loop.call_later(stall_s, self._look_at_taker, n_bytes)

        def _look_at_taker(self, before: int) -> None:
            left = self.transport.get_write_buffer_size()
            if left >= before:
                self.transport.abort()  # to close it would wait for what is never taken
            else:
                self._wait_for_taker(left)

        def _stop(self, timer: asyncio.TimerHandle | None) -> None:
            if timer is not None:
                timer.cancel()

    return Impatient
