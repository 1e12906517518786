"""A folder of mixes through several separators, side by side: ``python -m training.research.separate FOLDER``.

``--separator SPEC`` may be given several times (see :func:`training.separators.separator.open_separator`);
``classical`` needs nothing but librosa. ``OUT/<mix>/<separator>/<stem>.flac`` are the outputs, ``OUT/manifest.csv``
lists them in the catalogue's columns, and ``OUT/cues.csv`` and ``OUT/side_by_side.png`` compare their cues.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import soundfile
import typer
from tqdm import tqdm

from provenance import audio
from provenance.audio import EXTENSIONS, SAMPLE_RATE_HZ
from provenance.errors import UnreadableAudio
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

    Outputs that are there already are not made again.

    Args:
        folder: with audio files; each is taken for a mix.
        separators: opened ones.
        out: folder for outputs, manifest and cues.
        max_s: seconds of each mix, at most.

    Returns:
        One row an output: ``clip, song, stem, separator`` and every cue.

    Raises:
        UnreadableAudio: a mix cannot be read.
        ValueError: the folder holds no audio.
    """
    mixes = sorted(f for f in folder.iterdir() if f.suffix.lower() in EXTENSIONS) if folder.is_dir() else []
    if not mixes:
        raise ValueError(f"{folder}: found no audio; needed: a folder of mixes")
    rows, listed = [], []
    for mix, separator in tqdm([(m, s) for m in mixes for s in separators], unit="separation"):
        where = out / mix.stem / re.sub(r"[^\w.+-]+", "_", separator.name)
        if not (where / "done").is_file():
            where.mkdir(parents=True, exist_ok=True)
            for stem, wave in separator.run(Piece(_read(mix, max_s), mix.stem)).items():
                quiet = wave / max(1.0, float(np.abs(wave).max()) * 1.01)
                soundfile.write(where / f"{stem}.flac", quiet, SAMPLE_RATE_HZ, subtype="PCM_16")
            (where / "done").touch()
        for file in sorted(where.glob("*.flac")):
            clip = file.relative_to(out).as_posix()
            about = soundfile.info(file)
            listed.append(
                dict(
                    zip(
                        COLUMNS,
                        (clip, "side_by_side", mix.stem, file.stem, "separated", separator.name, "", about.samplerate,
                         about.channels, round(about.duration, 3)),
                        strict=True,
                    )
                )
            )  # fmt: skip
            cues = table.read(file)
            if cues is not None:
                rows.append({"clip": clip, "song": mix.stem, "stem": file.stem, "separator": separator.name, **cues})
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
    folder: Annotated[Path, typer.Argument(help="Folder of mixes.")],
    out: Annotated[Path, typer.Option(help="Folder for outputs, manifest, cues and plot.")],
    separator: Annotated[
        list[str], typer.Option(help="classical, demucs:MODEL, net:FOLDER, command[NAME]:TEMPLATE, ...")
    ],
    max_s: Annotated[float, typer.Option(help="Seconds of each mix, at most.")] = 60.0,
) -> None:
    """Separate a folder with several separators side by side and compare their cues."""
    try:
        found = separate(folder, open_all(separator), out, max_s)
    except (SeparatorError, UnreadableAudio, ValueError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if len(found):
        draw(found, out / "side_by_side.png")
    print("\n".join(str(out / name) for name in ("manifest.csv", "cues.csv", "side_by_side.png")))


if __name__ == "__main__":
    typer.run(main)
