"""Audio in: one streaming decoder and one resampler, so that a file has one verdict.

A long file costs the memory of a block: it is read, checked and resampled in pieces.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from provenance.errors import UnreadableAudio

SAMPLE_RATE_HZ = 44_100
"""The working rate. Separators work at it."""
BLOCK_S = 4.0
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 2
RESAMPLE_QUALITY = "HQ"

Samples: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (n_samples, n_channels), full scale is 1.0."""
Source: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | tuple[npt.ArrayLike, int]"

EXTENSIONS = frozenset(
    [".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".caf", ".au", ".m4a", ".mp4", ".aac"]
)
"""File name endings that a walk over a folder takes for audio, in lower case."""
_PYAV_EXTENSIONS = frozenset({".m4a", ".mp4", ".aac"})


@dataclass(frozen=True)
class AudioInfo:
    """What was read.

    Args:
        name: the source as the caller named it.
        sample_rate_hz: the rate of the source, before resampling.
        n_channels: channels of the source.
        codec: container and coding, such as ``WAV/PCM_16``.
        lossy: whether that coding is lossy.
        truncated: whether the container promises more than the file holds.
    """

    name: str
    sample_rate_hz: int
    n_channels: int
    codec: str
    lossy: bool
    truncated: bool


def name_of(source: Source) -> str:
    """Return how messages name a source: its path, or what kind of object it is.

    Args:
        source: a path, encoded bytes, a binary file, or ``(samples, rate)``.
    """
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if isinstance(source, bytes):
        return "<bytes>"
    if isinstance(source, tuple):
        return "<samples>"
    return str(getattr(source, "name", "<stream>"))


@contextmanager
def open_audio(source: Source) -> Iterator[tuple[AudioInfo, Iterator[Samples]]]:
    """Open audio and yield what it is, with an iterator over its blocks at 44.1 kHz.

    Args:
        source: a path, encoded bytes, a seekable binary file, or ``(samples, rate)`` with samples of shape
            (n,), (n, 1) or (n, 2) in floating point with full scale 1.0. Arrays are not changed.

    Yields:
        The information, and an iterator of float32 blocks of shape (at most 4 s of samples, 1 or 2).

    Raises:
        UnreadableAudio: the source is missing, empty, not audio, has no samples, more than two channels,
            an impossible rate, or samples that are not finite. The last may come while iterating.
    """
    name = name_of(source)
    if isinstance(source, tuple):
        info, blocks = _from_samples(name, source)
        yield info, _resampled(info, blocks)
        return
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        _check_path(name, path)
        if path.suffix.lower() in _PYAV_EXTENSIONS:
            with _open_pyav(name, str(path)) as (info, blocks):
                yield info, _resampled(info, blocks)
            return
        with path.open("rb") as file, _open_soundfile(name, file) as (info, blocks):
            yield info, _resampled(info, blocks)
        return
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    head = file.read(12)
    file.seek(0)
    if not head:
        raise UnreadableAudio(name, "empty_file", "no bytes at all", "an audio file")
    if head[4:8] == b"ftyp" or head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        with _open_pyav(name, file) as (info, blocks):
            yield info, _resampled(info, blocks)
        return
    with _open_soundfile(name, file) as (info, blocks):
        yield info, _resampled(info, blocks)


def read(source: Source, max_s: float | None = None) -> tuple[AudioInfo, Samples]:
    """Read audio whole (or its first ``max_s`` seconds) at 44.1 kHz: for short clips and for training.

    Args:
        source: as for :func:`open_audio`.
        max_s: stop after this many seconds.

    Returns:
        The information and float32 samples of shape (n_samples, 1 or 2).

    Raises:
        UnreadableAudio: as for :func:`open_audio`.
    """
    with open_audio(source) as (info, blocks):
        parts: list[Samples] = []
        n = 0
        for block in blocks:
            parts.append(block)
            n += len(block)
            if max_s is not None and n >= max_s * SAMPLE_RATE_HZ:
                break
    if not parts:
        return info, np.zeros((0, info.n_channels), np.float32)
    samples = np.concatenate(parts)
    return info, samples if max_s is None else samples[: int(max_s * SAMPLE_RATE_HZ)]


def _check_path(name: str, path: Path) -> None:
    needed = "a readable audio file"
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise UnreadableAudio(name, "not_found", "no such file", needed) from error
    except OSError as error:
        raise UnreadableAudio(name, "not_readable", f"{error.strerror}", needed) from error
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableAudio(name, "directory", "a directory", needed)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableAudio(name, "not_a_file", "neither a file nor a link to one", needed)
    if status.st_size == 0:
        raise UnreadableAudio(name, "empty_file", "an empty file of 0 bytes", needed)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UnreadableAudio(name, "not_readable", f"{error.strerror}", "permission to read the file") from error


def _check_shape(name: str, rate_hz: int, n_channels: int) -> None:
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


def _from_samples(name: str, source: tuple[npt.ArrayLike, int]) -> tuple[AudioInfo, Iterator[Samples]]:
    array = np.asarray(source[0])
    rate_hz = int(source[1])
    if not np.issubdtype(array.dtype, np.floating):
        raise UnreadableAudio(
            name, "bad_samples", f"samples of type {array.dtype}", "floating-point samples with full scale 1.0"
        )
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise UnreadableAudio(name, "bad_samples", f"an array of shape {array.shape}", "shape (n,), (n, 1) or (n, 2)")
    _check_shape(name, rate_hz, array.shape[1])
    if len(array) == 0:
        raise UnreadableAudio(name, "no_samples", "no samples", "at least one second of audio")
    step = int(BLOCK_S * rate_hz)
    info = AudioInfo(name, rate_hz, array.shape[1], "samples", lossy=False, truncated=False)
    return info, (array[i : i + step].astype(np.float32) for i in range(0, len(array), step))


@contextmanager
def _open_soundfile(name: str, file: BinaryIO) -> Iterator[tuple[AudioInfo, Iterator[Samples]]]:
    truncated = _riff_is_truncated(file)
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError) as error:
        raise UnreadableAudio(
            name,
            "not_audio",
            f"no audio that can be decoded ({_reason(error)})",
            "WAV, FLAC, OGG, Opus, MP3 or AIFF; m4a/AAC by its file name with the extra 'm4a'",
        ) from error
    with sound:
        _check_shape(name, sound.samplerate, sound.channels)
        if sound.frames == 0:
            raise UnreadableAudio(name, "no_samples", "a header with no samples", "at least one second of audio")
        lossy = sound.format in {"OGG", "MP3", "MPEG"} and sound.subtype not in {"FLAC"}
        codec = f"{sound.format}/{sound.subtype}"
        info = AudioInfo(name, sound.samplerate, sound.channels, codec, lossy, truncated)
        yield info, _soundfile_blocks(name, sound)


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().rstrip(".") or type(error).__name__


