"""The fit: targets and losses of the heads, a network that learns, and epochs that can be gone on from."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from training import labels
from training.precision import round_weights
from training.texture_net.drawing import batches, unit_of_row
from training.texture_net.network import Ensemble, Network
from training.texture_net.views import SPECTRUM, View

SDR_SCALE_DB = 10.0


@dataclass
class Targets:
    """What is known of each row; NaN or -1 where it is not.

    Args:
        origin: (n,), 1 separated.
        sdr: (n,), decibels over SDR_SCALE_DB.
        processing, kind: (n,), class numbers.
        effects: (n, n_effects), 0, 1 or NaN.
        layers: (n,), 1 several performances.
    """

    origin: npt.NDArray[np.float32]
    sdr: npt.NDArray[np.float32]
    processing: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    effects: npt.NDArray[np.float32]
    layers: npt.NDArray[np.float32]

    @classmethod
    def of(cls, meta: pd.DataFrame) -> Targets:
        """Read them off the rows' columns."""
        return cls(
            (meta["origin"] == "separated").to_numpy(np.float32),
            (labels.sdr(meta) / SDR_SCALE_DB).astype(np.float32),
            labels.processing(meta),
            labels.kind(meta),
            labels.effects(meta),
            labels.layers(meta),
        )

    def tensors(self, device: torch.device) -> dict[str, torch.Tensor]:
        """Return them by name."""
        return {name: torch.from_numpy(np.ascontiguousarray(v)).to(device) for name, v in vars(self).items()}


