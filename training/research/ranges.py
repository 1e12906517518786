"""Reference ranges of every cue from a corpus: ``python -m training.research.ranges MANIFEST... --out FILE``.

The package carries such a file, ``provenance/evidence/ranges.json``, so that the ranges in a verdict come from clips
and not from taste. It is written over only where ``--out`` names it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from training.options import told
from training.research import table

PERCENTILES = {"": (5, 95), "_middle": (25, 75)}


def ranges(cues: pd.DataFrame) -> dict[str, Any]:
    """Return the 5th to 95th and the 25th to 75th percentile of each cue over true and over separated stems.

    Args:
        cues: from :func:`training.research.table.build`.
    """
    found: dict[str, Any] = {}
    for name in table.CUES:
        found[name] = {}
        for origin in ("studio", "separated"):
            values = cues.loc[cues["origin"] == origin, name].dropna()
            for suffix, wanted in PERCENTILES.items() if len(values) else ():
                found[name][origin + suffix] = [float(f"{v:.4g}") for v in np.percentile(values, wanted)]
    counts = cues["origin"].value_counts()
    return {
        "percentiles": {"studio, separated": [5, 95], "studio_middle, separated_middle": [25, 75]},
        "clips": {"studio": int(counts.get("studio", 0)), "separated": int(counts.get("separated", 0))},
        "cues": {name: both for name, both in found.items() if len(both) == 2 * len(PERCENTILES)},
    }


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Write the reference ranges of the cues."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(ranges(table.build(manifest, workers)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
