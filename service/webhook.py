"""Webhooks in the manner of Standard Webhooks (standardwebhooks.com): signed, to allowed hosts only."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from urllib.parse import urlsplit

import httpx

from service.durable import Stopped
from service.job_records import Job
from service.problems import Problem
from service.settings import Settings, key_of

_TIMEOUT_S = 10.0
"""Of a whole try: a receiver that sends its headers letter by letter would keep one alive for hours."""
_log = logging.getLogger("service.webhook")


def check(url: str, settings: Settings) -> None:
    """Refuse a webhook that the settings do not allow.

    Args:
        url: as the client gave it.
        settings: of the service.

    Raises:
        Problem: 422 for a URL that is none, a host that is not listed, or a service without a secret to sign with.
    """
    if not settings.webhook_hosts or settings.webhook_secret is None:
        detail = "found a webhook; needed: a service with STEM_WEBHOOK_HOSTS and STEM_WEBHOOK_SECRET"
        raise Problem(422, "webhooks_off", detail)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or len(url) > 2000:
        raise Problem(
            422, "bad_webhook", "found a webhook that is no http or https URL; needed: such as https://HOST/PATH"
        )
    if not _listed(host, port, parts.scheme, settings.webhook_hosts):
        raise Problem(422, "webhook_host", f"found webhook host {host!r}; needed: one that STEM_WEBHOOK_HOSTS lists")


def body_of(job: Job) -> bytes:
    """Return what a webhook says.

    Args:
        job: that has ended.
    """
    data = {"id": job.id, "state": job.state, "counts": job.counts, "results": f"/v1/jobs/{job.id}/results"}
    return json.dumps({"type": "job.ended", "timestamp": _iso(job.finished_s), "data": data}).encode()


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of the header ``webhook-signature``.

    Args:
        secret: ``whsec_`` and base64, as Standard Webhooks has it, or any other text, whose UTF-8 is the key.
        message_id: value of the header ``webhook-id``.
        timestamp_s: value of the header ``webhook-timestamp``, Unix time.
        body: what is sent.
    """
    key = key_of(secret)
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def send(url: str, message_id: str, body: bytes, secret: str) -> str:
    """Send a webhook once, following no redirect and no proxy setting.

    Args:
        url: that :func:`check` allowed.
        message_id: the same for every try, so that a receiver knows a repetition.
        body: what is sent.
        secret: to sign with.

    Returns:
        '' where a 2xx came back, or what went wrong.
    """
    now_s = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": sign(secret, message_id, now_s, body),
    }
    try:
        return asyncio.run(_send(url, body, headers))
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"{type(error).__name__}: {error}"


async def _send(url: str, body: bytes, headers: dict[str, str]) -> str:
    async with (
        asyncio.timeout(_TIMEOUT_S),
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None) as client,
        client.stream("POST", url, content=body, headers=headers) as answer,  # whose body is not read
    ):
        return "" if answer.is_success else f"status {answer.status_code}"


def deliver(job: Job, settings: Settings, stopping: threading.Event) -> bool:
    """Tell the webhook of a job, again until it is heard or no try is left.

    Args:
        job: that has ended and has a webhook.
        settings: of the service.
        stopping: set when the service is to stop.

    Returns:
        Whether it was heard; False also where the service was started again without a secret to sign with.

    Raises:
        Stopped: the service stops before the next try.
    """
    secret = settings.webhook_secret
    if secret is None or job.webhook_url is None:
        return False
    body = body_of(job)
    for k in range(settings.webhook_tries):
        fault = send(job.webhook_url, job.id, body, secret.get_secret_value())
        if not fault:
            return True
        _log.warning("webhook not delivered", extra={"job": job.id, "try": k + 1, "fault": fault})
        last = k + 1 == settings.webhook_tries
        if not last and stopping.wait(settings.webhook_wait_s * 2**k):
            raise Stopped
    return False


def _listed(host: str, port: int | None, scheme: str, hosts: tuple[str, ...]) -> bool:
    number = port or (443 if scheme == "https" else 80)
    name = f"[{host}]" if ":" in host else host
    usual = number == (443 if scheme == "https" else 80)
    listed = {one.lower() for one in hosts}  # as a URL's is
    return f"{name}:{number}" in listed or (usual and name in listed)


def _iso(time_s: float | None) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_s if time_s is not None else time.time()))
