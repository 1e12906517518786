"""What a buyer should look at first: every finding with how sure it is and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from provenance.audit import store
from provenance.audit.prevalence import Estimate
from provenance.audit.rates import WetTakes
from provenance.decide import CALIBRATED_SHARE, CLIPPED_SHARE, RUN

KINDS: dict[str, tuple[float, str]] = {
    "separated_sold_as_studio": (1.0, "claimed to be studio, called separated"),
    "separated": (1.0, "called separated, and neither studio nor separated is claimed"),
    "parts_disagree": (0.5, "some of it looks extracted and some recorded, as where files were spliced"),
    "wet_sold_as_dry": (0.5, "claimed dry, called wet or hybrid"),
    "dry_sold_as_wet": (0.5, "claimed wet, called dry"),
    "shared_phase": (1.0, "shares its phase with another stem of its song, as a separator's outputs do"),
    "separated_version": (1.0, "the same performance is here in a file called studio too"),
    "copy": (1.0, "another file is the same but for gain"),
    "claims_contradict": (1.0, "its copy is claimed to be separated and it is not, or the other way round"),
    "same_take": (0.5, "another file holds the same performance"),
    "processed_version": (
        0.25,
        "another file holds the same performance, one of the two processed, and no pair id says so",
    ),
    "pair_not_one_performance": (1.0, "claimed to be a pair, not the same performance"),
    "pair_swapped": (0.5, "a claimed pair whose dry and wet versions are the other way round"),
    "unreadable": (1.0, "cannot be read"),
    "crashed": (1.0, "ended every process that opened it"),
    "silent": (1.0, "holds no sound"),
    "too_short": (1.0, "under one second of sound"),
    "band_limited": (0.5, "sampled below 16 kHz: not judged"),
    "clipped": (0.25, f"one sample in {1 / CLIPPED_SHARE:,.0f} or more lies flat at full scale"),
}
"""Kinds of finding: the share of a file's seconds that is lost to a buyer by it, and what it is in words.

