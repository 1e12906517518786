"""What goes wrong with separators."""

from __future__ import annotations

from collections.abc import Iterable


class SeparatorError(Exception):
    """A separator that cannot run: says what is missing and what to do."""


class DiskFull(SeparatorError):  # noqa: N818 - the name says what is wrong
    """Results that cannot be written: going on would lose each one."""


def tell(problems: Iterable[tuple[str, str]]) -> list[str]:
    """Return each problem once, with its song, or with how many songs have it.

    Args:
        problems: song and what went wrong.

    >>> tell([("a", "no weights"), ("b", "silent"), ("c", "no weights")])
    ['no weights (2 songs, such as a)', 'b: silent']
    """
    songs: dict[str, list[str]] = {}
    for song, line in problems:
        if song not in songs.setdefault(line, []):
            songs[line].append(song)
    return [
        f"{of[0]}: {line}" if len(of) == 1 else f"{line} ({len(of)} songs, such as {of[0]})"
        for line, of in songs.items()
    ]
