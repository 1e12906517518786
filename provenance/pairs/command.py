"""The command ``stem-provenance pairs``."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from provenance import flat
from provenance.errors import ModelError, UnreadableAudio
from provenance.options import ReportFormat
from provenance.pairs.compare import Pair, compare
from provenance.scorer import Scorer
from provenance.table import console_of


def command(
    first: Annotated[str, typer.Argument(help="An audio file, such as the dry one.")],
    second: Annotated[str, typer.Argument(help="Another, such as the wet one.")],
    output: Annotated[ReportFormat, typer.Option("--format", help="table or json.")] = ReportFormat.table,
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
    signals_only: Annotated[bool, typer.Option(help="Go by the signals alone, without a model.")] = False,
) -> None:
    """Tell whether two files hold the same performance, how far apart, and which is the dry one.

    A minute of each is compared, from where it begins to sound. Origin and
    p_separated are the model's verdict on that minute of each file by itself;
    of a longer file `score` judges the whole.
    """
    try:
        found = compare(first, second, None if signals_only else Scorer(model))
    except (UnreadableAudio, ModelError) as error:
        print(flat.printable(str(error)), file=sys.stderr)
        raise typer.Exit(2) from None
    if output is ReportFormat.json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        _print(found)


def _print(found: Pair) -> None:
    console = console_of(width=None if sys.stdout.isatty() else 120, highlight=False)
    table = Table(show_header=False, box=None)
    table.add_row("same performance", found.same_performance)
    if found.offset_samples is not None:
        table.add_row("offset", f"{found.offset_samples:+d} samples ({found.offset_s:+.5f} s)"
                      + (", polarity inverted" if found.inverted else ""))  # fmt: skip
        table.add_row("second may be the first through a chain", found.chain)
        table.add_row("a fixed filter explains", f"{found.second_from_first:.0%} of the second, "
                      f"{found.first_from_second:.0%} of the first")  # fmt: skip
        names = {"first": found.first.path, "second": found.second.path}
        table.add_row("dry", Text(flat.printable(names.get(found.dry, found.dry))))
    for side in (found.first, found.second):
        if side.origin is not None:
            p = "not judged" if side.p_separated is None else f"p_separated {flat.probability(side.p_separated)}"
            table.add_row(Text(flat.printable(side.path)), f"{side.origin}, {p}")
    for text in found.why:
        table.add_row("", text)
    console.print(table)
