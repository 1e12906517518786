"""An audit from source to folder: plan, score, sum up, report."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provenance import bundle, listing
from provenance.audit import amend, plan, sources
from provenance.audit.driver import Progress, drive
from provenance.audit.engine import Engine
from provenance.audit.errors import AuditError
from provenance.audit.local import LocalEngine
from provenance.audit.shard import MAX_FILE_S, Options
from provenance.scorer import Coverage

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class Choice:
    """Which files of a source are scored, and for how long.

    Args:
        sample: so many drawn at random, or None for all.
        limit: the first so many, or None.
        budget_s: start no new shard after so many seconds, and take shards in random order.
        seed: of the random order.
    """

    sample: int | None = None
    limit: int | None = None
    budget_s: float | None = None
    seed: int = 0


def score_source(
    source: str,
    out: Path,
    *,
    model: str | None = None,
    coverage: Coverage = "full",
    columns: Mapping[str, str] | None = None,
    choice: Choice | None = None,
    engine: EngineName = "local",
    workers: int | None = None,
    address: str | None = None,
    file_timeout_s: float = MAX_FILE_S,
    loader: str | None = None,
    told: Callable[[Progress], None] | None = None,
) -> Progress:
    """Score what is missing of an audit; call it again to go on where an earlier call ended.

    Args:
        source: see :func:`provenance.audit.sources.list_items`.
        out: the folder of the audit.
        model: folder or name of a model; None is the default one.
        coverage: ``full`` or ``sparse``.
        columns: what the columns of a manifest hold, where their names do not tell.
        choice: which files; None is all.
        engine: ``local`` processes or ``ray`` tasks.
        workers: processes or tasks at once; None is one a core.
        address: of a Ray cluster; None starts one here.
        file_timeout_s: a file that takes longer counts as a death of its worker.
        loader: ``module:function`` of another scorer.
        told: is told how far it is.

    Raises:
        AuditError: source, folder or engine cannot be used.
        ModelError: the model cannot be used.
    """
    began = time.monotonic()
    choice = choice or Choice()
    if os.path.exists(source) and os.path.realpath(source) == os.path.realpath(out):
        raise AuditError(f"{out}: found the source itself; needed: a folder of its own for the audit, --out FOLDER")
    source = _as_before(source, out)
    chosen = bundle.load(model) if loader is None else None
    settings = plan.Settings(
        source=source,
        model=chosen.reference if chosen else str(loader),
        coverage=coverage,
        sample=choice.sample,
        limit=choice.limit,
        shuffled=choice.sample is not None or choice.budget_s is not None,
        seed=choice.seed,
    )
    options = Options(str(out.resolve()), str(chosen.folder.resolve()) if chosen else model, coverage,
                      file_timeout_s=file_timeout_s, base=os.getcwd())  # fmt: skip
    if loader is not None:
        options = Options(**{**options.__dict__, "loader": loader})
    with plan.locked(out):
        amend.complete(out)
        passed: Counter[str] = Counter()
        counts = plan.make(out, settings, sources.list_items(source, columns, passed), passed)
        if counts.n_planned == 0:
            found = f"no audio ({listing.describe(passed)})" if passed else "no audio"
            raise AuditError(f"{source}: found {found}; needed: at least one audio file")
        until = None if choice.budget_s is None else began + choice.budget_s
        runner = _engine(engine, options, workers, address, counts.n_shards)
        try:
            return drive(out, runner, until, told)
        finally:
            runner.close()


def _as_before(source: str, out: Path) -> str:
    """Return a source as an earlier call of the audit spelt it, be it with a slash behind it or from the root."""
    try:
        before = plan.read_settings(out).source
    except AuditError:
        return source
    return before if os.path.abspath(before) == os.path.abspath(source) else source


def _engine(name: EngineName, options: Options, workers: int | None, address: str | None, n_shards: int) -> Engine:
    if name == "ray":
        from provenance.audit.cluster import RayEngine

        return RayEngine(options, workers, address)
    return LocalEngine(options, max(1, min(workers or _count_cores(), n_shards)))


def _count_cores() -> int:
    """How many cores this process may use, where the system says it: in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
