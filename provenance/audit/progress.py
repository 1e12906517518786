"""How far an audit is, told while it runs: a bar on a terminal, a line a minute in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from provenance import listing
from provenance.table import console_of

EVERY_S = 60.0
"""Seconds between two lines in a log."""


@contextmanager
def show(interrupts: list[int]) -> Iterator[Any]:
    """Show a bar with rate and time left on a terminal, elsewhere a line a minute; stop where a Ctrl-C was noted.

    Args:
        interrupts: signals noted so far, added to by their handler.

    Yields:
        What is told a :class:`~provenance.audit.driver.Progress`, often.
    """
    console = console_of(stderr=True)
    with Progress(
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task("scoring", total=None, rate="")
        said = time.monotonic()

        def told(progress: Any) -> None:
            nonlocal said
            if not console.is_terminal and time.monotonic() - said >= EVERY_S:
                said = time.monotonic()
                print(f"scored {progress.n_done:,} of {listing.count_files(progress.n_planned)}", file=sys.stderr)
            speed = bar.tasks[0].speed
            bar.update(task, total=progress.n_planned, completed=progress.n_done,
                       rate="" if speed is None else f"{speed:.1f} files/s")  # fmt: skip
            if interrupts:
                raise KeyboardInterrupt

        yield told
