"""The examples that one clip gives: as it is, through the common chain, separated in many ways, and processed.

A clip and its extraction go through one drawn chain, so that only the separation tells them apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from provenance import audio
from training.catalogue import Clip
from training.catalogue.clips import lot
from training.examples.mixing import SEPARABLE, read_rooms
from training.examples.plain import AS_THEY_ARE, DEGRADED, augmented, clean, degraded, grounded, processed
from training.examples.recipe import Recipe
from training.examples.rows import (
    CHAINED,
    MAP_SHAPE,
    META,
    N_LEAST,
    N_MAP_FRAMES,
    ONSETS_SHAPE,
    Context,
    Rows,
    Wave,
    is_silent,
    pair_of,
)
from training.examples.separated import (
    by_classical,
    by_demucs,
    by_networks,
    cleaned,
    easy,
    edited,
    gated,
    narrow,
    reworked,
    surrogates,
)
from training.examples.sums import bundles, submixes
from training.examples.wholes import MOST_SDR_DB, OUT_OF_MIXES, WHOLE_S, drawn_mixes, masked_mixes, whole_mixes

__all__ = [
    "AS_THEY_ARE",
    "CHAINED",
    "DEGRADED",
    "MAP_SHAPE",
    "META",
    "MOST_SDR_DB",
    "N_MAP_FRAMES",
    "ONSETS_SHAPE",
    "OUT_OF_MIXES",
    "PARTS",
    "SEPARABLE",
    "WHOLE_S",
    "Part",
    "Recipe",
    "Rows",
    "gives",
    "make",
    "read_rooms",
]


@dataclass(frozen=True)
class Part:
    """A kind of example: who makes it and which settings of the recipe it depends on."""

    make: Callable[[Context], None]
    settings: tuple[str, ...]


def make(clip: Clip, samples: Wave, part: str, pool: list[Clip], recipe: Recipe, rooms: tuple[str, ...] = ()) -> Rows:
    """Make the rows of one part of a clip.

    Args:
        clip: the clip.
        samples: of it, float32 (n, 1 or 2) at 44.1 kHz.
        part: a key of :data:`PARTS`.
        pool: true stems of the clip's fold.
        recipe: how many.
        rooms: files of measured impulse responses.
    """
    rows = Rows(clip, recipe.keep_maps, recipe.keep_onsets)
    if len(samples) < int(0.4 * audio.SAMPLE_RATE_HZ) or is_silent(samples):
        return rows
    if len(samples) < N_LEAST:
        samples = np.resize(samples, (N_LEAST, samples.shape[1]))
    twin = clip.reference if clip.set_name == "pairs" and clip.reference else clip.name
    seed = int(hashlib.sha256(f"{twin}/{part}".encode()).hexdigest()[:8], 16)  # twins are cut and processed alike
    PARTS[part].make(Context(rows, clip, samples, pool, recipe, rooms, np.random.default_rng([recipe.seed, seed])))
    return rows


def gives(clip: Clip, part: str, recipe: Recipe) -> bool:
    """Whether a clip gives rows of a part at all: of some parts only a share does.

    Args:
        clip, part, recipe: whose, of which part, by which recipe.
    """
    more = 2 if clip.set_name == "pairs" else 1
    if part == "whole":
        return bool(recipe.whole_names) and lot(clip.name) < recipe.whole_share * more
    if part == "remask":
        return bool(recipe.remask_name) and lot(f"{clip.name}/{part}") < recipe.remask_share * more
    if part == "drawn":
        return bool(recipe.drawn_names) and lot(f"{clip.name}/{part}") < recipe.drawn_share * more
    shares = {"edited": recipe.edited_share, "narrow": recipe.narrow_share, "cleaned": recipe.cleaned_share}
    if part in shares:
        return not clip.oracle and lot(f"{pair_of(clip) or clip.name}/{part}") < shares[part]
    if part == "degraded":
        return not clip.oracle and lot(pair_of(clip) or clip.name) < recipe.degraded_share
    return True


_COMMON = ("p_effects",)
PARTS: dict[str, Part] = {
    "clean": Part(clean, ("n_windows",)),
    "augmented": Part(augmented, ("n_augmented", *_COMMON)),
    "surrogate": Part(surrogates, ("n_surrogates", *_COMMON)),
    "demucs": Part(by_demucs, ("n_demucs", "demucs_models", *_COMMON)),
    "classical": Part(by_classical, ("n_classical", *_COMMON)),
    "network": Part(by_networks, ("n_networks", "network_names", "script_names", *_COMMON)),
    "whole": Part(whole_mixes, ("whole_names", *_COMMON)),
    "remask": Part(masked_mixes, ("remask_name", *_COMMON)),
    "drawn": Part(drawn_mixes, ("drawn_names", *_COMMON)),
    "easy": Part(easy, ("n_easy", "demucs_models", "network_names", "script_names", *_COMMON)),
    "processed": Part(processed, ("n_processed", "n_take_windows")),
    "grounded": Part(grounded, ("n_grounded", "n_take_windows")),
    "degraded": Part(degraded, ("degraded_share", "n_windows")),
    "submix": Part(submixes, ("n_submixes",)),
    "bundle": Part(bundles, ("n_bundles", "script_names")),
    "reworked": Part(reworked, ("n_reworked", *_COMMON)),
    "edited": Part(edited, _COMMON),
    "narrow": Part(narrow, _COMMON),
    "gated": Part(gated, ("n_gated", *_COMMON)),
    "cleaned": Part(cleaned, _COMMON),
}
"""The kinds of example, in the order in which a clip's rows are joined."""
