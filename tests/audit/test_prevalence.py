"""Statistics that hold up: intervals that cover, design effects that count, risks that are the simulated ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from provenance import bundle
from provenance.audit import checks, prevalence, report, risk, store, summary
from provenance.audit.prevalence import Rate, Sample
from provenance.audit.rates import Detector, read_evaluation
from tests.audit import rowsets
from tests.audit.simulate import World, coverage


@pytest.mark.parametrize("truth", [0.02, 0.1, 0.3, 0.6])
def test_the_interval_covers_the_truth(truth: float, root: Path) -> None:
    """With the shipped model's own error rates and clustered songs, 95 % intervals hold the truth in 93 to 97 %.

    Where few are separated it is more: what false alarms alone would seldom leave bounds less.
    """
    found = read_evaluation(root / "models" / "stem-v1")
    if found.separated is None:
        pytest.skip("the shipped model has no evaluation")
    world = World(
        found.separated.sensitivity.value, found.separated.false_alarms.value,
        found.figures["n_studio"], found.figures["n_separated"],
    )  # fmt: skip
    held, width = coverage(truth, world, n_songs=150, per_song=4, n_runs=1500, seed=7)
    assert 0.93 <= held <= (0.975 if truth > 0.05 else 0.995), held  # 1,500 runs: one standard error is 0.006
    assert width < 1


def test_a_clean_set_is_rarely_accused() -> None:
    """Where nothing is separated, the interval starts at 0 in at least 93 % of runs."""
    held, _ = coverage(0.0, World(0.5, 0.015, 600, 300), n_songs=150, per_song=4, n_runs=600, seed=3)
    assert held >= 0.93


def test_a_perfect_detector_on_a_whole_set_leaves_no_doubt() -> None:
    """Without errors and with everything scored, estimate and interval are the share itself."""
    sample = prevalence.sample_from(np.array([1.0] * 30 + [0.0] * 70), np.ones(100), fraction=1.0)
    found = prevalence.estimate(sample, Rate(1.0, 1e9), Rate(0.0, 1e9))
    assert found.value == pytest.approx(0.3)
    assert found.high - found.low < 0.002


def test_songs_that_stand_together_widen_the_interval() -> None:
    """Twenty songs of ten alike stems say far less than two hundred independent ones."""
    alike = prevalence.sample_from(np.array([10.0] * 6 + [0.0] * 14), np.full(20, 10.0))
    apart = prevalence.sample_from(np.array([1.0] * 60 + [0.0] * 140), np.ones(200))
    assert alike.share == apart.share
    assert alike.n_effective < 25 < 190 < apart.n_effective
    wide, narrow = (prevalence.estimate(s, Rate(0.9, 500), Rate(0.01, 500)) for s in (alike, apart))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_an_impossible_share_is_said_to_be_one() -> None:
    """More calls than any prevalence explains, or a detector that tells nothing apart, is marked as not fitting."""
    everything = prevalence.sample_from(np.ones(500), np.ones(500))
    assert not prevalence.estimate(everything, Rate(0.5, 5000), Rate(0.01, 5000)).fits
    blind = prevalence.estimate(everything, Rate(0.2, 100), Rate(0.2, 100))
    assert (blind.low, blind.high, blind.fits) == (0.0, 1.0, False)


@pytest.mark.parametrize("n", [30, 300, 1000, 3000, 30_000])
def test_a_quiet_detector_vouches_for_no_more_than_one_without_false_alarms(n: int) -> None:
    """No call among many bounds the share as if no false alarm were to be expected, and is no contradiction."""
    sensitivity, false_alarms = Rate(0.59, 160), Rate(0.0066, 2888)
    found, bounds = [], []
    for k in (0, 1, 2, 4):
        sample = prevalence.sample_from(np.array([1.0] * k + [0.0] * (n - k)), np.ones(n), 1.0)
        found.append(prevalence.estimate(sample, sensitivity, false_alarms))
        bounds.append(prevalence.upper_limit(sample, sensitivity, false_alarms))
    hidden = np.log(0.05) / np.log(1 - 0.59) / n  # all of so many are missed with a probability of 5 %
    assert bounds[0] >= hidden
    assert bounds[0] < 10 * hidden + 0.003
    assert bounds == sorted(bounds), "more calls never bound the share closer"
    assert all(one.fits and one.low <= one.value <= one.high for one in found)
    assert found[0].high >= bounds[0]


@pytest.mark.parametrize("n", [20, 50, 100, 300, 1000])
def test_no_clean_set_is_accused_more_often_than_said(n: int) -> None:
    """Counted exactly: the interval of a set without any extraction starts above 0 in 2.5 % of cases at most."""
    stats = pytest.importorskip("scipy.stats")
    accused = 0.0
    for k in range(30):
        sample = prevalence.sample_from(np.array([1.0] * k + [0.0] * (n - k))[:n], np.ones(n), 1.0)
        low = prevalence.estimate(sample, Rate(0.59, 160), Rate(0.0066, 1e7)).low if k < n else 1.0
        accused += stats.binom.pmf(k, n, 0.0066) * (low > 0)
    assert accused <= 0.025


def test_tails_of_counts_are_those_of_scipy() -> None:
    """Binomial and Poisson counts, few and many: probabilities from 0.1 % agree to a tenth, of none to a quarter."""
    stats = pytest.importorskip("scipy.stats")
    for n, q in ((50, 0.1), (30, 0.59), (500, 0.0066), (1000, 0.2)):
        for k in range(n):
            z = float(prevalence._score(float(k), np.array([n * q]), np.array([1 - q]))[0])
            for ours, exact in (
                (stats.norm.cdf(z), stats.binom.cdf(k, n, q)),
                (stats.norm.sf(z), stats.binom.sf(k, n, q)),
            ):
                assert exact < 1e-3 or ours == pytest.approx(exact, rel=0.25 if k == 0 else 0.1), (n, q, k)


def test_t_quantiles_and_probabilities_are_those_of_scipy() -> None:
    """The expansion agrees with scipy's quantiles to 1 % from three degrees of freedom, probabilities far out too."""
    stats = pytest.importorskip("scipy.stats")
    for degrees in (1, 2, 3, 10, 299):
        x = np.array([-6.0, -4.0, -2.0, 0.0, 1.0, 3.0])
        assert prevalence.t_probability(x, degrees) == pytest.approx(stats.t.cdf(x, degrees), rel=0.01)
    for p in (0.9, 0.95, 0.975):
        for degrees in (1, 2, 3, 5, 10, 30, 300):
            assert prevalence.t_quantile(p, degrees) == pytest.approx(stats.t.ppf(p, degrees), rel=0.01)


