"""Sums of true stems: what is dense is not thereby extracted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from provenance import audio
from provenance.bundle import Calibration
from tests.training import songs
from training import catalogue, dataset, evaluate, examples, splits
from training.card.derived import show_sums
from training.catalogue import Clip
from training.evaluate import Limits
from training.report import derived
from training.separators import surrogate

RECIPE = examples.Recipe(
    n_windows=1, n_augmented=0, n_surrogates=0, n_demucs=0, n_classical=0, n_networks=0, n_submixes=0, n_bundles=8
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Stems of four songs."""
    folder = tmp_path_factory.mktemp("songs")
    return catalogue.load([songs.write_manifest(folder, ("one", "two", "three", "four"), 5.0)], [])[0]


@pytest.mark.parametrize("stem", songs.STEMS)
def test_true_sums_lie_beside_what_separators_leave_of_them(
    clips: list[Clip], stem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instrumental holds no voice and has an extraction beside it, a mix holds the voice and has none."""
    seen: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]] = []
    separate = surrogate.separate

    def watch(
        band: npt.NDArray[np.float32], voice: npt.NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], float]:
        seen.append((band, voice))
        return separate(band, voice, rng)

    monkeypatch.setattr(surrogate, "separate", watch)
    clip = next(c for c in clips if c.stem == stem and c.path.parent.name == "one")
    _, samples = audio.read(Path(clip.path))
    rows = pd.DataFrame(examples.make(clip, samples, "bundle", clips, RECIPE).meta)
    assert set(rows["kind"]) == {"bundle"}
    assert set(rows["layers"]) == {"submix"}
    fake, true = rows[rows["origin"] == "separated"], rows[rows["origin"] == "studio"]
    assert len(fake) == len(seen) > 0
    assert set(fake["pair"]) == set(true["pair"]) - {""}
    assert len(true) == RECIPE.n_bundles
    assert (true["pair"] == "").any()
    assert fake["sdr_db"].notna().all()
    assert true["sdr_db"].isna().all()
    for band, voice in seen:
        alone = [songs.stem("vocals", 5.0, seed) for seed in range(4)]
        assert max(_likeness(voice, wave) for wave in alone) > 0.9
        assert max(_likeness(band, wave) for wave in alone) < 0.3


def _likeness(wave: npt.NDArray[np.float32], stem: npt.NDArray[np.float32]) -> float:
    """The largest correlation of a passage with a stem, over places."""
    a, b = wave.mean(1), stem.mean(1)
    n = len(a) + len(b)
    across = np.fft.irfft(np.fft.rfft(b, n) * np.conj(np.fft.rfft(a, n)), n)
    total = np.cumsum(np.concatenate([[0.0], b.astype(float) ** 2]))
    energy = total[len(a) :] - total[: -len(a)]
    return float(np.max(np.abs(across[: len(energy)]) / (np.sqrt(energy * np.sum(a**2)) + 1e-9)))


def test_dry_clips_and_extractions_give_none(clips: list[Clip]) -> None:
    """Sums are made of produced true stems."""
    _, samples = audio.read(Path(clips[0].path))
    for change in ({"set_name": "dry"}, {"origin": "separated"}, {"oracle": True}, {"stem": "mix"}):
        clip = dataclasses.replace(clips[0], **change)  # type: ignore[arg-type]
        assert not examples.make(clip, samples, "bundle", clips, RECIPE).meta


def test_the_report_tells_how_many_are_accused(clips: list[Clip], tmp_path: Path) -> None:
    """Sums whose score lies above the line are counted, window by window, instrumentals and mixes apart."""
    unit_fold, family_fold = splits.folds_in_turn(clips, 2)
    table = dataset.build(clips, unit_fold, dataclasses.replace(RECIPE, n_bundles=4), tmp_path, n_workers=1)
    meta = evaluate.describe_rows(table.meta, clips, [Path("a/manifest.csv")], family_fold)
    true = (meta["kind"] == "bundle") & (meta["origin"] == "studio")
    mixes = true & (meta["pair"] == "")
    assert 0 < mixes.sum() < true.sum()
    held = {"logit": np.where(mixes, 5.0, -5.0)}
    held["distance"] = np.zeros(len(meta))
    limits = {fold: Limits(Calibration(1.0, 0.0), 0.9, 0.1, 1.0) for fold in range(2)}
    settings = type("Settings", (), {"n_folds": 2})()
    found = derived.sums(meta, held, settings, limits)
    assert found["mixes"]["n_studio"] == mixes.sum()
    assert found["mixes"]["studio_called_separated"] == 1.0
    assert found["instrumentals"]["n_studio"] == true.sum() - mixes.sum()
    assert found["instrumentals"]["studio_called_studio"] == 1.0
    assert "| mixes | " in "\n".join(show_sums(found))


def test_degraded_clips_are_set_against_the_same_seconds(clips: list[Clip], tmp_path: Path) -> None:
    """Beside a degradation stand the same windows of the same clips as they are, without the cue of whole files."""
    clips = [clip for clip in clips if clip.stem == "vocals"]
    unit_fold, family_fold = splits.folds_in_turn(clips, 2)
    recipe = dataclasses.replace(RECIPE, n_windows=3, n_bundles=0, n_reworked=0, n_processed=0, degraded_share=1.0)
    table = dataset.build(clips, unit_fold, recipe, tmp_path, n_workers=1)
    meta = evaluate.describe_rows(table.meta, clips, [Path("a/manifest.csv")], family_fold)
    kind = meta["kind"]
    assert (meta[kind == examples.AS_THEY_ARE].groupby("clip").size() == 2).all()
    held = {
        "logit": np.select([kind == examples.AS_THEY_ARE, kind == "degraded:mono"], [-5.0, 0.0], 5.0),
        "distance": np.zeros(len(meta)),
        "raised": np.where(kind == "clean", 20.0, 0.0),
    }
    limits = {fold: Limits(Calibration(1.0, 0.0), 0.9, 0.1, 1.0) for fold in range(2)}
    settings = type("Settings", (), {"n_folds": 2})()
    found = derived.degraded(meta, held, settings, limits)
    n_clips = meta[kind.str.startswith(examples.DEGRADED)]["clip"].nunique()
    assert found["as they are"]["n_studio"] == n_clips
    assert found["as they are"]["n_windows"] == 2 * n_clips
    assert found["as they are"]["studio_called_studio"] == 1.0
    assert found["mono"]["studio_called_separated"] == found["mono"]["studio_called_studio"] == 0.0
    assert found["pitch_shift"]["studio_called_separated"] == 1.0
