"""How often the interval of a prevalence holds the truth, when vendors and evaluations are drawn again and again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from provenance.audit import prevalence


@dataclass(frozen=True)
class World:
    """What a simulation draws from.

    Args:
        sensitivity, false_alarms: true rates of the detector.
        n_studio, n_separated: files of its evaluation, in groups of ``group``.
        group: files of one song or repository in the evaluation.
        alike: intra-song correlation of truth and of errors, 0..1.
    """

    sensitivity: float
    false_alarms: float
    n_studio: int
    n_separated: int
    group: int = 3
    alike: float = 0.3


def clustered(rng: np.random.Generator, p: float, sizes: np.ndarray, alike: float) -> np.ndarray:
    """Draw how many of each group are so: beta-binomial with a given correlation inside a group."""
    if p <= 0 or p >= 1 or alike <= 0:
        return rng.binomial(sizes, p)
    total = 1 / alike - 1
    return rng.binomial(sizes, rng.beta(p * total, (1 - p) * total, len(sizes)))


def measured_rate(rng: np.random.Generator, p: float, n: int, world: World) -> prevalence.Rate:
    """Draw an evaluation of a rate, with the interval that resampling its groups gives."""
    sizes = np.full(max(2, n // world.group), world.group)
    hits = clustered(rng, p, sizes, world.alike)
    value = hits.sum() / sizes.sum()
    picks = rng.integers(0, len(sizes), (200, len(sizes)))
    interval = np.quantile(hits[picks].sum(1) / sizes.sum(), [0.025, 0.975])
    design = 1 + (world.group - 1) * world.alike
    return prevalence.rate_from(float(value), int(sizes.sum()), list(interval), design)


def coverage(truth: float, world: World, n_songs: int, per_song: int, n_runs: int, seed: int) -> tuple[float, float]:
    """Return the share of runs whose interval holds the truth, and the mean width of the intervals."""
    rng = np.random.default_rng(seed)
    held = 0
    width = 0.0
    for _ in range(n_runs):
        sensitivity = measured_rate(rng, world.sensitivity, world.n_separated, world)
        false_alarms = measured_rate(rng, world.false_alarms, world.n_studio, world)
        sizes = rng.integers(1, 2 * per_song, n_songs)
        separated = clustered(rng, truth, sizes, world.alike)
        called = clustered(rng, world.sensitivity, separated, world.alike)
        called = called + clustered(rng, world.false_alarms, sizes - separated, world.alike)
        sample = prevalence.sample_from(called, sizes)
        found = prevalence.estimate(sample, sensitivity, false_alarms)
        held += found.low <= truth <= found.high
        width += found.high - found.low
    return held / n_runs, width / n_runs
