"""Where songs come from: MUSDB18-HQ, MUSDB18, MoisesDB, MedleyDB, folders of song folders, manifests."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from provenance.audio import EXTENSIONS
from training.catalogue import medleydb
from training.catalogue.clips import REQUIRED, WETNESS, CatalogueError, read_rows, tidy
from training.catalogue.names import kind_of


@dataclass(frozen=True)
class Part:
    """One stem of a song.

    Args:
        stem: ``vocals``, ``drums``, ``bass``, ``other``, ``mix`` or an instrument's name.
        path: the audio file.
        wetness: ``dry``, ``hybrid``, ``wet`` or ``unknown``.
        note: what else is known, such as bleed.
        codec: how its source was coded, where the file no longer shows it.
        by_song: a dry part that is held out with its song; any other dry part is with all that its source holds.
        row: for a part out of a manifest, its row.
    """

    stem: str
    path: Path
    wetness: str = "unknown"
    note: str = ""
    codec: str = ""
    by_song: bool = False
    row: dict[str, str] | None = None


@dataclass(frozen=True)
class Song:
    """A song and its stems, not yet looked at.

    Args:
        name: as its source names it.
        source: name of the data set or folder.
        parts: its stems, and its mix where there is one.
        licence: of the recording.
        missing: stems that the source promises and that are not there.
    """

    name: str
    source: str
    parts: tuple[Part, ...]
    licence: str = ""
    missing: tuple[str, ...] = ()


@dataclass
class Found:
    """What a source holds.

    Args:
        songs: in the order of their names.
        problems: one line for each thing that cannot be used.
    """

    songs: list[Song] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read(spec: str) -> Found:
    """List the songs of a source.

    Args:
        spec: ``PATH`` or ``KIND:PATH``, with KIND one of :data:`KINDS`; without one it is told from what lies there.
            After a ``#`` may follow ``wetness=...,licence=...,name=...`` for folders.

    Raises:
        CatalogueError: no such path, an unknown kind, or nothing that looks like songs.
    """
    kind, _, rest = spec.partition(":")
    where, text = (rest if kind in KINDS else spec), ""
    if "#" in where and not os.path.exists(where):  # a folder's own name may hold one
        where, _, text = where.rpartition("#")
    options = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    unknown = set(options) - {"wetness", "licence", "name"}
    unknown |= {part for part in text.split(",") if part and "=" not in part}
    if unknown:
        raise CatalogueError(f"{spec}: found option {', '.join(sorted(unknown))}; needed: wetness, licence or name")
    if options.get("wetness", "unknown") not in WETNESS:
        raise CatalogueError(f"{spec}: found wetness {options['wetness']!r}; needed: one of {', '.join(WETNESS)}")
    path = Path(where)
    if not path.exists():
        raise CatalogueError(
            f"{path}: no such file or folder; needed: a data set, a folder of song folders or a manifest"
        )
    kind = kind if kind in KINDS else detect(path)
    found = KINDS[kind](path, options)
    if not found.songs and not found.problems:
        raise CatalogueError(f"{path}: found no songs; needed: what a source of kind {kind} holds ({_NEEDED[kind]})")
    return found


def detect(path: Path) -> str:
    """Tell the kind of a source from what lies there.

    Args:
        path: a file or folder.
    """
    if path.is_file():
        return "manifest"
    if next(path.glob("t*/*.stem.mp4"), None) or next(path.glob("*.stem.mp4"), None):
        return "musdb"
    if any(
        (path / subset).is_dir() and next((path / subset).glob("*/mixture.wav"), None) for subset in ("train", "test")
    ):
        return "musdb-hq"
    if medleydb.is_one(path):
        return "medleydb"
    if any(next(path.glob(pattern), None) for pattern in _MOISESDB):
        return "moisesdb"
    return "folder"


_MOISESDB = ("*/data.json", "*/*/data.json", "*/*/*/data.json")
"""Of a provider's folder, of ``moisesdb_v0.1``, and of a folder that this was unpacked into."""


def _audio_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if _is_audio(p))


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def _folders(folder: Path) -> Iterator[Path]:
    yield from sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def read_musdb_hq(root: Path, options: dict[str, str]) -> Found:
    """MUSDB18-HQ: ``train`` and ``test``, each with folders of five WAV files."""
    found = Found()
    needed = ("drums", "bass", "other", "vocals")
    for subset in ("train", "test"):
        if not (root / subset).is_dir():
            continue
        for folder in _folders(root / subset):
            files = {p.stem: p for p in _audio_in(folder)}
            parts = tuple(Part(kind, files[kind], "wet", f"{subset} part") for kind in needed if kind in files)
            if "mixture" in files:
                parts += (Part("mix", files["mixture"], "wet"),)
            missing = tuple(kind for kind in needed if kind not in files)
            found.songs.append(
                Song(folder.name, options.get("name", "MUSDB18-HQ"), parts, "non-commercial/share-alike", missing)
            )
    return found