def test_acceptance_sampling_says_what_300_of_100000_can_say() -> None:
    """A sample of 300 with no call bounds the set, and the buyer's risk is the binomial one where rates are certain."""
    detector = Detector(Rate(0.5, 1e7), Rate(0.0, 1e7), "")
    sample = Sample(0.0, 300, 300, 300.0, 299.0, 0.003)
    found = risk.acceptance(sample, detector, 100_000)
    assert found["buyers_risk"]["0.01"] == pytest.approx((1 - 0.005) ** 300, abs=0.02)
    assert found["buyers_risk"]["0.05"] == pytest.approx((1 - 0.025) ** 300, abs=0.005)
    assert 0.01 < found["at_most"] < 0.04
    assert found["sellers_risk"] == 1.0


def test_a_call_among_few_is_no_matter_of_course() -> None:
    """One of four files called, worth 1.6 files: true stems seldom show as many; the buyer's is half-way."""
    detector = Detector(Rate(0.5, 1e7), Rate(0.01, 1e7), "")
    found = risk.acceptance(Sample(0.25, 4, 4, 1.6, 3.0, 0.2), detector, 4)
    assert found["sellers_risk"] == pytest.approx(1 - 0.99**2, abs=0.005)
    q = 0.2 * 0.5 + 0.8 * 0.01
    half_a_call = ((1 - q) ** 2 + 1 - q**2) / 2
    assert found["buyers_risk"]["0.2"] == pytest.approx(half_a_call, abs=0.02)


