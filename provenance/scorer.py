"""The scorer: a loaded model that turns audio into verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from provenance import audio, bundle, evidence, frontend, windows
from provenance.audio import Source
from provenance.containers import Counts
from provenance.decide import ENDS_BELOW_PEAK_DB, MIN_RATE_HZ, SILENT_PEAK, SILENT_RMS, Spans, decide, refuse
from provenance.errors import ModelError, UnreadableAudio
from provenance.model import Model, WindowScores, join
from provenance.verdict import Verdict

Coverage = Literal["full", "sparse"]
Tap: TypeAlias = Callable[[audio.Samples, Counts], None]
SPARSE_STRIDE = 4
BELOW_PEAK = 10 ** (ENDS_BELOW_PEAK_DB / 20)
_BATCH = 4
"""Windows the model sees at once: one takes 7 MB with its map, and a long file is to cost the memory of a minute."""


class Scorer:
    """A loaded model. One scorer may serve many threads at once; sent to another process, it loads its folder there.

    Args:
        model: folder or name of a model; None is the default one.

    Raises:
        ModelError: the model cannot be used.
    """

    def __init__(self, model: str | Path | None = None) -> None:
        self.bundle = bundle.load(model)
        self._model = Model(self.bundle)

    def __repr__(self) -> str:
        return f"<Scorer {self.bundle.reference}>"

    def __reduce__(self) -> tuple[Callable[[Path, str], Scorer], tuple[Path, str]]:
        """Let it cross from one process to another, by its folder and what lies there."""
        return _load_again, (self.bundle.folder.resolve(), self.bundle.reference)

    def score(
        self,
        source: Source,
        coverage: Coverage = "full",
        max_s: float | None = None,
        tap: Tap | None = None,
    ) -> Verdict:
        """Return the verdict on one stem.

        Args:
            source: a path, encoded bytes, a binary file, or ``(samples, rate)``;
                see :func:`provenance.audio.open_audio`.
            coverage: ``full`` looks at all of it, ``sparse`` at one window of four.
            max_s: refuse audio that decodes to more than this, or whose header says so before any of it is decoded.
            tap: is shown every block, float32 of shape (n, 1 or 2) at 44.1 kHz, and what was counted in the source so
                far, so that an audit decodes once.

        Raises:
            UnreadableAudio: it cannot be read, or is longer than ``max_s``.
            ValueError: another coverage.
        """
        if coverage not in ("full", "sparse"):
            raise ValueError(f"found coverage {coverage!r}; needed: 'full' or 'sparse'")
        starts: list[float] = []
        ends: list[float] = []
        levels: list[float] = []
        rows: list[int] = []
        batch = _Batch(self._model)
        gallery = evidence.Gallery()
        n_samples = 0
        peak = 0.0
        with audio.open_audio(source) as (info, blocks):
            if max_s is not None and info.says_more_than(max_s):
                raise _too_long(info, max_s)

            def counted() -> Iterator[audio.Samples]:
                nonlocal n_samples, peak
                for block in blocks:
                    n_samples += len(block)
                    if max_s is not None and n_samples > max_s * audio.SAMPLE_RATE_HZ:
                        raise _too_long(info, max_s)
                    peak = max(peak, float(block.max()), -float(block.min()))
                    if tap is not None:
                        tap(block, info.counts)
                    yield block

            judged = info.sample_rate_hz >= MIN_RATE_HZ
            stride = SPARSE_STRIDE if coverage == "sparse" else 1
            for window in windows.split(counted(), stride, _sounds, BELOW_PEAK):
                starts.append(window.start_s)
                ends.append(window.end_s)
                level = audio.level(window.samples)
                levels.append(level)
                wanted = judged and level >= SILENT_RMS
                rows.append(batch.n if wanted else -1)
                if wanted:
                    spectra = frontend.analyse(window.samples)
                    batch.add(spectra)
                    gallery.add(window.samples, spectra)
        spans = Spans(starts, ends, levels, rows, n_samples / audio.SAMPLE_RATE_HZ)
        if not judged:
            return refuse("band_limited", info, spans, self.bundle)
        if not starts:
            return refuse("too_short" if peak > SILENT_PEAK else "silent", info, spans, self.bundle)
        if not batch.n or peak <= SILENT_PEAK:
            return refuse("silent", info, spans, self.bundle)
        verdict = decide(batch.scores(), spans, info, self.bundle, gallery.cycles)
        return dataclasses.replace(verdict, evidence=gallery.cues())

    def logits(self, samples: Iterable[audio.Samples]) -> npt.NDArray[np.float32]:
        """Return the raw log odds of extraction of windows, a few at a time.

        Args:
            samples: windows, each float32 of shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent; at least one.
        """
        batch = _Batch(self._model)
        for window in samples:
            batch.add(frontend.analyse(window))
        return batch.scores().logit


def _sounds(samples: audio.Samples) -> bool:
    return audio.level(samples) >= SILENT_RMS


def _too_long(info: audio.AudioInfo, max_s: float) -> UnreadableAudio:
    return UnreadableAudio(info.name, "too_long", f"more than {max_s:g} s of audio", f"at most {max_s:g} s")


@lru_cache(maxsize=4)  # a pool of processes sends the scorer with every file
def _load_again(folder: Path, reference: str) -> Scorer:
    """Load the model of a scorer that was made elsewhere; another one in its place would be another judge."""
    found = Scorer(folder)
    if found.bundle.reference != reference:
        raise ModelError(f"{folder}: found model {found.bundle.reference}; needed: {reference}")
    return found


class _Batch:
    """Windows on their way through the model, a few at a time; those of another length go on their own."""

    def __init__(self, model: Model) -> None:
        self.n = 0
        self._n_frames = 0
        self._model = model
        self._features: list[frontend.Features] = []
        self._maps: list[frontend.Map] = []
        self._onsets: list[frontend.Map] = []
        self._parts: list[WindowScores] = []

    def add(self, spectra: frontend.Spectra) -> None:
        if len(spectra.level) != self._n_frames:
            self._flush()
        self._n_frames = len(spectra.level)
        if self._model.needs_map:
            self._maps.append(frontend.draw(spectra))
        if self._model.needs_onsets:
            self._onsets.append(frontend.draw_onsets(spectra))
        self._features.append(frontend.describe(spectra))
        self.n += 1
        if len(self._features) == _BATCH:
            self._flush()

    def scores(self) -> WindowScores:
        self._flush()
        return join(self._parts)

    def _flush(self) -> None:
        if self._features:
            maps, onsets = (np.stack(of) if of else None for of in (self._maps, self._onsets))
            self._parts.append(self._model.run(np.stack(self._features), maps, onsets))
            self._features, self._maps, self._onsets = [], [], []
