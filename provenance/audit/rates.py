"""How often the detector errs, read from the model's own evaluation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from provenance.audit.prevalence import Rate, rate_from

_ENOUGH = 50
"""Files of either kind of a stem from which its own rates are taken."""


@dataclass(frozen=True)
class Detector:
    """Error rates of one call.

    Args:
        sensitivity: share of those that are so which are called so.
        false_alarms: share of the others which are called so.
        source: what it was measured on, in words.
    """

    sensitivity: Rate
    false_alarms: Rate
    source: str


@dataclass(frozen=True)
class WetTakes:
    """How often takes (by an older evaluation single windows) are taken for wet, by what is most probable.

    Args:
        sensitivity: share of wet ones whose most probable processing is wet.
        false_alarms: share of dry and hybrid ones whose most probable processing is wet.
        dry_stated_wet: share of dry ones that are wet with a probability that would be stated; None where unknown.
        source: what it was measured on, in words.
    """

    sensitivity: Rate
    false_alarms: Rate
    dry_stated_wet: float | None
    source: str


@dataclass(frozen=True)
class Evaluation:
    """What a model's evaluation says, as far as an audit needs it.

    Args:
        separated: of the call ``separated``; None where the evaluation lacks it.
        wet: how often takes are taken for wet; None where the evaluation lacks it.
        families: sensitivity by family of separator, with the number of extractions.
        undecided: share of studio and of separated stems that came out undecided.
        figures: ``figures.unseen`` of the file.
        stems: as ``separated``, by name of stem where the evaluation has enough of both kinds.
        mixes: share of mixes of true stems that were called separated; None where the evaluation lacks it.
        thresholds: what verdicts are stated from; empty where the evaluation lacks them.
    """

    separated: Detector | None
    wet: WetTakes | None
    families: dict[str, tuple[float, int]]
    undecided: tuple[float, float] | None
    figures: dict[str, Any]
    stems: dict[str, Detector] = field(default_factory=dict)
    mixes: float | None = None
    thresholds: dict[str, float] = field(default_factory=dict)

    def called_studio(self, share: float) -> float | None:
        """Return which part of a set is called studio; None where the evaluation does not tell.

        Args:
            share: of the set that is extractions.
        """
        studio, separated = (self.figures.get(f"{origin}_called_studio") for origin in ("studio", "separated"))
        return None if studio is None or separated is None else float(share * separated + (1 - share) * studio)

    def missed(self, share: float) -> float | None:
        """Return which part of what is called studio is extractions; None where the evaluation does not tell.

        Args:
            share: of the set that is extractions.
        """
        called = self.called_studio(share)
        return share * float(self.figures["separated_called_studio"]) / called if called else None


def read_evaluation(folder: Path | None, copy: Path | None = None) -> Evaluation:
    """Read the evaluation beside a model.

    Args:
        folder: of the model, or None where it is not at hand.
        copy: of its ``evaluation.json``, which then speaks; or None.

    Returns:
        What it says; empty where there is no such file or a figure is missing from it.
    """
    file = copy if folder is None else folder / "evaluation.json"
    try:
        whole = json.loads(file.read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError):
        whole = {}
    figures = whole.get("figures", {})
    unseen = figures.get("unseen", {})
    separated = _separated(unseen)
    design = _design(unseen, separated)
    families = {
        name: (found["separated_called_separated"], found["n_separated"])
        for name, found in figures.get("by_family", {}).items()
        if found.get("n_separated", 0) >= 10 and found.get("separated_called_separated") is not None
    }
    undecided = None
    if "studio_called_studio" in unseen and separated is not None:
        undecided = (
            1 - unseen["studio_called_studio"] - unseen["studio_called_separated"],
            1 - unseen["separated_called_studio"] - unseen["separated_called_separated"],
        )
    return Evaluation(
        separated,
        _wet(figures.get("processing", {}), design),
        families,
        undecided,
        unseen,
        _stems(figures.get("by_stem", {}), design),
        figures.get("sums", {}).get("mixes", {}).get("studio_called_separated"),
        whole.get("thresholds", {}),
    )


def _separated(unseen: dict[str, Any]) -> Detector | None:
    caught, alarms = unseen.get("separated_called_separated"), unseen.get("studio_called_separated")
    if caught is None or alarms is None:
        return None
    n_separated, n_studio = unseen["n_separated"], unseen["n_studio"]
    sensitivity = rate_from(caught, n_separated, unseen.get("separated_called_separated_interval"))
    design = n_separated / sensitivity.n
    false_alarms = rate_from(alarms, n_studio, unseen.get("studio_called_separated_interval"), design)
    source = (
        f"{n_studio} studio stems and {n_separated} extractions of songs, repositories and separator families "
        "that the scoring model had not seen"
    )
    return Detector(sensitivity, false_alarms, source)


def _stems(by_stem: dict[str, dict[str, Any]], design: float) -> dict[str, Detector]:
    """Return the rates on each stem, worth as much less than its files as those of all files are."""
    out = {}
    for name, found in by_stem.items():
        caught, alarms = found.get("separated_called_separated"), found.get("studio_called_separated")
        n_separated, n_studio = found.get("n_separated", 0), found.get("n_studio", 0)
        if caught is None or alarms is None or caught <= alarms or min(n_separated, n_studio) < _ENOUGH:
            continue
        out[name.lower()] = Detector(
            rate_from(caught, n_separated, None, design),
            rate_from(alarms, n_studio, None, design),
            f"{n_studio} studio stems and {n_separated} extractions of {name}",
        )
    return out


def _design(unseen: dict[str, Any], separated: Detector | None) -> float:
    return 1.0 if separated is None else unseen["n_separated"] / separated.sensitivity.n


def _wet(processing: dict[str, Any], design: float) -> WetTakes | None:
    """Take real pairs or chains made on held-out dry recordings, whichever are more often mistaken for wet."""
    classes = processing.get("classes", [])
    found: list[WetTakes] = []
    for name, words in (("fx_pairs", "real dry and processed takes"), ("made", "chains on held-out dry recordings")):
        entry = processing.get(name, {})
        matrix = np.asarray(entry.get("confusion", []), float)
        if "wet" not in classes or matrix.shape != (len(classes), len(classes)):
            continue
        wet = classes.index("wet")
        others = np.delete(matrix, wet, axis=0)
        if not min(matrix[wet].sum(), others.sum()):
            continue
        found.append(
            WetTakes(
                Rate(float(matrix[wet, wet] / matrix[wet].sum()), float(matrix[wet].sum() / design)),
                Rate(float(others[:, wet].sum() / others.sum()), float(others.sum() / design)),
                entry.get("dry_called_wet"),
                f"{int(matrix.sum()):,} {words if 'n_windows' in entry else f'windows of {words}'}",
            )
        )
    return max(found, key=lambda one: one.false_alarms.value, default=None)
