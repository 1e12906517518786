"""Whole mixes parted into all their stems, each estimate beside its true stem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from provenance import audio
from provenance.bundle import Calibration
from tests.training import songs
from tests.training.test_separators_run import tiny_demucs
from training import card, catalogue, config, dataset, evaluate, examples, splits
from training.card.derived import show_wholes
from training.catalogue import Clip
from training.evaluate import Limits
from training.examples import wholes
from training.report import derived
from training.separators import remask, script

Wave = npt.NDArray[np.float32]
WIENER = '''
"""Filters that do not change over time, drawn from the mean spectra of stems of one song."""
import numpy as np
from scipy import signal
from tests.training import songs

SOURCE = {"repository": "owner/filters", "commit": "0123456789abcdef", "licence": "MIT"}
STEMS = songs.STEMS


def spectra(wave):
    return signal.stft(wave.T, songs.RATE_HZ, nperseg=2048)[2]


power = {stem: np.mean(np.abs(spectra(songs.stem(stem, 5.0, 0))) ** 2, axis=(0, 2)) for stem in STEMS}


def separate(mix):
    found, total = spectra(mix), sum(power.values()) + 1e-12
    out = {}
    for stem, own in power.items():
        wave = signal.istft(found * (own / total)[None, :, None], songs.RATE_HZ, nperseg=2048)[1]
        out[stem] = np.ascontiguousarray(wave.T[: len(mix)], np.float32)
    return out
'''
TWO = '''
"""Both voices out of their sum, which holds one in each half of the band; the second comes first."""
import numpy as np

STEMS = ("first", "second")
TWO_OF = "vocals"
RATE_HZ, MONO = 16_000, True


def separate(mix):
    spectrum = np.fft.rfft(mix.mean(1))
    spectrum[int(len(mix) * 8_000 / 44_100) :] = 0
    half = int(len(mix) * 2_000 / 44_100)
    low, high = spectrum.copy(), spectrum.copy()
    low[half:], high[:half] = 0, 0
    waves = [np.fft.irfft(s, len(mix))[:, None].repeat(2, 1).astype(np.float32) for s in (high, low)]
    return dict(zip(STEMS, waves))
'''
NOTHING = "STEMS = ('vocals', 'bass')\n\n\ndef separate(mix):\n    return {stem: mix.copy() for stem in STEMS}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a separator and with one that hands the mix through."""
    made = tmp_path_factory.mktemp("scripts")
    (made / "roformer-like.py").write_text(WIENER, encoding="utf-8")
    (made / "nothing.py").write_text(NOTHING, encoding="utf-8")
    (made / "tiger-like.py").write_text(TWO, encoding="utf-8")
    return made


