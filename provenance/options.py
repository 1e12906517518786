"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import typer

ORIGINS = ("separated", "undecided", "studio")


class ReportFormat(StrEnum):
    """How a report is printed."""

    table = "table"
    json = "json"


class RowFormat(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class Windows(StrEnum):
    """How much of a file is looked at."""

    full = "full"
    sparse = "sparse"


def parse_findings(values: Iterable[str], known: Sequence[str]) -> set[str]:
    """Return what ``--fail-on`` names: words set apart by commas, the option given once or more often.

    Args:
        values: as given.
        known: the words there are.

    Raises:
        typer.BadParameter: another word, or a value that holds none, such as a shell's empty variable.

    >>> sorted(parse_findings(["separated, undecided", "studio"], ORIGINS))
    ['separated', 'studio', 'undecided']
    """
    values = list(values)
    if any(not value.strip(" ,") for value in values):
        raise typer.BadParameter(f"found nothing; needed: {', '.join(known)}, or no --fail-on", param_hint="--fail-on")
    wanted = {part.strip() for value in values for part in value.split(",") if part.strip()}
    unknown = sorted(wanted - set(known))
    if unknown:
        raise typer.BadParameter(f"found {', '.join(unknown)}; needed: {', '.join(known)}", param_hint="--fail-on")
    return wanted
