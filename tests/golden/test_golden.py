"""Golden files: the front end and the shipped model still say what they said, on any CPU."""

from __future__ import annotations

import json

import numpy as np
import pytest

import provenance
from tests.golden import make, schema

FEATURE_TOLERANCE = 0.05
"""Decibels, mostly: other vector units round log10 and the transform otherwise."""
P_TOLERANCE, SDR_TOLERANCE_DB = 0.05, 0.5


@pytest.mark.parametrize("name", make.WINDOWS)
def test_features_are_golden(name: str) -> None:
    """The features of a synthetic window are the golden ones to a twentieth of a decibel."""
    with np.load(make.FEATURES) as golden:
        found = make.frontend.compute(make.WINDOWS[name]())
        assert found.shape == golden[name].shape
        assert np.abs(found - golden[name]).max() < FEATURE_TOLERANCE


def test_verdicts_are_golden(shipped: provenance.Scorer) -> None:
    """Each golden clip has its golden status, reasons and, within rounding of other CPUs, its numbers and calls."""
    golden = json.loads(make.VERDICTS.read_text(encoding="utf-8"))
    assert golden["model"] == shipped.bundle.reference, "another model is shipped: make golden"
    found = make.verdicts(shipped)
    assert found.keys() == golden["verdicts"].keys()
    limits = shipped.bundle.thresholds
    for name, expected in golden["verdicts"].items():
        here = found[name]
        assert (here["status"], here["n_windows"]) == (expected["status"], expected["n_windows"]), name
        _close(here["p_separated"], expected["p_separated"], P_TOLERANCE, name)
        _close(here["p_processing"], expected["p_processing"], P_TOLERANCE, name)
        if here["sdr_ceiling_db"] is not None and expected["sdr_ceiling_db"] is not None:
            _close(here["sdr_ceiling_db"], expected["sdr_ceiling_db"], SDR_TOLERANCE_DB, name)
        p = expected["p_separated"]
        if p is None or min(abs(p - limits.separated), abs(p - limits.studio)) > P_TOLERANCE:
            assert here["origin"] == expected["origin"], name
            assert here["reasons"] == expected["reasons"], name


def _close(found: object, expected: object, tolerance: float, name: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert found.keys() == expected.keys(), name
        for key in expected:
            _close(found[key], expected[key], tolerance, f"{name} {key}")
    else:
        assert found == pytest.approx(expected, abs=tolerance), name


def test_the_published_schema_is_that_of_the_dataclasses() -> None:
    """``verdict.schema.json`` is what the dataclasses give: whoever changes a field remakes it."""
    assert provenance.json_schema() == schema.render(), "make golden"
