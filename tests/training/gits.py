"""Small git repositories of given files, for what reads mirrors."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path

import soundfile

from tests import sounds

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")


def work_tree(folder: Path, files: dict[str, bytes]) -> str:
    """Make a repository of some files; returns its commit."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for line in (["init", "-q"], ["add", "."], ["commit", "-qm", "files"]):
        subprocess.run([*GIT, *line], cwd=folder, check=True)
    head = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return head.stdout.strip()


def mirror(top: Path, repository: str, files: dict[str, bytes]) -> str:
    """Make a bare repository of some files below ``top/mirrors``; returns its commit."""
    work = top / "work" / repository.replace("/", "+")
    commit = work_tree(work, files)
    bare = top / "mirrors" / repository.replace("/", "+") / "repo"
    subprocess.run([*GIT, "clone", "-q", "--bare", str(work), str(bare)], check=True, capture_output=True)
    return commit


def encoded(seconds: float, seed: int, kind: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """An audio file of music."""
    out = io.BytesIO()
    soundfile.write(out, sounds.music(seconds, seed=seed), sounds.RATE_HZ, format=kind, subtype=subtype)
    return out.getvalue()


def listing(file: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """Write a list of files in repositories."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([head, *rows])
    return file
