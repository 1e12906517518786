"""One call from source to report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from provenance.audit import report, summary
from provenance.audit.checks import Effort
from provenance.audit.driver import Progress
from provenance.audit.run import Choice, EngineName, score_source
from provenance.audit.shard import MAX_FILE_S
from provenance.scorer import Coverage


def audit(
    source: str | Path,
    out: str | Path,
    *,
    model: str | None = None,
    coverage: Coverage = "full",
    columns: Mapping[str, str] | None = None,
    choice: Choice | None = None,
    engine: EngineName = "local",
    workers: int | None = None,
    address: str | None = None,
    file_timeout_s: float = MAX_FILE_S,
    effort: Effort | None = None,
    told: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Score a dataset, sum it up and write its report; call it again to go on where an earlier call ended.

    Args:
        source: see :func:`provenance.audit.sources.list_items`.
        out: folder for ``parts/*.parquet``, ``findings.parquet``, ``summary.json``, ``report.html`` and copies of the
            model's card and evaluation.
        model: folder or name of a model; None is the default one.
        coverage: ``full`` or ``sparse``.
        columns: what the columns of a manifest hold, where their names do not tell.
        choice: which files; None is all.
        engine: ``local`` processes or ``ray`` tasks.
        workers: processes or tasks at once; None is one a core.
        address: of a Ray cluster; None starts one here.
        file_timeout_s: a file that takes longer counts as a death of its worker.
        effort: of the checks over several files.
        told: is told how far it is.

    Returns:
        What ``summary.json`` holds.

    Raises:
        AuditError: source, folder or engine cannot be used.
        ModelError: the model cannot be used.
    """
    folder = Path(out)
    score_source(
        str(source),
        folder,
        model=model,
        coverage=coverage,
        columns=columns,
        choice=choice,
        engine=engine,
        workers=workers,
        address=address,
        file_timeout_s=file_timeout_s,
        told=told,
    )
    found = summary.summarise(folder, model, effort)
    report.write(folder, found)
    return found