def test_one_call_among_songs_of_several_files_is_one_call() -> None:
    """Of 150 files in 50 songs of three, worth 149.0 files, one called is 0.993 calls: the risk is that of one, drawn.

    Rounded down it would be the risk of none, several times lower.
    """
    called = np.array([1] + [0] * 49)
    sample = prevalence.sample_from(called, np.full(50, 3), 0.001)
    assert 148 < sample.n_effective < 150
    found = risk.acceptance(sample, Detector(Rate(0.5, 1e7), Rate(0.01, 1e7), ""), 150_000)["buyers_risk"]
    rng = np.random.default_rng(3)
    for p in risk.LIMITS:
        separated = rng.random((40_000, 50, 3)) < p
        n_called = (rng.random(separated.shape) < np.where(separated, 0.5, 0.01)).sum(axis=(1, 2))
        assert found[f"{p:g}"] == pytest.approx(float((n_called <= 1).mean()), abs=0.015), p
        assert found[f"{p:g}"] > 2 * float((n_called == 0).mean()) or p > 0.1


def test_a_set_that_was_scored_whole_holds_as_many_extractions_as_is_said() -> None:
    """Of 50 files a tenth is five, of which each is missed by chance; drawn from a large set it may be none."""
    detector = Detector(Rate(0.7, 1e7), Rate(0.0, 1e7), "")
    whole, drawn = (
        risk.acceptance(Sample(0.0, 50, 50, 50.0, 49.0, fraction), detector, 50)["buyers_risk"]["0.1"]
        for fraction in (1.0, 0.001)
    )
    assert whole == pytest.approx(0.3**5, abs=0.002)
    assert drawn == pytest.approx((1 - 0.07) ** 50, abs=0.005)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (1, 2), (3, 100), (40, 3000), (900, 100_000)])
def test_one_event_has_one_probability(k: int, n: int) -> None:
    """As many calls of true stems are as probable in the table of risks as beside the claims: a beta-binomial count."""
    stats = pytest.importorskip("scipy.stats")
    detector = Detector(Rate(0.59, 160), Rate(0.0066, 2888), "")
    sample = Sample(k / n, n, n, float(n), n - 1.0, 1.0)
    exact = stats.betabinom.sf(k - 1, n, 0.0066 * 2888 + 1, (1 - 0.0066) * 2888 + 1)
    assert risk.acceptance(sample, detector, n)["sellers_risk"] == pytest.approx(exact, abs=6e-5)
    assert risk.expected_alarms(n, sample, detector)["chance"] == pytest.approx(exact, abs=6e-5)


def test_a_share_of_few_files_is_no_whole_number_of_them() -> None:
    """A twentieth of eight files is none or one, by chance, and not always none."""
    detector = Detector(Rate(0.8, 1e7), Rate(0.0, 1e7), "")
    found = risk.acceptance(Sample(0.0, 8, 8, 8.0, 7.0, 1.0), detector, 8)
    assert found["buyers_risk"]["0.05"] == pytest.approx(0.6 + 0.4 * 0.2, abs=0.01)


def test_a_bound_that_bounds_nothing_is_said_to_be_none() -> None:
    """Of one file no bound is printed; nor where all are called; else the share, and what it is a share of."""
    detector = Detector(Rate(0.5, 500), Rate(0.01, 500), "")
    few = risk.acceptance(Sample(0.0, 1, 1, 1.0, 1.0, 1.0), detector, 1)
    assert few["at_most"] >= risk.UNBOUNDED
    assert few["bound"] == "These are too few files to bound the share of separated stems from above."
    assert (
        "nothing bounds the share" in risk.acceptance(Sample(0.9, 300, 300, 300.0, 299.0, 1.0), detector, 300)["bound"]
    )
    many = risk.acceptance(Sample(0.0, 300, 300, 300.0, 299.0, 1.0), detector, 300)
    assert (
        f"no more than {math.ceil(1000 * many['at_most']) / 10:.1f}% of the 300 files judged are separated"
        in (many["bound"])
    ), "a bound is rounded up"
    assert "as often as in the model's evaluation (50%)" in many["bound"], "a bound says what it rests on"
    assert (
        "judged or not yet opened" in risk.acceptance(Sample(0.0, 300, 300, 300.0, 299.0, 0.3), detector, 900)["bound"]
    )


