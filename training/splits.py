"""Splits: by song and by source repository at once, and by separator family, never by clip."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from training import catalogue
from training.catalogue import FEWEST_LETTERS, Clip

N_FOLDS = 3
PAIRED_SETS = frozenset({"pairs"})
"""Sets with one source of many songs: split by song and family, for all of them share a repository."""


def unit_of(clip: Clip) -> str:
    """Return what a clip is held out with: its song for the paired sets, else its source repository."""
    return f"song:{clip.song}" if clip.set_name in PAIRED_SETS else f"repo:{clip.repo or clip.song}"


def folds(
    clips: Sequence[Clip],
    n_folds: int = N_FOLDS,
    seed: int = 0,
    dealt: tuple[dict[str, int], dict[str, int]] = ({}, {}),
    shuffled: bool = False,
) -> tuple[dict[str, int], dict[str, int]]:
    """Give every unit (song or repository) and every separator family a fold.

    A repository outside the paired sets lies in the fold of the family it has most clips of; a song that turns up
    in two repositories joins them. Repositories of studio stems alone are dealt by stem so that each fold holds
    its share of each.

    Args:
        clips: the catalogue.
        n_folds: how many folds.
        seed: changes ties and the order in which units are dealt.
        dealt: units and families that have their folds already; what is new is dealt beside them.
        shuffled: families are dealt in a random order of the seed, not the largest first: by any seed the same few
            large ones stay apart then.

    Returns:
        unit to fold, family to fold.

    Raises:
        ValueError: a song of the new clips joins units that were dealt into different folds.
    """
    families: dict[str, int] = defaultdict(int)
    for clip in clips:
        if clip.family:
            families[clip.family.name] += 1
    family_fold = _deal(families, n_folds, seed, dealt[1], shuffled)
    groups = joined_units(clips)
    members: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        members[groups[unit_of(clip)]].append(clip)
    group_fold: dict[str, int] = {}
    for unit, fold in dealt[0].items():
        if unit in groups and group_fold.setdefault(groups[unit], fold) != fold:
            raise ValueError(
                f"{unit}: found a song of it in a unit of another fold; needed: leave those clips out, or name their "
                "manifest first"
            )
    load = [[0.0] * n_folds for _ in range(2)]
    ordered = sorted(members, key=lambda g: (g not in group_fold, -len(members[g]), _hash(g, seed)))
    for group in ordered:
        kind = int(members[group][0].set_name in PAIRED_SETS)
        votes: dict[str, int] = defaultdict(int)
        for clip in members[group]:
            if clip.family and clip.set_name not in PAIRED_SETS:
                votes[clip.family.name] += 1
        if group in group_fold:
            load[kind][group_fold[group]] += 0 if votes else len(members[group])
        elif votes:
            group_fold[group] = family_fold[max(sorted(votes), key=lambda f: votes[f])]
        else:
            fold = min(range(n_folds), key=lambda k: (load[kind][k], _hash(f"{group}/{k}", seed)))
            group_fold[group] = fold
            load[kind][fold] += len(members[group])
    return {unit: group_fold[group] for unit, group in groups.items()}, family_fold


def folds_in_turn(
    clips: Sequence[Clip], n_folds: int = N_FOLDS, seed: int = 0
) -> tuple[dict[str, int], dict[str, int]]:
    """Deal the clips of one manifest after the other, so that another manifest moves nothing of those before it.

    Args:
        clips: the catalogue.
        n_folds, seed: as for :func:`folds`.

    Returns:
        unit to fold, family to fold.

    Raises:
        ValueError: as for :func:`folds`.
    """
    dealt: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for manifest in sorted({clip.manifest for clip in clips}):
        dealt = folds([clip for clip in clips if clip.manifest <= manifest], n_folds, seed, dealt)
    return dealt


def deal(manifests: Sequence[Path], n_folds: int = N_FOLDS, seed: int = 0) -> tuple[dict[str, int], dict[str, int]]:
    """Deal all clips that manifests list, so that leaving some out by flags moves no other.

    Args:
        manifests: CSV files.
        n_folds, seed: as for :func:`folds`.

    Returns:
        unit to fold, family to fold.

    Raises:
        ValueError: as for :func:`folds`.
    """
    return folds_in_turn(catalogue.load(manifests)[0], n_folds, seed)


def joined_units(clips: Sequence[Clip]) -> dict[str, str]:
    """Return each unit with the name of the group it is dealt with: units that share a song are one.

    Songs whose names are too short to name one join nothing.

    Args:
        clips: the catalogue.
    """
    parent: dict[str, str] = {}

    def find(u: str) -> str:
        while parent[u] != u:
            parent[u] = parent[parent[u]]
            u = parent[u]
        return u

    by_song: dict[str, str] = {}
    for clip in clips:
        unit = unit_of(clip)
        parent.setdefault(unit, unit)
        if len(clip.song) < FEWEST_LETTERS:
            continue
        other = by_song.setdefault(clip.song, unit)
        parent[find(unit)] = find(other)
    return {unit: find(unit) for unit in parent}


def _deal(
    sizes: dict[str, int], n_folds: int, seed: int, dealt: dict[str, int], shuffled: bool = False
) -> dict[str, int]:
    load = [0] * n_folds
    out = dict(dealt)
    for name, fold in dealt.items():
        load[fold] += sizes.get(name, 0)
    for name in sorted(sizes.keys() - dealt.keys(), key=lambda n: (0 if shuffled else -sizes[n], _hash(n, seed))):
        out[name] = min(range(n_folds), key=lambda k: (load[k], _hash(f"{name}/{k}", seed)))
        load[out[name]] += sizes[name]
    return out


def _hash(text: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{text}".encode()).digest()[:8], "big")
