"""Any separator with a command line: Spleeter, audio-separator with its MDX and RoFormer models, a vendor's own."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import scipy.fft
import soundfile

from provenance import audio
from provenance.audio import EXTENSIONS
from provenance.errors import UnreadableAudio
from training.catalogue.names import kind_of
from training.separators.errors import DiskFull, SeparatorError
from training.separators.separator import RATE_HZ, Piece, Separator, Wave

TIMEOUT_S = 3600.0
MAX_LAG = 4096
"""Samples by which a codec may have shifted an output: MP3's decoders leave about 1100."""
_FLOOR, _CLEARER = 1e-6, 2.0


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
                code, said = _called(filled, timeout_s)
            except subprocess.TimeoutExpired as error:
                raise SeparatorError(f"{name}: not done after {timeout_s:.0f} s; it was ended") from error
            except OSError as error:
                raise SeparatorError(f"{name}: did not start: {error.strerror}; needed: a program") from error
            if code:
                said = said.replace(str(source), "{input}").replace(str(out), "{output}")  # same for all songs
                last = " / ".join(said.strip().splitlines()[-3:]) or "it said nothing"
                raise SeparatorError(f"{name}: ended with {code}: {last[-400:]}")
            files = audio_in(out)
            if not files:
                raise SeparatorError(
                    f"{name}: left no audio in its output folder; needed: a template that writes there"
                )
            try:
                stems = {stem: read(path) for stem, path in by_stem([(p.stem, p) for p in files], out).items()}
            except SeparatorError as error:
                said = str(error)
                raise SeparatorError(f"{name}: {said.removeprefix(f'{out}/').removeprefix(f'{out}: ')}") from error
            for stem, wave in stems.items():
                if len(piece.mix) - len(wave) > MAX_LAG + RATE_HZ // 10:
                    raise SeparatorError(
                        f"{name}: {stem} ends {(len(piece.mix) - len(wave)) / RATE_HZ:.1f} s before the mix; needed: "
                        "outputs as long as it"
                    )
            lag = lag_of(stems.values(), piece.mix)
            return {stem: cut(wave, lag, len(piece.mix)) for stem, wave in stems.items()}

    return Separator(name, f"command|{template}", run)


def _called(words: list[str], timeout_s: float) -> tuple[int, str]:
    """Run a program, with all that it starts, to its end or the time's; its exit code and what it said."""
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            told, complained = process.communicate(timeout=timeout_s)
        except BaseException:  # an interrupt too: a shell's children would go on, and hold the pipes
            with contextlib.suppress(ProcessLookupError):
                if sys.platform == "win32":
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, complained.strip() or told


def audio_in(folder: Path) -> list[Path]:
    """Return the audio files in and below a folder, in order, but for hidden ones.

    Args:
        folder: of outputs.
    """
    found = (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in EXTENSIONS)
    return [p for p in found if not p.name.startswith(".") and p.is_file()]


def by_stem(
    named: Iterable[tuple[str, Path]], folder: Path, spell: Callable[[Path], str] | None = None
) -> dict[str, Path]:
    """Return the file of each stem, mixes left out.

    Args:
        named: what tells the stem of each file, and the file.
        folder: they lie in, for the error.
        spell: gives a file's name in the error; None is as seen from the folder.

    Raises:
        SeparatorError: two of one stem, of which one would silently replace the other.
    """
    found: dict[str, Path] = {}
    for name, path in named:
        stem = stem_of(name)
        if stem != "mix" and found.setdefault(stem, path) != path:
            both = (found[stem], path)
            names = " and ".join(spell(p) if spell else str(p.relative_to(folder)) for p in both)
            raise SeparatorError(f"{folder}: found {names}, both of them {stem}; needed: one file for each stem")
    return found


def stem_of(file: str) -> str:
    """Return which stem an output is, by its file's name without ending.

    >>> stem_of("input_(Vocals)_UVR-MDX-NET-Voc_FT"), stem_of("accompaniment"), stem_of("drums")
    ('vocals', 'accompaniment', 'drums')
    """
    marked = re.search(r"\(([^)]+)\)", file)
    name = marked[1] if marked else re.sub(r"^input[_\- ]*", "", file)
    if not name:  # the mix itself, as some tools leave it beside the stems
        return "mix"
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


def lag_of(estimates: Iterable[Wave], mix: Wave) -> int:
    """Return by how many samples a codec has shifted a separator's outputs, all of them alike; 0 where none is clear.

    It is told by their sum: a quiet one alone may resemble its mix more elsewhere, where others repeat.

    Source: C. Knapp, G. Carter, *The generalized correlation method for estimation of time delay* (1976).

    Args:
        estimates: float32 (m, 2) each.
        mix: float32 (n, 2).
    """
    total = np.zeros(min(len(mix), 20 * RATE_HZ))
    for wave in estimates:
        part = wave[: len(total)].mean(1)
        total[: len(part)] += part
    n = len(total)
    if n <= 2 * MAX_LAG:
        return 0
    size = scipy.fft.next_fast_len(2 * n, real=True)
    cross = np.fft.rfft(total, size) * np.fft.rfft(mix[:n].mean(1), size).conj()
    magnitude = np.abs(cross)
    found = np.fft.irfft(cross / (magnitude + _FLOOR * magnitude.max() + 1e-20), size)  # phases alone: rhythm repeats
    found = np.concatenate([found[-MAX_LAG:], found[: MAX_LAG + 1]])
    lag = int(found.argmax()) - MAX_LAG
    return lag if found[lag + MAX_LAG] > _CLEARER * max(found[MAX_LAG], 0.0) else 0


def cut(wave: Wave, start: int, n: int) -> Wave:
    """Return ``n`` samples of a wave from a place that may lie before it; silence where it has none.

    Args:
        wave: float32 (m, channels).
        start: first sample; may be negative.
        n: how many.
    """
    part = wave[max(0, start) : max(0, start + n)]
    before = min(n, max(0, -start))
    return np.pad(part, ((before, n - before - len(part)), (0, 0)))