class Learner:
    """A network that learns, with its optimiser and the running mean of its weights.

    Args:
        settings: of the network and the fit.
        device: where it computes.
        view: what it sees.

    Raises:
        ValueError: maps are to be mixed, and the network has other heads than that of origin.
    """

    def __init__(self, settings: Network, device: torch.device, view: View = SPECTRUM) -> None:
        if settings.mixing and set(view.net.HEADS) != {"logit"}:
            raise ValueError(f"found mixing = {settings.mixing:g}; needed: 0 for a network that tells more than origin")
        self.settings, self.view = settings, view
        self.net = view.net(settings).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = copy.deepcopy(self.net).requires_grad_(False)
        groups = [
            {"params": [p for p in self.net.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in self.net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.rate, fused=device.type == "cuda")
        self.device = device
        self.steps = 0

    def step(self, x: torch.Tensor, truth: dict[str, torch.Tensor], n_pairs: int) -> dict[str, torch.Tensor]:
        """Learn from a batch and return its losses.

        Args:
            x: as the view draws them.
            truth: targets of the same rows, as :meth:`Targets.tensors` names them.
            n_pairs: the first ``2 * n_pairs`` are extraction and twin in turn.
        """
        if self.settings.mixing:
            x, origin = mixed(x, truth["origin"], n_pairs, self.settings.mixing)
            truth = truth | {"origin": origin}
        with torch.autocast(self.device.type, torch.bfloat16):
            outputs = self.net(x)
        said = {name: value.float() for name, value in zip(self.net.HEADS, outputs, strict=True)}
        losses = _losses(said, truth, n_pairs, self.settings)
        self.optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.steps += 1
        keep = min(self.settings.smoothing, self.steps / (10 + self.steps))
        with torch.no_grad():
            for ours, theirs in zip(self.mean.parameters(), self.net.parameters(), strict=True):
                ours.lerp_(theirs, 1 - keep)
        return {name: loss.detach() for name, loss in losses.items()}

    def fitted(self) -> nn.Module:
        """Return the running mean of the weights, linear layers rounded, in evaluation mode, on the CPU."""
        fitted = self.view.net(self.settings)
        fitted.load_state_dict(self.mean.state_dict())
        for ours, theirs in zip(fitted.buffers(), self.net.buffers(), strict=True):  # batch norms are running means
            ours.copy_(theirs)
        round_weights(fitted)
        return fitted.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def mixed(x: torch.Tensor, origin: torch.Tensor, n_pairs: int, beta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each unit of a batch with another, twins with twins by one share, so that extraction stays above true stem.

    Source: H. Zhang et al., mixup: beyond empirical risk minimization, ICLR 2018.

    Args:
        x: float32 (n, ...).
        origin: float32 (n,), 1 separated.
        n_pairs: the first ``2 * n_pairs`` are extraction and twin in turn.
        beta: both parameters of the distribution of shares; torch's own generator draws them.

    Returns:
        Both mixed.
    """
    pairs = 2 * torch.randperm(n_pairs)[:, None] + torch.arange(2)
    single = 2 * n_pairs + torch.randperm(len(x) - 2 * n_pairs)
    other = torch.cat([pairs.reshape(-1), single]).to(x.device)
    shares = torch.distributions.Beta(beta, beta).sample((len(x) - n_pairs,))
    share = shares[unit_of_row(len(x), n_pairs)].to(x.device)
    wide = share.reshape(-1, *[1] * (x.ndim - 1))
    return torch.lerp(x[other], x, wide), torch.lerp(origin[other], origin, share)


def _losses(
    found: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], n_pairs: int, settings: Network
) -> dict[str, torch.Tensor]:
    """Losses of the heads over the rows where their truth is known; nothing here waits for a GPU."""
    binary = nn.functional.binary_cross_entropy_with_logits
    logit = found["logit"][:, 0]
    losses = {"origin": binary(logit, truth["origin"] * 0.96 + 0.02)}
    if n_pairs:
        pairs = logit[: 2 * n_pairs].reshape(-1, 2)
        short = settings.margin - pairs[:, 0] + pairs[:, 1]
        losses["margin"] = settings.margin_weight * nn.functional.softplus(short).mean()

    def over_known(name: str, said: torch.Tensor, loss: Callable[..., torch.Tensor]) -> torch.Tensor:
        known = ~torch.isnan(truth[name])
        each = loss(said, torch.nan_to_num(truth[name]), reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)

    if "sdr" not in found:
        return losses
    losses["sdr"] = 0.3 * over_known("sdr", found["sdr"][:, 0], nn.functional.smooth_l1_loss)
    losses["effects"] = 0.5 * over_known("effects", found["effects"], binary)
    losses["layers"] = 0.2 * over_known("layers", found["layers"][:, 0], binary)
    for name in ("processing", "kind"):
        each = nn.functional.cross_entropy(found[name], truth[name], ignore_index=-1, reduction="sum")
        losses[name] = 0.3 * each / (truth[name] >= 0).sum().clamp_min(1)
    return losses


def fit(
    maps: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    meta: pd.DataFrame,
    settings: Network,
    seed: int,
    checkpoint: Path,
    start: Ensemble | None = None,
    view: View = SPECTRUM,
) -> Ensemble:
    """Fit the networks one after the other, on a GPU where there is one; an interrupted fit goes on after its last
    whole epoch.

    Maps are read from disk as they are needed; :mod:`training.nets` fits faster where they fit into a GPU's memory.

    Args:
        maps: packed maps of all rows.
        rows: which to learn from.
        meta: columns of all rows.
        settings: of the network and the fit.
        seed: of weights, order and augmentation.
        checkpoint: file of the last epoch of the first; its text beside it tells the losses.
        start: networks to go on from, as many as the settings want; without any they begin at random.
        view: what they see of the maps.

    Returns:
        The networks with the running means of their weights, in evaluation mode, on the CPU.
    """
    files = [checkpoint, *(checkpoint.with_stem(f"{checkpoint.stem}-{k}") for k in range(1, settings.members))]
    begun = [None] * settings.members if start is None else list(start.members)
    each = [
        _fit_member(maps, rows, meta, settings, seed + 1000 * k, file, net, view)
        for k, (file, net) in enumerate(zip(files, begun, strict=True))
    ]
    return Ensemble(each).eval()


def _fit_member(
    maps: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    meta: pd.DataFrame,
    settings: Network,
    seed: int,
    checkpoint: Path,
    start: nn.Module | None,
    view: View,
) -> nn.Module:
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learner = Learner(settings, device, view)
    if start is not None:
        learner.net.load_state_dict(start.state_dict())
        learner.mean.load_state_dict(start.state_dict())
    truth = Targets.of(meta).tensors(device)
    n_frames = meta["n_frames"].to_numpy()
    n_steps = settings.n_steps
    schedule = _schedule(learner.optimiser, settings, 0)
    parts = {"net": learner.net, "mean": learner.mean, "optimiser": learner.optimiser, "schedule": schedule}
    first, log = 0, []
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=device)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        first, log = int(state["epoch"]), json.loads(state["log"])
        learner.steps = first * n_steps
    starts = np.cumsum((0, *settings.cycles))
    for epoch in range(first, int(starts[-1])):
        if epoch and epoch in starts:
            schedule = parts["schedule"] = _schedule(learner.optimiser, settings, list(starts).index(epoch))
        rng = np.random.default_rng([seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        torch.manual_seed(int(rng.integers(2**62)))  # dropout and mixing draw from torch's own generator
        learner.net.train()
        sums: dict[str, float] = {}
        drawn = batches(rows, meta, settings.family_power, settings.batch, n_steps, rng)
        for batch in tqdm(drawn, total=n_steps, desc=f"epoch {epoch + 1}", unit="step", mininterval=5):
            x = view.draw(maps, batch, n_frames, rng, generator).to(device)
            chosen = torch.from_numpy(batch.rows).to(device)
            losses = learner.step(x, {name: value[chosen] for name, value in truth.items()}, batch.n_pairs)
            schedule.step()
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss)
        log.append({"epoch": epoch + 1, **{k: round(v / n_steps, 4) for k, v in sums.items()}})
        _save(checkpoint, parts, epoch + 1, log)
    return learner.fitted()


def _schedule(optimiser: torch.optim.Optimizer, settings: Network, cycle: int) -> torch.optim.lr_scheduler.OneCycleLR:
    rate, total_steps = settings.rate / 2**cycle, settings.n_steps * settings.cycles[cycle]
    return torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=total_steps, pct_start=0.15)


def _save(file: Path, parts: dict[str, Any], epoch: int, log: list[dict[str, float]]) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    part = file.with_suffix(f".{os.getpid()}.part")
    torch.save({**state, "epoch": epoch, "log": json.dumps(log)}, part)
    os.replace(part, file)
    file.with_suffix(".log.json").write_text(json.dumps(log, indent=1), encoding="utf-8")
