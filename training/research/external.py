"""What the shipped model makes of files gathered after it was fixed: ``python -m training.research.external MIRRORS``.

`external.csv` and its sisters beside this file list files of public repositories of
which nothing was trained on, calibrated on or looked at before: outputs of separators, and recordings. MIRRORS is a
folder with a bare git directory of each repository in ``OWNER+NAME/``. Nothing of them is kept.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import soundfile
import typer
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

import provenance
from provenance.errors import ModelError, UnreadableAudio
from training.catalogue import mirrors
from training.catalogue.mirrors import MissingFileError
from training.options import told

LIST = Path(__file__).with_name("external.csv")
LISTS = tuple(LIST.with_name(f"external{which}.csv") for which in ("", "-later", "-fresh", "-latest", "-newest"))
"""Every list; the pages of `docs/` are made from them."""
_PAGE = """# Files gathered after the model was fixed

Made by `python -m training.research.external MIRRORS --list {listed}` with `{model}`: nothing of these
repositories is among what it was trained or calibrated on; relatives of the separators, from other repositories, are.
The list, with commits, is `{listed}`. Files are few, of the recordings {n_voices} are dry voices alone, and all
were taken where they could be found: a check, no benchmark.

- {n_true} recordings from {n_true_repos} repositories, of which {n_judged_true} could be judged: {accused} called
  `separated`{bound}, {cleared} called `studio`, the rest left undecided.
- {n_fake} outputs of separators from {n_fake_repos} repositories: {caught} called `separated`, {missed} called
  `studio`, the rest left undecided.
- Area under the curve of `p_separated` between the two: {auc}; without relatives (**\\***) {auc_new}; beside the
  {n_music} recordings alone that are no dry voices or bear no such label {auc_music}.
- Of the files judged {undecided:.1%} were left undecided; of the others {right:.1%} were right.

| repository | what | files | separated | undecided | studio | not judged | p, median and range |
|---|---|---:|---:|---:|---:|---:|---:|
{lines}

