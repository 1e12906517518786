"""A folder of mixes through several separators, side by side: ``python -m training.research.separate FOLDER``.

The folder is walked as ``stem-provenance score`` walks it. Each file is a mix, but for stems beside a ``mixture`` or
``mix``, as data sets of songs have them. ``--separator SPEC`` may be given several times (see
:func:`training.separators.separator.open_separator`); ``classical`` needs nothing but librosa.
``OUT/<mix>/<separator>/<stem>.flac`` are the outputs, ``OUT/manifest.csv`` lists them in the catalogue's columns, and
``OUT/cues.csv`` and ``OUT/side_by_side.png`` compare their cues.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import soundfile
import typer
from tqdm import tqdm

from provenance import audio, listing
from provenance.audio import SAMPLE_RATE_HZ
from provenance.errors import UnreadableAudio
from training.catalogue.names import kind_of
from training.research import table
from training.separators import classical
from training.separators.errors import SeparatorError
from training.separators.separator import Piece, Separator, open_separator

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Wave = npt.NDArray[np.float32]
COLUMNS = (
    "clip",
    "set",
    "song_id",
    "stem",
    "origin",
    "separator",
    "reference",
    "sample_rate",
    "channels",
    "duration_s",
)


WHOLE = ("mixture", "mix")
"""Names of a file that is a song's mix, whose name is the folder's; stems may lie beside it."""
KINDS = ("vocals", "drums", "bass", "other")


@dataclass(frozen=True)
class Mix:
    """A file to separate.

    Args:
        path: of the file.
        place: of its outputs below the folder for these; no two mixes share it.
        song: its name in the manifest, by which folders of finished outputs are searched too.
    """

    path: Path
    place: Path
    song: str


def list_mixes(folder: Path, out: Path) -> tuple[list[Mix], list[str]]:
    """Return the mixes in a folder and below it, in order, and one line for each sort of file that is passed over.

    Args:
        folder: with audio files at any depth; hidden ones are passed over.
        out: folder for outputs; where it lies in the other, nothing in it is a mix.

    Raises:
        ValueError: no folder, no audio in it, a folder that cannot be listed, or outputs that would lie among mixes.
    """
    if folder.resolve() == out.resolve():
        raise ValueError(f"{out}: found the folder of mixes itself; needed: another folder for the outputs")
    passed: Counter[str] = Counter()
    inside = out.resolve().is_relative_to(folder.resolve())
    files = [Path(file) for file in listing.walk([str(folder)], passed)] if folder.is_dir() else []
    closed = [file for file in files if file.is_dir() and file != folder]
    if closed:
        raise ValueError(f"{closed[0]}: found a folder that cannot be listed; needed: permission to")
    files = [f for f in files if f != folder and not (inside and f.resolve().is_relative_to(out.resolve()))]
    notes = [listing.describe(passed)] if passed and not (inside and out.exists()) else []  # not tables and pictures
    if not files:
        raise ValueError("; ".join([f"{folder}: found no audio", *notes, "needed: a folder of mixes"]))
    with_mix = {file.parent for file in files if file.stem.lower() in WHOLE}
    is_stem = {file: file.parent in with_mix and kind_of(file.stem) in KINDS for file in files}
    mixes, stems = [f for f in files if not is_stem[f]], [f for f in files if is_stem[f]]
    if stems:
        notes.append(f"{listing.count_files(len(stems))} beside a mix passed over, as stems of it, such as {stems[0]}")
    names = Counter(file.with_suffix("") for file in mixes)
    return [_mix(file, folder, names[file.with_suffix("")] > 1) for file in mixes], notes


def _mix(file: Path, folder: Path, shared: bool) -> Mix:
    """A mix; its place has the file's ending where another file differs in that alone."""
    place = file.relative_to(folder)
    whole = file.stem.lower() in WHOLE and len(place.parts) > 1
    return Mix(file, place if shared else place.with_suffix(""), file.parent.name if whole else file.stem)


def open_all(specs: Sequence[str]) -> list[Separator]:
    """Open separators by their descriptions.

    Args:
        specs: ``classical``, or as :func:`training.separators.separator.open_separator` takes them.

    Raises:
        SeparatorError: one of them cannot be opened.
    """
    return [_classical() if spec == "classical" else open_separator(spec) for spec in specs]


