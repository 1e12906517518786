"""Separators trained here: small networks of the known architectures, for each leaves traces of its own.

A network is a folder of two files: ``weights.pt`` and ``network.json`` with its architecture, settings, the songs it
was trained on and its measured SDR. Weights are read as plain tensors, never as code.
"""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from training.families import family_of
from training.separators.errors import DiskFull, SeparatorError

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
STEMS = ("drums", "bass", "other", "vocals")
CHUNK_S = 4.0
_OVERLAP = 0.25


@dataclass(frozen=True)
class Variant:
    """An architecture with settings.

    Args:
        architecture: one of :data:`ARCHITECTURES`.
        settings: arguments of its class.
        learning_rate: of the first step.
    """

    architecture: str
    settings: dict[str, Any] = field(default_factory=dict)
    learning_rate: float = 2e-3


ARCHITECTURES = (
    "htdemucs", "hdemucs", "demucs", "openunmix", "band-split", "tfc-tdf", "wave-u-net", "spleeter", "tasnet",
)  # fmt: skip

VARIANTS: dict[str, Variant] = {
    "htdemucs-a": Variant("htdemucs", {"channels": 12, "t_layers": 2, "t_heads": 4, "nfft": 4096}, 1e-3),
    "htdemucs-b": Variant(
        "htdemucs", {"channels": 8, "t_layers": 1, "t_heads": 2, "nfft": 2048, "bottom_channels": 96}, 1e-3
    ),
    "hdemucs-a": Variant("hdemucs", {"channels": 6, "nfft": 4096, "depth": 6}, 1e-3),
    "hdemucs-b": Variant(
        "hdemucs",
        {"channels": 8, "nfft": 4096, "depth": 6, "cac": False},
        1e-3,
    ),
    "openunmix-a": Variant("openunmix", {}),
    "openunmix-b": Variant("openunmix", {"n_fft": 2048, "hop": 512, "max_bin": 744, "wiener": True}),
    "roformer-a": Variant("band-split", {}, 1e-3),
    "roformer-b": Variant("band-split", {"n_fft": 4096, "hop": 882, "n_bands": 40, "dim": 24}, 1e-3),
    "bsrnn-a": Variant("band-split", {"kind": "rnn", "dim": 24}),
    "tfc-tdf-a": Variant("tfc-tdf", {}),
    "tfc-tdf-b": Variant(
        "tfc-tdf", {"n_fft": 2048, "hop": 512, "dim_f": 816, "channels": 8, "growth": 8, "as_mask": True}
    ),
    "wave-u-net-a": Variant("wave-u-net", {}, 1e-3),
    "wave-u-net-b": Variant(
        "wave-u-net", {"upsampling": "strided", "stride": 4, "depth": 4, "channels": 16, "down": 9}, 1e-3
    ),
    "spleeter-a": Variant("spleeter", {}),
    "spleeter-b": Variant("spleeter", {"n_bins": 1536, "above": "average"}),
    "tasnet-a": Variant("tasnet", {}, 1e-3),
    "demucs-a": Variant("demucs", {"channels": 8, "depth": 5, "lstm_layers": 1}, 1e-3),
}
"""Two settings of most architectures: other transform sizes and strides, which is what the traces hang on."""


_DEMUCS_EXTRA: dict[str, dict[str, Any]] = {"htdemucs": {"use_train_segment": False}, "hdemucs": {}, "demucs": {}}


def build(architecture: str, settings: dict[str, Any], n_stems: int = len(STEMS)) -> nn.Module:
    """Make an untrained network.

    Args:
        architecture: one of :data:`ARCHITECTURES`.
        settings: arguments of its class.
        n_stems: stems out.

    Returns:
        A module from float32 (batch, 2, n) to (batch, n_stems, 2, n).

    Raises:
        SeparatorError: an architecture nobody listed, settings it does not take, or a package that is missing.
    """
    from training.separators.nets import bands, spectral, waveform

    own: dict[str, type[nn.Module]] = {
        "openunmix": spectral.OpenUnmix,
        "band-split": bands.BandSplit,
        "tfc-tdf": spectral.TfcTdf,
        "wave-u-net": waveform.WaveUNet,
        "spleeter": spectral.SpleeterUNet,
        "tasnet": waveform.ConvTasNet,
    }
    try:
        if architecture in own:
            return own[architecture](n_stems, **settings)
        if architecture in ("htdemucs", "hdemucs", "demucs"):
            return _demucs_class(architecture)(
                [str(k) for k in range(n_stems)], **_DEMUCS_EXTRA[architecture], **settings
            )
    except (TypeError, ValueError) as error:
        raise SeparatorError(f"{architecture}: found settings {settings}; {error}") from error
    raise SeparatorError(f"found architecture {architecture!r}; needed: one of {', '.join(ARCHITECTURES)}")


def _demucs_class(architecture: str) -> Any:
    try:
        from demucs.demucs import Demucs
        from demucs.hdemucs import HDemucs
        from demucs.htdemucs import HTDemucs
    except ImportError as error:
        raise SeparatorError("demucs is not installed; pip install 'stem-provenance[train]'") from error
    return {"demucs": Demucs, "hdemucs": HDemucs, "htdemucs": HTDemucs}[architecture]


