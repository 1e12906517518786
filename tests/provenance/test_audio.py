"""Reading: what comes out of a decoder and a resampler is the sound that went in."""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from provenance import audio
from provenance.errors import UnreadableAudio
from tests import sounds

LOSSLESS = [
    ("WAV", "PCM_16", 1 / 32_000),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 0.0),
    ("WAV", "DOUBLE", 0.0),
    ("WAVEX", "PCM_16", 1 / 32_000),
    ("RF64", "PCM_16", 1 / 32_000),
    ("FLAC", "PCM_16", 1 / 32_000),
    ("FLAC", "PCM_24", 1e-6),
    ("AIFF", "PCM_16", 1 / 32_000),
    ("AIFF", "PCM_24", 1e-6),
    ("W64", "PCM_24", 1e-6),
    ("AU", "PCM_16", 1 / 32_000),
    ("CAF", "PCM_16", 1 / 32_000),
]
LOSSY = [("OGG", "VORBIS", 44_100), ("OGG", "OPUS", 48_000), ("MP3", "MPEG_LAYER_III", 44_100)]


def peak_hz(wave: np.ndarray) -> float:
    """Frequency of the strongest bin."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.argmax(spectrum) * sounds.RATE_HZ / len(wave))


@pytest.mark.parametrize(("fmt", "subtype", "error"), LOSSLESS)
def test_lossless_formats_come_back_as_they_were(fmt: str, subtype: str, error: float) -> None:
    """A lossless file gives its samples to within its own rounding, from bytes, and is not called lossy."""
    wave = sounds.music(1.5)
    info, found = audio.read(sounds.encode(wave, fmt=fmt, subtype=subtype))
    assert found.dtype == np.float32
    assert found.shape == wave.shape
    assert np.abs(found - wave).max() <= error
    assert not info.lossy
    assert info.codec.endswith(subtype)


@pytest.mark.parametrize(("fmt", "subtype", "rate_hz"), LOSSY)
def test_lossy_formats_keep_the_sound_and_are_named(fmt: str, subtype: str, rate_hz: int) -> None:
    """A lossy file keeps its tone, length and level, and says that it is lossy."""
    wave = sounds.tone(1000, 3.0, rate_hz, channels=2)
    info, found = audio.read(sounds.encode(wave, rate_hz, fmt, subtype))
    assert info.lossy
    assert info.codec.split("/")[1] == subtype
    assert abs(len(found) / sounds.RATE_HZ - 3.0) < 0.1
    assert abs(peak_hz(found[:, 0]) - 1000) < 2
    assert 0.4 < np.abs(found[sounds.RATE_HZ : 2 * sounds.RATE_HZ]).max() < 0.6


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"])
def test_a_wav_file_of_a_lossy_coding_is_called_lossy(subtype: str) -> None:
    """A container says nothing of what it holds: telephone codings lie in WAV files too."""
    mono = {"GSM610", "G721_32"}
    info, _ = audio.read(
        sounds.encode(sounds.tone(1000, 2.0, 16_000, channels=1 if subtype in mono else 2), 16_000, "WAV", subtype)
    )
    assert (info.lossy, info.codec) == (True, f"WAV/{subtype}")


@pytest.mark.parametrize(("fmt", "name"), [("mp4", "take.m4a"), ("adts", "take.aac")])
def test_aac_is_read_through_pyav(tmp_path: Path, fmt: str, name: str) -> None:
    """AAC in MP4 and in ADTS gives its tone, by path and by bytes alike."""
    data = sounds.encode_m4a(sounds.tone(2000, 3.0, channels=2), fmt=fmt)
    path = tmp_path / name
    path.write_bytes(data)
    info, found = audio.read(path)
    assert info.lossy
    assert info.codec == "MP4/AAC"
    assert abs(peak_hz(found[:, 1]) - 2000) < 2
    assert abs(len(found) / sounds.RATE_HZ - 3.0) < 0.1
    assert np.array_equal(audio.read(data)[1], found)


def fail_to_import_av(monkeypatch: pytest.MonkeyPatch, error: ImportError) -> None:
    """Let the import of PyAV end with an error, and no other."""
    real = builtins.__import__

    def failing(name: str, *rest: object) -> object:
        if name == "av":
            raise error
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", failing)


def test_without_pyav_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyAV is not installed, m4a is refused with the command that installs it."""
    data = sounds.encode_m4a(sounds.tone(440, 1.5))
    fail_to_import_av(monkeypatch, ModuleNotFoundError("No module named 'av'", name="av"))
    with pytest.raises(UnreadableAudio, match=r"pip install 'stem-provenance\[m4a\]'") as caught:
        audio.read(data)
    assert caught.value.code == "needs_extra"


