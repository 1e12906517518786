"""The table of verdicts: for a terminal, wide or narrow, and flat for CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from provenance import flat
from provenance.errors import UnreadableAudio
from provenance.verdict import Verdict

WIDE = 120
"""Columns from which intervals, confidence and reasons have room beside the rest."""
COLUMNS = tuple(flat.name_columns(flat.WORDS))
"""Of CSV."""
_PIPED_WIDTH = 160
_NARROW = ("origin", "p_sep", "SDR", "processing")
_STYLES = {"studio": "green", "separated": "red", "undecided": "yellow", "error": "bold red"}


def console_of(**settings: Any) -> Console:
    """Return a console that prints paths as they are: rich makes an emoji of ``:a:``.

    Args:
        settings: of :class:`rich.console.Console`.
    """
    return Console(emoji=False, **settings)


@dataclass(frozen=True)
class Row:
    """One input and what came of it.

    Args:
        path: as given or found in a folder.
        verdict: what it is, or None.
        error: why it could not be read, or None.
    """

    path: str
    verdict: Verdict | None
    error: UnreadableAudio | None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as it is printed in JSON."""
        if self.verdict is not None:
            return {"path": self.path, **self.verdict.to_dict()}
        error = self.error
        found = {"code": "unknown", "found": "", "needed": "", "message": ""}
        if error is not None:
            found = {"code": error.code, "found": error.found, "needed": error.needed, "message": str(error)}
        return {"path": self.path, "status": "error", "error": found}

    def to_columns(self) -> dict[str, Any]:
        """Return the row as it is printed in CSV: :data:`COLUMNS`, those that say nothing left out."""
        found = flat.of_error(self.error) if self.error is not None else {}
        if self.verdict is not None:
            found = flat.of_verdict(self.verdict)
        columns = flat.spread({"path": self.path, **found})
        return {name: flat.to_utf8(value) if isinstance(value, str) else value for name, value in columns.items()}


def show(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print verdicts as a table that fits its terminal, and how many there are of each.

    Args:
        rows: in the order of the lines.
        console: where to; None is stdout, which counts as wide when it is no terminal.
    """
    if console is None:
        console = console_of()
        if not console.is_terminal:
            console = console_of(width=max(_PIPED_WIDTH, console.width))
    wide = console.width >= WIDE
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold", min_width=12)
    names = ("origin", "confidence", "p_separated", "SDR ceiling", "processing") if wide else _NARROW
    for name in names:
        table.add_column(name, no_wrap=True, justify="right" if name[0] in "cp" and name != "processing" else "left")
    if wide:
        table.add_column("reasons", overflow="fold")
    for row in rows:
        table.add_row(*_cells(row, wide))
    console.print(table)
    if len(rows) > 1:
        counts = Counter(row.verdict.origin if row.verdict else "error" for row in rows)
        counted = {name: "errors" if name == "error" and n > 1 else name for name, n in counts.items()}
        parts = [Text(f"{counts[name]} {counted[name]}", style) for name, style in _STYLES.items() if counts[name]]
        console.print(Text.assemble(f"\n{len(rows)} files: ", Text(", ").join(parts)))


def _cells(row: Row, wide: bool) -> list[Text]:
    verdict, path = row.verdict, flat.printable(row.path)
    if verdict is None:
        found = row.error.found if row.error else ""
        cells = [Text(path), Text("error", _STYLES["error"]), Text(), Text(), Text(), Text()]
        return _with_notes(cells, found, wide)
    sdr = verdict.sdr_ceiling_db
    ceiling = ""
    if sdr is not None:
        ceiling = f"{sdr.estimate:.1f} dB" + (f" ({sdr.low:.1f} to {sdr.high:.1f})" if wide else "")
    cells = [
        Text(path),
        Text(verdict.origin, _STYLES[verdict.origin]),
        Text(flat.probability(verdict.confidence)),
        Text(flat.probability(verdict.p_separated)),
        Text(ceiling),
        Text(verdict.processing),
    ]
    return _with_notes(cells, ", ".join(r for r in verdict.reasons if r != "not_in_this_model"), wide)


def _with_notes(cells: list[Text], notes: str, wide: bool) -> list[Text]:
    """Reasons in a column of their own, or under the file's name where there is no room for one."""
    if wide:
        return [*cells, Text(notes, "dim")]
    if notes:
        cells[0].append(f"\n  {notes}", "dim")
    return cells[:2] + cells[3:]