**\\*** the same songs, or the same singer, are among what was trained on, from another repository.
"""


@dataclass(frozen=True)
class Entry:
    """A file of the list.

    Args:
        repository, commit, path: where it lies.
        offset_s, duration_s: the passage to judge; zero duration is all of it.
        origin: ``studio`` or ``separated``.
        separator: its name, or empty.
        stem: what it holds.
        relative: whether its song or singer is among what was trained on, from another repository.
        dry_voice: whether it is a voice alone, recorded dry.
    """

    repository: str
    commit: str
    path: str
    offset_s: float
    duration_s: float
    origin: str
    separator: str
    stem: str
    relative: bool
    dry_voice: bool


COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))


def read_list(file: Path = LIST) -> list[Entry]:
    """Read the list.

    Args:
        file: CSV with the columns COLUMNS.

    Raises:
        ValueError: a column is missing, or an origin is neither of the two.
    """
    with file.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        missing = set(COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{file}: found no column {', '.join(sorted(missing))}")
        rows = list(reader)
    for row in rows:
        if row["origin"] not in ("studio", "separated"):
            raise ValueError(f"{file}: found origin {row['origin']!r} of {row['path']}; needed: studio or separated")
    return [
        Entry(
            row["repository"], row["commit"], row["path"], float(row["offset_s"] or 0), float(row["duration_s"] or 0),
            row["origin"], row["separator"], row["stem"], row["relative"] == "yes",
            row["dry_voice"] == "yes",
        )
        for row in rows
    ]  # fmt: skip


def judge(entries: list[Entry], folder: Path, scorer: provenance.Scorer) -> pd.DataFrame:
    """Score the files.

    Args:
        entries: of the list.
        folder: of mirrors, as :func:`training.catalogue.mirrors.locate` takes it.
        scorer: the model.

    Returns:
        A row for each file: the entry's columns, ``called`` (the origin, or the status where it was not judged),
        ``p_separated`` and the values of its ``cues`` by name; files that cannot be had are named on stderr and left
        out.
    """
    rows = []
    for entry in tqdm(entries, desc="files", disable=not sys.stderr.isatty()):
        try:
            data = mirrors.read(folder, entry.repository, entry.commit, entry.path)
            verdict = scorer.score(_passage(data, entry) if entry.duration_s else data)
        except (MissingFileError, UnreadableAudio, soundfile.LibsndfileError) as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        called = verdict.origin if verdict.status == "ok" else verdict.status
        cues = {cue.cue: cue.value for cue in verdict.evidence or () if cue.value is not None}
        rows.append(vars(entry) | {"called": called, "p_separated": verdict.p_separated, "cues": cues})
    return pd.DataFrame(rows)


def _passage(data: bytes, entry: Entry) -> tuple[npt.NDArray[np.float32], int]:
    """Samples of the passage, (n, channels), and their rate in Hz."""
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    start = int(entry.offset_s * rate_hz)
    return samples[start : start + int(entry.duration_s * rate_hz)], rate_hz


def page(found: pd.DataFrame, model: str, listed: Path = LIST) -> str:
    """Return the page.

    Args:
        found: rows of :func:`judge`, with both origins.
        model: name and checksum.
        listed: file of the list.
    """
    judged = found[found["p_separated"].notna()]
    true, fake = judged[judged["origin"] == "studio"], judged[judged["origin"] == "separated"]
    count = lambda part, call: int((part["called"] == call).sum())  # noqa: E731
    decided = judged[judged["called"] != "undecided"]
    new = fake[~fake["relative"]]
    music = true[~true["dry_voice"]]
    accused = count(true, "separated")
    lines = []
    for (_, repository), part in found.groupby(["origin", "repository"], sort=True):
        p = part["p_separated"].dropna()
        what = ", ".join(sorted({*part["separator"]} - {""})) or "recordings: " + ", ".join(sorted({*part["stem"]}))
        calls = [count(part, call) for call in ("separated", "undecided", "studio")]
        spread = f"{p.median():.2f} ({p.min():.2f} to {p.max():.2f})" if len(p) else ""
        star = " **\\***" if part["relative"].any() else ""
        lines.append(
            f"| {repository}{star} | {what} | {len(part)} | " + " | ".join(map(str, calls))
            + f" | {len(part) - sum(calls)} | {spread} |"
        )  # fmt: skip
    return _PAGE.format(
        model=model,
        listed=f"training/research/{listed.name}" if listed.parent == LIST.parent else listed.name,
        n_voices=len(true) - len(music),
        n_true=int((found["origin"] == "studio").sum()),
        n_true_repos=found[found["origin"] == "studio"]["repository"].nunique(),
        n_judged_true=len(true),
        accused=accused,
        bound=""
        if accused
        else f" (files alone: a rate of {100 * (1 - 0.05 ** (1 / len(true))):.1f} % would show none "
        "in one such check of twenty)",
        cleared=count(true, "studio"),
        n_fake=int((found["origin"] == "separated").sum()),
        n_fake_repos=found[found["origin"] == "separated"]["repository"].nunique(),
        caught=count(fake, "separated"),
        missed=count(fake, "studio"),
        undecided=float((judged["called"] == "undecided").mean()),
        right=float((decided["called"] == decided["origin"]).mean()) if len(decided) else float("nan"),
        auc=_auc(true, fake),
        auc_new=_auc(true[~true["relative"]], new),
        n_music=len(music),
        auc_music=_auc(music, fake),
        lines="\n".join(lines),
    )


def _auc(true: pd.DataFrame, fake: pd.DataFrame) -> str:
    if not (len(true) and len(fake)):
        return "not measurable"
    truth = np.repeat([False, True], [len(true), len(fake)])
    return f"{roc_auc_score(truth, [*true['p_separated'], *fake['p_separated']]):.3f}"


def give(text: str, out: Path | None) -> None:
    """Write a page, or print it.

    Args:
        text: of the page.
        out: file, or None for stdout.
    """
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text, encoding="utf-8")


def main(
    folder: Annotated[
        Path, typer.Argument(metavar="MIRRORS", help="Folder of bare git directories, OWNER+NAME/... each.")
    ],
    out: Annotated[Path | None, typer.Option(help="Page to write; stdout without it.")] = None,
    listed: Annotated[Path, typer.Option("--list", help="CSV file of what to judge.")] = LIST,
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
) -> None:
    """Judge files that were gathered after the model was fixed."""
    with told(ModelError, ValueError):
        scorer = provenance.load(model)
        found = judge(read_list(listed), folder, scorer)
    if found.empty or found.dropna(subset="p_separated")["origin"].nunique() < 2:
        typer.echo(f"{folder}: found no files of both origins that can be judged; needed: the listed mirrors", err=True)
        raise typer.Exit(2)
    give(page(found, scorer.bundle.reference, listed.resolve()), out)


if __name__ == "__main__":
    typer.run(main)
