"""Members of a WebDataset tar: all audio in it, links and repeated names too, with what its sidecars claim."""

from __future__ import annotations

import io
import os
import posixpath
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from provenance import listing
from provenance.audio import EXTENSIONS
from provenance.audit import stores
from provenance.audit.errors import DamagedError, UnreadError
from provenance.audit.items import Claims, Item, choose_columns, read_claims, read_object
from provenance.errors import UnreadableAudio

STRAY_CLAIMS = ".json that claims of no audio"
"""What sidecars that belong to none of a tar's audio are counted as, among the endings that are passed over."""
_SPARSE, _DEAD = -1, -2
"""Stand for the first byte of a member whose bytes lie nowhere as they are, and of one that links to nothing."""
_MOST_LINKS = 40
"""A chain of more links than this leads nowhere."""


def list_members(where: str, given: Mapping[str, str], passed: Counter[str] | None = None) -> Iterator[Item]:
    """Yield the audio members of a tar; a ``.json`` member of the same sample holds its claims.

    Of members of one name, the last of which is what unpacking leaves, each later one has its number behind the name:
    ``a.wav (2)``. A link has the bytes of the member it leads to.

    Args:
        where: path or URI of an uncompressed tar.
        given: fields to keys of the ``.json`` members; one whose claims cannot be taken is yielded like audio.
        passed: counts the other members by ending, and the ``.json`` members that claim of no audio.

    Raises:
        DamagedError: it is not such a tar, or ends early; what lay before that was yielded.
        UnreadError: it cannot be read.
    """
    found = _Members(where, given, Counter() if passed is None else passed, stores.changed(where))
    try:
        with stores.open_file(where) as held, tarfile.open(fileobj=(file := _Sought(held)), mode="r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # else a tar of a million members is held
                yield from found.see(tar, member)
            yield from found.end_sample()
            yield from found.follow_links()
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a header that it cannot read for the end
                raise tarfile.ReadError(f"no header at byte {tar.offset}, where one is due")
    except tarfile.TarError as error:
        yield from found.follow_links()
        raise DamagedError(where, error, "an uncompressed tar, whole") from error
    except OSError as error:
        raise UnreadError(f"{where}: {error}; needed: a tar that can be read") from error


def check(item: Item) -> None:
    """Raise why a member cannot be read, where its listing showed that already.

    Args:
        item: of any kind.

    Raises:
        UnreadableAudio: it is sparse, or a link to what is no file of the tar.
    """
    if item.kind != "member" or item.start >= 0:
        return
    if item.start == _SPARSE:
        raise UnreadableAudio(
            item.path, "sparse_member", "a sparse member, without its zeros", "a tar without --sparse"
        )
    raise UnreadableAudio(item.path, "dead_link", "a link to what is no file of the tar", "the file itself in the tar")


def check_claims(item: Item, source: str | io.BytesIO) -> None:
    """Raise why the claims of a ``.json`` member could not be taken, for which it has a row.

    Args:
        item: of any kind.
        source: what :func:`provenance.audit.containers.fetch` returned of it, left at its beginning.

    Raises:
        UnreadableAudio: it is such a member.
    """
    if item.kind != "member" or isinstance(source, str) or not re.search(r"(?i)\.json( \(\d+\))?$", item.path):
        return
    found, needed = "claims that cannot be taken", "an object of JSON, each key once"
    try:
        choose_columns(list(read_object(source.getvalue())), {})
    except ValueError as error:
        found = str(error)
    except KeyError as error:
        found, _, needed = error.args[0].partition("; needed: ")
    raise UnreadableAudio(item.path, "unusable_claims", found.removeprefix("found "), needed)


@dataclass(frozen=True)
class _Link:
    """A member that is a link.

    Args:
        item: whose place is not known yet.
        at: byte at which its header begins.
        target: name of the member it leads to.
        hard: whether it is a hard link, to what lies before it.
    """

    item: Item
    at: int
    target: str
    hard: bool


class _Members:
    """What is known of a tar while it is listed.

    Args:
        where, given, passed: as for :func:`list_members`.
        changed: when the tar was, in ns since 1970.
    """

    def __init__(self, where: str, given: Mapping[str, str], passed: Counter[str], changed: int) -> None:
        self._where, self._given, self._passed, self._changed = where, given, passed, changed
        self._sample = ""
        self._audio: list[tarfile.TarInfo] = []
        self._sidecars: dict[str, Claims | None] = {}
        self._links: list[_Link] = []
        self._names: set[int] = set()
        self._repeated: Counter[str] = Counter()

    def see(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[Item]:
        """Take in a member; yield those of the sample before, if it begins another."""
        is_link = member.issym() or member.islnk()
        name = PurePosixPath(member.name)
        if not (member.isfile() or is_link) or name.name.startswith("."):  # macOS puts a ._a.wav beside each a.wav
            return
        sample = str(name.parent / name.name.split(".")[0])
        if sample != self._sample:
            yield from self.end_sample()
            self._sample = sample
        ending = name.suffix.lower()
        if ending in EXTENSIONS:
            self._audio.append(member)
        elif ending != ".json":
            listing.note(self._passed, member.name)
        elif is_link:
            self._passed[STRAY_CLAIMS] += 1
        else:
            handle = tar.extractfile(member)
            claims = _sidecar(b"" if handle is None else handle.read(), self._given)
            self._sidecars[name.stem] = claims
            if claims is None:  # its row, as of audio that is none, names it
                yield self._item(member, Claims())

    def end_sample(self) -> Iterator[Item]:
        """Yield the audio of the sample with its claims, but for links, and count claims that are of none of it."""
        used = set()
        for member in self._audio:
            chosen = self._sidecar_of(PurePosixPath(member.name))
            claims = (self._sidecars[chosen] if chosen is not None else None) or Claims()
            used.add(chosen)
            if member.isfile():
                yield self._item(member, claims)
                continue
            item = replace(self._item(member, claims), start=_DEAD, length=0, n_bytes=-1)
            folder = "" if member.islnk() else posixpath.dirname(member.name)
            target = posixpath.normpath(posixpath.join(folder, member.linkname))
            self._links.append(_Link(item, member.offset, target, member.islnk()))
        stray = sum(claims is not None for stem, claims in self._sidecars.items() if stem not in used)
        if stray:
            self._passed[STRAY_CLAIMS] += stray
        self._audio, self._sidecars = [], {}

    def follow_links(self) -> Iterator[Item]:
        """Yield the links, each once, with the place of what they lead to: the tar is read again for them."""
        links, self._links = self._links, []
        if links:
            places = _follow(self._where, links)
            for link in links:
                target = places.get(link.at)
                yield link.item if target is None else _placed(link.item, target)

    def _item(self, member: tarfile.TarInfo, claims: Claims) -> Item:
        name = member.name
        if hash(name) in self._names:  # of a million names this takes less memory than the names
            self._repeated[name] += 1
            name = f"{name} ({self._repeated[name] + 1})"
        else:
            self._names.add(hash(name))
        item = Item(f"{self._where}#{name}", "member", self._where, claims=claims, changed=self._changed)
        return _placed(item, member)

    def _sidecar_of(self, name: PurePosixPath) -> str | None:
        """Return the sidecar of a file of the sample: of its name, of the sample's, or the only one if of no other's.

        Names may have dots: ``take.1.wav`` and ``take.2.json`` are of one sample by the rule of WebDataset.
        """
        stems = (name.stem, name.name, name.name.split(".")[0])
        named = next((stem for stem in stems if stem in self._sidecars), None)
        if named is not None or len(self._sidecars) != 1:
            return named
        (only,) = self._sidecars
        others = {other for member in self._audio for other in _names(PurePosixPath(member.name))}
        return None if only in others else only


def _names(name: PurePosixPath) -> tuple[str, str]:
    return name.stem, name.name


def _placed(item: Item, member: tarfile.TarInfo) -> Item:
    """Return an item with the place at which the bytes of a member lie."""
    if member.issparse():
        return replace(item, start=_SPARSE, length=0, n_bytes=-1)
    return replace(item, start=member.offset_data, length=member.size, n_bytes=member.size)


def _follow(where: str, links: list[_Link]) -> dict[int, tarfile.TarInfo]:
    """Return the member that each link leads to, by the byte at which the link's header begins."""
    further = {posixpath.normpath(link.item.path.removeprefix(f"{where}#")): link.target for link in links}
    wanted = {link.target for link in links}
    hard = {link.at: link for link in links if link.hard}
    found: dict[str, tarfile.TarInfo] = {}
    out: dict[int, tarfile.TarInfo] = {}
    try:
        with stores.open_file(where) as held, tarfile.open(fileobj=_Sought(held), mode="r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]
                name = posixpath.normpath(member.name)
                if member.isfile() and name in wanted:
                    found[name] = member
                elif member.offset in hard and (target := found.get(hard[member.offset].target)) is not None:
                    out[member.offset] = target
                    found[name] = target
    except tarfile.TarError:  # it ends early; what lies before that is found
        pass
    for link in links:
        name, n = link.target, 0
        while not link.hard and name not in found and name in further and n < _MOST_LINKS:
            name, n = further[name], n + 1
        if not link.hard and name in found:
            out[link.at] = found[name]
    return out


def _sidecar(data: bytes, given: Mapping[str, str]) -> Claims | None:
    """What a sample's ``.json`` claims of it; None where it is no JSON object of such claims, each once."""
    try:
        row = read_object(data)
        return read_claims(row, choose_columns(list(row), {k: v for k, v in given.items() if v in row}))
    except (ValueError, KeyError):
        return None


class _Sought(io.RawIOBase):
    """A file that may be sought past its end, as those of disks and none of stores: so a tar that was cut is read.

    Args:
        file: of a disk or a store, open.
    """

    def __init__(self, file: Any) -> None:
        self._file, self._size, self._at = file, int(file.size()), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        if self._at >= self._size:
            return b""
        self._file.seek(self._at)
        data: bytes = self._file.read() if size < 0 else self._file.read(size)
        self._at += len(data)
        return data
