"""The decision: pure functions from window scores to a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provenance.audio import AudioInfo
from provenance.bundle import Bundle, Calibration
from provenance.model import EFFECTS, GATED_FROM, HEADS, KINDS, PROCESSINGS, WindowScores
from provenance.suitability import judge
from provenance.verdict import (
    SCHEMA_VERSION,
    AudioRead,
    Family,
    Layers,
    Origin,
    Processing,
    Reason,
    Refusal,
    SdrCeiling,
    Segment,
    Status,
    Verdict,
)  # fmt: skip

MIN_RATE_HZ = 16_000
"""A source below this rate holds nothing of the range where the traces lie: it is not judged."""
FULL_RATE_HZ = 44_100
SILENT_BELOW_LOUDEST_DB = -40.0
"""A window this far below the file's loudest is a pause, and set aside: its hiss would speak for a recording."""
SILENT_RMS = 1e-5
"""-100 dBFS: below it there is only rounding."""
SILENT_PEAK = 4 / 2**15
"""What never gets beyond four steps of 16 bits is the dither of an empty track."""
ENDS_BELOW_PEAK_DB = -72.0
"""Ends that stay so far below the loudest sample are padding: digital silence, its dither, the last of a fade."""
CALIBRATED_SHARE = 0.5
"""Share of extractions among the files that a model's probabilities hold for."""
LIKELY = 0.5
"""Probability from which the strength of an effect is stated."""
RUN = 2
"""Windows in a row that say what a part of a file is: where two such parts lie on either side, the whole says nothing.

Of 205 true stems of 16 s or more that no model had seen and that are called studio none has such parts; of 49 of them
with 16 s of an extraction at their end, which would all be called studio, 47 have."""
CLIPPED_SHARE = 5e-4
"""Of the samples flat at full scale; a peak that is hit now and then leaves fewer."""


RAISED_BY = 0.01
"""What the cue ``cycles`` must add to a probability before it is said that it did."""
_LEAST_P = 5e-5
"""Half a step of the timeline's probabilities, which are rounded."""


@dataclass(frozen=True)
class Spans:
    """Where the windows of a file lie, and how loud each is.

    Args:
        start_s, end_s: shape (n,).
        rms: shape (n,), level without DC, full scale 1.0.
        features_of: shape (n,), row of the scores that belongs to the window, or -1 if it was not computed.
        duration_s: of the whole file.
    """

    start_s: Sequence[float]
    end_s: Sequence[float]
    rms: Sequence[float]
    features_of: Sequence[int]
    duration_s: float


def calibrate(logit: npt.ArrayLike, calibration: Calibration, raised: npt.ArrayLike = 0.0) -> npt.NDArray[np.float64]:
    """Turn raw log odds into probabilities.

    Args:
        logit: any shape.
        calibration: slope and intercept.
        raised: added to the calibrated log odds, one for all or of the same shape.
    """
    z = np.asarray(logit, np.float64) * calibration.slope + calibration.intercept + np.asarray(raised)
    out: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(z, -60, 60)))
    return out


def scored(spans: Spans) -> npt.NDArray[np.bool_]:
    """Return which windows count: those that are not silent beside the file's loudest.

    Args:
        spans: the windows of a file.
    """
    rms = np.asarray(spans.rms, np.float64)
    if len(rms) == 0:
        return np.zeros(0, np.bool_)
    least = max(SILENT_RMS, float(rms.max()) * 10 ** (SILENT_BELOW_LOUDEST_DB / 20))
    out: npt.NDArray[np.bool_] = (rms >= least) & (np.asarray(spans.features_of) >= 0)
    return out


def of_windows(p: Iterable[float | None]) -> float | None:
    """Return what the windows of a verdict come to by themselves, before the cue ``cycles`` raises it; None of none.

    Args:
        p: probabilities of the timeline, None where a window was set aside.
    """
    known = np.array([value for value in p if value is not None])
    if not len(known):
        return None
    known = known.clip(_LEAST_P, 1 - _LEAST_P)
    return float(1 / (1 + np.exp(-np.log(known / (1 - known)).mean())))


