"""Bad input: each kind gets a status or an error that names the file, what was found and what is needed.

Every case goes through Python and through the command line, where the good file beside it is still scored.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import provenance
from provenance.cli import app
from provenance.errors import UnreadableAudio
from tests import sounds

Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Refused:
    """A case that is an error: its code, and words of what was found and needed."""

    make: Make
    code: str
    found: str
    needed: str


@dataclass(frozen=True)
class Judged:
    """A case that is read and has a status."""

    make: Make
    status: str
    reasons: tuple[str, ...] = ()


def data(name: str, content: bytes) -> Make:
    """A file with these bytes."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def wave(name: str, samples: sounds.Wave, rate_hz: int = 44_100, subtype: str | None = None) -> Make:
    """A file with these samples."""
    return lambda folder: sounds.write(folder / name, samples, rate_hz, subtype)


def holed(value: float) -> sounds.Wave:
    """Noise with one bad sample at half a second."""
    out = sounds.noise(2.0).astype(np.float64)
    out[22_050, 1] = value
    return out


def folder_of_nothing(folder: Path) -> Path:
    """A directory without audio."""
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("no audio here")
    return folder / "empty"


def fifo(folder: Path) -> Path:
    """A named pipe, which would block whoever opens it."""
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def link_to_nowhere(folder: Path) -> Path:
    """A symbolic link to what is gone."""
    (folder / "link.wav").symlink_to(folder / "gone.wav")
    return folder / "link.wav"


