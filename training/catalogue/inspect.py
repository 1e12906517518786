"""What a stem's file holds: read once, kept by path, size and date; what cannot be read is tried again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from provenance import audio
from provenance.errors import UnreadableAudio

SILENT_PEAK = 10 ** (-70 / 20)
PRINT_S = 90.0
"""Of each song so much is fingerprinted."""


@dataclass(frozen=True)
class Facts:
    """What was found in a file.

    Args:
        duration_s: length in seconds, of what could be read.
        sample_rate: in Hz, of the source.
        channels: of the source.
        codec: container and coding.
        peak: largest magnitude.
        digest: of the samples at 44.1 kHz in 16 bits, the same whatever the lossless container.
        problem: why it cannot be used, or empty.
        warning: what else is wrong with it, or empty.
    """

    duration_s: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    codec: str = ""
    peak: float = 0.0
    digest: str = ""
    problem: str = ""
    warning: str = ""


def examine(path: Path) -> Facts:
    """Read a file whole, a block at a time, and say what it holds.

    Args:
        path: an audio file.
    """
    digest = hashlib.sha256()
    n, peak = 0, 0.0
    try:
        with audio.open_audio(path) as (info, blocks):
            for block in blocks:
                n += len(block)
                peak = max(peak, float(np.abs(block).max(initial=0.0)))
                digest.update(np.round(np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())
    except UnreadableAudio as error:
        return Facts(problem=f"{error.found}; needed: {error.needed}")
    problem = "" if peak > SILENT_PEAK else f"silent (peak {20 * np.log10(peak + 1e-12):.0f} dB)"
    problem = problem if n else "no samples"
    warning = "shorter than its header says" if info.is_short else ""
    return Facts(
        n / audio.SAMPLE_RATE_HZ, info.sample_rate_hz, info.n_channels, info.codec, peak, digest.hexdigest()[:24],
        problem, warning,
    )  # fmt: skip


class Journal:
    """Facts of files seen before, a JSON line each, so that an interrupted run goes on.

    Args:
        file: made if it is missing; None keeps nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.known: dict[str, Facts] = {}
        if file and file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    facts = Facts(**entry["facts"])
                    if facts.digest:  # else a package or a permission may have been missing
                        self.known[entry["key"]] = facts
                except (ValueError, KeyError, TypeError):
                    continue  # a line cut off by a kill

    def facts(self, path: Path) -> Facts:
        """Return what a file holds, reading it only where it is new or changed.

        Args:
            path: an audio file.
        """
        try:
            stat = path.stat()
            key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
            key.encode()
        except OSError as error:
            return Facts(problem=error.strerror or "cannot be reached")
        except UnicodeEncodeError:
            return Facts(problem="a name that is no UTF-8, which no table can hold; needed: another name")
        if key not in self.known:
            self.known[key] = examine(path)
            if self.file and self.known[key].digest:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                with self.file.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps({"key": key, "facts": dataclasses.asdict(self.known[key])}) + "\n")
        return self.known[key]


def mix_of(paths: list[Path]) -> npt.NDArray[np.float32]:
    """Return the sum of the first 90 s of files, float32 (n, 1), for a fingerprint of the song.

    Args:
        paths: stems, or the mix alone.
    """
    total = np.zeros((0, 1), np.float32)
    for path in paths:
        wave = audio.read(path, max_s=PRINT_S)[1].mean(1, keepdims=True)
        n = max(len(total), len(wave))
        total = np.pad(total, ((0, n - len(total)), (0, 0))) + np.pad(wave, ((0, n - len(wave)), (0, 0)))
    return total
