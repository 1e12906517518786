"""The decision, as a pure function of window scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.audio import AudioInfo
from provenance.bundle import Bundle, Calibration, SdrInterval
from provenance.containers import Counts
from provenance.decide import CLIPPED_SHARE, Spans, calibrate, decide, refuse, scored
from provenance.model import EFFECTS, HEADS, WindowScores
from provenance.verdict import Thresholds, Verdict

LIMITS = Thresholds(separated=0.8, studio=0.2, processing=0.6, distance=1.5, family=0.5, layers=0.7)


def bundle(slope: float = 1.0, intercept: float = 0.0) -> Bundle:
    """A bundle without a file."""
    interval = SdrInterval(base_db=2.0, per_db=0.5, from_db=4.0)
    return Bundle(
        Path("none"), "m", "ab" * 32, frozenset(), Calibration(slope, intercept), LIMITS, interval, "Apache-2.0"
    )


def audio_info(**changes: object) -> AudioInfo:
    """A plain lossless file."""
    known = {"name": "a.wav", "sample_rate_hz": 44_100, "n_channels": 2, "codec": "WAV/PCM_16", "lossy": False,
             "truncated": False}  # fmt: skip
    return AudioInfo(**(known | changes))  # type: ignore[arg-type]


def spans(rms: list[float]) -> Spans:
    """Windows side by side, all computed but those of level zero."""
    rows, n = [], 0
    for level in rms:
        rows.append(n if level else -1)
        n += bool(level)
    times = [4.0 * k for k in range(len(rms))]
    return Spans(times, [t + 4 for t in times], rms, rows, 4.0 * len(rms))


def log_odds(p: float) -> float:
    """The inverse of calibration with slope 1."""
    return float(np.log(p / (1 - p)))


def verdict(p: list[float], rms: list[float] | None = None, info: AudioInfo | None = None, **scores: object) -> Verdict:
    """Decide from probabilities of computed windows."""
    rms = rms or [0.1] * len(p)
    raw = {
        "logit": np.array([log_odds(v) for v in p], np.float32),
        "p_processing": np.tile(np.float32([0.7, 0.2, 0.1]), (len(p), 1)),
        "sdr_db": np.full(len(p), 9.0, np.float32),
        "distance": np.ones(len(p), np.float32),
    }
    return decide(WindowScores(**(raw | scores)), spans(rms), info or audio_info(), bundle())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("p", "origin", "confidence"),
    [(0.95, "separated", 0.95), (0.05, "studio", 0.95), (0.5, "undecided", 0.5), (0.7, "undecided", 0.7),
     (0.3, "undecided", 0.7), (0.81, "separated", 0.81), (0.19, "studio", 0.81)],
)  # fmt: skip
def test_the_thresholds_part_three_origins(p: float, origin: str, confidence: float) -> None:
    """From the upper threshold separated, up to the lower one studio, undecided between, with its probability."""
    found = verdict([p])
    assert found.origin == origin
    assert found.p_separated == pytest.approx(p, abs=1e-3)
    assert found.confidence == pytest.approx(confidence, abs=1e-3)
    assert ("low_confidence" in found.reasons) == (origin == "undecided")


def test_a_stem_with_an_extraction_spliced_in_is_no_studio_stem() -> None:
    """Eight seconds in a row that would be called separated make a file undecided that would be called studio."""
    spliced = verdict([0.02] * 8 + [0.9, 0.8] + [0.02] * 2)
    assert (spliced.origin, spliced.reasons[0]) == ("undecided", "parts_disagree")
    assert spliced.p_separated is not None
    assert spliced.p_separated < LIMITS.studio, "as a whole it would be one"
    alone = verdict([0.02] * 5 + [0.95] + [0.02] * 5)
    assert alone.origin == "studio", "one window is no part"
    assert "parts_disagree" not in verdict([0.5] * 4 + [0.9] * 2).reasons
    assert verdict([0.99] * 8 + [0.1] * 2).origin == "separated"


@pytest.mark.parametrize(("p", "gated", "told"), [(0.5, [0.9, 0.9, 0.1], True), (0.5, [0.9, 0.1, 0.1], False),
                                                (0.95, [0.9] * 3, True), (0.05, [0.9] * 3, False)])  # fmt: skip
def test_noise_taken_out_bin_by_bin_is_why_a_stem_is_undecided(p: float, gated: list[float], told: bool) -> None:
    """It is said where half of the windows and more likely are, of what is no studio stem, by no older model."""
    found = verdict([p] * 3, p_gated=np.float32(gated))
    assert ("noise_gated" in found.reasons) == told
    assert found.origin == ("undecided" if told else verdict([p] * 3).origin)
    assert "noise_gated" not in verdict([p] * 3).reasons


def test_log_odds_are_pooled_before_calibration() -> None:
    """The file's probability is that of the mean log odds of its windows."""
    found = verdict([0.9, 0.6, 0.3])
    mean = np.mean([log_odds(v) for v in (0.9, 0.6, 0.3)])
    assert found.p_separated == pytest.approx(1 / (1 + np.exp(-mean)), abs=1e-4)


