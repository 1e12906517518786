"""What a clip is mixed with."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests import sounds
from tests.training import songs
from training import catalogue
from training.catalogue import Clip
from training.examples import Recipe, Rows, mixing
from training.examples.rows import Context


def test_each_kind_of_stem_of_a_song_is_in_its_mix_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full stems of a song and excerpts of them in another manifest are drawn from, not summed."""
    full = catalogue.load([songs.write_manifest(tmp_path, ("one", "two"), 1.5)], [])[0]
    pool = [*full, *(dataclasses.replace(clip, name=f"excerpts/{clip.name}", manifest=1) for clip in full)]
    clip = next(c for c in pool if c.stem == "bass")
    drawn: list[tuple[Clip, bool]] = []

    def passage(stem: Clip, n: int, rng: np.random.Generator, as_it_is: bool) -> sounds.Wave:
        drawn.append((stem, as_it_is))
        return rng.standard_normal((n, 2)).astype(np.float32)

    monkeypatch.setattr(mixing, "passage_of", passage)
    chosen: Counter[str] = Counter()
    for seed in range(40):
        drawn.clear()
        c = Context(Rows(clip), clip, sounds.music(1.0), pool, Recipe(), (), np.random.default_rng(seed))
        assert mixing._interference(c, 1000) is not None
        if drawn[0][0].song == clip.song:
            assert all(as_it_is for _, as_it_is in drawn)
            assert sorted(stem.stem for stem, _ in drawn) == ["drums", "other", "vocals"]
            chosen.update(stem.name for stem, _ in drawn)
        else:
            assert not any(as_it_is for _, as_it_is in drawn)
            assert len(drawn) <= 3
    assert len(chosen) == 6
