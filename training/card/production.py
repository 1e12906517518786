"""The card's figures of production: dry, hybrid or wet, effects and how strong they are, layers."""

from __future__ import annotations

from typing import Any

from training.card.words import number, percent

_GROUPS = {
    "made": "Chains made by the project on held-out dry recordings, and those recordings; the measured rooms of their "
    "reverbs are the same in all folds",
    "over_noise": "Such recordings and chains over noise, 95 to 45 dB below their level",
    "made_and_separated": "The same chains after a separation, of which verdicts state nothing",
    "fx_pairs": "Real pairs of dry and processed recordings, never used in training this head",
    "dry_against_wet_recordings": "Dry recordings and produced studio stems as they are",
    "recordings": "All recordings of stated processing as they are, from whatever set",
}


def show_processing(processing: dict[str, Any]) -> list[str]:
    """Return how well dry, hybrid and wet are told, a table for each group of rows.

    Args:
        processing: figures of :func:`training.report.processing`.
    """
    out = []
    for key, text in _GROUPS.items():
        if key in processing:
            found = processing[key]
            area = found["dry_against_rest_auc"]
            dry = "" if area is None else f", dry against the rest AUC {area:.3f}"
            size = f"{found['n']} windows"  # of a model whose windows were judged each by itself
            if "n_windows" in found:
                size = f"{found['n']} takes of {found['n_windows']} windows"
            out += [f"{text} ({size}): macro-F1 {found['macro_f1']:.3f}{dry}{_stated(found)}.", ""]
            out += ["| truth | " + " | ".join(processing["classes"]) + " |", "|---|" + "---:|" * 3]
            out += [
                f"| {name} | " + " | ".join(map(str, row)) + " |"
                for name, row in zip(processing["classes"], found["confusion"], strict=True)
            ]
            out.append("")
    return out[:-1] if out else ["No held-out rows with a known processing."]


def _stated(found: dict[str, Any]) -> str:
    """What of a group is stated at all, by lines from other folds."""
    if "stated" not in found:
        return ""
    shares = {"right_of_stated": "of which {} right", "dry_called_wet": "{} of the dry ones called wet",
              "wet_called_dry": "{} of the wet ones called dry"}  # fmt: skip
    told = [text.format(percent(found[key])) for key, text in shares.items() if found[key] is not None]
    return f"; stated in {percent(found['stated'])}, " + ", ".join(told)


def counted(processing: dict[str, Any]) -> str:
    """Return what figures of production count: takes, or, of a model of before, windows.

    Args:
        processing: figures of :func:`training.report.processing`.
    """
    return "takes" if "n_windows" in processing.get("made", {}) else "windows"


def show_effects(effects: dict[str, Any], each: str) -> list[str]:
    """Return how well each effect is told, a table for studio and one for separated stems.

    Args:
        effects: figures of :func:`training.report.effects`.
        each: what is counted, as :func:`counted` says.
    """
    out = []
    for group, found in effects.items():
        rows = {k: v for k, v in found.items() if k != "macro_f1"}
        out += [f"Effects on {group} stems, held-out recordings (measured rooms are not held out): "
                f"macro-F1 {found['macro_f1']:.3f}.", "",
                f"| effect | {each} | with it | AUC | AUC where strong | F1 |",
                "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
        out += [
            f"| {name} | {v['n']} | {percent(v.get('share'))} | {number(v['auc'])} | {number(v.get('strong_auc'))} "
            f"| {number(v['f1'])} |"
            for name, v in rows.items()
        ]
        out.append("")
    return out


def show_strengths(strengths: dict[str, Any], each: str) -> list[str]:
    """Return how well the strength of each effect is told, a table for studio and one for separated stems.

    Args:
        strengths: figures of :func:`training.report.strengths`.
        each: what is counted, as :func:`counted` says.
    """
    out = []
    told = strengths.get("told", [])
    for group, found in ((name, strengths[name]) for name in ("studio", "separated") if name in strengths):
        out += [f"Strength, 0 to 1, of an effect where it was applied, {group} stems, held-out recordings"
                + (f": verdicts state that of {', '.join(told) or 'none'}." if group == "studio" else
                   ", of which verdicts state nothing."), "",
                f"| effect | {each} | mean absolute error | of a constant | rank correlation |",
                "|---|---:|---:|---:|---:|"]  # fmt: skip
        out += [
            f"| {name} | {v['n']} | {v['error']:.3f} | {v['constant_error']:.3f} | {number(v['correlation'])} |"
            for name, v in found.items()
        ]
        out.append("")
    return out


def show_layers(layers: dict[str, Any]) -> list[str]:
    """Return how well several performances are told from one; nothing of a model without that head.

    Args:
        layers: figures of :func:`training.report.production.layers`.
    """
    return [f"One performance or several ({layers['n']} windows): AUC {number(layers['auc'])}.", ""] if layers else []
