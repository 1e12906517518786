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
from provenance.mix.measure import SIGNS, Likeness, Sums, together
from provenance.pairs.heads import read_head
from provenance.verdict import Origin

Source: TypeAlias = "str | os.PathLike[str] | bytes | tuple[npt.ArrayLike, int]"
"""What can be read twice."""

CHUNK_S = 4.0
ALIGN_S = 30.0
_SOUNDING_RMS = 1e-4
_LEAST = SAMPLE_RATE_HZ
"""Samples of a second: less is not measured."""
ONE_SOUND = 0.95
"""Correlation of two stems' waveforms from which they are one file twice: those of a small Demucs reach 0.80."""
SURE = 0.9
"""Probability from which the mix alone decides."""
LEAST_REVERSE = 0.95
"""Probability with stem and mix in each other's place below which nothing is called separated. On the 44 songs of the
corpus's paired set 780 extractions by masks, as they are and handed on, had 0.97 or more, mixes named as stems 0.37 or
less, and stems that hear the others mostly less than 0.9; of those by small Demucs models half have less."""
MOST_EXCEEDS = 0.4
"""More of ``exceeds_mix`` does not count: a fader or a compressor that rides a true stem makes more of it."""
LEAST_PHASE = 0.35
"""Agreement of phase from which it is given as a reason."""


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
        p_separated: probability that the stem was extracted from this mix, by these signs alone: another measure than
            a verdict's. Null where the signs contradict each other.
        p_reverse: the same with stem and mix in each other's place. Of an extraction it is high, too, for either is
            made of the other; of takes that hear one another, and of a mix named as the stem of a take, it is not. A
            mix named as the stem of its extraction is told by which of the two rises above the other.
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
    p_reverse: float | None
    origin: Origin
    why: str


@dataclass(frozen=True)
class SongSum:
    """How the stems of a song lie to each other.

    Args:
        agreement: mean agreement of phase between stems where they overlap, -1 to 1; takes of a session have none.
        rest_db: energy of the mix less the sum of the stems, relative to the mix.
        behaves: ``session``, ``separator`` (only if one of them is called separated by itself) or ``unclear``.
        why: in words.
    """

    agreement: float
    rest_db: float
    behaves: str
    why: str


@dataclass(frozen=True)
class MixReport:
    """What the mix says of its stems.

    Args:
        stems: one entry a stem, in the order given.
        song: how those that were found in the mix lie to each other; null for fewer than two.
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
        stems: at least one, of the same kinds; each may start up to 10 s earlier or later than the mix, and end where
            it likes.

    Raises:
        UnreadableAudio: one of them cannot be read or has less than a second of sound, or the mix is silent there.
        ValueError: there is no stem, or one by itself and no list of them.
    """
    if isinstance(stems, (str, bytes, os.PathLike)):
        raise ValueError(f"found one stem by itself, {audio.name_of(stems)}; needed: a list of stems")
    if not stems:
        raise ValueError("found no stem; needed: at least one")
    alignments = [_align(stem, mix) for stem in stems]
    sums = [(Sums(), Sums()) for _ in stems]
    likeness = Likeness()
    agreement = weight = rest = total = 0.0
    with ExitStack() as stack:
        mix_chunks = _chunks(stack.enter_context(audio.open_audio(mix))[1], 0)
        stem_chunks = [
            _chunks(stack.enter_context(audio.open_audio(stem))[1], a.delay_samples if a.found else 0)
            for stem, a in zip(stems, alignments, strict=True)
        ]
        for whole in mix_chunks:
            parts = [next(chunks, whole[:0])[: len(whole)] for chunks in stem_chunks]  # one that has ended is silent
            if len(whole) < _LEAST or audio.level(whole) < _SOUNDING_RMS:
                continue
            heard = {
                k: part
                for k, (part, a) in enumerate(zip(parts, alignments, strict=True))
                if a.found and len(part) >= _LEAST and audio.level(part) >= _SOUNDING_RMS
            }
            for k, part in heard.items():
                sums[k][0].add(part, whole[: len(part)], sums[k][1])
            if len(heard) > 1:
                n = min(len(part) for part in heard.values())
                alike = {k: part[:n] for k, part in heard.items()}
                likeness.add(alike)
                added = together(list(alike.values()))
                agreement, weight = agreement + added[0], weight + added[1]
            left = mono = whole.mean(axis=1)
            for part, a in zip(parts, alignments, strict=True):
                if a.found and len(part):
                    left = left - np.pad(part.mean(axis=1), (0, len(whole) - len(part)))
            rest, total = rest + float(left @ left), total + float(mono @ mono)
    names = [audio.name_of(stem) for stem in stems]
    found = tuple(_conclude(name, *own, a) for name, own, a in zip(names, sums, alignments, strict=True))
    song = _song(agreement / weight, rest / max(total, 1e-30), likeness.most(), found) if weight else None
    return MixReport(found, song)


