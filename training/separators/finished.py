"""Outputs that a separator has made already: a folder of song folders, or of files named after song and stem."""

from __future__ import annotations

from pathlib import Path

from training.catalogue.clips import song_key
from training.separators.command import audio_in, by_stem, cut, lag_of, read, stem_of
from training.separators.errors import SeparatorError
from training.separators.separator import Piece, Separator, Wave


def open_folder(folder: Path, label: str = "") -> Separator:
    """Make a separator of finished outputs.

    Args:
        folder: holds ``SONG/STEM.wav`` at any depth, as demucs writes ``MODEL/SONG/STEM.wav``, or ``SONG_STEM.wav``.
        label: name in manifests; the folder's by default.

    Raises:
        SeparatorError: no such folder, or no audio in it. What the separator raises of a song names none, as
            :func:`training.separators.errors.tell` does: one line is told of all that have the problem.
    """
    if not folder.is_dir():
        raise SeparatorError(f"{folder}: found no such folder; needed: a folder of separated stems")
    files = audio_in(folder)
    if not files:
        raise SeparatorError(f"{folder}: found no audio; needed: SONG/STEM.wav or SONG_STEM.wav")
    stats = ((path, path.stat()) for path in files)
    content = "|".join(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats)
    by_folder: dict[str, list[Path]] = {}
    for path in files:
        by_folder.setdefault(song_key(path.parent.name), []).append(path)

    def run(piece: Piece) -> dict[str, Wave]:
        key = song_key(piece.song)
        named = [(p.stem, p) for p in by_folder.get(key, [])]
        named = named or _nearest([(p.stem[n:], p) for p in files if (n := _name_length(p.stem, key))])
        if not named:
            raise SeparatorError(f"{folder}: found no outputs of the song; needed: a folder or files of its name")
        stop = piece.start + len(piece.mix)
        paths = by_stem(named, folder, lambda path: _spell(path.relative_to(folder), key))
        stems = {stem: read(path) for stem, path in paths.items()}
        short = [stem for stem, wave in stems.items() if len(wave) < stop - 4410]
        if short:
            raise SeparatorError(f"{folder}: {', '.join(short)} ends before the mix; needed: whole songs")
        lag = lag_of((cut(wave, piece.start, len(piece.mix)) for wave in stems.values()), piece.mix)
        return {stem: cut(wave, piece.start + lag, len(piece.mix)) for stem, wave in stems.items()}

    return Separator(label or folder.name, f"folder|{folder.resolve()}|{content}", run, keeps=False)


def _spell(path: Path, key: str) -> str:
    """Spell a file by its layout, so that what is wrong with all songs is one problem: ``htdemucs/SONG/vocals.wav``."""
    n = _name_length(path.stem, key)
    folders = ("SONG" if song_key(part) == key else part for part in path.parts[:-1])
    return "/".join((*folders, f"SONG_{path.name[n:]}" if n else path.name))


def _nearest(named: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Of the files of each stem those whose names hold least beside song and stem: the others are of longer names."""
    least: dict[str, int] = {}
    for rest, _ in named:
        least[stem_of(rest)] = min(len(rest), least.get(stem_of(rest), len(rest)))
    return [(rest, path) for rest, path in named if len(rest) == least[stem_of(rest)]]


def _name_length(file: str, key: str) -> int:
    """How many characters of a file's name spell the song and a separating sign; 0 where it is another song's."""
    for length in range(len(file), 0, -1):
        if file[length - 1] in "_- " and song_key(file[: length - 1]) == key:
            return length
    return 0
