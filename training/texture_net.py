"""The network: a small convolutional net over the map of a window, pooled within bands, with all heads on one trunk.

Timbre is taken off twice before the first convolution: over frequency by the map's texture channel, over time by the
mean of each bin's level. What is left is pooled over time and within sixteen bands; one layer judges every band,
knowing which it is, and the heads see the mean and the maximum over bands, so that a trace in one band alone counts.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from provenance import frontend
from provenance.model import EFFECTS, KINDS, PROCESSINGS
from training import labels

N_BANDS = 16
N_CROP = 86
"""Frames a training example is cut to: 2 s."""
SDR_SCALE_DB = 10.0
SPREAD_FLOOR = 1e-4
"""Added to the variance within a band before its root is taken."""


@dataclass(frozen=True)
class Network:
    """Settings of the network.

    Args:
        channels: of the four convolutions.
        width: of the layer that judges a band.
        cycles: epochs of each cycle of the learning rate, which rises to half the height of the cycle before; empty
            leaves the network out. A checkpoint follows each epoch.
        n_steps: steps an epoch.
        batch: units a step, where a unit is an extraction with its twin or a row alone.
        rate: highest learning rate of the first cycle.
        further_cycles, further_rate: the same for networks that were fitted elsewhere and are fitted on.
        begun: whether they begin with such networks; ``training.fit --further`` sets it.
        weight_decay: of AdamW.
        dropout: of the pooled statistics and of the hidden layer.
        smoothing: of the running mean of the weights, which is what is kept.
        margin: log odds by which an extraction should lie above its twin.
        margin_weight: of that loss.
        family_power: how much less the rows of a large family of separators count, 0 to 1.
        share: weight of the network's log odds in the fused score, 0 to 1.
        share_of_rest: its weight in the other heads; where trees have no such head the network's counts whole.
        share_of_start: weight of what they began with in the weights of networks that were fitted on, 0 to 1.
        members: networks from different beginnings whose raw outputs are averaged.
    """

    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    width: int = 96
    cycles: tuple[int, ...] = (20,)
    n_steps: int = 500
    batch: int = 26
    rate: float = 2e-3
    further_cycles: tuple[int, ...] = (3,)
    further_rate: float = 6e-4
    begun: bool = False
    weight_decay: float = 0.02
    dropout: float = 0.3
    smoothing: float = 0.998
    margin: float = 2.0
    margin_weight: float = 0.5
    family_power: float = 0.0
    share: float = 0.5
    share_of_rest: float = 0.0
    share_of_start: float = 0.0
    members: int = 1


class TextureNet(nn.Module):
    """Map of a window to log odds of extraction, SDR, processing, effects and kind of separator.

    Args:
        settings: widths and dropout.
    """

    HEADS: ClassVar[dict[str, int]] = {
        "logit": 1,
        "sdr": 1,
        "processing": len(PROCESSINGS),
        "effects": len(EFFECTS),
        "kind": len(KINDS),
        "layers": 1,
    }
    HIDDEN: ClassVar[int] = 128

    def __init__(self, settings: Network) -> None:
        super().__init__()
        a, b, c, d = settings.channels
        self.trunk = nn.Sequential(
            *_convolution(2, a, (3, 7), (2, 2)),
            *_convolution(a, b, (3, 5), (1, 4)),
            *_convolution(b, c, (3, 3), (2, 2)),
            *_convolution(c, d, (3, 3), (1, 2)),
        )
        self.n_bins_out = frontend.N_MAP_BINS // 32
        self.dropout = nn.Dropout(settings.dropout)
        self.band = nn.Linear(2 * d, settings.width)
        self.place = nn.Parameter(torch.zeros(N_BANDS, settings.width))
        self.hidden = nn.Sequential(nn.Linear(2 * settings.width, self.HIDDEN), nn.ReLU(), nn.Dropout(settings.dropout))
        self.heads = nn.ModuleDict({name: nn.Linear(self.HIDDEN, n) for name, n in self.HEADS.items()})

    def forward(self, spectrum: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return raw outputs in the order of HEADS, each (n, width of the head).

        Args:
            spectrum: float32 (n, 2, n_frames, 1024).
        """
        level = spectrum[:, 1:]
        x = self.trunk(torch.cat([spectrum[:, :1], level - level.mean(dim=2, keepdim=True)], dim=1))
        n, channels, frames, bins = x.shape
        x = x.reshape(n, channels, frames, N_BANDS, bins // N_BANDS)
        mean = x.mean(dim=(2, 4))
        deviation = torch.sqrt(nn.functional.relu((x * x).mean(dim=(2, 4)) - mean * mean) + SPREAD_FLOOR)
        pooled = torch.cat([mean, deviation], dim=1).transpose(1, 2)
        bands = nn.functional.relu(self.band(self.dropout(pooled)) + self.place)
        hidden = self.hidden(torch.cat([bands.mean(dim=1), bands.amax(dim=1)], dim=1))
        return tuple(head(hidden) for head in self.heads.values())


def _convolution(a: int, b: int, kernel: tuple[int, int], stride: tuple[int, int]) -> list[nn.Module]:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return [nn.Conv2d(a, b, kernel, stride, padding, bias=False), nn.BatchNorm2d(b), nn.ReLU()]


class Ensemble(nn.Module):
    """Networks whose raw outputs are averaged.

    Args:
        members: of the same settings.
    """

    def __init__(self, members: Iterable[TextureNet]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, spectrum: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return raw outputs, as :meth:`TextureNet.forward` does."""
        said = [member(spectrum) for member in self.members]
        return tuple(torch.stack(values).mean(dim=0) for values in zip(*said, strict=True))


@dataclass
class Targets:
    """What is known of each row; NaN or -1 where it is not.

    Args:
        origin: (n,), 1 separated.
        sdr: (n,), decibels over SDR_SCALE_DB.
        processing, kind: (n,), class numbers.
        effects: (n, n_effects), 0, 1 or NaN.
        layers: (n,), 1 several performances.
        weight: (n,), of the row in sampling.
    """

    origin: npt.NDArray[np.float32]
    sdr: npt.NDArray[np.float32]
    processing: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    effects: npt.NDArray[np.float32]
    layers: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float64]

    @classmethod
    def of(cls, meta: pd.DataFrame, family_power: float = 0.0) -> Targets:
        """Read them off the rows' columns; ``family_power`` as in the settings."""
        separated = (meta["origin"] == "separated").to_numpy()
        return cls(
            separated.astype(np.float32),
            (labels.sdr(meta) / SDR_SCALE_DB).astype(np.float32),
            labels.processing(meta),
            labels.kind(meta),
            labels.effects(meta),
            labels.layers(meta),
            labels.weights(meta, separated, family_power),
        )

    def tensors(self, device: torch.device) -> dict[str, torch.Tensor]:
        """Return all but the weight, by name."""
        return {
            name: torch.from_numpy(np.ascontiguousarray(value)).to(device)
            for name, value in vars(self).items()
            if name != "weight"
        }


def unpack(maps: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """Return packed maps as the network takes them, float32, where they lie.

    Args:
        maps: uint8 (n, 2, n_frames, 1024).
    """
    x = torch.as_tensor(maps).contiguous(memory_format=torch.channels_last).to(torch.float32)
    scale = x.new_tensor([0.25 / 16, 0.5 / 30]).reshape(1, 2, 1, 1)
    shift = x.new_tensor([frontend.TEXTURE_RANGE_DB[0] / 16, (frontend.LEVEL_RANGE_DB[0] + 60) / 30])
    return x.mul_(scale).add_(shift.reshape(1, 2, 1, 1))


def fit(
    maps: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    meta: pd.DataFrame,
    settings: Network,
    seed: int,
    checkpoint: Path,
    start: Ensemble | None = None,
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

    Returns:
        The networks with the running means of their weights, in evaluation mode, on the CPU.
    """
    files = [checkpoint, *(checkpoint.with_stem(f"{checkpoint.stem}-{k}") for k in range(1, settings.members))]
    begun = [None] * settings.members if start is None else list(start.members)
    each = [
        _fit_member(maps, rows, meta, settings, seed + 1000 * k, file, net)
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
) -> TextureNet:
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learner = Learner(settings, device)
    if start is not None:
        learner.net.load_state_dict(start.state_dict())
        learner.mean.load_state_dict(start.state_dict())
    targets = Targets.of(meta, settings.family_power)
    truth = targets.tensors(device)
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
        learner.net.train()
        sums: dict[str, float] = {}
        drawn = batches(rows, meta, targets.weight, settings.batch, n_steps, rng)
        for batch in tqdm(drawn, total=n_steps, desc=f"epoch {epoch + 1}", unit="step", mininterval=5):
            x = augment(unpack(crops(maps, batch, n_frames, rng)), batch.n_pairs, generator).to(device)
            chosen = torch.from_numpy(batch.rows).to(device)
            losses = learner.step(x, {name: value[chosen] for name, value in truth.items()}, batch.n_pairs)
            schedule.step()
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss)
        log.append({"epoch": epoch + 1, **{k: round(v / n_steps, 4) for k, v in sums.items()}})
        _save(checkpoint, parts, epoch + 1, log)
    return learner.fitted()


class Learner:
    """A network that learns, with its optimiser and the running mean of its weights.

    Args:
        settings: of the network and the fit.
        device: where it computes.
    """

    def __init__(self, settings: Network, device: torch.device) -> None:
        self.settings = settings
        self.net = TextureNet(settings).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
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
            x: maps (n, 2, n_frames, 1024).
            truth: targets of the same rows, as :meth:`Targets.tensors` names them.
            n_pairs: the first ``2 * n_pairs`` are extraction and twin in turn.
        """
        with torch.autocast(self.device.type, torch.bfloat16):
            outputs = self.net(x)
        losses = _losses(tuple(value.float() for value in outputs), truth, n_pairs, self.settings)
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

    def fitted(self) -> TextureNet:
        """Return the running mean of the weights, in evaluation mode, on the CPU."""
        fitted = TextureNet(self.settings)
        fitted.load_state_dict(self.mean.state_dict())
        for ours, theirs in zip(fitted.buffers(), self.net.buffers(), strict=True):  # batch norms are running means
            ours.copy_(theirs)
        return fitted.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def _schedule(optimiser: torch.optim.Optimizer, settings: Network, cycle: int) -> torch.optim.lr_scheduler.OneCycleLR:
    rate, total_steps = settings.rate / 2**cycle, settings.n_steps * settings.cycles[cycle]
    return torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=total_steps, pct_start=0.15)


def _save(file: Path, parts: dict[str, Any], epoch: int, log: list[dict[str, float]]) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    part = file.with_suffix(f".{os.getpid()}.part")
    torch.save({**state, "epoch": epoch, "log": json.dumps(log)}, part)
    os.replace(part, file)
    file.with_suffix(".log.json").write_text(json.dumps(log, indent=1), encoding="utf-8")


def save(net: Ensemble, file: Path) -> None:
    """Write the networks' weights, by write-then-rename.

    Args:
        net: fitted networks.
        file: where to.
    """
    part = file.with_suffix(f".{os.getpid()}.part")
    torch.save(net.state_dict(), part)
    os.replace(part, file)


def load(file: Path, settings: Network) -> Ensemble:
    """Read networks, in evaluation mode.

    Args:
        file: as :func:`save` wrote it.
        settings: they were made with.
    """
    net = Ensemble(TextureNet(settings) for _ in range(settings.members))
    net.load_state_dict(torch.load(file, weights_only=True))
    return net.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def between(start: Ensemble, end: Ensemble, share: float) -> Ensemble:
    """Return networks whose weights lie between those they began with and those they came to.

    Args:
        start, end: of the same settings.
        share: of the start, 0 to 1.

    Source: M. Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.
    """
    out, first = copy.deepcopy(end), start.state_dict()
    out.load_state_dict({
        name: share * first[name] + (1 - share) * value if value.is_floating_point() else value
        for name, value in end.state_dict().items()
    })  # fmt: skip
    return out.eval()


@dataclass
class Batch:
    """Row numbers of one step: extraction and twin in turn for the first ``2 * n_pairs``, single rows after them."""

    rows: npt.NDArray[np.int64]
    n_pairs: int


def units(
    rows: npt.NDArray[np.int64], meta: pd.DataFrame, weight: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return what a batch is drawn from, and the chance of each.

    Args:
        rows: which to learn from.
        meta: columns of all rows.
        weight: of all rows; a unit is drawn in proportion to the sum over its rows.

    Returns:
        Row numbers (n, 2) of an extraction and its twin, or of a row alone and -1; chances (n,).
    """
    known = meta.iloc[rows]
    separated = (known["origin"] == "separated").to_numpy()
    twins: dict[str, list[int]] = {}
    for row, pair, fake in zip(rows, known["pair"], separated, strict=True):
        if pair and not fake:
            twins.setdefault(pair, []).append(int(row))
    extractions: dict[str, list[int]] = {}
    found: list[tuple[int, int]] = []
    for row, pair, fake in zip(rows, known["pair"], separated, strict=True):
        if fake and pair in twins:
            extractions.setdefault(pair, []).append(int(row))
            found.append((int(row), twins[pair][0]))
        elif not (pair in twins and not fake):
            found.append((int(row), -1))
    found += [(twin[0], -1) for pair, twin in twins.items() if pair not in extractions]
    members = np.array(found, np.int64)
    chance = weight[members[:, 0]] + np.where(members[:, 1] >= 0, weight[members[:, 1]], 0.0)
    return members, chance / chance.sum()


def batches(
    rows: npt.NDArray[np.int64],
    meta: pd.DataFrame,
    weight: npt.NDArray[np.float64],
    size: int,
    n_steps: int,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Draw batches of units: an extraction with its twin, or a row that has none.

    Args:
        rows: which to learn from.
        meta: columns of all rows.
        weight: of all rows; a unit is drawn in proportion to the sum over its rows.
        size: units a batch.
        n_steps: batches.
        rng: of the draw.
    """
    members, chance = units(rows, meta, weight)
    for _ in range(n_steps):
        chosen = members[rng.choice(len(members), size, p=chance)]
        paired = chosen[:, 1] >= 0
        yield Batch(np.concatenate([chosen[paired].reshape(-1), chosen[~paired, 0]]), int(paired.sum()))


def crops(
    maps: npt.NDArray[np.uint8], batch: Batch, n_frames: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Cut two seconds out of each row's map; twins are cut at the same place, short maps are repeated.

    Args:
        maps: packed maps of all rows.
        batch: which.
        n_frames: of all rows.
        rng: of the place.
    """
    out = np.empty((len(batch.rows), 2, N_CROP, maps.shape[3]), np.uint8)
    start = 0
    for k, row in enumerate(batch.rows):
        n = int(n_frames[row])
        if k >= 2 * batch.n_pairs or k % 2 == 0:
            start = int(rng.integers(0, max(1, n - N_CROP + 1)))
        at = min(start, max(0, n - N_CROP))
        part = maps[row, :, at : min(n, at + N_CROP)]
        out[k] = part if part.shape[1] == N_CROP else np.take(part, np.arange(N_CROP) % part.shape[1], axis=1)
    return out


def augment(x: torch.Tensor, n_pairs: int, generator: torch.Generator) -> torch.Tensor:
    """Hide bands and moments, cut the top off, and bend the level, alike for twins.

    Args:
        x: maps (n, 2, n_frames, 1024).
        n_pairs: the first ``2 * n_pairs`` are twins in turn.
        generator: of all of it, on the device of the maps.
    """
    n, _, n_frames, n_bins = x.shape
    m = n - n_pairs
    of_row = torch.cat(
        [torch.arange(n_pairs, device=x.device).repeat_interleave(2), torch.arange(n_pairs, m, device=x.device)]
    )

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(m, 1, generator=generator, device=x.device)

    def stretch(length: int, least: int, most: int, chance: float) -> torch.Tensor:
        """Of (m, length), a stretch of between least and most in a share of the rows."""
        width, place = uniform(least, most).floor(), torch.arange(length, device=x.device)
        start = (uniform(0, 1) * (length - width)).floor()
        return (place >= start) & (place < start + width) & (uniform(0, 1) < chance)

    top = torch.arange(n_bins, device=x.device) >= (uniform(0.4, 0.95) * n_bins).floor()
    bins = stretch(n_bins, 8, 160, 0.5) | (top & (uniform(0, 1) < 0.25))
    frames = stretch(n_frames, 2, 20, 0.3)
    knots = 0.12 * torch.randn(m, 1, 6, generator=generator, device=x.device)
    bend = nn.functional.interpolate(knots, size=n_bins, mode="linear", align_corners=True)[:, 0]
    bend = bend * (uniform(0, 1) < 0.5)
    hidden = (bins[:, None, :] | frames[:, :, None])[of_row, None]
    floor = x.new_tensor([0.0, (frontend.LEVEL_RANGE_DB[0] + 60) / 30]).reshape(1, 2, 1, 1)
    out = torch.where(hidden, floor, x)
    out[:, 1] += bend[of_row, None]
    return out


def _losses(
    outputs: tuple[torch.Tensor, ...], truth: dict[str, torch.Tensor], n_pairs: int, settings: Network
) -> dict[str, torch.Tensor]:
    """Losses of the heads over the rows where their truth is known; nothing here waits for a GPU."""
    found = dict(zip(TextureNet.HEADS, outputs, strict=True))
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

    losses["sdr"] = 0.3 * over_known("sdr", found["sdr"][:, 0], nn.functional.smooth_l1_loss)
    losses["effects"] = 0.5 * over_known("effects", found["effects"], binary)
    losses["layers"] = 0.2 * over_known("layers", found["layers"][:, 0], binary)
    for name in ("processing", "kind"):
        each = nn.functional.cross_entropy(found[name], truth[name], ignore_index=-1, reduction="sum")
        losses[name] = 0.3 * each / (truth[name] >= 0).sum().clamp_min(1)
    return losses


def run(
    net: nn.Module, maps: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], n_frames: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float32]]:
    """Return raw outputs of whole windows, by head, each (len(rows), width of the head).

    Args:
        net: fitted networks.
        maps: packed maps of all rows.
        rows: which to score.
        n_frames: of all rows.
    """
    out = {name: np.zeros((len(rows), n), np.float32) for name, n in TextureNet.HEADS.items()}
    order = np.argsort(n_frames[rows], kind="stable")
    with torch.no_grad():
        start = 0
        while start < len(order):
            length = int(n_frames[rows[order[start]]])
            stop = start
            while stop < len(order) and stop - start < 32 and n_frames[rows[order[stop]]] == length:
                stop += 1
            chosen = order[start:stop]
            packed = np.stack([maps[row, :, :length] for row in rows[chosen]])
            for name, values in zip(out, net(unpack(packed)), strict=True):
                out[name][chosen] = values.numpy()
            start = stop
    return out
