"""A light detector for research: boosted trees over the front end's statistics, fitted in seconds.

It is the shipped model's first half without its augmentation and surrogates: good for asking how a question's answer
changes when a family or a repository is left out, not for verdicts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from tqdm import tqdm

from provenance import frontend
from provenance.audio import Samples
from provenance.errors import UnreadableAudio
from training import catalogue, splits
from training.catalogue import Clip
from training.research.clips import NO_CLIP, about, sounding

N_WINDOWS = 2
ROUNDS = 100
BINS = 63
"""Values that a statistic may split at: with 255 a fit takes four times as long."""


@dataclass(frozen=True)
class Windows:
    """Windows of a corpus with what is known of each.

    Args:
        features: float32, shape (n, N_TEXTURE).
        meta: one row each: :data:`training.research.clips.META` and ``family_fold``.
    """

    features: npt.NDArray[np.float32]
    meta: pd.DataFrame

    @property
    def separated(self) -> npt.NDArray[np.bool_]:
        """The label of each row."""
        return (self.meta["origin"] == "separated").to_numpy()


@dataclass(frozen=True)
class Detector:
    """A fitted detector.

    Args:
        trees: over the front end's statistics.
    """

    trees: HistGradientBoostingClassifier

    def logits(self, samples: Iterable[Samples]) -> npt.NDArray[np.float32]:
        """Return the log odds of extraction of windows, as ``provenance.Scorer.logits`` does.

        Args:
            samples: windows, float32 of shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent.
        """
        features = np.stack([frontend.compute(window)[: frontend.N_TEXTURE] for window in samples])
        return self.trees.decision_function(features).astype(np.float32)


def gather(manifests: Sequence[Path], workers: int = os.cpu_count() or 1) -> Windows:
    """Compute the windows of a corpus: at most two a clip, and no near-oracle outputs.

    Args:
        manifests: CSV files, as for :func:`training.catalogue.load`.
        workers: processes.

    Raises:
        CatalogueError: a manifest cannot be used, or no clip sounds.
    """
    clips = [c for c in catalogue.load(manifests)[0] if not c.oracle]
    unit_fold, family_fold = splits.folds(clips)
    joined = splits.joined_units(clips)
    with ProcessPoolExecutor(workers) as pool:
        found = list(tqdm(pool.map(_features, clips, chunksize=8), total=len(clips), desc="windows", unit="clip"))
    features, meta = [], []
    for clip, rows in zip(clips, found, strict=True):
        fold = family_fold.get(clip.family.name, -1) if clip.family else -1
        for row in rows:
            features.append(row)
            unit = joined[splits.unit_of(clip)]  # one for repositories that share a song
            meta.append(about(clip, unit_fold) | {"family_fold": fold, "unit": unit})
    if not features:
        raise catalogue.CatalogueError(f"{', '.join(map(str, manifests))}: {NO_CLIP}")
    return Windows(np.stack(features), pd.DataFrame(meta))


def fit(windows: Windows, rows: npt.NDArray[np.bool_], seed: int = 0) -> Detector:
    """Fit the detector.

    Args:
        windows: of a corpus.
        rows: which to learn from; both classes must be among them.
        seed: of the trees.
    """
    trees = HistGradientBoostingClassifier(
        max_iter=ROUNDS, learning_rate=0.1, max_leaf_nodes=15, max_features=0.1, max_bins=BINS,
        class_weight="balanced", early_stopping=False, random_state=seed,
    )  # fmt: skip
    return Detector(trees.fit(windows.features[rows], windows.separated[rows]))


def unseen(windows: Windows, fold: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the rows to learn from and the rows to judge: units and families of the fold are held out together.

    Args:
        windows: of a corpus.
        fold: 0, 1 or 2.
    """
    meta = windows.meta
    inside = (meta["fold"] == fold).to_numpy()
    family = (meta["family_fold"] == fold).to_numpy()
    return ~inside & ~family, inside & (~windows.separated | family)


def by_clip(windows: Windows, rows: npt.NDArray[np.bool_], logit: npt.NDArray[np.floating]) -> pd.DataFrame:
    """Return one row a clip with its mean log odds in the column ``logit``.

    Args:
        windows: of a corpus.
        rows: which were judged.
        logit: of those rows.
    """
    meta = windows.meta[rows].assign(logit=np.asarray(logit, np.float64))
    first = meta.drop(columns="logit").drop_duplicates("clip").set_index("clip")
    return first.join(meta.groupby("clip")["logit"].mean()).reset_index()


def _features(clip: Clip) -> list[npt.NDArray[np.float32]]:
    try:
        return [frontend.compute(window)[: frontend.N_TEXTURE] for window in islice(sounding(clip.path), N_WINDOWS)]
    except UnreadableAudio:
        return []