def test_pyav_that_does_not_load_is_not_taken_for_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyAV is installed and cannot be loaded, the error says so and names no extra."""
    data = sounds.encode_m4a(sounds.tone(440, 1.5))
    broken = ImportError("libavcodec.so: cannot open shared object file", name="av._core")
    fail_to_import_av(monkeypatch, broken)
    with pytest.raises(UnreadableAudio, match=r"does not load \(libavcodec") as caught:
        audio.read(data)
    assert caught.value.code == "broken_extra"
    assert "stem-provenance[m4a]" not in str(caught.value)


@pytest.mark.parametrize("installed", [True, False])
def test_an_extra_is_named_only_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    """What cannot be decoded with PyAV installed needs another file, not the extra."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: real(name) if name != "av" or installed else None)
    with pytest.raises(UnreadableAudio, match="m4a/AAC") as caught:
        audio.read(b"this is no sound at all" * 40)
    assert caught.value.code == "not_audio"
    assert ("extra" in str(caught.value)) is not installed


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    """A file is opened by what it holds: FLAC named .m4a, m4a named .wav and MP3 named .flac are all read."""
    wave = sounds.tone(700, 2.0)
    for name, data in (
        ("a.m4a", sounds.encode(wave, fmt="FLAC")),
        ("b.wav", sounds.encode_m4a(wave)),
        ("c.flac", sounds.encode(wave, fmt="MP3")),
    ):
        (tmp_path / name).write_bytes(data)
        found = audio.read(tmp_path / name)[1]
        assert abs(peak_hz(found[:, 0]) - 700) < 2, name


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 32_000, 48_000, 88_200, 96_000, 192_000])
def test_a_tone_keeps_its_pitch_level_and_length_through_the_resampler(rate_hz: int) -> None:
    """At 44.1 kHz a tone has the pitch, the level and the length it had at any other rate."""
    info, found = audio.read((sounds.tone(1500, 3.0, rate_hz), rate_hz))
    assert info.sample_rate_hz == rate_hz
    assert abs(len(found) - 3 * sounds.RATE_HZ) <= 2
    middle = found[sounds.RATE_HZ : 2 * sounds.RATE_HZ, 0]
    assert abs(peak_hz(middle) - 1500) < 1.5
    assert abs(np.abs(middle).max() - 0.5) < 2e-3


def test_a_tone_above_the_cut_off_vanishes() -> None:
    """What lies above 22.05 kHz does not fold back: a 30 kHz tone at 96 kHz comes out below -100 dB."""
    found = audio.read((sounds.tone(30_000, 3.0, 96_000), 96_000))[1]
    assert np.abs(found[4410:-4410]).max() < 0.5 * 10 ** (-100 / 20)


def test_blocks_do_not_show_in_what_is_resampled() -> None:
    """A long file resampled block by block is the file resampled at once."""
    wave = sounds.music(9.3, 48_000)
    import soxr

    whole = soxr.resample(wave, 48_000, sounds.RATE_HZ, quality="HQ")
    found = audio.read((wave, 48_000))[1]
    n = min(len(found), len(whole))
    assert abs(len(found) - len(whole)) <= 1
    assert np.abs(found[:n] - whole[:n]).max() < 1e-6


