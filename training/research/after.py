"""What single degradations do to verdicts on files gathered later: ``python -m training.research.after MIRRORS``.

The protocol judges models without a fold on a share of the training clips; here the shipped model judges files of the
external check, of which nothing was trained on, after each of :data:`training.degrade.DEGRADATIONS`, after what
studios stretch and pitch with, what they clean a noisy take with (:mod:`training.research.cleaning`) and what else is
done at a desk (:mod:`training.research.desk`), where these are installed: Rubber Band, SoundTouch, SoX, noisereduce.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import soundfile
import typer
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import provenance
from provenance import audio
from provenance.errors import ModelError, UnreadableAudio
from training.catalogue import mirrors
from training.catalogue.mirrors import MissingFileError
from training.degrade import DEGRADATIONS
from training.options import N_WORKERS, told
from training.research import external
from training.research.cleaning import HISS_DB, cleaners
from training.research.desk import desk
from training.research.external import Entry

Wave = npt.NDArray[np.float32]
LONGEST_S = 12.0
MOST_OF_ONE = 1
"""So many files of one repository: a voice bank is one singer, a folder of layers one ensemble."""
AS_IT_IS = "as it is"
STRETCHERS: dict[str, tuple[str, ...]] = {
    "Rubber Band R2, 5 % longer": ("rubberband", "-q", "-t", "1.05", "{before}", "{after}"),
    "Rubber Band R3, 5 % longer": ("rubberband", "-q", "-3", "-t", "1.05", "{before}", "{after}"),
    "Rubber Band R2, a semitone up": ("rubberband", "-q", "-p", "1", "{before}", "{after}"),
    "Rubber Band R3, three down": ("rubberband", "-q", "-3", "-p", "-3", "{before}", "{after}"),
    "SoundTouch, 5 % longer": ("soundstretch", "{before}", "{after}", "-tempo=-5"),
    "SoundTouch, a semitone up": ("soundstretch", "{before}", "{after}", "-pitch=1"),
    "SoX, 5 % longer": ("sox", "{before}", "{after}", "tempo", "-m", "0.95"),
    "SoX, a semitone up": ("sox", "{before}", "{after}", "pitch", "100"),
}
"""Name to command; each reads one WAV file and writes another."""
_PAGE = """# After one degradation, on files gathered later

Made by `python -m training.research.after MIRRORS --out docs/external-check-after.md` with `{model}`: files of the
[lists outside](external-together.md), {most} of each repository and at most {longest:.0f} s of each, after one
degradation each. `pitch_shift` and `time_stretch` are librosa's phase vocoder, a
semitone up and 5 % longer; what studios stretch with stands by its name. `hiss` lies {hiss:.0f} dB below a stem's
level; what follows it in a name cleans it away again; Audacity's noise reduction is not the program but code of this
project after its algorithm, at its defaults. `noisereduce` is told no noise, and gates a take by its own level.{absent}

