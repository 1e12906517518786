"""Settings: read from the environment, prefix ``STEM_``.

``python -m service.settings`` lists them with their defaults.
"""

from __future__ import annotations

import base64
import difflib
import ipaddress
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import StartError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

_OTHERS = ("STEM_NETS", "STEM_CORPUS")
"""Variables of the training and of the tests."""
_INSTEAD = {"STEM_HOST": "needed: --host", "STEM_PORT": "needed: --port"}
"""``python -m service.run`` takes them out of the environment; ``stem-provenance serve`` has options."""

_HOST = re.compile(r"[*]|(?:[*][.])?[\w-]+(?:[.][\w-]+)*[.]?|\[[0-9a-fA-F:.]+\]")
_ORIGIN = re.compile(r"[*]|null|[a-z][a-z0-9+.-]*://[^/\s*]+")

Words = Annotated[tuple[str, ...], NoDecode]
"""Several words in one variable, parted by commas."""
Folders = Annotated[tuple[Path, ...], NoDecode]
"""Several folders in one variable, parted by the system's path separator (a colon)."""


class Settings(BaseSettings):
    """What an operator may set; every field is the variable ``STEM_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="STEM_", frozen=True, extra="ignore")

    model: str | None = Field(default=None, description="folder or name of the model; unset is the default one")
    workers: int = Field(
        default=len(os.sched_getaffinity(0)), ge=1, le=256, description="worker processes; unset is one for each core"
    )
    worker_memory_mb: int = Field(default=1024, ge=64, description="memory a worker may take beyond the loaded model")
    worker_time_s: float = Field(default=60.0, gt=0, description="time a worker may take for one file")
    queue_size: int = Field(default=32, ge=0, description="requests that may wait for a worker; one more gets 503")

    max_body_mb: float = Field(default=256.0, gt=0, description="size of one upload")
    max_job_body_mb: float = Field(default=2048.0, gt=0, description="size of all uploads of one job")
    stall_s: float = Field(default=60.0, gt=0, description="time that an upload or a connection may stand still")
    max_job_files: int = Field(default=10_000, ge=1, description="files that a job's list or manifest may name")
    max_job_uploads: int = Field(default=250, ge=1, description="files uploaded for one job")
    max_jobs: int = Field(default=100, ge=1, description="jobs that have not ended; one more gets 503")
    max_duration_s: float = Field(default=3600.0, gt=0, description="decoded length of one file")
    max_channels: int = Field(default=2, ge=1, le=2, description="channels of one file")
    max_sample_rate_hz: int = Field(default=192_000, ge=1000, description="sample rate of one file")

    keys_file: Path | None = Field(default=None, description="file of hashed API keys; unset asks for none")
    allow_no_keys: bool = Field(default=False, description="serve another address than loopback without keys")
    rate_limit: str = Field(
        default="1200/minute", description="requests of one key, or of one address without keys; '' is none"
    )
    allowed_hosts: Words = Field(
        default=(),
        description="Host headers answered beside loopback names; empty: those alone, or any when keys are set",
    )
    cors_origins: Words = Field(default=(), description="origins that a browser may call from")

    state_dir: Path | None = Field(
        default=None, description="where uploads, those of forms too, and the job database lie"
    )
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL of the job store; unset is SQLite in state_dir"
    )
    job_keep_s: float = Field(default=7 * 86_400.0, gt=0, description="finished jobs are deleted after this time")
    manifest_roots: Folders = Field(default=(), description="folders whose files a job's manifest may name")
    webhook_hosts: Words = Field(default=(), description="hosts, or host:port, that a job's webhook may name")
    webhook_secret: SecretStr | None = Field(default=None, description="key of the webhooks' signature")
    webhook_tries: int = Field(default=5, ge=1, le=20, description="tries to deliver a webhook")
    webhook_wait_s: float = Field(
        default=2.0, gt=0, description="wait before the second try; doubled for each further one"
    )

    shutdown_s: int = Field(default=30, ge=1, description="seconds to finish what is running when asked to stop")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged"
    )
    otel: bool = Field(
        default=False, description="OpenTelemetry traces and metrics, exported as the OTEL_ variables say"
    )

    @field_validator("cors_origins", "webhook_hosts", "allowed_hosts", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(w.strip() for w in value.split(",") if w.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _all_like(_HOST, value, "names without scheme and port, such as stems.example or *.stems.example, or *")

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _all_like(_ORIGIN, value, "scheme and host as browsers say them, such as https://stems.example, or *")

    @field_validator("manifest_roots", mode="before")
    @classmethod
    def _folders(cls, value: object) -> object:
        return tuple(w for w in value.split(os.pathsep) if w) if isinstance(value, str) else value

    @field_validator("webhook_secret")
    @classmethod
    def _signs(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        try:
            key = key_of(value.get_secret_value())
        except ValueError:
            key = b""
        if not key:
            raise ValueError("found 'whsec_' before what is no Base64; needed: 'whsec_' and Base64, or another text")
        return value

    @property
    def max_body_bytes(self) -> int:
        """Size of one upload, with room for the wrapping of a form."""
        return int(self.max_body_mb * 1e6) + 4096

    @property
    def max_job_body_bytes(self) -> int:
        """Size of all uploads of one job."""
        return int(self.max_job_body_mb * 1e6) + 4096

    @property
    def state_folder(self) -> Path:
        """Where uploads and jobs lie: ``state_dir``, or this user's folder for such things."""
        return self.state_dir or platformdirs.user_state_path("stem-provenance")

    def hosts_for(self, host: str) -> tuple[str, ...]:
        """Return the Host headers that are answered when listening on an address.

        Args:
            host: name or address listened on.
        """
        if self.allowed_hosts:
            return (*self.allowed_hosts, *LOOPBACK_NAMES)  # a probe on this machine knows no other
        return LOOPBACK_NAMES if is_loopback(host) else ("*",)


