"""Pairs: physics on synthetic takes, and accuracy on the corpus's real ones."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from provenance.errors import UnreadableAudio
from provenance.pairs import align, compare
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
