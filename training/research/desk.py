"""What is done to takes at a desk, and coders that the protocol does not have, for :mod:`training.research.after`.

Filters of FFmpeg at the strength of an audible effect, WMA, and the package ``noisereduce`` as it comes: told no noise,
it gates a recording by the recording's own level.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from provenance.audio import SAMPLE_RATE_HZ
from training import augment
from training.degrade import coded
from training.research.cleaning import filtered

Wave = npt.NDArray[np.float32]
NOISEREDUCE = "noisereduce"
FILTERS = {
    "acompressor": "threshold=0.05:ratio=8:attack=5:release=80:makeup=2",
    "mcompand": "",
    "deesser": "i=0.6:m=0.8",
    "aexciter": "",
    "chorus": "0.5:0.9:50|60|40:0.4|0.32|0.3:0.25|0.4|0.3:2|2.3|1.3",
    "flanger": "",
    "aphaser": "",
    "tremolo": "",
    "aecho": "0.8:0.8:120:0.4",
    "adeclick": "",
}
"""Filter to its arguments, as FFmpeg's documentation has them; by none, as it comes."""


def desk() -> tuple[dict[str, Callable[[Wave], Wave]], list[str]]:
    """Return what may be done, by name, and which packages are not installed.

    Each takes and returns float32 (n, 1 or 2) at 44.1 kHz, at a peak of 0.7, and leaves its input as it is.
    """
    found: dict[str, Callable[[Wave], Wave]] = {
        f"FFmpeg's {name}": partial(_filtered, name, arguments) for name, arguments in FILTERS.items()
    }
    found |= {f"wma_{rate}": coded("wma", rate) for rate in (64, 128)}
    if find_spec(NOISEREDUCE) is None:
        return found, [NOISEREDUCE]
    return found | {
        "noisereduce": partial(_reduced, False),
        "noisereduce, stationary": partial(_reduced, True),
    }, []


def _filtered(name: str, arguments: str, wave: Wave) -> Wave:
    return filtered(augment.at_peak(wave), name, arguments)


def _reduced(is_stationary: bool, wave: Wave) -> Wave:
    import noisereduce

    with np.errstate(invalid="ignore", divide="ignore"):
        made = noisereduce.reduce_noise(y=augment.at_peak(wave).T, sr=SAMPLE_RATE_HZ, stationary=is_stationary)
    return np.ascontiguousarray(np.nan_to_num(made.T), np.float32)  # it divides digital silence by itself
