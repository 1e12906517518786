"""A model folder that describes itself: found, checked against its checksum and against this front end."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from provenance import frontend
from provenance.errors import ModelError
from provenance.evidence import cycles
from provenance.verdict import Thresholds

DEFAULT_MODEL = "stem-v1"
CONFIG_FORMAT = 1


@dataclass(frozen=True)
class Calibration:
    """From the mean window logit of a file to a probability: sigmoid(slope * logit + intercept)."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class CyclesWeight:
    """How far the cue ``cycles`` raises a file's log odds: by straight lines between points, fitted by
    ``python -m training.cycles``.

    Args:
        values: of the cue, rising; below the first nothing is added.
        raises: what is added at each, from 0, never falling; from the last value on it stays.
    """

    values: tuple[float, ...]
    raises: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValueError: the points are no such line.
        """
        rising = all(np.diff(self.values) > 0) and all(np.diff(self.raises) >= 0)
        if len(self.values) != len(self.raises) or not self.values or self.raises[0] != 0 or not rising:
            raise ValueError(f"weight of cycles ({self.values}, {self.raises})")

    def of(self, value: float | None) -> float:
        """Return what is added to the calibrated log odds.

        Args:
            value: of the cue, or None where it could not be measured.
        """
        return 0.0 if value is None else float(np.interp(value, self.values, self.raises))


@dataclass(frozen=True)
class SdrInterval:
    """How wide the 90 % interval of an SDR estimate is: the higher the estimate, the more it may err.

    Args:
        base_db: half its width at an estimate of 0 dB.
        per_db: how much is added for each dB of the estimate, from 0.
        from_db: estimates below have the interval of this one.
    """

    base_db: float
    per_db: float = 0.0
    from_db: float = 0.0

    def half_width(self, estimate_db: float) -> float:
        """Return half the width of the interval around an estimate, in dB.

        Args:
            estimate_db: of a stem.
        """
        return self.base_db + self.per_db * max(estimate_db, self.from_db)


@dataclass(frozen=True)
class Bundle:
    """What a model folder holds.

    Args:
        folder: where it lies.
        name: such as ``stem-v1``.
        sha256: of ``model.onnx``.
        heads: which of ``origin``, ``processing``, ``sdr``, ``distance`` the model has.
        calibration: of the origin.
        thresholds: of the decision.
        sdr_interval: the 90 % interval of the SDR estimate, by conformal prediction; of no width without the head.
        licence: of the weights and what they were trained on, in a line.
        cycles: how the cue of that name weighs; None of a model that leaves it to the reader.
    """

    folder: Path
    name: str
    sha256: str
    heads: frozenset[str]
    calibration: Calibration
    thresholds: Thresholds
    sdr_interval: SdrInterval
    licence: str
    cycles: CyclesWeight | None = None

    @property
    def reference(self) -> str:
        """Name and the first twelve digits of the checksum, as verdicts carry it."""
        return f"{self.name}@{self.sha256[:12]}"

    @property
    def model_file(self) -> Path:
        """The ONNX file."""
        return self.folder / "model.onnx"


def find(model: str | Path | None = None) -> Path:
    """Return the folder of a model: a path, or the name of a model that came with the package.

    Args:
        model: folder or name; None is the default model.

    Raises:
        ModelError: there is no such folder.
    """
    name = DEFAULT_MODEL if model is None else str(model)
    here = Path(__file__).resolve().parent
    given = [] if model is None else [Path(name)]  # a folder that happens to lie here is not the default model
    for folder in (*given, here / "models" / name, here.parent / "models" / name):
        if (folder / "config.json").is_file():
            return folder
    raise ModelError(f"{name}: no such model; needed: a folder with config.json and model.onnx, or {DEFAULT_MODEL!r}")


def load(model: str | Path | None = None) -> Bundle:
    """Read and check a model folder.

    Args:
        model: folder or name; None is the default model.

    Raises:
        ModelError: the folder is missing or incomplete, the checksum differs, the model was made for another front
            end, or its weight of the cue ``cycles`` for another one.
    """
    folder = find(model)
    config = read(folder)
    try:
        return Bundle(
            folder=folder,
            name=str(config["name"]),
            sha256=str(config["sha256"]),
            heads=frozenset(config["heads"]),
            calibration=Calibration(**config["calibration"]),
            thresholds=Thresholds(**config["thresholds"]),
            sdr_interval=_sdr_interval(config),
            licence=str(config["licence"]),
            cycles=_cycles(folder, config.get("cycles")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'}: found no usable {error}; needed: a complete one") from error


def read(folder: Path) -> dict[str, Any]:
    """Return what a model folder says of itself, once its graph is whole and of this front end.

    Args:
        folder: of the model.

    Raises:
        ModelError: a file is missing, the checksum differs, or the model was made for another front end.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        data = (folder / "model.onnx").read_bytes()
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: cannot be read ({error}); needed: config.json and model.onnx") from error
    try:
        _check(folder, config, hashlib.sha256(data).hexdigest())
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'}: found no usable {error}; needed: a complete one") from error
    return config


def _cycles(folder: Path, given: dict[str, Any] | None) -> CyclesWeight | None:
    if not given:
        return None
    _compare(folder, "cue of cycles", json.loads(json.dumps(cycles.contract())), given["cue"])
    return CyclesWeight(tuple(given["values"]), tuple(given["raises"]))


def _sdr_interval(config: dict[str, Any]) -> SdrInterval:
    given = config.get("sdr_interval")
    return SdrInterval(float(config["sdr_half_width_db"])) if given is None else SdrInterval(**given)  # of old models


def _check(folder: Path, config: dict[str, Any], digest: str) -> None:
    if config["format"] != CONFIG_FORMAT:
        raise ModelError(f"{folder}: found config format {config['format']}; needed: {CONFIG_FORMAT}")
    if config["sha256"] != digest:
        raise ModelError(
            f"{folder / 'model.onnx'}: found sha256 {digest[:12]}; needed: {str(config['sha256'])[:12]}; "
            "the file was changed or is damaged"
        )
    _compare(folder, "front end", json.loads(json.dumps(frontend.contract())), config["frontend"])


def _compare(folder: Path, what: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Refuse a folder that was made with other numbers than these."""
    differing = sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k))
    if differing:
        key = differing[0]
        raise ModelError(
            f"{folder}: made for another {what} ({', '.join(differing)}): "
            f"found {key} {theirs.get(key)}; needed: {ours.get(key)}"
        )
