"""Clips and separators in two dimensions: ``python -m training.research.embedding MANIFEST... --out DIR``.

Cues are ranked, whitened and projected onto the two directions that part separator families (and true stems) most.
Writes ``embedding.csv`` and ``embedding.png``; nearby families leave alike traces.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer

from training.options import told
from training.research import table

matplotlib.use("Agg")
from matplotlib import pyplot as plt

LEAST_CLIPS = 4
TRUE = "true stems"


def embed(cues: pd.DataFrame) -> pd.DataFrame:
    """Return clips with the columns ``x``, ``y`` and ``group`` (the family, or true stems).

    Families with fewer than four clips are left out.

    Args:
        cues: from :func:`training.research.table.build`.

    Raises:
        ValueError: fewer than three groups: there is no plane to draw.
    """
    kept = _grouped(cues)
    if kept["group"].nunique() < 3:
        raise ValueError(f"found {kept['group'].nunique()} groups with {LEAST_CLIPS} clips; needed: at least 3")
    places = _projection(len(kept)).fit(_values(kept), kept["group"]).transform(_values(kept))
    return kept.assign(x=places[:, 0], y=places[:, 1])


def nearest(cues: pd.DataFrame) -> dict[str, float]:
    """Return how often a clip's family is told by its cues, songs and repositories held out, beside chance.

    Args:
        cues: from :func:`training.research.table.build`.
    """
    kept = _grouped(cues)
    kept = kept[kept["group"] != TRUE]
    kept = kept.groupby("group").filter(lambda part: part["unit"].nunique() >= 2)
    if kept["group"].nunique() < 2:
        return {"accuracy": float("nan"), "largest_family": float("nan"), "n": float(len(kept))}
    folds = GroupKFold(min(5, kept["unit"].nunique()))
    told = cross_val_predict(_projection(len(kept)), _values(kept), kept["group"], groups=kept["unit"], cv=folds)
    largest = kept["group"].value_counts(normalize=True).max()
    return {
        "accuracy": round(float((told == kept["group"]).mean()), 3),
        "largest_family": round(float(largest), 3),
        "n": float(len(kept)),
    }


def draw(places: pd.DataFrame, out: Path) -> None:
    """Plot clips as dots and each group's median with its name.

    Args:
        places: from :func:`embed`.
        out: PNG file.
    """
    figure, axes = plt.subplots(figsize=(9, 7), layout="constrained")
    colours = plt.get_cmap("tab20")
    for i, (group, part) in enumerate(places.groupby("group")):
        colour = "0.6" if group == TRUE else colours(i % 20)
        axes.scatter(part["x"], part["y"], s=10, color=colour, alpha=0.5)
        axes.annotate(str(group), (part["x"].median(), part["y"].median()), fontsize=9, weight="bold", color=colour)
    axes.set(xlabel="first direction", ylabel="second direction", title="separator families by their cues")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _grouped(cues: pd.DataFrame) -> pd.DataFrame:
    group = cues["family"].where(cues["origin"] == "separated", TRUE)
    known = cues.assign(group=group)
    counts = known["group"].value_counts()
    return known[known["group"].isin(counts[counts >= LEAST_CLIPS].index)].reset_index(drop=True)


def _values(cues: pd.DataFrame) -> npt.NDArray[np.float64]:
    return cues[list(table.CUES)].astype(float).to_numpy()


def _projection(n: int) -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        QuantileTransformer(n_quantiles=min(100, n), output_distribution="normal"),
        LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3),
    )


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and the plot.")],
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Write the two-dimensional picture of separators, and print how well cues tell families apart."""
    out.mkdir(parents=True, exist_ok=True)
    cues = table.build(manifest, workers)
    try:
        places = embed(cues)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="MANIFEST") from None
    columns = ["clip", "stem", "group", "separator", "sdr_db", "x", "y"]
    places[columns].to_csv(out / "embedding.csv", index=False)
    draw(places, out / "embedding.png")
    print(json.dumps({"groups": int(places["group"].nunique()), "family_from_cues": nearest(cues)}, indent=2))


if __name__ == "__main__":
    typer.run(main)
