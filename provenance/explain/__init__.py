"""Why a verdict is what it is: the regions that moved it, the cues beside their ranges, the timeline, the splices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from provenance import audio, frontend, windows
from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.decide import SILENT_RMS
from provenance.explain.tiles import Marks, mark
from provenance.scorer import BELOW_PEAK, Scorer
from provenance.verdict import Verdict

Source: TypeAlias = "str | os.PathLike[str] | bytes | tuple[npt.ArrayLike, int]"
"""What can be read twice."""

MOST_WINDOWS = 3
"""Windows whose tiles are silenced one by one: a few seconds of computing each."""
N_COLUMNS, N_ROWS = 1200, 256
SPLICE_STEP_S = 0.5
SPLICE_CONTEXT_S = 4.0
_SPLICE_WINDOW_S = 1.0


@dataclass(frozen=True)
class Explained:
    """One window and what moved the model in it.

    Args:
        start_s, end_s: where it lies.
        marks: what moved the model.
        picture_db: float32, shape (n_frames, n_rows), level relative to the loudest of the file.
    """

    start_s: float
    end_s: float
    marks: Marks
    picture_db: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """A verdict with what speaks for it.

    Args:
        verdict: on the whole file.
        windows: the windows that were looked into, in order.
        picture_db: float32, shape (N_COLUMNS or fewer, N_ROWS), the whole file.
        splices_s: where the timeline changes between studio and separated.
    """

    verdict: Verdict
    windows: tuple[Explained, ...]
    picture_db: npt.NDArray[np.float32]
    splices_s: tuple[float, ...]

    @property
    def towards(self) -> Literal["studio", "separated"]:
        """What the marks speak for: the verdict, or of an undecided file the likelier side."""
        return _towards(self.verdict)


def explain(scorer: Scorer, source: Source, n_windows: int = MOST_WINDOWS) -> Explanation:
    """Explain the verdict on a stem.

    Args:
        scorer: the model.
        source: a path, encoded bytes, or ``(samples, rate)``; it is read three times at most,
            whatever is found.
        n_windows: windows to look into; those that speak loudest for the verdict are taken.

    Raises:
        UnreadableAudio: it cannot be read.
    """
    verdict = scorer.score(source)
    chosen = _choose(verdict, n_windows)
    direction = -1 if _towards(verdict) == "studio" else 1
    duration_s = max(verdict.audio.duration_s, 1e-3)
    n_columns = int(min(N_COLUMNS, max(1, duration_s * SAMPLE_RATE_HZ / frontend.HOP)))
    canvas = np.zeros((n_columns, N_ROWS), np.float32)
    held: list[tuple[windows.Window, Marks, npt.NDArray[np.float32]]] = []
    for window in _windows(source):
        if audio.level(window.samples) < SILENT_RMS:
            continue
        power = _pooled(window.samples)
        at = (window.start_s + (np.arange(len(power)) + 0.5) * frontend.HOP / SAMPLE_RATE_HZ) / duration_s * n_columns
        np.maximum.at(canvas, np.minimum(at.astype(int), n_columns - 1), power)
        if any(abs(window.start_s - start) < 1e-3 for start in chosen):
            held.append((window, mark(window.samples, scorer.logits, direction), power))
    bare = np.asarray(canvas.max(axis=1) == 0)
    seams = 1 + np.flatnonzero(bare[1:-1] & ~bare[:-2] & ~bare[2:])  # where windows meet between two frames
    canvas[seams] = canvas[seams - 1]
    loudest = max(float(canvas.max()), 1e-20)
    explained = tuple(Explained(w.start_s, w.end_s, marks, _db(power, loudest)) for w, marks, power in held)
    return Explanation(verdict, explained, _db(canvas, loudest), tuple(_splices(scorer, source, verdict)))


def _towards(verdict: Verdict) -> Literal["studio", "separated"]:
    return "studio" if verdict.origin == "studio" or (verdict.p_separated or 0.0) < 0.5 else "separated"


def _choose(verdict: Verdict, n: int) -> list[float]:
    known = [(s.p_separated, s.start_s) for s in verdict.segments if s.p_separated is not None]
    studio = _towards(verdict) == "studio"
    return [start for _, start in sorted(known, key=lambda k: k[0] if studio else -k[0])[:n]]


def _windows(source: Source) -> Iterator[windows.Window]:
    with audio.open_audio(source) as (_, blocks):
        yield from windows.split(blocks, below=BELOW_PEAK)


def _pooled(samples: Samples) -> npt.NDArray[np.float32]:
    """Power of the mean channel, pooled to N_ROWS rows by their loudest bin: shape (n_frames, N_ROWS)."""
    spectrum = frontend.stft(np.ascontiguousarray(samples.mean(axis=1)))[:, 1:]
    power = (spectrum.real**2 + spectrum.imag**2).reshape(len(spectrum), N_ROWS, -1)
    out: npt.NDArray[np.float32] = power.max(axis=2)
    return out


def _db(power: npt.NDArray[np.float32], loudest: float) -> npt.NDArray[np.float32]:
    out: npt.NDArray[np.float32] = (10 * np.log10(power / loudest + 1e-12)).astype(np.float32)
    return out


def _splices(scorer: Scorer, source: Source, verdict: Verdict) -> Iterator[float]:
    """Yield where the timeline goes from one side of the thresholds to the other, found to half a second.

    However many they are, the source is read once, and the windows about one of them are held.
    """
    limits = verdict.thresholds
    sides = [
        (s, 1 if s.p_separated >= limits.separated else -1)
        for s in verdict.segments
        if s.p_separated is not None and not limits.studio < s.p_separated < limits.separated
    ]
    spans = [
        (max(0.0, a.start_s), b.end_s, side_b)
        for (a, side_a), (b, side_b) in pairwise(sides)
        if side_a != side_b and b.start_s - a.end_s < SPLICE_CONTEXT_S
    ]
    held: list[windows.Window] = []
    for window in _windows(source) if spans else ():
        held = [w for w in held if spans and w.end_s > spans[0][0]]
        held.append(window)
        while spans and window.end_s >= spans[0][1] - 1e-3:
            yield _refine(scorer, held, *spans.pop(0))
        if not spans:
            return


def _refine(scorer: Scorer, held: list[windows.Window], start_s: float, end_s: float, side: int) -> float:
    parts = [w for w in held if w.end_s > start_s and w.start_s < end_s]
    joined = np.zeros((round((end_s - start_s) * SAMPLE_RATE_HZ), parts[0].samples.shape[1]), np.float32)
    for part in parts:
        first = round((part.start_s - start_s) * SAMPLE_RATE_HZ)
        skip = max(0, -first)
        piece = part.samples[skip : skip + len(joined) - max(first, 0)]
        joined[max(first, 0) : max(first, 0) + len(piece)] = piece
    n, step = int(_SPLICE_WINDOW_S * SAMPLE_RATE_HZ), int(SPLICE_STEP_S * SAMPLE_RATE_HZ)
    starts = [k for k in range(0, len(joined) - n + 1, step) if audio.level(joined[k : k + n]) >= SILENT_RMS]
    if len(starts) < 4:
        return round((start_s + end_s) / 2, 2)
    logit = side * scorer.logits(joined[k : k + n] for k in starts).astype(np.float64)
    gaps = [logit[k:].mean() - logit[:k].mean() for k in range(1, len(logit))]
    best = int(np.argmax(gaps)) + 1
    return round(start_s + (starts[best - 1] + starts[best] + n) / 2 / SAMPLE_RATE_HZ, 2)
