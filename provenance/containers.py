"""Containers: what soundfile and PyAV make of a file, as blocks at the source's own rate."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from provenance import promises
from provenance.errors import UnreadableAudio

BLOCK_S = 4.0
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 2
TRUNCATED_S = 0.1
"""A file that holds this much less than its header promises is truncated."""
_LOSSLESS = ("PCM", "FLOAT", "DOUBLE", "ALAC", "FLAC", "DWVW")
"""How the codings of libsndfile begin that keep every sample; A-law, ADPCM, GSM and those of Ogg and MP3 do not."""
_LOSSLESS_IN_MP4 = ("alac", "flac", "pcm_s", "pcm_f")
"""The same of FFmpeg's names: those of A-law and mu-law are pcm_alaw and pcm_mulaw."""
_UNKNOWN_LENGTH = 2**62
"""libsndfile gives about 2**63 for a length that the header leaves open."""

Samples: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (n_samples, n_channels), full scale is 1.0."""


@dataclass
class Counts:
    """What was counted in the source so far, while its blocks are read.

    Args:
        n_frames: samples of each channel, at the source's rate.
        n_flat: samples at full scale that equal the one before them, over all channels; of peaks that are flat for the
            better part of it.
        peak: largest magnitude.
    """

    n_frames: int = 0
    n_flat: int = 0
    peak: float = 0.0


@dataclass(frozen=True)
class AudioInfo:
    """What was read.

    Args:
        name: the source as the caller named it.
        sample_rate_hz: the rate of the source, before resampling.
        n_channels: channels of the source.
        codec: container and coding, such as ``WAV/PCM_16``.
        lossy: whether that coding is lossy.
        truncated: whether the container promises more than the file holds, as far as its header tells, or an Ogg file
            lacks its end.
        n_declared: samples of each channel that the header promises, or None where it does not say.
        counts: what was counted while reading.
    """

    name: str
    sample_rate_hz: int
    n_channels: int
    codec: str
    lossy: bool
    truncated: bool
    n_declared: int | None = None
    counts: Counts = field(default_factory=Counts, compare=False)

    @property
    def is_short(self) -> bool:
        """Whether less was read than the header promises; known once the blocks are read."""
        missing = (self.n_declared or 0) - self.counts.n_frames
        return self.truncated or missing > TRUNCATED_S * self.sample_rate_hz

    def says_more_than(self, seconds: float) -> bool:
        """Return whether the header promises more than this and the file holds what it promises.

        Args:
            seconds: of audio.
        """
        return not self.truncated and (self.n_declared or 0) > seconds * self.sample_rate_hz

    @property
    def flat_share(self) -> float:
        """Share of the samples read so far that lie flat at full scale, 0 to 1: what clipping leaves."""
        return self.counts.n_flat / max(1, self.counts.n_frames * self.n_channels)


def check_shape(name: str, rate_hz: int, n_channels: int) -> None:
    """Refuse what cannot be a stem.

    Args:
        name: of the source.
        rate_hz: its sample rate.
        n_channels: its channels.

    Raises:
        UnreadableAudio: it has not one or two channels, or an impossible rate.
    """
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise UnreadableAudio(
            name,
            "too_many_channels",
            f"{n_channels} channels",
            "a mono or stereo stem (1 or 2 channels); fold or split it first",
        )
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise UnreadableAudio(
            name, "bad_rate", f"a sample rate of {rate_hz} Hz", f"a rate from {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        )


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file read forwards only: seeking after each block, as the base class does, costs time, and fails at the end
    of a FLAC file whose header leaves its length open."""

    def seekable(self) -> bool:
        return False

    __del__ = object.__repr__
    """Nothing, in C: it is closed where it is opened, and an interrupt that came in a finaliser would be lost."""


@contextmanager
def open_soundfile(name: str, file: BinaryIO) -> Iterator[tuple[AudioInfo, Iterator[Samples]]]:
    """Open what libsndfile reads: WAV, FLAC, OGG, Opus, MP3, AIFF and their kin.

    Args:
        name: how messages name the file.
        file: binary and seekable, at its start.

    Yields:
        The information, and blocks of float32 (at most 4 s, channels) at the source's rate.

    Raises:
        UnreadableAudio: nothing in it can be decoded; a broken block raises while iterating.
    """
    truncated = promises.is_truncated(file)
    counted = promises.counts_frames(file)
    try:
        sound, file = _open_sound(file)
        if sound.format == "MP3" and not counted and (told := promises.with_count(file)) is not None:
            sound.close()
            sound, file, counted = _Forward(told), told, True
    except (soundfile.LibsndfileError, TypeError) as error:
        raise UnreadableAudio(
            name,
            "not_audio",
            f"no audio that can be decoded ({_reason(error)})",
            "WAV, FLAC, OGG, Opus, MP3, AIFF or m4a/AAC"
            if _has_pyav()
            else "WAV, FLAC, OGG, Opus, MP3 or AIFF, or m4a/AAC with the extra 'm4a'",
        ) from error
    with sound:
        check_shape(name, sound.samplerate, sound.channels)
        if sound.frames == 0:
            raise UnreadableAudio(name, "no_samples", "a header with no samples", "at least one second of audio")
        lossy = not sound.subtype.startswith(_LOSSLESS)
        codec = f"{sound.format}/{sound.subtype}"
        guessed = sound.frames >= _UNKNOWN_LENGTH or (sound.format == "MP3" and not counted)
        n_declared = None if guessed else sound.frames
        info = AudioInfo(name, sound.samplerate, sound.channels, codec, lossy, truncated, n_declared)
        yield info, _soundfile_blocks(name, sound, file)


