"""The verdict: what a stem is, how sure that is, and why."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, cast

SCHEMA_VERSION = "1"

Origin = Literal["studio", "separated", "undecided"]
Processing = Literal["dry", "hybrid", "wet", "undecided"]
Family = Literal["waveform", "hybrid", "spectrogram_mask", "complex_mask", "transformer", "classical", "unknown"]
Layers = Literal["individual", "submix", "undecided"]
Status = Literal["ok", "too_short", "silent", "band_limited"]
Refusal = Literal["too_short", "silent", "band_limited"]
"""Every status but ``ok``; it is the first of the reasons, too."""
Use = Literal[
    "voice_cloning",
    "singing_synthesis_research",
    "singing_synthesis_production",
    "mix_ready_generator",
    "style_transfer",
    "effects_chain",
    "karaoke",
    "emotion_prosody",
]
Fit = Literal["yes", "no", "needs_pair", "unknown"]
Reason = Literal[
    "silent",
    "too_short",
    "low_confidence",
    "noise_gated",
    "parts_disagree",
    "outside_training",
    "band_limited",
    "lossy",
    "truncated",
    "not_in_this_model",
    "clipped",
]
REASONS: dict[Reason, str] = {
    "silent": "it holds no sound",
    "too_short": "what sounds of it is under one second",
    "low_confidence": "the probability of extraction lies between the two thresholds",
    "noise_gated": "bins of its spectrum were closed one by one, as by a noise reduction: what a separator leaves, too",
    "parts_disagree": "some of it looks extracted and some recorded, as where files were spliced",
    "outside_training": "it is unlike all that the model was trained with",
    "band_limited": "its sample rate cuts off a part of the range in which the traces lie",
    "lossy": "its coding is lossy, which hides traces",
    "truncated": "its header promises more than the file holds, or its end is missing",
    "not_in_this_model": "the loaded model lacks a head, and what that would say is null",
    "clipped": "it lies flat at full scale, which hides traces",
}
"""What each reason says."""


@dataclass(frozen=True)
class SdrCeiling:
    """Estimated SDR of an extraction: 10 log10(sum s^2 / sum (s - s_hat)^2) over the clip and all channels, in dB.

    Args:
        estimate: blind estimate.
        low: lower end of the 90 % interval.
        high: upper end of the 90 % interval.
    """

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Segment:
    """One window of the timeline.

    Args:
        start_s: where it begins.
        end_s: where it ends.
        p_separated: calibrated probability that it was extracted; null where it is silent, by itself or beside the
            loudest window.
    """

    start_s: float
    end_s: float
    p_separated: float | None


@dataclass(frozen=True)
class Cue:
    """A measured sign that a person can check.

    Args:
        cue: what was measured.
        value: the value, or null with the reason in ``suggests``.
        unit: of the value.
        suggests: what it suggests.
        studio_range: 5th to 95th percentile of the value over true stems of the corpus, or null if nobody measured it.
        separated_range: the same over separated stems.
    """

    cue: str
    value: float | None
    unit: str
    suggests: str
    studio_range: tuple[float, float] | None = None
    separated_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class UseFit:
    """Whether the stem suits one use, by origin and processing alone: whether it is a voice, say, is not looked at.

    Args:
        use: the use.
        suitable: ``yes``, ``no``, ``needs_pair`` (only with the other version of the recording) or ``unknown``.
        why: in words.
    """

    use: Use
    suitable: Fit
    why: str


@dataclass(frozen=True)
class AudioRead:
    """What was read.

    Args:
        duration_s: length.
        sample_rate_hz: of the source, before resampling to 44.1 kHz.
        n_channels: of the source.
        codec: container and coding.
        n_windows: windows scored.
        n_silent: windows set aside: silent, or 40 dB and more below the loudest.
    """

    duration_s: float
    sample_rate_hz: int
    n_channels: int
    codec: str
    n_windows: int
    n_silent: int


@dataclass(frozen=True)
class Thresholds:
    """What the verdict was decided with.

    Args:
        separated: ``p_separated`` from which a stem is called separated.
        studio: ``p_separated`` up to which it is called studio.
        processing: probability from which a processing is stated.
        distance: distance to the training data from which a stem lies outside it.
        family: probability from which a kind of separator is named.
        layers: probability from which one or several performances are stated.
    """

    separated: float
    studio: float
    processing: float
    distance: float
    family: float
    layers: float


@dataclass(frozen=True)
class Verdict:
    """What one stem is.

    A field for which the loaded model has no head is null, and ``reasons`` says ``not_in_this_model``.

    Args:
        schema_version: of this record.
        status: ``ok``, or why the audio was read but not judged.
        origin: recorded to its own track, or extracted from a mix.
        p_separated: calibrated probability of extraction: the windows' mean, raised by the cue ``cycles``; calibrated
            for a set half of which is extracted, each family of separators alike: where fewer are, it is too high.
        confidence: probability of the likelier side, also where that is not stated: filter by ``origin``.
        family: nearest kind of separator, for a separated stem.
        sdr_ceiling_db: estimated SDR, for a separated stem.
        processing: dry, hybrid, wet or undecided; always undecided of a separated stem, which does not tell.
        p_processing: probability of each processing, of a separated stem too.
        effects: probability of each effect.
        effect_strengths: of each effect that is likelier than not, 0 to 1 on the scale of the chains that the model
            learnt from, whose mildest lie above 0; null of the others, of those whose strength cannot be told, and of
            a separated stem.
        layers: one performance or several.
        segments: the timeline, each window by itself, without the cue ``cycles``, which takes a whole file; windows of
            4 s side by side, the last moved back to end with the sound, so that it may overlap the one before. What
            lies at either end of the file 72 dB and more below its loudest sample is in none. With sparse coverage they
            are those that were looked at.
        evidence: measured signs.
        suitable_for: which uses it suits.
        reasons: codes that say why the verdict is not surer, or was refused.
        audio: what was read.
        model: name and checksum of the model.
        thresholds: what was decided with.
    """

    schema_version: str
    status: Status
    origin: Origin
    p_separated: float | None
    confidence: float | None
    family: Family | None
    sdr_ceiling_db: SdrCeiling | None
    processing: Processing
    p_processing: dict[str, float] | None
    effects: dict[str, float] | None
    effect_strengths: dict[str, float | None] | None
    layers: Layers | None
    segments: tuple[Segment, ...]
    evidence: tuple[Cue, ...] | None
    suitable_for: tuple[UseFit, ...]
    reasons: tuple[Reason, ...]
    audio: AudioRead
    model: str
    thresholds: Thresholds

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain dictionaries, lists, numbers and strings, ready for JSON."""
        return cast("dict[str, Any]", _plain(dataclasses.asdict(self)))


@cache
def json_schema() -> str:
    """Return the JSON schema of :meth:`Verdict.to_dict`, as text."""
    return resources.files("provenance").joinpath("verdict.schema.json").read_text(encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
