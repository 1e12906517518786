"""A separator in a Python file: any network that Python can run becomes a source of negatives, without a process each.

The file has ``STEMS``, the names it gives (``vocals``, ``drums``, ``bass``, ``other``, or ``accompaniment`` for all but
the voice), and ``separate(mix)``, which takes float32 (n, 2) at 44.1 kHz and returns stem name to estimate of the same
shape. ``SOURCE``, where it has one, tells the model card where the weights come from: ``repository``, ``commit``,
``licence``. The file's name without ending is the separator's. It is run as code: load only what you would run
yourself.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.families import Family, family_of
from training.separators.errors import SeparatorError
from training.separators.separator import Piece, Separator, digest_of

Wave = npt.NDArray[np.float32]
ACCOMPANIMENT = "accompaniment"


@dataclass(frozen=True)
class Script:
    """A loaded file.

    Args:
        name: of the file, without ending.
        stems: what it gives.
        separate: mix to stems, as the file has it.
        source: of its weights: ``repository``, ``commit``, ``licence``.
    """

    name: str
    stems: tuple[str, ...]
    separate: Callable[[Wave], dict[str, Wave]]
    source: dict[str, str] = field(default_factory=dict)

    @property
    def family(self) -> Family:
        """The family its name belongs to."""
        return family_of(self.name)


@lru_cache(maxsize=64)
def load(file: Path) -> Script:
    """Run a file and take what it offers.

    Args:
        file: ``NAME.py``.

    Raises:
        SeparatorError: no such file, one that fails, or one without ``STEMS`` and ``separate``.
    """
    spec = importlib.util.spec_from_file_location(f"separator_{file.stem.replace('-', '_')}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise SeparatorError(f"{file}: found no such Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a stranger's file may fail in any way
        raise SeparatorError(f"{file}: could not be loaded ({type(error).__name__}: {error})") from error
    stems, function = getattr(module, "STEMS", None), getattr(module, "separate", None)
    if not stems or not callable(function):
        raise SeparatorError(f"{file}: found no STEMS or no separate(mix); needed: both")
    return Script(file.stem, tuple(stems), function, dict(getattr(module, "SOURCE", {})))


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
