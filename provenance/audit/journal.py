"""The journal of a shard: what was started, what is done, and which lone runs ended in a death.

Every attempt at a shard appends to a file of its own, so that two writers never share one. A file that was started
and is not done in any of them was in flight when something died: it is a suspect, and runs again alone.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO


@dataclass
class State:
    """What the journals of a shard say.

    Args:
        done: rows by position.
        suspects: positions that were in flight at a death.
        deaths: lone runs of a position that ended in one.
    """

    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    suspects: list[int] = field(default_factory=list)
    deaths: dict[int, int] = field(default_factory=dict)


class Journal:
    """Appends to one file; used by the process that scores, and by the driver for deaths.

    Args:
        out: the folder of the audit.
        shard: name of the shard.
    """

    def __init__(self, out: Path, shard: str) -> None:
        folder = out / "journal"
        folder.mkdir(exist_ok=True)
        self.path = folder / f"{shard}.{uuid.uuid4().hex[:12]}.jsonl"
        self._file: TextIO | None = None

    def start(self, position: int) -> None:
        """Say that a file is in flight.

        Args:
            position: in the shard.
        """
        self._write({"start": position})

    def done(self, position: int, row: dict[str, Any]) -> None:
        """Keep a finished row.

        Args:
            position: in the shard.
            row: of the file.
        """
        self._write({"done": position, "row": row})

    def died(self, position: int) -> None:
        """Say that a lone run ended in a death.

        Args:
            position: in the shard.
        """
        self._write({"died": position})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file is None:
            self._file = self.path.open("a", encoding="utf-8")
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def read(out: Path, shard: str) -> State:
    """Return what all journals of a shard say together; a torn last line counts for nothing.

    Args:
        out: the folder of the audit.
        shard: its name.
    """
    state = State()
    started: set[int] = set()
    for path in sorted((out / "journal").glob(f"{shard}.*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "start" in entry:
                started.add(entry["start"])
            elif "done" in entry:
                state.done[entry["done"]] = entry["row"]
            elif "died" in entry:
                state.deaths[entry["died"]] = state.deaths.get(entry["died"], 0) + 1
    state.suspects = sorted(started - state.done.keys())
    return state


def clear(out: Path, shard: str) -> None:
    """Remove the journals of a shard whose part is written.

    Args:
        out: the folder of the audit.
        shard: its name.
    """
    for path in (out / "journal").glob(f"{shard}.*.jsonl"):
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
