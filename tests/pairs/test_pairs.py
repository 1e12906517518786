"""Pairs: physics on synthetic takes, and accuracy on the corpus's real ones."""

from __future__ import annotations

import csv
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import provenance
from provenance import flat
from provenance.errors import UnreadableAudio
from provenance.frontend import stft
from provenance.pairs import align, compare, relate
from provenance.pairs.align import fold
from tests import sounds
from tests.audit import make
from tests.audit.test_report import _reverb

RATE = 44_100


@pytest.fixture(scope="module")
def dry() -> np.ndarray:
    """A mono take of eight seconds."""
    return make.take(4, 8.0, 1)


@pytest.mark.parametrize("offset", [-30_001, -1, 0, 7, 44_100])
@pytest.mark.parametrize("gain", [1.0, -0.3])
def test_offset_and_polarity_are_exact(dry: np.ndarray, offset: int, gain: float) -> None:
    """A shifted copy is found at its very sample, with its polarity."""
    wave = fold(dry)
    noise = 0.001 * np.random.default_rng(0).standard_normal(len(wave)).astype(np.float32)
    shifted = np.concatenate([np.zeros(max(0, offset), np.float32), (gain * wave)[max(0, -offset) :]])
    found = align(wave, shifted + noise[: len(shifted)] if len(shifted) <= len(noise) else shifted)
    assert found.offset_samples == offset
    assert found.inverted == (gain < 0)
    assert found.peak > 60


def test_a_reverberant_copy_is_wet_either_way_round(dry: np.ndarray) -> None:
    """Of a take and its reverberant stereo version, the take is the dry one whichever is named first."""
    wet = _reverb(dry)
    there, back = compare((dry, RATE), (wet, RATE)), compare((wet, RATE), (dry, RATE))
    assert (there.same_performance, there.offset_samples, there.chain) == ("yes", 0, "yes")
    assert (there.dry, back.dry) == ("first", "second")
    assert there.dry_score == pytest.approx(-(back.dry_score or 0), abs=0.02)


def test_a_louder_copy_is_a_copy(dry: np.ndarray) -> None:
    """The same sound with another gain is a copy, and neither is the drier."""
    found = compare((dry, RATE), (0.25 * dry, RATE))
    assert found.copy
    assert found.gain_db == pytest.approx(-12.04, abs=0.05)
    assert found.dry == "neither"


def test_another_performance_is_no_pair(dry: np.ndarray) -> None:
    """Two different takes are not the same performance, and no chain leads from one to the other."""
    found = compare((dry, RATE), (make.take(5, 8.0, 1), RATE))
    assert found.same_performance != "yes"
    assert found.dry != "first"
    assert found.dry != "second"


