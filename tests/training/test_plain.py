"""Examples of clips by themselves: twins of the matched set are cut and processed alike."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests import sounds
from tests.training import songs
from training import augment, catalogue, examples
from training.catalogue import Clip
from training.examples import Recipe, Rows, plain
from training.families import family_of

Seen = dict[str, tuple[sounds.Wave, dict[str, object]]]
RECIPE = Recipe(n_windows=4, n_augmented=24, p_effects=1.0)


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Clip, Clip]:
    """A true stem of the matched set and its extraction."""
    true = catalogue.load([songs.write_manifest(tmp_path, ("one",), 1.5)], [])[0][0]
    family = family_of("htdemucs")
    return true, dataclasses.replace(true, name="e.wav", origin="separated", family=family, reference=true.name)


def made(clip: Clip, samples: sounds.Wave, part: str, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Waves of a clip's rows, and what else is known of them, by the name of their pair."""
    seen: Seen = {}

    def add(rows: Rows, wave: sounds.Wave, kind: str, window: int = 0, pair: str = "", **known: object) -> None:
        if np.abs(wave).max() > 0:
            seen[pair] = (wave, known | {"window": window})

    monkeypatch.setattr(Rows, "add", add)
    examples.make(clip, samples, part, [], RECIPE)
    return seen


def moments() -> tuple[sounds.Wave, sounds.Wave]:
    """Twins of 26 s of noise, of which the true one is digitally silent for half of the time and the other is not."""
    rng = np.random.default_rng(0)
    extracted = (0.1 * rng.standard_normal((26 * 44_100, 2))).astype(np.float32)
    true = extracted.copy()
    for start_s in (0, 8, 18):
        true[start_s * 44_100 : (start_s + 4) * 44_100 + 100] = 0
    return true, extracted


def assert_same_seconds(true: sounds.Wave, extracted: sounds.Wave) -> None:
    """Where the true stem sounds its extraction has the same samples."""
    sounding = np.abs(true).max(1) > 0
    assert sounding.any()
    np.testing.assert_array_equal(true[sounding], extracted[sounding])


def test_windows_of_one_number_are_the_same_seconds(twins: tuple[Clip, Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause of the true stem shifts no number, and as many windows that sound are shown as there may be."""
    waves = moments()
    true, extracted = (made(clip, wave, "clean", monkeypatch) for clip, wave in zip(twins, waves, strict=True))
    both = set(true) & set(extracted)
    assert both
    for pair in both:
        assert_same_seconds(true[pair][0], extracted[pair][0])
        assert pair.endswith(f"#clean{true[pair][1]['window']}")
    assert len(true) >= 3
    assert len(extracted) == RECIPE.n_windows
    silent = set(made(twins[0], waves[1] * 0, "clean", monkeypatch))
    assert not silent


def test_twins_go_through_one_chain_wherever_they_are_cut(
    twins: tuple[Clip, Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place drawn again, since the true stem is silent there, changes no later draw, and is no pair of its twin."""
    chains: list[augment.Chain] = []
    draw = augment.draw

    def watch(rng: np.random.Generator) -> augment.Chain:
        chains.append(draw(rng))
        return chains[-1]

    monkeypatch.setattr(augment, "draw", watch)
    monkeypatch.setattr(augment, "apply", lambda wave, chain: wave)
    monkeypatch.setattr(plain, "with_effects", lambda wave, c: (wave, json.dumps([["eq", c.rng.random()]])))
    waves = moments()
    true, extracted = (made(clip, wave, "augmented", monkeypatch) for clip, wave in zip(twins, waves, strict=True))
    assert chains[: RECIPE.n_augmented] == chains[RECIPE.n_augmented :]
    both = set(true) & set(extracted)
    assert 0 < len(both) < RECIPE.n_augmented
    for pair in both:
        assert_same_seconds(true[pair][0], extracted[pair][0])
        assert true[pair][1]["effects"] == extracted[pair][1]["effects"]
