"""The headline figures: in one line, as a block for the README and the card, and where the README has it."""

from __future__ import annotations

from typing import Any

from scipy.stats import binom

from provenance.model import GATED_FROM
from training.card.origin import show_table
from training.card.words import number, percent, span

_TENTH = 0.1
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


def summary(figures: dict[str, Any]) -> str:
    """Return the headline figures in one line.

    Args:
        figures: of :func:`training.report.report`.
    """
    all_ = figures["unseen"]
    return (
        f"unseen: AUC {all_['auc']:.3f}; of {all_['n_studio']} studio stems "
        f"{percent(all_['studio_called_separated'])} "
        f"were called separated; of {all_['n_separated']} extractions {percent(all_['separated_called_separated'])} "
        f"were called separated and {percent(all_['separated_called_studio'])} studio; ECE {all_['ece']:.3f}"
    )


def block(evaluation: dict[str, Any]) -> str:
    """Return the figures as Markdown, for the README and the card.

    Args:
        evaluation: content of ``evaluation.json``.
    """
    figures = evaluation["figures"]
    unseen = figures["unseen"]
    rows = {"everything": unseen}
    rows |= {f"manifest `{k}`": v for k, v in figures["by_manifest"].items()}
    rows |= {k: v for k, v in figures["by_stem"].items() if min(v["n_studio"], v["n_separated"]) >= 5}
    lines = [
        f"Measured on {unseen['n_studio']} studio stems and {unseen['n_separated']} extractions, each scored by a "
        "model that had seen neither its song or repository nor its separator's family, with calibration and "
        "thresholds fixed on other folds. The rest of each row was called undecided."
        + _line_of_gates(figures)
        + _struck(figures)
        + _since(evaluation),
        "",
        *show_table(rows),
        "",
        f"95 % intervals, resampling whole songs and repositories: AUC {span(unseen['auc_interval'])}, studio called "
        f"separated {span(unseen['studio_called_separated_interval'], shares=True)}, separated called separated "
        f"{span(unseen['separated_called_separated_interval'], shares=True)}. Expected calibration error "
        f"{unseen['ece']:.3f}; {percent(unseen['undecided'])} were left undecided, and of the decided "
        f"{percent(unseen['right_of_decided'])} were right. Extractions caught at a false-alarm rate of "
        + ", ".join(f"{float(k):.0%}: {percent(v)}" for k, v in unseen["caught_at_false_alarm"].items())
        + ". With the separator's family known and only the song unseen: AUC "
        f"{number(figures['pairs_unseen_song_auc'])} on the matched pairs, "
        f"{number(figures['seen_family_unseen_song_auc'])} on everything. From coding and length alone: "
        f"AUC {number(figures['metadata_only_auc'])}." + _by_repository(figures),
    ]
    return "\n".join(lines)


def _by_repository(figures: dict[str, Any]) -> str:
    """Say how many repositories have over a tenth of their true stems accused, beside what chance alone would give."""
    rate = figures["unseen"]["studio_called_separated"]
    shares = [
        (found["n_studio"], found["studio_called_separated"] or 0.0)
        for found in figures.get("by_repository", {}).values()
        if found["n_studio"]
    ]
    over = sorted(((share, n) for n, share in shares if share > _TENTH), reverse=True)
    if not over or not rate:
        return ""
    share, n = over[0]
    expected = sum(_more_than(int(_TENTH * n + 1e-9), n, rate) for n, _ in shares)
    return (
        f" Of {len(shares)} repositories {len(over)} {'have' if len(over) > 1 else 'has'} over a tenth of the true "
        f"stems called separated, at most {round(share * n)} of {n}; if all were accused alike, chance would give "
        f"{expected:.1f}, for most have few stems."
    )


def _more_than(k: int, n: int, rate: float) -> float:
    """Return the probability of more than k of n."""
    return float(binom.sf(k, n, rate))


def _line_of_gates(figures: dict[str, Any]) -> str:
    if not figures.get("denoised"):
        return ""
    return (
        f" One number was not: from which probability a window counts as gated ({GATED_FROM:g}), which was chosen on "
        "these files (`training/LOG.md` has the figures beside it)."
    )


def _since(evaluation: dict[str, Any]) -> str:
    if "regated" not in evaluation:
        return ""
    return (
        f" The model was `{evaluation['regated']['from']}` then; its head of gates was fitted anew since, and the card "
        "says how many windows that holds back."
    )


def _struck(figures: dict[str, Any]) -> str:
    n = figures.get("n_struck", 0)
    if not n:
        return ""
    return (
        f" {n} clips that were learnt from are not judged: after the fit their label was found wrong, or their sound "
        "in another fold too."
    )


def place(text: str, figures: str) -> str:
    """Return a text with the figures between its markers.

    Args:
        text: of a README.
        figures: Markdown.

    Raises:
        ValueError: a marker is missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"found no markers; needed: {BEGIN} and {END}")
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{figures}\n{END}{rest.split(END, 1)[1]}"
