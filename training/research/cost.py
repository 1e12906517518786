"""What the cues cost beside the network: ``python -m training.research.cost``.

Processor time of one thread for a stereo window of synthetic noise and notes: front end, model, and all cues together.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from provenance import evidence, frontend
from provenance.audio import SAMPLE_RATE_HZ
from provenance.scorer import Scorer
from provenance.windows import WINDOW_S


def measure(scorer: Scorer, n: int = 15) -> dict[str, float]:
    """Return milliseconds per second of audio: of the front end, of front end and model, of all cues; and their ratio.

    Args:
        scorer: the model.
        n: runs; the fastest counts.
    """
    rng = np.random.default_rng(0)
    size = int(WINDOW_S * SAMPLE_RATE_HZ)
    t = np.arange(size)[:, None] / SAMPLE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 20)) * np.exp(-(t % 0.5) / 0.2)
    window = (0.1 * tone + 0.01 * rng.standard_normal((size, 2))).astype(np.float32)
    batch = [window] * 8
    spectra = frontend.analyse(window)
    front_end = _fastest(lambda: frontend.describe(frontend.analyse(window)), n)
    whole = _fastest(lambda: scorer.logits(batch), max(3, n // 3)) / len(batch)
    cues = _fastest(lambda: evidence.look(window, spectra), n)
    per_second = {"front_end": front_end, "front_end_and_model": whole, "cues": cues}
    out = {f"{name}_ms_per_s": round(1e3 * value / WINDOW_S, 3) for name, value in per_second.items()}
    return out | {"cues_over_front_end_and_model": round(cues / whole, 3)}


def _fastest(run: Callable[[], object], n: int) -> float:
    best = float("inf")
    for _ in range(n):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def main(model: Annotated[str | None, typer.Option(help="Folder or name of a model.")] = None) -> None:
    """Print what all cues cost per second of audio beside front end and model."""
    print(json.dumps(measure(Scorer(model)), indent=2))


if __name__ == "__main__":
    typer.run(main)