| after | true stems | called `separated` | called `studio` | extractions | called `separated` | called `studio` | AUC |
|---|---:|---:|---:|---:|---:|---:|---:|
{lines}
"""


def stretchers() -> tuple[dict[str, Callable[[Wave], Wave]], list[str]]:
    """Return the installed programs by name, and which are not installed."""
    absent = sorted({command[0] for command in STRETCHERS.values() if shutil.which(command[0]) is None})
    return {name: partial(_run, command) for name, command in STRETCHERS.items() if command[0] not in absent}, absent


def _run(command: tuple[str, ...], wave: Wave) -> Wave:
    with tempfile.TemporaryDirectory() as folder:
        before, after = f"{folder}/before.wav", f"{folder}/after.wav"
        peak = max(1.0, float(np.abs(wave).max()))
        soundfile.write(before, wave / peak, audio.SAMPLE_RATE_HZ, subtype="PCM_16")  # what all of them read
        filled = [part.format(before=before, after=after) for part in command]
        subprocess.run(filled, check=True, capture_output=True, timeout=600)
        made: Wave = soundfile.read(after, dtype="float32", always_2d=True)[0]
        return made


def thinned(entries: list[Entry]) -> list[Entry]:
    """Return at most :data:`MOST_OF_ONE` entries of a repository, spread evenly.

    Args:
        entries: of the list.
    """
    size = Counter(entry.repository for entry in entries)
    seen: Counter[str] = Counter()
    kept = []
    for entry in entries:
        n, at = size[entry.repository], seen[entry.repository]
        most = min(n, MOST_OF_ONE)
        if at * most // n != (at - 1) * most // n:
            kept.append(entry)
        seen[entry.repository] += 1
    return kept


def judge(entry: Entry, folder: Path, model: str | None) -> tuple[list[dict[str, Any]], str]:
    """Score a file as it is and after each degradation.

    Args:
        entry: of the list.
        folder: of mirrors.
        model: folder or name of a model.

    Returns:
        A row for each: ``after``, ``origin``, ``called`` and ``p_separated``; and why there are none, or nothing.
    """
    try:
        data = mirrors.read(folder, entry.repository, entry.commit, entry.path)
        length_s = min(entry.duration_s or LONGEST_S, LONGEST_S)
        _, samples = audio.read(io.BytesIO(data), max_s=entry.offset_s + length_s)
    except (MissingFileError, UnreadableAudio) as error:
        return [], str(error)
    samples = samples[int(entry.offset_s * audio.SAMPLE_RATE_HZ) :]
    rows = []
    for name, degrade in {AS_IT_IS: np.copy, **DEGRADATIONS, **stretchers()[0], **cleaners()[0], **desk()[0]}.items():
        verdict = _scorer(model).score((degrade(samples), audio.SAMPLE_RATE_HZ))
        called = verdict.origin if verdict.status == "ok" else verdict.status
        rows.append({"after": name, "origin": entry.origin, "called": called, "p_separated": verdict.p_separated})
    return rows, ""


@lru_cache(maxsize=1)
def _scorer(model: str | None) -> provenance.Scorer:
    threadpool_limits(1)
    return provenance.load(model)


def page(found: pd.DataFrame, model: str, absent: list[str]) -> str:
    """Return the page.

    Args:
        found: rows of :func:`judge` of all files.
        model: name and checksum.
        absent: programs that are not installed.
    """
    lines = []
    for name, part in found[found["p_separated"].notna()].groupby("after", sort=False):
        cells = [str(name)]
        for origin in ("studio", "separated"):
            called = part[part["origin"] == origin]["called"]
            cells += [str(len(called)), str(int((called == "separated").sum())), str(int((called == "studio").sum()))]
        both = part["origin"].nunique() == 2
        auc = roc_auc_score(part["origin"] == "separated", part["p_separated"]) if both else float("nan")
        lines.append(f"| {' | '.join(cells)} | {auc:.3f} |")
    missing = f" Not installed here: {', '.join(absent)}." if absent else ""
    return _PAGE.format(
        model=model, most=MOST_OF_ONE, longest=LONGEST_S, hiss=-HISS_DB, absent=missing, lines="\n".join(lines)
    )


def main(
    folder: Annotated[Path, typer.Argument(metavar="MIRRORS", help="Folder of bare git directories, OWNER+NAME/...")],
    out: Annotated[Path | None, typer.Option(help="Page to write; stdout without it.")] = None,
    listed: Annotated[
        list[Path] | None, typer.Option("--list", help="CSV file of what to judge; several may be given.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = N_WORKERS,
) -> None:
    """Judge files that were gathered after the model was fixed, after each degradation."""
    with told(ModelError, ValueError):
        reference = provenance.load(model).bundle.reference
        entries = thinned([entry for file in listed or external.LISTS for entry in external.read_list(file)])
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(workers) as pool:
        todo = pool.map(partial(judge, folder=folder, model=model), entries)
        for made, problem in tqdm(todo, total=len(entries), desc="files", disable=not sys.stderr.isatty()):
            rows += made
            if problem:
                print(f"left out: {problem}", file=sys.stderr)
    if not rows:
        typer.echo(f"{folder}: found no file that can be judged; needed: the listed mirrors", err=True)
        raise typer.Exit(2)
    absent = sorted({*stretchers()[1], *cleaners()[1], *desk()[1]})
    external.give(page(pd.DataFrame(rows), reference, absent), out)


if __name__ == "__main__":
    typer.run(main)
