"""Checks over several files, which one file cannot give: same takes, shared phases, claimed pairs."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import duckdb

from provenance.audit import findings, likeness, phases, store

_SURE = {"copy": 0.999, "separated_version": 0.95, "processed_version": 0.9, "same_take": 0.95}
_N_EXAMPLES = 50
_CLEARER = 0.2
"""Of two stems that share their phase, one whose probability of extraction is lower by this is not blamed."""
_SURE_PHASE, _SURE_ONE_OF_TWO, _SURE_PAIR, _SURE_SWAP = 0.97, 0.5, 0.95, 0.85


@dataclass(frozen=True)
class Effort:
    """How much audio is read again by the checks, beyond the rows.

    Args:
        same_takes: candidates that are compared.
        songs: whose stems are compared for shared phase.
        pairs: claimed pairs that are compared.
        seconds: for each of the three.
    """

    same_takes: int = 200
    songs: int = 100
    pairs: int = 200
    seconds: float = 60.0

    @classmethod
    def lasting(cls, seconds: float) -> Effort:
        """Return the effort of so much time: more of it looks at as much more, less of it at no less.

        Args:
            seconds: for each of the three.
        """
        times = max(1.0, seconds / cls.seconds)
        return cls(round(cls.same_takes * times), round(cls.songs * times), round(cls.pairs * times), seconds)


def run(db: duckdb.DuckDBPyConnection, effort: Effort) -> dict[str, Any]:
    """Run the checks, add what they find to the findings, and return what was looked at and found.

    Args:
        db: rows of an audit, with ``judged`` and the table of :func:`provenance.audit.findings.begin`.
        effort: what may be read again.
    """
    return {
        "same_takes": _same_takes(db, effort),
        "shared_phase": _shared_phase(db, effort),
        "claimed_pairs": _claimed_pairs(db, effort),
    }


def _same_takes(db: duckdb.DuckDBPyConnection, effort: Effort) -> dict[str, Any]:
    copies = likeness.find_copies(db)
    for row in copies:
        same = "byte for byte the same" if row["is_equal"] else "every landmark in common, offset +0.000 s"
        findings.add(db, row["path"], "copy", _SURE["copy"], row["duration_s"], row["first"], same)
    for group in likeness.find_groups(db):
        _contradict(db, group)
    candidates = likeness.find_candidates(db)
    checked = likeness.check(candidates, effort.same_takes, time.monotonic() + effort.seconds)
    relations: Counter[str] = Counter(copy=len(copies)) if copies else Counter()
    examples: list[dict[str, Any]] = [
        {
            "first": row["first"],
            "second": row["path"],
            "relation": "copy",
            "votes": None,
            "offset_samples": 0,
            "dry": "neither",
        }
        for row in copies[:_N_EXAMPLES]
    ]
    for candidate, pair in checked:
        if pair is not None and pair.same_performance != "yes":
            relations["refuted" if pair.same_performance == "no" else "undecided"] += 1
            continue
        kind = likeness.relation(candidate, pair)
        relations[kind] += 1
        if kind == "unchecked" or pair is None:
            continue
        a, b = candidate.first, candidate.second
        if kind == "copy":
            _contradict(db, [a, b])
        if kind in _SURE:
            worse = a if a["origin"] == "separated" else b
            other = b if worse is a else a
            offset_s = round(pair.offset_s or 0.0, 3) + 0.0  # no -0.000
            findings.add(db, worse["path"], kind, _SURE[kind], worse["duration_s"], other["path"],
                         f"{candidate.votes} landmarks in common, offset {offset_s:+.3f} s")  # fmt: skip
        if len(examples) < _N_EXAMPLES:
            examples.append(
                {
                    "first": a["path"],
                    "second": b["path"],
                    "relation": kind,
                    "votes": candidate.votes,
                    "offset_samples": pair.offset_samples,
                    "dry": "neither" if kind == "part_of_mix" else pair.dry,
                }
            )
    return {
        "n_copies": len(copies),
        "n_candidates": len(candidates),
        "more_candidates": len(candidates) >= likeness.MAX_CANDIDATES,
        "relations": dict(sorted(relations.items())),
        "examples": examples,
    }


def _contradict(db: duckdb.DuckDBPyConnection, copies: list[dict[str, Any]]) -> None:
    """Hold it against files which are one recording that some are claimed to be separated and some are not.

    A file that is called separated by its vendor under one name is that under every name: those not claimed so have
    the finding. So has one claimed separated, where another is claimed to be studio.

    Args:
        db: with the table of findings.
        copies: rows of one recording.
    """
    separated = [row for row in copies if row["claimed_origin"] == "separated"]
    others = [row for row in copies if row["claimed_origin"] != "separated"]
    studio = [row for row in others if row["claimed_origin"] == "studio"]
    for rows, against in ((others, separated), (separated, studio)):
        for row in rows if against else ():
            what = f"claimed {row['claimed_origin'] or 'nothing'}, its copy {against[0]['claimed_origin']}"
            findings.add(db, row["path"], "claims_contradict", _SURE["copy"], row["duration_s"],
                         against[0]["path"], what)  # fmt: skip


def _shared_phase(db: duckdb.DuckDBPyConnection, effort: Effort) -> dict[str, Any]:
    searched = phases.find_shared(db, effort.songs, time.monotonic() + effort.seconds)
    found = searched.found
    for song in dict.fromkeys(hit.song for hit in found):
        for hit, row, other, sure in blame([hit for hit in found if hit.song == song]):
            findings.add(db, row["path"], "shared_phase", sure, row["duration_s"], other["path"],
                         f"mean cosine of the phase difference {hit.shared:.2f}; recordings lie near 0"
                         + ("" if sure > _SURE_ONE_OF_TWO else "; one of the two at least"))  # fmt: skip
    return {
        "n_songs": searched.n_songs,
        "n_songs_checked": searched.n_checked,
        "n_songs_unread": searched.n_unread,
        "n_songs_found": len({hit.song for hit in found}),
        "examples": [
            {
                "song": hit.song,
                "first": hit.first["path"],
                "second": hit.second["path"],
                "shared": round(hit.shared, 3),
                "leftover": None if hit.leftover is None else round(hit.leftover, 3),
            }
            for hit in sorted(found, key=lambda hit: -abs(hit.shared))[:_N_EXAMPLES]
        ],
    }


Blame = tuple[phases.SharedPhase, dict[str, Any], dict[str, Any], float]


def blame(hits: list[phases.SharedPhase]) -> list[Blame]:
    """Say which stems of a song are the extractions that its shared phases come from.

    What leaked into an extraction shares its phase with the true stem it came from: a shared phase alone says that one
    of two is no recording of its own. Where the vendor says so of one, it is that one; else the one that is clearly
    likelier; else each that shares it with several. What is left holds for one of two at least.

    Args:
        hits: of one song.

    Returns:
        A hit, the row that is blamed, the other row, and how sure that is; each row once.
    """
    rows = {row["path"]: row for hit in hits for row in (hit.first, hit.second)}
    edges = {frozenset((hit.first["path"], hit.second["path"])): hit for hit in hits}
    known = {path for path, row in rows.items() if row["claimed_origin"] == "separated"}
    blamed: dict[str, tuple[frozenset[str], float]] = {}
    left = [edge for edge in edges if not edge & known]
    for edge in left:
        low, high = sorted(edge, key=lambda path: rows[path]["p_separated"] or 0.0)
        if (rows[high]["p_separated"] or 0.0) - (rows[low]["p_separated"] or 0.0) > _CLEARER:
            blamed.setdefault(high, (edge, _SURE_PHASE))
    left = [edge for edge in left if not edge & blamed.keys()]
    beside = {path: sorted(other for edge in left if path in edge for other in edge - {path}) for path in rows}
    several = [path for path in sorted(rows) if len(beside[path]) > 1]
    blamed |= {path: (frozenset((path, beside[path][0])), _SURE_PHASE) for path in several}
    for edge in left:
        if not edge & blamed.keys():
            blamed |= dict.fromkeys(edge, (edge, _SURE_ONE_OF_TWO))
    out = []
    for path, (edge, sure) in blamed.items():
        (other,) = edge - {path}
        out.append((edges[edge], rows[path], rows[other], sure))
    return out


def _is_copied(db: duckdb.DuckDBPyConnection, path: str) -> bool:
    return bool(store.fetch(db, "select 1 as one from copied where path = ?", path))


def _claimed_pairs(db: duckdb.DuckDBPyConnection, effort: Effort) -> dict[str, Any]:
    fields = ("path, kind, source, source_start, source_length, n_bytes, sha256, duration_s, origin, p_separated, "
              "p_wet, processing, claimed_origin, claimed_processing")  # fmt: skip
    packed = ", ".join(f"{name} := {name}" for name in fields.split(", "))
    grouped = "from judged where pair is not null group by pair having count(*) >= 2"
    groups = store.fetch(
        db,
        f"""
        select pair, list(struct_pack({packed}) order by claimed_processing <> 'dry', path)[:{effort.pairs + 1}]
            as files
        {grouped} order by hash(pair), pair limit ?""",
        effort.pairs,
    )
    n_claimed = store.fetch(db, f"select coalesce(sum(n - 1), 0)::bigint as n from (select count(*) as n {grouped})")
    pairs = [(row["pair"], row["files"][0], other) for row in groups for other in row["files"][1:]][: effort.pairs]
    until = time.monotonic() + effort.seconds
    counts: Counter[str] = Counter()
    n_usable = 0
    examples: list[dict[str, Any]] = []
    for name, a, b in pairs:
        if time.monotonic() > until:
            break
        found = likeness.compare_rows(a, b)
        if found is None:
            counts["unread"] += 1
            continue
        counts[f"same_performance_{found.same_performance}"] += 1
        claims = (a["claimed_processing"], b["claimed_processing"])
        verdict = "not_claimed"
        if found.same_performance == "no":
            findings.add(db, b["path"], "pair_not_one_performance", _SURE_PAIR, b["duration_s"], a["path"],
                         f"claimed pair {name}: no common performance")  # fmt: skip
        elif claims[0] == "dry" and claims[1] in ("wet", "hybrid") and found.same_performance == "yes":
            verdict = {"first": "as_claimed", "second": "swapped"}.get(found.dry, "undecided")
            verdict = "copy" if found.copy else verdict
            counts[f"order_{verdict}"] += 1
            n_usable += verdict not in ("swapped", "copy") and "separated" not in (a["origin"], b["origin"])
            if verdict == "swapped":
                for row, beside in ((a, b), (b, a)):
                    findings.add(db, row["path"], "pair_swapped", _SURE_SWAP, row["duration_s"], beside["path"],
                                 f"claimed pair {name}: the file claimed wet is the drier")  # fmt: skip
            elif verdict == "copy" and not _is_copied(db, b["path"]):
                findings.add(db, b["path"], "copy", _SURE["copy"], b["duration_s"], a["path"],
                             f"claimed pair {name}: the same but for gain")  # fmt: skip
                _contradict(db, [a, b])
        if len(examples) < _N_EXAMPLES:
            examples.append(
                {
                    "pair": name,
                    "first": a["path"],
                    "second": b["path"],
                    "same_performance": found.same_performance,
                    "offset_samples": found.offset_samples,
                    "chain": found.chain,
                    "dry": found.dry,
                    "order": verdict,
                }
            )
    return {
        "n_claimed": n_claimed[0]["n"],
        "n_checked": sum(v for k, v in counts.items() if k.startswith("same")),
        "n_usable": n_usable,
        "counts": dict(sorted(counts.items())),
        "examples": examples,
    }
