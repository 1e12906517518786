"""How many stems of a set are what the detector calls them, given how often the detector errs.

The share that is called separated, q, mixes two things: q = prevalence · sensitivity + (1 - prevalence) · false alarms.
Solving for the prevalence is the estimate of W. J. Rogan and B. Gladen, "Estimating prevalence from the results of a
screening test", Am. J. Epidemiol. 107 (1978). The interval holds every prevalence that the observed share does not
contradict: of each candidate the probability of as many calls, and of as few, with the variance it implies. Counts
are taken for binomial ones or scaled Poisson ones of that variance (E. B. Wilson and M. M. Hilferty, PNAS 17 (1931)),
for few calls are not normal ones. The rates' own uncertainty is part of the variance; the dependence of
stems of one song enters as a design effect with degrees of freedom, after E. L. Korn and B. I. Graubard, Survey
Methodology 24 (1998).

No set is vouched for because the detector kept quiet: as few calls as false alarms alone would seldom leave exclude
what they would exclude without any false alarm. The probability of as few calls is divided by that of a set without any
separated stem: A. L. Read, "Presentation of search results: the CLs technique", J. Phys. G 28 (2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
TOLD_WITHIN = 0.8
"""An interval as wide as this or wider says next to nothing: its estimate is neither printed nor used."""
_GRID = 2001
_NO_CHANCE = 1e-3
"""Variance of a count beside its mean below which its tails are taken for normal ones: nothing is left to chance."""


@dataclass(frozen=True)
class Rate:
    """A share measured in an evaluation.

    Args:
        value: 0..1.
        n: independent files it is worth: fewer than were scored where they came in groups.
    """

    value: float
    n: float

    @property
    def smoothed(self) -> float:
        """The share with one more of each kind: a share of 0 or 1 of few is not taken for certain."""
        return (self.value * self.n + 1) / (self.n + 2)

    @property
    def variance(self) -> float:
        """Of its estimate, after A. Agresti and B. A. Coull (1998)."""
        return self.smoothed * (1 - self.smoothed) / (self.n + 2)


@dataclass(frozen=True)
class Sample:
    """What was counted in a set, and how much it is worth.

    Args:
        share: of files called so.
        n: files.
        n_songs: groups of files that belong together.
        n_effective: independent files it is worth.
        degrees: of freedom of its variance.
        fraction: of the set that was scored, 0..1.
    """

    share: float
    n: int
    n_songs: int
    n_effective: float
    degrees: float
    fraction: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """A share of a set with its interval.

    Args:
        value: the estimate, 0..1.
        low, high: ends of the 95 % interval.
        fits: False if no prevalence explains what was seen: the set is unlike what the rates were measured on.
    """

    value: float
    low: float
    high: float
    fits: bool = True

    @property
    def tells(self) -> bool:
        """Whether the interval leaves out enough for the estimate to be one."""
        return tells(self.low, self.high)


def tells(low: float, high: float) -> bool:
    """Return whether an interval leaves out enough for its estimate to be one.

    Args:
        low, high: its ends.
    """
    return high - low < TOLD_WITHIN


def rate_from(value: float, n: int, interval: Sequence[float] | None, design: float = 1.0) -> Rate:
    """Return a rate of an evaluation with the number of independent files its own interval speaks for.

    Args:
        value: the share.
        n: files it was counted on.
        interval: its 95 % interval, resampled by groups; None or of no width where it says nothing.
        design: how many files one independent file takes, where the interval says nothing.
    """
    if interval is None or interval[1] <= interval[0] or not 0 < value < 1:
        return Rate(value, max(1.0, n / design))
    spread = (interval[1] - interval[0]) / (2 * _z(LEVEL))
    return Rate(value, float(np.clip(value * (1 - value) / spread**2, 1.0, n)))


def sample_from(called: npt.ArrayLike, songs: npt.ArrayLike, fraction: float = 0.0) -> Sample:
    """Count files called so, and find what they are worth from how alike those of one song are.

    Args:
        called: shape (n_songs,), files of each song that are called so.
        songs: shape (n_songs,), files of each song, at least 1.
        fraction: of the set that was scored.

    Returns:
        The share, with the effective number of the linearised variance between songs. That variance is as uncertain
        as the number of songs that hold the rarer answer, a Poisson variable: two degrees of freedom each, after
        Satterthwaite; where each file is on its own nothing has to be found out.
    """
    k, m = np.asarray(called, np.float64), np.asarray(songs, np.float64)
    n, groups = m.sum(), len(m)
    share = float(k.sum() / n)
    alike = float((m**2).sum() / n)
    if groups < 2:
        return Sample(share, int(n), groups, 1.0, 1.0, fraction)
    if 0 < share < 1:
        between = groups / (groups - 1) * float(((k - share * m) ** 2).sum()) / n**2
        design = float(np.clip(between / (share * (1 - share) / n), 1.0, max(1.0, alike)))
        telling = min(int((k > 0).sum()), int((k < m).sum()))
        degrees = groups - 1.0 if alike == 1 else min(groups - 1.0, 2.0 * telling)
    else:
        design, degrees = alike, groups - 1.0
    return Sample(share, int(n), groups, n / design, degrees, fraction)


def estimate(sample: Sample, sensitivity: Rate, false_alarms: Rate, level: float = LEVEL) -> Estimate:
    """Estimate the prevalence in a set.

    Args:
        sample: what was called so.
        sensitivity: share of those that are so which are called so.
        false_alarms: share of the others which are called so; below the sensitivity.
        level: of the interval.

    Returns:
        The estimate; from 0 to 1 where the detector cannot tell the two apart.
    """
    power = sensitivity.value - false_alarms.value
    if power <= 0 or sample.n == 0:
        return Estimate(float("nan"), 0.0, 1.0, fits=False)
    value = float(np.clip((sample.share - false_alarms.value) / power, 0.0, 1.0))
    grid = np.linspace(0.0, 1.0, _GRID)
    expected, chance, rates = _terms(grid, sample, sensitivity, false_alarms)
    here = round(value * (_GRID - 1))
    # Satterthwaite: the rates are known from an evaluation that is large beside the sample
    degrees = sample.degrees * float((chance[here] + rates[here]) / chance[here]) ** 2
    as_few, as_many = (t_probability(z, degrees) for z in _scores(sample, expected, chance + rates))
    tail = (1 - level) / 2
    possible = np.flatnonzero(as_many > tail)
    if not len(possible):
        return Estimate(value, min(value, 1.0), 1.0, fits=False)
    low, high = grid[possible[0]], grid[np.flatnonzero(as_few >= tail * as_few[0])[-1]]
    step = 1 / (_GRID - 1)
    return Estimate(
        value,
        float(max(0.0, low - step / 2)) if low > 0 else 0.0,
        float(min(1.0, high + step / 2)) if high < 1 else 1.0,
    )


def upper_limit(sample: Sample, sensitivity: Rate, false_alarms: Rate, level: float = LEVEL) -> float:
    """Return the prevalence that is not exceeded, at a one-sided level.

    Args:
        sample, sensitivity, false_alarms: as for :func:`estimate`.
        level: such as 0.95.
    """
    found = estimate(sample, sensitivity, false_alarms, 2 * level - 1)
    return found.high


def observed(sample: Sample, level: float = LEVEL) -> Estimate:
    """Return the share of a set that is called so, errors and all: certain where the whole set was scored.

    Args:
        sample: what was called so.
        level: of the interval.
    """
    if sample.n == 0:
        return Estimate(float("nan"), 0.0, 1.0, fits=False)
    if sample.fraction >= 1:
        return Estimate(sample.share, sample.share, sample.share)
    t = t_quantile(0.5 + level / 2, sample.degrees)
    n = sample.n_effective / (1 - sample.fraction)
    centre = (sample.share + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * np.sqrt(sample.share * (1 - sample.share) / n + t**2 / (4 * n**2))
    return Estimate(sample.share, float(max(0.0, centre - half)), float(min(1.0, centre + half)))


def t_quantile(p: float, degrees: float) -> float:
    """Return a quantile of Student's t, by the expansion of Cornish and Fisher (exact for 1 and 2 degrees).

    Args:
        p: 0.5..1.
        degrees: of freedom, at least 1.

    >>> round(t_quantile(0.975, 10), 2), round(t_quantile(0.975, 1), 2)
    (2.23, 12.71)
    """
    if degrees <= 1:
        return float(np.tan(np.pi * (p - 0.5)))
    if degrees <= 2:
        a = 4 * p * (1 - p)
        return float((2 * p - 1) * np.sqrt(2 / a))
    z = NormalDist().inv_cdf(p)
    v = degrees
    return float(
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )


def t_probability(x: npt.NDArray[np.float64], degrees: float) -> npt.NDArray[np.float64]:
    """Return the distribution function of Student's t, by summing its density from the lower end.

    Args:
        x: any shape; below -8 it is taken for -8.
        degrees: of freedom, at least 1; more than 300 are taken for 300.

    >>> t_probability(np.array([-2.2281, 0.0, 12.7062]), 10).round(4).tolist()
    [0.025, 0.5, 1.0]
    """
    v = min(max(1.0, degrees), 300.0)
    angles = np.linspace(-np.pi / 2, np.pi / 2, 20_001)
    density = np.cos(angles[:-1] + np.diff(angles) / 2) ** (v - 1)
    summed = np.concatenate([[0.0], np.cumsum(density)])
    found: npt.NDArray[np.float64] = np.interp(np.arctan(np.maximum(x, -8.0) / np.sqrt(v)), angles, summed) / summed[-1]
    return found


def _scores(
    sample: Sample, expected: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return standard scores of the probability of as few calls, and of as many, for each expected share."""
    unit = np.maximum(sample.n_effective * variance / np.maximum(expected, 1e-9), 1e-9)
    plain = (sample.share - expected) / np.sqrt(variance)
    seen, mean = sample.share * sample.n_effective, expected * sample.n_effective
    sure = unit < _NO_CHANCE
    return (
        np.where(sure, plain, _score(seen, mean, unit)),
        np.where(sure, -plain, -_score(seen - np.maximum(unit, 1.0), mean, unit)),
    )