def test_a_path_its_bytes_a_stream_and_its_samples_are_one_sound(tmp_path: Path) -> None:
    """However a file is given, the same samples come out."""
    wave = sounds.music(2.0)
    path = sounds.write(tmp_path / "a.wav", wave, subtype="FLOAT")
    data = path.read_bytes()
    for source in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), (wave, 44_100)):
        assert np.array_equal(audio.read(source)[1], wave)
    with path.open("rb") as file:
        assert np.array_equal(audio.read(file)[1], wave)
        assert not file.closed


def test_arrays_are_not_changed_and_any_float_is_taken() -> None:
    """Samples given as an array stay as they are; float64, float16, one dimension and lists of floats are taken."""
    wave = sounds.music(1.5, 48_000).astype(np.float64)
    before = wave.copy()
    audio.read((wave, 48_000))
    assert np.array_equal(wave, before)
    assert audio.read((wave[:, 0], 48_000))[1].shape[1] == 1
    assert audio.read((wave.astype(np.float16), 48_000))[1].shape[1] == 2
    assert len(audio.read(([0.0, 0.5, -0.5], 44_100))[1]) == 3


def test_reading_stops_where_it_is_told() -> None:
    """``max_s`` cuts what is returned."""
    assert len(audio.read((sounds.noise(6.0), 44_100), max_s=2.5)[1]) == int(2.5 * 44_100)


def test_a_flac_header_that_leaves_its_length_open_is_read_whole() -> None:
    """A FLAC stream written to a pipe says 0 samples: all of it is read and nothing is missing."""
    wave = sounds.music(9.0)
    info, found = audio.read(patched_flac(wave, 0))
    assert len(found) == len(wave)
    assert info.n_declared is None
    assert not info.is_short


@pytest.mark.parametrize("total", [2**36 - 1, 10**9])
def test_a_header_that_claims_hours_costs_nothing(total: int) -> None:
    """A FLAC header that claims 550 GB gives what the file holds, and the file counts as truncated."""
    wave = sounds.music(5.0)
    info, found = audio.read(patched_flac(wave, total))
    assert len(found) == len(wave)
    assert info.is_short


def patched_flac(wave: sounds.Wave, total: int) -> bytes:
    """FLAC bytes whose STREAMINFO claims ``total`` samples."""
    data = bytearray(sounds.encode(wave, fmt="FLAC", subtype="PCM_16"))
    field = int.from_bytes(data[18:26], "big") >> 36 << 36 | total
    data[18:26] = field.to_bytes(8, "big")
    return bytes(data)


