"""Evidence: signs that a person can check, measured on a few windows of every file.

Each module measures one cue, and all have one grammar: ``look(view)`` reads it in one window, and ``measure(clip)``
concludes it for the file. Only ``cycles`` adds up what it finds in the windows before it is read.
"""

from __future__ import annotations

from types import ModuleType

from provenance import frontend
from provenance.audio import Samples
from provenance.evidence import (
    attack,
    bandwidth,
    blur,
    brick_wall,
    clipping,
    comb,
    crest,
    cycles,
    decay,
    digital_silence,
    direct,
    flicker,
    holes,
    level_range,
    lossy,
    mid_side,
    noise_floor,
    notches,
    onsets,
    pause_level,
    pause_rhythm,
    pause_tonality,
    persistence,
    rescale,
    seams,
    stereo_phase,
    top_band,
)
from provenance.evidence.view import Clip, Reading, View
from provenance.verdict import Cue

CUES: tuple[ModuleType, ...] = (
    bandwidth,
    brick_wall,
    top_band,
    lossy,
    flicker,
    holes,
    notches,
    comb,
    cycles,
    persistence,
    blur,
    pause_level,
    pause_tonality,
    pause_rhythm,
    noise_floor,
    digital_silence,
    mid_side,
    stereo_phase,
    attack,
    onsets,
    seams,
    clipping,
    rescale,
    crest,
    level_range,
    decay,
    direct,
)
"""Every cue, in the order of a verdict's evidence."""
_IN_WINDOWS = tuple(cue for cue in CUES if cue is not cycles)
MOST_WINDOWS = 8
"""Windows looked at, at most, spread over the file: a long file costs no more memory than a short one."""


class Gallery:
    """Readings of a file, taken while it streams by.

    Every window is kept until there are more than eight; then every second one is dropped, and of what follows only
    every second is looked at, and so on. An eight-hour file is looked at about fifty times and keeps five to eight.
    """

    def __init__(self) -> None:
        self._readings: list[dict[str, Reading]] = []
        self._cycles = cycles.Pool()
        self._n_seen = 0
        self._stride = 1

    def add(self, samples: Samples, spectra: frontend.Spectra) -> None:
        """Look at a window, if it is its turn.

        Args:
            samples: float32, shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent.
            spectra: of the same window.
        """
        if self._n_seen % self._stride == 0:
            self._readings.append(look(samples, spectra))
            self._cycles.add(samples)
            if len(self._readings) > MOST_WINDOWS:
                self._readings = self._readings[::2]
                self._stride *= 2
        self._n_seen += 1

    def clip(self) -> Clip:
        """Return the readings so far."""
        readings = {cue.NAME: [r[cue.NAME] for r in self._readings] for cue in _IN_WINDOWS}
        return Clip(readings | {cycles.NAME: (self._cycles.reading,) if self._readings else ()})

    @property
    def cycles(self) -> float | None:
        """What :class:`cycles.Pool` says of every window that was looked at; None of a coder's clock."""
        return self._cycles.counted

    def cues(self) -> tuple[Cue, ...]:
        """Conclude every cue."""
        clip = self.clip()
        return tuple(cue.measure(clip) for cue in CUES)


def look(samples: Samples, spectra: frontend.Spectra) -> dict[str, Reading]:
    """Read in one window every cue that is read there.

    Args:
        samples: float32, shape (n, 1 or 2) at 44.1 kHz, 1 to 4 s, not silent.
        spectra: of the same window.
    """
    view = View(samples, spectra)
    return {cue.NAME: cue.look(view) for cue in _IN_WINDOWS}
