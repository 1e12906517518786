"""How a stem lies in a mix, bin by bin: signs that need the mix and that no processing of the stem alone can hide.

A separator makes its stem out of the mix. Where the stem is weak, a mask keeps the mix's phase; where two sources
overlap, the estimate shares what it cannot tell apart, so that stem and rest point the same way (or, where it takes too
much, opposite ways); in its pauses there is a remnant of the mix. A recorded stem knows nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from provenance.audio import Samples
from provenance.frontend import power, stft
from provenance.pairs.align import middle

SIGNS = ("phase_agreement", "shared_overlap", "exceeds_mix", "pause_coherence")
"""Names of the signs of a stem against its mix."""
WEAK_DB = (-34.0, -10.0)
_QUIET_SHARE = 0.1
_FLOOR_DB = -70.0
_N_BANDS = 24


@dataclass
class Sums:
    """Running sums over windows, a few dozen numbers whatever the length of the file."""

    weak: list[float] = field(default_factory=lambda: [0.0, 0.0])
    overlap: list[float] = field(default_factory=lambda: [0.0, 0.0])
    exceeds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    pause: list[complex] = field(default_factory=lambda: [0j, 0.0, 0.0])
    gain: list[complex] = field(default_factory=lambda: [0j, 0.0])
    rest: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def add(self, stem: Samples, mix: Samples, reverse: Sums | None = None) -> None:
        """Add a window.

        Args:
            stem, mix: float32, shape (n, 1 or 2) each, aligned, at least 2048 samples.
            reverse: further sums, to which the mix is added as if it were a stem of the stem.
        """
        for s, x in _channels(stem, mix):
            spectra = stft(s), stft(x)
            self._add(*spectra)
            if reverse is not None:
                reverse._add(*reversed(spectra))

    def _add(self, s: npt.NDArray[np.complex64], x: npt.NDArray[np.complex64]) -> None:
        cross = x * s.conj()
        s_power, x_power = power(s), power(x)
        self.gain[0] += complex(cross.sum())
        self.gain[1] += float(s_power.sum())
        s = s * _response(cross, s_power, x_power)
        cross, s_power = x * s.conj(), power(s)
        self._phase(cross, s_power, x_power)
        rest = x - s
        self._overlap(s, rest, s_power)
        self.rest[0] += float(power(rest).sum())
        self.rest[1] += float(x_power.sum())
        loud = s_power > float(s_power.max()) * 10 ** (-50 / 10)
        self.exceeds[0] += float(np.count_nonzero(s_power[loud] > 1.1 * x_power[loud]))
        self.exceeds[1] += float(np.count_nonzero(loud))
        self._pauses(cross, s_power, x_power)

    def _phase(
        self, cross: npt.NDArray[np.complex64], s_power: npt.NDArray[np.float32], x_power: npt.NDArray[np.float32]
    ) -> None:
        ratio = s_power / (x_power + 1e-30)
        low, high = (10 ** (db / 10) for db in WEAK_DB)
        seen = (ratio > low) & (ratio < high) & (x_power > float(x_power.max()) * 10 ** (_FLOOR_DB / 10))
        chosen = cross[seen]
        self.weak[0] += float((chosen.real / (np.abs(chosen) + 1e-30)).sum())
        self.weak[1] += len(chosen)

    def _overlap(
        self, s: npt.NDArray[np.complex64], rest: npt.NDArray[np.complex64], s_power: npt.NDArray[np.float32]
    ) -> None:
        weight = np.sqrt(np.abs(s) * np.abs(rest))
        product = s * rest.conj()
        self.overlap[0] += float((weight * product.real / (np.abs(product) + 1e-30)).sum())
        self.overlap[1] += float(weight.sum())

    def _pauses(
        self, cross: npt.NDArray[np.complex64], s_power: npt.NDArray[np.float32], x_power: npt.NDArray[np.float32]
    ) -> None:
        energy = s_power[:, 3:].sum(axis=1)
        n = max(1, round(_QUIET_SHARE * len(energy)))
        quiet = np.argpartition(energy, n - 1)[:n]
        size = np.sqrt(s_power[quiet] * x_power[quiet])
        if float(energy[quiet].mean()) < 1e-9 * float(energy.max() + 1e-30):
            return
        self.pause[0] += complex(cross[quiet].real.sum())
        self.pause[1] += float(size.sum())

    def signs(self) -> dict[str, float | None]:
        """Return the value of each sign, None where nothing of the kind was seen."""
        return {
            "phase_agreement": _ratio(self.weak),
            "shared_overlap": None if (shared := _ratio(self.overlap)) is None else abs(shared),
            "exceeds_mix": _ratio(self.exceeds),
            "pause_coherence": None if not self.pause[1] else float((self.pause[0] / self.pause[1]).real),
        }

    @property
    def gain_db(self) -> float:
        """Gain from the stem to its part of the mix, in dB."""
        return 20 * float(np.log10(abs(self.gain[0]) / (abs(self.gain[1]) + 1e-30) + 1e-12))

    @property
    def rest_db(self) -> float:
        """Energy of the mix without the stem, relative to the mix, in dB."""
        return 10 * float(np.log10(self.rest[0] / (self.rest[1] + 1e-30) + 1e-12))


@dataclass
class Likeness:
    """Running sums of how alike the waveforms of stems are, which tells one sound twice from two sounds."""

    products: dict[tuple[int, int], float] = field(default_factory=dict)

    def add(self, stems: dict[int, Samples]) -> None:
        """Add a window.

        Args:
            stems: by their number, each float32 of shape (n, 1 or 2), aligned.
        """
        waves = {k: middle(stem) for k, stem in stems.items()}
        for i, a in waves.items():
            for k, b in waves.items():
                if i <= k:
                    self.products[i, k] = self.products.get((i, k), 0.0) + float(np.vdot(a, b))

    def most(self) -> tuple[float, int, int] | None:
        """Return the largest correlation of two stems, 0 to 1, and which they are; None of fewer than two."""
        own = {i: p for (i, k), p in self.products.items() if i == k}
        found = [
            (abs(p) / float(np.sqrt(own[i] * own[k]) + 1e-30), i, k)
            for (i, k), p in self.products.items()
            if i != k
        ]  # fmt: skip
        return max(found, default=None)


def together(stems: list[Samples]) -> tuple[float, float]:
    """Return how the stems of a song lie to each other in one window: sums of agreement and of weights.

    Args:
        stems: at least two, each float32 of shape (n, 1 or 2), aligned.
    """
    spectra = [stft(np.ascontiguousarray(wave.mean(axis=1))) for wave in stems]
    agreement = weight = 0.0
    for i, a in enumerate(spectra):
        for b in spectra[i + 1 :]:
            product = a * b.conj()
            size = np.abs(product)
            seen = size > float(size.max()) * 1e-6
            share = np.sqrt(size[seen])
            agreement += float((share * product.real[seen] / (size[seen] + 1e-30)).sum())
            weight += float(share.sum())
    return agreement, weight


def _channels(stem: Samples, mix: Samples) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    if stem.shape[1] == mix.shape[1]:
        return [(np.ascontiguousarray(a), np.ascontiguousarray(b)) for a, b in zip(stem.T, mix.T, strict=True)]
    return [(stem.mean(axis=1), mix.mean(axis=1))]


def _response(
    cross: npt.NDArray[np.complex64], s_power: npt.NDArray[np.float32], x_power: npt.NDArray[np.float32]
) -> npt.NDArray[np.complex64]:
    """Gain and filter from the stem to its part of the mix: one real factor a band, drawn to the common one."""
    edges = np.unique(np.geomspace(2, cross.shape[1], _N_BANDS + 1).astype(int))
    overall = float(cross.real.sum()) / (float(s_power.sum()) + 1e-30)
    factor = np.full(cross.shape[1], overall, np.float32)
    for a, b in pairwise(edges):
        joint, own, other = float(cross[:, a:b].real.sum()), float(s_power[:, a:b].sum()), float(x_power[:, a:b].sum())
        coherence = joint**2 / (own * other + 1e-30)
        trust = coherence / (coherence + 0.02)
        factor[a:b] = overall + trust * (joint / (own + 1e-30) - overall)
    return factor.astype(np.complex64)


def _ratio(pair: list[float]) -> float | None:
    return pair[0] / pair[1] if pair[1] else None
