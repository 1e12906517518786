"""Audio in: one streaming decoder and one resampler, so that a file has one verdict.

A long file costs the memory of a block: it is read, checked and resampled in pieces.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

from provenance import promises
from provenance.containers import BLOCK_S, MAX_CHANNELS, AudioInfo, Samples, check_shape, open_pyav, open_soundfile
from provenance.errors import UnreadableAudio

__all__ = ["EXTENSIONS", "SAMPLE_RATE_HZ", "AudioInfo", "Samples", "Source", "name_of", "open_audio", "read"]

SAMPLE_RATE_HZ = 44_100
"""The working rate. Separators work at it."""
RESAMPLE_QUALITY = "HQ"
MAX_LEVEL = 1e10
"""Above it the power of a window overflows float32. Integer samples stored as floats lie below it."""
FULL_SCALE = 0.999

Source: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | tuple[npt.ArrayLike, int]"

EXTENSIONS = frozenset(
    (
        *(".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
        *(".aif", ".aiff", ".aifc", ".caf", ".au", ".m4a", ".mp4", ".aac"),
    )
)
"""File name endings that a walk over a folder takes for audio, in lower case."""
_PYAV_EXTENSIONS = frozenset({".m4a", ".mp4", ".aac"})
_ADTS = frozenset({b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9"})
_SOUNDFILE_MAGIC = frozenset({b"RIFF", b"RF64", b"RIFX", b"riff", b"fLaC", b"OggS", b"FORM", b"caff", b".snd"})


def name_of(source: Source) -> str:
    """Return how messages name a source: its path, or what kind of object it is.

    Args:
        source: a path, encoded bytes, a binary file, or ``(samples, rate)``.
    """
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if isinstance(source, tuple):
        return "<samples>"
    name = getattr(source, "name", None)
    if name is None:
        return "<stream>" if hasattr(source, "read") else "<object>"
    return str(name)


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
        with path.open("rb") as file, _open_file(name, file, path.suffix.lower()) as opened:
            yield opened
        return
    stream = io.BytesIO(source) if isinstance(source, (bytes, bytearray, memoryview)) else source
    with _open_file(name, stream, "") as opened:
        yield opened


@contextmanager
def _open_file(name: str, file: BinaryIO, suffix: str) -> Iterator[tuple[AudioInfo, Iterator[Samples]]]:
    """Open by content; the name's ending only tells AAC behind an unknown head from other things."""
    try:
        file.seek(0)
        head = file.read(12)
        file.seek(0)
    except (AttributeError, OSError, ValueError) as error:
        found = f"a source that cannot be read and rewound ({error})"
        if not hasattr(file, "read"):
            found = f"an object of type {type(file).__name__}"
        raise UnreadableAudio(
            name, "not_seekable", found, "a path, bytes, a seekable binary file, or (samples, rate)"
        ) from error
    if not isinstance(head, bytes):
        raise UnreadableAudio(name, "not_binary", "a file opened as text", "a file opened in binary mode")
    if not head:
        raise UnreadableAudio(name, "empty_file", "no bytes at all", "an audio file")
    in_mp4 = head[4:8] == b"ftyp" or promises.behind_tag(file)[:2] in _ADTS
    if in_mp4 or (suffix in _PYAV_EXTENSIONS and head[:4] not in _SOUNDFILE_MAGIC):
        with open_pyav(name, file) as (info, blocks):
            yield info, _resampled(info, blocks)
    elif promises.is_ogg_flac(file):  # libsndfile fails on it
        with open_pyav(name, file, "FLAC in Ogg") as (info, blocks):
            yield info, _resampled(info, blocks)
    else:
        with open_soundfile(name, file) as (info, blocks):
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
    if not name:
        raise UnreadableAudio("''", "not_found", "an empty name", needed)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise UnreadableAudio(name, "not_found", "no such file", needed) from error
    except OSError as error:
        raise UnreadableAudio(name, "not_readable", f"{error.strerror}", needed) from error
    except ValueError as error:
        raise UnreadableAudio(name, "not_found", f"no possible file name ({error})", needed) from error
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


