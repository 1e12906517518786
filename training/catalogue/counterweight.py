"""Code a share of the extractions as only true stems were: ``python -m training.catalogue.counterweight LIST...``.

Who gathers stems finds the true ones in games and mixers, as Vorbis and AAC, and the extractions on demo pages, as WAV:
then the coding alone tells them apart, and a model may learn it. This command writes a column ``coded`` into lists, by
a lot of each clip's name; :mod:`training.catalogue.collect` codes those clips after it has cut them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from training.catalogue.clips import CatalogueError, lot, read_rows, write_rows
from training.catalogue.collect import CODED, NEEDED

KINDS = ("vorbis",) * 7 + ("aac",)
"""True stems of the lists are so many times as often Vorbis as AAC."""
RATES_KBPS = (96, 128, 160, 192, 224, 256)
LOSSLESS = ("PCM", "FLOAT")


def coding_of(row: Mapping[str, str], share: float) -> str:
    """Return how a clip is to be coded, such as ``vorbis@160``; nothing for most.

    Args:
        row: of a list.
        share: of the extractions out of lossless files that are coded.
    """
    lossless = any(word in (row.get("source_codec") or "") for word in LOSSLESS)
    name = Path(row["clip"]).stem  # folder and ending change when lists are cut
    if row["origin"] != "separated" or not lossless or lot(f"coded/{name}") >= share:
        return ""
    kind = KINDS[int(lot(f"kind/{name}") * len(KINDS))]
    return f"{kind}@{RATES_KBPS[int(lot(f'rate/{name}') * len(RATES_KBPS))]}"


def weigh(file: Path, share: float) -> int:
    """Write the column into a list, by write-then-rename, and return how many clips are to be coded.

    Args:
        file: CSV file with the columns of :data:`training.catalogue.collect.NEEDED`.
        share: as for :func:`coding_of`.

    Raises:
        CatalogueError: no list, or one that cannot be written.
    """
    rows = [row for _, row in read_rows(file, NEEDED)]
    if not rows:
        raise CatalogueError(f"{file}: found no row; needed: a list of clips")
    coded = [row | {CODED: coding_of(row, share)} for row in rows]
    try:
        write_rows(coded, tuple(coded[0]), file)
    except OSError as error:
        raise CatalogueError(f"{file}: cannot be written ({error.strerror}); it is as it was") from error
    return sum(bool(row[CODED]) for row in coded)


def main(
    lists: Annotated[list[Path], typer.Argument(help="CSV files for training.catalogue.collect.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Of the extractions out of lossless files.")] = 0.15,
) -> None:
    """Say in lists which extractions are to be coded; 0 done, 2 a list that is none."""
    for file in lists:
        try:
            n = weigh(file, share)
        except CatalogueError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        typer.echo(f"{file}: {n} clips are to be coded")


if __name__ == "__main__":
    typer.run(main)
