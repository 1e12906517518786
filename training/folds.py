"""The models of the folds: fitted where they are missing, kept in a folder, and asked of what they never saw."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import warnings
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from provenance import frontend
from training import calibrate as fitting
from training import config, dataset, evaluate, heads, texture_net
from training.examples import DEGRADED, OUT_OF_MIXES
from training.heads import Outputs, Trees
from training.perceptron import Perceptron
from training.texture_net import Ensemble, Network, View

HEADS_ON_ALL = ("processing", "effects", "strengths", "origin", "origin_perceptron", "reworked", "gated")
"""The heads that see statistics of production and of the waveform too; what others make of them stands in LOG.md."""
_Fit = Callable[[np.ndarray[Any, Any], pd.DataFrame, config.Config], Any]
_STEPS: dict[str, _Fit] = {
    "distance": lambda features, meta, settings: fitting.fit_distance(features),
    "sdr": lambda features, meta, settings: heads.fit_sdr(features, meta, settings.sdr, settings.seed),
    "processing": lambda features, meta, settings: heads.fit_processing(
        features, meta, settings.processing, settings.seed
    ),
    "effects": lambda features, meta, settings: heads.fit_effects(features, meta, settings.effects, settings.seed),
    "strengths": lambda features, meta, settings: heads.fit_strengths(
        features, meta, settings.strengths, settings.seed
    ),
    "kind": lambda features, meta, settings: heads.fit_kind(features, meta, settings.kind, settings.seed),
    "layers": lambda features, meta, settings: heads.fit_layers(features, meta, settings.layers, settings.seed),
    "reworked": lambda features, meta, settings: heads.fit_reworked(features, meta, settings.reworked, settings.seed),
    "gated": lambda features, meta, settings: heads.fit_gated(features, meta, settings.gated, settings.seed),
    "origin": lambda features, meta, settings: heads.fit_origin(features, meta, settings.origin, settings.seed),
    "origin_perceptron": lambda features, meta, settings: heads.fit_origin_perceptron(
        features, meta, settings.origin_perceptron, settings.origin.family_power, settings.seed
    ),
}


@dataclass
class Trained:
    """Trees, and the networks where the configuration has any."""

    trees: Trees
    net: Ensemble | None
    onset_net: Ensemble | None = None

    def run(self, table: dataset.Table, rows: np.ndarray[Any, Any]) -> Outputs:
        """Return what both say of the rows with these numbers."""
        return self.trees.run(table.features[rows]) | self.run_networks(table, rows)

    def run_networks(self, table: dataset.Table, rows: np.ndarray[Any, Any]) -> Outputs:
        """Return what the networks say of the rows with these numbers; nothing where there are none."""
        n_frames = table.meta["n_frames"].to_numpy()
        out: Outputs = {}
        if self.net is not None:
            assert table.maps is not None  # a recipe with a network keeps maps
            out |= heads.run_network(self.net, table.maps, rows, n_frames)
        if self.onset_net is not None:
            assert table.onsets is not None
            out["onset_logit"] = heads.run_onset_network(self.onset_net, table.onsets, rows, n_frames)
        return out


def fit_missing(
    table: dataset.Table, settings: config.Config, cache: Path, workers: int, wanted: Collection[str] = ()
) -> None:
    """Fit every head of every fold, and of all, that is not in the cache; heads side by side.

    Args:
        table: described rows.
        settings: of the heads.
        cache: folder of fitted heads.
        workers: processes.
        wanted: names of heads with trees; empty for all of them and the network.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folds: list[int | None] = [*range(settings.n_folds), None]
    names = list(wanted) or [*_STEPS, *(name for name, (network, _) in _networks(settings).items() if network.cycles)]
    jobs = [
        (table, settings, fold, name, cache)
        for name in reversed(names)
        for fold in folds
        if not file_of(table, settings, fold, name, cache).exists()
    ]
    if workers <= 1:
        for job in jobs:
            _fit_one(*job)
        return
    # boosting with two threads on a busy core spins more than it computes
    with ProcessPoolExecutor(min(workers, len(jobs) or 1), initializer=dataset.limit_threads) as pool:
        dataset.results([pool.submit(_fit_one, *job) for job in jobs])


def _fit_one(table: dataset.Table, settings: config.Config, fold: int | None, name: str, cache: Path) -> None:
    warnings.filterwarnings("ignore", message=".*n_jobs.*")
    file = file_of(table, settings, fold, name, cache)
    rows = np.flatnonzero(evaluate.training_rows(table.meta, fold))
    if name in _networks(settings):
        network, view = _networks(settings)[name]
        maps = table.maps if name == "net" else table.onsets
        assert maps is not None  # a recipe with a network keeps maps
        checkpoint = file.with_suffix(".epoch")
        start = texture_net.load(start_of(file), network, view) if network.begun else None
        net = texture_net.fit(maps, rows, table.meta, network, settings.seed, checkpoint, start, view)
        texture_net.save(net, file)
        return
    part = file.with_suffix(f".{os.getpid()}.part")
    features = table.features[rows] if name in HEADS_ON_ALL else table.features[rows, : frontend.N_TEXTURE]
    joblib.dump(_STEPS[name](features, table.meta.iloc[rows].reset_index(drop=True), settings), part)
    os.replace(part, file)


