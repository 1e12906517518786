"""Stems parted from their own kind: by templates of notes, by masks, and into groups of their notes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from provenance import audio
from tests import sounds
from tests.training import songs
from training import catalogue, examples
from training.catalogue import Clip
from training.examples import separated
from training.separators import notes, surrogate

RECIPE = examples.Recipe(n_apart=8, apart_share=1.0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Stems of three songs."""
    folder = tmp_path_factory.mktemp("songs")
    return catalogue.load([songs.write_manifest(folder, ("one", "two", "three"), 5.0)], [])[0]


def chords(rng: np.random.Generator) -> notes.Wave:
    """Two notes with overtones, three octaves apart, that sound now and then."""
    t = np.arange(2 * 44_100) / 44_100
    out = np.zeros(len(t))
    for hz in (165.0, 1320.0):
        sounding = np.repeat(rng.random(16) < 0.6, len(t) // 16 + 1)[: len(t)]
        out += sounding * sum(np.sin(2 * np.pi * hz * k * t) / k for k in (1, 2, 3))
    return np.repeat(0.1 * out[:, None], 2, 1).astype(np.float32)


def test_templates_part_like_from_like() -> None:
    """Estimates carry their SDR and are nearer to the target than the mix was; inputs stay as they were."""
    rng = np.random.default_rng(0)
    target, other = songs.stem("vocals", 1.5, 0), songs.stem("vocals", 1.5, 5)
    before = target.copy(), other.copy()
    found = [notes.separate(target, other, rng) for _ in range(8)]
    parted = [each for each in found if each is not None]
    assert len(parted) > 3
    for estimate, sdr in parted:
        assert estimate.shape == target.shape
        assert estimate.dtype == np.float32
        assert sdr == pytest.approx(surrogate.sdr_db(target, estimate), abs=1e-6)
        assert -6 + notes.LEAST_GAIN_DB - 0.1 < sdr < 60
    assert np.array_equal(target, before[0])
    assert np.array_equal(other, before[1])


def test_what_has_the_same_notes_is_not_parted() -> None:
    """A stem cannot be told from its own echo: what comes out is the mix at another level, and is left out."""
    target = songs.stem("vocals", 1.5, 0)
    rng = np.random.default_rng(0)
    assert [notes.separate(target, np.roll(target, 300, axis=0), rng) for _ in range(5)] == [None] * 5


def test_the_same_seed_gives_the_same_estimate() -> None:
    """Both ways are reproducible."""
    target, other = songs.stem("vocals", 1.2, 0), songs.stem("vocals", 1.2, 5)
    made = [notes.separate(target, other, np.random.default_rng(5)) for _ in range(2)]
    assert made[0] is not None
    assert made[1] is not None
    assert np.array_equal(made[0][0], made[1][0])
    one, two = (notes.some_of(target, np.random.default_rng(5)) for _ in range(2))
    assert one is not None
    assert np.array_equal(one, two)


def test_groups_hold_some_notes_and_leave_others() -> None:
    """Of two notes far apart a group often holds nearly all of one and little of the other, and never all."""
    rng, ratios = np.random.default_rng(1), []
    for _ in range(12):
        stem = chords(rng)
        part = notes.some_of(stem, rng)
        if part is None:
            continue
        share = float(np.sum(part**2) / np.sum(stem**2))
        assert notes.SHARE[0] < share < notes.SHARE[1]
        kept = [np.abs(np.fft.rfft(wave.mean(1)))[[330, 2640]] for wave in (part, stem)]
        ratios.append((kept[0] / kept[1]).tolist())
    assert len(ratios) > 5
    low, high = np.array(ratios).T
    assert np.mean(np.maximum(low, high) > 3 * np.minimum(low, high)) > 0.5


def test_where_no_group_holds_a_fair_share_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stem that cannot be taken apart gives nothing."""
    monkeypatch.setattr(notes, "SHARE", (0.9999, 1.0))
    assert notes.some_of(sounds.music(1.2), np.random.default_rng(0)) is None


def test_each_stem_is_parted_from_others_of_its_kind(clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every extraction lies beside its twin; what it was mixed with is its own kind out of other songs."""
    beside: list[notes.Wave] = []
    for module in (notes, surrogate):

        def watch(
            target: notes.Wave, other: notes.Wave, rng: np.random.Generator, separate: object = module.separate
        ) -> tuple[notes.Wave, float] | None:
            beside.append(other)
            return separate(target, other, rng)  # type: ignore[operator, no-any-return]

        monkeypatch.setattr(module, "separate", watch)
    clip = next(c for c in clips if c.stem == "bass" and c.path.parent.name == "one")
    _, samples = audio.read(Path(clip.path))
    rows = pd.DataFrame(examples.make(clip, samples, "apart", clips, RECIPE).meta)
    fake, true = rows[rows["kind"] == "apart"], rows[rows["kind"] == "twin"]
    assert 3 < len(fake) == len(true) <= RECIPE.n_apart
    assert (fake["origin"] == "separated").all()
    assert (true["origin"] == "studio").all()
    assert set(fake["pair"]) == set(true["pair"])
    assert set(fake["family"]) == {"classical", "surrogate"}
    assert 0 < fake["sdr_db"].notna().sum() <= len(beside)
    assert fake["sdr_db"].isna().any(), "some are notes of the stem itself, of which nothing true is known"
    bass = np.stack([_spectrum(songs.stem("bass", 5.0, seed)) for seed in range(3)]).mean(0)
    voice = np.stack([_spectrum(songs.stem("vocals", 5.0, seed)) for seed in range(3)]).mean(0)
    for other in beside:
        assert _spectrum(other) @ bass > _spectrum(other) @ voice


def _spectrum(wave: notes.Wave) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    power = np.abs(np.fft.rfft(wave.mean(1), 44_100))[:8000].reshape(-1, 40).sum(1)
    out: np.ndarray[tuple[int], np.dtype[np.float64]] = power / np.linalg.norm(power)
    return out


def test_a_stem_with_none_of_its_kind_gives_notes_alone(clips: list[Clip]) -> None:
    """Without others of its kind it is not mixed with anything else; extractions and near-oracles give none."""
    clip = next(c for c in clips if c.stem == "bass")
    _, samples = audio.read(Path(clip.path))
    rest = [c for c in clips if c.stem != "bass"]
    rows = pd.DataFrame(examples.make(clip, samples, "apart", rest, RECIPE).meta)
    assert rows["sdr_db"].isna().all()
    assert (rows["kind"] == "apart").any()
    for change in ({"origin": "separated"}, {"oracle": True}):
        assert not examples.make(dataclasses.replace(clip, **change), samples, "apart", clips, RECIPE).meta  # type: ignore[arg-type]


def test_a_share_of_clips_gives_them(clips: list[Clip]) -> None:
    """None by a recipe without them, all by one that wants all."""
    assert all(examples.gives(c, "apart", RECIPE) for c in clips)
    assert not any(examples.gives(c, "apart", dataclasses.replace(RECIPE, n_apart=0)) for c in clips)
    assert not any(examples.gives(c, "apart", dataclasses.replace(RECIPE, apart_share=0.0)) for c in clips)
    assert set(separated.APART) == {"masks", "templates", "notes"}
