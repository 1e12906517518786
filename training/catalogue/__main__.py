"""Make one manifest out of data sets: ``python -m training.catalogue SOURCE... --out manifest.csv``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.catalogue import CatalogueError, sources, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Gather sources and write the manifest; 0 done, 1 done with problems under ``--strict``, 2 nothing usable."""
    parser = argparse.ArgumentParser(prog="python -m training.catalogue", description=__doc__)
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help=f"PATH or KIND:PATH[#wetness=...,licence=...,name=...]; KIND one of {', '.join(sources.KINDS)}",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="the manifest, a CSV file")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where anything was left out")
    given = parser.parse_args(arguments)
    try:
        made = table.gather(given.sources, given.out.with_suffix(".seen.jsonl"))
        for line in made.problems:
            print(line, file=sys.stderr)
        if not made.rows:
            print("found no usable stem in any source; nothing was written", file=sys.stderr)
            return 2
        table.write(made, given.out)
    except CatalogueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was read is kept: the same command goes on", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"{error.filename or given.out}: {error.strerror}; what was read is kept, run it again", file=sys.stderr)
        return 2
    stems = Counter(row["stem"] for row in made.rows)
    songs = len({row["song_id"] for row in made.rows})
    print(f"{len(made.rows)} stems of {songs} songs: " + ", ".join(f"{n} {stem}" for stem, n in stems.most_common()))
    return 1 if given.strict and made.problems else 0


if __name__ == "__main__":
    sys.exit(main())