1 where the file serves none of the eight uses or was paid for twice, 0.5 where about half of them are lost, 0.25 where
it is a blemish or a missing label.
"""
MAX_LISTED = 200
SURE_CLIPPED = 0.9
SURE_PARTS = 0.5
"""Of what is undecided for it on files that no model had seen six were true stems and eight extractions."""


def begin(db: duckdb.DuckDBPyConnection, prevalence: Estimate | None, wet: WetTakes | None = None) -> None:
    """Make the table of findings and fill it with what single files show.

    Args:
        db: rows of an audit, with the view ``judged``.
        prevalence: of separated stems in this set, to which they are carried over; None leaves them.
        wet: how often dry windows are taken for wet ones, which bounds how sure a claim of dry is refuted; or None.
    """
    db.execute("""
        create or replace temp table found (path varchar, kind varchar, sure double, cost_s double, other varchar,
            what varchar)""")
    shift = _prior_shift(prevalence)
    sure = f"1 / (1 + exp(-(ln(p / (1 - p)) + {shift:.6f})))"
    typical = store.fetch(db, "select coalesce(median(duration_s), 0) as s from judged")[0]["s"]
    db.execute(f"""
        insert into found
        with called as (select *, least(greatest(p_separated, 0.001), 0.999) as p from judged)
        select path, case when claimed_origin = 'studio' then 'separated_sold_as_studio' else 'separated' end,
            {sure}, duration_s, null,
                'p_separated ' || if(p_separated > 0.999, 'over 0.999', round(p_separated, 3)::varchar)
                || case when sdr_db is null then '' else ', ceiling about ' || round(sdr_db)::int || ' dB SDR' end
                || if(list_contains(reasons, 'parts_disagree'), ', some of it looks recorded', '')
        from called where origin = 'separated' and coalesce(claimed_origin, '') <> 'separated'
        union all
        select path, 'parts_disagree', {SURE_PARTS}, duration_s * 0.5, null,
            '{RUN} sounding windows in a row on either side of the lines'
        from judged where list_contains(reasons, 'parts_disagree') and origin <> 'separated'
        union all
        select path, 'wet_sold_as_dry', least(coalesce(p_wet, 0) + coalesce(p_hybrid, 0), {_surest_wet(wet):.6f}),
            duration_s * 0.5, null,
            'claimed dry, called ' || processing
        from judged where claimed_processing = 'dry' and processing in ('wet', 'hybrid')
        union all
        select path, 'dry_sold_as_wet', p_dry, duration_s * 0.5, null, 'claimed wet, called dry'
        from judged where claimed_processing = 'wet' and processing = 'dry'
        union all
        select path, 'clipped', {SURE_CLIPPED}, duration_s * 0.25, null, clipped || ' samples flat at full scale'
        from judged where list_contains(reasons, 'clipped')
        union all
        select path, verdict_status, 1.0, coalesce(duration_s, 0) * if(verdict_status = 'band_limited', 0.5, 1), null,
            verdict_status
        from stems where status = 'ok' and verdict_status in ('silent', 'too_short', 'band_limited')
        union all
        select path, if(status = 'crashed', 'crashed', 'unreadable'), 1.0, {typical}, null, error_found
        from stems where status <> 'ok'""")


def add(
    db: duckdb.DuckDBPyConnection, path: str, kind: str, sure: float, seconds: float, other: str, what: str
) -> None:
    """Add a finding of a check over several files.

    Args:
        db: with the table of :func:`begin`.
        path: of the file it is held against.
        kind: of :data:`KINDS`.
        sure: probability that it holds, 0..1.
        seconds: of the file.
        other: path of the other file.
        what: in words.
    """
    db.execute("insert into found values (?, ?, ?, ?, ?, ?)", [path, kind, sure, seconds * KINDS[kind][0], other, what])


def finish(db: duckdb.DuckDBPyConnection, file: Path, stamped: str) -> dict[str, Any]:
    """Write all findings, the surest and costliest first, and return their sum.

    Args:
        db: with the table of :func:`begin`.
        file: Parquet, replaced as a whole.
        stamped: :func:`provenance.audit.store.stamp` of the rows that they are of.

    Returns:
        ``total``, ``by_kind`` and the first 200 as ``first``. Of a kind, ``n`` findings are against ``n_files``
        distinct paths; a file that several are against (one for each other copy) is expected and weighed once.
    """
    order = "sure * cost_s desc, path, kind, other"
    store.write_findings(db, f"select *, sure * cost_s as weight_s from found order by {order}", file, stamped)
    by_kind = store.fetch(
        db,
        """
        with files as (select kind, path, count(*) as n, max(sure) as sure, max(sure * cost_s) as weight_s from found
            group by kind, path)
        select kind, sum(n)::bigint as n, count(*) as n_files, sum(sure) as expected, sum(weight_s) as weight_s
        from files group by kind order by weight_s desc, kind""",
    )
    first = store.fetch(
        db,
        f"select path, kind, sure, cost_s, sure * cost_s as weight_s, other, what from found order by {order} limit ?",
        MAX_LISTED,
    )
    for row in by_kind:
        row["what"] = KINDS[row["kind"]][1]
    return {"total": sum(row["n"] for row in by_kind), "by_kind": by_kind, "first": first}


def _surest_wet(wet: WetTakes | None) -> float:
    """Return how probable wet is of what is called so, where as many are dry as wet and errors are the evaluation's."""
    if wet is None or wet.dry_stated_wet is None or wet.sensitivity.value <= 0:
        return 1.0
    return wet.sensitivity.value / (wet.sensitivity.value + wet.dry_stated_wet)


def _prior_shift(prevalence: Estimate | None) -> float:
    """Return what to add to log odds that hold where CALIBRATED_SHARE of the stems is extracted, for the share here.

    Never more than nothing: the share was estimated from the very calls that it would make surer, and no file is to be
    held against its vendor more firmly because of others. Nor does a share count that the set tells next to nothing of.
    """
    if prevalence is None or not prevalence.fits or not prevalence.tells:
        return 0.0
    here = float(np.clip(prevalence.value, 0.01, 0.99))
    return min(0.0, float(np.log(here / (1 - here)) - np.log(CALIBRATED_SHARE / (1 - CALIBRATED_SHARE))))
