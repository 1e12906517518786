"""Train the small separators on true stems: ``python -m training.separators.train MANIFEST... --out nets``.

An interrupted training goes on where it was saved; a finished network is skipped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from training import catalogue
from training.separators import networks
from training.separators.errors import SeparatorError
from training.separators.mixes import KINDS, RATE_HZ, Stems, draw, gather, measure
from training.separators.separator import check_device

Wave = npt.NDArray[np.float32]
EARLY_AT = 0.4
"""Share of the training after which a half-trained network is kept as well: its traces are as telling."""
SAVE_EVERY_S = 60.0
LEAST_LEVEL = 0.01
"""Power of a stem, of a mix of unit power, from which it counts as sounding."""


def loss_of(estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Error of samples and spectrum in units of the mix's level, and the logarithm of each stem's error to its level.

    The mean absolute error alone is least, for a quiet or sparse stem, at silence: short trainings then stay there.
    The logarithm counts stems that sound only, for of an absent one it would reward silence above all.
    """
    flat = (estimate - truth).reshape(-1, truth.shape[-1])
    window = torch.hann_window(1024, device=flat.device)
    spectrum = torch.stft(flat, 1024, 512, window=window, return_complex=True)
    error, level = ((estimate - truth) ** 2).mean((2, 3)), (truth**2).mean((2, 3))
    sounds = level > LEAST_LEVEL
    ratio = torch.log10((error / level.clamp_min(LEAST_LEVEL)).clamp_min(1e-3))
    logarithm = (ratio * sounds).sum() / sounds.sum().clamp_min(1)
    return flat.abs().mean() + 0.02 * torch.view_as_real(spectrum).abs().mean() + 0.3 * logarithm


