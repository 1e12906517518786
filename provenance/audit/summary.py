"""The sum of an audit: counts, prevalence, risks, claims against verdicts, findings, uses, and what it cannot tell."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import duckdb

import provenance
from provenance import bundle
from provenance.audit import checks, findings, likeness, mixes, patterns, plan, prevalence, risk, store
from provenance.audit.answer import answer
from provenance.audit.items import is_understood
from provenance.audit.limits import list_limits
from provenance.audit.prevalence import Estimate, Sample
from provenance.audit.rates import Detector, Evaluation, WetTakes, read_evaluation
from provenance.errors import ModelError
from provenance.suitability import USES

SUMMARY, SUMMARY_VERSION = "summary.json", "2"
"""The version is raised when a field comes to mean something else or goes; fields are added without."""
_GROUPS = {"stem": 12, "singer": 12, "codec": 8}
_MOST_CLAIMED = 12
_SEPARATED, _UNDECIDED = "origin = 'separated'", "origin = 'undecided'"
_OK = "status = 'ok' and verdict_status = 'ok'"
_WET, _UNSTATED = "processing = 'wet'", "coalesce(processing, 'undecided') = 'undecided'"
MODEL_FILES = {"README.md": "model-card.md", "evaluation.json": "model-evaluation.json"}
"""What is copied from the model's folder into the audit's, under which name."""
_EVALUATION = MODEL_FILES["evaluation.json"]


def summarise(out: Path, model: str | None = None, effort: checks.Effort | None = None) -> dict[str, Any]:
    """Sum up what is scored of an audit: write ``summary.json`` and ``findings.parquet``, copy the model's evaluation.

    Args:
        out: folder of the audit.
        model: folder or name of the model, for its evaluation; None is the default one. Where it is not the one that
            the files were scored with, the evaluation that an earlier call copied into the folder speaks.
        effort: of the checks over several files.

    Returns:
        What ``summary.json`` holds.

    Raises:
        AuditError: nothing is scored yet.
    """
    settings, counts = plan.read_settings(out), plan.read_counts(out)
    folder = _model_folder(model, settings.model)
    evaluation = read_evaluation(folder, out / _EVALUATION)
    effort = effort or checks.Effort()
    with store.connect(out) as db:
        stamped = store.stamp(out)
        cluster = _judge(db)
        files = _count_files(db, counts)
        fraction = _fraction(settings, counts, files)
        shares = _prevalence(db, "true", evaluation, fraction)
        findings.begin(db, _corrected(shares["separated"]), evaluation.wet)
        checked = checks.run(db, effort)
        summary: dict[str, Any] = {
            "version": SUMMARY_VERSION,
            "program": f"stem-provenance {provenance.__version__}",
            "source": settings.source,
            "model": settings.model,
            "coverage": settings.coverage,
            "begun": plan.read_begun(out),
            "effort": dataclasses.asdict(effort),
            "choice": _choice(settings, counts, files, fraction),
            "files": files,
            "clustered_by": cluster,
            "prevalence": shares,
            "groups": _groups(db, evaluation, fraction),
            "acceptance": _acceptance(db, evaluation, files, fraction),
            "claims": _claims(db, evaluation, fraction),
            "checks": checked,
            "patterns": patterns.find_patterns(db),
            "uses": _uses(db, checked["claimed_pairs"]),
            "reasons": store.fetch(
                db, "select reason, count(*) as n from (select unnest(reasons) as reason from judged) group by reason "
                    "order by n desc, reason"),
            "errors": store.fetch(
                db, "select error_code as code, count(*) as n, min(path) as example from stems where status <> 'ok' "
                    "group by 1 order by n desc, code"),
            "findings": findings.finish(db, out / store.FINDINGS, stamped),
        }  # fmt: skip
    summary["rates"] = _rates(evaluation)
    summary["model_files"] = _copy_model_files(folder, out)
    summary["cannot_tell"] = list_limits(summary, evaluation)
    summary["answer"] = answer(summary)
    scratch = out / f".{SUMMARY}.{os.getpid()}"
    scratch.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    os.replace(scratch, out / SUMMARY)
    return summary


def _model_folder(model: str | None, reference: str) -> Path | None:
    try:
        found = bundle.load(model)
    except ModelError:
        return None
    return found.folder if found.reference == reference else None


def _copy_model_files(folder: Path | None, out: Path) -> list[str]:
    """Copy the model's card and evaluation beside the report, and return which of them lie there."""
    for name, copy in MODEL_FILES.items():
        if folder is not None and (folder / name).is_file():
            scratch = out / f".{copy}.{os.getpid()}"
            scratch.write_bytes((folder / name).read_bytes())
            os.replace(scratch, out / copy)
    return [copy for copy in MODEL_FILES.values() if (out / copy).is_file()]


