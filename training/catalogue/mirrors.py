"""Files out of git mirrors of public repositories, by repository, commit and path."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

GITHUB = "https://github.com/{repository}.git"
"""Where :func:`clone` takes repositories from."""
TIMEOUT_S = 1800.0


class MissingFileError(Exception):
    """A mirror, a commit or a file that is not there: names what was sought."""


def locate(mirrors: Path, repository: str) -> Path:
    """Return the bare git directory of a repository.

    Args:
        mirrors: folder with one folder ``OWNER+NAME`` for each repository, and a bare git directory in it.
        repository: ``OWNER/NAME``.

    Raises:
        MissingFileError: there is none.
    """
    top = mirrors / repository.replace("/", "+")
    for at, _, files in os.walk(top):
        if "HEAD" in files:
            return Path(at)
    raise MissingFileError(
        f"{repository}: found no mirror in {mirrors.name}; needed: a bare git directory in {top.name}/"
    )


def clone(mirrors: Path, repository: str, source: str = GITHUB) -> None:
    """Clone a repository into the folder of mirrors, without its files: each is brought when it is read.

    Args:
        mirrors: as for :func:`locate`.
        repository: ``OWNER/NAME``.
        source: address, with ``{repository}`` in it.

    Raises:
        MissingFileError: git could not clone it; it says why.
    """
    into = mirrors / repository.replace("/", "+") / "repo"
    part = into.with_name("part")
    command = ["git", "clone", "--quiet", "--bare", "--filter=blob:none", source.format(repository=repository)]
    quiet = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    into.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["rm", "-rf", str(part)], check=True)  # of a clone that was interrupted
    done = subprocess.run(
        [*command, str(part)], capture_output=True, text=True, check=False, env=quiet, timeout=TIMEOUT_S
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MissingFileError(f"{repository}: could not be cloned ({reason})")
    part.rename(into)


def read(git: Path, commit: str, path: str) -> bytes:
    """Return a file's bytes as they were in a commit.

    Args:
        git: bare git directory.
        commit: its hash.
        path: inside the repository.

    Raises:
        MissingFileError: no such commit, or no such file in it.
    """
    command = ["git", f"--git-dir={git}", "show", f"{commit}:{path}"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_S)
    if done.returncode or not done.stdout:
        raise MissingFileError(f"{git.parent.name.replace('+', '/', 1)}: found no {path} at {commit[:12]}")
    return done.stdout
