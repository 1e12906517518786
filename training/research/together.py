"""All files gathered after the model was fixed, taken together: ``python -m training.research.together MIRRORS``.

One list (:mod:`training.research.external`) is too short to tell how often a probability is right. The lists together
are long enough: whether what is said at 80 % is extracted four times in five, on repositories that nothing was learnt
from.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from sklearn.metrics import roc_auc_score

import provenance
from provenance.errors import ModelError
from provenance.evidence.conclude import measured_on, ranges
from training import calibrate as fitting
from training import evaluate, families
from training.options import told
from training.research import external

MIN_OUTPUTS = 5
"""Families of fewer outputs are counted together."""
_PAGE = """# All files gathered after the model was fixed

Made by `python -m training.research.together MIRRORS` with `{model}`, of the files of
{lists}: nothing of these repositories is among
what it was trained or calibrated on. Files are as they could be found, many from one repository: intervals resample
repositories. What could not be judged is left out.

| list | recordings | called separated | called studio | outputs | called separated | called studio | AUC |
|---|---:|---:|---:|---:|---:|---:|---:|
{lines}

95 % intervals of all together: recordings called separated {accused}, outputs called separated {caught}, area under the
curve {auc}.

## Is a probability right?

Files by the probability of extraction that their verdict states, and how many of them were extracted; recordings and
outputs weigh alike, as the calibration has it. Expected calibration error {ece:.3f} (95 % interval {ece_interval}).

| stated | files | mean of what is stated | extracted |
|---|---:|---:|---:|
{bins}

## By family of separators

Other outputs of most families were learnt from, from other repositories.

| family | outputs | called separated | undecided | called studio |
|---|---:|---:|---:|---:|
{families}

## Do the ranges of the cues hold?

The ranges beside the values of a verdict's cues hold nine of ten of the {n_studio} true stems and {n_separated}
extractions that they were measured on (`provenance/evidence/ranges.json`). Of these files, where the cue could be
measured, they hold:

| cue | recordings within theirs | outputs within theirs |
|---|---:|---:|
{cues}
"""


def page(found: pd.DataFrame, model: str) -> str:
    """Return the page.

    Args:
        found: rows of :func:`training.research.external.judge` with a column ``list``, of both origins.
        model: name and checksum.
    """
    judged = found[found["p_separated"].notna()].assign(unit=lambda rows: rows["repository"])
    separated = judged["origin"] == "separated"
    parts = [(name, part) for name, part in judged.groupby("list", sort=False)]
    bins = fitting.reliability(judged["p_separated"], separated)
    stated = [int(p) for p in np.unique(np.minimum((judged["p_separated"] * 10).astype(int), 9))]
    return _PAGE.format(
        model=model,
        lists=", ".join(f"`{name}`" for name, _ in parts),
        lines="\n".join(_line(name, part) for name, part in [*parts, ("all together", judged)]),
        accused=_interval(judged, lambda part: _share(part, "studio")),
        caught=_interval(judged, lambda part: _share(part, "separated")),
        auc=_interval(judged, _auc, "{:.3f}"),
        ece=_ece(judged),
        ece_interval=_interval(judged, _ece, "{:.3f}"),
        bins="\n".join(
            f"| {k / 10:.1f} to {(k + 1) / 10:.1f} | {row['n']} | {row['mean_p']:.2f} | {row['share_separated']:.2f} |"
            for k, row in zip(stated, bins, strict=True)
        ),
        families="\n".join(_families(judged[separated])),
        n_studio=measured_on()["studio"],
        n_separated=measured_on()["separated"],
        cues="\n".join(_within(judged)),
    )


def _line(name: str, part: pd.DataFrame) -> str:
    cells = [name]
    for origin in ("studio", "separated"):
        own = part[part["origin"] == origin]
        cells += [str(len(own)), *(str(int((own["called"] == called).sum())) for called in ("separated", "studio"))]
    area = _auc(part)
    return f"| {' | '.join([*cells, '' if area is None else f'{area:.3f}'])} |"


def _families(outputs: pd.DataFrame) -> list[str]:
    family = outputs["separator"].map(lambda name: families.family_of(name).name)
    small = family.map(family.value_counts()) < MIN_OUTPUTS
    family = family.where(~small, "others")
    lines = []
    for name, own in sorted(outputs.groupby(family), key=lambda pair: (pair[0] == "others", -len(pair[1]), pair[0])):
        counts = [int((own["called"] == called).sum()) for called in ("separated", "undecided", "studio")]
        lines.append(f"| {name} | {len(own)} | {' | '.join(map(str, counts))} |")
    return lines


def _within(judged: pd.DataFrame) -> list[str]:
    """Lines of the share of files of either origin whose cue lies within the range of their kind, fewest first."""
    lines = []
    for name, known in ranges().items():
        shares = []
        for origin, (low, high) in (("studio", known.studio), ("separated", known.separated)):
            values = np.array([cues[name] for cues in judged["cues"][judged["origin"] == origin] if name in cues])
            shares.append(float(((values >= low) & (values <= high)).mean()) if len(values) else float("nan"))
        lines.append((shares, f"| `{name}` | {' | '.join(f'{share:.0%}' for share in shares)} |"))
    return [line for shares, line in sorted(lines, key=lambda pair: (np.nanmin([*pair[0], 2.0]), pair[1]))]


def _share(part: pd.DataFrame, origin: str) -> float | None:
    own = part[part["origin"] == origin]
    return float((own["called"] == "separated").mean()) if len(own) else None


def _auc(part: pd.DataFrame) -> float | None:
    separated = part["origin"] == "separated"
    return float(roc_auc_score(separated, part["p_separated"])) if separated.nunique() == 2 else None


def _ece(part: pd.DataFrame) -> float:
    return fitting.ece(part["p_separated"], part["origin"] == "separated")


def _interval(judged: pd.DataFrame, statistic: Callable[[pd.DataFrame], float | None], form: str = "{:.1%}") -> str:
    found = evaluate.interval(judged, statistic, seed=0)
    return "not measurable" if found is None else " to ".join(form.format(value) for value in found)


def main(
    folder: Annotated[
        Path, typer.Argument(metavar="MIRRORS", help="Folder of bare git directories, OWNER+NAME/... each.")
    ],
    out: Annotated[Path | None, typer.Option(help="Page to write; stdout without it.")] = None,
    listed: Annotated[list[Path], typer.Option("--list", help="CSV files of what to judge.")] = [*external.LISTS],  # noqa: B006
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
) -> None:
    """Judge the files of several lists as one."""
    with told(ModelError, ValueError):
        scorer = provenance.load(model)
        parts = {file.name: external.judge(external.read_list(file), folder, scorer) for file in listed}
    found = pd.concat([part.assign(list=name) for name, part in parts.items() if len(part)] or [pd.DataFrame()])
    if found.empty or found.dropna(subset="p_separated")["origin"].nunique() < 2:
        typer.echo(f"{folder}: found no files of both origins that can be judged; needed: the listed mirrors", err=True)
        raise typer.Exit(2)
    external.give(page(found, scorer.bundle.reference), out)


if __name__ == "__main__":
    typer.run(main)
