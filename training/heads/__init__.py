"""The heads: boosted trees and perceptrons over the window's texture statistics, and networks over its maps, fused."""

from __future__ import annotations

from training.heads.fusion import (
    VOICES,
    Fusion,
    Voice,
    beyond_doubt,
    fuse,
    guarded,
    held_back,
    run_network,
    run_onset_network,
    spread_of,
)
from training.heads.learning import (
    fit_effects,
    fit_gated,
    fit_kind,
    fit_layers,
    fit_origin,
    fit_origin_perceptron,
    fit_processing,
    fit_reworked,
    fit_sdr,
    fit_strengths,
)
from training.heads.trees import Array, Outputs, Trees, all_classes, only, strengths

__all__ = [
    "VOICES",
    "Array",
    "Fusion",
    "Outputs",
    "Trees",
    "Voice",
    "all_classes",
    "beyond_doubt",
    "fit_effects",
    "fit_gated",
    "fit_kind",
    "fit_layers",
    "fit_origin",
    "fit_origin_perceptron",
    "fit_processing",
    "fit_reworked",
    "fit_sdr",
    "fit_strengths",
    "fuse",
    "guarded",
    "held_back",
    "only",
    "run_network",
    "run_onset_network",
    "spread_of",
    "strengths",
]