def test_pauses_are_set_aside() -> None:
    """A window 60 dB below the loudest, or silent, counts in neither the verdict nor the windows scored."""
    found = verdict([0.95, 0.01], rms=[0.1, 0.0, 0.0001])
    assert found.origin == "separated"
    assert found.p_separated == pytest.approx(0.95, abs=1e-3)
    assert (found.audio.n_windows, found.audio.n_silent) == (1, 2)
    assert [s.p_separated is None for s in found.segments] == [False, True, True]


def test_hiss_between_takes_speaks_for_nothing() -> None:
    """A window 45 dB below the loudest is one of noise; at 35 dB below a quiet passage counts."""
    found = verdict([0.95, 0.01, 0.01], rms=[0.1, 0.1 * 10 ** (-45 / 20), 0.1 * 10 ** (-45 / 20)])
    assert found.p_separated == pytest.approx(0.95, abs=1e-3)
    assert found.audio.n_silent == 2
    assert verdict([0.95, 0.01], rms=[0.1, 0.1 * 10 ** (-35 / 20)]).audio.n_silent == 0


def test_segments_are_the_windows() -> None:
    """The timeline has each window's times and its own probability."""
    found = verdict([0.9, 0.2])
    assert [(s.start_s, s.end_s) for s in found.segments] == [(0.0, 4.0), (4.0, 8.0)]
    assert [s.p_separated for s in found.segments] == pytest.approx([0.9, 0.2], abs=1e-3)


def test_what_is_foreign_is_undecided() -> None:
    """Beyond the distance threshold neither origin nor processing is stated, whatever the scores say."""
    found = verdict([0.99], distance=np.float32([2.0]))
    assert (found.origin, found.processing) == ("undecided", "undecided")
    assert "outside_training" in found.reasons
    assert found.sdr_ceiling_db is None


@pytest.mark.parametrize(
    ("estimate", "low", "high"), [(9.0, 2.5, 15.5), (14.0, 5.0, 23.0), (4.0, 0.0, 8.0), (1.0, -3.0, 5.0)]
)
def test_only_a_separated_stem_has_a_ceiling(estimate: float, low: float, high: float) -> None:
    """The SDR ceiling stands with its interval, the wider the higher, on a separated stem, and is null on any other."""
    ceiling = verdict([0.95], sdr_db=np.float32([estimate])).sdr_ceiling_db
    assert ceiling is not None
    assert (ceiling.low, ceiling.estimate, ceiling.high) == (low, estimate, high)
    assert verdict([0.05]).sdr_ceiling_db is None
    assert verdict([0.5]).sdr_ceiling_db is None


@pytest.mark.parametrize(
    ("p", "processing"), [((0.7, 0.2, 0.1), "dry"), ((0.1, 0.2, 0.7), "wet"), ((0.4, 0.4, 0.2), "undecided")]
)
def test_a_processing_is_stated_from_its_threshold(p: tuple[float, ...], processing: str) -> None:
    """The likeliest processing is stated where it reaches the threshold, and its probabilities are given anyway."""
    found = verdict([0.05], p_processing=np.float32([p]))
    assert found.processing == processing
    assert found.p_processing == pytest.approx(dict(zip(("dry", "hybrid", "wet"), p, strict=True)), abs=1e-4)


def test_no_processing_is_stated_of_an_extraction() -> None:
    """What a separator left does not tell what was done before it: probabilities are given and nothing is stated."""
    sure = np.float32([(0.95, 0.03, 0.02)])
    assert verdict([0.05], p_processing=sure).processing == "dry"
    found = verdict([0.95], p_processing=sure)
    assert (found.origin, found.processing) == ("separated", "undecided")
    assert found.p_processing is not None


def test_a_missing_head_is_null_and_named() -> None:
    """Without a head its field is null, and the reasons say so."""
    found = verdict([0.95], p_processing=None, sdr_db=None, distance=None)
    assert (found.processing, found.p_processing, found.sdr_ceiling_db) == ("undecided", None, None)
    assert "not_in_this_model" in found.reasons


def test_a_kind_is_named_only_for_what_is_separated_and_likely() -> None:
    """The nearest kind of separator stands on a separated stem; unlikely, it is ``unknown``; on others it is null."""
    likely = np.float32([[0.1, 0.6, 0.1, 0.1, 0.05, 0.05]])
    assert verdict([0.95], p_kind=likely).family == "hybrid"
    assert verdict([0.95], p_kind=np.full((1, 6), 1 / 6, np.float32)).family == "unknown"
    assert verdict([0.05], p_kind=likely).family is None
    assert verdict([0.95]).family is None


