"""Stems against their mix: alignment, gain, independence, and the commands, on sounds made for it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from provenance import frontend
from provenance.audio import SAMPLE_RATE_HZ, Samples
from provenance.errors import UnreadableAudio
from provenance.mix import LEAST_REVERSE, SURE, _doubt, against, probability, weights
from provenance.mix.align import align
from provenance.mix.measure import SIGNS, Sums

N = 8 * SAMPLE_RATE_HZ
RATE = SAMPLE_RATE_HZ
COMMAND = (sys.executable, "-c", "from provenance.cli import main; main()")


def source(seed: int) -> Samples:
    """Notes of harmonics and bursts of noise with pauses between them, in stereo."""
    rng = np.random.default_rng(seed)
    out = np.zeros((N, 2))
    at = 0
    while at < N - RATE:
        n = int(rng.uniform(0.2, 0.7) * RATE)
        t = np.arange(n) / RATE
        hz = rng.uniform(90, 700)
        tone = sum(np.sin(2 * np.pi * hz * k * t + rng.uniform(0, 6)) / k for k in range(1, 18))
        fade = np.minimum(1, t / 0.01) * np.exp(-t / rng.uniform(0.1, 0.5))
        note = (0.2 * tone + 0.2 * rng.standard_normal(n)) * fade
        out[at : at + n] += note[:, None] * rng.uniform(0.3, 1.0, 2)
        at += n + int(rng.uniform(0.0, 0.3) * RATE)
    return (0.2 * out + 1e-5 * rng.standard_normal(out.shape)).astype(np.float32)


def extract(target: Samples, mix: Samples) -> Samples:
    """Pull a source out of a mix by an ideal soft mask, smoothed, on the mix's phase."""
    out = np.zeros_like(mix)
    for channel in range(2):
        x = frontend.stft(np.ascontiguousarray(mix[:, channel]))
        s = np.abs(frontend.stft(np.ascontiguousarray(target[:, channel])))
        v = np.abs(x - frontend.stft(np.ascontiguousarray(target[:, channel])))
        frames = np.fft.irfft(x * (s / (s + v + 1e-9)), n=2048, axis=1) * 512
        for i, frame in enumerate(frames):
            out[i * 1024 : i * 1024 + 2048, channel] += frame
    return out.astype(np.float32)


STEMS = [source(seed) for seed in (1, 2, 3)]
MIX = np.sum(STEMS, axis=0)
PULLED = [extract(stem, MIX) for stem in STEMS]


@pytest.mark.parametrize("delay", [-20_000, -1, 0, 777, 60_000])
def test_a_stem_is_found_where_it_lies(delay: int) -> None:
    """The delay is exact to the sample, whichever starts first, under gain and inverted polarity."""
    mix = np.concatenate([np.zeros((delay, 2), np.float32), MIX]) if delay > 0 else MIX[-delay:]
    found = align(-0.3 * STEMS[0], mix)
    assert found.delay_samples == delay
    assert found.found


def test_a_stem_of_another_song_is_not_found() -> None:
    """An unrelated stem has no peak that stands out, and no verdict is drawn from it."""
    other = source(99)
    assert not align(other, MIX).found
    report = against((MIX, RATE), [(other, RATE)])
    assert report.stems[0].origin == "undecided"
    assert report.stems[0].p_separated is None
    assert report.stems[0].why == "not found in the mix"


def test_recorded_stems_are_independent_and_extracted_ones_are_not() -> None:
    """Each true stem is called studio and each extraction separated, by the mix alone."""
    report = against((MIX, RATE), [(s, RATE) for s in (*STEMS, *PULLED)])
    assert [stem.origin for stem in report.stems] == ["studio"] * 3 + ["separated"] * 3
    for true, pulled in zip(report.stems[:3], report.stems[3:], strict=True):
        assert true.signs["phase_agreement"] is not None
        assert pulled.signs["phase_agreement"] is not None
        assert true.signs["phase_agreement"] < 0.3 < 0.6 < pulled.signs["phase_agreement"]


