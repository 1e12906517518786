"""Which stem a file's or an instrument's name tells of."""

from __future__ import annotations

import re

_KIND_RULES: tuple[tuple[str, str], ...] = (
    (r"instrumental|accompaniment|no.?vo[cx]|minus.?one|karaoke|backing.?track", "other"),
    (
        r"vocal|vox|voice|voix|sing(er|ing)|choir|lead.?v|b(ack(ing|ground))?.?v(ox|oc)|\brap(per|ping|s)?\b|beat.?box",
        "vocals",
    ),
    (r"drum|kick|snare|hi.?hat|cymbal|\btoms?\b|overhead|percussion|conga|bongo|tambourine|shaker|\bclaps?\b", "drums"),
    (r"bass(?!oon|.?clarinet)|\b808s?\b", "bass"),
    (r"mixture|\bmix\b|\bmaster\b|full.?song", "mix"),
    (r"\bother\b|\brest\b", "other"),
)


def kind_of(name: str) -> str:
    """Return which stem a file's or an instrument's name tells of; a name no rule knows is returned tidied.

    >>> kind_of("01_LeadVox"), kind_of("electric bass"), kind_of("bassoon"), kind_of("Drum Set")
    ('vocals', 'bass', 'bassoon', 'drums')
    """
    text = re.sub(r"[_\W]+", " ", name.lower()).strip()
    for pattern, kind in _KIND_RULES:
        if re.search(pattern, text):
            return kind
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_") or "other"