@pytest.mark.parametrize(
    ("p", "layers"), [(0.9, "submix"), (0.1, "individual"), (0.5, "undecided"), (0.65, "undecided")]
)
def test_layers_are_stated_from_their_threshold(p: float, layers: str) -> None:
    """Several performances, one, or undecided between; null without the head."""
    assert verdict([0.05], p_submix=np.float32([p])).layers == layers
    assert verdict([0.05]).layers is None


def test_effects_are_the_mean_of_the_windows_that_count() -> None:
    """Each effect has its own probability, pooled over windows that are not silent."""
    p = np.zeros((2, 9), np.float32)
    p[:, 0], p[:, 8] = (0.2, 0.6), (1.0, 0.5)
    found = verdict([0.05, 0.05], p_effects=p).effects
    assert found is not None
    assert list(found) == list(EFFECTS)
    assert (found["reverb"], found["delay"], found["stereo_imaging"]) == pytest.approx((0.4, 0.0, 0.75), abs=1e-3)


def test_a_strength_is_stated_of_what_is_likely_and_can_be_told() -> None:
    """It is the windows' mean, between 0 and 1, of effects likelier than not; nothing is said after a separation."""
    p, strengths = np.full((2, 9), 0.2, np.float32), np.full((2, 9), 0.4, np.float32)
    p[:, :3] = [[0.4, 0.9, 0.9], [0.6, 0.6, 0.6]]
    strengths[:, :3] = [[0.1, np.nan, 1.4], [0.3, np.nan, 1.0]]
    given = {"p_effects": p, "strengths": strengths}
    found = verdict([0.05, 0.05], **given).effect_strengths
    assert found is not None
    assert list(found) == list(EFFECTS)
    assert (found["reverb"], found["delay"], found["compression"]) == (pytest.approx(0.2), None, 1.0)
    assert {found[name] for name in EFFECTS[3:]} == {None}
    assert set((verdict([0.99, 0.99], **given).effect_strengths or {}).values()) == {None}
    assert verdict([0.05, 0.05], p_effects=p).effect_strengths is None


def test_a_model_with_every_head_misses_nothing() -> None:
    """``not_in_this_model`` is said exactly where a head is missing."""
    raw = WindowScores(np.zeros(1, np.float32), None, None, None)
    whole = replace(bundle(), heads=HEADS)
    assert "not_in_this_model" not in decide(raw, spans([0.1]), audio_info(), whole).reasons
    part = replace(bundle(), heads=HEADS - {"layers"})
    assert "not_in_this_model" in decide(raw, spans([0.1]), audio_info(), part).reasons


def test_reasons_tell_what_the_file_was() -> None:
    """A lossy, low-rate, truncated, clipped file says each of these."""
    counts = Counts(n_frames=100_000, n_flat=int(3 * CLIPPED_SHARE * 200_000), peak=1.0)
    info = audio_info(sample_rate_hz=22_050, lossy=True, truncated=True, counts=counts)
    assert {"lossy", "band_limited", "truncated", "clipped"} <= set(verdict([0.5], info=info).reasons)
    assert not {"lossy", "band_limited", "truncated", "clipped"} & set(verdict([0.5]).reasons)


def test_a_refusal_guesses_nothing() -> None:
    """Audio that cannot be judged has its status as reason, and no probability."""
    found = refuse("silent", audio_info(), spans([0.0]), bundle())
    assert (found.status, found.origin, found.processing) == ("silent", "undecided", "undecided")
    assert found.p_separated is found.confidence is found.sdr_ceiling_db is None
    assert found.reasons[0] == "silent"
    assert all(fit.suitable == "unknown" for fit in found.suitable_for)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=8), st.floats(0, 20))
def test_more_log_odds_never_lower_the_probability(logits: list[float], more: float) -> None:
    """Raising every window's log odds never lowers p_separated, which stays a probability."""
    at = lambda shift: verdict([0.5] * len(logits), logit=np.float32(logits) + np.float32(shift)).p_separated  # noqa: E731
    low, high = at(0.0), at(more)
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=8), st.randoms())
def test_the_order_of_windows_does_not_matter(p: list[float], random: object) -> None:
    """Shuffled windows give the same verdict but for the timeline."""
    shuffled = list(p)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert verdict(p).p_separated == pytest.approx(verdict(shuffled).p_separated, abs=2e-4)


def test_calibration_is_a_sigmoid() -> None:
    """Slope and intercept act as written, and far values stay finite."""
    assert calibrate(0.0, Calibration(2.0, 0.0)) == pytest.approx(0.5)
    assert calibrate([1.0, -1.0], Calibration(2.0, 1.0)) == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(1))])
    assert np.isfinite(calibrate([1e9, -1e9], Calibration(1.0, 0.0))).all()


def test_no_windows_is_none_scored() -> None:
    """An empty file has no window that counts."""
    assert scored(spans([])).shape == (0,)
