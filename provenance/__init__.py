"""Tell what an audio stem is: recorded to its own track or extracted from a mix, dry or wet, and how good.

>>> import provenance
>>> scorer = provenance.load()
>>> scorer.score("vocals.wav").origin  # doctest: +SKIP
'studio'
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance.audio import Source
from provenance.errors import ModelError, ProvenanceError, UnreadableAudio
from provenance.scorer import Coverage, Scorer
from provenance.verdict import Verdict, json_schema

__version__ = "0.1.0"
__all__ = [
    "Coverage",
    "ModelError",
    "ProvenanceError",
    "Scorer",
    "UnreadableAudio",
    "Verdict",
    "json_schema",
    "load",
    "score",
]


def load(model: str | Path | None = None) -> Scorer:
    """Load a model.

    Args:
        model: folder or name of a model; None is the default one.

    Returns:
        A scorer that threads may share.

    Raises:
        ModelError: the model cannot be used.
    """
    return Scorer(model)


if TYPE_CHECKING:
    audit: Any  # with a __getattr__ in sight a checker would take any name for one of this module
else:

    def __getattr__(name: str) -> Any:
        """Load ``provenance.audit`` when it is first asked for; it can be called: ``provenance.audit(source, out)``."""
        if name == "audit":
            return importlib.import_module("provenance.audit")
        raise AttributeError(f"module 'provenance' has no attribute {name!r}")


@lru_cache(maxsize=1)
def _default() -> Scorer:
    return Scorer()


def score(source: Source, coverage: Coverage = "full") -> Verdict:
    """Return the verdict on one stem by the default model, which is loaded once.

    Args:
        source: a path, encoded bytes, a binary file, or ``(samples, rate)`` with samples of shape (n,) or (n, 2).
        coverage: ``full`` or ``sparse`` (one window of four).

    Raises:
        UnreadableAudio: it cannot be read.
        ValueError: another coverage.
    """
    return _default().score(source, coverage)