def _judge(db: duckdb.DuckDBPyConnection) -> str:
    """Make the view ``judged``: files with a verdict, and what groups them. Songs where claimed, else small folders.

    A file's ``cluster`` is its ``song_key``, or that of its first copy: one recording twice is no second piece of
    evidence. Copies are told by their landmarks, which gain leaves as they are.
    """
    inside = "regexp_matches(path, '(?i)[.](tar|parquet|arrow)#[^/]*$')"
    folder = f"regexp_replace(path, if({inside}, '#[^/]*$', '/[^/]*$'), '')"
    facts = store.fetch(
        db,
        f"select count(*) as n, count(song) as named, count(distinct {folder}) as folders from stems where {_OK}",
    )[0]
    if facts["named"] * 2 >= facts["n"] > 0:
        key, named, words = "coalesce(lower(song), path)", "song is not null", "claimed song"
    elif facts["folders"] >= 5 and facts["n"] <= 50 * facts["folders"] and facts["folders"] < facts["n"]:
        key, named, words = folder, "true", "folder"
    else:
        key, named, words = "path", "false", "file"
    db.execute(f"""
        create temp table copies as
        with marked as (
            select shard, position, {key} as song_key, hash(landmarks) as marks from stems
            where {_OK} and len(landmarks) >= {likeness.MIN_VOTES}),
        several as (select marks, min(song_key) as first_key from marked group by marks having count(*) > 1)
        select shard, position, first_key from marked join several using (marks)""")
    db.execute(f"""
        create view judged as
        select stems.*, {key} as song_key, {named} as song_named, coalesce(copies.first_key, {key}) as cluster
        from stems left join copies using (shard, position) where {_OK}""")
    return words


def _count_files(db: duckdb.DuckDBPyConnection, counts: plan.Counts) -> dict[str, Any]:
    row = store.fetch(
        db,
        """
        select count(*) as n_rows, count(*) filter (status = 'ok') as n_ok,
            count(*) filter (status = 'error') as n_error,
            count(*) filter (status = 'crashed') as n_crashed,
            count(*) filter (status = 'ok' and verdict_status <> 'ok') as n_refused,
            count(*) filter (status = 'ok' and verdict_status = 'ok') as n_judged,
            coalesce(sum(duration_s), 0) / 3600 as hours from stems""",
    )[0]
    row["hours"] = round(row["hours"], 3)
    n_mixes = store.fetch(db, f"select count(*) as n from judged where {mixes.is_mix()}")[0]["n"]
    return {"n_listed": counts.n_listed, "n_planned": counts.n_planned, "n_repeated": counts.n_repeated,
            "n_gone": counts.n_gone, "n_restated": counts.n_restated, **row, "n_mixes": n_mixes,
            "passed": counts.passed, "complete": row["n_rows"] == counts.n_planned}  # fmt: skip


def _fraction(settings: plan.Settings, counts: plan.Counts, files: dict[str, Any]) -> float | None:
    """Return which part of the set was scored, or None where what was scored is no random part of it."""
    share = files["n_rows"] / max(1, counts.n_listed)
    if share >= 1:
        return 1.0
    drawn = settings.sample is not None and files["n_rows"] == counts.n_planned <= settings.sample
    return share if (settings.shuffled or drawn) and settings.limit is None else None