@dataclass(frozen=True)
class Network:
    """A trained network and its record.

    Args:
        module: in evaluation mode.
        record: what ``network.json`` says.
    """

    module: nn.Module
    record: dict[str, Any]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the output."""
        return tuple(self.record["stems"])

    @property
    def family(self) -> str:
        """Name of its family of separators, as :func:`training.families.family_of` has it."""
        return family_of(str(self.record.get("name", self.record["architecture"]))).name

    @property
    def kind(self) -> str:
        """Kind of separator, such as ``hybrid`` or ``transformer``."""
        return family_of(str(self.record.get("name", self.record["architecture"]))).kind


def save(folder: Path, module: nn.Module, record: dict[str, Any]) -> None:
    """Write a network, its record last, so that a folder with a record is whole.

    Args:
        folder: made if it is missing.
        module: the network.
        record: goes to ``network.json``; must hold ``architecture``, ``settings`` and ``stems``.
    """
    write_tensors(folder / "weights.pt", module.state_dict())
    part = folder / f".{os.getpid()}.network.json"
    part.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, folder / "network.json")


def write_tensors(file: Path, tensors: dict[str, Any]) -> None:
    """Write tensors and numbers by write-then-rename.

    Args:
        file: its folder is made if it is missing.
        tensors: as :func:`torch.save` takes them.

    Raises:
        DiskFull: they cannot be written; what was there before is still there.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        torch.save(tensors, part)
        os.replace(part, file)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError where the disk is full
        part.unlink(missing_ok=True)
        raise DiskFull(f"{file}: cannot be written ({error}); see that the disk has room and run it again") from error


def load(where: str | Path, folder: Path | None = None) -> Network:
    """Read a network.

    Args:
        where: its folder, or its name in ``folder``.
        folder: where named networks lie; None takes the environment variable ``STEM_NETS``.

    Raises:
        SeparatorError: no such network, or files that do not fit each other.
    """
    path = Path(where)
    if not (path / "network.json").is_file():
        nets = folder or Path(os.environ.get("STEM_NETS", "nets"))
        path = nets / str(where)
    if not (path / "network.json").is_file():
        raise SeparatorError(
            f"{where}: found no network.json there or in {path.parent}; needed: a network that "
            "`python -m training.separators.train` wrote"
        )
    return _load(path.resolve(), (path / "weights.pt").stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load(path: Path, _changed: int) -> Network:
    try:
        record = json.loads((path / "network.json").read_text(encoding="utf-8"))
        module = build(record["architecture"], record["settings"], len(record["stems"]))
        module.load_state_dict(torch.load(path / "weights.pt", map_location="cpu", weights_only=True))
    except (OSError, KeyError, IndexError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise SeparatorError(
            f"{path.name}: the network's files do not fit each other: {error}; train it again"
        ) from error
    return Network(module.eval(), record)


def separate(
    mix: Wave,
    name_or_path: str | Path,
    folder: Path | None = None,
    *,
    as_cli: bool = False,
    device: str = "cpu",
    chunk_s: float = CHUNK_S,
) -> dict[str, Wave]:
    """Separate a mix with a network trained here.

    Args:
        mix: float32 (n, 2) at 44.1 kHz.
        name_or_path: as for :func:`load`.
        folder: as for :func:`load`.
        as_cli: rescale each stem where it would clip and round it to 16 bits, as most tools write it.
        device: where torch computes.
        chunk_s: length in seconds of the pieces, which overlap by a quarter and are faded into each other.

    Returns:
        Stem name to estimate, float32 (n, 2).

    Raises:
        SeparatorError: as for :func:`load`.
    """
    stems = run(load(name_or_path, folder), mix, device, chunk_s)
    return {stem: as_written(wave) for stem, wave in stems.items()} if as_cli else stems


def run(network: Network, mix: Wave, device: str = "cpu", chunk_s: float = CHUNK_S) -> dict[str, Wave]:
    """Separate a mix with a network at hand; arguments and result as for :func:`separate`."""
    wave = torch.from_numpy(np.ascontiguousarray(mix.T)).to(device)
    scale = float(wave.std()) + 1e-5
    with torch.no_grad():
        out = _in_chunks(network.module.to(device), wave / scale, len(network.sources), int(chunk_s * RATE_HZ)) * scale
    return {stem: np.ascontiguousarray(out[k].T.cpu().numpy(), np.float32) for k, stem in enumerate(network.sources)}


def as_written(wave: Wave) -> Wave:
    """Return a stem as a command-line tool leaves it: rescaled where it would clip, and in 16 bits.

    Args:
        wave: float32 (n, channels).
    """
    wave = wave / max(1.01 * float(np.abs(wave).max(initial=0.0)), 1.0)
    return np.asarray(np.round(wave * 32767) / 32767, np.float32)


def _in_chunks(module: nn.Module, wave: torch.Tensor, n_stems: int, size: int) -> torch.Tensor:
    n = wave.shape[-1]
    if n <= size * 1.25:
        return _padded(module, wave, n)
    step = int(size * (1 - _OVERLAP))
    fade = torch.minimum(torch.arange(1, size + 1), torch.arange(size, 0, -1)).to(wave)
    fade = (fade / (size * _OVERLAP)).clamp(max=1.0)
    total = wave.new_zeros(n_stems, 2, n)
    weight = wave.new_zeros(n)
    for start in range(0, n, step):
        stop = min(n, start + size)
        total[..., start:stop] += _padded(module, wave[:, start:stop], size)[..., : stop - start] * fade[: stop - start]
        weight[start:stop] += fade[: stop - start]
        if stop == n:
            break
    return total / weight


def _padded(module: nn.Module, wave: torch.Tensor, size: int) -> torch.Tensor:
    n = wave.shape[-1]
    least = max(size, RATE_HZ // 2)
    out: torch.Tensor = module(torch.nn.functional.pad(wave, (0, least - n))[None])[0]
    return out[..., :n]