def train(
    name: str,
    stems: Stems,
    out: Path,
    *,
    minutes: float = 5.0,
    n_steps: int = 100_000,
    batch: int = 4,
    segment_s: float = 1.5,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Train one variant, or what is missing of it.

    Args:
        name: one of :data:`training.separators.networks.VARIANTS`.
        stems: what to train and measure on.
        out: folder of networks; ``NAME`` and ``NAME-early`` are written below it.
        minutes: of computing (on a CPU, of this process' own time), after which the learning rate has come down.
        n_steps: or so many steps, whichever comes first.
        batch: mixes a step.
        segment_s: length of a mix in seconds.
        device: where torch computes.
        seed: of weights and mixes.

    Returns:
        The record, as in ``network.json``.

    Raises:
        SeparatorError: a variant nobody listed.
    """
    _check_name(name)
    folder = out / name
    if (folder / "network.json").is_file():
        return dict(json.loads((folder / "network.json").read_text(encoding="utf-8")))
    variant = networks.VARIANTS[name]
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)])
    module = networks.build(variant.architecture, variant.settings).to(device)
    optimizer = torch.optim.AdamW(module.parameters(), variant.learning_rate, weight_decay=1e-4)
    state = folder / "training.pt"
    step, spent_s, early = 0, 0.0, False
    if state.is_file():
        try:
            saved = torch.load(state, map_location=device, weights_only=True)
            module.load_state_dict(saved["module"])
            optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise SeparatorError(f"{state}: not a state of this network ({error}); remove it to begin again") from error
        step, spent_s, early = int(saved["step"]), float(saved["spent_s"]), bool(saved["early"])
        rng = np.random.default_rng([seed, step])

    def keep(where: Path, done: float) -> dict[str, Any]:
        record = {
            "name": where.name,
            "architecture": variant.architecture,
            "settings": variant.settings,
            "stems": list(KINDS),
            "n_parameters": sum(p.numel() for p in module.parameters()),
            "steps": step,
            "batch": batch,
            "segment_s": segment_s,
            "seconds": round(spent_s, 1),
            "share_of_training": round(done, 3),
            "seed": seed,
            "songs": stems.songs,
            "repositories": stems.repositories,
        }
        networks.save(where, module, record)
        return record

    clock = time.monotonic if device != "cpu" else lambda: time.process_time() / torch.get_num_threads()
    module.train()
    last_save = time.monotonic()
    average = 0.0
    bar = tqdm(total=100, initial=0, desc=name, unit="%", disable=not sys.stderr.isatty())
    while True:
        started = clock()
        done = min(1.0, max(step / n_steps, spent_s / (60 * minutes)))
        bar.update(int(100 * done) - bar.n)
        if done >= EARLY_AT and not early:
            early = True
            record = keep(out / f"{name}-early", done)
            module.eval()
            record |= measure(_by(module, device), stems)
            networks.save(out / f"{name}-early", module, record)
            module.train()
            started = clock()
        if done >= 1.0:
            break
        warm = min(1.0, (step + 1) / 20)
        for group in optimizer.param_groups:
            group["lr"] = float(variant.learning_rate * warm * (0.51 + 0.49 * np.cos(np.pi * done)))
        truth = draw(stems, batch, int(segment_s * RATE_HZ), rng).to(device)
        mix = truth.sum(1)
        scale = mix.std(dim=(1, 2), keepdim=True) + 1e-5
        loss = loss_of(module(mix / scale), truth / scale[:, None])
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        step += 1
        spent_s += clock() - started
        average = float(loss.detach()) if step == 1 else 0.95 * average + 0.05 * float(loss.detach())
        bar.set_postfix(loss=f"{average:.4f}", step=step)
        if time.monotonic() - last_save > SAVE_EVERY_S:
            last_save = time.monotonic()
            states = {"module": module.state_dict(), "optimizer": optimizer.state_dict()}
            networks.write_tensors(state, states | {"step": step, "spent_s": spent_s, "early": early})
    bar.close()
    module.eval()
    record = keep(folder, 1.0)
    record |= measure(_by(module, device), stems) | {"loss": round(average, 4)}
    networks.save(folder, module, record)
    state.unlink(missing_ok=True)
    return record


def _check_name(name: str) -> None:
    if name not in networks.VARIANTS:
        raise SeparatorError(f"found network {name!r}; needed: one of {', '.join(networks.VARIANTS)}")


def _by(module: torch.nn.Module, device: str) -> Callable[[Wave], dict[str, Wave]]:
    return lambda mix: networks.run(networks.Network(module, {"stems": list(KINDS)}), mix, device)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the named networks, or all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.separators.train", description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path, help="manifests with true stems")
    parser.add_argument("--flags", nargs="*", type=Path, default=[], help="CSV files of clips to leave out")
    parser.add_argument("--out", type=Path, required=True, help="folder of networks")
    parser.add_argument("--nets", nargs="*", default=list(networks.VARIANTS), help="which; all of them by default")
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="of computing for each; on a CPU, of this process' own time"
    )
    parser.add_argument("--steps", type=int, default=100_000, help="at most, for each")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--segment-s", type=float, default=1.5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    try:
        for name in given.nets:
            _check_name(name)
        for option in ("minutes", "steps", "batch", "segment_s"):
            if not getattr(given, option) > 0:
                raise SeparatorError(f"found {option} of {getattr(given, option):g}; needed: more than 0")
        check_device(given.device)
        stems = gather(given.manifests, given.flags)
        for failure in stems.failures:
            print(f"left out: {failure}", file=sys.stderr)
        for name in given.nets:
            if (given.out / name / "network.json").is_file():
                print(
                    f"{name}: found finished in {given.out}, as it was trained then; remove it to train it anew",
                    end="; ",
                )
            record = train(
                name, stems, given.out, minutes=given.minutes, n_steps=given.steps, batch=given.batch,
                segment_s=given.segment_s, device=given.device, seed=given.seed,
            )  # fmt: skip
            print(f"{name}: {record['steps']} steps, SDR in dB {record.get('sdr_db')}", flush=True)
    except (SeparatorError, catalogue.CatalogueError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{given.out}: {error.strerror or error}; the last state is kept, run it again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; the last state is kept in {given.out}: the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
