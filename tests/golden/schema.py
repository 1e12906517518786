"""The JSON schema of a verdict, out of its dataclasses and their docstrings."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from pydantic import TypeAdapter

import provenance
from provenance import verdict

ID = "https://json-schema.org/draft/2020-12/schema"


def render() -> str:
    """Return the schema as text, with the docstrings' words as descriptions."""
    schema = TypeAdapter(provenance.Verdict).json_schema(mode="serialization")
    definitions: dict[str, Any] = schema.pop("$defs")
    for name, definition in {**definitions, "Verdict": schema}.items():
        docstring = inspect.getdoc(getattr(verdict, name)) or ""
        definition["description"] = docstring.split("\n\n")[0].replace("\n", " ")
        for key, words in _arguments(docstring).items():
            definition["properties"][key]["description"] = words
    whole = {"$schema": ID, "title": "Verdict"} | schema | {"$defs": definitions}
    whole["properties"]["schema_version"]["const"] = verdict.SCHEMA_VERSION
    codes = "; ".join(f"{code}: {said}" for code, said in verdict.REASONS.items())
    whole["properties"]["reasons"]["description"] += f" {codes}."
    return json.dumps(whole, indent=2) + "\n"


def _arguments(docstring: str) -> dict[str, str]:
    """The entries of a docstring's Args, by name."""
    if "Args:" not in docstring:
        return {}
    block = inspect.cleandoc(docstring.split("Args:\n", 1)[1].split("\n\n", 1)[0])
    entries = re.split(r"\n(?=\w[\w, ]*: )", block)
    return {k: " ".join(v.split()) for k, v in (entry.split(": ", 1) for entry in entries)}