def _score(
    most: float | npt.NDArray[np.float64], mean: npt.NDArray[np.float64], unit: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the standard score of a count of at most so many, binomial or a scaled Poisson by mean and variance.

    Source: B. H. Camp, Approximation to the point binomial, Ann. Math. Stat. 22 (1951); of Poisson counts it is that of
    Wilson and Hilferty.
    """
    scale = np.maximum(unit, 1.0)
    k, m, v = most / scale, mean / scale, np.minimum(unit, 1 - 1e-6)
    n = m / (1 - v)
    inside = np.maximum(n - k, 1e-9)
    more = np.maximum(k + 1, 1e-9)
    ratio = np.cbrt(more * v / (inside * (1 - v)))
    score = ((1 - 1 / (9 * more)) * ratio - (1 - 1 / (9 * inside))) / np.sqrt(
        ratio**2 / (9 * more) + 1 / (9 * inside)
    )  # fmt: skip
    return np.where(k + 1 <= 1e-9, -np.inf, np.where(k >= n, np.inf, score))


def _terms(
    prevalence: npt.NDArray[np.float64], sample: Sample, sensitivity: Rate, false_alarms: Rate
) -> tuple[npt.NDArray[np.float64], ...]:
    """Return the share of calls that each prevalence implies, and its variance in two parts.

    The first part is chance in the sample, the second the uncertainty of the detector's own rates.
    """
    se, fa = sensitivity.smoothed, false_alarms.smoothed
    expected = prevalence * se + (1 - prevalence) * fa
    drawn = prevalence * (1 - prevalence) * (se - fa) ** 2
    errors = prevalence * se * (1 - se) + (1 - prevalence) * fa * (1 - fa)
    chance = ((1 - sample.fraction) * drawn + errors) / sample.n_effective + 1e-12
    rates = prevalence**2 * sensitivity.variance + (1 - prevalence) ** 2 * false_alarms.variance
    return expected, chance, rates


def _z(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)
