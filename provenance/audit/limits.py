"""What an audit cannot tell, said with its own numbers."""

from __future__ import annotations

import math
from typing import Any

from provenance import listing
from provenance.audit.answer import is_open
from provenance.audit.rates import Evaluation

_WEAK = 0.2
_WORDS_NAMED = 3


def list_limits(summary: dict[str, Any], evaluation: Evaluation) -> list[str]:
    """Return sentences for the report, each on something this audit leaves open.

    Args:
        summary: without this list.
        evaluation: of the model.
    """
    return [
        text
        for text in (
            *_of_detector(summary, evaluation),
            *_of_processing(summary, evaluation),
            *_of_choice(summary),
            *of_claims(summary),
            *_of_files(summary, evaluation),
            *_of_checks(summary),
        )
        if text
    ]


def _of_detector(summary: dict[str, Any], evaluation: Evaluation) -> list[str]:
    found = evaluation.separated
    if found is None:
        return ["No evaluation of the model is at hand: shares are what it called, errors and all."]
    out = [
        f"A single call is evidence, not proof: of extractions the model had never met, {found.sensitivity.value:.0%} "
        f"were called separated, and {found.false_alarms.value:.1%} of studio stems were too ({found.source}). The "
        "shares above account for both, and hold where the model errs as often as that: every interval and bound "
        "rests on it.",
        "The model can be had by a vendor too. Of a set that was picked by its verdicts, so that what it calls "
        "separated is left out, no share and no bound here holds; nor of an export's clean subset audited again.",
    ]
    if summary["coverage"] != "full":
        out.append(
            "Of each file one window of four was looked at, as --windows sparse asks; the error rates are of files "
            "that were heard whole."
        )
    weak = [f"{name} ({value:.0%} of {n})" for name, (value, n) in sorted(evaluation.families.items()) if value < _WEAK]
    if weak:
        out.append(
            "If a vendor used one separator only, the true share depends on which, and interval and bound need "
            "not hold it: least often recognised were " + ", ".join(weak) + "."
        )
    if evaluation.stems:
        caught = sorted((of.sensitivity.value, name) for name, of in evaluation.stems.items())
        out.append(
            "Extractions of one stem are recognised more often than of another: "
            + ", ".join(f"{name} {value:.0%}" for value, name in caught)
            + ". The share of the whole set is corrected by the rates of all, whatever stems it holds."
        )
    if not summary["prevalence"]["separated"].get("fits", True):
        out.append(
            "More stems were called separated than any share would explain with the model's error rates: this set is "
            "unlike what they were measured on, and the interval is not to be relied on."
        )
    alarms = (summary["acceptance"] or {}).get("alarms")
    if alarms and alarms["called"] < alarms["low"]:
        out.append(
            f"Fewer were called separated ({alarms['called']:,}) than the false alarms on so many studio stems would "
            f"be: about {alarms['expected']:,.0f}. They are rarer in this set than where they were measured, and so "
            "may calls of true extractions be; the bound is one without false alarms."
        )
    out += _of_studio(summary, evaluation)
    share = summary["prevalence"]["undecided"]["value"]
    if share is not None and evaluation.undecided is not None and share > max(evaluation.undecided) + 0.1:
        out.append(
            f"{share:.0%} came out undecided, more than in the model's evaluation "
            f"({min(evaluation.undecided):.0%} to {max(evaluation.undecided):.0%}): much here is foreign to the model."
        )
    elif share:
        out.append(f"{share:.0%} of the stems are undecided. Undecided is not a clean bill.")
    return out


def _of_studio(summary: dict[str, Any], evaluation: Evaluation) -> list[str]:
    """Say how much of what is called studio is none: it is what a buyer takes."""
    share, undecided = summary["prevalence"]["separated"], summary["prevalence"]["undecided"]
    n = share["n"] - share["called"] - undecided.get("called", 0)
    if not n or not share["fits"]:
        return []
    called, expected = n / share["n"], evaluation.called_studio(share["low"])
    if expected is not None and called > expected + 2 * math.sqrt(expected * (1 - expected) / share["n_effective"]):
        return [
            f"{called:.0%} were called studio, and no more than {expected:.0%} would be if the interval above held: "
            "extractions are recognised more often here than in the model's evaluation, and fewer are separated than "
            "is estimated. Only the share that holds whatever separated them can be relied on."
        ]
    middle, most = evaluation.missed(share["value"]), evaluation.missed(share["high"])
    if middle is None or most is None:
        return []
    if is_open(share):
        here = "any part may be extractions: the set says next to nothing of the share of separated stems"
    else:
        at_most = f"{most:.1%} if the upper end of its interval does"
        here = f"about {middle:.1%} are extractions if the estimate holds, and {at_most}"
    return [
        f"Called studio is no proof of a recording: of the extractions above "
        f"{evaluation.figures['separated_called_studio']:.1%} were called so. Of the {listing.count_files(n)} called "
        f"studio here {here}. The clean subset of an export is taken from them."
    ]


