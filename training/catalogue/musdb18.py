"""MUSDB18 as compressed stems, through the ``musdb`` package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile
from tqdm import tqdm

from training.catalogue.clips import CatalogueError

if TYPE_CHECKING:
    from training.catalogue.sources import Found

STEMS = ("drums", "bass", "other", "vocals")
_STREAM = {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}


def read(root: Path, options: dict[str, str]) -> Found:
    """List the songs, decoding what has not been decoded yet.

    Args:
        root: folder with ``train`` and ``test``, each of ``SONG.stem.mp4`` files.
        options: ``name`` of the source.

    Raises:
        CatalogueError: the package or ffmpeg is missing, or what was decoded cannot be written.
    """
    from training.catalogue.sources import Found, Part, Song

    try:
        import musdb
        import stempeg
    except ImportError as error:
        raise CatalogueError(
            f"{root}: found .stem.mp4 files; needed to read them: pip install musdb, and ffmpeg"
        ) from error
    except Exception as error:  # stempeg raises a plain RuntimeError where it finds no ffmpeg
        raise CatalogueError(
            f"{root}: the musdb package does not start ({error}); needed: ffmpeg on the PATH"
        ) from error
    found = Found()
    files = (p for subset in ("train", "test") for p in (root / subset).glob("*.stem.mp4"))
    names = sorted(p.name for p in files if not p.name.startswith("."))
    bar = tqdm(names, desc="MUSDB18", unit="song", disable=None)
    for name in bar:
        subset = next(s for s in ("train", "test") if (root / s / name).is_file())
        song = name.removesuffix(".stem.mp4")
        folder = root / "flac" / subset / song
        missing = [kind for kind in STEMS if not (folder / f"{kind}.flac").is_file()]
        if missing:
            try:
                track = musdb.MultiTrack(
                    path=str(root / subset / name), name=song, subset=subset, is_wav=False, stem_id=0
                )
                waves, rate = stempeg.read_stems(
                    track.path, stem_id=[_STREAM[kind] for kind in missing], info=track.info, ffmpeg_format="s16le"
                )
            except Exception as error:  # stempeg wraps ffmpeg, whose failures come as many kinds
                found.problems.append(f"{root / subset / name}: cannot be decoded ({_brief(error)}); left out")
                continue
            waves = np.asarray(waves, np.float32).reshape(len(missing), -1, 2)
            for kind, wave in zip(missing, waves, strict=True):
                _write(folder / f"{kind}.flac", wave, int(rate))
        parts = tuple(
            Part(kind, folder / f"{kind}.flac", "wet", f"{subset} part; AAC", codec="MP4/AAC") for kind in STEMS
        )
        found.songs.append(Song(song, options.get("name", "MUSDB18"), parts, "non-commercial/share-alike"))
    return found


def _write(file: Path, wave: npt.NDArray[np.float32], rate_hz: int) -> None:
    part = file.with_name(f".{file.stem}.{os.getpid()}.flac")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(part, wave, rate_hz, "PCM_16")
        os.replace(part, file)
    except (OSError, soundfile.LibsndfileError) as error:
        part.unlink(missing_ok=True)
        raise CatalogueError(
            f"{file.parent}: cannot be written ({error}); needed: room for what is decoded, of which the rest is kept: "
            "run it again"
        ) from error


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__
