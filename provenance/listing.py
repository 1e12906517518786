"""The audio of folders; what is passed over for its ending is counted and named, so that nobody takes it for scored."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath

from provenance.audio import EXTENSIONS

NO_ENDING, OTHER = "none", "other"
_MOST_NAMED, _MOST_COUNTED, _LONGEST = 12, 1000, 12


def note(passed: Counter[str], path: str) -> None:
    """Count a file that is passed over; hidden ones are no part of a delivery and are not counted.

    Args:
        passed: files by ending, added to: a dot and the ending in lower case, ``none`` or ``other`` (no short word, or
            one more than a thousand others).
        path: of the file, or its name in a container.
    """
    name = PurePath(path).name
    if name.startswith("."):
        return
    ending = os.path.splitext(name)[1].lower()
    if ending in ("", "."):
        ending = NO_ENDING
    elif not (ending[1:].isascii() and ending[1:].isalnum() and len(ending) <= _LONGEST):
        ending = OTHER
    passed[ending if ending in passed or len(passed) < _MOST_COUNTED else OTHER] += 1


def walk(paths: Iterable[str], passed: Counter[str]) -> Iterator[str]:
    """Yield files as given; of a folder the audio below it, in order, but for what is hidden (``._a.wav`` of macOS).

    Links to folders are followed, but for those that lead back to a folder that they lie in. A folder without audio, or
    one that cannot be listed, is yielded itself, to be named as an error.

    Args:
        paths: of files and folders.
        passed: as for :func:`note`.
    """
    for path in paths:
        if os.path.isdir(path):  # unlike Path.is_dir, it takes names that no file can have
            yield from _walk(path, passed) or [path]
        else:
            yield path


def _walk(top: str, passed: Counter[str]) -> list[str]:
    found: list[str] = []
    above: dict[str, frozenset[tuple[int, int]]] = {}
    for folder, inside, names in os.walk(top, onerror=lambda e: found.append(str(e.filename)), followlinks=True):
        within = above.pop(folder, frozenset()) | _ids(folder)
        paths = {name: os.path.join(folder, name) for name in inside if not name.startswith(".")}
        inside[:] = [name for name, path in paths.items() if not _ids(path) & within]
        above |= {paths[name]: within for name in inside}
        for name in names:
            if Path(name).suffix.lower() not in EXTENSIONS:
                note(passed, name)
            elif not name.startswith("."):
                found.append(os.path.join(folder, name))
    return sorted(found)


def _ids(folder: str) -> frozenset[tuple[int, int]]:
    """Return device and number of a folder, or nothing where it cannot be asked."""
    try:
        status = os.stat(folder)
    except OSError:
        return frozenset()
    return frozenset({(status.st_dev, status.st_ino)})


def sum_up(passed: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent endings, most frequent first, and the rest as ``other``.

    Args:
        passed: files by ending.

    >>> sum_up({".txt": 1, ".wma": 2})
    {'.wma': 2, '.txt': 1}
    """
    ranked = sorted(passed.items(), key=lambda entry: (entry[0] == OTHER, -entry[1], entry[0]))
    named = dict(ranked[:_MOST_NAMED])
    rest = sum(n for _, n in ranked[_MOST_NAMED:])
    if rest:
        named[OTHER] = named.get(OTHER, 0) + rest
    return named


def describe(passed: Mapping[str, int]) -> str:
    """Return in words how many files were passed over, and their endings.

    Args:
        passed: files by ending, at least one.

    >>> describe({".wma": 2, ".txt": 1})
    '3 files passed over, whose endings name no audio that is read: .wma 2, .txt 1'
    """
    n = sum(passed.values())
    endings = ", ".join(f"{ending} {count:,}" for ending, count in sum_up(passed).items())
    name = "ending names" if n == 1 else "endings name"
    return f"{count_files(n)} passed over, whose {name} no audio that is read: {endings}"


def count_files(n: int) -> str:
    """Return a number of files in words.

    Args:
        n: how many.

    >>> count_files(1), count_files(2000)
    ('1 file', '2,000 files')
    """
    return "1 file" if n == 1 else f"{n:,} files"
