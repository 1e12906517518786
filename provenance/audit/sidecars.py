"""What the ``.json`` members of a tar claim, and of which of its audio."""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from tarfile import TarInfo

import numpy as np
import numpy.typing as npt

from provenance.audit.items import Claims, Item, choose_columns, read_claims, read_object
from provenance.errors import UnreadableAudio

MAX_BYTES = 2**20
"""A ``.json`` member above this is not read, and claims nothing."""
_ENDING = ".json"
_NEEDED = "an object of JSON, each key once"
_UNREAD, _TAKEN, _REFUSED = 0, 1, 2

Read = Callable[[int, int], Claims | None]
"""Returns what stands in a tar from a byte on, in so many bytes; None where that is no claims."""


def is_sidecar(name: str) -> bool:
    """Whether a member holds claims, by its name.

    Args:
        name: of the member.
    """
    return PurePosixPath(name).suffix.lower() == _ENDING


def read(data: bytes, given: Mapping[str, str]) -> Claims | None:
    """Return what a sidecar claims; None where it is no JSON object of claims, each key once.

    Args:
        data: its bytes.
        given: fields to keys.
    """
    try:
        row = read_object(data)
        return read_claims(row, choose_columns(list(row), {k: v for k, v in given.items() if v in row}))
    except (ValueError, KeyError):
        return None


def agree(said: Iterable[Claims | None]) -> tuple[Claims | None, list[bool]]:
    """Return what sidecars of one name claim, and of each whether it can be taken: none can where two differ.

    Args:
        said: of each, in order; what else they say (``extra``) is no claim. They are not held.
    """
    first, known, differ = None, [], False
    for claims in said:
        known.append(claims is not None)
        first = first or claims
        if first is not None and claims is not None:
            differ |= replace(claims, extra=None) != replace(first, extra=None)
    return (None, [False] * len(known)) if differ else (first, known)


def pair(run: Iterable[TarInfo]) -> tuple[list[tuple[TarInfo, str | None]], dict[str, list[TarInfo]]]:
    """Return the audio of a sample, each with the name of the sidecar beside it that claims of it, and the sidecars.

    Args:
        run: members that lie side by side with one name up to the first dot: audio and sidecars.

    Returns:
        Audio and names, a name None where no sidecar has it; and sidecars by name, without the ending.
    """
    audio: list[TarInfo] = []
    beside: dict[str, list[TarInfo]] = {}
    for member in run:
        if is_sidecar(member.name):
            beside.setdefault(PurePosixPath(member.name).stem, []).append(member)
        else:
            audio.append(member)
    names = {name for member in audio for name in _own_names(PurePosixPath(member.name))}
    return [(member, _choose(PurePosixPath(member.name), beside, names)) for member in audio], beside


def _choose(name: PurePosixPath, beside: Collection[str], names: Collection[str]) -> str | None:
    """Return the sidecar of a file of a sample: of its name, of the sample's, or the only one if of no other's name.

    Names may have dots: ``take.1.wav`` and ``take.2.json`` are of one sample by the rule of WebDataset.
    """
    named = next((stem for stem in _names(name) if stem in beside), None)
    if named is not None or len(beside) != 1:
        return named
    (only,) = beside
    return None if only in names else only


def _names(name: PurePosixPath) -> tuple[str, ...]:
    """Return what the sidecar of a file may be called, without its ending: the first that is there claims of it."""
    return (*_own_names(name), name.name.split(".")[0])


def _own_names(name: PurePosixPath) -> tuple[str, str]:
    return name.stem, name.name


