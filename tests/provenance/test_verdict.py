"""The verdict and its published schema."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import get_args

import jsonschema
import pytest

import provenance
from provenance import flat
from provenance.verdict import REASONS, SCHEMA_VERSION, Reason, Refusal, Status
from tests import sounds

SOURCES: dict[str, Callable[[], tuple[sounds.Wave, int]]] = {
    "music": lambda: (sounds.music(9.0), 44_100),
    "mono at 22 kHz": lambda: (sounds.music(4.0, 22_050, channels=1), 22_050),
    "with a pause": lambda: (sounds.music(12.0) * (1 - sounds.tone(0.0, 12.0)) * _gate(12.0), 44_100),
    "silent": lambda: (sounds.noise(2.0) * 0, 44_100),
    "short": lambda: (sounds.noise(0.3), 44_100),
    "8 kHz": lambda: (sounds.noise(2.0, 8_000), 8_000),
}


def _gate(seconds: float) -> sounds.Wave:
    gate = sounds.tone(0.0, seconds) + 1
    gate[4 * sounds.RATE_HZ : 8 * sounds.RATE_HZ] = 0
    return gate


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """A validator of the published schema."""
    schema = json.loads(provenance.json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", SOURCES)
def test_real_verdicts_are_valid(
    name: str, scorer: provenance.Scorer, validator: jsonschema.Draft202012Validator
) -> None:
    """Every verdict, refused ones too, is valid JSON by the published schema, without NaN and without other keys."""
    found = scorer.score(SOURCES[name]())
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    validator.validate(plain)
    assert plain.keys() == validator.schema["properties"].keys()
    assert plain["schema_version"] == SCHEMA_VERSION


def test_a_verdict_of_the_shipped_model_is_valid(
    shipped: provenance.Scorer, validator: jsonschema.Draft202012Validator
) -> None:
    """The shipped model's verdicts are valid too."""
    validator.validate(json.loads(json.dumps(shipped.score((sounds.music(), 44_100)).to_dict())))


@pytest.mark.parametrize(
    ("key", "value"),
    [("origin", "recorded"), ("p_separated", "0.5"), ("segments", None), ("status", "fine"), ("audio", {}),
     ("schema_version", "0"), ("reasons", ["no_such_code"])],
)  # fmt: skip
def test_the_schema_refuses_what_is_no_verdict(
    key: str, value: object, scorer: provenance.Scorer, validator: jsonschema.Draft202012Validator
) -> None:
    """A wrong word, type or missing part is refused: the schema is not empty."""
    plain = json.loads(json.dumps(scorer.score((sounds.music(), 44_100)).to_dict()))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(plain | {key: value})
    del plain[key]
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(plain)


def test_every_field_is_described() -> None:
    """Each property of the schema carries the docstring's words."""
    schema = json.loads(provenance.json_schema())
    for definition in (schema, *schema["$defs"].values()):
        for name, field in definition["properties"].items():
            assert field.get("description"), name


def test_every_reason_is_told_in_words() -> None:
    """The schema lists every code that a verdict can give as a reason, and says what each means."""
    reasons = json.loads(provenance.json_schema())["properties"]["reasons"]
    assert set(reasons["items"]["enum"]) == set(REASONS) == set(get_args(Reason))
    for code, said in REASONS.items():
        assert f"{code}: {said}" in reasons["description"]
    assert set(get_args(Status)) == {"ok", *get_args(Refusal)}


def test_the_record_says_what_it_holds() -> None:
    """Confidence is of the likelier side, a strength of 0 was not taught, uses go by origin and processing alone."""
    schema = json.loads(provenance.json_schema())
    said = {name: field["description"] for name, field in schema["properties"].items()}
    assert "also where that is not stated" in said["confidence"]
    assert "likelier side" in flat.WORDS["confidence"]
    assert "mildest that was taught" not in said["effect_strengths"]
    assert "overlap the one before" in said["segments"]
    assert "by origin and processing alone" in schema["$defs"]["UseFit"]["description"]


def test_verdicts_are_frozen_and_compare(scorer: provenance.Scorer) -> None:
    """A verdict cannot be changed, and the same audio gives an equal one."""
    one, two = (scorer.score((sounds.music(), 44_100)) for _ in range(2))
    assert one == two
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.origin = "studio"  # type: ignore[misc]
