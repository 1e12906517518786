"""Any separator with a command line: Spleeter, audio-separator with its MDX and RoFormer models, a vendor's own."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from provenance import audio
from provenance.audio import EXTENSIONS
from provenance.errors import UnreadableAudio
from training.catalogue.names import kind_of
from training.separators.errors import DiskFull, SeparatorError
from training.separators.separator import RATE_HZ, Piece, Separator, Wave

TIMEOUT_S = 3600.0
MAX_LAG = 4096
"""Samples by which a codec may have shifted an output: MP3's decoders leave about 1100."""


def open_command(template: str, label: str = "", timeout_s: float = TIMEOUT_S) -> Separator:
    """Make a separator of a command.

    Args:
        template: the command, with ``{input}`` for a WAV file and ``{output}`` for a folder, as in
            ``spleeter separate -p spleeter:4stems -o {output} {input}``. No shell reads it.
        label: name in manifests; the program's by default.
        timeout_s: after which it is ended.

    Raises:
        SeparatorError: a template without its places, or a program that is not there.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise SeparatorError(f"found command {template!r} ({error}); needed: quotes that close") from error
    if not words or not any("{input}" in w for w in words) or not any("{output}" in w for w in words):
        raise SeparatorError(f"found command {template!r}; needed: a program with {{input}} and {{output}}")
    program = shutil.which(words[0])
    if program is None:
        raise SeparatorError(f"{words[0]}: found no such program; needed: install it, or give its whole path")
    name = label or Path(words[0]).stem

    def run(piece: Piece) -> dict[str, Wave]:
        with tempfile.TemporaryDirectory(prefix="separate-") as folder:
            source, out = Path(folder) / "input.wav", Path(folder) / "out"
            try:
                out.mkdir()
                soundfile.write(source, piece.mix, RATE_HZ, "FLOAT")
            except (OSError, soundfile.LibsndfileError) as error:
                raise DiskFull(
                    f"{folder}: cannot be written ({error}); "
                    "needed: room for temporary files, there or where TMPDIR says"
                ) from error
            filled = [w.replace("{input}", str(source)).replace("{output}", str(out)) for w in words]
            try:
                done = subprocess.run(
                    filled, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout_s, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise SeparatorError(f"{name}: not done after {timeout_s:.0f} s; it was ended") from error
            except OSError as error:
                raise SeparatorError(f"{name}: did not start: {error.strerror}; needed: a program") from error
            if done.returncode:
                said = done.stderr.replace(str(source), "{input}").replace(str(out), "{output}")  # same for all songs
                last = " / ".join(said.strip().splitlines()[-3:]) or "it said nothing"
                raise SeparatorError(f"{name}: ended with {done.returncode}: {last[-400:]}")
            files = [p for p in sorted(out.rglob("*")) if p.suffix.lower() in EXTENSIONS]
            if not files:
                raise SeparatorError(
                    f"{name}: left no audio in its output folder; needed: a template that writes there"
                )
            return {stem_of(p.stem): aligned(read(p), piece.mix) for p in files if stem_of(p.stem) != "mix"}

    return Separator(name, f"command|{template}", run)


def stem_of(file: str) -> str:
    """Return which stem an output is, by its file's name without ending.

    >>> stem_of("input_(Vocals)_UVR-MDX-NET-Voc_FT"), stem_of("accompaniment"), stem_of("drums")
    ('vocals', 'accompaniment', 'drums')
    """
    marked = re.search(r"\(([^)]+)\)", file)
    name = marked[1] if marked else re.sub(r"^input[_\- ]*", "", file)
    if re.search(r"instrumental|accompaniment|no.?vocals|karaoke|minus", name.lower()):
        return "accompaniment"
    return kind_of(name)


def read(path: Path) -> Wave:
    """Read an output as float32 (n, 2).

    Args:
        path: an audio file.

    Raises:
        SeparatorError: it cannot be read.
    """
    try:
        _, wave = audio.read(path)
    except UnreadableAudio as error:
        raise SeparatorError(str(error)) from error
    return wave if wave.shape[1] == 2 else np.repeat(wave, 2, 1)


def aligned(estimate: Wave, mix: Wave) -> Wave:
    """Return an estimate shifted to where the mix has it, and as long.

    Args:
        estimate: float32 (m, 2).
        mix: float32 (n, 2).
    """
    n = min(len(estimate), len(mix), 20 * RATE_HZ)
    if n > 2 * MAX_LAG:
        a, b = estimate[:n].mean(1).astype(np.float64), mix[:n].mean(1).astype(np.float64)
        correlation = signal.correlate(a, b, "full", "fft")[n - 1 - MAX_LAG : n + MAX_LAG]
        lag = int(correlation.argmax()) - MAX_LAG
        if lag and correlation[lag + MAX_LAG] > 1.05 * max(correlation[MAX_LAG], 0.0):
            estimate = estimate[lag:] if lag > 0 else np.pad(estimate, ((-lag, 0), (0, 0)))
    short = len(mix) - len(estimate)
    return np.pad(estimate, ((0, short), (0, 0))) if short > 0 else estimate[: len(mix)]
