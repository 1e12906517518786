"""Which trainings a stem serves: the table of uses against origin and processing."""

from __future__ import annotations

from provenance.verdict import Fit, Origin, Processing, SdrCeiling, Use, UseFit

_WANTS: tuple[tuple[Use, str], ...] = (
    ("voice_cloning", "dry"),
    ("singing_synthesis_research", "dry"),
    ("singing_synthesis_production", "dry"),
    ("mix_ready_generator", "wet"),
    ("style_transfer", "wet"),
    ("effects_chain", "pair"),
    ("karaoke", "wet"),
    ("emotion_prosody", "dry"),
)
USES: tuple[Use, ...] = tuple(use for use, _ in _WANTS)


def judge(origin: Origin, processing: Processing, sdr: SdrCeiling | None) -> tuple[UseFit, ...]:
    """Judge each use by what it wants: dry, wet, or both versions of one recording.

    Args:
        origin: the stated origin.
        processing: the stated processing.
        sdr: the estimated ceiling of a separated stem, for the warning.

    >>> judge("studio", "dry", None)[0].suitable
    'yes'
    """
    return tuple(UseFit(use, *_fit(wants, origin, processing, sdr)) for use, wants in _WANTS)


def _fit(wants: str, origin: Origin, processing: Processing, sdr: SdrCeiling | None) -> tuple[Fit, str]:
    if origin == "separated":
        ceiling = f"; its ceiling is about {sdr.estimate:.0f} dB SDR" if sdr else ""
        return "no", f"separated, not recorded{ceiling}"
    if origin == "undecided":
        return "unknown", "the origin is undecided"
    if wants == "pair":
        return "needs_pair", "needs the dry and the wet version of the same recording"
    if processing == "undecided":
        return "unknown", f"wants {wants}; the processing is undecided"
    if processing == wants:
        return "yes", f"{processing} studio stem"
    return "no", f"wants {wants}; this is {processing}"