def test_delay_gain_and_a_mastered_mix_change_nothing() -> None:
    """A stem that starts a second early at a tenth of its level, against a limited mix, keeps its verdict."""
    limited = np.tanh(2 * MIX).astype(np.float32)
    late = np.concatenate([np.zeros((RATE, 2), np.float32), limited])
    report = against((late, RATE), [(0.1 * STEMS[0], RATE), (0.1 * PULLED[0], RATE)])
    assert [stem.origin for stem in report.stems] == ["studio", "separated"]
    for stem in report.stems:
        assert stem.delay_s == pytest.approx(1.0, abs=1e-4)
        assert stem.gain_db is not None
        assert 20 < stem.gain_db < 30


def test_takes_of_a_session_behave_like_one_and_outputs_of_a_separator_like_it() -> None:
    """True stems sum to the mix and do not know each other; extractions share its phase."""
    session = against((MIX, RATE), [(s, RATE) for s in STEMS]).song
    drawn = against((MIX, RATE), [(s, RATE) for s in PULLED]).song
    assert session is not None
    assert drawn is not None
    assert session.behaves == "session"
    assert drawn.behaves == "separator"
    assert session.rest_db < -60
    assert drawn.agreement > 0.5 > 0.05 > abs(session.agreement)


def test_takes_that_hear_one_another_are_no_separator() -> None:
    """Bleed gives takes a phase in common; where none of them is called separated, nor are they together."""
    heard = [stem + 0.3 * np.roll(MIX - stem, 2, axis=0) for stem in STEMS]
    report = against((np.sum(heard, axis=0), RATE), [(stem, RATE) for stem in heard])
    assert report.song is not None
    assert report.song.agreement > weights()["separator_agreement"]
    assert report.song.behaves == "unclear"
    assert "takes that hear one another" in report.song.why


def test_one_stem_is_no_song() -> None:
    """With a single stem nothing is said of how stems lie to each other."""
    assert against((MIX, RATE), [(STEMS[0], RATE)]).song is None


def test_a_mix_that_is_named_as_the_stem_accuses_nobody() -> None:
    """Stem and mix in each other's place depend on each other as an extraction does; it is asked whether they are."""
    for stem in STEMS:
        swapped = against((stem, RATE), [(MIX, RATE)]).stems[0]
        assert probability(swapped.signs) >= SURE
        assert (swapped.origin, swapped.p_separated) == ("undecided", None)
        assert swapped.why.endswith("is the mix named first?")
        assert swapped.p_reverse is not None
        assert swapped.p_reverse < 0.5
    for pulled in against((MIX, RATE), [(p, RATE) for p in PULLED]).stems:
        assert pulled.p_reverse is not None
        assert pulled.p_reverse >= LEAST_REVERSE


@pytest.mark.parametrize(
    ("reverse", "is_the_larger", "said"),
    [(0.99, False, None), (0.9, False, "microphones hear one another"), (0.3, False, "is the mix named first"),
     (0.99, True, "is the mix named first")],
)  # fmt: skip
def test_a_stem_is_accused_only_if_the_mix_depends_on_it_too(
    reverse: float, is_the_larger: bool, said: str | None
) -> None:
    """What speaks against an extraction is said, and then there is neither a probability nor a verdict."""
    found = _doubt(reverse, is_the_larger)
    assert found is None if said is None else said in (found or "")


def test_a_mix_named_as_the_stem_of_its_extraction_is_not_accused() -> None:
    """Of an extraction and its mix either depends on the other; which is the mix is told by which rises higher."""
    for pulled in PULLED:
        swapped = against((pulled, RATE), [(MIX, RATE)]).stems[0]
        assert swapped.p_reverse is not None
        assert swapped.p_reverse >= LEAST_REVERSE
        assert (swapped.origin, swapped.p_separated) == ("undecided", None)
        assert swapped.why.endswith("is the mix named first?")
        assert against((MIX, RATE), [(pulled, RATE)]).stems[0].origin == "separated"