def _soundfile_blocks(name: str, sound: soundfile.SoundFile) -> Iterator[Samples]:
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
            return
        n += len(block)
        yield block


def _riff_is_truncated(file: BinaryIO) -> bool:
    head = file.read(8)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if head[:4] != b"RIFF" or len(head) < 8:
        return False
    declared = int.from_bytes(head[4:8], "little")
    return declared not in (0, 0xFFFFFFFF) and declared + 8 > size + 1


@contextmanager
def _open_pyav(name: str, file: Any) -> Iterator[tuple[AudioInfo, Iterator[Samples]]]:
    try:
        import av
    except ImportError as error:
        raise UnreadableAudio(
            name, "needs_extra", "m4a/AAC audio", "PyAV: pip install 'stem-provenance[m4a]', or convert it to WAV"
        ) from error
    try:
        container = av.open(file)
    except (av.FFmpegError, OSError) as error:
        raise UnreadableAudio(name, "not_audio", f"no audio that can be decoded ({error})", "m4a or AAC") from error
    with container:
        if not container.streams.audio:
            raise UnreadableAudio(name, "not_audio", "a container without an audio stream", "an audio file")
        stream = container.streams.audio[0]
        rate_hz, n_channels = int(stream.rate or 0), int(stream.channels or 0)
        _check_shape(name, rate_hz, n_channels)
        coding = stream.codec_context.name
        info = AudioInfo(name, rate_hz, n_channels, f"MP4/{coding.upper()}", coding != "alac", truncated=False)
        yield info, _pyav_blocks(name, container, n_channels)


def _pyav_blocks(name: str, container: Any, n_channels: int) -> Iterator[Samples]:
    import av

    to_float = av.AudioResampler(format="fltp")
    n = 0
    try:
        for frame in container.decode(audio=0):
            for part in to_float.resample(frame):
                block = np.ascontiguousarray(part.to_ndarray().T, dtype=np.float32)
                n += len(block)
                yield block.reshape(-1, n_channels)
    except av.FFmpegError as error:
        raise UnreadableAudio(name, "broken", f"a decoder error ({error})", "an undamaged file") from error
    if n == 0:
        raise UnreadableAudio(name, "no_samples", "no samples in the audio stream", "an undamaged file")


def _resampled(info: AudioInfo, blocks: Iterator[Samples]) -> Iterator[Samples]:
    position = 0
    stream = None
    if info.sample_rate_hz != SAMPLE_RATE_HZ:
        stream = soxr.ResampleStream(
            info.sample_rate_hz, SAMPLE_RATE_HZ, info.n_channels, dtype="float32", quality=RESAMPLE_QUALITY
        )
    for block in blocks:
        if not np.isfinite(block).all():
            first = position + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise UnreadableAudio(
                info.name,
                "not_finite",
                f"a NaN or infinite sample at {float(Fraction(first, info.sample_rate_hz)):.3f} s",
                "finite samples",
            )
        position += len(block)
        if stream is None:
            yield block
        else:
            out: Samples = stream.resample_chunk(block)
            if len(out):
                yield out.reshape(-1, info.n_channels)
    if stream is not None:
        rest: Samples = stream.resample_chunk(np.zeros((0, info.n_channels), np.float32), last=True)
        if len(rest):
            yield rest.reshape(-1, info.n_channels)