def _from_samples(name: str, source: tuple[npt.ArrayLike, int]) -> tuple[AudioInfo, Iterator[Samples]]:
    try:
        given, rate = source
        if np.ndim(rate) and not np.ndim(given):
            raise UnreadableAudio(name, "bad_samples", "(rate, samples), the rate first", "(samples, rate_hz)")
        array, rate_hz = np.asarray(given), int(rate)
        if rate_hz != float(rate):
            raise UnreadableAudio(name, "bad_rate", f"a sample rate of {rate:g} Hz", "a whole number of Hz")
    except (TypeError, ValueError, OverflowError) as error:
        raise UnreadableAudio(name, "bad_samples", f"no samples and rate ({error})", "(samples, rate_hz)") from error
    if np.ma.is_masked(given):
        raise UnreadableAudio(name, "bad_samples", "samples that are masked out", "an array with none masked")
    if not np.issubdtype(array.dtype, np.floating):
        raise UnreadableAudio(
            name, "bad_samples", f"samples of type {array.dtype}", "floating-point samples with full scale 1.0"
        )
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise UnreadableAudio(name, "bad_samples", f"an array of shape {array.shape}", "shape (n,), (n, 1) or (n, 2)")
    if len(array) <= MAX_CHANNELS < array.shape[1]:
        raise UnreadableAudio(
            name, "bad_samples", f"an array of shape {array.shape}, channels first", "shape (n, 2): transpose it"
        )
    check_shape(name, rate_hz, array.shape[1])
    if len(array) == 0:
        raise UnreadableAudio(name, "no_samples", "no samples", "at least one second of audio")
    step = int(BLOCK_S * rate_hz)
    info = AudioInfo(name, rate_hz, array.shape[1], "samples", lossy=False, truncated=False)
    return info, (_to_float32(array[i : i + step]) for i in range(0, len(array), step))


def _to_float32(array: npt.NDArray[Any]) -> Samples:
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused as such
        return array.astype(np.float32)


def _resampled(info: AudioInfo, blocks: Iterator[Samples]) -> Iterator[Samples]:
    stream = None
    if info.sample_rate_hz != SAMPLE_RATE_HZ:
        stream = soxr.ResampleStream(
            info.sample_rate_hz, SAMPLE_RATE_HZ, info.n_channels, dtype="float32", quality=RESAMPLE_QUALITY
        )
    for block in blocks:
        _count(info, block)
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


def _count(info: AudioInfo, block: Samples) -> None:
    """Check a block of the source and add it to what was counted."""
    counts = info.counts
    peak = max(float(block.max()), -float(block.min()))  # NaN comes through both
    if not peak <= MAX_LEVEL:
        bad = ~(np.abs(block) <= MAX_LEVEL).all(axis=1)
        at = int(np.argmax(bad))
        at_s = float(Fraction(counts.n_frames + at, info.sample_rate_hz))
        if np.isfinite(block).all():
            raise UnreadableAudio(
                info.name, "too_loud", f"a sample of {np.abs(block[at]).max():.3g} at {at_s:.3f} s", "full scale at 1.0"
            )
        raise UnreadableAudio(info.name, "not_finite", f"a NaN or infinite sample at {at_s:.3f} s", "finite samples")
    if peak >= FULL_SCALE:
        counts.n_flat += sum(_count_flat(channel) for channel in block.T)
    counts.n_frames += len(block)
    counts.peak = max(counts.peak, peak)


def _count_flat(wave: npt.NDArray[np.float32]) -> int:
    """Count the samples at full scale that equal the one before them, where a peak is flat for the better part of it.

    A sine of a low note is flat at its very top, too, where its samples are rounded to one value: that is no clipping.
    """
    high = np.abs(wave) >= FULL_SCALE
    edges = np.flatnonzero(np.diff(high, prepend=False, append=False))
    first, end = edges[::2], edges[1::2]
    flat = np.cumsum(np.concatenate([[False], high[1:] & (wave[1:] == wave[:-1])]))
    n_flat = flat[end - 1] - flat[first]
    return int(n_flat[2 * n_flat >= end - first - 1].sum())


def level(samples: Samples) -> float:
    """Return the level of samples whose channels are freed of their means: a constant makes no sound.

    Args:
        samples: float32, shape (n, 1 or 2).
    """
    if not samples.size:
        return 0.0
    power = float(np.vdot(samples, samples)) / samples.size
    of_mean = sum(float(channel.mean()) ** 2 for channel in samples.T) / samples.shape[1]
    if of_mean > 0.01 * power:  # too much of it to be taken off a rounded sum
        return float((samples - samples.mean(axis=0, dtype=np.float64)).std())
    return float(np.sqrt(power - of_mean))