def raised_from(p: float | None, timeline: Iterable[float | None]) -> float | None:
    """Return what the windows of a verdict come to by themselves where the cue ``cycles`` raised it; else None.

    Args:
        p: probability of the verdict.
        timeline: as for :func:`of_windows`.
    """
    alone = of_windows(timeline)
    return None if alone is None or p is None or p < alone + RAISED_BY else alone


def refuse(status: Refusal, info: AudioInfo, spans: Spans, bundle: Bundle) -> Verdict:
    """Return the verdict on audio that was read and cannot be judged.

    Args:
        status: why.
        info: what was read.
        spans: its windows.
        bundle: the model that was not asked.
    """
    return _verdict(_Stated(status, reasons=(status,)), info, spans, bundle)


def decide(scores: WindowScores, spans: Spans, info: AudioInfo, bundle: Bundle, cycles: float | None = None) -> Verdict:
    """Pool the windows of a file and decide.

    Args:
        scores: raw scores of the computed windows.
        spans: where they lie; at least one counts.
        info: what was read.
        bundle: calibration and thresholds.
        cycles: the file's cue of that name, which can raise the probability of extraction and never lowers it.
    """
    counts = scored(spans)
    rows = np.asarray(spans.features_of)[counts]
    limits = bundle.thresholds
    raised = 0.0 if bundle.cycles is None else bundle.cycles.of(cycles)
    p = float(calibrate(scores.logit[rows].mean(), bundle.calibration, raised))
    reasons: list[Reason] = []
    origin: Origin = "undecided"
    if p >= limits.separated:
        origin = "separated"
    elif p <= limits.studio:
        origin = "studio"
    else:
        reasons.append("low_confidence")
    if origin != "studio" and scores.p_gated is not None and float(np.median(scores.p_gated[rows])) > GATED_FROM:
        origin = "undecided"  # a window that the graph did not hold, or a cue, had lifted the mean over the line
        reasons.append("noise_gated")
    if _parts_disagree(scores.logit[rows], bundle):
        origin = "undecided" if origin == "studio" else origin
        reasons.append("parts_disagree")
    if scores.distance is not None and float(np.median(scores.distance[rows])) > limits.distance:
        origin = "undecided"
        reasons.append("outside_training")
    sdr = None
    if scores.sdr_db is not None and origin == "separated":
        estimate = float(scores.sdr_db[rows].mean())
        half = bundle.sdr_interval.half_width(estimate)
        sdr = SdrCeiling(round(estimate, 2), round(estimate - half, 2), round(estimate + half, 2))
    processing: Processing = "undecided"
    p_processing = None
    if scores.p_processing is not None:
        mean = scores.p_processing[rows].mean(axis=0)
        p_processing = {name: round(float(v), 4) for name, v in zip(PROCESSINGS, mean, strict=True)}
        can_tell = origin != "separated" and "outside_training" not in reasons  # half of what it says then is wrong
        if can_tell and float(mean.max()) >= limits.processing:
            processing = PROCESSINGS[int(mean.argmax())]  # type: ignore[assignment]
    timeline = tuple(
        Segment(
            round(spans.start_s[i], 3),
            round(spans.end_s[i], 3),
            round(float(calibrate(scores.logit[spans.features_of[i]], bundle.calibration)), 4) if counts[i] else None,
        )
        for i in range(len(counts))
    )
    stated = _Stated(
        "ok", origin, p, _confidence(origin, p), _family(scores, rows, origin, limits.family), sdr, processing,
        p_processing, _effects(scores, rows), _strengths(scores, rows, origin), _layers(scores, rows, limits.layers),
        tuple(reasons), timeline,
    )  # fmt: skip
    return _verdict(stated, info, spans, bundle)


def _parts_disagree(logit: npt.NDArray[np.float32], bundle: Bundle) -> bool:
    """Whether windows in a row would be called separated, and others studio, if they were files."""
    if len(logit) < 2 * RUN:
        return False
    p = calibrate(np.convolve(logit, np.full(RUN, 1.0 / RUN), "valid"), bundle.calibration)
    return bool(p.max() >= bundle.thresholds.separated and p.min() <= bundle.thresholds.studio)


