"""Acceptance sampling: what a sample of a set lets one say, and at which risk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from provenance.audit.prevalence import Rate, Sample, estimate, upper_limit
from provenance.audit.rates import Detector

UNBOUNDED = 0.995
"""From here a share is printed as 100 %, and a bound on it says nothing."""
LEAST_CHANCE = 0.05
"""Chance of as many calls by false alarms alone, from which these explain them: the one-sided level of all bounds."""
LIMITS = (0.01, 0.02, 0.05, 0.10, 0.20)
_N_DRAWS = 20_000
_MANY = 10**8
_EXACT = 1e-9


def acceptance(sample: Sample, detector: Detector, n_set: int) -> dict[str, Any]:
    """Return what was shown by scoring a sample, with the risks of both sides.

    Args:
        sample: what was called separated.
        detector: its error rates, whose uncertainty enters.
        n_set: files in the set.

    Returns:
        ``at_most`` (a share of separated stems not exceeded, at 95 %, one-sided), and for each of five contaminations
        the ``buyers_risk``: the probability that a set with so many separated stems shows as few calls as were seen.
        ``sellers_risk`` is the probability that a set without any shows as many. ``bound`` says ``at_most`` in words;
        ``alarms`` are those of :func:`expected_alarms` if nothing is separated. ``at_least`` is the share that is
        reached even where every extraction is recognised, at 95 %, one-sided; ``floor`` says it in words.
    """
    rng = np.random.default_rng(0)
    se, fa = (
        rng.beta(r.value * r.n + 1, (1 - r.value) * r.n + 1, _N_DRAWS)
        for r in (detector.sensitivity, detector.false_alarms)
    )
    n = max(1, round(sample.n_effective))
    seen = sample.share * n  # of as many files as these are worth: no whole number, and neither side gains by it
    drawn = {}
    for p in LIMITS:
        held = _extractions(p, n, sample.fraction, rng)
        drawn[p] = rng.binomial(held, se) + rng.binomial(n - held, fa)
    at_most = round(upper_limit(sample, detector.sensitivity, detector.false_alarms), 4)
    at_least = math.floor(1e4 * estimate(sample, Rate(1.0, _MANY), detector.false_alarms, 0.9).low) / 1e4
    by_chance = round(_chance_of_as_many(seen, n, detector.false_alarms), 4)
    return {
        "n_scored": sample.n,
        "n_set": n_set,
        "n_effective": round(sample.n_effective, 1),
        "n_called": round(sample.share * sample.n),
        "at_most": at_most,
        "bound": _bound(at_most, sample, detector, n_set),
        "at_least": at_least,
        "floor": _floor(at_least, by_chance, sample, n_set),
        "level": 0.95,
        "buyers_risk": {f"{p:g}": round(_chance_of_as_few(seen, drawn[p]), 4) for p in LIMITS},
        "sellers_risk": by_chance,
        "alarms": expected_alarms(sample.n, sample, detector),
    }


def _extractions(share: float, n: int, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw how many of ``n`` files are extractions where that share of the set is: all of it holds just so many."""
    if fraction * _MANY < n:  # as good as drawn from a set without end
        return rng.binomial(n, share, _N_DRAWS)
    whole = max(n, round(n / fraction))
    held = np.floor(share * whole + rng.random(_N_DRAWS)).astype(np.int64)  # of few files a share is no whole number
    return rng.hypergeometric(held, whole - held, n)


def _bound(at_most: float, sample: Sample, detector: Detector, n_set: int) -> str:
    if at_most >= UNBOUNDED:
        if sample.share >= detector.sensitivity.value:
            return "As many were called separated as would be if all of them were: nothing bounds the share from above."
        if round(sample.n_effective) >= sample.n:
            return "These are too few files to bound the share of separated stems from above."
        worth = f"All these are worth {sample.n_effective:.0f} independent of each other"
        return f"{worth}: too few to bound the share of separated stems from above."
    which = "judged" if n_set == sample.n else "judged or not yet opened"
    rounded_up = math.ceil(round(1000 * at_most, 6)) / 10
    return (
        f"With 95 % confidence no more than {rounded_up:.1f}% of the {n_set:,} files {which} are separated, if what "
        f"separated them is caught as often as in the model's evaluation ({detector.sensitivity.value:.0%})."
    )


def _floor(at_least: float, by_chance: float, sample: Sample, n_set: int) -> str:
    rounded_down = math.floor(round(1000 * at_least, 6)) / 10
    if sample.share == 0:
        return "None was called separated."
    if rounded_down <= 0 and by_chance < LEAST_CHANCE:
        return "False alarms alone would seldom give as many calls, and how many are separated at least is not shown."
    if rounded_down <= 0:
        return "That any of them is separated is not shown: false alarms explain as many calls."
    which = "" if n_set == sample.n else " or not yet opened"
    return (
        f"Whatever separated them, with 95 % confidence at least {rounded_down:.1f}% of those judged{which} are "
        "separated, if true stems are called so as seldom as in the model's evaluation."
    )


def expected_alarms(n: int, sample: Sample, detector: Detector) -> dict[str, Any]:
    """Return how many of stems that are all true would be called separated by mistake.

    Args:
        n: stems, such as those claimed to be studio.
        sample: of them, for how much they are worth.
        detector: error rates.

    Returns:
        ``expected`` with its 95 % range, and ``chance``: the probability of as many calls as were seen if every claim
        were true.
    """
    rng = np.random.default_rng(0)
    rate = detector.false_alarms
    fa = rng.beta(rate.value * rate.n + 1, (1 - rate.value) * rate.n + 1, _N_DRAWS)
    worth = max(1, round(sample.n_effective))
    shares = rng.binomial(worth, fa) / worth
    low, high = np.quantile(shares, [0.025, 0.975])
    return {
        "n": n,
        "called": round(sample.share * sample.n),
        "expected": round(n * rate.value, 1 if n * rate.value >= 1 else 2),
        "low": round(n * float(low), 1),
        "high": round(n * float(high), 1),
        "chance": round(_chance_of_as_many(sample.share * worth, worth, rate), 4),
    }


def _chance_of_as_few(seen: float, drawn: npt.NDArray[np.int64]) -> float:
    """Return the share of draws with as few calls; where that is no whole number, between those of its neighbours."""
    low = math.floor(seen + _EXACT)
    fewer, more = (float((drawn <= n).mean()) for n in (low, low + 1))
    return fewer + max(0.0, seen - low) * (more - fewer)


def _chance_of_as_many(seen: float, n: int, rate: Rate) -> float:
    """Return how probable as many calls of ``n`` true stems are, whose rate is uncertain: a beta-binomial count."""
    least = math.ceil(seen - _EXACT)
    a, b = rate.value * rate.n + 1, (1 - rate.value) * rate.n + 1
    none = math.lgamma(n + b) - math.lgamma(b) + math.lgamma(a + b) - math.lgamma(n + a + b)
    x = np.arange(max(0, least - 1))
    steps = np.log((n - x) / (x + 1)) + np.log((x + a) / (n - x - 1 + b))
    fewer = np.exp(none + np.concatenate([[0.0], np.cumsum(steps)])).sum() if least > 0 else 0.0
    return float(np.clip(1 - fewer, 0.0, 1.0))
