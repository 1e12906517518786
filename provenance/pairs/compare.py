"""Two files side by side: one performance or two, how far apart, which is dry, and whether a chain links them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from provenance import audio
from provenance.audio import SAMPLE_RATE_HZ, Samples, Source
from provenance.decide import MIN_RATE_HZ, SILENT_RMS
from provenance.errors import UnreadableAudio
from provenance.pairs import relate
from provenance.pairs.align import align, fold, overlap
from provenance.pairs.heads import Head, read_head
from provenance.scorer import Scorer

MAX_S = 60.0
"""So much of each file is compared, from where it begins to sound."""
MIN_OVERLAP_S = 1.5

_SURE_PEAK, _SURE_RATIO = 60.0, 1.5
_ENVELOPE_CORRELATION, _ENVELOPE_PEAK = 0.3, 7.0
_NO_PEAK, _NO_ENVELOPE = 20.0, 0.2
_COPY_DB = -60.0
_WIDER = 0.05
_FILTERED = 0.97
_CHAIN_LINEAR, _CHAIN_UNEXPLAINED = 0.9, 0.1
_ALIEN_LINEAR, _ALIEN_UNEXPLAINED = 0.6, 0.25
_BLEED_LINEAR = 0.3

Answer = Literal["yes", "no", "undecided"]
Which = Literal["first", "second", "neither", "undecided"]


@dataclass(frozen=True)
class Side:
    """What was found on one of two files, in the minute of it that was compared.

    Args:
        path: as given.
        duration_s: length of what was compared.
        level_spread_db: standard deviation of its short-time level: compression and reverberation lower it.
        mean_level_db: mean of that level below the loudest.
        width: side relative to middle.
        origin: of the verdict on what was compared (of a longer file not that of the whole), or null without a model.
        p_separated: likewise; null where the model does not judge it, as below 16 kHz.
        p_wet: likewise.
    """

    path: str
    duration_s: float
    level_spread_db: float | None
    mean_level_db: float | None
    width: float | None
    origin: str | None = None
    p_separated: float | None = None
    p_wet: float | None = None


@dataclass(frozen=True)
class Pair:
    """What two files are to each other.

    Args:
        same_performance: whether they hold the same performance, if only one of them as bleed.
        offset_samples: what the first holds at sample n the second holds at n + offset, at 44.1 kHz; null if unknown.
        offset_s: the same in seconds.
        inverted: whether the second has the opposite polarity.
        overlap_s: how long they sound together in what was compared.
        peak: of the whitened correlation, in standard deviations.
        runner_up: its next peak.
        envelope_correlation: of how both rise and fall.
        copy: whether the second's middle channel is the first's but for gain and polarity.
        difference_db: energy of the second's middle that is no scaled copy of the first's.
        gain_db: of that copy.
        second_from_first: share of the second that a fixed filter makes from the first.
        first_from_second: the other way.
        unexplained: share of the second's energy where the first has had nothing.
        chain: whether the second can be the first through an effects chain.
        dry: which of the two is the drier; not told where the model calls one of them an extraction.
        dry_score: from -4 (the second) to 4 (the first).
        why: in words.
        first, second: what was found on each.
    """

    same_performance: Answer
    offset_samples: int | None
    offset_s: float | None
    inverted: bool | None
    overlap_s: float
    peak: float
    runner_up: float
    envelope_correlation: float
    copy: bool
    difference_db: float | None
    gain_db: float | None
    second_from_first: float | None
    first_from_second: float | None
    unexplained: float | None
    chain: Answer
    dry: Which
    dry_score: float | None
    why: tuple[str, ...]
    first: Side
    second: Side

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return dataclasses.asdict(self) | {"why": list(self.why)}


def compare(first: Source, second: Source, scorer: Scorer | None = None) -> Pair:
    """Compare a minute of two files, each from where it begins to sound.

    Args:
        first, second: paths, encoded bytes, binary files, or ``(samples, rate)``.
        scorer: of whose verdicts origin and wetness are used; None goes by the signals alone.

    Raises:
        UnreadableAudio: one of them cannot be read.
    """
    a, b = (_read(source) for source in (first, second))
    sides = [_side(audio.name_of(s), head, scorer) for s, head in zip((first, second), (a, b), strict=True)]
    return weigh_origins(place(compare_samples(a.samples, b.samples, sides[0], sides[1]), a, b))


def _read(source: Source) -> Head:
    head = read_head(source, MAX_S, SILENT_RMS)
    if not len(head.samples):  # nothing sounds: its silence is compared, to be named
        head = read_head(source, MAX_S, 0.0)
    if len(head.samples) < MIN_OVERLAP_S * SAMPLE_RATE_HZ:
        found = f"{len(head.samples) / SAMPLE_RATE_HZ:.2f} s of audio"
        raise UnreadableAudio(audio.name_of(source), "too_short", found, f"at least {MIN_OVERLAP_S} s")
    return head


def weigh_origins(pair: Pair) -> Pair:
    """Say nothing on dry and wet where one of them is an extraction, as a verdict says nothing on one.

    Args:
        pair: with the origins of its sides.
    """
    if pair.dry not in ("first", "second") or "separated" not in (pair.first.origin, pair.second.origin):
        return pair
    said = "an extraction among them: its holes and smear pass for dry and wet, of which nothing is told"
    return dataclasses.replace(pair, dry="undecided", why=(*pair.why, said))


def place(pair: Pair, a: Head, b: Head, most_s: float = MAX_S) -> Pair:
    """Count the offset from the beginnings of the files, and say what was not looked at.

    Args:
        pair: of the two stretches.
        a, b: where they lie in their files.
        most_s: so much of each was read.
    """
    later = b.start_samples - a.start_samples
    if pair.offset_samples is not None and later:
        at = pair.offset_samples + later
        pair = dataclasses.replace(pair, offset_samples=at, offset_s=round(at / SAMPLE_RATE_HZ, 5))
    if not (a.goes_on or b.goes_on):
        return pair
    said = f"of what is longer only {most_s:g} s were compared, from where it begins to sound"
    if pair.same_performance == "no" and a.goes_on != b.goes_on:  # the shorter may be a later part of the longer
        pair = dataclasses.replace(pair, same_performance="undecided", chain="undecided", dry="undecided")
    return dataclasses.replace(pair, why=(*pair.why, said))


def compare_samples(a: Samples, b: Samples, first: Side, second: Side) -> Pair:
    """Compare samples at 44.1 kHz that are at hand.

    Args:
        a, b: float32, shape (n, 1 or 2), at least 1.5 s. Of silence nothing is said.
        first, second: what is known of each.
    """
    silent = [name for name, samples in (("first", a), ("second", b)) if audio.level(samples) < SILENT_RMS]
    if silent:
        why = f"the {' and the '.join(silent)} {'are' if len(silent) > 1 else 'is'} silent"
        return _blank("undecided", 0.0, 0.0, 0.0, 0.0, why, first, second)
    wave_a, wave_b = fold(a), fold(b)
    found = align(wave_a, wave_b)
    shape = relate.envelope(wave_a, wave_b)
    phased = found.peak >= _SURE_PEAK and found.peak >= _SURE_RATIO * found.runner_up
    shaped = shape.correlation >= _ENVELOPE_CORRELATION and shape.peak >= _ENVELOPE_PEAK
    offset = found.offset_samples if phased else shape.offset_samples
    x, y = overlap(a, b, offset)
    together_s = len(x) / SAMPLE_RATE_HZ
    same: Answer = "undecided"
    if (phased or shaped) and together_s >= MIN_OVERLAP_S:
        same = "yes"
    elif found.peak < _NO_PEAK and shape.correlation < _NO_ENVELOPE:
        same = "no"
    blank = _blank(same, together_s if same == "yes" else 0.0, found.peak, found.runner_up, shape.correlation,
                   _WHY[same], first, second)  # fmt: skip
    if same != "yes":
        return blank
    return _describe(blank, x, y, offset, found.inverted if phased else None, phased)


_WHY = {
    "yes": "the waveforms agree at one offset",
    "no": "neither the waveforms nor their rise and fall agree at any offset",
    "undecided": "some likeness, too little to be sure",
}


def _blank(
    same: Answer, overlap_s: float, peak: float, runner_up: float, envelope: float, why: str, first: Side, second: Side
) -> Pair:
    """What is known of a pair before the two are laid over each other."""
    apart = same == "no"
    return Pair(same, None, None, None, round(overlap_s, 3), round(peak, 1), round(runner_up, 1), round(envelope, 3),
                False, None, None, None, None, None, "no" if apart else "undecided",
                "neither" if apart else "undecided", None, (why,), first, second)  # fmt: skip


def _describe(blank: Pair, x: Samples, y: Samples, offset: int, inverted: bool | None, phased: bool) -> Pair:
    wave_x, wave_y = fold(x), fold(y)
    apart_db, gain_db = relate.difference_db(x, y)
    forwards, backwards = relate.linear_share(wave_x, wave_y)
    alien = relate.unexplained(wave_x, wave_y)
    why = [_WHY["yes"] if phased else "their rise and fall agree at one offset, their waveforms do not"]
    copy = phased and bool(apart_db <= _COPY_DB)
    chain: Answer = "undecided"
    if copy or forwards >= _CHAIN_LINEAR or (phased and alien <= _CHAIN_UNEXPLAINED):
        chain = "yes"
        if not copy and forwards < _CHAIN_LINEAR:
            why.append("no other sound rules a chain out; a mix that holds one of them looks the same")
    elif forwards < _ALIEN_LINEAR and alien > _ALIEN_UNEXPLAINED:
        chain = "no"
        why.append(f"{alien:.0%} of the second's energy sounds where the first is silent")
    if chain != "yes" and max(forwards, backwards) < _BLEED_LINEAR:
        why.append("hardly anything of either follows from the other: bleed, or what a separator leaves, agrees so too")
    score, reasons = _dryness(blank.first, blank.second, wave_x, wave_y, x, y, min(forwards, backwards))
    dry: Which = "neither" if copy else "first" if score >= 1 else "second" if score <= -1 else "undecided"
    if copy:
        wide_x, wide_y = relate.width(x), relate.width(y)
        other = "gain and polarity" if inverted else "gain"
        why.append(f"the second is the first but for {other}" if abs(wide_x - wide_y) < _WIDER else
                   f"in the middle the second is the first but for {other}, beside it not: they are "
                   f"{wide_x:.2f} and {wide_y:.2f} wide")  # fmt: skip
    return dataclasses.replace(
        blank,
        offset_samples=offset,
        offset_s=round(offset / SAMPLE_RATE_HZ, 5),
        inverted=inverted,
        copy=copy,
        difference_db=round(apart_db, 1),
        gain_db=round(gain_db, 2),
        second_from_first=round(forwards, 3),
        first_from_second=round(backwards, 3),
        unexplained=round(alien, 3),
        chain=chain,
        dry=dry,
        dry_score=round(score, 2),
        why=(*why, *(reasons if not copy else ())),
    )


def _dryness(
    first: Side, second: Side, wave_x: audio.Samples, wave_y: audio.Samples, x: Samples, y: Samples, linear: float
) -> tuple[float, list[str]]:
    """Weigh the signs of a chain: dynamics squeezed, pauses filled, the image widened, and the model's opinion."""
    score, why = 0.0, []
    (mean_x, spread_x), (mean_y, spread_y) = relate.dynamics(wave_x), relate.dynamics(wave_y)
    if linear < _FILTERED:
        squeezed, filled = (float(np.clip(v / 2, -1, 1)) for v in (spread_x - spread_y, mean_y - mean_x))
        score += squeezed + filled
        if abs(squeezed + filled) >= 1:
            which = "second" if squeezed + filled > 0 else "first"
            why.append(f"the {which} has the smaller dynamics ({spread_x:.1f} and {spread_y:.1f} dB)")
    else:
        why.append("a fixed filter makes one from the other: dynamics say nothing on which came first")
    wide_x, wide_y = relate.width(x), relate.width(y)
    widened = float(np.clip((wide_y - wide_x) / 0.1, -1, 1))
    score += widened
    if abs(widened) >= 0.5:
        why.append(f"the {'second' if widened > 0 else 'first'} is wider ({wide_x:.2f} and {wide_y:.2f})")
    if first.p_wet is not None and second.p_wet is not None:
        score += float(np.clip((second.p_wet - first.p_wet) / 0.5, -1, 1))
        why.append(f"the model's probability of wet is {first.p_wet:.2f} and {second.p_wet:.2f}")
    return score, why


def _side(name: str, head: Head, scorer: Scorer | None) -> Side:
    samples = head.samples
    mean, spread = relate.dynamics(fold(samples))
    side = Side(name, round(len(samples) / SAMPLE_RATE_HZ, 3), round(spread, 2), round(mean, 2),
                round(relate.width(samples), 3))  # fmt: skip
    if scorer is None:
        return side
    if head.rate_hz < MIN_RATE_HZ:  # as of the file itself: resampled it would be judged
        return dataclasses.replace(side, origin="undecided")
    verdict = scorer.score((samples, SAMPLE_RATE_HZ))
    p_wet = None if verdict.p_processing is None else verdict.p_processing.get("wet")
    return dataclasses.replace(side, origin=verdict.origin, p_separated=verdict.p_separated, p_wet=p_wet)