@pytest.mark.parametrize("fmt", ["WAV", "AIFF", "RF64", "W64", "AU", "MP3", "FLAC"])
def test_a_truncated_file_is_either_named_so_or_refused(fmt: str) -> None:
    """Half a file either comes with ``is_short`` or is refused as broken, and never passes for a whole one."""
    data = sounds.encode(sounds.music(8.0), fmt=fmt)
    try:
        info, found = audio.read(data[: len(data) // 2])
    except UnreadableAudio as error:
        refused = error
    else:
        refused = None
    if refused:
        assert refused.code == "broken"
        assert "decoder error after" in refused.found
        return
    assert 3.5 < len(found) / sounds.RATE_HZ < 4.5
    assert info.is_short


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_without_its_end_is_named_so(subtype: str) -> None:
    """Its last page is marked as the last; a file that was cut has none that is."""
    data = sounds.encode(sounds.music(6.0, 48_000), 48_000, "OGG", subtype)
    assert not audio.read(data)[0].is_short
    info, found = audio.read(data[: len(data) // 2])
    assert 0.5 < len(found) / sounds.RATE_HZ < 5
    assert info.is_short


@pytest.mark.parametrize(
    ("fmt", "sizes"),
    [
        ("WAV", {4: b"\x24\xf0\xff\x7f", 40: b"\x00\xf0\xff\x7f"}),  # SoX
        ("WAV", {4: b"\xff" * 4, 40: b"\xff" * 4}),  # FFmpeg
        ("AIFF", {4: b"\x7f\x00\x00\x50"}),
        ("AU", {8: b"\xff" * 4}),
    ],
)
def test_a_file_written_to_a_pipe_is_not_called_short(fmt: str, sizes: dict[int, bytes]) -> None:
    """Whoever writes to a pipe does not know the length, and leaves in the header what stands for that."""
    wave = sounds.music(3.0)
    data = bytearray(sounds.encode(wave, fmt=fmt, subtype="PCM_16"))
    for at, size in sizes.items():
        data[at : at + 4] = size
    info, found = audio.read(bytes(data))
    assert len(found) == len(wave)
    assert not info.is_short


def mp3(wave: sounds.Wave, headed: bool = True, rate_hz: int = sounds.RATE_HZ) -> bytes:
    """A VBR MP3, with or without the frame at its beginning that says how many follow."""
    data = sounds.encode(wave, rate_hz, fmt="MP3")
    assert b"Xing" in data[:200] or b"Info" in data[:200]
    return data if headed else data[data.index(data[:2], 4) :]


def test_an_mp3_that_tells_no_length_is_not_called_short() -> None:
    """Without the frame that counts them a length is guessed from the first bit rate; a wrong guess says nothing."""
    pytest.importorskip("av", reason="needs the extra 'm4a'")
    wave = sounds.music(60.0)
    info, found = audio.read(sounds.encode_m4a(wave, fmt="mp3", coding="mp3", write_xing="0"))
    assert abs(len(found) - len(wave)) < 0.1 * sounds.RATE_HZ
    assert info.n_declared is None
    assert not info.is_short
    assert audio.read(sounds.encode(wave, fmt="MP3"))[0].n_declared == len(wave)


@pytest.mark.parametrize("rate_hz", [44_100, 22_050])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_an_mp3_of_changing_bit_rate_is_read_whole_without_the_frame_that_counts(
    rate_hz: int, n_channels: int, tmp_path: Path
) -> None:
    """A first frame of a high rate would have it end early; what is read is what is read with that frame."""
    fading = np.concatenate([sounds.noise(2.0, level=0.3), sounds.noise(12.0, level=1e-4)])[:, :n_channels]
    whole, bare = (mp3(fading, headed, rate_hz) for headed in (True, False))
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + bare)
    _, wanted = audio.read(whole)
    for source in (bare, path):
        info, found = audio.read(source)
        assert info.n_declared is not None
        assert not info.is_short
        assert 0 <= len(found) - len(wanted) < 0.1 * sounds.RATE_HZ  # the encoder's delay and padding are not told
        lag = np.argmax(np.correlate(found[:8000, 0], wanted[:4000, 0], "valid"))
        n = min(len(wanted), len(found) - lag) - 4000
        np.testing.assert_allclose(found[lag + 500 : lag + n], wanted[500:n], atol=2e-4)  # behind the first edges


def unread() -> dict[str, bytes]:
    """Files of which a decoder gives the first part alone."""
    wave = sounds.music(3.0)
    ogg, opus = sounds.encode(wave, fmt="OGG"), sounds.encode(wave, 48_000, "OGG", "OPUS")
    one = mp3(wave)
    tag = b"ID3\x03\0\0\0\x0f\0\0" + bytes(0x0F << 14)
    wav = sounds.encode(wave)
    size = wav.index(b"data") + 4
    short = wav[:size] + (len(wav) // 3).to_bytes(4, "little") + wav[size + 4 :]
    return {
        "WAV whose data are more than it says": short,
        "the same, its whole size as small": short[:4] + (len(wav) // 3 + 36).to_bytes(4, "little") + short[8:],
        "chained Vorbis": ogg + ogg,
        "chained Opus": opus + opus,
        "two MP3 in one file": one + one,
        "two MP3 with a picture between them": one + tag + one,
    }


@pytest.mark.parametrize("name", unread())
def test_what_the_decoder_would_leave_unread_is_refused(name: str, tmp_path: Path) -> None:
    """No file is judged by the first of its streams, or by a part that a guessed length ends; from bytes and disk."""
    data = unread()[name]
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(UnreadableAudio, match="audio behind the") as caught:
            audio.read(source)
        assert caught.value.code == "broken"


def test_what_lies_behind_the_data_of_a_wav_and_is_no_audio_is_passed() -> None:
    """Chunks of metadata, however long, and padding."""
    wave = sounds.music(2.0)
    data = sounds.encode(wave)
    tail = b"LIST" + (400_000).to_bytes(4, "little") + bytes(400_000)
    for more in (tail, bytes(1000)):
        info, found = audio.read(data + more)
        assert len(found) == len(wave)
        assert not info.is_short


def test_a_wav_cut_short_is_truncated_though_it_leaves_its_whole_size_open() -> None:
    """By the size of its data."""
    data = sounds.encode(sounds.music(4.0))
    info, found = audio.read(data[:4] + bytes(4) + data[8 : len(data) // 2])
    assert info.truncated
    assert 1.9 < len(found) / sounds.RATE_HZ < 2.1
    assert not audio.read(data[:4] + bytes(4) + data[8:])[0].truncated


def test_aac_behind_a_tag_and_flac_in_ogg_are_read_by_what_they_hold(tmp_path: Path) -> None:
    """From bytes as from disk; a tag of ID3 before AAC is that of a part of a stream."""
    pytest.importorskip("av", reason="needs the extra 'm4a'")
    wave = sounds.music(3.0)
    tag = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
    for name, data, codec, lossy in (
        ("a.aac", tag + sounds.encode_m4a(wave, fmt="adts", coding="aac"), "MP4/AAC", True),
        ("a.ogg", sounds.encode_m4a(wave, fmt="ogg", coding="flac"), "OGG/FLAC", False),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        for source in (data, path):
            info, found = audio.read(source)
            assert (info.codec, info.lossy) == (codec, lossy)
            assert abs(len(found) - len(wave)) < 0.1 * sounds.RATE_HZ


def test_zeros_behind_the_tag_of_an_mp3_are_skipped(tmp_path: Path) -> None:
    """As Studio One leaves them: the audio is that of the file without, from bytes and disk; zeros alone are none."""
    wave = sounds.music(2.0)
    plain = mp3(wave)
    padded = b"ID3\x03\0\0\0\0\0\x14" + b"TYER\0\0\0\x06\0\0\x002017\0" + bytes(3 + 334) + plain
    path = tmp_path / "stem.mp3"
    path.write_bytes(padded)
    info, samples = audio.read(plain)
    for source in (padded, path):
        found, same = audio.read(source)
        assert np.array_equal(same, samples)
        assert (found.codec, found.n_declared, found.is_short) == (info.codec, info.n_declared, info.is_short)
    with pytest.raises(UnreadableAudio, match="no audio that can be decoded"):
        audio.read(padded[: -len(plain)] + bytes(2000))


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"APETAGEX" + bytes(300_000), os.urandom(300_000)])
def test_tags_behind_an_mp3_are_no_audio(tail: bytes) -> None:
    """What stands behind the last frame and is none changes nothing."""
    wave = sounds.music(3.0)
    info, found = audio.read(mp3(wave) + tail)
    assert len(found) == len(wave)
    assert not info.is_short


@pytest.mark.parametrize(("coding", "lossy"), [("alac", False), ("flac", False), ("pcm_s16le", False), ("aac", True)])
def test_what_is_lossless_in_mp4_is_not_called_lossy(coding: str, lossy: bool) -> None:
    """ALAC, FLAC and PCM keep every sample in a container of QuickTime's kind, too."""
    pytest.importorskip("av", reason="needs the extra 'm4a'")
    wave = sounds.music(2.0)
    info, found = audio.read(sounds.encode_m4a(wave, fmt="mov" if coding == "pcm_s16le" else "mp4", coding=coding))
    assert info.codec == f"MP4/{coding.upper()}"
    assert info.lossy is lossy
    assert lossy or np.abs(found[: len(wave)] - wave).max() < 1e-4


def test_a_whole_file_is_never_called_short() -> None:
    """No format's whole file counts as truncated."""
    wave = sounds.music(3.0)
    files = [sounds.encode(wave, fmt=f, subtype=s) for f, s, _ in LOSSLESS]
    files += [sounds.encode(wave, rate, f, s) for f, s, rate in LOSSY]
    for data in files:
        info, _ = audio.read(data)
        assert not info.is_short, info.codec


def test_flat_runs_at_full_scale_are_counted() -> None:
    """Clipping leaves equal neighbours at full scale; sines of any note, and a square far below, do not."""
    loud = np.clip(sounds.tone(220, 2.0, level=1.6), -1, 1)
    quiet = np.sign(sounds.tone(220, 2.0)) * np.float32(0.5)
    shares = []
    for wave in (loud, quiet, *(sounds.tone(hz, 2.0, level=1.0) for hz in (30, 40, 55, 110, 220))):
        info, _ = audio.read(sounds.encode(wave, 44_100, "WAV", "PCM_16"))
        shares.append(info.flat_share)
    assert shares[0] > 0.3
    assert max(shares[1:]) == 0.0


def test_nothing_is_printed_and_no_file_stays_open(tmp_path: Path) -> None:
    """After a file was read or refused, no descriptor to it is left."""
    good = sounds.write(tmp_path / "good.wav", sounds.noise(1.0))
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF\x00\x00\x00\x00WAVE")
    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else set()
    audio.read(good)
    with pytest.raises(UnreadableAudio):
        audio.read(bad)
    after = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else set()
    assert after == before


def test_a_file_survives_odd_names(tmp_path: Path) -> None:
    """Spaces, quotes, emoji and bytes that are not UTF-8 are names like any other."""
    wave = sounds.noise(1.2)
    for name in ("a b.wav", "qu'o\"te.wav", "stem \U0001f3a4.wav", os.fsdecode(b"latin-\xe9.wav")):
        path = tmp_path / name
        path.write_bytes(sounds.encode(wave))
        assert len(audio.read(path)[1]) == len(wave)


def test_soundfile_reads_what_the_decoder_reads(tmp_path: Path) -> None:
    """The stream of blocks is what soundfile reads at once, bit by bit."""
    path = sounds.write(tmp_path / "a.flac", sounds.music(9.7), subtype="PCM_24")
    assert np.array_equal(audio.read(path)[1], soundfile.read(path, dtype="float32", always_2d=True)[0])


def test_reading_prints_nothing(tmp_path: Path) -> None:
    """The library writes to neither stdout nor stderr when it reads a plain file."""
    path = sounds.write(tmp_path / "a.wav", sounds.noise(1.0))
    code = f"from provenance import audio; audio.read({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


class _InterruptError(Exception):
    """What the alarm below raises."""


def test_an_interrupt_while_reading_always_arrives(tmp_path: Path) -> None:
    """An exception raised by a signal ends the reading: none is lost in a decoder's call back into Python."""
    file = sounds.write(tmp_path / "long.wav", sounds.noise(40.0))
    rung: list[int] = []

    def ring(number: int, _frame: object) -> None:
        rung.append(number)
        raise _InterruptError

    def read_until_rung(after_s: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, after_s)
        while not rung:
            with audio.open_audio(file) as (_, blocks):
                for _ in blocks:
                    pass

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for k in range(150):
            rung.clear()
            with pytest.raises(_InterruptError):
                read_until_rung(0.0005 + 0.0001 * k)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
