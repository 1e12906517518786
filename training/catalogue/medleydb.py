"""MedleyDB: stems and raw tracks of each song, described in YAML beside them or in a folder of descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from training.catalogue.clips import CatalogueError
from training.catalogue.names import kind_of

if TYPE_CHECKING:
    from training.catalogue.sources import Found

_DESCRIPTION, _STEMS = "_METADATA.yaml", "_STEMS"


def is_one(root: Path) -> bool:
    """Whether a folder holds MedleyDB: a description, or a song's folder of stems beside its mix.

    Args:
        root: a folder.
    """
    described = any(next(_visible(root, f"{depth}/*{_DESCRIPTION}"), None) for depth in ("*", "*/*"))
    return described or any((at.parent / f"{song}_MIX.wav").is_file() for song, at in _stem_folders(root))


def read(root: Path, options: dict[str, str]) -> Found:
    """List the songs: ``Audio/SONG`` (or ``V1/SONG``, or ``SONG``) with a folder of stems and one of dry raw tracks.

    Archives of the audio come without the descriptions: those of the ``medleydb`` repository are found in ``Metadata``.

    Args:
        root: folder of the data set.
        options: ``name`` of the source.

    Raises:
        CatalogueError: the package that reads descriptions is missing.
    """
    from training.catalogue.sources import Found, Part, Song

    try:
        import yaml
    except ImportError as error:
        raise CatalogueError("MedleyDB's descriptions need PyYAML; pip install 'stem-provenance[train]'") from error
    found = Found()
    bare: list[Path] = []
    for song, (folder, description) in sorted(_songs(root).items()):
        if description is None:
            bare.append(folder)
            continue
        try:
            data = yaml.safe_load(description.read_text(encoding="utf-8"))
            bleed = "bleed" if str(data.get("has_bleed", "no")).lower() in ("yes", "true") else ""
            stems_dir = folder / str(data.get("stem_dir") or f"{song}{_STEMS}")
            raw_dir = folder / str(data.get("raw_dir") or f"{song}_RAW")
            parts: list[Part] = []
            for stem in data["stems"].values():
                note = "; ".join(filter(None, (str(stem["instrument"]), bleed)))
                parts.append(Part(kind_of(str(stem["instrument"])), stems_dir / str(stem["filename"]), "wet", note))
                for raw in (stem.get("raw") or {}).values() if raw_dir.is_dir() else ():
                    note = "; ".join(filter(None, ("raw track", str(raw["instrument"]), bleed)))
                    path = raw_dir / str(raw["filename"])
                    parts.append(Part(kind_of(str(raw["instrument"])), path, "dry", note, by_song=True))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            found.problems.append(f"{description}: not a MedleyDB description ({error!r}); the song is left out")
            continue
        mix = folder / str(data.get("mix_filename") or f"{song}_MIX.wav")
        there = tuple(part for part in parts if part.path.is_file())
        missing = tuple(part.path.name for part in parts if not part.path.is_file())
        there += (Part("mix", mix, "wet"),) if mix.is_file() else ()
        name = " - ".join(str(data[key]) for key in ("artist", "title") if data.get(key)) or song
        found.songs.append(Song(name, options.get("name", "MedleyDB"), there, "non-commercial/share-alike", missing))
    if bare:
        found.problems.append(
            f"{root}: found no description of {len(bare)} songs, such as {bare[0].name}, which are left out; needed: "
            f"SONG{_DESCRIPTION} beside the stems, or the medleydb repository's medleydb/data/Metadata as "
            f"{root / 'Metadata'}"
        )
    return found


def _songs(root: Path) -> dict[str, tuple[Path, Path | None]]:
    """Names of songs to their folder and description."""
    described = {
        file.name.removesuffix(_DESCRIPTION): file
        for depth in ("*/*", "*")  # what lies nearer counts
        for file in sorted(_visible(root, f"{depth}/*{_DESCRIPTION}"))
    }
    folders = {song: file.parent for song, file in described.items()} | {
        song: stems.parent for song, stems in _stem_folders(root)
    }
    own = {song: folder / f"{song}{_DESCRIPTION}" for song, folder in folders.items()}
    return {song: (at, own[song] if own[song].is_file() else described.get(song)) for song, at in folders.items()}


def _stem_folders(root: Path) -> list[tuple[str, Path]]:
    """Songs that a folder of stems lies in the folder of, at both depths, and that folder of stems."""
    found = [path for depth in ("*", "*/*") for path in _visible(root, f"{depth}/*{_STEMS}")]
    names = ((path.name.removesuffix(_STEMS), path) for path in sorted(found))
    return [(song, path) for song, path in names if path.parent.name == song and path.is_dir()]


def _visible(root: Path, pattern: str) -> Iterator[Path]:
    """What lies there, but for hidden files, as macOS leaves beside unpacked ones."""
    return (path for path in root.glob(pattern) if not path.name.startswith("."))
