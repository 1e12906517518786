"""The benchmark page: ``python -m tests.bench --corpus FOLDER`` prints it and writes ``docs/benchmarks.md``.

Speed is CPU time of one thread against the length of the audio, so that a busy machine changes it little.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soundfile
import soxr
import typer

import provenance
from provenance import audio, frontend, windows
from provenance.errors import UnreadableAudio
from provenance.model import Model
from tests import memory, sounds

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
SECONDS = 120.0
N_CLIPS = 200
N_BEST = 5
Rows = list[tuple[str, ...]]
VARIANTS: dict[str, Callable[[sounds.Wave], sounds.Wave]] = {
    "20 dB down": lambda w: w * np.float32(0.1),
    "20 dB up": lambda w: w * np.float32(10),
    "polarity inverted": lambda w: -w,
    "channels swapped": lambda w: w[:, ::-1].copy(),
    "to 48 kHz and back": lambda w: np.asarray(
        soxr.resample(soxr.resample(w, 44_100, 48_000), 48_000, 44_100), np.float32
    ),
    "rounded to 16 bits": lambda w: np.asarray(np.round(w * np.float32(2**15)) / np.float32(2**15), np.float32),
    "silence at both ends": lambda w: np.pad(w, ((57_000, 91_000), (0, 0))),
    "begun 0.7 s later": lambda w: w[30_870:].copy() if len(w) >= 2 * 44_100 else w,
}


def cpu_s(work: Callable[[], object]) -> float:
    """Return the least CPU time of several runs, in seconds."""
    found = []
    for _ in range(N_BEST):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def speed(model: str | None, folder: Path) -> Rows:
    """Return the speed of each format at full coverage, and what its stages take of it."""
    scorer = provenance.load(model)
    wave = np.concatenate([sounds.music(SECONDS / 4, seed=k) for k in range(4)])
    cases = {
        "WAV 16 bit, 44.1 kHz": (wave, 44_100, "WAV", "PCM_16"),
        "FLAC 16 bit, 44.1 kHz": (wave, 44_100, "FLAC", "PCM_16"),
        "FLAC 24 bit, 96 kHz": (soxr.resample(wave, 44_100, 96_000), 96_000, "FLAC", "PCM_24"),
        "MP3, 44.1 kHz": (wave, 44_100, "MP3", None),
        "WAV mono, 44.1 kHz": (wave[:, :1], 44_100, "WAV", "PCM_16"),
    }
    rows: Rows = [("input", "times real time", "decode", "front end", "model and the rest")]
    for name, (samples, rate, fmt, subtype) in cases.items():
        file = sounds.write(folder / f"clip.{fmt.lower()}", samples, rate, subtype, fmt)
        whole = cpu_s(lambda file=file: scorer.score(file))
        decode = cpu_s(lambda file=file: sum(len(block) for block in _blocks(file)))
        cut = list(windows.split(_blocks(file)))
        model = Model(scorer.bundle)
        front = cpu_s(lambda cut=cut, model=model: [_front_end(w.samples, model) for w in cut])
        rest = max(0.0, whole - decode - front)
        shares = (f"{100 * part / whole:.0f} %" for part in (decode, front, rest))
        rows.append((name, f"{SECONDS / whole:.0f}", *shares))
    return rows


def _front_end(samples: audio.Samples, model: Model) -> None:
    """Compute what a model wants of a window."""
    spectra = frontend.analyse(samples)
    frontend.describe(spectra)
    if model.needs_map:
        frontend.draw(spectra)
    if model.needs_onsets:
        frontend.draw_onsets(spectra)


def _blocks(file: Path) -> Iterator[audio.Samples]:
    with audio.open_audio(file) as (_, blocks):
        yield from blocks


def invariances(model: str | None, corpus: Path) -> tuple[Rows, str]:
    """Return how far each change moves p_separated over real clips, and what they were."""
    scorer = provenance.load(model)
    clips = [wave for file in _clips(corpus) if (wave := _clip(file)) is not None]
    where = f"{len(clips)} clips of the corpus" if (corpus / "manifest.csv").is_file() else "the example clips"
    rows: Rows = [("change", "same origin", "moved by less than 0.1", "median move", "largest move")]
    before = [scorer.score((wave, 44_100)) for wave in clips]
    kept = [k for k, verdict in enumerate(before) if verdict.p_separated is not None]
    for name, change in VARIANTS.items():
        after = [scorer.score((change(clips[k]), 44_100)) for k in kept]
        same = np.mean([before[k].origin == found.origin for k, found in zip(kept, after, strict=True)])
        pairs = [(before[k].p_separated, found.p_separated) for k, found in zip(kept, after, strict=True)]
        moves = np.array([abs(a - b) for a, b in pairs if a is not None and b is not None])
        rows.append(
            (
                name,
                f"{100 * same:.1f} %",
                f"{100 * np.mean(moves < 0.1):.1f} %",
                f"{np.median(moves):.4f}",
                f"{moves.max():.3f}",
            )
        )
    return rows, where


def _clips(corpus: Path) -> list[Path]:
    if not (corpus / "manifest.csv").is_file():
        return sorted((ROOT / "examples").glob("*.flac"))
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        sets = ("pairs", "field", "true", "dry")
        names = sorted(row["clip"] for row in csv.DictReader(handle) if row["set"] in sets)
    files = [corpus / name for name in names if (corpus / name).is_file()]
    return files[:: max(1, len(files) // N_CLIPS)]


def _clip(file: Path) -> sounds.Wave | None:
    """A clip of which the source was 44.1 kHz, up to twelve seconds of it."""
    try:
        info, wave = audio.read(file, max_s=12.0)
    except UnreadableAudio:
        return None
    return wave if info.sample_rate_hz == 44_100 and len(wave) >= 44_100 else None


def start_s() -> tuple[float, float]:
    """Return how long importing and loading the model takes, and importing what it needs alone, in seconds."""
    template = "import time; start = time.perf_counter()\n{}\nprint(time.perf_counter() - start)"

    def best(code: str) -> float:
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", template.format(code)]
        runs = (subprocess.run(command, capture_output=True, text=True, env=env, check=True) for _ in range(N_BEST))
        return min(float(run.stdout) for run in runs)

    return best("import provenance; provenance.load()"), best("import numpy, soundfile, soxr, onnxruntime")


def table(rows: Rows) -> str:
    """Return rows as a Markdown table; the first is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(rows[0]) - 1), *lines[1:]])