class Scattered:
    """Sidecars that have no audio beside them which they claim of, by name, as of a tar that holds all audio first.

    Each takes 26 bytes of memory; their claims are read again whenever they are asked for.

    Args:
        members: those sidecars, in order.
        read: reads the claims of one.
    """

    def __init__(self, members: Iterable[TarInfo], read: Read) -> None:
        keys, starts, sizes = array("q"), array("q"), array("q")
        for member in members:
            keys.append(_key(PurePosixPath(member.name), PurePosixPath(member.name).stem))
            starts.append(member.offset_data)
            sizes.append(member.size)
        order = np.argsort(np.frombuffer(keys, np.int64), kind="stable")
        self._keys, self._starts, self._sizes = (np.frombuffer(a, np.int64)[order] for a in (keys, starts, sizes))
        self._states = np.full(len(order), _UNREAD, np.uint8)
        self._used = np.zeros(len(order), np.bool_)
        self._read = read

    def take(self, name: str) -> Claims | None:
        """Return what is claimed of an audio member, by the sidecars of the first of its names that any has.

        Args:
            name: of the member.

        Returns:
            None where no sidecar has its name or its sample's, or what those claim cannot be taken.
        """
        path = PurePosixPath(name)
        groups = (self._find(_key(path, stem)) for stem in _names(path))
        group = next((group for group in groups if len(group)), None)
        if group is None:
            return None
        self._look(group)
        taken = group[self._states[group] == _TAKEN]
        self._used[taken] = True
        return self._claims(taken[0]) if len(taken) else None

    def is_refused(self, member: TarInfo) -> bool:
        """Whether a sidecar is no object of claims, or claims another thing than one of its name.

        Args:
            member: one of them.
        """
        group = self._find(_key(PurePosixPath(member.name), PurePosixPath(member.name).stem))
        self._look(group)
        return bool((self._states[group[self._starts[group] == member.offset_data]] == _REFUSED).any())

    def count_unused(self) -> int:
        """Return how many claim of no audio, of those that were looked at and can be taken."""
        return int(((self._states == _TAKEN) & ~self._used).sum())

    def _find(self, key: int) -> npt.NDArray[np.int64]:
        return np.arange(np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right"))

    def _look(self, group: npt.NDArray[np.int64]) -> None:
        """Read sidecars of one name, unless they were, and tell which can be taken: none where two differ."""
        if (self._states[group] != _UNREAD).all():
            return
        _, taken = agree(self._claims(i) for i in group)
        self._states[group] = np.where(taken, _TAKEN, _REFUSED)

    def _claims(self, i: int) -> Claims | None:
        return self._read(int(self._starts[i]), int(self._sizes[i]))


def _key(name: PurePosixPath, stem: str) -> int:
    """Return what stands for a sidecar beside a file: of a million names this takes less memory than the names."""
    return hash(str(name.parent / stem))


def check_size(item: Item) -> None:
    """Raise where a sidecar that has a row is too large to be read.

    Args:
        item: of any kind.

    Raises:
        UnreadableAudio: it is.
    """
    if _has_row(item) and item.n_bytes > MAX_BYTES:
        found = f"{item.n_bytes} bytes of claims"
        raise UnreadableAudio(item.path, "unusable_claims", found, f"at most {MAX_BYTES}, in {_NEEDED}")


def check(item: Item, source: str | io.BytesIO) -> None:
    """Raise why the claims of a sidecar that has a row were not taken.

    Args:
        item: of any kind.
        source: what :func:`provenance.audit.containers.fetch` returned of it, left at its beginning.

    Raises:
        UnreadableAudio: it is a sidecar.
    """
    if not _has_row(item) or isinstance(source, str):
        return
    found, needed = "claims that differ from those of another of its name", "one of a name"
    try:
        choose_columns(list(read_object(source.getvalue())), {})
    except ValueError as error:
        found, needed = str(error), _NEEDED
    except KeyError as error:
        found, _, needed = error.args[0].partition("; needed: ")
    raise UnreadableAudio(item.path, "unusable_claims", found.removeprefix("found "), needed)


def _has_row(item: Item) -> bool:
    """Whether an item is a sidecar: only those whose claims cannot be taken are items."""
    return item.kind == "member" and re.search(rf"(?i)\{_ENDING}( \(\d+\))?$", item.path) is not None