def _of_processing(summary: dict[str, Any], evaluation: Evaluation) -> list[str]:
    share, found = summary["prevalence"]["wet"], evaluation.wet
    if not share["n"]:
        return []
    out = [
        f"Wet is counted where verdicts state it. Of {share['unstated']:,} of {share['n']:,} judged files no "
        "processing is stated: never of a separated stem, and of others only where it is sure."
    ]
    if found is None:
        out.append("How often what is stated wet is not wet, the model brings no evaluation of.")
        return out
    dry = found.dry_stated_wet
    stated = "" if dry is None else f", and {dry:.0%} of the dry ones with a probability that would be stated"
    out.append(
        "The share of wet stems is not corrected for errors: the evaluation counts windows by their most probable "
        f"processing, not files by what is stated. Of {found.source}, {found.sensitivity.value:.0%} of the wet ones "
        f"were taken for wet; so were {found.false_alarms.value:.0%} of the dry and hybrid ones{stated}."
    )
    return out


def _of_choice(summary: dict[str, Any]) -> list[str]:
    choice, files = summary["choice"], summary["files"]
    if choice["kind"] == "random sample":
        return [
            f"{choice['n_taken']:,} of {choice['n_set']:,} files were drawn at random; single findings "
            "are of those only."
        ]
    if choice["kind"] != "all":
        return [
            f"{choice['n_taken']:,} of {choice['n_set']:,} files were opened, not chosen at random: nothing here "
            "holds for the others."
        ]
    return [] if files["complete"] else ["The audit is not complete: run it again to go on."]


def of_claims(summary: dict[str, Any]) -> list[str]:
    """Return a sentence for each kind of claim in which words stand that nothing is held against.

    Args:
        summary: with ``claims``.
    """
    out = []
    for field in ("origin", "processing"):
        found = summary["claims"][field]
        if found["n_not_understood"]:
            words = ", ".join(repr(word) for word in found["not_understood"][:_WORDS_NAMED])
            out.append(
                f"Of {listing.count_files(found['n_not_understood'])} the claim of {field} is not understood "
                f"({words}{', …' if len(found['not_understood']) > _WORDS_NAMED else ''}): no finding can refute it."
            )
    return out


def _of_files(summary: dict[str, Any], evaluation: Evaluation) -> list[str]:
    files, out = summary["files"], []
    bad, refused = files["n_error"] + files["n_crashed"], files["n_refused"]
    if bad:
        out.append(f"{listing.count_files(bad)} could not be read; the shares leave them out.")
    if refused:
        out.append(f"{listing.count_files(refused)} read and not judged: silent, under a second or below 16 kHz.")
    if files["passed"]:
        out.append(f"{listing.describe(files['passed'])}. Nothing here holds for them.")
    if files["n_mixes"]:
        often = evaluation.mixes
        said = "" if often is None else f": of true mixes {often:.1%} were called separated in the model's evaluation"
        out.append(
            f"{listing.count_files(files['n_mixes'])} called mixes, by claimed stem or name. They are counted as any "
            f"other, but the error rates are of stems{said}. No clean subset has them."
        )
    lossy = next((row["n"] for row in summary["reasons"] if row["reason"] == "lossy"), 0)
    if lossy:
        out.append(f"{listing.count_files(lossy)} of lossy coding, which hides part of what separation leaves.")
    if summary["clustered_by"] == "file":
        out.append(
            "No songs are named: files are taken for independent. Stems of one song are not, and the intervals would "
            "be wider if it were known which belong together."
        )
    return out


def _of_checks(summary: dict[str, Any]) -> list[str]:
    found, out = summary["checks"], []
    unchecked = found["same_takes"]["relations"].get("unchecked", 0)
    if unchecked:
        out.append(f"{unchecked:,} candidates for the same performance were not compared on their audio, for want of "
                   "time or because it is gone or changed; --check gives it longer.")  # fmt: skip
    relations = found["same_takes"]["relations"]
    if alike := sum(relations.get(kind, 0) for kind in ("same_take", "processed_version", "separated_version")):
        out.append(
            f"{alike:,} pairs of files hold one performance and are no copies but for gain: unless they are of one "
            "group the intervals take them for independent, and would be wider if they did not."
        )
    if found["same_takes"]["more_candidates"]:
        out.append("There are more candidates for the same performance than the report looks at.")
    songs, pairs = found["shared_phase"], found["claimed_pairs"]
    unread = [
        f"{n:,} {words}"
        for n, words in (
            (songs["n_songs_unread"], "songs with several stems"),
            (pairs["counts"].get("unread", 0), "claimed pairs"),
        )
        if n
    ]
    if unread:
        out.append(
            f"The audio of {' and '.join(unread)} could not be read again where it was scored, was changed since, "
            "or is too short to compare: what the checks over several files would find there is not among the "
            "findings. Paths are those of the folder in which the audit was run."
        )
    if songs["n_songs"] > songs["n_songs_checked"] + songs["n_songs_unread"]:
        out.append(
            f"{songs['n_songs_checked']:,} of {songs['n_songs']:,} songs with several stems were searched for "
            "shared phase, those with the most suspect stems first; --check gives it longer."
        )
    if summary["clustered_by"] != "file" and not songs["n_songs"]:
        out.append(f"No {summary['clustered_by']} has several stems: nothing was searched for shared phase.")
    if songs["n_songs_checked"]:
        out.append(
            "Shared phase is searched for in the seconds in which the last stem of a song comes in, files laid over "
            "each other from their beginnings: stems that were shifted against each other show none."
        )
    if pairs["n_claimed"] > pairs["n_checked"] + pairs["counts"].get("unread", 0):
        out.append(
            f"{pairs['n_checked']:,} of {pairs['n_claimed']:,} claimed pairs were compared, chosen by their hash; "
            "--check gives it longer."
        )
    return out
