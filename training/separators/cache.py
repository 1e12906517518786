"""Separated stems kept by content: the same mix through the same separator is never computed twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from provenance import audio
from provenance.errors import UnreadableAudio
from training.separators.errors import DiskFull, SeparatorError
from training.separators.separator import RATE_HZ, Piece, Separator, Wave

_DONE = "done.json"


def separate(separator: Separator, piece: Piece, cache: Path) -> dict[str, Wave]:
    """Return a separator's estimates, computed or found.

    A result is a folder, written under another name and then renamed: a kill leaves whole results and nothing half.

    Args:
        separator: which.
        piece: of what.
        cache: folder of results.

    Returns:
        Stem name to float32 (n, 2).

    Raises:
        SeparatorError: the separator fails, or gives what is no estimate of this mix.
        DiskFull: the result cannot be kept.
    """
    if not separator.keeps:
        return _checked(separator, piece, _run(separator, piece))
    folder = cache / key_of(separator, piece)
    if (folder / _DONE).is_file():
        try:
            return _read(folder)
        except (UnreadableAudio, OSError, ValueError, KeyError):
            shutil.rmtree(folder, ignore_errors=True)  # damaged afterwards: make it again
    stems = _checked(separator, piece, _run(separator, piece))
    try:
        _write(folder, separator, stems)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DiskFull(
            f"{cache}: cannot be written ({error}); what was separated before is kept: see that the disk has room and "
            "run it again"
        ) from error
    return stems


def key_of(separator: Separator, piece: Piece) -> str:
    """Return the name of a result: a hash of the mix's samples, the separator and its settings.

    Args:
        separator: which.
        piece: of what.
    """
    total = hashlib.sha256(separator.identity.encode())
    total.update(np.ascontiguousarray(piece.mix, "<f4").tobytes())
    return total.hexdigest()[:32]


def sweep(folders: Iterable[Path]) -> None:
    """Remove what processes that are gone left half-written.

    Args:
        folders: with files and folders named ``.PID.NAME`` while they are written.
    """
    for folder in folders:
        for part in folder.glob(".[0-9]*.*") if folder.is_dir() else ():
            number = part.name.split(".")[1]
            if number.isdigit() and not _is_running(int(number)):
                shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _run(separator: Separator, piece: Piece) -> dict[str, Wave]:
    try:
        return separator.run(piece)
    except SeparatorError:
        raise
    except Exception as error:  # out of memory, or what else: other songs and separators go on
        said = (str(error).strip().splitlines() or ["it said nothing"])[0]
        raise SeparatorError(f"{separator.name}: failed ({type(error).__name__}: {said})") from error


def _checked(separator: Separator, piece: Piece, stems: dict[str, Wave]) -> dict[str, Wave]:
    for stem, wave in stems.items():
        if wave.shape != piece.mix.shape:
            raise SeparatorError(f"{separator.name}: {stem} has shape {wave.shape}; needed: {piece.mix.shape}")
        if not np.isfinite(wave).all():
            raise SeparatorError(f"{separator.name}: {stem} has NaN or infinite samples")
    if not stems:
        raise SeparatorError(f"{separator.name}: gave no stem")
    return stems


def _write(folder: Path, separator: Separator, stems: dict[str, Wave]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{os.getpid()}.{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        files = {}
        for number, (stem, wave) in enumerate(stems.items()):
            kind, coding = ("flac", "PCM_24") if float(np.abs(wave).max(initial=0.0)) < 0.999 else ("wav", "FLOAT")
            files[stem] = f"{number}.{kind}"
            soundfile.write(part / files[stem], wave, RATE_HZ, coding)
        record = {"separator": separator.name, "identity": separator.identity, "files": files}
        (part / _DONE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _read(folder: Path) -> dict[str, Wave]:
    record = json.loads((folder / _DONE).read_text(encoding="utf-8"))
    return {stem: audio.read(folder / file)[1] for stem, file in record["files"].items()}