@pytest.mark.corpus
def test_true_stems_that_hear_the_others_are_not_accused(corpus: Path) -> None:
    """On the corpus's songs no take with bleed and no swapped mix is called separated, and extractions still are."""
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["set"] == "pairs"]
    songs = sorted({row["song_id"] for row in rows})[::6]
    accused = caught = extractions = 0
    for song in songs:
        clips = [
            (row, soundfile.read(corpus / row["clip"], dtype="float32")[0]) for row in rows if row["song_id"] == song
        ]
        true = [wave for row, wave in clips if row["origin"] == "studio"]
        pulled = [wave for row, wave in clips if row["origin"] == "separated"]
        mix = np.sum(true, axis=0)
        heard = [stem + 0.1 * np.roll(mix - stem, 300, axis=0) for stem in true]
        stems = against((mix, RATE), [(stem, RATE) for stem in [*heard, *pulled]]).stems
        accused += sum(stem.origin == "separated" for stem in stems[: len(true)])
        swapped = [against((stem, RATE), [(mix, RATE)]).stems[0] for stem in [*true, *pulled]]
        accused += sum(stem.origin == "separated" for stem in swapped)
        caught += sum(stem.origin == "separated" for stem in stems[len(true) :])
        extractions += len(pulled)
    assert accused == 0
    assert caught >= 0.85 * extractions


def test_a_short_stem_does_not_cut_the_others_short() -> None:
    """Each stem is measured to its own end: one that ends early changes nothing of what is said of another."""
    alone = against((MIX, RATE), [(PULLED[0], RATE)]).stems[0]
    beside = against((MIX, RATE), [(PULLED[0], RATE), (STEMS[1][: 2 * RATE], RATE)]).stems
    assert beside[0] == alone
    assert beside[1].found


def test_what_is_not_in_the_mix_is_no_part_of_the_song() -> None:
    """A stem of another song beside the stems of this one leaves what is said of their sum as it was."""
    stems = [(s, RATE) for s in STEMS]
    assert against((MIX, RATE), [*stems, (source(99), RATE)]).song == against((MIX, RATE), stems).song
    assert against((MIX, RATE), [stems[0], (source(99), RATE)]).song is None


def test_one_sound_twice_is_no_separator() -> None:
    """A stem that is given twice agrees with itself: the song is unclear, and why; a group and its part are named."""
    song = against((MIX, RATE), [(STEMS[0], RATE), (0.5 * STEMS[0], RATE), (STEMS[2], RATE)]).song
    assert song is not None
    assert song.agreement > 0.14
    assert song.behaves == "unclear"
    assert "hold the same sound" in song.why
    group = against((MIX, RATE), [(STEMS[0], RATE), (STEMS[0] + STEMS[1], RATE)]).song
    assert group is not None
    assert group.behaves == "unclear"
    assert "a group with a part of it" in group.why
    drawn = against((MIX, RATE), [(s, RATE) for s in PULLED]).song
    assert drawn is not None
    assert drawn.behaves == "separator"


def test_mono_and_stereo_may_be_mixed() -> None:
    """A mono stem is compared with the mix's mean channel."""
    report = against((MIX, RATE), [(PULLED[0].mean(axis=1), RATE)])
    assert report.stems[0].origin == "separated"


def test_sums_of_windows_are_the_sums_of_the_whole() -> None:
    """Signs over two windows lie between those of each: nothing but running sums is kept."""
    both, first, second = Sums(), Sums(), Sums()
    half = N // 2
    first.add(PULLED[0][:half], MIX[:half])
    second.add(PULLED[0][half:], MIX[half:])
    both.add(PULLED[0][:half], MIX[:half])
    both.add(PULLED[0][half:], MIX[half:])
    for name in SIGNS:
        a, b, c = (s.signs()[name] for s in (first, second, both))
        assert a is not None
        assert b is not None
        assert c is not None
        assert min(a, b) - 1e-6 <= c <= max(a, b) + 1e-6