def _open_sound(file: BinaryIO) -> tuple[_Forward, BinaryIO]:
    """Let libsndfile read a file on disk by itself: called back for bytes, Python may have to raise an interrupt where
    nothing can catch it, and then neither the audio nor the interrupt arrives. Returns what is read, too."""
    try:
        if not promises.is_on_disk(file):
            return _Forward(file), file
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return _Forward(file.fileno(), closefd=False), file
    except soundfile.LibsndfileError:
        behind = promises.behind_padding(file)
        if behind is None:
            raise
        return _Forward(behind), behind


def _reason(error: Exception) -> str:
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    text = str(said).strip().removeprefix("Error : ").rstrip(".")
    return text or type(error).__name__


def _soundfile_blocks(name: str, sound: soundfile.SoundFile, file: BinaryIO) -> Iterator[Samples]:
    step = max(1, int(BLOCK_S * sound.samplerate))
    n = 0
    while True:
        try:
            block: Samples = sound.read(step, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UnreadableAudio(
                name,
                "broken",
                f"a decoder error after {n / sound.samplerate:.2f} s ({_reason(error)})",
                "a whole file; it may be truncated or damaged",
            ) from error
        if len(block) == 0:
            if n == 0:
                raise UnreadableAudio(name, "no_samples", "no samples behind the header", "an undamaged file")
            if promises.goes_on(sound.format, file):
                found = (
                    f"audio behind the {n / sound.samplerate:.2f} s that can be decoded (several streams in one file, "
                    "or a header that gives too short a length)"
                )
                needed = "one whole stream; of an MP3, 'ffmpeg -i IN -c copy OUT' writes its length"
                raise UnreadableAudio(name, "broken", found, needed)
            return
        n += len(block)
        yield block


@contextmanager
def open_pyav(name: str, file: BinaryIO, holds: str = "m4a/AAC") -> Iterator[tuple[AudioInfo, Iterator[Samples]]]:
    """Open m4a/AAC or FLAC in Ogg with PyAV, which the extra ``m4a`` installs.

    Args:
        name: how messages name the file.
        file: binary and seekable, at its start.
        holds: how messages name what is in it.

    Yields:
        The information, and blocks of float32 (about 1 s, channels) at the source's rate.

    Raises:
        UnreadableAudio: PyAV is not installed (``needs_extra``) or does not load (``broken_extra``), or nothing in it
            can be decoded.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise _broken_pyav(name, holds, error) from error
        raise UnreadableAudio(
            name, "needs_extra", f"{holds} audio", "PyAV: pip install 'stem-provenance[m4a]', or convert it to WAV"
        ) from error
    except ImportError as error:
        raise _broken_pyav(name, holds, error) from error
    try:
        container = av.open(file)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableAudio(
            name, "not_audio", f"no audio that can be decoded ({_reason(error)})", f"a whole file of {holds}"
        ) from error
    with container:
        if not container.streams.audio:
            raise UnreadableAudio(name, "not_audio", "a container without an audio stream", "an audio file")
        if (n_streams := len(container.streams.audio)) > 1:
            raise UnreadableAudio(
                name,
                "broken",
                f"{n_streams} audio streams in one file",
                "one stream, such as 'ffmpeg -i IN -map 0:a:0 OUT' takes out",
            )
        stream = container.streams.audio[0]
        rate_hz, n_channels = int(stream.rate or 0), int(stream.channels or 0)
        check_shape(name, rate_hz, n_channels)
        coding = stream.codec_context.name
        lossy = not coding.startswith(_LOSSLESS_IN_MP4)
        codec = f"{'OGG' if container.format.name == 'ogg' else 'MP4'}/{coding.upper()}"
        info = AudioInfo(name, rate_hz, n_channels, codec, lossy, truncated=False)
        yield info, _pyav_blocks(name, container, rate_hz, n_channels)


def _has_pyav() -> bool:
    """Whether the package that reads m4a is installed; it is not loaded for that."""
    return importlib.util.find_spec("av") is not None


def _broken_pyav(name: str, holds: str, error: ImportError) -> UnreadableAudio:
    found = f"{holds} audio, and PyAV installed that does not load ({_reason(error)})"
    return UnreadableAudio(name, "broken_extra", found, "PyAV that loads (reinstall 'av'), or the file as WAV")


def _pyav_blocks(name: str, container: Any, rate_hz: int, n_channels: int) -> Iterator[Samples]:
    import av

    to_float = av.AudioResampler(format="fltp")
    held: list[Samples] = []
    n = n_held = 0
    try:
        for frame in container.decode(audio=0):
            for part in to_float.resample(frame):
                held.append(np.ascontiguousarray(part.to_ndarray().T, dtype=np.float32).reshape(-1, n_channels))
                n_held += len(held[-1])
                if n_held >= rate_hz:
                    yield np.concatenate(held)
                    n, n_held, held = n + n_held, 0, []
    except (av.FFmpegError, ValueError) as error:  # ValueError: the layout changes on the way
        raise UnreadableAudio(
            name,
            "broken",
            f"a decoder error after {(n + n_held) / rate_hz:.2f} s ({_reason(error)})",
            "an undamaged file",
        ) from error
    if n_held:
        yield np.concatenate(held)
    if n + n_held == 0:
        raise UnreadableAudio(name, "no_samples", "no samples in the audio stream", "an undamaged file")