def _choice(
    settings: plan.Settings, counts: plan.Counts, files: dict[str, Any], fraction: float | None
) -> dict[str, Any]:
    kind = "all" if fraction == 1.0 else "random sample" if fraction is not None else "a part that is not random"
    return {"kind": kind, "sample": settings.sample, "limit": settings.limit, "seed": settings.seed,
            "n_taken": files["n_rows"], "n_scored": files["n_judged"], "n_set": counts.n_listed}  # fmt: skip


def sample(db: duckdb.DuckDBPyConnection, event: str, where: str, fraction: float | None) -> Sample | None:
    """Count an event over songs.

    Args:
        db: with the view ``judged``.
        event: SQL condition that is counted.
        where: SQL condition of the files.
        fraction: of the set that was scored; None takes what was scored for the whole.

    Returns:
        The sample, or None of no file.
    """
    found = db.execute(
        f"select sum(({event})::int) as k, count(*) as m from judged where {where} group by cluster order by cluster"
    ).fetchnumpy()
    if not len(found["m"]):
        return None
    return prevalence.sample_from(found["k"].astype(float), found["m"].astype(float), fraction or 1.0)


def _prevalence(
    db: duckdb.DuckDBPyConnection, where: str, evaluation: Evaluation, fraction: float | None
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, event, detector in (
        ("separated", _SEPARATED, evaluation.separated),
        ("wet", _WET, None),  # the evaluation counts takes by their most probable class, not what is stated
        ("undecided", _UNDECIDED, None),
    ):
        out[name] = _share(sample(db, event, where, fraction), detector)
    unstated = store.fetch(db, f"select count(*) as n from judged where ({where}) and {_UNSTATED}")[0]["n"]
    out["wet"]["unstated"] = unstated
    return out


def _share(part: Sample | None, detector: Detector | None) -> dict[str, Any]:
    if part is None:
        return {"n": 0, "called": 0, "corrected": False, "value": None, "low": None, "high": None}
    found: Estimate = (
        prevalence.observed(part)
        if detector is None
        else prevalence.estimate(part, detector.sensitivity, detector.false_alarms)
    )
    return {
        "n": part.n,
        "n_songs": part.n_songs,
        "n_effective": round(part.n_effective, 1),
        "called": round(part.share * part.n),
        "called_share": round(part.share, 5),
        "corrected": detector is not None,
        "value": _finite(found.value),
        "low": round(found.low, 5),
        "high": round(found.high, 5),
        "fits": found.fits,
    }


def _corrected(share: dict[str, Any]) -> Estimate | None:
    return Estimate(share["value"], share["low"], share["high"], share["fits"]) if share["corrected"] else None


def _finite(value: float) -> float | None:
    return round(value, 5) if value == value else None


def _groups(db: duckdb.DuckDBPyConnection, evaluation: Evaluation, fraction: float | None) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for column, most in _GROUPS.items():
        spelt = f"lower(trim({column}))"  # Vocals and vocals are one
        names = store.fetch(
            db,
            f"select mode({column}) as name, {spelt} as spelt, count(*) as n from judged where {column} is not null "
            f"group by {spelt} having count(*) >= 5 order by n desc, name limit {most}",
        )
        rows = []
        for entry in names:
            quoted = entry["spelt"].replace("'", "''")
            part = sample(db, _SEPARATED, f"{spelt} = '{quoted}'", fraction)
            own = evaluation.stems.get(entry["spelt"]) if column == "stem" else None
            found = _share(part, own or evaluation.separated)
            rows.append({"name": entry["name"], **found, "own_rates": own is not None})
        if rows:
            out[column] = rows
    return out


def _acceptance(
    db: duckdb.DuckDBPyConnection, evaluation: Evaluation, files: dict[str, Any], fraction: float | None
) -> dict[str, Any] | None:
    part = sample(db, _SEPARATED, "true", fraction)
    if part is None or evaluation.separated is None:
        return None
    # what was opened and not judged is not of the set that the bound is on
    n_set = files["n_listed"] - files["n_rows"] + part.n if fraction is not None else part.n
    return risk.acceptance(part, evaluation.separated, n_set)


def _claims(db: duckdb.DuckDBPyConnection, evaluation: Evaluation, fraction: float | None) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, column, order in (
        ("origin", "origin", ("studio", "separated", "undecided")),
        ("processing", "processing", ("dry", "hybrid", "wet", "undecided")),
    ):
        rows = store.fetch(
            db,
            f"""
            select claimed_{name} as claimed, {
                ", ".join(f"count(*) filter ({_OK} and {column} = '{v}') as {v}" for v in order)
            },
                count(*) filter (status = 'ok' and verdict_status <> 'ok') as refused,
                count(*) filter (status <> 'ok') as unread, count(*) as n
            from stems where claimed_{name} is not null group by 1 order by n desc, claimed""",
        )
        columns = [*order, "refused", "unread"]
        strange = [row for row in rows if not is_understood(name, row["claimed"])]
        out[name] = {
            "columns": columns,
            "rows": _shortened(rows, columns),
            "n_not_understood": sum(row["n"] for row in strange),
            "not_understood": [row["claimed"] for row in strange[:_MOST_CLAIMED]],
        }
    studio = sample(db, _SEPARATED, "claimed_origin = 'studio'", fraction)
    out["studio"] = None
    if studio is not None:
        share = _share(studio, evaluation.separated)
        out["studio"] = {"separated": share, "alarms": None}
        if evaluation.separated is not None:
            out["studio"]["alarms"] = risk.expected_alarms(studio.n, studio, evaluation.separated)
    return out


def _shortened(rows: list[dict[str, Any]], columns: list[str]) -> list[dict[str, Any]]:
    """Return the commonest claims, and the sum of the others as one row: rows still add up to the set."""
    if len(rows) <= _MOST_CLAIMED:
        return rows
    first, rest = rows[: _MOST_CLAIMED - 1], rows[_MOST_CLAIMED - 1 :]
    sums = {name: sum(row[name] for row in rest) for name in (*columns, "n")}
    return [*first, {"claimed": f"{len(rest)} others", **sums}]


def _uses(db: duckdb.DuckDBPyConnection, pairs: dict[str, Any]) -> list[dict[str, Any]]:
    out = []
    for use in USES:
        rows = store.fetch(
            db,
            f"select if(claimed_origin = 'separated' or {mixes.is_mix()}, 'no', "
            f"coalesce(suitable_for.{use}, 'unknown')) as fit, count(*) as n, sum(duration_s) / 3600 as hours "
            "from judged group by 1",
        )
        by_fit = {row["fit"]: row for row in rows}
        entry: dict[str, Any] = {"use": use}
        for fit in ("yes", "needs_pair", "no", "unknown"):
            found = by_fit.get(fit, {"n": 0, "hours": 0.0})
            entry[fit] = {"n": found["n"], "hours": round(found["hours"], 3)}
        if use == "effects_chain":
            entry["pairs_usable"] = pairs["n_usable"]
            entry["pairs_checked"] = pairs["n_checked"]
        out.append(entry)
    return out


def _rates(evaluation: Evaluation) -> dict[str, Any]:
    def plain(detector: Detector | WetTakes | None) -> dict[str, Any] | None:
        return None if detector is None else dataclasses.asdict(detector)

    families = [
        {"family": name, "sensitivity": value, "n": n} for name, (value, n) in sorted(evaluation.families.items())
    ]
    return {"separated": plain(evaluation.separated), "wet": plain(evaluation.wet), "families": families,
            "undecided": evaluation.undecided, "thresholds": evaluation.thresholds}  # fmt: skip
