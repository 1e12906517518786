"""The network: a small convolutional net over the map of a window, pooled within bands, with all heads on one trunk.

Timbre is taken off twice before the first convolution: over frequency by the map's texture channel, over time by the
mean of each bin's level. What is left is pooled over time and within sixteen bands; one layer judges every band,
knowing which it is, and the heads see the mean and the maximum over bands, so that a trace in one band alone counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
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
        weight_decay: of AdamW.
        dropout: of the pooled statistics and of the hidden layer.
        smoothing: of the running mean of the weights, which is what is kept.
        margin: log odds by which an extraction should lie above its twin.
        margin_weight: of that loss.
        family_power: how much less the rows of a large family of separators count, 0 to 1.
        share: weight of the network's log odds in the fused score, 0 to 1.
        share_of_rest: its weight in the other heads; where trees have no such head the network's counts whole.
    """

    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    width: int = 96
    cycles: tuple[int, ...] = (20,)
    n_steps: int = 500
    batch: int = 26
    rate: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.3
    smoothing: float = 0.998
    margin: float = 2.0
    margin_weight: float = 0.5
    family_power: float = 0.0
    share: float = 0.5
    share_of_rest: float = 0.0


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


def unpack(maps: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Return packed maps as the network takes them, float32.

    Args:
        maps: uint8 (n, 2, n_frames, 1024).
    """
    x = torch.from_numpy(maps).contiguous(memory_format=torch.channels_last).to(torch.float32)
    scale = torch.tensor([0.25 / 16, 0.5 / 30]).reshape(1, 2, 1, 1)
    shift = torch.tensor([frontend.TEXTURE_RANGE_DB[0] / 16, (frontend.LEVEL_RANGE_DB[0] + 60) / 30]).reshape(
        1, 2, 1, 1
    )
    return x.mul_(scale).add_(shift)


def fit(
    maps: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    meta: pd.DataFrame,
    settings: Network,
    seed: int,
    checkpoint: Path,
) -> TextureNet:
    """Fit the network, on a GPU where there is one; an interrupted fit goes on after its last whole epoch.

    Args:
        maps: packed maps of all rows.
        rows: which to learn from.
        meta: columns of all rows.
        settings: of the network and the fit.
        seed: of weights, order and augmentation.
        checkpoint: file of the last epoch; its text beside it tells the losses.

    Returns:
        The network with the running mean of its weights, in evaluation mode, on the CPU.
    """
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = TextureNet(settings).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(settings.smoothing), use_buffers=False)
    targets = Targets.of(meta, settings.family_power)
    n_frames = meta["n_frames"].to_numpy()
    n_steps = settings.n_steps
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=settings.rate,
    )
    schedule = _schedule(optimiser, settings, 0)
    parts = {"net": net, "mean": mean, "optimiser": optimiser, "schedule": schedule}
    first, log = 0, []
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=device)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        first, log = int(state["epoch"]), json.loads(state["log"])
    starts = np.cumsum((0, *settings.cycles))
    for epoch in range(first, int(starts[-1])):
        if epoch and epoch in starts:
            schedule = parts["schedule"] = _schedule(optimiser, settings, list(starts).index(epoch))
        rng = np.random.default_rng([seed, epoch])
        net.train()
        sums: dict[str, float] = {}
        drawn = batches(rows, meta, targets.weight, settings.batch, n_steps, rng)
        for batch in tqdm(drawn, total=n_steps, desc=f"epoch {epoch + 1}", unit="step", mininterval=5):
            x = augment(unpack(crops(maps, batch, n_frames, rng)), batch.n_pairs, rng).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                outputs = net(x)
            losses = _losses(tuple(value.float().cpu() for value in outputs), batch, targets, settings)
            total = torch.stack(list(losses.values())).sum()
            optimiser.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            mean.update_parameters(net)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.detach())
        log.append({"epoch": epoch + 1, **{k: round(v / n_steps, 4) for k, v in sums.items()}})
        _save(checkpoint, parts, epoch + 1, log)
    fitted = TextureNet(settings)
    fitted.load_state_dict(mean.module.state_dict())
    for ours, theirs in zip(fitted.buffers(), net.buffers(), strict=True):  # batch norms are running means already
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


def save(net: TextureNet, file: Path) -> None:
    """Write a network's weights, by write-then-rename.

    Args:
        net: a fitted network.
        file: where to.
    """
    part = file.with_suffix(f".{os.getpid()}.part")
    torch.save(net.state_dict(), part)
    os.replace(part, file)


def load(file: Path, settings: Network) -> TextureNet:
    """Read a network, in evaluation mode.

    Args:
        file: as :func:`save` wrote it.
        settings: it was made with.
    """
    net = TextureNet(settings)
    net.load_state_dict(torch.load(file, weights_only=True))
    return net.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


@dataclass
class Batch:
    """Row numbers of one step: extraction and twin in turn for the first ``2 * n_pairs``, single rows after them."""

    rows: npt.NDArray[np.int64]
    n_pairs: int


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
    known = meta.iloc[rows]
    separated = (known["origin"] == "separated").to_numpy()
    twins: dict[str, list[int]] = {}
    for row, pair, fake in zip(rows, known["pair"], separated, strict=True):
        if pair and not fake:
            twins.setdefault(pair, []).append(int(row))
    extractions: dict[str, list[int]] = {}
    units: list[tuple[int, int]] = []
    for row, pair, fake in zip(rows, known["pair"], separated, strict=True):
        if fake and pair in twins:
            extractions.setdefault(pair, []).append(int(row))
            units.append((int(row), twins[pair][0]))
        elif not (pair in twins and not fake):
            units.append((int(row), -1))
    units += [(twin[0], -1) for pair, twin in twins.items() if pair not in extractions]
    members = np.array(units, np.int64)
    chance = weight[members[:, 0]] + np.where(members[:, 1] >= 0, weight[members[:, 1]], 0.0)
    chance = chance / chance.sum()
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


def augment(x: torch.Tensor, n_pairs: int, rng: np.random.Generator) -> torch.Tensor:
    """Hide bands and moments, cut the top off, and bend the level, alike for twins.

    Args:
        x: maps (n, 2, n_frames, 1024), changed in place.
        n_pairs: the first ``2 * n_pairs`` are twins in turn.
        rng: of all of it.
    """
    floor = torch.tensor([0.0, (frontend.LEVEL_RANGE_DB[0] + 60) / 30]).reshape(2, 1, 1)
    n_bins = x.shape[3]
    k = 0
    while k < len(x):
        n = 2 if k < 2 * n_pairs else 1
        part = x[k : k + n]
        if rng.random() < 0.5:
            width = int(rng.integers(8, 160))
            at = int(rng.integers(0, n_bins - width))
            part[:, :, :, at : at + width] = floor
        if rng.random() < 0.25:
            part[:, :, :, int(rng.uniform(0.4, 0.95) * n_bins) :] = floor
        if rng.random() < 0.3:
            width = int(rng.integers(2, 20))
            at = int(rng.integers(0, x.shape[2] - width))
            part[:, :, at : at + width] = floor
        if rng.random() < 0.5:
            knots = torch.from_numpy(rng.normal(0, 0.12, 6).astype(np.float32))
            bend = nn.functional.interpolate(knots[None, None], size=n_bins, mode="linear", align_corners=True)[0, 0]
            part[:, 1] += bend
        k += n
    return x


def _losses(
    outputs: tuple[torch.Tensor, ...], batch: Batch, targets: Targets, settings: Network
) -> dict[str, torch.Tensor]:
    found = dict(zip(TextureNet.HEADS, outputs, strict=True))
    rows = batch.rows
    pick = lambda values: torch.from_numpy(np.asarray(values[rows]))  # noqa: E731
    logit, origin = found["logit"][:, 0], pick(targets.origin)
    losses = {"origin": nn.functional.binary_cross_entropy_with_logits(logit, origin * 0.96 + 0.02)}
    if batch.n_pairs:
        pairs = logit[: 2 * batch.n_pairs].reshape(-1, 2)
        gap = pairs[:, 0] - pairs[:, 1]
        losses["margin"] = settings.margin_weight * nn.functional.softplus(settings.margin - gap).mean()
    sdr = pick(targets.sdr)
    known = ~torch.isnan(sdr)
    if known.any():
        losses["sdr"] = 0.3 * nn.functional.smooth_l1_loss(found["sdr"][known, 0], sdr[known])
    for name, values in (("processing", pick(targets.processing)), ("kind", pick(targets.kind))):
        if (values >= 0).any():
            losses[name] = 0.3 * nn.functional.cross_entropy(found[name], values, ignore_index=-1)
    effects = pick(targets.effects)
    known = ~torch.isnan(effects)
    if known.any():
        losses["effects"] = 0.5 * nn.functional.binary_cross_entropy_with_logits(
            found["effects"][known], effects[known]
        )
    layers = pick(targets.layers)
    known = ~torch.isnan(layers)
    if known.any():
        losses["layers"] = 0.2 * nn.functional.binary_cross_entropy_with_logits(
            found["layers"][known, 0], layers[known]
        )
    return losses


def run(
    net: TextureNet, maps: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], n_frames: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float32]]:
    """Return raw outputs of whole windows, by head, each (len(rows), width of the head).

    Args:
        net: a fitted network.
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