def probability(signs: dict[str, float | None]) -> float:
    """Return the probability of extraction from the signs alone.

    Args:
        signs: as :class:`StemInMix` holds them; a sign that is null is left out of the sum at its mean.
    """
    known = weights()
    z = known["intercept"]
    for name in SIGNS:
        value = signs.get(name)
        if value is not None and name == "exceeds_mix":
            value = min(value, MOST_EXCEEDS)
        z += known[name] * (known[f"{name}_mean"] if value is None else value)
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, z))))


def _conclude(name: str, sums: Sums, reverse: Sums, alignment: Alignment) -> StemInMix:
    signs = sums.signs()
    phase = signs["phase_agreement"]
    if not alignment.found or phase is None:
        why = "not found in the mix" if not alignment.found else "nothing in it overlaps with the rest of the mix"
        return StemInMix(
            name, alignment.found, None, None, None, dict.fromkeys(SIGNS), None, None, "undecided", why
        )  # fmt: skip
    p, p_reverse = probability(signs), probability(reverse.signs())
    doubt = _doubt(p_reverse, _is_the_larger(signs, reverse.signs())) if p >= SURE else None
    origin: Origin = "undecided" if doubt or 1 - SURE < p < SURE else "separated" if p >= SURE else "studio"
    why = {
        "separated": ("where it is weak it keeps the mix's phase, and " if phase >= LEAST_PHASE else "")
        + "it shares energy with the rest of the mix",
        "studio": "it is independent of the rest of the mix",
        "undecided": "it depends on the rest of the mix more than takes of a session do and less than extractions do",
    }[origin]
    return StemInMix(
        stem=name,
        found=True,
        delay_s=round(alignment.delay_samples / SAMPLE_RATE_HZ, 5),
        gain_db=round(sums.gain_db, 2),
        rest_db=round(sums.rest_db, 2),
        signs={k: None if v is None else round(v, 4) for k, v in signs.items()},
        p_separated=None if doubt else round(p, 4),
        p_reverse=round(p_reverse, 4),
        origin=origin,
        why=doubt or why,
    )


def _is_the_larger(signs: dict[str, float | None], reverse: dict[str, float | None]) -> bool:
    """Whether the stem rises above the mix in more places than the mix above the stem, as only a mix does.

    On the 44 songs of the corpus's paired set 1 of the 115 extractions that were called separated does so, and 110 of
    the 111 mixes that were, named as stems of their extractions; it is the same after MP3 and after saturation.
    """
    own, other = signs["exceeds_mix"], reverse["exceeds_mix"]
    return own is not None and other is not None and own > other


def _doubt(p_reverse: float, is_the_larger: bool) -> str | None:
    """Why a stem that depends on its mix is not called separated all the same; None if nothing speaks against it."""
    if p_reverse < 0.5:
        return "the mix lies in the stem as takes lie in a mix: is the mix named first?"
    if is_the_larger:
        return "the stem rises above the mix where a part of it would lie below: is the mix named first?"
    if p_reverse < LEAST_REVERSE:
        return "the mix depends less on the stem than on an extraction, as where microphones hear one another"
    return None


def _song(agreement: float, rest: float, likest: tuple[float, int, int] | None, stems: Sequence[StemInMix]) -> SongSum:
    known = weights()
    low, high = known["session_agreement"], known["separator_agreement"]
    behaves = "session" if agreement <= low else "separator" if agreement >= high else "unclear"
    why = {
        "session": "where they overlap they do not know each other",
        "separator": "where they overlap they share their phase",
        "unclear": "they share more than takes of a session do and less than the outputs of a separator",
    }[behaves]
    if likest is not None and likest[0] >= ONE_SOUND:
        _, i, k = likest
        behaves = "unclear"
        why = f"{stems[i].stem} and {stems[k].stem} hold the same sound: what they share says nothing of a separator"
    elif behaves == "separator" and not any(stem.origin == "separated" for stem in stems):
        behaves = "unclear"
        why = (
            "they share their phase, as do takes that hear one another and a group with a part of it; none is separated"
        )
    return SongSum(round(agreement, 4), round(10 * math.log10(rest + 1e-12), 2), behaves, why)


def _align(stem: Source, mix: Source) -> Alignment:
    head = read_head(stem, ALIGN_S, _SOUNDING_RMS)
    if len(head.samples) < _LEAST:
        raise UnreadableAudio(audio.name_of(stem), "too_short", "less than a second of sound", "a longer stem")
    other = read_head(mix, ALIGN_S, _SOUNDING_RMS, head.start_samples)
    if len(other.samples) < _LEAST:
        raise UnreadableAudio(
            audio.name_of(mix), "too_short", "less than a second where the stem sounds", "the whole mix"
        )
    if audio.level(other.samples) < _SOUNDING_RMS:
        raise UnreadableAudio(audio.name_of(mix), "silent", "silence where the stem sounds", "the mix of the stem")
    return align(head.samples, other.samples)


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