def test_foreign_sound_is_not_an_effect(dry: np.ndarray) -> None:
    """A take under a louder stranger that plays on through its pauses is not that take through a chain."""
    sparse = dry.copy()
    for start in range(0, len(sparse), RATE):
        sparse[start + RATE // 4 : start + RATE] = 0
    found = compare((sparse, RATE), (sparse + 1.5 * sounds.noise(8.0, channels=1, level=0.3), RATE))
    assert found.chain != "yes" or (found.unexplained or 0) > 0.2


def test_a_mix_is_not_passed_off_as_a_chain(root: Path) -> None:
    """A voice and the mix that holds it agree as a processed version would: it is said that a mix looks the same."""
    voice, mix = root / "examples" / "dry_voice.flac", root / "examples" / "mix.flac"
    said = "a mix that holds one of them looks the same"
    for found in (compare(voice, mix), compare(mix, voice)):
        assert found.same_performance == "yes"
        assert found.why[0] == "the waveforms agree at one offset"
        assert (found.chain == "yes") == any(said in why for why in found.why)
    copied = compare(voice, voice)
    assert copied.copy
    assert not any(said in why for why in copied.why)


def test_silence_is_no_other_performance(dry: np.ndarray) -> None:
    """Of silence, and of a constant, nothing is said: it is named, and no file is said to hold another performance."""
    for silent in (np.zeros((3 * RATE, 1), np.float32), np.full((3 * RATE, 2), 0.3, np.float32)):
        for found in (compare((silent, RATE), (dry, RATE)), compare((dry, RATE), (silent, RATE))):
            assert (found.same_performance, found.chain, found.dry) == ("undecided", "undecided", "undecided")
            assert "silent" in found.why[0]
        assert compare((silent, RATE), (silent, RATE)).why == ("the first and the second are silent",)


def test_channels_that_cancel_are_heard(dry: np.ndarray) -> None:
    """A file whose right channel is its left inverted has no middle: it is a copy of itself and pairs with its left."""
    opposite = np.concatenate([dry, -dry], axis=1)
    assert compare((opposite, RATE), (opposite, RATE)).copy
    found = compare((opposite, RATE), (dry, RATE))
    assert (found.same_performance, found.offset_samples) == ("yes", 0)


def test_a_copy_in_the_middle_alone_is_said_to_be_one(dry: np.ndarray) -> None:
    """A wide file and its mono sum are alike in the middle; that they differ beside it is said."""
    side = 0.3 * make.take(6, 8.0, 1)[: len(dry)]
    wide = np.concatenate([dry + side, dry - side], axis=1)
    found = compare((wide, RATE), (dry, RATE))
    assert found.copy
    assert any("beside it not" in why for why in found.why)
    assert "the second is the first but for gain and polarity" in compare((dry, RATE), (-dry, RATE)).why


def test_what_begins_after_a_minute_of_silence_is_found(dry: np.ndarray) -> None:
    """A minute is compared from where each file begins to sound; the offset counts from the files' beginnings."""
    late = np.concatenate([np.zeros((70 * RATE, 1), np.float32), dry])
    found = compare((late, RATE), (dry, RATE))
    assert found.copy
    assert found.offset_samples == -70 * RATE
    assert compare((dry, RATE), (late, RATE)).offset_s == 70.0


def test_a_later_part_of_a_long_file_is_not_denied(dry: np.ndarray) -> None:
    """Where only a minute of the longer file was compared, that a short one is not in it stays open, and is said."""
    rng = np.random.default_rng(5)
    other = (0.1 * rng.standard_normal((66 * RATE, 1))).astype(np.float32)
    long = np.concatenate([other, dry])
    assert compare((other[: 20 * RATE], RATE), (dry, RATE)).same_performance == "no"
    found = compare((long, RATE), (dry, RATE))
    assert found.same_performance == "undecided"
    assert "only 60 s were compared" in found.why[-1]
    assert "only 60 s" not in " ".join(compare((dry, RATE), (dry, RATE)).why)


def test_what_the_model_does_not_judge_is_not_judged_here(dry: np.ndarray) -> None:
    """A file below 16 kHz is refused by ``score``, so that its resampled copy gets no probability either."""
    low = soxr.resample(dry, RATE, 8000)
    scorer = provenance.load()
    found = compare((low, 8000), (dry, RATE), scorer)
    assert scorer.score((low, 8000)).p_separated is None
    assert (found.first.origin, found.first.p_separated, found.first.p_wet) == ("undecided", None, None)
    assert found.second.p_separated is not None


def test_of_an_extraction_dry_and_wet_are_not_told(root: Path) -> None:
    """With a model that calls one of them extracted neither is said to be the dry one, as no verdict says it."""
    dry_voice, pulled = (root / "examples" / f"{name}.flac" for name in ("dry_voice", "separated_voice"))
    assert compare(dry_voice, pulled).dry == "first"
    found = compare(dry_voice, pulled, provenance.load())
    assert found.second.origin == "separated"
    assert found.dry == "undecided"
    assert "an extraction among them" in found.why[-1]


def test_bleed_is_named_where_no_chain_leads(dry: np.ndarray) -> None:
    """Two takes of which one hears the other agree at one offset; that bleed does the same is said."""
    other = make.take(5, 8.0, 1)[: len(dry)]
    found = compare((dry, RATE), (other + 0.1 * dry[: len(other)], RATE))
    assert found.same_performance == "yes"
    assert found.chain != "yes"
    assert any("bleed" in why for why in found.why)


def test_sums_in_blocks_are_those_of_the_whole(dry: np.ndarray) -> None:
    """What a filter explains, and what it does not, is the same in blocks as over all frames at once."""
    x, y = fold(dry), fold(_reverb(dry))[: len(dry)]
    spectra = []
    for wave in (x, y):
        frames = np.lib.stride_tricks.sliding_window_view(wave, 8192)[::2048].astype(np.float64)
        spectra.append(np.fft.rfft(frames * np.hanning(8193)[:-1], axis=1))
    a, b = spectra
    power_a, power_b = (np.abs(a) ** 2).sum(axis=0), (np.abs(b) ** 2).sum(axis=0)
    coherence = np.abs((np.conj(a) * b).sum(axis=0)) ** 2 / (power_a * power_b + 1e-20)
    coherence = np.clip((coherence - 2 / len(a)) / (1 - 2 / len(a)), 0, 1)
    assert relate.linear_share(x, y)[0] == pytest.approx((coherence * power_b).sum() / power_b.sum(), abs=1e-4)
    bands = (np.abs(stft(x, 512)[:, :1024]).astype(np.float64) ** 2).reshape(-1, 128, 8).sum(axis=2)
    np.testing.assert_allclose(relate._bands(x), bands, rtol=1e-6)


def test_arrays_are_not_changed(dry: np.ndarray) -> None:
    """Comparing leaves its inputs as they were."""
    kept = dry.copy()
    compare((dry, RATE), (dry[100:], RATE))
    np.testing.assert_array_equal(dry, kept)


def test_short_and_missing_files_are_named(dry: np.ndarray, tmp_path: Path) -> None:
    """Under 1.5 s, or not there, is an error with the file's name."""
    with pytest.raises(UnreadableAudio, match=r"1\.00 s of audio; needed: at least 1\.5 s"):
        compare((dry, RATE), (dry[:RATE], RATE))
    with pytest.raises(UnreadableAudio, match="no such file"):
        compare(str(tmp_path / "none.wav"), (dry, RATE))


def test_the_command(dry: np.ndarray, tmp_path: Path, root: Path) -> None:
    """``stem-provenance pairs`` prints the comparison as JSON, and an error without a traceback."""
    soundfile.write(tmp_path / "a.wav", dry, RATE)
    soundfile.write(tmp_path / "b.wav", _reverb(dry), RATE)
    code = "import sys; from provenance.cli import main; sys.argv[0] = 'stem-provenance'; main()"
    call = [sys.executable, "-c", code, "pairs", str(tmp_path / "a.wav")]
    good = subprocess.run([*call, str(tmp_path / "b.wav"), "--signals-only", "--format", "json"], capture_output=True,
                          text=True, cwd=root)  # fmt: skip
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["dry"] == "first"
    bad = subprocess.run([*call, str(tmp_path / "c.wav"), "--signals-only"], capture_output=True, text=True, cwd=root)
    assert bad.returncode == 2
    assert "no such file" in bad.stderr
    assert "Traceback" not in bad.stderr


@pytest.mark.parametrize("name", ["[x[/x].wav", "red\x1b[31m\nb.wav", "l\udce9.wav"])
def test_a_name_is_printed_as_it_is_and_steers_nothing(name: str, dry: np.ndarray, tmp_path: Path) -> None:
    """Brackets in a name are no markup, and escapes and what is no UTF-8 are written out, on stdout and stderr."""
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    with file.open("wb") as out:
        soundfile.write(out, dry, RATE, format="WAV")
    code = "from provenance.cli import main; main()"
    call = [sys.executable, "-c", code, "pairs", name, name]
    good = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert good.returncode == 0, good.stderr
    shown = re.sub(r"\s+", "", good.stdout)
    assert flat.printable(name) in shown
    assert "\x1b" not in good.stdout
    file.unlink()
    bad = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert bad.returncode == 2
    assert flat.printable(name) in bad.stderr
    assert "\x1b" not in bad.stderr


@pytest.mark.corpus
def test_real_pairs_and_real_strangers(corpus: Path) -> None:
    """Real dry and processed takes: no drier one mistaken, most found; clips of other songs: none taken for one."""
    with (corpus / "manifest.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    takes = [r for r in rows if r["set"] == "fx_pairs" and r["song_id"] != "alex-effects"]
    same: Counter[str] = Counter()
    dry: Counter[str] = Counter()
    for _, group in itertools.groupby(sorted(takes, key=lambda r: (r["song_id"], r["stem"])),
                                      key=lambda r: (r["song_id"], r["stem"])):  # fmt: skip
        members = list(group)
        first = next(r for r in members if r["wetness"] == "dry")
        for other in members:
            if other is not first:
                found = compare(str(corpus / first["clip"]), str(corpus / other["clip"]))
                same[found.same_performance] += 1
                dry[found.dry] += 1
    assert dry["second"] == 0
    assert dry["first"] >= 10
    assert same["yes"] >= 14
    rng = np.random.default_rng(3)
    usable = [r for r in rows if r["set"] in ("pairs", "true") and float(r["duration_s"]) >= 2]
    for _ in range(40):
        a, b = (usable[i] for i in rng.integers(0, len(usable), 2))
        if a["song_id"] != b["song_id"]:
            assert compare(str(corpus / a["clip"]), str(corpus / b["clip"])).same_performance != "yes"
