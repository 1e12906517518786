"""Spectrogram pictures: power to colours, and colours to PNG, with nothing but numpy and zlib."""

from __future__ import annotations

import struct
import zlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
"""uint8, shape (height, width, 3)."""

RANGE_DB = 90.0
_STOPS = np.array(
    [
        (0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99),
        (212, 72, 66), (245, 125, 21), (250, 193, 39), (252, 255, 164),
    ],
    np.float64,
)  # fmt: skip
"""Eight stops of the perceptually even map 'inferno' (S. van der Walt and N. Smith, CC0)."""


def paint(level_db: npt.NDArray[np.floating]) -> Image:
    """Return a picture of levels, low frequencies at the bottom.

    Args:
        level_db: shape (n_columns, n_rows), relative to the loudest; 90 dB below it is black.
    """
    place = np.clip(1 + np.asarray(level_db, np.float64) / RANGE_DB, 0, 1) * (len(_STOPS) - 1)
    low = np.minimum(place.astype(int), len(_STOPS) - 2)
    share = (place - low)[..., None]
    colours = _STOPS[low] * (1 - share) + _STOPS[low + 1] * share
    out: Image = np.ascontiguousarray(np.round(colours).astype(np.uint8).transpose(1, 0, 2)[::-1])
    return out


def outline(image: Image, left: float, right: float, bottom: float, top: float, colour: tuple[int, int, int]) -> None:
    """Draw a rectangle's outline into a picture, in place.

    Args:
        image: the picture.
        left, right: shares of its width, 0 to 1.
        bottom, top: shares of its height, 0 at the bottom.
        colour: red, green, blue.
    """
    height, width = image.shape[:2]
    x0, x1 = (min(width - 1, max(0, round(v * (width - 1)))) for v in (left, right))
    y0, y1 = (min(height - 1, max(0, round((1 - v) * (height - 1)))) for v in (top, bottom))
    for y in (y0, y1):
        image[y, x0 : x1 + 1] = colour
    for x in (x0, x1):
        image[y0 : y1 + 1, x] = colour


def to_png(image: Image) -> bytes:
    """Encode a picture as PNG.

    Args:
        image: uint8, shape (height, width, 3).

    Source: W3C, Portable Network Graphics (third edition); colour type 2, filter type 0.
    """
    height, width = image.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, width * 3)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