def two_streams(folder: Path) -> Path:
    """A mix and a stem in one MP4, as Native Instruments' stem files have them."""
    import av

    path, coded = folder / "song.stem.mp4", sounds.encode_m4a(sounds.music(2.0))
    with av.open(path, "w", format="mp4") as container:
        sources = [av.open(io.BytesIO(coded)) for _ in range(2)]
        streams = [container.add_stream_from_template(source.streams.audio[0]) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.demux(audio=0):
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
    return path


GOOD = sounds.music(6.0)
WAV, FLAC, MP3 = (sounds.encode(GOOD, fmt=f) for f in ("WAV", "FLAC", "MP3"))
TEXT = b"this is no sound\n" * 40
HOLED_FLAC = FLAC[:3000] + bytes(2000) + FLAC[5000:]
REFUSED = {
    "two streams": Refused(two_streams, "broken", "2 audio streams in one file", "ffmpeg"),
    "empty": Refused(data("a.wav", b""), "empty_file", "an empty file of 0 bytes", "readable audio file"),
    "text renamed .wav": Refused(data("a.wav", TEXT), "not_audio", "no audio that can be", "WAV, FLAC"),
    "text renamed .mp3": Refused(data("a.mp3", TEXT), "not_audio", "no audio that can be", "WAV, FLAC"),
    "text renamed .m4a": Refused(data("a.m4a", TEXT), "not_audio", "no audio that can be", "m4a/AAC"),
    "raw noise": Refused(data("a.raw", os.urandom(4000)), "not_audio", "no audio that can be decoded", "WAV"),
    "zeros": Refused(data("a.flac", bytes(4000)), "not_audio", "no audio that can be decoded", "WAV"),
    "header alone": Refused(data("a.wav", WAV[:44]), "no_samples", "no samples", ""),
    "header cut": Refused(data("a.wav", WAV[:20]), "not_audio", "no audio that can be decoded", "WAV"),
    "zero samples": Refused(wave("a.wav", sounds.noise(0.0)), "no_samples", "a header with no samples", "one second"),
    "truncated FLAC": Refused(data("a.flac", FLAC[: len(FLAC) // 2]), "broken", "a decoder error after", "a whole"),
    "FLAC head alone": Refused(data("a.flac", FLAC[:60]), "", "", ""),
    "damaged FLAC": Refused(data("a.flac", HOLED_FLAC), "broken", "a decoder error", "a whole file"),
    "truncated m4a": Refused(data("a.m4a", sounds.encode_m4a(GOOD)[:4000]), "not_audio", "no audio that can be", "m4a"),
    "NaN": Refused(wave("a.wav", holed(np.nan), 44_100, "FLOAT"), "not_finite", "at 0.500 s", "finite samples"),
    "infinite": Refused(wave("a.wav", holed(np.inf), 44_100, "FLOAT"), "not_finite", "at 0.500 s", "finite samples"),
    "infinite at 48 kHz": Refused(wave("a.wav", holed(-np.inf), 48_000, "FLOAT"), "not_finite", "at 0.459 s", "finite"),
    "double beyond float": Refused(
        lambda f: sounds.write(f / "a.wav", holed(1e300), 44_100, "DOUBLE"), "not_finite", "0.500 s", "finite"),
    "1e20": Refused(wave("a.wav", holed(1e20), 44_100, "FLOAT"), "too_loud", "1e+20 at 0.500 s", "full scale"),
    "12 channels": Refused(wave("a.wav", sounds.noise(2.0, channels=12)), "too_many_channels", "12 channels", "1 or 2"),
    "500 Hz": Refused(wave("a.wav", sounds.noise(5.0, 500), 500), "bad_rate", "500 Hz", "from 1000 to"),
    "directory": Refused(folder_of_nothing, "", "a directory", ""),
    "missing": Refused(lambda f: f / "gone.wav", "not_found", "no such file", "a readable audio file"),
    "below a file": Refused(lambda f: data("a.wav", b"x")(f) / "b.wav", "not_readable", "Not a directory", "readable"),
    "name too long": Refused(lambda f: f / ("a" * 300 + ".wav"), "not_readable", "File name too long", "readable"),
    "link to nowhere": Refused(link_to_nowhere, "not_found", "no such file", "readable"),
    "named pipe": Refused(fifo, "not_a_file", "neither a file nor a link", "readable"),
}  # fmt: skip
JUDGED = {
    "one sample": Judged(wave("a.wav", sounds.noise(2.0)[:1]), "too_short"),
    "a tenth of a second": Judged(wave("a.wav", sounds.noise(0.1)), "too_short"),
    "truncated WAV": Judged(data("a.wav", WAV[: len(WAV) // 2]), "ok", ("truncated",)),
    "truncated MP3": Judged(data("a.mp3", MP3[: len(MP3) // 2]), "ok", ("truncated", "lossy")),
    "8 kHz": Judged(wave("a.wav", sounds.noise(3.0, 8_000), 8_000), "band_limited"),
    "22 kHz": Judged(wave("a.wav", sounds.noise(3.0, 22_050), 22_050), "ok", ("band_limited",)),
    "192 kHz": Judged(wave("a.wav", sounds.noise(3.0, 192_000), 192_000), "ok"),
    "768 kHz": Judged(wave("a.wav", sounds.noise(1.5, 768_000), 768_000), "ok"),
    "silence": Judged(wave("a.wav", sounds.noise(3.0) * 0), "silent"),
    "short silence": Judged(wave("a.wav", sounds.noise(0.5) * 0), "silent"),
    "silence in Opus": Judged(
        lambda f: sounds.write(f / "a.opus", sounds.noise(3.0, 48_000) * 0, 48_000, "OPUS", "OGG"), "silent"),
    "dither alone": Judged(wave("a.wav", sounds.noise(3.0, level=3e-6), 44_100, "FLOAT"), "silent"),
    "DC": Judged(wave("a.wav", sounds.noise(3.0) * 0 + np.float32(0.5)), "silent"),
    "DC at 48 kHz": Judged(wave("a.wav", sounds.noise(3.0, 48_000) * 0 + np.float32(0.5), 48_000), ""),
    "full scale square": Judged(wave("a.wav", np.sign(sounds.tone(100, 2.0))), "ok", ("clipped",)),
    "integers as floats": Judged(wave("a.wav", sounds.music(3.0) * np.float32(2**31), 44_100, "FLOAT"), "ok"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_python_raises_an_error_that_says_it(name: str, tmp_path: Path, scorer: provenance.Scorer) -> None:
    """The error names the file, what was found and what is needed, and has a code."""
    case = REFUSED[name]
    path = case.make(tmp_path)
    with pytest.raises(UnreadableAudio) as caught:
        scorer.score(path)
    error = caught.value
    assert str(path) in str(error)
    assert "; needed: " in str(error)
    assert case.found in error.found
    assert case.needed in error.needed
    assert error.code == (case.code or error.code)
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", REFUSED)
def test_the_command_line_reports_it_and_scores_the_rest(name: str, tmp_path: Path, tiny_model: Path) -> None:
    """Exit code 2, a row with the error, the message on stderr, no traceback; the good files beside it are scored."""
    bad = REFUSED[name].make(tmp_path)
    good = [sounds.write(tmp_path / f"good{k}.wav", GOOD) for k in range(2)]
    files = [good[0], bad, good[1]]
    done = CliRunner().invoke(app, ["score", *map(str, files), "--format", "jsonl", "--model", str(tiny_model)])
    assert done.exit_code == 2
    assert done.exception is None or isinstance(done.exception, SystemExit)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows] == [str(f) for f in files]
    assert [row["status"] for row in rows] == ["ok", "error", "ok"]
    assert rows[1]["error"]["message"] in done.stderr
    assert str(bad) in rows[1]["error"]["message"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", JUDGED)
def test_what_can_be_read_has_a_status(name: str, tmp_path: Path, scorer: provenance.Scorer, tiny_model: Path) -> None:
    """What can be read and not judged has a status and no probability, from Python and the command line alike."""
    case = JUDGED[name]
    path = case.make(tmp_path)
    found = scorer.score(path)
    assert found.status == case.status or not case.status
    assert set(case.reasons) <= set(found.reasons)
    if found.status != "ok":
        assert found.status == found.reasons[0]
        assert (found.origin, found.p_separated, found.confidence) == ("undecided", None, None)
    done = CliRunner().invoke(app, ["score", str(path), "--format", "json", "--model", str(tiny_model)])
    assert done.exit_code == 0
    row = json.loads(done.stdout)[0]
    assert row == {"path": str(path), **json.loads(json.dumps(found.to_dict()))}


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Run as a user without special rights, so that permissions hold where tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A good file that its reader may not read, in folders that anyone may enter."""
    path = sounds.write(tmp_path / "locked.wav", GOOD)
    entered = []
    for folder in tmp_path.parents[:-1]:
        if os.stat(folder).st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            entered.append((folder, folder.stat().st_mode))
            folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    path.chmod(0)
    yield path
    path.chmod(0o600)
    for folder, mode in entered:
        folder.chmod(mode)


def test_a_file_without_read_permission_is_named(locked: Path, scorer: provenance.Scorer) -> None:
    """A file that may not be read is an error that says so and what is needed."""
    with nobody(), pytest.raises(UnreadableAudio, match=r"locked\.wav: Permission denied; needed: permission to read"):
        scorer.score(locked)


def test_the_command_line_names_it_too(locked: Path, tiny_model: Path) -> None:
    """The same through the command line, beside a file that can be read."""
    good = sounds.write(locked.parent / "good.wav", GOOD)
    good.chmod(0o644)
    provenance.load(tiny_model)
    arguments = ["score", str(locked), str(good), "--format", "jsonl", "--model", str(tiny_model)]
    for folder in (*tiny_model.parents[:-1], tiny_model):
        if not folder.stat().st_mode & 0o001 and os.stat(folder).st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    with nobody():
        done = CliRunner().invoke(app, arguments)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 2
    assert [row["status"] for row in rows] == ["error", "ok"]
    assert rows[0]["error"]["code"] == "not_readable"


class Broken(io.RawIOBase):
    """A stream that fails while it is read."""

    def read(self, n: int = -1) -> bytes:
        raise OSError("the disk is gone")


OBJECTS: dict[str, tuple[Callable[[], object], str]] = {
    "no bytes": (lambda: b"", "empty_file"),
    "none": (lambda: None, "not_seekable"),
    "an array without its rate": (lambda: np.zeros((44_100, 2)), "not_seekable"),
    "an empty name": (lambda: "", "not_found"),
    "the rate first": (lambda: (44_100, np.zeros((44_100, 2))), "bad_samples"),
    "a rate in kilohertz": (lambda: (np.zeros(44_100), 44.1), "bad_rate"),
    "a rate with a part of a hertz": (lambda: (np.zeros(44_100), 44_100.9), "bad_rate"),
    "masked samples": (lambda: (np.ma.masked_less(np.linspace(-0.5, 0.5, 90_000), 0), 44_100), "bad_samples"),
    "a number": (lambda: 7, "not_seekable"),
    "a text stream": (lambda: io.StringIO("words"), "not_binary"),
    "a broken stream": (lambda: Broken(), "not_seekable"),
    "a pipe": (lambda: os.fdopen(os.pipe()[0], "rb"), "not_seekable"),
    "a null byte in a name": (lambda: "a\0b.wav", "not_found"),
    "whole numbers": (lambda: (np.zeros((44_100, 2), np.int16), 44_100), "bad_samples"),
    "complex numbers": (lambda: (np.zeros(44_100, np.complex64), 44_100), "bad_samples"),
    "three dimensions": (lambda: (np.zeros((1, 2, 44_100)), 44_100), "bad_samples"),
    "channels first": (lambda: (np.zeros((2, 44_100)), 44_100), "bad_samples"),
    "words": (lambda: (["a", "b"], 44_100), "bad_samples"),
    "a ragged list": (lambda: ([[0.0], [0.0, 1.0]], 44_100), "bad_samples"),
    "samples without a rate": (lambda: (np.zeros(44_100),), "bad_samples"),
    "no rate": (lambda: (np.zeros(44_100), None), "bad_samples"),
    "a rate that is no number": (lambda: (np.zeros(44_100), float("nan")), "bad_samples"),
    "a negative rate": (lambda: (np.zeros(44_100), -44_100), "bad_rate"),
    "no samples": (lambda: (np.zeros((0, 2)), 44_100), "no_samples"),
    "a scalar": (lambda: (np.float64(0.0), 44_100), "bad_samples"),
    "double beyond float": (lambda: (np.full((44_100, 1), 1e300), 44_100), "not_finite"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_that_are_no_audio_are_refused(name: str, scorer: provenance.Scorer) -> None:
    """Bytes, streams and arrays that are no audio are refused with a code, never with another library's error."""
    make, code = OBJECTS[name]
    with pytest.raises(UnreadableAudio) as caught:
        scorer.score(make())  # type: ignore[arg-type]
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("source", "said"),
    [((44_100, np.zeros((44_100, 2))), "the rate first"), (np.zeros((9, 2)), "an object of type ndarray"),
     ((np.zeros(44_100), 44.1), "a sample rate of 44.1 Hz"), ("", "an empty name")],
)  # fmt: skip
def test_common_slips_are_told_in_their_own_words(source: object, said: str, scorer: provenance.Scorer) -> None:
    """What SciPy returns, an array alone, kilohertz and a shell's empty variable are called what they are."""
    with pytest.raises(UnreadableAudio, match=said):
        scorer.score(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("fmt", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_random_damage_never_gives_a_traceback(fmt: str, scorer: provenance.Scorer) -> None:
    """Bytes overwritten, cut out or doubled anywhere give a verdict or an UnreadableAudio, and nothing else."""
    rng = np.random.default_rng(5)
    clean = sounds.encode(sounds.music(2.0), fmt=fmt)
    for _ in range(25):
        found = bytearray(clean)
        for _ in range(int(rng.integers(1, 6))):
            at, n = int(rng.integers(0, min(len(found), 4000))), int(rng.integers(1, 40))
            found[at : at + n] = rng.bytes(n) if rng.random() < 0.7 else b""
        with contextlib.suppress(UnreadableAudio):
            assert scorer.score(bytes(found), max_s=30).status


def test_another_process_gets_the_error_whole(tmp_path: Path) -> None:
    """A pool of processes that scores files hands the error to whoever asked."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        future = pool.submit(provenance.score, str(tmp_path / "none.wav"))
        with pytest.raises(UnreadableAudio, match="no such file") as caught:
            future.result()
    assert (caught.value.code, caught.value.path) == ("not_found", str(tmp_path / "none.wav"))
