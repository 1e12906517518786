"""The networks over the maps of a window: what it is, how it learns, and where its weights lie."""

from __future__ import annotations

from training.texture_net.drawing import N_CROP, Batch, augment, batches, crops, units
from training.texture_net.files import between, load, save
from training.texture_net.learning import SDR_SCALE_DB, Learner, Targets, fit
from training.texture_net.network import N_BANDS, SPREAD_FLOOR, Ensemble, Network, TextureNet, unpack
from training.texture_net.onsets import OnsetNet
from training.texture_net.views import ONSETS, SPECTRUM, View, run

__all__ = [
    "N_BANDS",
    "N_CROP",
    "ONSETS",
    "SDR_SCALE_DB",
    "SPECTRUM",
    "SPREAD_FLOOR",
    "Batch",
    "Ensemble",
    "Learner",
    "Network",
    "OnsetNet",
    "Targets",
    "TextureNet",
    "View",
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
