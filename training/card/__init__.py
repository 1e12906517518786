"""The model card, the README's block of figures and the list of sources: generated, never typed.

``python -m training.card models/stem-v1 README.md`` writes the card again from ``evaluation.json`` and puts the block
into the README between its two markers.
"""

from __future__ import annotations

import json
from typing import Any

from training.card.derived import show_degraded, show_denoised, show_edited, show_sums, show_wholes
from training.card.learnt import separators, show_learnt, show_taken_over, sources
from training.card.origin import show_by_sdr, show_cycles, show_families, show_table, show_warnings
from training.card.production import counted, show_effects, show_layers, show_processing, show_strengths
from training.card.readme import block, place, summary
from training.card.separation import sdr_bands, show_ceiling, show_kind

__all__ = ["block", "place", "render", "sdr_bands", "separators", "sources", "summary"]


def render(described: dict[str, Any], evaluation: dict[str, Any]) -> str:
    """Return the model card.

    Args:
        described: content of ``config.json``.
        evaluation: content of ``evaluation.json``.
    """
    figures, limits = evaluation["figures"], described["thresholds"]
    each = counted(figures["processing"])
    other_heads = [
        *show_effects(figures["effects"], each),
        *show_strengths(figures.get("strengths", {}), each),
        *show_kind(figures["kind"], "family" in described["heads"]),
        *show_layers(figures["layers"]),
    ]
    restricted = "non-commercial" in described["licence"]
    processing = f", and dry, hybrid or wet (stated from p = {limits['processing']})"
    lines = [
        f"# {described['name']}",
        "",
        f"`model.onnx`, {evaluation['model']['bytes'] / 1e6:.2f} MB, sha256 `{described['sha256'][:12]}`. Written by "
        "`python -m training.fit`; every figure below comes from `evaluation.json` beside it."
        + show_taken_over(evaluation),
        "",
        "**Licence.** "
        + described["licence"][0].upper()
        + described["licence"][1:]
        + (". Part of the training audio is for non-commercial research only: have" if restricted else ". Have")
        + " your counsel read the list of sources before commercial use.",
        "",
        "## What it answers",
        "",
        f"Origin (called separated from p = {limits['separated']}, studio up to p = {limits['studio']}, undecided "
        f"between), an SDR ceiling for separated stems{processing if 'processing' in described['heads'] else ''}. "
        f"Heads: {', '.join(described['heads'])}.",
        "",
        "## Figures",
        "",
        block(evaluation),
        "",
        "### By separator family",
        "",
        "Extractions of that family only; no model of the family was trained on.",
        "",
        *show_families(figures["by_family"]),
        "",
        *show_cycles(described.get("cycles"), figures.get("cycles")),
        "### By set",
        "",
        *show_table(figures["by_set"]),
        "",
        "### After one degradation",
        "",
        *show_degraded(figures["degraded"], figures.get("reworked")),
        "",
        *show_edited(figures.get("edited", {})),
        *show_denoised(figures.get("denoised", {}), evaluation.get("regated")),
        "### Instrumentals and mixes",
        "",
        *show_sums(figures.get("sums", {})),
        "",
        *show_wholes(figures.get("wholes", {})),
        "### By measured SDR of the extraction",
        "",
        *show_by_sdr(figures["by_sdr"]),
        "",
        "### SDR ceiling",
        "",
        *show_ceiling(described, figures["sdr"], figures["sdr_seen_family"]),
        "",
        "### Dry, hybrid, wet",
        "",
        *show_processing(figures["processing"]),
        "",
        "### Effects, kind of separator, layers",
        "",
        *(other_heads[:-1] or ["This model has none of these heads."]),
        "",
        "## When not to trust it",
        "",
        *show_warnings(figures),
        "",
        "## What it was trained on",
        "",
        *show_learnt(evaluation),
        "",
        "## Settings",
        "",
        "```json",
        json.dumps(evaluation["training"], indent=1),
        "```",
    ]
    for name, of in (("refitted", "the heads that were"), ("regated", "the head of gates that was")):
        if name in evaluation:
            lines += ["", f"Of {of} fitted anew:", "", "```json"]
            lines += [json.dumps(evaluation[name]["training"], indent=1), "```"]
    return "\n".join(lines) + "\n"
