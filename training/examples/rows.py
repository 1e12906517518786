"""Rows of examples: what is computed and known of each, and what a part of the recipe is given to make them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from provenance import audio, envelope, frontend
from provenance.windows import MIN_WINDOW_S, WINDOW_S, split
from training import augment, effects
from training.catalogue import Clip
from training.examples.recipe import Recipe

Wave: TypeAlias = npt.NDArray[np.float32]
N_WINDOW = int(WINDOW_S * audio.SAMPLE_RATE_HZ)
N_LEAST = int(MIN_WINDOW_S * audio.SAMPLE_RATE_HZ)
N_MAP_FRAMES = frontend.n_map_frames(N_WINDOW)
MAP_SHAPE = (2, N_MAP_FRAMES, frontend.N_MAP_BINS)
ONSETS_SHAPE = (envelope.N_MAP_BANDS, envelope.n_map_frames(N_MAP_FRAMES))
SILENT_RMS = 1e-5
CHAINED = {"bundle": 0.6, "whole": 0.6, "edited": 0.4}
"""Of sums, of what comes out of whole mixes, and of what a heavy hand went over, the share through the common chain."""
STUDIO: dict[str, object] = {"origin": "studio", "family": "", "sdr_db": None}
"""What is known of a true stem among examples that were made here."""
META = (
    "clip", "kind", "window", "pair", "origin", "family", "separator_kind", "sdr_db", "processing", "oracle", "fold",
    "effects", "layers", "take", "n_frames",
)  # fmt: skip


class Rows:
    """The rows a clip has given so far.

    Args:
        clip: whose rows they are.
        keep_maps: keep each row's map too.
        keep_onsets: keep each row's map of onsets too.
    """

    def __init__(self, clip: Clip, keep_maps: bool = False, keep_onsets: bool = False) -> None:
        self.clip = clip
        self.keep_maps, self.keep_onsets = keep_maps, keep_onsets
        self.features: list[npt.NDArray[np.float32]] = []
        self.maps: list[npt.NDArray[np.uint8]] = []
        self.onsets: list[npt.NDArray[np.uint8]] = []
        self.meta: list[dict[str, object]] = []

    def add(self, wave: Wave, kind: str, window: int = 0, pair: str = "", **known: object) -> None:
        """Add a row; silence and broken samples are passed over.

        Args:
            wave: float32 (n, 1 or 2), 1 to 4 s at 44.1 kHz.
            kind: how it was made.
            window: number among its kind.
            pair: name that an extraction shares with its true twin.
            known: columns that differ from what is known of the clip.
        """
        if is_silent(wave) or not np.isfinite(wave).all():
            return
        clip = self.clip
        row: dict[str, object] = {
            "clip": clip.name,
            "kind": kind,
            "window": window,
            "pair": pair,
            "origin": clip.origin,
            "family": clip.family.name if clip.family else "",
            "separator_kind": clip.family.kind if clip.family else "",
            "sdr_db": clip.sdr_db,
            "processing": clip.wetness,
            "oracle": clip.oracle,
            "effects": "",
            "layers": layers_of(clip),
            "take": "",
        }
        row.update(known)
        spectra = frontend.analyse(wave)
        n_frames = row["n_frames"] = len(spectra.level)
        self.features.append(frontend.describe(spectra))
        self.meta.append(row)
        if self.keep_maps:
            packed = np.zeros(MAP_SHAPE, np.uint8)
            packed[:, :n_frames] = frontend.to_bytes(frontend.draw(spectra))
            self.maps.append(packed)
        if self.keep_onsets:
            onsets = np.zeros(ONSETS_SHAPE, np.uint8)
            onsets[:, : envelope.n_map_frames(n_frames)] = envelope.to_bytes(frontend.draw_onsets(spectra))
            self.onsets.append(onsets)


def layers_of(clip: Clip) -> str:
    """Return whether a clip holds one performance or several, or nothing where nobody knows.

    Args:
        clip: a dry clip is one voice, one instrument or one hit; a drum stem of a song is a whole kit.
    """
    if clip.set_name == "dry":
        return "individual"
    return "submix" if clip.stem == "drums" and clip.set_name == "pairs" else ""


@dataclass(frozen=True)
class Context:
    """What a part draws from.

    Args:
        rows: where its rows go.
        clip: the clip.
        samples: of it, float32 (n, 1 or 2), at least one second.
        pool: true stems of the same fold.
        recipe: how many.
        rooms: measured impulse responses.
        rng: of this clip and part.
    """

    rows: Rows
    clip: Clip
    samples: Wave
    pool: list[Clip]
    recipe: Recipe
    rooms: tuple[str, ...]
    rng: np.random.Generator


def is_silent(wave: Wave) -> bool:
    """Whether a wave holds nothing but rounding.

    Args:
        wave: float32 (n, channels).
    """
    return len(wave) == 0 or float(np.sqrt(np.mean((wave - wave.mean(0)) ** 2))) < SILENT_RMS


def fit(wave: Wave) -> Wave:
    """Cut or loop to between one and four seconds.

    Args:
        wave: float32 (n, channels).
    """
    return wave[:N_WINDOW] if len(wave) >= N_LEAST else np.resize(wave, (N_LEAST, wave.shape[1]))


def pair_of(clip: Clip) -> str:
    """Return the name that a clip of the matched set shares with its twins, or nothing.

    Args:
        clip: any.
    """
    if clip.set_name != "pairs":
        return ""
    return clip.reference if clip.origin == "separated" else clip.name


def add(
    c: Context,
    wave: Wave,
    kind: str,
    number: int,
    pair: str,
    mono: bool,
    chain: augment.Chain | None,
    known: dict[str, object],
    take: str = "",
) -> None:
    """Add a row through the common chain, or all windows of a take.

    Args:
        c: where rows go.
        wave: float32 (n, 1 or 2).
        kind, number, pair: as :meth:`Rows.add` takes them.
        mono: fold it first.
        chain: drawn, the same for twins; None leaves it as it is.
        known: columns that differ from what is known of the clip.
        take: name that windows of one file share, which are judged together; without one the first is all there is.
    """
    wave = wave.mean(1, keepdims=True) if mono else wave
    known = known | _heard(known, c.clip, wave, mono, chain)
    heard = augment.apply(wave, chain) if chain else wave
    windows = [window.samples for window in split([heard])] if take else []
    for window in windows or [fit(heard)]:
        c.rows.add(window, kind, number, pair, take=take, **known)


def _heard(
    known: dict[str, object], clip: Clip, wave: Wave, mono: bool, chain: augment.Chain | None
) -> dict[str, object]:
    """What is to be heard of effects after fold and chain: no image of a fold, and what the chain itself is of them."""
    used = [(str(name), float(strength)) for name, strength in json.loads(str(known.get("effects") or "[]"))]
    if mono or (chain is not None and chain.fold):
        used = list(effects.folded(used))
    own = list(augment.effects_of(wave, chain)) if chain is not None else []
    found: dict[str, object] = {"effects": json.dumps(used + own) if used or own else ""}
    if own and known.get("processing", clip.wetness) == "dry":
        found["processing"] = "hybrid"
    return found


def extracted(family: str, sdr: float) -> dict[str, object]:
    """Return what is known of an estimate that was made here.

    Args:
        family: of its separator.
        sdr: against its true stem, in dB.
    """
    return {"origin": "separated", "family": family, "sdr_db": sdr}