def recipe(folder: Path, *names: str, share: float = 1.0, **more: object) -> examples.Recipe:
    """Return a recipe of whole mixes alone, without effects."""
    return examples.Recipe(
        n_windows=1, n_augmented=0, n_surrogates=0, n_demucs=0, n_classical=0, n_networks=0, n_submixes=0,
        n_processed=0, p_effects=0.0, scripts=str(folder), whole_names=names, whole_share=share, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def catalogue_of(folder: Path, set_name: str) -> list[Clip]:
    """Return the stems of four songs."""
    return catalogue.load(
        [songs.write_manifest(folder / set_name, ("one", "two", "three", "four"), 10.0, set_name)], []
    )[0]


def rows_of(clip: Clip, clips: list[Clip], made_by: examples.Recipe) -> pd.DataFrame:
    """Return the rows of a clip's part."""
    return pd.DataFrame(examples.make(clip, audio.read(clip.path)[1], "whole", clips, made_by).meta)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[Wave]:
    """Return a list that the mixes given to scripts are put into."""
    seen: list[Wave] = []
    run = script.run

    def watch(loaded: script.Script, mix: Wave) -> dict[str, Wave]:
        seen.append(mix)
        return run(loaded, mix)

    monkeypatch.setattr(script, "run", watch)
    return seen


def test_a_song_is_mixed_at_one_moment_and_parted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mix is the sum of the song's four stems; every stem has a twin, and what was separated lies beside it."""
    clips, seen = catalogue_of(tmp_path, "pairs"), watched(monkeypatch)
    clip = next(c for c in clips if c.song == clips[0].song and c.stem == "bass")
    rows = rows_of(clip, clips, recipe(folder, "roformer-like"))
    stems = [audio.read(c.path)[1] for c in clips if c.song == clip.song]
    assert len(stems) == len(songs.STEMS)
    whole = np.sum(stems, axis=0)
    (mix,) = seen
    assert len(mix) == int(examples.WHOLE_S * audio.SAMPLE_RATE_HZ)
    assert np.abs(mix).max() <= 1.0
    across = np.fft.irfft(np.fft.rfft(whole[:, 0], 2**20) * np.conj(np.fft.rfft(mix[:, 0], 2**20)))
    start = int(np.argmax(across[: len(whole) - len(mix) + 1]))
    passage = whole[start : start + len(mix)]
    gain = float(np.sum(passage * mix) / np.sum(passage**2))
    assert np.sum((mix - gain * passage) ** 2) < 1e-6 * np.sum(mix**2)
    true, found = rows[rows["origin"] == "studio"], rows[rows["origin"] == "separated"]
    assert set(true["kind"]) == {"twin"}
    assert {name.rsplit("-", 1)[1] for name in true["pair"]} >= set(songs.STEMS)
    assert len(found) > 0
    assert set(found["kind"]) == {"whole"}
    assert set(found["family"]) == {"band-split"}
    assert set(found["pair"]) <= set(true["pair"])
    assert found["sdr_db"].between(-10, examples.MOST_SDR_DB).all()


def test_stems_of_several_songs_are_mixed_and_instruments_together_are_a_submix(folder: Path, tmp_path: Path) -> None:
    """Where songs are not whole, mates are of other songs; accompaniments come up and are sums."""
    clips = catalogue_of(tmp_path, "multitrack")
    rows = pd.concat([rows_of(clip, clips, recipe(folder, "roformer-like")) for clip in clips])
    together = rows[rows["pair"].str.endswith("accompaniment")]
    assert {"studio", "separated"} <= set(together["origin"])
    assert set(together["layers"]) == {"submix"}
    assert set(together["processing"]) == {"unknown"}
    assert (rows[~rows["pair"].str.endswith("accompaniment")]["processing"] == "wet").all()


def test_what_has_not_separated_is_left_out(folder: Path, tmp_path: Path) -> None:
    """One mix, two separators, one twin for both; the mix itself is nobody's extraction."""
    clips = catalogue_of(tmp_path, "pairs")
    rows = rows_of(clips[0], clips, recipe(folder, "nothing", "roformer-like"))
    found = rows[rows["origin"] == "separated"]
    assert set(found["family"]) == {"band-split"}
    assert not rows[rows["origin"] == "studio"]["pair"].duplicated().any()


def test_a_model_of_the_demucs_package_parts_whole_mixes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name among ``demucs_models`` is run by the package."""
    pytest.importorskip("demucs")
    monkeypatch.setattr(wholes, "LEAST_NETWORK_GAIN_DB", -np.inf)  # it is untrained
    name = tiny_demucs(tmp_path)
    clips = catalogue_of(tmp_path, "pairs")
    made_by = recipe(tmp_path, name, demucs_repo=str(tmp_path), demucs_models=(name,))
    found = rows_of(clips[0], clips, made_by).query("origin == 'separated'")
    assert set(found["family"]) == {"demucs"}
    assert card.separators(made_by) == []
    assert len(found) >= len(songs.STEMS)


def test_the_share_says_how_many_and_the_table_takes_them(folder: Path, tmp_path: Path) -> None:
    """A larger share adds to a smaller; rows of a fold's mixes stay in it; the card tells of the separator."""
    clips = catalogue_of(tmp_path, "multitrack")
    few, more = recipe(folder, "roformer-like", share=0.3), recipe(folder, "roformer-like", share=0.6)
    unit_fold, _ = splits.folds_in_turn(clips)
    cache = tmp_path / "rows"
    meta = dataset.build(clips, unit_fold, few, cache, n_workers=1).meta
    made = {clip.name for clip in clips if "whole" in dataset.parts_of(clip, few)}
    assert set(meta["clip"][meta["pair"] != ""]) == made
    missing = dataset.missing(clips, unit_fold, more, cache)
    added = {job.clip.name for job in missing if job.parts == ["whole"]}
    assert 0 < len(made) < len(made) + len(added) < len(clips)
    assert not made & added
    assert all("whole" not in dataset.parts_of(clip, recipe(folder, share=1.0)) for clip in clips)
    whole = meta[meta["pair"] != ""]
    assert set(whole["kind"]) == {"whole", "twin"}
    assert whole.groupby("pair")["fold"].nunique().max() == 1
    estimate = (meta["kind"] == "whole").to_numpy()
    assert meta["fold"][estimate].nunique() > 1
    family_fold = {"band-split": int(meta["fold"][estimate].iloc[0])}
    meta = evaluate.describe_rows(meta, clips, [Path("a/manifest.csv")], family_fold)
    held = {"logit": np.where(estimate, 5.0, -5.0), "distance": np.zeros(len(meta))}
    limits = {fold: Limits(Calibration(1.0, 0.0), 0.9, 0.1, 1.0) for fold in range(3)}
    found = derived.wholes(meta, held, limits)
    assert set(found) == {"band-split, learnt from", "band-split, held out"}
    assert sum(each["n_separated"] for each in found.values()) == estimate.sum()
    assert all(each["separated_called_separated"] == each["studio_called_studio"] == 1.0 for each in found.values())
    assert "| band-split, held out | " in "\n".join(show_wholes(found))
    assert card.separators(recipe(folder, "roformer-like"))[0]["repository"] == "owner/filters"


def test_estimates_are_masked_over_beside_the_same_twin(folder: Path, tmp_path: Path) -> None:
    """One mix is parted once; its estimates lie there as they are and masked in two ways; dry stems give some too."""
    clips = catalogue_of(tmp_path, "dry")
    others = catalogue_of(tmp_path, "multitrack")
    made_by = recipe(folder, share=0.0, remask_name="roformer-like", remask_share=1.0)
    assert "remask" in dataset.parts_of(clips[0], made_by)
    assert "whole" not in dataset.parts_of(clips[0], made_by)
    dry = next(c for c in clips if c.stem == "bass")
    meta = examples.make(dry, audio.read(dry.path)[1], "remask", [*clips, *others], made_by).meta
    rows = pd.DataFrame(meta)
    found = rows[rows["origin"] == "separated"]
    assert found["pair"].str.contains(examples.OUT_OF_MIXES).all()
    plain, masked = found[found["kind"] == "whole"], found[found["kind"] == "remask"]
    assert len(plain) > 0
    assert len(masked) > 0
    assert set(plain["separator_kind"]) == {"transformer"}
    assert set(masked["separator_kind"]) <= set(remask.KINDS.values())
    assert set(masked["window"]) == {0, 1}
    assert not rows[rows["origin"] == "studio"]["pair"].duplicated().any()
    drums = next(c for c in clips if c.stem == "drums")
    assert not examples.make(drums, audio.read(drums.path)[1], "remask", [*clips, *others], made_by).meta


def test_one_of_several_separators_is_drawn(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mix is parted by one; what its estimates lack of the band their true stems lack too, and each has one."""
    clips = catalogue_of(tmp_path, "pairs")
    limited = WIENER.replace("STEMS = songs", "RATE_HZ = 22_050\nSTEMS = songs")
    (tmp_path / "spleeter-like.py").write_text(limited, encoding="utf-8")
    (tmp_path / "roformer-like.py").write_text(WIENER, encoding="utf-8")
    made_by = recipe(tmp_path, share=0.0, drawn_names=("spleeter-like", "roformer-like"), drawn_share=0.5)
    assert all("drawn" in dataset.parts_of(clip, made_by) for clip in clips)  # of whole songs twice the share
    seen: list[tuple[Wave, str]] = []
    add = wholes.add

    def watch(c: examples.Context, wave: Wave, kind: str, *rest: object) -> None:
        seen.append((wave, kind))
        add(c, wave, kind, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(wholes, "add", watch)
    families = set()
    for clip in clips:
        rows = pd.DataFrame(examples.make(clip, audio.read(clip.path)[1], "drawn", clips, made_by).meta)
        found, true = rows[rows["origin"] == "separated"], rows[rows["origin"] == "studio"]
        assert set(found["kind"]) == {"drawn"}
        assert found["pair"].str.contains(examples.OUT_OF_MIXES).all()
        assert sorted(true["pair"]) == sorted(found["pair"])
        (family,) = set(found["family"])
        families.add(family)
        for wave, _ in seen:
            spectrum = np.abs(np.fft.rfft(wave[:, 0] * np.hanning(len(wave)))) ** 2
            top = spectrum[int(len(wave) * 12_000 / 44_100) :].sum() / spectrum.sum()
            assert (top < 1e-6) == (family == "spleeter") or top < 1e-3
        assert {kind for _, kind in seen} == {"drawn", "twin"}
        seen.clear()
    assert families == {"spleeter", "band-split"}
    assert {row["name"] for row in card.separators(made_by)} == {"spleeter-like", "roformer-like"}


def test_two_voices_are_parted_by_a_separator_for_two(folder: Path, tmp_path: Path) -> None:
    """Of a voice, dry or not, two are mixed, and each estimate lies beside the one it is nearer to; of others none."""
    clips, others = catalogue_of(tmp_path, "dry"), catalogue_of(tmp_path, "multitrack")
    made_by = recipe(folder, share=0.0, drawn_names=("tiger-like",), drawn_share=1.0)
    pool = [*clips, *others]
    found = []
    for clip in pool:
        rows = examples.make(clip, audio.read(clip.path)[1], "drawn", pool, made_by).meta
        assert (len(rows) > 0) <= (clip.stem == "vocals")
        found += [row for row in rows if row["origin"] == "separated"]
    assert len(found) > 0
    assert {row["family"] for row in found} == {"tiger"}
    assert {str(row["pair"]).rsplit("-", 1)[1] for row in found} <= set(script.TWO)
    low, high = (np.random.default_rng(k).standard_normal((8000, 2)).astype(np.float32) for k in (0, 1))
    stems: wholes.Stems = {"first": (low, {}), "second": (high, {})}
    swapped = wholes._in_order({"first": high * 0.9, "second": low * 0.8}, stems)
    np.testing.assert_array_equal(swapped["first"], low * np.float32(0.8))
    np.testing.assert_array_equal(wholes._in_order({"first": low, "second": high}, stems)["second"], high)


def test_without_scripts_the_configuration_names_none(tmp_path: Path) -> None:
    """``--scripts ''`` leaves whole mixes out as well."""
    assert config.load(evaluate.CONFIG_FILE, None, None, "").recipe.whole_names == ()
    assert config.load(evaluate.CONFIG_FILE, None, None, "").recipe.remask_name == ""
    assert config.load(evaluate.CONFIG_FILE, None, None, str(tmp_path)).recipe.whole_names
    assert config.load(evaluate.CONFIG_FILE, None, None, str(tmp_path)).recipe.remask_name
    by_demucs = tmp_path / "demucs.toml"
    text = evaluate.CONFIG_FILE.read_text(encoding="utf-8")
    by_demucs.write_text(text.replace('whole_names = ["htdemucs"', 'whole_names = ["0b6894ef"'), encoding="utf-8")
    assert config.load(by_demucs, str(tmp_path), None, "").recipe.whole_names == ("0b6894ef",)
