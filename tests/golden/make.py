"""Remake the golden files, the published JSON schema and the README's demo: ``python -m tests.golden.make``.

Golden features pin the front end on synthetic sounds. Golden verdicts pin the shipped model on the example clips and
on sounds that have to be refused. The schema is made from the dataclasses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import provenance
from provenance import frontend
from tests import sounds
from tests.golden import schema

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FEATURES, VERDICTS = HERE / "features.npz", HERE / "verdicts.json"
README = ROOT / "README.md"
DEMO_BEGIN, DEMO_END = "<!-- demo:begin -->", "<!-- demo:end -->"
SCHEMA = ROOT / "provenance" / "verdict.schema.json"
EXAMPLES = ("dry_voice", "wet_voice", "separated_voice", "mix")

WINDOWS: dict[str, Callable[[], sounds.Wave]] = {
    "music_stereo": lambda: sounds.music(4.0),
    "music_mono": lambda: sounds.music(4.0, channels=1, seed=1),
    "noise": lambda: sounds.noise(2.5, seed=2),
    "tone": lambda: sounds.tone(3000, 1.0),
}
REFUSED: dict[str, tuple[Callable[[], sounds.Wave], int]] = {
    "silence": (lambda: np.zeros((3 * sounds.RATE_HZ, 2), np.float32), sounds.RATE_HZ),
    "short": (lambda: sounds.noise(0.5), sounds.RATE_HZ),
    "telephone": (lambda: sounds.noise(3.0, 8_000), 8_000),
}


def features() -> dict[str, frontend.Features]:
    """Return the features of each synthetic window."""
    return {name: frontend.compute(make()) for name, make in WINDOWS.items()}


def verdicts(scorer: provenance.Scorer) -> dict[str, dict[str, Any]]:
    """Return what is pinned of each verdict.

    Args:
        scorer: with the shipped model.
    """
    found = {name: scorer.score(ROOT / "examples" / f"{name}.flac") for name in EXAMPLES}
    found |= {name: scorer.score((make(), rate)) for name, (make, rate) in REFUSED.items()}
    return {name: _pinned(v) for name, v in found.items()}


def _pinned(verdict: provenance.Verdict) -> dict[str, Any]:
    whole = verdict.to_dict()
    out = {
        k: whole[k]
        for k in ("status", "origin", "processing", "p_separated", "sdr_ceiling_db", "p_processing", "reasons")
    }
    return out | {"n_windows": verdict.audio.n_windows, "segments": [s.p_separated for s in verdict.segments]}


def demo() -> str:
    """Return what ``make demo`` prints, as a block of Markdown."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    command = [sys.executable, "-c", "from provenance.cli import main; main()", "score", "examples"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return "```text\n" + "\n".join(lines) + "\n```"


def main() -> None:
    """Write all of them."""
    SCHEMA.write_text(schema.render(), encoding="utf-8")
    np.savez_compressed(FEATURES, **features())
    scorer = provenance.load()
    golden = {"model": scorer.bundle.reference, "verdicts": verdicts(scorer)}
    VERDICTS.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    head, rest = README.read_text(encoding="utf-8").split(DEMO_BEGIN)
    README.write_text(f"{head}{DEMO_BEGIN}\n{demo()}\n{DEMO_END}{rest.split(DEMO_END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
