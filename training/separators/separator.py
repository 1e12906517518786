"""One seam for every separator: what it is called, what its output hangs on, and the call itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.families import family_of
from training.separators.errors import SeparatorError

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100


@dataclass(frozen=True)
class Piece:
    """What is to be separated.

    Args:
        mix: float32 (n, 2) at 44.1 kHz.
        song: its song's name, by which finished outputs are found.
        start: first sample of the mix within the song.
    """

    mix: Wave
    song: str = ""
    start: int = 0


@dataclass(frozen=True)
class Separator:
    """A separator ready to run.

    Args:
        name: as manifests name it; :func:`training.families.family_of` reads its family off it.
        identity: everything its output hangs on: adapter, version, model, settings.
        run: piece to stem name and estimate, float32 (n, 2).
        keeps: whether outputs are worth keeping; finished ones lie in files already.
    """

    name: str
    identity: str
    run: Callable[[Piece], dict[str, Wave]]
    keeps: bool = True


def open_separator(spec: str, device: str = "cpu") -> Separator:
    """Make a separator of a description.

    Args:
        spec: ``demucs:MODEL[@REPOSITORY]``, ``openunmix:MODEL``, ``torchaudio``, ``net:FOLDER``,
            ``script:FILE.py``, ``command[NAME]:TEMPLATE`` with ``{input}`` and ``{output}``, or
            ``folder[NAME]:PATH``; ``+cli`` at the end of the first part writes as command-line tools do:
            rescaled where it would clip, in 16 bits.
        device: where torch computes.

    Raises:
        SeparatorError: a description nobody understands, or a separator that is not installed or has no weights.
    """
    head, _, rest = spec.partition(":")
    as_cli = head.endswith("+cli")
    kind, _, label = head.removesuffix("+cli").partition("[")
    label = label.removesuffix("]")
    if kind not in _OPENERS or not (rest or kind == "torchaudio"):
        raise SeparatorError(
            f"found separator {spec!r}; needed: demucs:MODEL, openunmix:MODEL, torchaudio, net:FOLDER, "
            "script:FILE.py, command[NAME]:TEMPLATE or folder[NAME]:PATH"
        )
    separator = _OPENERS[kind](rest, label, device)
    if not as_cli:
        return separator
    from training.separators.networks import as_written

    def run(piece: Piece) -> dict[str, Wave]:
        return {stem: as_written(wave) for stem, wave in separator.run(piece).items()}

    return Separator(separator.name, f"{separator.identity}|as written by a command", run, separator.keeps)


def check_device(device: str) -> None:
    """Raise where torch cannot compute on a device.

    Args:
        device: as torch names it, such as ``cpu`` or ``cuda:1``.

    Raises:
        SeparatorError: no such device here.
    """
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # a build without CUDA asserts
        why = str(error).splitlines()[0]
        raise SeparatorError(f"found no device {device!r} ({why}); needed: cpu, or cuda with a CUDA build") from error


def digest_of(files: list[Path]) -> str:
    """Return a digest of files' content, for an identity.

    Args:
        files: weights and settings.
    """
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(file.name.encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:16]


def _open_demucs(model: str, label: str, device: str) -> Separator:
    import importlib.metadata

    from training.separators import demucs

    name, _, folder = model.partition("@")
    repo = Path(folder) if folder else None
    if repo and not repo.is_dir():
        raise SeparatorError(f"{repo}: found no such folder; needed: a folder of demucs models (.th files)")
    demucs.load(name, repo)
    weights = digest_of(list(repo.glob(f"{name}*"))) if repo else "pretrained"
    identity = f"demucs {importlib.metadata.version('demucs')}|{name}|{weights}"
    shown = label or (name if family_of(name).name == "demucs" else f"demucs-{name}")  # its mdx is no mdx-net
    return Separator(shown, identity, lambda piece: demucs.separate(piece.mix, name, repo, device=device))


def _open_network(folder: str, label: str, device: str) -> Separator:
    from training.separators import networks

    path = Path(folder)
    networks.load(path)
    identity = f"network|{digest_of([path / 'network.json', path / 'weights.pt'])}"
    return Separator(label or path.name, identity, lambda piece: networks.separate(piece.mix, path, device=device))


def _open_openunmix(model: str, label: str, device: str) -> Separator:
    from training.separators import openunmix_hub

    return openunmix_hub.open_model(model, label, device)


def _open_torchaudio(_: str, label: str, device: str) -> Separator:
    from training.separators import torchaudio_hub

    return torchaudio_hub.open_model(label, device)


def _open_script(file: str, label: str, _: str) -> Separator:
    from training.separators import script

    return script.open_script(Path(file), label)


def _open_command(template: str, label: str, _: str) -> Separator:
    from training.separators import command

    return command.open_command(template, label)


def _open_folder(folder: str, label: str, _: str) -> Separator:
    from training.separators import finished

    return finished.open_folder(Path(folder), label)


_OPENERS: dict[str, Callable[[str, str, str], Separator]] = {
    "demucs": _open_demucs,
    "net": _open_network,
    "openunmix": _open_openunmix,
    "torchaudio": _open_torchaudio,
    "script": _open_script,
    "command": _open_command,
    "folder": _open_folder,
}
