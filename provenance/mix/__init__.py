"""Mix-aware evidence: a stem beside the mix it claims to come from, and the stems of a song beside each other."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance import audio
from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.errors import UnreadableAudio
from provenance.mix.align import Alignment, align
from provenance.mix.measure import SIGNS, Sums, together
from provenance.verdict import Origin

Source: TypeAlias = "str | os.PathLike[str] | bytes | tuple[npt.ArrayLike, int]"
"""What can be read twice."""

CHUNK_S = 4.0
ALIGN_S = 30.0
_SOUNDING_RMS = 1e-4
_MIN_S = 1.0
SURE = 0.9
"""Probability from which the mix alone decides."""


@dataclass(frozen=True)
class StemInMix:
    """How one stem lies in the mix.

    Args:
        stem: as the caller named it.
        found: whether the stem was found in the mix.
        delay_s: how much later the stem's first sample lies in the mix; null if it was not found.
        gain_db: gain from the stem to its part of the mix.
        rest_db: energy of the mix without the stem, relative to the mix.
        signs: ``phase_agreement`` (-1 to 1), ``shared_overlap`` (0 to 1), ``exceeds_mix`` (0 to 1),
            ``pause_coherence`` (-1 to 1); null where the stem shows nothing of the kind.
        p_separated: probability that the stem was extracted from this mix, by these signs alone.
        origin: ``undecided`` unless that probability is sure.
        why: in words.
    """

    stem: str
    found: bool
    delay_s: float | None
    gain_db: float | None
    rest_db: float | None
    signs: dict[str, float | None]
    p_separated: float | None
    origin: Origin
    why: str


@dataclass(frozen=True)
class SongSum:
    """How the stems of a song lie to each other.

    Args:
        agreement: mean agreement of phase between stems where they overlap, -1 to 1; takes of a session have none.
        rest_db: energy of the mix less the sum of the stems, relative to the mix.
        behaves: ``session``, ``separator`` or ``unclear``.
    """

    agreement: float
    rest_db: float
    behaves: str


@dataclass(frozen=True)
class MixReport:
    """What the mix says of its stems.

    Args:
        stems: one entry a stem, in the order given.
        song: how they lie to each other; null for a single stem.
    """

    stems: tuple[StemInMix, ...]
    song: SongSum | None


@cache
def weights() -> dict[str, float]:
    """Return the logistic weights of the signs, as ``python -m training.research.mixes`` fitted them on a corpus."""
    text = resources.files("provenance.mix").joinpath("weights.json").read_text(encoding="utf-8")
    found: dict[str, float] = json.loads(text)["weights"]
    return found


def against(mix: Source, stems: Sequence[Source]) -> MixReport:
    """Measure stems against the mix they claim to come from.

    Args:
        mix: a path, encoded bytes, or ``(samples, rate)``.
        stems: at least one, of the same kinds; each may start up to 10 s earlier or later than the mix.

    Raises:
        UnreadableAudio: one of them cannot be read, or is shorter than a second.
        ValueError: there is no stem.
    """
    if not stems:
        raise ValueError("found no stem; needed: at least one")
    alignments = [_align(stem, mix) for stem in stems]
    sums = [Sums() for _ in stems]
    agreement = weight = rest = total = 0.0
    with ExitStack() as stack:
        mix_chunks = _chunks(stack.enter_context(audio.open_audio(mix))[1], 0)
        stem_chunks = [
            _chunks(stack.enter_context(audio.open_audio(stem))[1], a.delay_samples if a.found else 0)
            for stem, a in zip(stems, alignments, strict=True)
        ]
        for whole, *parts in zip(mix_chunks, *stem_chunks, strict=False):
            n = min(len(whole), *(len(part) for part in parts))
            if n < _MIN_S * SAMPLE_RATE_HZ or _rms(whole[:n]) < _SOUNDING_RMS:
                continue
            whole, parts = whole[:n], [part[:n] for part in parts]
            sounding = [_rms(part) >= _SOUNDING_RMS for part in parts]
            for part, own, a, heard in zip(parts, sums, alignments, sounding, strict=True):
                if heard and a.found:
                    own.add(part, whole)
            if sum(sounding) > 1:
                added = together([part for part, heard in zip(parts, sounding, strict=True) if heard])
                agreement, weight = agreement + added[0], weight + added[1]
            mono = whole.mean(axis=1)
            left = mono - sum(part.mean(axis=1) for part in parts)
            rest, total = rest + float(left @ left), total + float(mono @ mono)
    found = tuple(_conclude(audio.name_of(stem), own, a) for stem, own, a in zip(stems, sums, alignments, strict=True))
    return MixReport(found, _song(agreement / weight, rest / max(total, 1e-30)) if weight else None)


def probability(signs: dict[str, float | None]) -> float:
    """Return the probability of extraction from the signs alone.

    Args:
        signs: as :class:`StemInMix` holds them; a sign that is null is left out of the sum at its mean.
    """
    known = weights()
    z = known["intercept"]
    for name in SIGNS:
        value = signs.get(name)
        z += known[name] * (known[f"{name}_mean"] if value is None else value)
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, z))))


def _conclude(name: str, sums: Sums, alignment: Alignment) -> StemInMix:
    signs = sums.signs()
    if not alignment.found or signs["phase_agreement"] is None:
        why = "not found in the mix" if not alignment.found else "nothing in it overlaps with the rest of the mix"
        return StemInMix(name, alignment.found, None, None, None, dict.fromkeys(SIGNS), None, "undecided", why)
    p = probability(signs)
    origin: Origin = "separated" if p >= SURE else "studio" if p <= 1 - SURE else "undecided"
    why = {
        "separated": "where it is weak it keeps the mix's phase, and it shares energy with the rest of the mix",
        "studio": "it is independent of the rest of the mix",
        "undecided": "it depends on the rest of the mix more than takes of a session do and less than extractions do",
    }[origin]
    delay_s = round(alignment.delay_samples / SAMPLE_RATE_HZ, 5)
    rounded = {k: None if v is None else round(v, 4) for k, v in signs.items()}
    return StemInMix(name, True, delay_s, round(sums.gain_db, 2), round(sums.rest_db, 2), rounded, round(p, 4), origin,
                     why)  # fmt: skip


def _song(agreement: float, rest: float) -> SongSum:
    known = weights()
    low, high = known["session_agreement"], known["separator_agreement"]
    behaves = "session" if agreement <= low else "separator" if agreement >= high else "unclear"
    return SongSum(round(agreement, 4), round(10 * math.log10(rest + 1e-12), 2), behaves)


def _align(stem: Source, mix: Source) -> Alignment:
    head, start = _head(stem, None)
    other, _ = _head(mix, start)
    if len(head) < _MIN_S * SAMPLE_RATE_HZ:
        raise UnreadableAudio(audio.name_of(stem), "too_short", "less than a second of sound", "a longer stem")
    if len(other) < _MIN_S * SAMPLE_RATE_HZ:
        raise UnreadableAudio(
            audio.name_of(mix), "too_short", "less than a second where the stem sounds", "the whole mix"
        )
    return align(head, other)


def _head(source: Source, start: int | None) -> tuple[Samples, int]:
    """Read 30 s from ``start``, or from a second before anything sounds."""
    held: list[Samples] = []
    n = position = 0
    want = int(ALIGN_S * SAMPLE_RATE_HZ)
    with audio.open_audio(source) as (_, blocks):
        for block in blocks:
            if start is None and _rms(block) < _SOUNDING_RMS:
                position += len(block)
                continue
            if start is None:
                start = position
            skip = max(0, start - position)
            position += len(block)
            if skip < len(block):
                held.append(block[skip:])
                n += len(block) - skip
            if n >= want:
                break
    joined = np.concatenate(held)[:want] if held else np.zeros((0, 1), np.float32)
    return joined, start or 0


def _chunks(blocks: Iterator[Samples], delay: int) -> Iterator[Samples]:
    """Cut a stream into 4 s chunks on the mix's clock: ``delay`` zeros first, or so many samples dropped."""
    size = int(CHUNK_S * SAMPLE_RATE_HZ)
    held: list[Samples] = []
    n, drop = 0, max(0, -delay)
    for block in blocks:
        if not held and n == 0 and delay > 0:
            held, n, delay = [np.zeros((delay, block.shape[1]), np.float32)], delay, 0
        if drop:
            cut = min(drop, len(block))
            drop -= cut
            block = block[cut:]
        held.append(block)
        n += len(block)
        while n >= size:
            joined = np.concatenate(held)
            yield joined[:size]
            held, n = [joined[size:]], n - size
    if n:
        yield np.concatenate(held)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if samples.size else 0.0
