"""What a mix adds: ``python -m training.research.mixes MANIFEST...``.

Songs of the paired set give mixes (the sum of a song's true stems, as it is and mastered) with true and separated
stems of them, as they are and handed on (re-encoded, equalised, noisy). The command prints the AUC of the signs of a
stem against its mix, songs held out, and with ``--out`` writes weights as the package carries them in
``provenance/mix/weights.json``.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import typer
from scipy import signal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from provenance import audio
from provenance.audio import Samples
from provenance.errors import UnreadableAudio
from provenance.mix.measure import SIGNS, Sums, together
from training import augment, catalogue
from training.augment import peaking
from training.catalogue import Clip
from training.options import told
from training.separators import demucs

STRENGTH = 0.05
N_FOLDS = 5
_SILENT_RMS = 1e-4


def songs(clips: list[Clip]) -> tuple[dict[str, list[Clip]], list[str]]:
    """Return the songs that have a mix: three true stems or more in the paired set, one of a kind, with all clips.

    True stems of one kind twice are of two excerpts, or of the whole song and an excerpt: their sum is no mix.

    Args:
        clips: a catalogue.

    Returns:
        Clips of each song, and the names of the songs that are passed over for holding a kind twice.
    """
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.set_name == "pairs":
            found[clip.song].append(clip)
    kinds = {song: [c.stem for c in own if c.origin == "studio"] for song, own in found.items()}
    twice = sorted(song for song, own in kinds.items() if len(set(own)) < len(own))
    return {k: v for k, v in found.items() if len(kinds[k]) >= 3 and k not in twice}, twice


def master(mix: Samples, rng: np.random.Generator) -> Samples:
    """Return a mix as a mastering chain leaves it: gain, two bells, soft limiting.

    Args:
        mix: float32 (n, 2) at 44.1 kHz.
        rng: draws the settings.
    """
    wave = mix * 10 ** (rng.uniform(-3, 6) / 20)
    for _ in range(2):
        bell = peaking(float(rng.uniform(200, 9000)), float(rng.uniform(-4, 4)), 0.8)
        wave = signal.sosfilt(bell, wave, axis=0)
    knee = float(np.quantile(np.abs(wave), 0.999)) + 1e-9
    return np.asarray(np.tanh(wave / knee * 0.9) * knee, np.float32)


def measure(
    song: str, clips: list[Clip], demucs_repo: str = "", model: str = ""
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure every stem of a song against its mix, and the true and the separated stems among themselves.

    Args:
        song: its name.
        clips: its true stems and extractions.
        demucs_repo: folder of local demucs weights that separate the mix as well; empty for none.
        model: which of them.

    Returns:
        One row a stem and condition; one row a set of stems. None of a song with a true stem that cannot be read; an
        extraction that cannot is passed over.
    """
    read = {c.name: _read(c.path) for c in clips}
    if any(read[c.name] is None for c in clips if c.origin == "studio"):
        return [], []
    clips = [c for c in clips if read[c.name] is not None]
    waves = {name: wave for name, wave in read.items() if wave is not None}
    n = min(len(w) for w in waves.values())
    waves = {name: w[:n] for name, w in waves.items()}
    mix = np.sum([waves[c.name] for c in clips if c.origin == "studio"], axis=0)
    if demucs_repo and model:
        torch.set_num_threads(1)
        example = next(c for c in clips if c.origin == "studio")
        for stem, estimate in demucs.separate(mix, model, Path(demucs_repo)).items():
            name = f"{song}/{model}/{stem}"
            waves[name] = estimate
            clips = [*clips, replace(example, name=name, stem=stem, origin="separated", separator=f"demucs-{model}")]
    rng = np.random.default_rng(zlib.crc32(song.encode()))
    rows = []
    for condition, whole in (("plain", mix), ("mastered", master(mix, rng)), ("handed_on", mix)):
        for clip in clips:
            wave = waves[clip.name]
            if float(np.sqrt(np.mean(wave**2))) < _SILENT_RMS:
                continue
            if condition == "handed_on":
                wave = augment.apply(wave, augment.draw(rng))
            if len(wave) != n:  # the chain shortens or delays some; alignment is tested elsewhere
                continue
            sums = Sums()
            sums.add(wave, whole)
            rows.append(
                {"song": song, "condition": condition, "stem": clip.stem, "origin": clip.origin,
                 "separator": clip.separator, **sums.signs()}
            )  # fmt: skip
    return rows, _sets(song, clips, waves)


def _sets(song: str, clips: list[Clip], waves: dict[str, Samples]) -> list[dict[str, Any]]:
    groups: dict[str, list[Samples]] = defaultdict(list)
    for clip in clips:
        if float(np.sqrt(np.mean(waves[clip.name] ** 2))) >= _SILENT_RMS:
            groups[clip.separator].append(waves[clip.name])
    found = []
    for separator, stems in groups.items():
        if len(stems) > 1:
            agreement, weight = together(stems)
            found.append({"song": song, "separator": separator, "n": len(stems), "agreement": agreement / weight})
    return found


