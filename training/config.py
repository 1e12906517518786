"""One TOML file in, one frozen configuration out; it is saved beside the model."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.dataset import without_repo
from training.examples import PARTS, Recipe
from training.perceptron import Perceptron
from training.texture_net import Network

NO_NETWORK = Network(cycles=())
HEADS = ("origin", "processing", "sdr", "effects", "kind", "layers")
"""Heads on statistics; each has a table of settings."""
_NAMES_OF = {
    "--demucs-repo": ("demucs_models",),
    "--networks": ("network_names",),
    "--scripts": ("script_names", "whole_names", "remask_name", "drawn_names"),
}
"""Which keys of a recipe name separators that lie in the folder of an option."""
_AMOUNTS = {
    "demucs": "n_demucs",
    "easy": "n_easy",
    "bundle": "n_bundles",
    "whole": "whole_share",
    "remask": "remask_share",
    "drawn": "drawn_share",
}
"""How many rows a part that needs separators gives; ``network`` gives some of dry clips whatever stands there."""
_ALSO_WITHOUT = ("bundle",)
"""Parts that need separators only for a part of their rows."""


@dataclass(frozen=True)
class Boosting:
    """Settings of one gradient boosting.

    Args:
        rounds: boosting rounds.
        learning_rate: shrinkage of each.
        leaves: leaves of a tree, at most.
        feature_share: share of the features a split may choose from.
        n_seeds: models whose scores are averaged.
        family_power: of the origin alone: how much less the rows of a large family of separators count, from 0, each
            row alike, to 1, each family alike.
        separated_weight: of processing: what extractions count beside studio stems; of effects: the share of their
            rows that is learnt from.
    """

    rounds: int
    learning_rate: float = 0.08
    leaves: int = 31
    feature_share: float = 0.1
    n_seeds: int = 1
    family_power: float = 0.0
    separated_weight: float = 1.0


@dataclass(frozen=True)
class Config:
    """Everything a model is made from.

    Args:
        name: of the model folder.
        recipe: examples each clip gives.
        origin, processing, effects, kind, layers: the heads' boosting.
        sdr: its boosting, or its perceptron: a table with ``n_steps`` is one.
        origin_perceptron: which speaks of the origin beside the trees by its ``share``, or None.
        reworked: boosting of what was pitched, stretched, put into a room or coded low against all else, or
            None: then no allowance is made for it.
        gated: boosting of what was gated bin by bin against all else, or None: then it may be called separated.
        strengths: of how strong each effect is; only what is better than a guess goes into the model.
        network: over the map; fused with the trees.
        onsets: network over the map of onsets, likewise; only its ``share`` of the origin counts.
        n_folds: of the unseen protocol.
        max_accused: share of held-out true stems that may be called separated.
        max_missed: share of held-out extractions that may be called studio, each family of separators counting alike.
        min_right: share of the decided held-out files that must be right; it may only widen the undecided band.
        min_right_processing: share of what is stated of a processing, of each by itself, that must be right on held-out
            chains; from it follows the probability from which one is stated.
        family_threshold: probability from which a kind of separator is named.
        layers_threshold: probability from which one or several performances are stated.
        distance_quantile: share of the training data that lies inside.
        seed: of everything.
    """

    name: str
    recipe: Recipe
    origin: Boosting
    processing: Boosting
    sdr: Boosting | Perceptron
    effects: Boosting
    kind: Boosting
    layers: Boosting
    network: Network
    onsets: Network = NO_NETWORK
    origin_perceptron: Perceptron | None = None
    reworked: Boosting | None = None
    gated: Boosting | None = None
    strengths: Boosting = Boosting(rounds=40, learning_rate=0.1, leaves=8, separated_weight=0.2)
    n_folds: int = 3
    max_accused: float = 0.01
    max_missed: float = 0.05
    min_right: float = 0.0
    min_right_processing: float = 0.8
    distance_quantile: float = 0.997
    family_threshold: float = 0.6
    layers_threshold: float = 0.75
    seed: int = 0


def load(path: Path, demucs_repo: str | None = None, networks: str | None = None, scripts: str | None = None) -> Config:
    """Read a configuration.

    Args:
        path: TOML file.
        demucs_repo: replaces the folder of local demucs weights; an empty one leaves demucs out.
        networks: replaces the folder of networks trained here; an empty one leaves them out.
        scripts: replaces the folder of separators in Python files; an empty one leaves them out.

    Raises:
        ValueError: no TOML, an unknown or missing key or a value out of its range, named, or networks of which the
            configuration names none.
    """
    data = layered(path)
    for table in (*_TABLES, *HEADS):
        if not isinstance(data.get(table, {}), dict):
            raise ValueError(f"{path}: found {table} = {data[table]!r}; needed: a table [{table}]")
    recipe = dict(data.pop("recipe", {}))
    for names in _LISTS:
        if not isinstance(recipe.get(names, []), list):
            raise ValueError(f"{path}: found {names} = {recipe[names]!r} in [recipe]; needed: a list of names")
    if demucs_repo is not None:
        recipe["demucs_repo"] = demucs_repo
        recipe["demucs_models"] = recipe.get("demucs_models", []) if demucs_repo else []
    if networks is not None:
        if networks and not recipe.get("network_names"):
            raise ValueError(f"{path}: found no network_names for {networks}; needed: names of networks in [recipe]")
        recipe["networks"] = networks
        recipe["network_names"] = recipe.get("network_names", []) if networks else []
    if scripts is not None:
        recipe["scripts"] = scripts
        recipe["script_names"] = recipe.get("script_names", []) if scripts else []
        by_demucs = set(recipe.get("demucs_models", []))
        recipe["whole_names"] = [name for name in recipe.get("whole_names", []) if scripts or name in by_demucs]
        recipe["drawn_names"] = recipe.get("drawn_names", []) if scripts else []
        remask_name = recipe.get("remask_name", "")
        recipe["remask_name"] = remask_name if scripts or remask_name in by_demucs else ""
    for names in _LISTS:
        recipe[names] = tuple(recipe.get(names, ()))
    unknown = set(recipe["further_parts"]) - set(PARTS)
    if unknown:
        raise ValueError(f"{path}: found further_parts {sorted(unknown)}; needed: some of {', '.join(PARTS)}")
    try:
        if "origin_perceptron" in data:
            data["origin_perceptron"] = Perceptron(**data["origin_perceptron"])
        for head in ("strengths", "reworked", "gated"):
            if head in data:
                data[head] = Boosting(**data[head])
        read = Config(
            recipe=Recipe(**recipe),
            network=_network(data.pop("network", {})),
            onsets=_network(data.pop("onsets", {"cycles": ()})),
            **{head: _statistics(head, data.pop(head)) for head in HEADS},
            **data,
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path}: {error}; needed: the keys of training.config.Config") from error
    try:
        _check(read)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for table, network, kept in (("network", read.network, "keep_maps"), ("onsets", read.onsets, "keep_onsets")):
        if network.cycles and not getattr(read.recipe, kept):
            raise ValueError(f"{path}: found cycles in [{table}]; needed: {kept} = true in [recipe]")
    if read.network.cycles and read.network.mixing:
        raise ValueError(
            f"{path}: found mixing = {read.network.mixing:g} in [network], which tells more than origin; needed: 0"
        )
    return read


def _check(settings: Any, table: str = "") -> None:
    """Raise where a value is of another kind than its key, or out of its range: it would end a fit after its rows.

    Args:
        settings: a configuration or one of its tables.
        table: its name.

    Raises:
        ValueError: names the key, what was found and what is needed.
    """
    for field in dataclasses.fields(settings):
        name, value, kind = field.name, getattr(settings, field.name), str(field.type)
        if dataclasses.is_dataclass(value):
            _check(value, name)
            continue
        whole, number = isinstance(value, int), isinstance(value, (int, float))
        least = _LEAST.get(name, 0)
        is_share = name in _SHARES or name.endswith("share")
        found, needed = {
            "bool": (isinstance(value, bool), "true or false"),
            "str": (isinstance(value, str), "text"),
            "int": (whole and value >= least, f"a whole number from {least}"),
            "float": (number and 0 <= value < np.inf, "a number from 0"),
        }.get(kind, (True, ""))
        if kind.startswith("tuple[int"):
            n = 0 if "..." in kind else kind.count("int")
            found = all(isinstance(v, int) and v > 0 for v in value) and (not n or len(value) == n)
            needed = f"a list of {f'{n} ' if n else ''}whole numbers from 1"
        if is_share:
            found, needed = number and 0 <= value <= 1, "a share from 0 to 1"
        if name in _BELOW_ONE:
            found, needed = number and 0 <= value < 1, "a share from 0 to below 1"
        if kind in ("int", "float") and isinstance(value, bool):
            found = False
        if not found:
            raise ValueError(f"found {name} = {value!r}{f' in [{table}]' if table else ''}; needed: {needed}")


_TABLES = ("recipe", "network", "onsets", "origin_perceptron", "strengths", "reworked", "gated")
_LISTS = ("demucs_models", "network_names", "script_names", "whole_names", "drawn_names", "further_parts")
_LEAST = {"n_folds": 2, "rounds": 1, "leaves": 2, "n_seeds": 1, "batch": 1, "width": 1, "members": 1, "n_steps": 1}
_BELOW_ONE = ("max_accused", "max_missed", "dropout", "input_dropout", "smoothing")
_SHARES = (
    "min_right", "min_right_processing", "distance_quantile", "family_threshold", "layers_threshold", "p_effects",
    "family_power", "share_of_rest", "share_of_start",
)  # fmt: skip


def left_out(path: Path, settings: Config) -> list[str]:
    """Say which parts of a recipe are not made because no folder of their separators was given.

    Args:
        path: TOML file that the settings were read from.
        settings: as :func:`load` made them, with the folders that were given.

    Returns:
        A line for each option that was not given and would have added rows: parts of
        :data:`training.examples.PARTS` with the separators' names, and why they are left out.

    Raises:
        ValueError: as :func:`load` has it.
    """
    written, kept = load(path).recipe, settings.recipe
    named = {key for keys in _NAMES_OF.values() for key in keys}
    lines = []
    for option, keys in _NAMES_OF.items():
        parts = []
        for part, made in PARTS.items():
            of_part = [key for key in made.settings if key in keys]
            gone = [name for key in of_part for name in _names(written, key) if name not in _names(kept, key)]
            if gone and (part not in _AMOUNTS or getattr(written, _AMOUNTS[part])):
                in_part = part in _ALSO_WITHOUT or any(_names(kept, key) for key in made.settings if key in named)
                parts.append(f"{'some of ' if in_part else ''}{part} (by {', '.join(gone)})")
        if parts:
            lines.append(f"left out of the recipe: {'; '.join(parts)}: no folder was given in {option}")
    return lines


def _names(recipe: Recipe, key: str) -> tuple[str, ...]:
    """Names under a key of a recipe, which holds several or one."""
    value: str | tuple[str, ...] = getattr(recipe, key)
    return tuple(filter(None, (value,))) if isinstance(value, str) else value


def layered(path: Path) -> dict[str, Any]:
    """Return the keys of a TOML file over those of the file beside it that its ``base`` names, table by table.

    Args:
        path: TOML file.

    Raises:
        ValueError: no TOML, or the base is not there, or has a base itself.
    """
    data = _read(path)
    if "base" not in data:
        return data
    file = path.with_name(str(data.pop("base")))
    if not file.is_file():
        raise ValueError(f"{path}: found no base {file.name} beside it; needed: a TOML file")
    merged = _read(file)
    if "base" in merged:
        raise ValueError(f"{path}: found a base in its base {file.name}; needed: one without")
    for name, value in data.items():
        below = merged.get(name, {})
        merged[name] = below | value if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: found no TOML ({error}); needed: a configuration like stem-v1.toml") from error


def _statistics(head: str, data: dict[str, Any]) -> Boosting | Perceptron:
    return Perceptron(**data) if head == "sdr" and "n_steps" in data else Boosting(**data)


def _network(data: dict[str, Any]) -> Network:
    for name in ("channels", "cycles", "further_cycles"):
        if name in data:
            if not isinstance(data[name], list | tuple):
                raise TypeError(f"found {name} = {data[name]!r}, which is no list")
            data[name] = tuple(data[name])
    return Network(**data)


def to_json(config: Config) -> str:
    """Return a configuration as JSON, without the folder of local weights."""
    plain = dataclasses.asdict(dataclasses.replace(config, recipe=without_repo(config.recipe)))
    return json.dumps(plain, indent=2)
