"""Members of a WebDataset tar: all audio in it, links and repeated names too, with what its sidecars claim."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from provenance import listing
from provenance.audio import EXTENSIONS
from provenance.audit import sidecars, stores
from provenance.audit.errors import DamagedError, UnreadError
from provenance.audit.items import Claims, Item
from provenance.errors import UnreadableAudio

STRAY_CLAIMS = ".json that claims of no audio"
"""What sidecars that belong to none of a tar's audio are counted as, among the endings that are passed over."""
_SPARSE, _DEAD = -1, -2
"""Stand for the first byte of a member whose bytes lie nowhere as they are, and of one that links to nothing."""
_MOST_LINKS = 40
"""A chain of more links than this leads nowhere."""
_AHEAD_BYTES = 2**14
"""So much is read at once: of a store each reading is a request, and headers and sidecars lie side by side."""


def list_members(where: str, given: Mapping[str, str], passed: Counter[str] | None = None) -> Iterator[Item]:
    """Yield the audio members of a tar; a ``.json`` member of the same sample holds its claims.

    Where audio has none beside it, or one claims of nothing beside it, all headers are read once more: those that lie
    elsewhere are found so. Of members of one name, the last of which is what unpacking leaves, each later one has its
    number behind the name: ``a.wav (2)``. A link has the bytes of the member it leads to.

    Args:
        where: path or URI of an uncompressed tar.
        given: fields to keys of the ``.json`` members; one whose claims cannot be taken is yielded like audio.
        passed: counts the other members by ending, and the ``.json`` members that claim of no audio.

    Raises:
        DamagedError: it is not such a tar, or ends early; what lay before that was yielded.
        UnreadError: it cannot be read.
    """
    passed = Counter() if passed is None else passed
    try:
        with _opened(where) as (file, tar):
            found = _Members(where, given, passed, file)
            try:
                for run in _runs(tar, passed):
                    yield from found.see(run)
            except tarfile.TarError:
                yield from found.finish()
                raise
            yield from found.finish()
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a header that it cannot read for the end
                raise tarfile.ReadError(f"no header at byte {tar.offset}, where one is due")
    except tarfile.TarError as error:
        raise DamagedError(where, error, "an uncompressed tar, whole") from error
    except OSError as error:
        raise UnreadError(f"{where}: {error}; needed: a tar that can be read") from error


def check(item: Item) -> None:
    """Raise why a member cannot be read, where its listing showed that already.

    Args:
        item: of any kind.

    Raises:
        UnreadableAudio: it is sparse, a link to what is no file of the tar, or too large for claims.
    """
    sidecars.check_size(item)
    if item.kind != "member" or item.start >= 0:
        return
    if item.start == _SPARSE:
        raise UnreadableAudio(
            item.path, "sparse_member", "a sparse member, without its zeros", "a tar without --sparse"
        )
    raise UnreadableAudio(item.path, "dead_link", "a link to what is no file of the tar", "the file itself in the tar")


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
        file: the tar, open.
    """

    def __init__(self, where: str, given: Mapping[str, str], passed: Counter[str], file: io.BufferedIOBase) -> None:
        self._where, self._given, self._passed, self._file = where, given, passed, file
        self._changed = stores.changed(where)
        self._links: list[_Link] = []
        self._names: set[int] = set()
        self._repeated: Counter[str] = Counter()
        self._elsewhere: sidecars.Scattered | None = None

    def see(self, run: Sequence[tarfile.TarInfo]) -> Iterator[Item]:
        """Yield the audio of a sample with its claims, but for links, and sidecars whose claims cannot be taken."""
        audio, beside = sidecars.pair(run)
        claimed: dict[str, Claims | None] = {}
        for stem in {stem: None for _, stem in audio if stem is not None}:
            members = beside.pop(stem)
            claimed[stem], taken = sidecars.agree(self._read(m.offset_data, m.size) for m in members)
            refused = [member for member, is_taken in zip(members, taken, strict=True) if not is_taken]
            yield from (self._item(member, Claims()) for member in refused)
        for member in (member for members in beside.values() for member in members):
            if self._find_elsewhere().is_refused(member):
                yield self._item(member, Claims())
        for member, chosen in audio:
            claims = self._find_elsewhere().take(member.name) if chosen is None else claimed[chosen]
            yield from self._see_audio(member, claims or Claims())

    def _see_audio(self, member: tarfile.TarInfo, claims: Claims) -> Iterator[Item]:
        if member.isfile():
            yield self._item(member, claims)
            return
        item = replace(self._item(member, claims), start=_DEAD, length=0, n_bytes=-1)
        folder = "" if member.islnk() else posixpath.dirname(member.name)
        target = posixpath.normpath(posixpath.join(folder, member.linkname))
        self._links.append(_Link(item, member.offset, target, member.islnk()))

    def finish(self) -> Iterator[Item]:
        """Yield the links, and count the sidecars that claim of no audio."""
        unused = 0 if self._elsewhere is None else self._elsewhere.count_unused()
        if unused:
            self._passed[STRAY_CLAIMS] += unused
        yield from self._follow_links()

    def _read(self, start: int, size: int) -> Claims | None:
        if size > sidecars.MAX_BYTES:
            return None
        self._file.seek(start)
        return sidecars.read(self._file.read(size), self._given)

    def _find_elsewhere(self) -> sidecars.Scattered:
        if self._elsewhere is None:
            self._elsewhere = sidecars.Scattered(_list_scattered(self._where), self._read)
        return self._elsewhere

    def _follow_links(self) -> Iterator[Item]:
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


@contextmanager
def _opened(where: str) -> Iterator[tuple[io.BufferedIOBase, tarfile.TarFile]]:
    with (
        stores.open_file(where) as held,
        io.BufferedReader(_Sought(held), _AHEAD_BYTES) as file,
        tarfile.open(fileobj=file, mode="r:") as tar,
    ):
        yield file, tar


def _runs(tar: tarfile.TarFile, passed: Counter[str]) -> Iterator[list[tarfile.TarInfo]]:
    """Yield the audio and sidecars of a tar, those together that lie side by side with one name up to the first dot.

    Others are counted, and sidecars that are links. Sparse ones are too: they hold zeros, and are no JSON.
    """
    sample, run = "", list[tarfile.TarInfo]()
    for member in tar:
        tar.members = []  # type: ignore[attr-defined]  # else a tar of a million members is held
        name, is_link = PurePosixPath(member.name), member.issym() or member.islnk()
        if not (member.isfile() or is_link) or name.name.startswith("."):  # macOS puts a ._a.wav beside each a.wav
            continue
        own = str(name.parent / name.name.split(".")[0])
        if own != sample and run:
            yield run
            run = []
        sample = own
        if name.suffix.lower() in EXTENSIONS:
            run.append(member)
        elif not sidecars.is_sidecar(member.name):
            listing.note(passed, member.name)
        elif is_link or member.issparse():
            passed[STRAY_CLAIMS] += 1
        else:
            run.append(member)
    if run:
        yield run


def _list_scattered(where: str) -> Iterator[tarfile.TarInfo]:
    """Yield the sidecars that claim of no audio beside them: by headers alone."""
    with suppress(tarfile.TarError), _opened(where) as (_, tar):  # it ends early; what lies before that is found
        for run in _runs(tar, Counter()):
            audio, beside = sidecars.pair(run)
            chosen = {stem for _, stem in audio}
            for stem, members in beside.items():
                yield from members if stem not in chosen else ()


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
        with _opened(where) as (_, tar):
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

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            return 0
        self._file.seek(self._at)
        data: bytes = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
