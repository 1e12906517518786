"""Outputs that a separator has made already: a folder of song folders, or of files named after song and stem."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from provenance.audio import EXTENSIONS
from training.catalogue.clips import song_key
from training.separators.command import read, stem_of
from training.separators.errors import SeparatorError
from training.separators.separator import Piece, Separator, Wave


def open_folder(folder: Path, label: str = "") -> Separator:
    """Make a separator of finished outputs.

    Args:
        folder: holds ``SONG/STEM.wav`` at any depth, as demucs writes ``MODEL/SONG/STEM.wav``, or ``SONG_STEM.wav``.
        label: name in manifests; the folder's by default.

    Raises:
        SeparatorError: no such folder, or no audio in it.
    """
    if not folder.is_dir():
        raise SeparatorError(f"{folder}: found no such folder; needed: a folder of separated stems")
    files = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in EXTENSIONS]
    if not files:
        raise SeparatorError(f"{folder}: found no audio; needed: SONG/STEM.wav or SONG_STEM.wav")
    by_folder: dict[str, list[Path]] = {}
    for path in files:
        by_folder.setdefault(song_key(path.parent.name), []).append(path)

    def run(piece: Piece) -> dict[str, Wave]:
        key = song_key(piece.song)
        beside = {p.stem[_name_length(p.stem, key) :]: p for p in files if _name_length(p.stem, key)}
        chosen = {p.stem: p for p in by_folder.get(key, [])} or beside
        if not chosen:
            raise SeparatorError(f"{folder}: found no outputs of {piece.song!r}; needed: a folder or files of its name")
        stop = piece.start + len(piece.mix)
        stems = {stem_of(name): read(path) for name, path in chosen.items() if stem_of(name) != "mix"}
        short = [stem for stem, wave in stems.items() if len(wave) < stop - 4410]
        if short:
            raise SeparatorError(
                f"{folder}: {piece.song!r}: {', '.join(short)} ends before the mix; needed: whole songs"
            )
        return {
            stem: np.pad(wave[piece.start : stop], ((0, max(0, stop - len(wave))), (0, 0)))
            for stem, wave in stems.items()
        }

    return Separator(label or folder.name, f"folder|{folder.resolve()}", run, keeps=False)


def _name_length(file: str, key: str) -> int:
    """How many characters of a file's name spell the song and a separating sign; 0 where it is another song's."""
    for length in range(len(file), 0, -1):
        if file[length - 1] in "_- " and song_key(file[: length - 1]) == key:
            return length
    return 0
