"""API keys: several, kept as hashes in a file that is read again when it changes.

``python -m service.keys FILE NAME`` makes a key, prints it once and adds its hash to the file.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import sys
from pathlib import Path

from service.errors import StartError

_LINE = re.compile(r"^([\w.-]{1,64})\s+([0-9a-f]{64})$")
_log = logging.getLogger("service.keys")


class KeyRing:
    """The keys of a file with lines ``NAME SHA256``; '#' begins a comment.

    A key is 256 random bits, so a plain SHA-256 is enough: there is nothing to guess that a slow hash would protect.

    Args:
        path: of the file.

    Raises:
        StartError: the file cannot be read or holds no key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stat()
        self._names = read(path)

    def name_of(self, key: str) -> str | None:
        """Return whose key it is, or None; looks whether the file has changed first.

        Args:
            key: as the client sent it.
        """
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._names = _parse(self._path)  # none, where the last line was deleted
                self._stamp = stamp
                _log.info("keys read again", extra={"n_keys": len(self._names)})
        except StartError as error:  # half-written or gone: the keys known so far stay
            _log.error("keys not read again: %s", error)
        return self._names.get(digest(key))

    def _stat(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise StartError(f"{self._path}: found {error.strerror}; needed: a readable file of keys") from error
        return status.st_mtime_ns, status.st_size, status.st_ino


def digest(key: str) -> str:
    """Return what the file holds for a key.

    Args:
        key: any text.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def read(path: Path) -> dict[str, str]:
    """Read a file of keys.

    Args:
        path: of the file.

    Returns:
        Names by hash.

    Raises:
        StartError: the file cannot be read, a line is wrong, or there is no key.
    """
    names = _parse(path)
    if not names:
        raise StartError(f"{path}: found no key; needed: at least one, made with 'python -m service.keys FILE NAME'")
    return names


def _parse(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{path}: found {error}; needed: a readable file of keys") from error
    names: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        match = _LINE.match(text)
        if match is None:
            raise StartError(f"{path}: found a wrong line {number}; needed: NAME and the SHA-256 of the key in hex")
        names[match[2]] = match[1]
    return names


def main() -> None:
    """Make a key."""
    if len(sys.argv) != 3 or not re.fullmatch(r"[\w.-]{1,64}", sys.argv[2]):
        raise SystemExit("usage: python -m service.keys FILE NAME")
    key = f"stem_{secrets.token_urlsafe(32)}"
    path = Path(sys.argv[1])
    path.touch(mode=0o600)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{sys.argv[2]} {digest(key)}\n")
    print(key)


if __name__ == "__main__":
    main()