def separate(folder: Path, separators: Sequence[Separator], out: Path, max_s: float = 60.0) -> pd.DataFrame:
    """Separate every mix of a folder with every separator, and measure the cues of what comes out.

    Outputs that are there already, of the same separator, mix and length, are not made again.

    Args:
        folder: with mixes at any depth, as :func:`list_mixes` finds them; what it passes over is told on stderr.
        separators: opened ones.
        out: folder for outputs, manifest and cues.
        max_s: seconds of each mix, at most.

    Returns:
        One row an output: ``clip``, ``song`` (the mix below the folder), ``stem``, ``separator`` and every cue.

    Raises:
        UnreadableAudio: a mix cannot be read.
        ValueError: as for :func:`list_mixes`, or two separators have one name.
    """
    if twice := [name for name, n in Counter(separator.name for separator in separators).items() if n > 1]:
        raise ValueError(f"found several separators named {twice[0]!r}; needed: names that differ, KIND[NAME]:...")
    mixes, notes = list_mixes(folder, out)
    for note in notes:
        print(note, file=sys.stderr)
    rows, listed = [], []
    for mix, separator in tqdm([(m, s) for m in mixes for s in separators], unit="separation"):
        where = out / mix.place / re.sub(r"[^\w.+-]+", "_", separator.name)
        done, facts = where / "done", mix.path.stat()
        made_of = json.dumps([separator.identity, max_s, facts.st_size, facts.st_mtime_ns])
        if not done.is_file() or done.read_text(encoding="utf-8") != made_of:
            shutil.rmtree(where, ignore_errors=True)
            where.mkdir(parents=True)
            for stem, wave in separator.run(Piece(_read(mix.path, max_s), mix.song)).items():
                quiet = wave / max(1.0, float(np.abs(wave).max()) * 1.01)
                soundfile.write(where / f"{stem}.flac", quiet, SAMPLE_RATE_HZ, subtype="PCM_16")
            done.write_text(made_of, encoding="utf-8")
        for file in sorted(where.glob("*.flac")):
            clip = file.relative_to(out).as_posix()
            about = soundfile.info(file)
            listed.append(
                dict(
                    zip(
                        COLUMNS,
                        (clip, "side_by_side", mix.song, file.stem, "separated", separator.name, "", about.samplerate,
                         about.channels, round(about.duration, 3)),
                        strict=True,
                    )
                )
            )  # fmt: skip
            cues = table.read(file)
            if cues is not None:
                rows.append(
                    {"clip": clip, "song": mix.place.as_posix(), "stem": file.stem, "separator": separator.name, **cues}
                )
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(listed)
    found = pd.DataFrame(rows)
    found.to_csv(out / "cues.csv", index=False)
    return found


def draw(found: pd.DataFrame, out: Path) -> None:
    """Plot each cue of every separator side by side: the median over its outputs, scaled over all outputs.

    Args:
        found: from :func:`separate`.
        out: PNG file.
    """
    values = found.groupby("separator")[list(table.CUES)].median()
    low, high = found[list(table.CUES)].min(), found[list(table.CUES)].max()
    scaled = (values - low) / (high - low).replace(0, np.nan)
    figure, axes = plt.subplots(figsize=(0.42 * len(table.CUES) + 3, 0.4 * len(scaled) + 2.6), layout="constrained")
    image = axes.imshow(scaled, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(table.CUES)), [c.replace("_", " ") for c in table.CUES], rotation=90, fontsize=8)
    axes.set_yticks(range(len(scaled)), list(scaled.index), fontsize=8)
    figure.colorbar(image, ax=axes, label="low to high among these outputs")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _classical() -> Separator:
    def run(piece: Piece) -> dict[str, Wave]:
        return {stem: classical.separate(piece.mix, stem) for stem in classical.STEMS}

    return Separator("repet-hpss", "librosa nn_filter and hpss", run)


def _read(mix: Path, max_s: float) -> Wave:
    blocks_of: list[Wave] = []
    n, most = 0, int(max_s * SAMPLE_RATE_HZ)
    with audio.open_audio(mix) as (_, blocks):
        for block in blocks:
            blocks_of.append(block)
            n += len(block)
            if n >= most:
                break
    wave = np.concatenate(blocks_of)[:most]
    return wave if wave.shape[1] == 2 else np.repeat(wave, 2, axis=1)


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of mixes, at any depth.")],
    out: Annotated[Path, typer.Option(help="Folder for outputs, manifest, cues and plot.")],
    separator: Annotated[
        list[str], typer.Option(help="classical, demucs:MODEL, net:FOLDER, command[NAME]:TEMPLATE, ...")
    ],
    max_s: Annotated[float, typer.Option(help="Seconds of each mix, at most.")] = 60.0,
) -> None:
    """Separate a folder with several separators side by side and compare their cues."""
    try:
        found = separate(folder, open_all(separator), out, max_s)
    except (SeparatorError, UnreadableAudio, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    except soundfile.LibsndfileError as error:
        print(f"{out}: found no place for an output ({error}); needed: room on the disk", file=sys.stderr)
        raise typer.Exit(2) from None
    if len(found):
        draw(found, out / "side_by_side.png")
    print("\n".join(str(out / name) for name in ("manifest.csv", "cues.csv", "side_by_side.png")))


if __name__ == "__main__":
    typer.run(main)
