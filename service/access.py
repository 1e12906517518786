"""Who may call, and how often."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any
from urllib.parse import urlsplit

import limits
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from service.errors import StartError
from service.keys import KeyRing
from service.problems import Problem
from service.settings import Settings
from service.uploads import check_query

_CLOCK_STEP_S = 1.0
_bearer = HTTPBearer(auto_error=False, description="an API key; asked for only where the service has keys")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="the same, for clients that cannot send Bearer")


class Access:
    """Keys and the rate limit.

    Args:
        settings: of the service.

    Raises:
        StartError: the key file or the rate cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = KeyRing(settings.keys_file) if settings.keys_file is not None else None
        try:
            self._rate = limits.parse(settings.rate_limit) if settings.rate_limit else None
        except ValueError as error:
            raise StartError(f"found rate limit {settings.rate_limit!r}; needed: such as '600/minute'") from error
        self._origins = settings.cors_origins
        self._latest = 0.0
        self._limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())

    @property
    def keyed(self) -> bool:
        """Whether callers are told apart by keys."""
        return self._keys is not None

    def identify(self, key: str | None, address: str) -> str:
        """Return who calls.

        Args:
            key: as sent, or None.
            address: of the client.

        Raises:
            Problem: 401 without a valid key where keys are asked for; 429 where an address tries too many.
        """
        if self._keys is None:
            return address
        name = self._keys.name_of(key) if key else None
        if name is None:
            self.count(address)
            found = "a key that is not known" if key else "no key"
            raise Problem(401, "unauthorized", f"found {found}; needed: a valid one", {"WWW-Authenticate": "Bearer"})
        return name

    def count(self, caller: str) -> None:
        """Count a request.

        Args:
            caller: who calls.

        Raises:
            Problem: 429 over the rate.
        """
        if self._rate is None:
            return
        now = time.time()
        if now < self._latest - _CLOCK_STEP_S:  # the clock was set back: what was counted lies in a time to come
            self._limiter.storage.reset()
        self._latest = now
        if self._limiter.hit(self._rate, caller):
            return
        wait_s = max(1, math.ceil(self._limiter.get_window_stats(self._rate, caller).reset_time - time.time()))
        detail = f"found more than {self._rate} by {caller}; needed: a wait of {wait_s} s"
        raise Problem(429, "rate_limited", detail, {"Retry-After": str(wait_s)})

    def check_origin(self, request: Request) -> None:
        """Refuse what another site's page sends through a visitor's browser.

        Args:
            request: any request.

        Raises:
            Problem: 403 for a request from a site that ``cors_origins`` does not list.
        """
        site, origin = (request.headers.get(name, "") for name in ("sec-fetch-site", "origin"))
        cross = site in ("cross-site", "same-site")
        if not site and origin:  # browsers say where a page is from, and on plain HTTP no more than that
            cross = urlsplit(origin).netloc != request.headers.get("host", "")
        if cross and "*" not in self._origins and origin not in self._origins:
            raise Problem(
                403,
                "foreign_origin",
                f"found a request by a page of {origin or 'another site'}; needed: one of STEM_CORS_ORIGINS",
            )


def known(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    header: Annotated[str | None, Security(_header)] = None,
) -> str:
    """Return who calls; a dependency of routes that ask for a key."""
    access: Access = request.app.state.access
    access.check_origin(request)
    caller = access.identify(bearer.credentials if bearer else header, request.client.host if request.client else "")
    request.state.caller = caller
    return caller


def counted(request: Request, caller: Annotated[str, Depends(known)]) -> str:
    """Return who calls, and count the request; a dependency of routes with a rate limit."""
    access: Access = request.app.state.access
    access.count(caller)
    return caller


Caller = Annotated[str, Depends(counted)]


def asks_only(*parameters: str) -> Any:
    """Return a dependency of routes that refuse query parameters which they do not have, once the caller is known.

    Args:
        parameters: that the route has.
    """

    def check(request: Request, caller: Caller) -> None:
        check_query(request, parameters)

    return Depends(check)
