"""The unseen protocol: every figure on songs, repositories and separator families the scoring model never saw."""

from __future__ import annotations

from pathlib import Path

from training.evaluate.counting import auc, figures, interval, share
from training.evaluate.deciding import (
    Limits,
    allow_for_rework,
    decisions,
    files,
    guard,
    limits,
    limits_of,
    line_of,
)
from training.evaluate.rows import (
    clean_rows,
    describe,
    describe_rows,
    held_out_rows,
    judged_rows,
    may_be_judged,
    strike,
    training_rows,
    unseen_rows,
    without_struck,
)

__all__ = [
    "CONFIG_FILE",
    "Limits",
    "allow_for_rework",
    "auc",
    "clean_rows",
    "decisions",
    "describe",
    "describe_rows",
    "figures",
    "files",
    "guard",
    "held_out_rows",
    "interval",
    "judged_rows",
    "limits",
    "limits_of",
    "line_of",
    "may_be_judged",
    "share",
    "strike",
    "training_rows",
    "unseen_rows",
    "without_struck",
]

CONFIG_FILE = Path(__file__).parent.with_name("stem-v1.toml")
"""Settings of the model that ships."""
