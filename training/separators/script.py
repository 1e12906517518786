"""A separator in a Python file: any network that Python can run becomes a source of negatives, without a process each.

The file has ``STEMS``, the names it gives (``vocals``, ``drums``, ``bass``, ``other``, or ``accompaniment`` for all but
the voice), and ``separate(mix)``, which takes float32 (n, 2) at 44.1 kHz and returns stem name to estimate of the same
shape. ``SOURCE``, where it has one, tells the model card where the weights come from: ``repository``, ``commit``,
``licence``. ``RATE_HZ``, where it has one, is the rate it works at, and ``MONO = True`` says that it hears one channel:
true stems beside its estimates are limited alike. ``TWO_OF = "vocals"`` says that it parts two voices, of which it
gives ``first`` and ``second``. The file's name without ending is the separator's. It is run as code: load only what you
would run yourself.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from training.families import Family, family_of
from training.rework import band_limited
from training.separators.errors import SeparatorError
from training.separators.separator import Piece, Separator, digest_of

Wave = npt.NDArray[np.float32]
ACCOMPANIMENT = "accompaniment"
TWO = ("first", "second")
"""Names of the estimates of a script that parts two of a kind."""
RATE_HZ = 44_100


@dataclass(frozen=True)
class Script:
    """A loaded file.

    Args:
        name: of the file, without ending.
        stems: what it gives.
        separate: mix to stems, as the file has it.
        source: of its weights: ``repository``, ``commit``, ``licence``.
        rate_hz: nothing above half of it comes out.
        mono: it hears one channel.
        two_of: the kind of stem of which it parts two, or empty.
        folder: variable of the environment that names the checkout it needs, or empty.
    """

    name: str
    stems: tuple[str, ...]
    separate: Callable[[Wave], dict[str, Wave]]
    source: dict[str, str] = field(default_factory=dict)
    rate_hz: int = RATE_HZ
    mono: bool = False
    two_of: str = ""
    folder: str = ""

    @property
    def family(self) -> Family:
        """The family its name belongs to."""
        return family_of(self.name)

    def limit(self, wave: Wave) -> Wave:
        """Return a wave with the band and the channels that its estimates have, so that these do not tell them.

        Args:
            wave: float32 (n, 2) at 44.1 kHz.
        """
        if self.rate_hz < RATE_HZ:
            wave = band_limited(wave, self.rate_hz)
        return np.repeat(wave.mean(1, keepdims=True), 2, 1) if self.mono else wave


@lru_cache(maxsize=64)
def load(file: Path) -> Script:
    """Run a file and take what it offers.

    Args:
        file: ``NAME.py``.

    Raises:
        SeparatorError: no such file, one that fails, or one without ``STEMS`` and ``separate``.
    """
    try:
        module = module_of(file)
    except SeparatorError:
        raise
    except Exception as error:  # a stranger's file may fail in any way
        raise SeparatorError(f"{file}: could not be loaded ({type(error).__name__}: {error})") from error
    stems, function = getattr(module, "STEMS", None), getattr(module, "separate", None)
    if not stems or not callable(function):
        raise SeparatorError(f"{file}: found no STEMS or no separate(mix); needed: both")
    return Script(
        file.stem,
        tuple(stems),
        function,
        source=dict(getattr(module, "SOURCE", {})),
        rate_hz=int(getattr(module, "RATE_HZ", RATE_HZ)),
        mono=bool(getattr(module, "MONO", False)),
        two_of=str(getattr(module, "TWO_OF", "")),
        folder=str(getattr(module, "FOLDER", "")),
    )


def folder_of(variable: str, source: dict[str, str]) -> Path:
    """Return the checkout that a script's code and weights are taken from.

    Args:
        variable: of the environment, which names it.
        source: what it is a checkout of.

    Raises:
        SeparatorError: the variable names no folder.
    """
    folder = Path(os.environ.get(variable) or " ")
    if not folder.is_dir():
        raise SeparatorError(
            f"{variable} names no folder; set it to a checkout of {source['repository']} at {source['commit']}"
        )
    return folder


def module_of(file: Path, name: str = "") -> ModuleType:
    """Run a Python file that is no part of an installed package.

    Args:
        file: to run.
        name: under which it can be imported from then on; empty for one that nothing imports.

    Raises:
        SeparatorError: no such Python file.
    """
    spec = importlib.util.spec_from_file_location(name or f"separator_{file.stem.replace('-', '_')}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise SeparatorError(f"{file}: found no such Python file")
    module = importlib.util.module_from_spec(spec)
    if name:
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run(script: Script, mix: Wave) -> dict[str, Wave]:
    """Separate a mix.

    Args:
        script: as :func:`load` returns it.
        mix: float32 (n, 2) at 44.1 kHz.

    Returns:
        Stem name to estimate, float32 (n, 2).

    Raises:
        SeparatorError: the file's function failed, or gave another shape or broken samples.
    """
    try:
        found = script.separate(mix.copy())
    except Exception as error:
        raise SeparatorError(f"{script.name}: failed ({type(error).__name__}: {error})") from error
    stems = {name: np.asarray(wave, np.float32) for name, wave in found.items()}
    for name, wave in stems.items():
        if wave.shape != mix.shape or not np.isfinite(wave).all():
            raise SeparatorError(f"{script.name}: found {name} of shape {wave.shape}; needed: {mix.shape}, all finite")
    return stems


def open_script(file: Path, label: str = "") -> Separator:
    """Make a separator of a file.

    Args:
        file: ``NAME.py``.
        label: name in manifests; the file's by default.

    Raises:
        SeparatorError: as for :func:`load`.
    """
    script = load(file)

    def of_piece(piece: Piece) -> dict[str, Wave]:
        return run(script, piece.mix)

    return Separator(label or script.name, f"script|{digest_of([file])}", of_piece)
