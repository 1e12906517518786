"""How artefacts differ by cue, stem, separator and SDR.

``python -m training.research.artefacts MANIFEST... --out DIR``

Writes ``cues.csv`` (one row a clip), ``by_family.csv`` and ``by_stem.csv`` (how far each moves each cue, as the share
of pairs in which the separated clip reads higher), ``by_sdr.csv`` (rank correlation with SDR), and their plots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import librosa
import librosa.display
import matplotlib
import numpy as np
import pandas as pd
import typer
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from provenance import audio
from training.options import told
from training.research import table

matplotlib.use("Agg")
from matplotlib import pyplot as plt

LEAST_CLIPS = 4
STEMS = ("vocals", "drums", "bass", "other")


def compare(cues: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return, for each value of a column and each cue, the AUC of its separated clips against true stems.

    True stems are those of the same stem where there are enough, else all. 0.5 says no difference, 1 that separated
    clips always read higher, 0 always lower.

    Args:
        cues: from :func:`training.research.table.build`.
        by: ``family``, ``separator``, ``stem`` or another column of it.
    """
    true = cues[cues["origin"] == "studio"]
    rows = []
    for value, part in cues[cues["origin"] == "separated"].groupby(by):
        if len(part) < LEAST_CLIPS:
            continue
        like = true[true["stem"].isin(part["stem"].unique())]
        against = like if len(like) >= LEAST_CLIPS else true
        row: dict[str, object] = {by: value, "n": len(part)}
        for name in table.CUES:
            a, b = part[name].dropna(), against[name].dropna()
            if len(a) >= LEAST_CLIPS and len(b) >= LEAST_CLIPS:
                label = np.r_[np.ones(len(a)), np.zeros(len(b))]
                row[name] = round(float(roc_auc_score(label, np.r_[a, b])), 3)
        rows.append(row)
    return pd.DataFrame(rows)


def against_sdr(cues: pd.DataFrame) -> pd.DataFrame:
    """Return the rank correlation of each cue with the measured SDR of extractions, over all and by stem.

    Args:
        cues: from :func:`training.research.table.build`.
    """
    known = cues[(cues["origin"] == "separated") & cues["sdr_db"].notna()]
    rows = []
    for name in table.CUES:
        row: dict[str, object] = {"cue": name}
        for stem, part in [("all", known), *known.groupby("stem")]:
            both = part[[name, "sdr_db"]].astype(float).dropna()
            if len(both) >= 2 * LEAST_CLIPS and both[name].nunique() > 1:
                row[str(stem)] = round(float(spearmanr(both[name], both["sdr_db"]).statistic), 3)
        rows.append(row)
    return pd.DataFrame(rows)


def draw_table(found: pd.DataFrame, by: str, out: Path) -> None:
    """Draw a comparison as a picture: rows are values, columns are cues.

    Args:
        found: from :func:`compare`.
        by: the same column.
        out: PNG file.
    """
    values = found.set_index(by).drop(columns="n").reindex(columns=list(table.CUES)).astype(float)
    figure, axes = plt.subplots(figsize=(0.42 * len(table.CUES) + 3, 0.34 * len(values) + 2.6), layout="constrained")
    image = axes.imshow(values, cmap="RdBu_r", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(table.CUES)), [c.replace("_", " ") for c in table.CUES], rotation=90, fontsize=8)
    axes.set_yticks(range(len(values)), [f"{v} ({n})" for v, n in zip(found[by], found["n"], strict=True)], fontsize=8)
    figure.colorbar(image, ax=axes, label="share of pairs in which the separated clip reads higher")
    axes.set_title(f"cues of separated clips against true stems, by {by}")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def draw_sdr(cues: pd.DataFrame, out: Path, n: int = 6) -> None:
    """Plot the cues that follow SDR most, by stem.

    Args:
        cues: from :func:`training.research.table.build`.
        out: PNG file.
        n: how many cues.
    """
    ranked = against_sdr(cues)
    if "all" not in ranked:
        return
    names = ranked.assign(size=ranked["all"].abs()).nlargest(n, "size")["cue"]
    known = cues[(cues["origin"] == "separated") & cues["sdr_db"].notna()]
    figure, grid = plt.subplots(2, (n + 1) // 2, figsize=(4 * ((n + 1) // 2), 7), layout="constrained", squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        for stem, part in known.groupby("stem"):
            axes.scatter(part["sdr_db"], part[name], s=12, alpha=0.6, label=stem)
        axes.set(xlabel="SDR in dB", ylabel=name.replace("_", " "))
    grid.flat[0].legend(fontsize=8)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def draw_clip(path: Path, out: Path, title: str = "") -> None:
    """Draw a clip's log spectrogram and what is left of it without its local mean over frequency.

    Args:
        path: an audio file.
        out: PNG file.
        title: of the picture.
    """
    with audio.open_audio(path) as (_, blocks):
        wave = np.concatenate(list(blocks)).mean(axis=1)
    level = librosa.amplitude_to_db(np.abs(librosa.stft(wave, n_fft=2048, hop_length=512)), ref=np.max, top_db=100)
    kernel = np.ones(21) / 21
    flat = level - np.apply_along_axis(lambda column: np.convolve(column, kernel, "same"), 0, level)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 7), sharex=True, layout="constrained")
    for axes, values, limits in ((top, level, (-100, 0)), (bottom, flat, (-25, 25))):
        shown = librosa.display.specshow(
            values, sr=44_100, hop_length=512, x_axis="time", y_axis="linear", ax=axes, vmin=limits[0], vmax=limits[1],
            cmap="magma" if limits[1] == 0 else "RdBu_r",
        )  # fmt: skip
        figure.colorbar(shown, ax=axes, format="%+d dB")
    top.set_title(title or path.name)
    figure.savefig(out, dpi=90)
    plt.close(figure)


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    out: Annotated[Path, typer.Option(help="Folder for tables and plots.")],
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Write tables and plots of how separators' artefacts differ."""
    out.mkdir(parents=True, exist_ok=True)
    cues = table.build(manifest, workers)
    cues.to_csv(out / "cues.csv", index=False)
    for by in ("family", "stem"):
        found = compare(cues, by)
        found.to_csv(out / f"by_{by}.csv", index=False)
        if len(found):
            draw_table(found, by, out / f"by_{by}.png")
    against_sdr(cues).to_csv(out / "by_sdr.csv", index=False)
    draw_sdr(cues, out / "by_sdr.png")
    print("\n".join(sorted(str(f) for f in out.iterdir())))


if __name__ == "__main__":
    typer.run(main)
