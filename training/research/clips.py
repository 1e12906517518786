"""What every table of research has of a clip: its columns, and the windows in which it sounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from provenance import audio
from provenance.audio import Samples
from provenance.decide import SILENT_RMS
from provenance.windows import split
from training.catalogue import Clip
from training.splits import unit_of

META = ("clip", "set", "song", "stem", "origin", "separator", "family", "kind", "wetness", "sdr_db", "repo", "unit",
        "fold")  # fmt: skip
NO_CLIP = "found no clip that sounds; needed: studio stems and extractions, readable and not silent"


def about(clip: Clip, unit_fold: dict[str, int]) -> dict[str, Any]:
    """Return what the catalogue knows of a clip, by the columns :data:`META`.

    Args:
        clip: of the catalogue.
        unit_fold: fold of each unit.
    """
    family = clip.family
    unit = unit_of(clip)
    return {
        "clip": clip.name,
        "set": clip.set_name,
        "song": clip.song,
        "stem": clip.stem,
        "origin": clip.origin,
        "separator": clip.separator,
        "family": family.name if family else "",
        "kind": family.kind if family else "",
        "wetness": clip.wetness,
        "sdr_db": clip.sdr_db,
        "repo": clip.repo,
        "unit": unit,
        "fold": unit_fold[unit],
    }


def sounding(path: Path) -> Iterator[Samples]:
    """Yield the windows of a file that are not silent.

    Args:
        path: an audio file.

    Raises:
        UnreadableAudio: it cannot be read.
    """
    with audio.open_audio(path) as (_, blocks):
        for window in split(blocks):
            centred = window.samples - window.samples.mean(axis=0)
            if float(np.sqrt(np.mean(centred**2))) >= SILENT_RMS:
                yield window.samples
