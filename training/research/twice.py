"""Which clips can be heard in two folds? ``python -m training.research.twice MANIFEST... --out FILE.csv``.

Lists out of many repositories hold the same song under other names. Where its sound lies in two folds a model judges
what it learnt from: ``training.fit`` and ``training.evaluate`` leave the clips of FILE unjudged (``--unjudged FILE``).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from provenance import audio
from provenance.errors import UnreadableAudio
from training import catalogue, config, splits
from training.catalogue import Clip, fingerprint
from training.evaluate import CONFIG_FILE
from training.options import N_WORKERS, Flags, Manifests, Workers, told

COLUMNS = ("clip", "flag", "heard_in")
FLAG = "heard_twice"
_LONGEST_S = 30.0


@told()
def main(
    manifest: Manifests,
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    flags: Flags = [],  # noqa: B006
    config_file: Annotated[
        Path, typer.Option("--config", help="TOML file that says how folds are dealt.")
    ] = CONFIG_FILE,
    workers: Workers = N_WORKERS,
) -> None:
    """Name the clips whose sound lies in another fold, too."""
    out.parent.mkdir(parents=True, exist_ok=True)
    clips, _ = catalogue.load(manifest, flags)
    with ProcessPoolExecutor(workers) as pool:
        made = pool.map(_print_of, (clip.path for clip in clips), chunksize=16)
        prints = list(tqdm(made, total=len(clips), desc="fingerprints", unit="clip"))
    settings = config.load(config_file, "", "", "")
    unit_fold, _ = splits.deal(manifest, settings.n_folds, settings.seed)
    found = twice(clips, prints, unit_fold)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((name, FLAG, other) for name, other in sorted(found.items()))
    typer.echo(f"{len(found)} of {len(clips)} clips are heard in two folds", err=True)


def twice(
    clips: Sequence[Clip], prints: Sequence[fingerprint.Print | None], unit_fold: Mapping[str, int]
) -> dict[str, str]:
    """Return the clips whose sound lies in another fold, each with one in which it does.

    Args:
        clips: a catalogue.
        prints: the fingerprint of each; None where it cannot be read.
        unit_fold: fold of each unit.
    """
    named = {str(k): one for k, one in enumerate(prints) if one is not None}
    found: dict[str, str] = {}
    for first, second in fingerprint.pairs(named):
        a, b = clips[int(first)], clips[int(second)]
        if unit_fold[splits.unit_of(a)] != unit_fold[splits.unit_of(b)]:
            found.setdefault(a.name, b.name)
            found.setdefault(b.name, a.name)
    return found


def _print_of(path: Path) -> fingerprint.Print | None:
    try:
        return fingerprint.compute(audio.read(path, max_s=_LONGEST_S)[1])
    except UnreadableAudio:
        return None


if __name__ == "__main__":
    typer.run(main)