def test_what_the_report_says_of_false_alarms_agrees_with_their_chance() -> None:
    """That they explain the calls is said only where as many are no rare chance."""
    detector = Detector(Rate(0.6, 700), Rate(0.0066, 2888), "")
    seen = set()
    for k in range(12):
        found = risk.acceptance(Sample(k / 400, 400, 400, 400.0, 399.0, 1.0), detector, 400)
        explained = "false alarms explain as many calls" in found["floor"]
        assert (found["floor"] == "None was called separated.") == (k == 0)
        assert not (explained and found["sellers_risk"] < 0.05), k
        seen.add(explained)
    assert seen == {True, False}
    assert "seldom" in risk._floor(0.0, 0.007, Sample(0.02, 400, 400, 400.0, 399.0, 1.0), 400)


def test_fewer_calls_than_false_alarms_are_said_to_be_that(tmp_path: Path) -> None:
    """A clean delivery of thousands is no puzzle: no call at all is named beside what false alarms would give."""
    rowsets.write(tmp_path, 4000, bundle.load().reference, separated=0.0)
    found = summary.summarise(tmp_path, effort=checks.Effort(seconds=0))
    share, alarms = found["prevalence"]["separated"], found["acceptance"]["alarms"]
    assert (share["called"], share["fits"], share["value"]) == (0, True, 0.0)
    assert alarms["low"] > 0
    assert 0 < found["acceptance"]["at_most"] <= share["high"] < 0.02
    (said,) = [text for text in found["cannot_tell"] if text.startswith("Fewer were called separated")]
    assert f"about {alarms['expected']:.0f}" in said
    assert "(95 %: 0.0 % to " in found["answer"]
    rowsets.write(tmp_path / "more", 4000, bundle.load().reference, separated=0.1)
    found = summary.summarise(tmp_path / "more", effort=checks.Effort(seconds=0))
    assert not any(text.startswith("Fewer were called") for text in found["cannot_tell"])


def test_wet_is_as_often_mistaken_as_where_it_is_mistaken_most(tmp_path: Path, root: Path) -> None:
    """Few real pairs that are mistaken more often than many made chains are what is told; the shipped model's too."""
    pairs = {"confusion": [[7, 0, 14], [11, 1, 8], [0, 0, 36]], "dry_called_wet": 0.3333}
    made = {"confusion": [[900, 50, 50], [50, 900, 50], [10, 90, 900]], "dry_called_wet": 0.02}
    processing = {"classes": ["dry", "hybrid", "wet"], "made": made, "fx_pairs": pairs}
    (tmp_path / "evaluation.json").write_text(json.dumps({"figures": {"processing": processing}}))
    wet = read_evaluation(tmp_path).wet
    assert wet is not None
    assert (wet.false_alarms.value, wet.sensitivity.value) == (22 / 41, 1.0)
    assert (wet.dry_stated_wet, wet.source) == (0.3333, "77 windows of real dry and processed takes")
    figures = json.loads((root / "models" / "stem-v1" / "evaluation.json").read_text())["figures"]["processing"]
    shipped = read_evaluation(root / "models" / "stem-v1").wet
    for name in {"made", "fx_pairs"} & set(figures):
        others = np.asarray(figures[name]["confusion"])[:2]
        assert shipped is not None
        assert shipped.false_alarms.value >= others[:, 2].sum() / others.sum()


def test_an_evaluation_is_worth_what_its_own_intervals_say(tmp_path: Path) -> None:
    """Rates come from evaluation.json, worth fewer files where resampling by song says so; without it, none."""
    unseen = {
        "n_studio": 600, "n_separated": 300, "studio_called_separated": 0.02, "studio_called_studio": 0.7,
        "separated_called_separated": 0.5, "separated_called_studio": 0.1,
        "studio_called_separated_interval": [0.005, 0.04], "separated_called_separated_interval": [0.4, 0.6],
    }  # fmt: skip
    (tmp_path / "evaluation.json").write_text(json.dumps({"figures": {"unseen": unseen, "by_family": {}}}))
    found = read_evaluation(tmp_path)
    assert found.separated is not None
    assert found.separated.sensitivity.value == 0.5
    assert found.separated.sensitivity.n == pytest.approx(96, rel=0.01)
    assert found.separated.false_alarms.n < 600
    assert found.undecided == pytest.approx((0.28, 0.4))
    assert read_evaluation(tmp_path / "none").separated is None


