"""What runs in a worker process: one scorer, one file at a time, under a memory limit."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

from provenance import audio
from provenance.errors import ModelError, UnreadableAudio
from provenance.scorer import Coverage, Scorer
from service.errors import lacking


@dataclass(frozen=True)
class Limits:
    """What one file may take.

    Args:
        memory_bytes: beyond what the worker has with the model loaded.
        max_duration_s: decoded length.
        max_channels: channels of the source.
        max_sample_rate_hz: rate of the source.
    """

    memory_bytes: int
    max_duration_s: float
    max_channels: int
    max_sample_rate_hz: int


@dataclass(frozen=True)
class Task:
    """A file to score.

    Args:
        path: where it lies.
        coverage: ``full`` or ``sparse``.
        roots: folders below which it must really lie, links resolved; None for the service's own uploads.
    """

    path: str
    coverage: Coverage = "full"
    roots: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Scored:
    """A verdict.

    Args:
        body: the verdict as UTF-8 JSON.
        origin: that it states.
        seconds: the scorer's own time.
    """

    body: bytes
    origin: str
    seconds: float


@dataclass(frozen=True)
class Refused:
    """A file that has no verdict.

    Args:
        code: short machine-readable code.
        found: what was found, without a path.
        needed: what is needed instead.
        trace: where an unforeseen error came from, for the log.
    """

    code: str
    found: str
    needed: str
    trace: str = ""

    @property
    def detail(self) -> str:
        """What was found and what is needed, in one sentence."""
        return f"found {self.found}; needed: {self.needed}"


Outcome: TypeAlias = Scored | Refused
FATAL = frozenset({"memory_limit", "out_of_resources"})
"""After a refusal with one of these codes the worker is replaced."""


def serve(connection: Connection, model: str | None, limits: Limits) -> None:
    """Load the model, say so, then answer tasks until the other end closes.

    Args:
        connection: carries ``""`` or why the model does not load, then an outcome for each task.
        model: folder or name of the model.
        limits: of each file.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        scorer = Scorer(model)
    except ModelError as error:
        connection.send(str(error))
        return
    noise = np.random.default_rng(0).normal(scale=0.1, size=(audio.SAMPLE_RATE_HZ, 2))
    scorer.score((noise, audio.SAMPLE_RATE_HZ))  # so that the first file is as fast as the others
    _silence_libraries()
    _limit_memory(limits.memory_bytes)
    try:
        connection.send("")
        while True:
            connection.send(answer(scorer, connection.recv(), limits))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the service has gone


def answer(scorer: Scorer, task: Task, limits: Limits) -> Outcome:
    """Score one file and return its verdict or why there is none.

    Args:
        scorer: a loaded model.
        task: the file.
        limits: of the file.
    """
    try:
        with open_file(task) as file:
            started = time.perf_counter()
            with audio.open_audio(file) as (info, _):
                refused = _over(info, limits)
            if refused is not None:
                return refused
            file.seek(0)
            verdict = scorer.score(file, task.coverage, limits.max_duration_s)
            seconds = time.perf_counter() - started
        return Scored(json.dumps(verdict.to_dict(), allow_nan=False).encode(), verdict.origin, seconds)
    except UnreadableAudio as error:
        return _exhausted(error) or Refused(error.code, error.found, error.needed)
    except MemoryError:
        size_mb = limits.memory_bytes / 1e6
        return Refused("memory_limit", f"a file that takes over {size_mb:.0f} MB to score", "a smaller one")
    except Exception as error:  # one file must not end the worker, whatever its decoder raises
        found = f"a file that could not be scored ({type(error).__name__})"
        return _exhausted(error) or Refused("not_scored", found, "an undamaged file", traceback.format_exc())


def open_file(task: Task) -> BinaryIO:
    """Open the file of a task, if it really lies below its roots.

    Args:
        task: which file.

    Raises:
        UnreadableAudio: it cannot be read, is no file, or lies elsewhere, links resolved.
        OSError: the machine has no descriptor or memory left for it.
    """
    if task.roots is not None and not _below(task.path, task.roots):  # said before whether there is such a file
        raise _outside()
    try:
        descriptor = os.open(task.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if lacking(error):
            raise
        raise UnreadableAudio("", "not_readable", f"{error.strerror}", "a readable file") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnreadableAudio("", "not_a_file", "neither a file nor a link to one", "a readable file")
        if task.roots is not None and not _is_checked(descriptor, task.path, task.roots):
            raise _outside()
        return os.fdopen(descriptor, "rb")  # its name is a number, so that no decoder's message tells the path
    except BaseException:
        with suppress(OSError):  # closed already, should memory run out within fdopen
            os.close(descriptor)
        raise


def _below(path: str, roots: tuple[str, ...]) -> bool:
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(root)) for root in roots)


def _is_checked(descriptor: int, path: str, roots: tuple[str, ...]) -> bool:
    try:  # what was opened is what was checked, whatever happened to links in between
        return _below(path, roots) and os.path.samestat(os.fstat(descriptor), os.lstat(os.path.realpath(path)))
    except OSError:
        return False


def _exhausted(error: Exception) -> Refused | None:
    lacked = lacking(error)
    return Refused("out_of_resources", f"a server without what it takes ({lacked})", "a later try") if lacked else None


def _outside() -> UnreadableAudio:
    return UnreadableAudio("", "outside_roots", "a file outside the folders allowed", "a file below one of them")


def _over(info: audio.AudioInfo, limits: Limits) -> Refused | None:
    if info.n_channels > limits.max_channels:
        needed = f"at most {limits.max_channels} here"
        return Refused("too_many_channels", f"{info.n_channels} channels", needed)
    if info.sample_rate_hz > limits.max_sample_rate_hz:
        needed = f"at most {limits.max_sample_rate_hz} Hz here"
        return Refused("bad_rate", f"a sample rate of {info.sample_rate_hz} Hz", needed)
    return None


def _silence_libraries() -> None:
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")  # what ends a worker is still said
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # decoders write of each damaged frame there, into a log of JSON
    os.close(nowhere)


def _limit_memory(extra_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    statm = Path("/proc/self/statm")
    if statm.exists():  # the limit counts address space, most of which is the libraries'
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + extra_bytes, used + extra_bytes))
