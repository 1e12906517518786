"""The audit's figures: ``python -m tests.audit.bench`` (``make bench-audit``) prints each beside what it must reach."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer

from provenance import bundle
from provenance.audit.items import SHARD_SIZE, Item, Shard
from provenance.audit.run import score_source
from provenance.audit.shard import Options, score_shard
from tests.audit import make, paired, rowsets
from tests.audit.drive import LOADER
from tests.audit.simulate import World, coverage

_PARENT = """
import resource, sys
from pathlib import Path
from provenance.audit.run import score_source
score_source(sys.argv[1], Path(sys.argv[2]), workers=2, loader="{loader}")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
_REPORT = """
import resource, sys, time
from pathlib import Path
from provenance.audit import report, summary
began, cpu = time.perf_counter(), time.process_time()
found = summary.summarise(Path(sys.argv[1]))
report.write(Path(sys.argv[1]), found)
print(time.perf_counter() - began, time.process_time() - cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main(
    clips: Annotated[int, typer.Option(help="Clips of 30 s for the rates.")] = 128,
    files: Annotated[int, typer.Option(help="Tiny files for the memory of the parent.")] = 20_000,
    rows: Annotated[int, typer.Option(help="Rows for the report.")] = 100_000,
    runs: Annotated[int, typer.Option(help="Simulated audits for the coverage.")] = 2_000,
    only: Annotated[str, typer.Option(help="overhead, rate, memory, report or coverage; empty is all.")] = "",
) -> None:
    """Print the figures of issue-sized audits on this machine."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if only in ("", "overhead"):
            overhead(write_clips(folder / "shard-clips", SHARD_SIZE), folder)
        if only in ("", "rate"):
            rates(write_clips(folder / "clips", clips), folder)
        if only in ("", "memory"):
            memory(folder, files)
        if only in ("", "report"):
            report(folder, rows)
        if only in ("", "coverage"):
            cover(runs)


def say(what: str, found: str, needed: str) -> None:
    """Print a figure."""
    print(f"{what:58s} {found:>24s}   needed: {needed}", flush=True)


def write_clips(folder: Path, n: int) -> list[Path]:
    """Write stereo clips of 30 s."""
    folder.mkdir()
    for i in range(n):
        rng = np.random.default_rng(i)
        wave = np.concatenate([make.tone(100 * i + k, 1.0, 0.1, 44_100) for k in range(30)])
        stereo = np.stack([wave, 0.8 * wave + 0.01 * rng.standard_normal(len(wave)).astype(np.float32)], axis=1)
        soundfile.write(folder / f"{i:04d}.flac", stereo, 44_100)
    return sorted(folder.iterdir())


def rates(paths: list[Path], folder: Path) -> None:
    """One worker and two, in turns so that none has a quieter machine."""
    took: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(2):
        for workers in (1, 2):
            began = time.perf_counter()
            score_source(str(paths[0].parent), folder / f"out{turn}{workers}", workers=workers)
            took[workers].append(time.perf_counter() - began)
    load = os.getloadavg()[0]
    say(
        f"two workers over one, {len(paths)} clips, machine load {load:.0f}",
        f"{min(took[1]) / min(took[2]):.2f} x",
        "at least 1.8 x",
    )


def overhead(paths: list[Path], folder: Path) -> None:
    """CPU of one shard through the unit of work beyond bare scoring of the same files, file by file: median of five."""
    options = Options(str(folder / "shard"), loader="tests.audit.paired:load")
    (folder / "shard" / "journal").mkdir(parents=True)
    scorer = paired.load(None)
    shares, bare = [], []
    for turn in range(6):
        shard = Shard(turn, tuple(Item(str(path), "file", str(path)) for path in (paths if turn else paths[:4])))
        scorer.bare_s = 0.0
        began = time.process_time()
        score_shard(shard, options)
        whole = time.process_time() - began - scorer.bare_s
        if turn:  # the first warms up
            shares.append(whole / scorer.bare_s - 1)
            bare.append(scorer.bare_s / len(paths))
    say("bare scoring, CPU of a clip of 30 s", f"{1000 * min(bare):.0f} ms", "-")
    say(f"a shard of {len(paths)} beyond bare scoring, CPU", f"{100 * float(np.median(shares)):+.1f} %", "under 5 %")


def memory(folder: Path, n: int) -> None:
    """Peak memory of the parent with a thousand files and with many."""
    source = folder / "tiny"
    first = make.files(source, ["d00/00000.wav"])[0]
    data = first.read_bytes()
    for i in range(1, n):
        path = source / f"d{i // 1000:02d}" / f"{i:05d}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    found = []
    for part in (source / "d00", source):
        code = _PARENT.format(loader=LOADER)
        out = folder / f"tiny-out-{len(found)}"
        run = subprocess.run(
            [sys.executable, "-c", code, str(part), str(out)], capture_output=True, text=True, check=True
        )
        found.append(float(run.stdout.split()[-1]))
    say(f"memory of the parent, 1,000 and {n:,} files", f"{found[0]:.0f} and {found[1]:.0f} MB", "flat")


def report(folder: Path, n: int) -> None:
    """Time and peak memory of summary and report."""
    out = folder / "drawn"
    rowsets.write(out, n, bundle.load().reference)
    run = subprocess.run([sys.executable, "-c", _REPORT, str(out)], capture_output=True, text=True, check=True)
    seconds, busy, megabytes = (float(v) for v in run.stdout.split()[-3:])
    say(f"summary and report of {n:,} rows, {busy:.0f} s of CPU", f"{seconds:.0f} s, {megabytes:.0f} MB",
        "under 60 s and 1000 MB")  # fmt: skip


def cover(runs: int) -> None:
    """How often the interval holds the truth, with the shipped model's own error rates."""
    from provenance.audit.rates import read_evaluation

    found = read_evaluation(bundle.find())
    if found.separated is None:
        say("coverage of the 95 % interval", "no evaluation", "93 to 97 %")
        return
    world = World(found.separated.sensitivity.value, found.separated.false_alarms.value, found.figures["n_studio"],
                  found.figures["n_separated"])  # fmt: skip
    for truth in (0.02, 0.1, 0.3, 0.6):
        held, width = coverage(truth, world, 150, 4, runs, 11)
        say(
            f"95 % interval at a true share of {truth:.0%}, mean width {width:.0%}", f"held in {held:.1%}", "93 to 97 %"
        )


if __name__ == "__main__":
    typer.run(main)