def _all_like(pattern: re.Pattern[str], words: tuple[str, ...], needed: str) -> tuple[str, ...]:
    for word in words:  # one that is written otherwise would never be met
        if not pattern.fullmatch(word):
            raise ValueError(f"found {word!r}; needed: {needed}")
    return words


def key_of(secret: str) -> bytes:
    """Return the key of a webhook's signature.

    Args:
        secret: ``whsec_`` and Base64, as Standard Webhooks has it, or any other text, whose UTF-8 is the key.

    Raises:
        ValueError: what follows ``whsec_`` is no Base64.
    """
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address.

    Args:
        host: name or address listened on.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(settings: Settings, host: str) -> None:
    """Refuse to serve other machines without keys.

    Args:
        settings: of the service.
        host: name or address to listen on.

    Raises:
        StartError: others could reach the service and no key would be asked for.
    """
    if is_loopback(host) or settings.keys_file is not None or settings.allow_no_keys:
        return
    raise StartError(
        f"found address {host}, which other machines can reach, and no keys; needed: STEM_KEYS_FILE (made with "
        "'python -m service.keys FILE NAME'), a loopback address, or STEM_ALLOW_NO_KEYS=true"
    )


def misspelt(variables: Iterable[str]) -> list[str]:
    """Return what to say of variables that look like settings and are none.

    Args:
        variables: names of all variables of the environment; case does not matter.

    >>> misspelt(["STEM_WORKERS", "STEM_WORKER", "PATH"])
    ['found the variable STEM_WORKER, which is no setting; nearest: STEM_WORKERS']
    """
    known = [f"STEM_{name.upper()}" for name in Settings.model_fields]
    said = []
    for name in sorted(variables):
        if name.upper().startswith("STEM_") and name.upper() not in (*known, *_OTHERS):
            near = difflib.get_close_matches(name.upper(), known, 1, 0)
            hint = _INSTEAD.get(name.upper(), f"nearest: {near[0]}")
            said.append(f"found the variable {name}, which is no setting; {hint}")
    return said


def missing(settings: Settings) -> list[str]:
    """Return what to say of folders whose files jobs may name and that are not there.

    Args:
        settings: of the service.
    """
    return [
        f"found no folder {root}, which STEM_MANIFEST_ROOTS names; needed: one that is there"
        for root in settings.manifest_roots
        if not root.is_dir()
    ]


def main() -> None:
    """Print every setting: its variable, its default, what it is."""
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        words = "" if default is None or default == () else str(default)
        print(f"{f'STEM_{name.upper()}':26} {words:14} {field.description or ''}")


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # its reader has seen enough; what is left must not be written at the exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
