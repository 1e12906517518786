"""The cue table: every cue's reading of every clip of a corpus, one row a clip."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from provenance import evidence, frontend
from provenance.errors import UnreadableAudio
from training import catalogue, splits
from training.catalogue import Clip
from training.research.clips import NO_CLIP, about, sounding

CUES = tuple(cue.NAME for cue in evidence.CUES)


def read(path: Path) -> dict[str, float] | None:
    """Return the value of every cue of one file, NaN where it cannot be measured, or None if nothing in it sounds.

    Args:
        path: an audio file.

    Raises:
        UnreadableAudio: it cannot be read.
    """
    gallery = evidence.Gallery()
    n = 0
    for window in sounding(path):
        gallery.add(window, frontend.analyse(window))
        n += 1
    return {c.cue: np.nan if c.value is None else c.value for c in gallery.cues()} if n else None


def build(manifests: Sequence[Path], workers: int = os.cpu_count() or 1, oracle: bool = False) -> pd.DataFrame:
    """Return the cue table of a corpus: columns :data:`training.research.clips.META` and :data:`CUES`.

    Args:
        manifests: CSV files, as for :func:`training.catalogue.load`.
        workers: processes.
        oracle: keep outputs that are no blind separation (oracle masks, vocoders).

    Raises:
        CatalogueError: a manifest cannot be used, or no clip sounds.
    """
    clips = [c for c in catalogue.load(manifests)[0] if oracle or not c.oracle]
    unit_fold, _ = splits.folds(clips)
    with ProcessPoolExecutor(workers) as pool:
        rows = list(tqdm(pool.map(_row, clips, chunksize=8), total=len(clips), desc="cues", unit="clip"))
    found = [about(clip, unit_fold) | row for clip, row in zip(clips, rows, strict=True) if row]
    if not found:
        raise catalogue.CatalogueError(f"{', '.join(map(str, manifests))}: {NO_CLIP}")
    return pd.DataFrame(found)


def _row(clip: Clip) -> dict[str, float] | None:
    try:
        return read(clip.path)
    except UnreadableAudio:
        return None