def load(table: dataset.Table, settings: config.Config, fold: int | None, cache: Path) -> Trained:
    """Load what was fitted without a fold.

    Args:
        table: described rows.
        settings: of the heads.
        fold: held out, or None.
        cache: folder of fitted heads.
    """
    trees = Trees(**{name: load_head(table, settings, fold, name, cache) for name in _STEPS})
    nets = [
        load_networks(table, settings, fold, name, cache) if network.cycles else None
        for name, (network, _) in _networks(settings).items()
    ]
    return Trained(trees, *nets)


def load_head(table: dataset.Table, settings: config.Config, fold: int | None, name: str, cache: Path) -> Any:
    """Load the trees of one head that were fitted without a fold.

    Args:
        table: described rows.
        settings: of the heads.
        fold: held out, or None.
        name: of the head.
        cache: folder of fitted heads.
    """
    return joblib.load(file_of(table, settings, fold, name, cache))


def load_networks(table: dataset.Table, settings: config.Config, fold: int | None, name: str, cache: Path) -> Ensemble:
    """Load the networks that were fitted without a fold, put between their start and themselves where they have one.

    Args:
        table: described rows.
        settings: of the heads.
        fold: held out, or None.
        name: of the networks: ``net`` or ``onsets``.
        cache: folder of fitted heads.
    """
    file, (network, view) = file_of(table, settings, fold, name, cache), _networks(settings)[name]
    net = texture_net.load(file, network, view)
    if network.begun:
        net = texture_net.between(texture_net.load(start_of(file), network, view), net, network.share_of_start)
    return net


def judge_folds(table: dataset.Table, settings: config.Config, cache: Path) -> tuple[Outputs, heads.Fusion]:
    """Let the model without each fold judge that fold's units.

    Args:
        table: described rows.
        settings: of the heads.
        cache: folder of fitted heads.

    Returns:
        Fused outputs, and how they were fused; of origin on clips as they are, reworked, denoised and degraded ones,
        sums of stems and whole mixes parted, where networks speak of nothing else, the rest on all rows.
    """
    held: Outputs = {}
    for fold in range(settings.n_folds):
        trained = load(table, settings, fold, cache)
        inside = (table.meta["fold"] == fold).to_numpy()
        asked = inside
        if trained.trees.complete and not settings.network.share_of_rest:  # then the networks speak of origin alone
            kind = table.meta["kind"]
            also = kind.str.startswith(DEGRADED) | table.meta["pair"].str.contains(OUT_OF_MIXES)
            own = ["clean", "bundle", "edited", "gated", "cleaned"]
            own += ["reworked"] if trained.trees.reworked is not None else []
            asked = inside & (kind.isin(own) | also).to_numpy()
        said = [(np.flatnonzero(inside), trained.trees.run(table.features[inside]))]
        rows = np.flatnonzero(asked)
        said.append((rows, trained.run_networks(table, rows)))
        for rows, found in said:
            for name, values in found.items():
                whole = held.setdefault(name, np.full((len(table.meta), *values.shape[1:]), np.nan))
                whole[rows] = values
    judged = evaluate.unseen_rows(table.meta, settings.n_folds)
    fusion = heads.spread_of(held, settings.network, settings.onsets, settings.origin_perceptron, judged)
    held = heads.fuse(held, fusion)
    if "p_reworked" in held:
        held, allowance = evaluate.allow_for_rework(table.meta, held)
        fusion = dataclasses.replace(fusion, allowance=allowance)
    if "p_gated" in held:
        held["barred"] = heads.held_back(held["p_gated"])
    return held, fusion


def file_of(table: dataset.Table, settings: config.Config, fold: int | None, name: str, cache: Path) -> Path:
    """Name a fitted head by all that it depends on: the rows with their labels, its own settings, the fold.

    Args:
        table: described rows.
        settings: of the heads.
        fold: held out, or None.
        name: of the head, or of networks.
        cache: folder of fitted heads.
    """
    digest = hashlib.sha256(table.digest)
    own, networks = getattr(settings, name, None), _networks(settings)
    if name in networks:  # the shares of the fusion do not change the fit
        own = [value for key, value in sorted(vars(networks[name][0]).items()) if not key.startswith("share")]
    if isinstance(own, Perceptron):  # its rows are weighted as those of the trees
        own = (dataclasses.replace(own, share=0.0), settings.origin.family_power)
    digest.update(repr((name, own, fold, settings.seed, name in HEADS_ON_ALL)).encode())
    return cache / f"{digest.hexdigest()[:20]}-{name}{'.pt' if name in networks else '.joblib'}"


def start_of(file: Path) -> Path:
    """Return where the networks lie that a fit begins with.

    Args:
        file: of the fitted networks.
    """
    return file.with_suffix(".start")


def _networks(settings: config.Config) -> dict[str, tuple[Network, View]]:
    """Settings of each network, and what it sees."""
    return {"net": (settings.network, texture_net.SPECTRUM), "onsets": (settings.onsets, texture_net.ONSETS)}
