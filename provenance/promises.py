"""What the bytes of a file promise and a decoder does not say: its length, and whether audio follows what was read."""

from __future__ import annotations

import io
import os
from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO, Literal

_SOX_SIZES = (0x7FFF_F000, 0x7F00_0000)
"""What SoX says, a header more, of a WAV and an AIFF that it writes to a pipe."""
_BEHIND_S = 1.0
"""So much audio behind the end of what a decoder gives is no rest of padding: it would go unjudged."""
_BEHIND_BYTES = 1 << 17
_MOST_PAGE = 65_307
"""Bytes of the longest page of Ogg."""
_LAST_PAGE = 4
_MPEG1_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG1_HZ = (44_100, 48_000, 32_000)


def is_on_disk(file: BinaryIO) -> bool:
    """Return whether a file can be read by its number, without asking Python for bytes.

    Args:
        file: binary.
    """
    return isinstance(file, io.BufferedReader) and isinstance(file.raw, io.FileIO)


def behind_tag(file: BinaryIO) -> bytes:
    """Return the first bytes behind an ID3v2 tag, or of the file where there is none.

    Args:
        file: binary and seekable; it is left at its start.
    """
    begin = _read_at(file, _tag_bytes(_read_at(file, 0, 10)), 4096)
    file.seek(0)
    return begin


def is_ogg_flac(file: BinaryIO) -> bool:
    """Return whether a file is Ogg whose first packet is FLAC's.

    Args:
        file: binary and seekable; it is left at its start.
    """
    begin = _read_at(file, 0, 64)
    file.seek(0)
    return begin.startswith(b"OggS") and b"\x7fFLAC" in begin


def goes_on(kind: str, file: BinaryIO) -> bool:
    """Return whether audio lies behind what libsndfile has read.

    It ends where the first stream of an Ogg chain does, a WAV where the size of its data says, which wraps at 4 GB, and
    an MP3 where the header says, or without one where the bit rate of the first frame would have it end.

    Args:
        kind: as libsndfile names it: only ``OGG``, ``MP3`` and ``WAV`` are looked at.
        file: binary and seekable, where libsndfile left it.
    """
    if kind.startswith("WAV"):
        return _is_behind_data(file)
    if kind not in ("OGG", "MP3"):
        return False
    at = os.lseek(file.fileno(), 0, os.SEEK_CUR) if is_on_disk(file) else file.tell()
    behind = _read_at(file, at)
    if kind == "OGG":
        return b"OggS" in behind
    behind = _read_at(file, at + _tag_bytes(behind))
    starts = (k for k in range(min(len(behind) - 3, 4096)) if behind[k] == 0xFF)
    return any(_lasts(behind[k:]) for k in starts)


def _is_behind_data(file: BinaryIO) -> bool:
    """Whether a second and more lies behind the data of a WAV, and does not begin as a chunk does."""
    data = _data_chunk(file)
    if data is None:
        return False
    end = data.at + data.n_bytes
    behind = _read_at(file, end + end % 2, 8)
    if len(behind) < 8 or (behind[:4].isascii() and behind[:4].decode("ascii").isprintable()):
        return False
    return _size(file) - end > _BEHIND_S * data.bytes_per_s


def counts_frames(file: BinaryIO) -> bool:
    """Return whether an MP3 begins with a frame that says how many there are; the length of others is guessed.

    Args:
        file: binary and seekable; it is left at its start.
    """
    begin = behind_tag(file)
    return any(name in begin for name in (b"Xing", b"Info", b"VBRI"))


def behind_padding(file: BinaryIO) -> BinaryIO | None:
    """Return an MP3 without its ID3v2 tag and the zeros that some programs leave behind it, which libsndfile takes for
    no audio; None for anything else.

    Args:
        file: binary and seekable.
    """
    tag = _tag_bytes(_read_at(file, 0))
    behind = _read_at(file, tag)
    padding = len(behind) - len(behind.lstrip(b"\0"))
    if not tag or not padding or behind[padding : padding + 1] != b"\xff":
        return None
    return io.BytesIO(_read_at(file, tag + padding, _size(file)))


def _tag_bytes(data: bytes) -> int:
    """Return the length of an ID3v2 tag at the beginning of some bytes, 0 where there is none."""
    if not data.startswith(b"ID3") or len(data) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))


@dataclass(frozen=True)
class _Data:
    """Where the data of a WAV begin, how many bytes the head says they are, and how many of them make a second."""

    at: int
    n_bytes: int
    bytes_per_s: int