@pytest.mark.parametrize("caught", [0.03, 0.6, 1.0])
@pytest.mark.parametrize("truth", [0.0, 0.1, 0.6])
def test_the_least_share_holds_whatever_separated_a_set(caught: float, truth: float) -> None:
    """However often a vendor's separators are recognised, what is said to be the least is at most the truth."""
    detector = Detector(Rate(0.59, 160), Rate(0.01, 2900), "")
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        separated = round(300 * truth)
        share = (rng.binomial(separated, caught) + rng.binomial(300 - separated, 0.01)) / 300
        found = risk.acceptance(Sample(share, 300, 300, 300.0, 299.0, 1.0), detector, 300)
        held += found["at_least"] <= truth
        assert (
            f"at least {math.floor(1000 * found['at_least']) / 10:.1f}%" in found["floor"] or found["at_least"] < 0.001
        )
    assert held >= 0.92 * 200  # 95 %, and the chance of 200 runs


def test_more_called_studio_than_the_interval_explains_is_said(tmp_path: Path) -> None:
    """Two thirds called separated and a third studio: extractions are recognised more often than was measured."""
    rowsets.write(tmp_path, 1000, bundle.load().reference, separated=0.6)
    for part in (tmp_path / "parts").glob("*.parquet"):
        rows = parquet.read_table(part)
        calls = ["studio" if call == "undecided" else call for call in rows["origin"].to_pylist()]
        parquet.write_table(rows.set_column(rows.schema.get_field_index("origin"), "origin", pa.array(calls)), part)
    found = summary.summarise(tmp_path, effort=checks.Effort(seconds=0))
    assert found["prevalence"]["separated"]["low"] > 0.8
    called = found["prevalence"]["separated"]["called_share"]
    assert called - 0.05 < found["acceptance"]["at_least"] < called
    (said,) = [text for text in found["cannot_tell"] if "were called studio, and no more than" in text]
    assert found["acceptance"]["floor"] in report.write(tmp_path, found).read_text().replace("&#39;", "'")
    assert said.startswith(f"{1 - called:.0%} were called studio")


def test_the_share_of_a_stem_is_corrected_by_the_errors_on_that_stem(tmp_path: Path, root: Path) -> None:
    """Extractions of some stems are seldom recognised: as many calls are of more of them; of other names by all."""
    rowsets.write(tmp_path, 2000, bundle.load().reference, separated=0.2)
    found = summary.summarise(tmp_path, effort=checks.Effort(seconds=0))
    figures = json.loads((root / "models" / "stem-v1" / "evaluation.json").read_text())["figures"]
    rows = {row["name"]: row for row in found["groups"]["stem"]}
    assert set(rows) == {"vocals", "drums", "bass", "other"}
    for name, row in rows.items():
        rates = figures["by_stem"][name]
        caught, alarms = rates["separated_called_separated"], rates["studio_called_separated"]
        assert row["own_rates"]
        assert row["value"] == pytest.approx((row["called_share"] - alarms) / (caught - alarms), abs=1e-4)
    assert not any(row["own_rates"] for row in found["groups"]["codec"])
    assert any("one stem are recognised more often" in text for text in found["cannot_tell"])
    assert "Stems named " in report.write(tmp_path, found).read_text()


def test_findings_are_as_sure_as_the_set_lets_them_be(tmp_path: Path) -> None:
    """Odds of a call are those of p_separated, which hold for a set of halves, times the odds of the share here."""
    out = tmp_path / "audit"
    rowsets.write(out, 3000, bundle.load().reference, separated=0.2)
    share = summary.summarise(out)["prevalence"]["separated"]["value"]
    assert 0.25 < share < 0.45
    rows = store.query(
        out,
        "select p_separated, sure from findings f join stems using (path) where f.kind = 'separated_sold_as_studio'",
    )[1]
    p, sure = np.array(rows, float).T
    odds = p / (1 - p) * share / (1 - share)
    assert len(p) > 500
    assert np.allclose(sure, odds / (1 + odds), atol=1e-3)