def read_moisesdb(root: Path, options: dict[str, str]) -> Found:
    """MoisesDB: folders (below a provider's) with ``data.json`` and a folder of tracks for each stem."""
    found = Found()
    for description in sorted(file for pattern in _MOISESDB for file in root.glob(pattern)):
        folder = description.parent
        try:
            data = json.loads(description.read_text(encoding="utf-8"))
            name = " - ".join(str(data[key]) for key in ("artist", "song") if data.get(key)) or folder.name
            tracks = [(str(s["stemName"]), t) for s in data["stems"] for t in s["tracks"]]
            files = [(s, folder / s / f"{t['id']}.{t['extension']}", t) for s, t in tracks]
        except (OSError, ValueError, KeyError, TypeError) as error:
            found.problems.append(f"{description}: not a MoisesDB description ({error!r}); the song is left out")
            continue
        parts = tuple(
            Part(
                kind_of(stem), path, "wet",
                "; ".join(filter(None, (str(track.get("trackType", "")), "bleed" if track.get("has_bleed") else ""))),
            )
            for stem, path, track in files
            if path.is_file()
        )  # fmt: skip
        missing = tuple(f"{stem}/{path.name}" for stem, path, _ in files if not path.is_file())
        found.songs.append(Song(name, options.get("name", "MoisesDB"), parts, "non-commercial/share-alike", missing))
    return found


def read_medleydb(root: Path, options: dict[str, str]) -> Found:
    """MedleyDB: ``Audio/SONG`` with a folder of stems, one of raw tracks, which are dry, and a description."""
    return medleydb.read(root, options)


def read_folder(root: Path, options: dict[str, str]) -> Found:
    """Any folder of song folders, each with one audio file for each stem; stems that most songs have are expected."""
    found = Found()
    source = options.get("name", root.resolve().name)
    for folder in _folders(root):
        if deeper := sum(1 for below in _folders(folder) for path in below.rglob("*") if _is_audio(path)):
            found.problems.append(
                f"{folder}: found {deeper} audio files in folders below it; needed: SONG/STEM.wav; these are left out"
            )
    if loose := _audio_in(root):
        found.problems.append(
            f"{root}: found {len(loose)} audio files outside song folders, such as {loose[0].name}; needed: "
            "SONG/STEM.wav; these are left out"
        )
    folders = [folder for folder in _folders(root) if _audio_in(folder)]
    kinds = [[kind_of(p.stem) for p in _audio_in(folder)] for folder in folders]
    usual = [k for k in ("drums", "bass", "other", "vocals") if sum(k in names for names in kinds) * 2 > len(kinds) > 1]
    for folder, names in zip(folders, kinds, strict=True):
        parts = tuple(
            Part(kind, path, options.get("wetness", _wetness_of(path.stem)))
            for kind, path in zip(names, _audio_in(folder), strict=True)
        )
        missing = tuple(kind for kind in usual if kind not in names)
        found.songs.append(Song(folder.name, source, parts, options.get("licence", ""), missing))
    return found


def _wetness_of(name: str) -> str:
    match = re.search(r"(^|[^a-z])(dry|raw|wet|fx)([^a-z]|$)", name.lower())
    return {"dry": "dry", "raw": "dry", "wet": "wet", "fx": "wet"}[match[2]] if match else "unknown"


def read_manifest(file: Path, options: dict[str, str]) -> Found:
    """Any manifest: each row is a part, grouped by its ``song_id``; separated clips stay with their song."""
    found = Found()
    songs: dict[tuple[str, str], list[Part]] = {}
    missing: dict[tuple[str, str], list[str]] = {}
    licences: dict[tuple[str, str], str] = {}
    for where, row in read_rows(file, REQUIRED):
        tidy(row)
        if "rir" in (row["stem"], row.get("set")):
            row["song_id"] = row["song_id"] or row["clip"]  # a room is of no song
        if not row["song_id"] or not row["clip"]:
            found.problems.append(f"{where}: found no clip or song_id; the row is left out")
            continue
        key = (row["song_id"], row.get("source_repo") or options.get("name", file.stem))
        if row["wetness"] not in ("", *WETNESS):
            found.problems.append(
                f"{where}: found wetness {row['wetness']!r}; needed: one of {', '.join(WETNESS)}; the row is left out"
            )
            continue
        path = file.parent / row["clip"]
        if row.get("reference"):
            row["reference"] = str((file.parent / row["reference"]).resolve())
        songs.setdefault(key, [])
        if path.is_file():
            part = Part(row["stem"], path, row.get("wetness") or "unknown", row.get("note") or "", row=row)
            songs[key].append(part)
        else:
            missing.setdefault(key, []).append(row["clip"])
        licences.setdefault(key, row.get("licence") or "")
    for (name, source), parts in songs.items():
        key = (name, source)
        found.songs.append(Song(name, source, tuple(parts), licences[key], tuple(missing.get(key, ()))))
    return found


def read_musdb(root: Path, options: dict[str, str]) -> Found:
    """MUSDB18: ``.stem.mp4`` files, decoded by the ``musdb`` package into FLAC files beside them (folder ``flac``)."""
    from training.catalogue import musdb18

    return musdb18.read(root, options)


KINDS: dict[str, Callable[[Path, dict[str, str]], Found]] = {
    "musdb-hq": read_musdb_hq,
    "musdb": read_musdb,
    "moisesdb": read_moisesdb,
    "medleydb": read_medleydb,
    "folder": read_folder,
    "manifest": read_manifest,
}
"""Kinds of source by name."""
_NEEDED = {
    "musdb-hq": "train/SONG/{mixture,drums,bass,other,vocals}.wav",
    "musdb": "train/SONG.stem.mp4",
    "moisesdb": "PROVIDER/ID/data.json",
    "medleydb": "Audio/SONG/SONG_METADATA.yaml, or Audio/SONG and Metadata/SONG_METADATA.yaml",
    "folder": "SONG/STEM.wav",
    "manifest": f"a CSV file with {', '.join(REQUIRED)}",
}