def _data_chunk(file: BinaryIO) -> _Data | None:
    """Return where a WAV's data lie; None for what is none, and where its head leaves their size open."""
    head = _read_at(file, 0, 12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, bytes_per_s = 12, 0
    while len(chunk := _read_at(file, at, 20)) >= 8:
        n = int.from_bytes(chunk[4:8], "little")
        if chunk[:4] == b"data":
            return _Data(at + 8, n, bytes_per_s) if bytes_per_s and _whole(chunk[4:8], 0, "little") else None
        if chunk[:4] == b"fmt ":
            bytes_per_s = int.from_bytes(chunk[16:20], "little")
        at += 8 + n + n % 2
    return None


def _size(file: BinaryIO) -> int:
    if is_on_disk(file):
        return os.fstat(file.fileno()).st_size
    return file.seek(0, io.SEEK_END)


def _read_at(file: BinaryIO, at: int, n_bytes: int = _BEHIND_BYTES) -> bytes:
    """Bytes from a place on; of a file on disk whatever its buffer holds, for libsndfile moves it behind that."""
    if is_on_disk(file):
        return os.pread(file.fileno(), n_bytes, at)
    file.seek(at)
    return file.read(n_bytes)


@dataclass(frozen=True)
class _Frame:
    """The head of a frame of MPEG layer III: its length in bytes and in samples, its bit rate and sample rate."""

    n_bytes: int
    n: int
    kbps: int
    rate_hz: int
    is_mpeg1: bool

    @classmethod
    def at(cls, data: bytes, at: int) -> _Frame | None:
        head = data[at : at + 4]
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
            return None
        version, kbps, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
        if version == 1 or kbps in (0, 15) or rate == 3:
            return None
        first = version == 3
        rate_hz = _MPEG1_HZ[rate] >> (0 if first else 1 if version == 2 else 2)
        n = 1152 if first else 576
        bit_rate = (_MPEG1_KBPS if first else _MPEG2_KBPS)[kbps]
        return cls(n // 8 * bit_rate * 1000 // rate_hz + (head[2] >> 1 & 1), n, bit_rate, rate_hz, first)


def _lasts(data: bytes) -> bool:
    """Whether frames of MPEG layer III follow one another for a second."""
    at, seconds = 0, 0.0
    while seconds < _BEHIND_S:
        frame = _Frame.at(data, at)
        if frame is None:
            return False
        at += frame.n_bytes
        seconds += frame.n / frame.rate_hz
    return True


def with_count(file: BinaryIO) -> BinaryIO | None:
    """Return an MP3 of changing bit rate behind a frame that says how many follow, by which a decoder reads all of it.

    Args:
        file: binary and seekable, of an MP3 that does not say it; it is left at its start. None for one bit rate, from
            which a decoder guesses right.
    """
    data = _read_at(file, 0, _size(file))
    file.seek(0)
    first = at = _tag_bytes(data)
    begin = _Frame.at(data, first)
    rates: Counter[int] = Counter()
    while (frame := _Frame.at(data, at)) is not None and at + frame.n_bytes <= len(data):
        rates[frame.kbps] += 1
        at += frame.n_bytes
    if begin is None or len(rates) < 2:
        return None
    head = bytearray(data[first : first + 4])
    head[1] |= 1  # no checksum
    head[2] = 9 << 4 | head[2] & 0x0C  # 128 or 80 kbit/s, without padding: long enough
    is_mono = head[3] >> 6 == 3
    side = (17 if is_mono else 32) if begin.is_mpeg1 else (9 if is_mono else 17)
    said = bytes(head) + bytes(side) + b"Xing" + (1).to_bytes(4, "big") + rates.total().to_bytes(4, "big")
    whole = _Frame.at(said, 0)
    assert whole is not None
    return io.BytesIO(said.ljust(whole.n_bytes, b"\0") + data[first:])


def is_truncated(file: BinaryIO) -> bool:
    """Return whether the head of a WAV, its data, or the head of an AIFF, RF64, W64 or AU file promises more bytes than
    there are, or the last page of an Ogg file is not marked as the last.

    Args:
        file: binary and seekable, at its start, where it is left.
    """
    head = file.read(28)
    size = _size(file)
    if head[:4] == b"OggS":
        file.seek(max(0, size - _MOST_PAGE))
        last = file.read()
        file.seek(0)
        flags = last[last.rfind(b"OggS") + 5 :][:1]
        return not flags or not flags[0] & _LAST_PAGE
    file.seek(0)
    declared, slack = 0, 1
    if head[:4] == b"RIFF":
        data = _data_chunk(file)
        file.seek(0)
        declared = max(_whole(head[4:8], 8, "little"), data.at + data.n_bytes if data else 0)
    elif head[:4] == b"FORM":
        declared = _whole(head[4:8], 8, "big")
    elif head[:4] == b"RF64" and head[12:16] == b"ds64":
        declared = _whole(head[20:28], 8, "little")
    elif head[:4] == b"riff":  # Wave64, whose chunks are padded to eight bytes
        declared, slack = _whole(head[16:24], 0, "little"), 8
    elif head[:4] == b".snd":
        declared = _whole(head[8:12], int.from_bytes(head[4:8], "big"), "big")
    return declared > size + slack


def _whole(field: bytes, more: int, order: Literal["little", "big"]) -> int:
    """Return how many bytes a file is to have, or 0 where its head leaves that open."""
    declared = int.from_bytes(field, order)
    unknown = declared in (0, (1 << 8 * len(field)) - 1) or (len(field) == 4 and declared & ~0xFFF in _SOX_SIZES)
    return 0 if unknown else declared + more
