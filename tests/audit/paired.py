"""A scorer that scores every file twice, bare and as asked, so that both meet the machine in the same mood."""

from __future__ import annotations

import time
from functools import lru_cache

from provenance.audio import Source
from provenance.scorer import Coverage, Scorer, Tap
from provenance.verdict import Verdict


class Paired:
    """Scores a file bare before or after, in turns, and keeps what that cost.

    Args:
        scorer: does the work.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.bare_s = 0.0
        self._scorer = scorer
        self._n = 0

    def score(self, source: Source, coverage: Coverage, max_s: float | None, tap: Tap | None) -> Verdict:
        """Return a verdict; see :meth:`provenance.Scorer.score`."""
        self._n += 1
        if self._n % 2:
            self._score_bare(source)
        verdict = self._scorer.score(source, coverage, max_s, tap)
        if not self._n % 2:
            self._score_bare(source)
        return verdict

    def _score_bare(self, source: Source) -> None:
        began = time.process_time()
        self._scorer.score(source)
        self.bare_s += time.process_time() - began


@lru_cache(maxsize=1)
def load(model: str | None) -> Paired:
    """Load the scorer of an audit; the same one each time.

    Args:
        model: folder or name of a model; None is the default one.
    """
    return Paired(Scorer(model))