def page(model: str | None, corpus: Path, hour: bool) -> str:
    """Return the page as Markdown."""
    bundle = provenance.load(model).bundle
    evaluation: dict[str, Any] = json.loads((bundle.folder / "evaluation.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        speeds = speed(model, Path(folder))
    moved, where = invariances(model, corpus)
    seconds = 3600 if hour else 600
    peak = memory.peak_mb(model, seconds, 96_000, 2)["peak_mb"]
    whole, base = start_s()
    parts = [
        "# Benchmarks",
        f"Made by `make bench` with `{bundle.reference}` on {_processor()}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "soundfile", "soxr"))
        + f", libsndfile {soundfile.__libsndfile_version__.removeprefix('libsndfile-')}.",
        "## Speed",
        f"Full coverage of {SECONDS:.0f} s, CPU time of one thread, best of {N_BEST}; the shares are of that time.",
        table(speeds),
        "## Memory",
        f"Peak resident memory of scoring {seconds // 60} minutes of 96 kHz stereo FLAC, the process and the model "
        f"included: **{peak:.0f} MB**.",
        "## Start",
        f"`import provenance; provenance.load()`: **{whole:.2f} s**, of which {base:.2f} s are numpy, soundfile, soxr "
        "and onnxruntime.",
        "## Parity",
        "Largest difference between the ONNX graph and what was trained (torch, scikit-learn), over all heads, as "
        f"`python -m training.fit` measured it: **{_parity(evaluation):.1e}**.",
        "## What must not change a verdict",
        f"On {where} (up to 12 s of each).",
        table(moved),
    ]
    return "\n\n".join(parts) + "\n"


def _parity(evaluation: dict[str, Any]) -> float:
    return float(evaluation["parity_largest_difference"])


def _processor() -> str:
    found = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        found = names[0] if names else found
    return found


def main(
    corpus: Annotated[Path, typer.Option(help="The labelled corpus; else the example clips.")] = Path("corpus"),
    model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None,
    hour: Annotated[bool, typer.Option(help="Measure memory on an hour, else on ten minutes.")] = True,
    out: Annotated[Path, typer.Option(help="The page to write.")] = PAGE,
) -> None:
    """Measure, print the page and write it."""
    text = page(model, corpus, hour)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
