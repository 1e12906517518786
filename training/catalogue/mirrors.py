"""Files out of git mirrors of public repositories, by repository, commit and path."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

GITHUB = "https://github.com/{repository}.git"
"""Where :func:`clone_missing` takes repositories from."""
TIMEOUT_S = 1800.0


class MissingFileError(Exception):
    """A mirror, a commit or a file that is not there: names what was sought."""


class MissingMirrorError(MissingFileError):
    """A repository that has no mirror, and could not be cloned where that was asked."""


def locate(mirrors: Path, repository: str) -> Path:
    """Return the bare git directory of a repository.

    Args:
        mirrors: folder with one folder ``OWNER+NAME`` for each repository, and a bare git directory in it.
        repository: ``OWNER/NAME``.

    Raises:
        MissingMirrorError: there is none, or the name is none of a repository.
    """
    if not all(part.strip(".") for part in repository.split("/")):  # the first of all mirrors would be found
        raise MissingMirrorError(f"found repository {repository!r}; needed: OWNER/NAME")
    top = mirrors / repository.replace("/", "+")
    for at, _, files in os.walk(top):
        if "HEAD" in files:
            return Path(at)
    raise MissingMirrorError(
        f"{repository}: found no mirror in {mirrors.name}; needed: a bare git directory in {top.name}/"
    )


def clone_missing(mirrors: Path, repository: str, source: str = GITHUB) -> None:
    """Clone a repository that has no mirror, without its files: each is brought when it is read.

    Args:
        mirrors: as for :func:`locate`.
        repository: ``OWNER/NAME``.
        source: address, with ``{repository}`` in it.

    Raises:
        MissingMirrorError: git could not clone it; it says why.
    """
    try:
        locate(mirrors, repository)
        return
    except MissingMirrorError:
        pass
    into = mirrors / repository.replace("/", "+") / "repo"
    part = mirrors / f".{into.parent.name}.part"  # beside the mirrors: what was interrupted is none
    command = ["git", "clone", "--quiet", "--bare", "--filter=blob:none", source.format(repository=repository)]
    quiet = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    into.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)
    done = subprocess.run(
        [*command, str(part)], capture_output=True, text=True, check=False, env=quiet, timeout=TIMEOUT_S
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MissingMirrorError(f"{repository}: could not be cloned ({reason})")
    part.rename(into)


def read(mirrors: Path, repository: str, commit: str, path: str) -> bytes:
    """Return a file's bytes as they were in a commit.

    Args:
        mirrors, repository: as for :func:`locate`.
        commit: its hash.
        path: inside the repository.

    Raises:
        MissingMirrorError: no mirror of the repository.
        MissingFileError: no such commit, or no such file in it.
    """
    command = ["git", f"--git-dir={locate(mirrors, repository)}", "show", f"{commit}:{path}"]
    if commit.startswith("-"):  # git would take it for an option, one of which writes files
        raise MissingFileError(f"{repository}: found commit {commit!r} of {path}; needed: its hash")
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_S)
    if done.returncode or not done.stdout:
        raise MissingFileError(f"{repository}: found no {path} at {commit[:12]}")
    return done.stdout


def find_commit(mirrors: Path, repository: str, path: str) -> str:
    """Return the hash of the newest commit of any branch that holds a file.

    Args:
        mirrors, repository: as for :func:`locate`.
        path: inside the repository.

    Raises:
        MissingMirrorError: no mirror of the repository.
        MissingFileError: no commit of it holds the file.
    """
    git = ["git", f"--git-dir={locate(mirrors, repository)}"]
    changed = [*git, "log", "--all", "--format=%H", "--diff-filter=AMR", "--", f":(literal){path}"]
    for command in ([*git, "rev-parse", "HEAD"], changed):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        commit = done.stdout.partition("\n")[0]
        holds = [*git, "cat-file", "-e", f"{commit}:{path}"]
        if commit and not subprocess.run(holds, capture_output=True, check=False, timeout=TIMEOUT_S).returncode:
            return commit
    raise MissingFileError(f"{repository}: found no {path} in any commit")