def test_a_missing_sign_counts_as_its_mean() -> None:
    """A stem without pauses is judged by the other signs, and more dependence is never less suspect."""
    known = {"phase_agreement": 0.9, "shared_overlap": 0.3, "exceeds_mix": 0.3, "pause_coherence": None}
    assert probability(known) > 0.8
    assert probability({**known, "phase_agreement": 0.1, "shared_overlap": 0.0}) < 0.4 * probability(known)


def test_a_ridden_fader_accuses_nobody() -> None:
    """A true stem that is louder than its part of the mix most of the time is not sure to be an extraction for that."""
    known = {"phase_agreement": 0.26, "shared_overlap": 0.07, "exceeds_mix": 0.51, "pause_coherence": None}
    assert probability(known) < SURE
    assert probability(known) == probability({**known, "exceeds_mix": 1.0})


@pytest.mark.parametrize("stem", ["vocals.wav", Path("vocals.wav")])
def test_a_stem_by_itself_is_no_list_of_them(stem: str | Path) -> None:
    """A name in the place of a list is refused as that, and not read letter by letter."""
    with pytest.raises(ValueError, match=r"found one stem by itself, vocals\.wav; needed: a list"):
        against((MIX, RATE), stem)  # type: ignore[arg-type]


def test_nothing_to_compare_is_refused() -> None:
    """No stem, or a silent one, is named as such."""
    with pytest.raises(ValueError, match="at least one"):
        against((MIX, RATE), [])
    for silent in (np.zeros((RATE, 2), np.float32), np.full((8 * RATE, 2), 0.3, np.float32)):
        with pytest.raises(UnreadableAudio, match="less than a second of sound"):
            against((MIX, RATE), [(silent, RATE)])
    with pytest.raises(UnreadableAudio, match="silence where the stem sounds"):
        against((np.zeros_like(MIX), RATE), [(STEMS[0], RATE)])


def test_the_command_prints_the_report_and_finds_findings(tmp_path: Path, root: Path) -> None:
    """``against MIX STEM... --format json --fail-on separated`` prints JSON and exits with 1."""
    files = {"mix": MIX, "true": STEMS[0], "pulled": PULLED[1]}
    for name, wave in files.items():
        soundfile.write(tmp_path / f"{name}.flac", wave, RATE)
    names = [str(tmp_path / f"{name}.flac") for name in files]
    run = subprocess.run(
        [*COMMAND, "against", *names, "--format", "json", "--fail-on", "undecided,separated"],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    report = json.loads(run.stdout)
    assert [stem["origin"] for stem in report["stems"]] == ["studio", "separated"]
    table = subprocess.run(
        [*COMMAND, "against", *names], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert table.returncode == 0
    assert "studio" in table.stdout
    assert "Together the stems" in table.stdout


def test_the_command_names_bad_input(tmp_path: Path, root: Path) -> None:
    """A missing stem ends with exit code 2 and a line that names it."""
    soundfile.write(tmp_path / "mix.flac", MIX, RATE)
    run = subprocess.run(
        [*COMMAND, "against", str(tmp_path / "mix.flac"), str(tmp_path / "no.flac")],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "no.flac" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_name_with_brackets_is_no_markup(tmp_path: Path) -> None:
    """A stem named like a tag of the terminal's markup is printed by its name."""
    soundfile.write(tmp_path / "mix.flac", MIX, RATE)
    (tmp_path / "[").mkdir()
    soundfile.write(tmp_path / "[" / "b].flac", STEMS[0], RATE)
    run = subprocess.run(
        [*COMMAND, "against", "mix.flac", "[/b].flac"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "[/b].flac" in run.stdout


def test_the_help_sets_the_measure_apart() -> None:
    """The help says that origin and p_separated are another measure than the model's."""
    run = subprocess.run([*COMMAND, "against", "--help"], capture_output=True, text=True, check=False)
    assert "another measure than that of" in " ".join(run.stdout.split())