def _family(scores: WindowScores, rows: npt.NDArray[np.int64], origin: Origin, least: float) -> Family | None:
    """Nearest kind of separator of a separated stem; ``unknown`` where none is likely enough."""
    if scores.p_kind is None or origin != "separated":
        return None
    mean = scores.p_kind[rows].mean(axis=0)
    best = int(mean.argmax())
    return KINDS[best] if float(mean[best]) >= least else "unknown"  # type: ignore[return-value]


def _effects(scores: WindowScores, rows: npt.NDArray[np.int64]) -> dict[str, float] | None:
    if scores.p_effects is None:
        return None
    mean = scores.p_effects[rows].mean(axis=0)
    return {name: round(float(p), 4) for name, p in zip(EFFECTS, mean, strict=True)}


def _strengths(scores: WindowScores, rows: npt.NDArray[np.int64], origin: Origin) -> dict[str, float | None] | None:
    """How strong each effect is that is likelier than not; after a separation that is no better told than guessed."""
    if scores.strengths is None or scores.p_effects is None:
        return None
    likely = (scores.p_effects[rows].mean(axis=0) >= LIKELY) & (origin != "separated")
    mean = np.clip(scores.strengths[rows].mean(axis=0), 0, 1)
    told = likely & np.isfinite(mean)
    return {name: round(float(s), 3) if t else None for name, s, t in zip(EFFECTS, mean, told, strict=True)}


def _layers(scores: WindowScores, rows: npt.NDArray[np.int64], least: float) -> Layers | None:
    if scores.p_submix is None:
        return None
    p = float(scores.p_submix[rows].mean())
    if max(p, 1 - p) < least:
        return "undecided"
    return "submix" if p > 0.5 else "individual"


def _confidence(origin: Origin, p: float) -> float:
    return {"separated": p, "studio": 1.0 - p, "undecided": max(p, 1.0 - p)}[origin]


@dataclass(frozen=True)
class _Stated:
    """What a verdict says, before what was read is put beside it."""

    status: Status
    origin: Origin = "undecided"
    p: float | None = None
    confidence: float | None = None
    family: Family | None = None
    sdr: SdrCeiling | None = None
    processing: Processing = "undecided"
    p_processing: dict[str, float] | None = None
    effects: dict[str, float] | None = None
    effect_strengths: dict[str, float | None] | None = None
    layers: Layers | None = None
    reasons: tuple[Reason, ...] = ()
    segments: tuple[Segment, ...] = ()


def _verdict(stated: _Stated, info: AudioInfo, spans: Spans, bundle: Bundle) -> Verdict:
    counts = scored(spans)
    notes = list(stated.reasons)
    if info.sample_rate_hz < FULL_RATE_HZ and "band_limited" not in notes:
        notes.append("band_limited")
    if info.lossy:
        notes.append("lossy")
    if info.is_short:
        notes.append("truncated")
    if not bundle.heads >= HEADS:
        notes.append("not_in_this_model")
    if info.flat_share >= CLIPPED_SHARE:
        notes.append("clipped")
    return Verdict(
        schema_version=SCHEMA_VERSION,
        status=stated.status,
        origin=stated.origin,
        p_separated=None if stated.p is None else round(stated.p, 4),
        confidence=None if stated.confidence is None else round(stated.confidence, 4),
        family=stated.family,
        sdr_ceiling_db=stated.sdr,
        processing=stated.processing,
        p_processing=stated.p_processing,
        effects=stated.effects,
        effect_strengths=stated.effect_strengths,
        layers=stated.layers,
        segments=stated.segments,
        evidence=None,
        suitable_for=judge(stated.origin, stated.processing, stated.sdr),
        reasons=tuple(notes),
        audio=AudioRead(
            duration_s=round(spans.duration_s, 3),
            sample_rate_hz=info.sample_rate_hz,
            n_channels=info.n_channels,
            codec=info.codec,
            n_windows=int(counts.sum()),
            n_silent=int(len(counts) - counts.sum()),
        ),
        model=bundle.reference,
        thresholds=bundle.thresholds,
    )
