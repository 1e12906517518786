"""The gate: which findings make an audit fail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance import listing
from provenance.audit import store
from provenance.audit.errors import AuditError
from provenance.audit.findings import KINDS

ORIGINS, PROCESSINGS = ("studio", "separated", "undecided"), ("dry", "hybrid", "wet")
SHARES = ("separated", "wet", "undecided")


@dataclass(frozen=True)
class Condition:
    """One thing that makes an audit fail.

    Args:
        name: a kind of finding, a verdict, or a share.
        above: the share whose interval must not lie above this; None for any file at all.
    """

    name: str
    above: float | None = None


def read(values: list[str]) -> list[Condition]:
    """Read conditions.

    Args:
        values: such as ``unreadable``, ``separated`` or ``separated>0.05``; several may be joined by commas.

    Raises:
        AuditError: there is no such condition, or a value holds none.

    >>> read(["separated>0.05,crashed"])
    [Condition(name='separated', above=0.05), Condition(name='crashed', above=None)]
    """
    out = []
    if any(not value.strip(" ,") for value in values):
        raise AuditError("--fail-on: found nothing; needed: a condition, or no --fail-on")
    for text in (part.strip() for value in values for part in value.split(",") if part.strip()):
        found = re.fullmatch(r"([a-z_]+)(?:\s*>\s*(0?\.\d+|[01]|\d+(?:\.\d+)?\s*%))?", text)
        name = found[1] if found else text
        known = SHARES if found and found[2] else (*KINDS, *ORIGINS, *PROCESSINGS)
        if not found or name not in known:
            raise AuditError(f"--fail-on: found {text!r}; needed: one of {', '.join(dict.fromkeys(known))}, or "
                             f"{'|'.join(SHARES)}>SHARE")  # fmt: skip
        limit = found[2]
        above = None if limit is None else float(limit[:-1]) / 100 if limit.endswith("%") else float(limit)
        out.append(Condition(name, above))
    return out


def check(summary: dict[str, Any], conditions: list[Condition], out: Path) -> list[str]:
    """Return in words which conditions hold; of a share one does too where no file was judged: nothing was shown.

    Args:
        summary: of the audit.
        conditions: of :func:`read`.
        out: folder of the audit.
    """
    hits = []
    kinds = {row["kind"]: row["n_files"] for row in summary["findings"]["by_kind"]}
    for condition in conditions:
        name = condition.name
        if condition.above is not None:
            share = summary["prevalence"][name]
            if share["value"] is None:
                hits.append(f"{name}: no file was judged, so no share is known to be {condition.above:.1%} or less")
            elif share["low"] > condition.above:
                hits.append(f"{name}: at least {share['low']:.1%}, above {condition.above:.1%}")
            continue
        n = kinds.get(name, 0)
        if name in (*ORIGINS, *PROCESSINGS):
            column = "origin" if name in ORIGINS else "processing"
            judged = f"select count(*) as n from stems where status = 'ok' and verdict_status = 'ok' and {column} = ?"
            with store.connect(out) as db:
                n = store.fetch(db, judged, name)[0]["n"]
        if n:
            hits.append(f"{name}: {listing.count_files(n)}")
    return hits
