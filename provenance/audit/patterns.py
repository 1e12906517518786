"""What many files of a set have in common: cut-offs, codings, rates, levels."""

from __future__ import annotations

from functools import partial
from typing import Any

import duckdb

from provenance.audit import store
from provenance.evidence.bandwidth import KNOWN

_MIN_SHARE, _MIN_FILES = 0.05, 5
_EDGE_STEP_HZ = 250


def find_patterns(db: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Count what the files of a set share.

    Args:
        db: rows of an audit, with the view ``judged``.

    Returns:
        ``cutoffs`` (where the spectrum of at least 5 % of the files ends at one edge), ``codecs``, ``sample_rates``,
        ``channels``, ``peaks`` (levels that at least 5 % of the files are normalised to), ``levels`` (quantiles) and
        counts of clipped and of nearly silent files.
    """
    total = store.fetch(db, "select count(*) n from judged")[0]["n"]
    counted = partial(store.fetch, db)

    def common(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if row["n"] >= max(_MIN_FILES, _MIN_SHARE * total)]

    cutoffs = common(
        counted(f"""
            select round(cutoff_hz / {_EDGE_STEP_HZ}) * {_EDGE_STEP_HZ} as hz, count(*) as n,
                avg((origin = 'separated')::int) as separated, avg((codec like '%MP3%' or codec like '%AAC%'
                or codec like 'OGG%' or codec like 'MPEG%' or codec like 'MP4%')::int) as lossy
            from judged where cutoff_hz is not null group by 1 order by n desc, hz limit 12""")
    )
    for row in cutoffs:
        row["likely"] = _explain(row["hz"], row["lossy"])
    peaks = common(
        counted(
            "select round(peak_db, 1) as db, count(*) as n from judged where peak_db is not null group by 1 "
            "order by n desc, db limit 6"
        )
    )
    quantiles = counted("""
        select quantile_cont(rms_db, [0.05, 0.25, 0.5, 0.75, 0.95]) as rms_db,
            quantile_cont(peak_db, [0.05, 0.25, 0.5, 0.75, 0.95]) as peak_db,
            quantile_cont(duration_s, [0.05, 0.25, 0.5, 0.75, 0.95]) as duration_s from judged""")[0]
    return {
        "cutoffs": cutoffs,
        "codecs": counted("select codec, count(*) as n from judged group by 1 order by n desc, codec limit 12"),
        "sample_rates": counted(
            "select sample_rate_hz, count(*) as n from judged group by 1 order by n desc, sample_rate_hz limit 8"
        ),
        "channels": counted("select n_channels, count(*) as n from judged group by 1 order by n_channels"),
        "peaks": peaks,
        "levels": quantiles,
        "n_clipped": counted("select count(*) as n from judged where list_contains(reasons, 'clipped')")[0]["n"],
        "n_quiet": counted("select count(*) as n from judged where rms_db < -60")[0]["n"],
    }


def _explain(hz: float, lossy: float) -> str:
    """Say what an edge is known from."""
    known = next((text for low, high, text in KNOWN if low - _EDGE_STEP_HZ / 2 <= hz <= high + _EDGE_STEP_HZ / 2), None)
    if known is None:
        return "no encoder or network known here: a low-pass filter, or older material"
    return known + ("; their codings are lossy" if lossy > 0.5 else "")