def held_out(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the log odds of each row by a model fitted on other songs.

    Args:
        rows: of :func:`measure`.
    """
    label = (rows["origin"] == "separated").to_numpy()
    out = np.zeros(len(rows))
    for learn, judge in GroupKFold(N_FOLDS).split(label, label, rows["song"]):
        middle = rows.iloc[learn]
        out[judge] = _fit(_filled(middle, middle), label[learn]).decision_function(_filled(rows.iloc[judge], middle))
    return out


def report(rows: pd.DataFrame, sets: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of the command.

    Args:
        rows, sets: of :func:`measure`, all songs together.
    """
    score, label = held_out(rows), (rows["origin"] == "separated").to_numpy()
    true, drawn = sets[sets["separator"] == ""]["agreement"], sets[sets["separator"] != ""]["agreement"]
    out: dict[str, Any] = {"n_songs": int(rows["song"].nunique()), "n_rows": len(rows), "auc_by_condition": {}}
    for condition, part in rows.groupby("condition"):
        at = (rows["condition"] == condition).to_numpy()
        out["auc_by_condition"][condition] = round(float(roc_auc_score(label[at], score[at])), 4)
        for name in SIGNS:
            known = part[part[name].notna()]
            auc = roc_auc_score(known["origin"] == "separated", known[name].astype(float))
            out.setdefault(f"auc_{name}", {})[condition] = round(float(auc), 4)
    out["auc_leaving_a_separator_out"] = {
        name: round(_without(rows, name), 4) for name in sorted(rows["separator"].unique()) if name
    }
    out["agreement_of_true_sets"] = [round(float(v), 4) for v in true.quantile([0.05, 0.5, 0.95])]
    out["agreement_of_separated_sets"] = [round(float(v), 4) for v in drawn.quantile([0.05, 0.5, 0.95])]
    out["auc_sets"] = round(float(roc_auc_score(sets["separator"] != "", sets["agreement"])), 4)
    return out


def _without(rows: pd.DataFrame, separator: str) -> float:
    """AUC of one separator against true stems, by models that learnt neither the songs nor that separator."""
    label = (rows["origin"] == "separated").to_numpy()
    own = (rows["separator"] == separator).to_numpy()
    score = np.full(len(rows), np.nan)
    for learn, judge in GroupKFold(N_FOLDS).split(label, label, rows["song"]):
        learn = learn[~own[learn]]
        if label[learn].any():
            middle = rows.iloc[learn]
            model = _fit(_filled(middle, middle), label[learn])
            score[judge] = model.decision_function(_filled(rows.iloc[judge], middle))
    judged = (own | ~label) & np.isfinite(score)
    if len(np.unique(label[judged])) < 2:  # no other separator to learn from
        return float("nan")
    return float(roc_auc_score(label[judged], score[judged]))


def weights(rows: pd.DataFrame, sets: pd.DataFrame) -> dict[str, float]:
    """Return what the package carries: logistic weights of the signs, and limits of the agreement of a song's stems.

    Args:
        rows, sets: as for :func:`report`.
    """
    model = _fit(_filled(rows, rows), (rows["origin"] == "separated").to_numpy())
    scaler, line = model.named_steps["standardscaler"], model.named_steps["logisticregression"]
    slope = line.coef_[0] / scaler.scale_
    found = {name: float(v) for name, v in zip(SIGNS, slope, strict=True)}
    found["intercept"] = float(line.intercept_[0] - (slope * scaler.mean_).sum())
    found |= {f"{name}_mean": float(rows[name].astype(float).mean()) for name in SIGNS}
    true, drawn = sets[sets["separator"] == ""]["agreement"], sets[sets["separator"] != ""]["agreement"]
    low, high = float(true.quantile(0.95)), float(drawn.quantile(0.05))
    found["session_agreement"], found["separator_agreement"] = low + (high - low) / 4, low + (high - low) / 2
    return {name: float(f"{value:.5g}") for name, value in found.items()}


def _fit(values: npt.NDArray[np.float64], label: npt.NDArray[np.bool_]) -> Any:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced"))
    return model.fit(values, label)


def _filled(rows: pd.DataFrame, learnt: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Signs, with the mean over the rows that are learnt from where one could not be measured."""
    mean = learnt[list(SIGNS)].astype(float).mean()
    return rows[list(SIGNS)].astype(float).fillna(mean).to_numpy()


def _read(path: Path) -> Samples | None:
    try:
        with audio.open_audio(path) as (_, blocks):
            wave = np.concatenate(list(blocks))
    except UnreadableAudio as error:
        print(f"left out: {error}", file=sys.stderr)
        return None
    return wave if wave.shape[1] == 2 else np.repeat(wave, 2, axis=1)


@told()
def main(
    manifest: Annotated[list[Path], typer.Argument(help="Manifests: CSV files, clips beside them.")],
    out: Annotated[Path | None, typer.Option(help="JSON file for the weights; none without it.")] = None,
    demucs_repo: Annotated[str, typer.Option(help="Folder of local demucs weights; empty leaves demucs out.")] = "",
    demucs_songs: Annotated[int, typer.Option(help="How many songs demucs separates.")] = 12,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Print what the mix adds, and write the weights where they are wanted."""
    found, twice = songs(catalogue.load(manifest)[0])
    if twice:
        typer.echo(
            f"{len(twice)} songs passed over, such as {twice[0]}: found true stems of one kind twice, no mix in sum",
            err=True,
        )
    if len(found) < N_FOLDS:
        typer.echo(f"found {len(found)} songs with a mix; needed: {N_FOLDS}, in set pairs, three stems each", err=True)
        raise typer.Exit(2)
    models = sorted(f.stem.split("-")[0] for f in Path(demucs_repo).glob("*.th")) if demucs_repo else [""]
    chosen = [models[i % len(models)] if i < demucs_songs else "" for i in range(len(found))]
    rows: list[dict[str, Any]] = []
    sets: list[dict[str, Any]] = []
    with ProcessPoolExecutor(workers) as pool:
        for one, many in tqdm(
            pool.map(measure, found, found.values(), repeat(demucs_repo), chosen), total=len(found), unit="song"
        ):
            rows += one
            sets += many
    table, groups = pd.DataFrame(rows), pd.DataFrame(sets)
    if out is not None:
        out.write_text(json.dumps({"weights": weights(table, groups)}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report(table, groups), indent=2))


if __name__ == "__main__":
    typer.run(main)
