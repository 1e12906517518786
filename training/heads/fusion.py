"""How trees, perceptron and networks are put together, and what is taken off log odds above the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from provenance.model import GATED_FROM
from training import texture_net
from training.heads.trees import Array, Outputs
from training.perceptron import Perceptron
from training.texture_net import Ensemble, Network


@dataclass(frozen=True)
class Voice:
    """One of those that speak of the origin.

    Args:
        spread: standard deviation of its held-out log odds.
        share: its weight beside the others.
    """

    spread: float = 1.0
    share: float = 0.0

    @property
    def factor(self) -> float:
        """What its log odds are multiplied by."""
        return self.share / self.spread


@dataclass(frozen=True)
class Fusion:
    """How trees, perceptron and networks are put together: log odds over their spread, then a weighted mean.

    Args:
        tree, net, onset, perceptron: each voice, named as its log odds are: ``tree_logit`` and so on.
        net_share_of_rest: weight of the network over the spectrum in the other heads.
        allowance: what a rework that is certain takes off the log odds of an extraction, one of even odds nothing.
        line: where that ends: log odds just below the line to ``separated``. Below it nothing is taken off, so that
            a rework keeps a stem from being accused and clears none. What was gated bin by bin is never above it.
    """

    tree: Voice = Voice(share=1.0)
    net: Voice = Voice()
    onset: Voice = Voice()
    perceptron: Voice = Voice()
    net_share_of_rest: float = 0.0
    allowance: float = 0.0
    line: float = np.inf


VOICES = ("tree", "net", "onset", "perceptron")


def spread_of(
    outputs: Outputs, network: Network, onsets: Network, perceptron: Perceptron | None, rows: npt.NDArray[np.bool_]
) -> Fusion:
    """Measure the spread of held-out log odds; no label is looked at.

    Args:
        outputs: of trees, perceptron and networks.
        network, onsets, perceptron: their shares.
        rows: held-out rows to measure on.
    """
    spread = {v: float(np.nanstd(outputs[f"{v}_logit"][rows])) for v in VOICES if f"{v}_logit" in outputs}
    share = {"net": network.share, "onset": onsets.share, "perceptron": perceptron.share if perceptron else 0.0}
    share = {name: share[name] for name in spread if name != "tree"}
    share["tree"] = 1 - sum(share.values())
    voices = {name: Voice(spread[name], share[name]) for name in spread}
    return Fusion(**voices, net_share_of_rest=network.share_of_rest if "net" in spread else 0.0)


def fuse(outputs: Outputs, fusion: Fusion) -> Outputs:
    """Return the model's outputs: ``logit``, ``distance``, and those of ``p_processing``, ``sdr_db``, ``p_effects``,
    ``strengths``, ``p_kind``, ``p_submix``, ``p_reworked`` and ``p_gated`` that trees or network have.

    Args:
        outputs: what trees and network said.
        fusion: weights.
    """
    heard = [getattr(fusion, v).factor * outputs[f"{v}_logit"] for v in VOICES if f"{v}_logit" in outputs]
    fused = {"logit": sum(heard[1:], heard[0]), "distance": outputs["distance"]}
    if "tree_reworked" in outputs:
        fused["p_reworked"] = outputs["tree_reworked"]
        taken = fusion.allowance * beyond_doubt(outputs["tree_reworked"])
        fused["logit"] = guarded(fused["logit"], taken, fusion.line)
    if "tree_gated" in outputs:
        fused["p_gated"] = outputs["tree_gated"]
        fused["logit"] = guarded(fused["logit"], held_back(outputs["tree_gated"]), fusion.line)
    names = {"p_processing": "processing", "sdr_db": "sdr_db", "p_effects": "effects", "p_kind": "kind",
             "p_submix": "submix", "strengths": "strengths"}  # fmt: skip
    for name, head in names.items():
        tree, net = outputs.get(f"tree_{head}"), outputs.get(f"net_{head}")
        if tree is not None and net is not None and fusion.net_share_of_rest:
            fused[name] = (1 - fusion.net_share_of_rest) * tree + fusion.net_share_of_rest * net
        elif tree is not None or net is not None:
            fused[name] = tree if tree is not None else net
    return fused


def guarded(logit: npt.NDArray[np.float64], taken: npt.NDArray[np.float64], line: Any) -> npt.NDArray[np.float64]:
    """Return log odds with something taken off those above a line, but not beyond it.

    Args:
        logit: log odds of windows.
        taken: what to take off each.
        line: log odds, of each or of all.
    """
    return np.maximum(np.minimum(logit, line), logit - taken)


def beyond_doubt(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return probabilities stretched from 0 at even odds and below to 1 at certainty."""
    return np.maximum(0.0, 2 * p - 1)


def held_back(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what is taken off for :func:`guarded` where something counts as gated: all there is.

    Args:
        p: probability of each window.
    """
    return np.where(p > GATED_FROM, np.inf, 0.0)


def run_network(
    net: Ensemble, maps: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], n_frames: npt.NDArray[np.int64]
) -> Outputs:
    """Return what the networks say of whole windows, as probabilities and decibels.

    Args:
        net: fitted networks.
        maps, rows, n_frames: as for :func:`training.texture_net.run`.
    """
    raw = texture_net.run(net, maps, rows, n_frames)
    return {
        "net_logit": raw["logit"][:, 0].astype(np.float64),
        "net_sdr_db": raw["sdr"][:, 0].astype(np.float64) * texture_net.SDR_SCALE_DB,
        "net_processing": _softmax(raw["processing"]),
        "net_effects": _sigmoid(raw["effects"]),
        "net_kind": _softmax(raw["kind"]),
        "net_submix": _sigmoid(raw["layers"][:, 0]),
    }


def run_onset_network(
    net: Ensemble, onsets: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], n_frames: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the log odds that networks over onsets give whole windows, (n,).

    Args:
        net: fitted networks.
        onsets, rows, n_frames: as for :func:`training.texture_net.run`.
    """
    raw = texture_net.run(net, onsets, rows, n_frames, texture_net.ONSETS)
    return raw["logit"][:, 0].astype(np.float64)


def _sigmoid(z: Array) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-z.astype(np.float64)))


def _softmax(z: Array) -> npt.NDArray[np.float64]:
    e = np.exp(z.astype(np.float64) - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
