"""The network over the map of a window: what it is, how it learns, and where its weights lie."""

from __future__ import annotations

from training.texture_net.drawing import N_CROP, Batch, augment, batches, crops, units
from training.texture_net.files import between, load, save
from training.texture_net.learning import SDR_SCALE_DB, Learner, Targets, fit
from training.texture_net.network import N_BANDS, SPREAD_FLOOR, Ensemble, Network, TextureNet, run, unpack

__all__ = [
    "N_BANDS",
    "N_CROP",
    "SDR_SCALE_DB",
    "SPREAD_FLOOR",
    "Batch",
    "Ensemble",
    "Learner",
    "Network",
    "Targets",
    "TextureNet",
    "augment",
    "batches",
    "between",
    "crops",
    "fit",
    "load",
    "run",
    "save",
    "units",
    "unpack",
]
