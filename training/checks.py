"""What a catalogue must hold for its figures to mean what they say, asked before hours of rows are made."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer

from training.catalogue import Clip
from training.catalogue.clips import read_rows
from training.examples import Recipe
from training.families import is_listed
from training.separators import script
from training.separators.errors import SeparatorError
from training.splits import unit_of

MOST_NAMED = 8
"""So many separators are named, at most."""


def of_songs(clips: Sequence[Clip], unit_fold: Mapping[str, int]) -> None:
    """Raise where two clips of one song lie in two folds: models would be judged on what they learnt from.

    Names of fewer than six letters join no two repositories (``01`` is a song of anybody), so that excerpts of
    ``01`` of the paired set may be dealt apart from the song they were cut from; and so may an extraction and the true
    stem that its row names.

    Args:
        clips: the catalogue.
        unit_fold: fold of each unit.

    Raises:
        ValueError: names two such clips.
    """
    by_name = {clip.name: clip for clip in clips}
    by_song: dict[tuple[str, str], Clip] = {}
    for clip in clips:
        same = [by_song.setdefault((clip.repo, clip.song), clip), by_name.get(clip.reference, clip)]
        for other in same:
            here, there = unit_fold[unit_of(clip)], unit_fold[unit_of(other)]
            if here != there:
                raise ValueError(
                    f"found {other.name} in fold {there} and {clip.name}, of the same song, in fold {here}; needed: "
                    f"both under one song_id of six letters or more (found {other.song!r} and {clip.song!r})"
                )


def of_folds(
    clips: Sequence[Clip], folds: tuple[Mapping[str, int], Mapping[str, int]], n_folds: int, makes_extractions: bool
) -> None:
    """Raise where a fold's model has nothing to learn from, or its line nothing to be drawn by.

    Args:
        clips: the catalogue.
        folds: of each unit, of each family.
        n_folds: of the protocol.
        makes_extractions: whether the recipe makes some of true stems by surrogates.

    Raises:
        ValueError: says of which fold, what is missing, and what is needed.
    """
    known = [(clip, folds[0][unit_of(clip)], _fold_of_family(clip, folds[1])) for clip in clips if not clip.oracle]
    judged = [(fold, clip.origin) for clip, fold, family in known if clip.origin == "studio" or family == fold]
    families = sorted({clip.family.name for clip, _, _ in known if clip.family})
    for fold in range(n_folds):
        learnt = {clip.origin for clip, own, family in known if fold not in (own, family)}
        if missing := {"studio", *([] if makes_extractions else ["separated"])} - learnt:
            n_units = len({unit_of(clip) for clip, _, _ in known})
            raise ValueError(
                f"found no {_WORDS[max(missing)]} to learn from outside fold {fold}: {n_units} songs and repositories "
                f"in {len({own for _, own, _ in known})} of {n_folds} folds; needed: songs that can be dealt into all "
                "of them (dry recordings of one source are one unit, whatever songs they are of)"
            )
        others = {origin for own, origin in judged if own != fold}
        if any(own == fold for own, _ in judged) and len(others) < 2:
            missing = {"studio", "separated"} - others
            raise ValueError(
                f"found no {_WORDS[max(missing)]} outside fold {fold} that a model could be judged by without having "
                f"seen its song and its separator's family ({', '.join(families) or 'no extraction'}); needed: true "
                "stems, and separators of two families at least, over songs of all folds"
            )


_WORDS = {"studio": "true stem", "separated": "extraction"}


def _fold_of_family(clip: Clip, family_fold: Mapping[str, int]) -> int:
    return family_fold[clip.family.name] if clip.family else -1


def of_earlier(clips: Sequence[Clip], unit_fold: Mapping[str, int], cache: Path) -> str:
    """Return in words which clips lay in other folds when rows were made; keep in ``folds.json`` where each lay first.

    Rows are found by clip and recipe, whatever they were mixed with: by other folds that may be a song that is judged.

    Args:
        clips: the catalogue.
        unit_fold: fold of each unit.
        cache: folder of rows; of one that has no such file nothing is known.

    Returns:
        A line, or nothing.
    """
    file = cache / "folds.json"
    now = {clip.name: unit_fold[unit_of(clip)] for clip in clips}
    first: dict[str, int] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    moved = [name for name, fold in now.items() if first.get(name, fold) != fold]
    if now.keys() - first.keys():
        cache.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(now | first), encoding="utf-8")
        os.replace(part, file)
    if not moved:
        return ""
    return (
        f"{len(moved)} clips, such as {moved[0]}, lay in other folds when rows in {cache} were made (by other "
        "manifests, another seed or n_folds): what their rows are mixed with may be held out now, and figures come out "
        "too good; needed for figures: another --work"
    )


def of_separators(recipe: Recipe) -> None:
    """Raise where a folder lacks separators that a recipe names: rows would be made until the first that needs one.

    Args:
        recipe: with the folders that were given.

    Raises:
        ValueError: names the folder, its option, what is not there and what makes it; a script that cannot be run; or
            the variable that should name the checkout which a script needs.
    """
    of_mixes = [name for name in (*recipe.whole_names, recipe.remask_name) if name]
    by_demucs = [name for name in of_mixes if name in recipe.demucs_models]
    if recipe.n_demucs or recipe.n_easy:
        by_demucs += recipe.demucs_models
    scripts = [*recipe.script_names, *(n for n in of_mixes if n not in recipe.demucs_models), *recipe.drawn_names]
    weights = ("{}.th", "{}-*.th", "{}.yaml")
    for option, folder, names, patterns, needed in (
        ("--demucs-repo", recipe.demucs_repo, by_demucs, weights, "weights SIGNATURE-*.th of each"),
        (
            "--networks",
            recipe.networks,
            recipe.network_names,
            ("{}/network.json",),
            "each, as training.separators.train writes it",
        ),
        ("--scripts", recipe.scripts, scripts, ("{}.py",), "a file NAME.py of each"),
    ):
        found = {name for name in names for pattern in patterns if any(Path(folder).glob(pattern.format(name)))}
        if folder and (gone := [name for name in dict.fromkeys(names) if name not in found]):
            raise ValueError(
                f"{option} {folder}: found no {', '.join(gone)}; needed: {needed}, or a configuration whose [recipe] "
                "names those that are there"
            )
    for name in dict.fromkeys(scripts if recipe.scripts else ()):
        try:
            loaded = script.load(Path(recipe.scripts) / f"{name}.py")
            if loaded.folder:
                script.folder_of(loaded.folder, loaded.source)
        except SeparatorError as error:
            raise ValueError(str(error)) from error


def before_rows(clips: Sequence[Clip], unit_fold: Mapping[str, int], cache: Path, recipe: Recipe) -> None:
    """Refuse a song in two folds and separators that are not there; say on stderr which rows other folds made.

    Args:
        clips, unit_fold, cache: as for :func:`of_earlier`.
        recipe: as for :func:`of_separators`.

    Raises:
        ValueError: as for :func:`of_songs` and :func:`of_separators`.
    """
    of_songs(clips, unit_fold)
    of_separators(recipe)
    if moved := of_earlier(clips, unit_fold, cache):
        typer.echo(moved, err=True)


def notes(clips: Sequence[Clip], left_out: Sequence[str], flags: Sequence[Path] = ()) -> Iterator[str]:
    """Yield what a researcher should know of a catalogue before it is learnt from.

    Args:
        clips: of it.
        left_out: lines of :func:`training.catalogue.load`.
        flags: files it was loaded with.
    """
    why = Counter(line.rpartition(": ")[2] for line in left_out)
    told = f": {', '.join(f'{n} {reason}' for reason, n in why.most_common())}" if why else ""
    yield f"{len(clips)} clips; {len(left_out)} rows left out{told}"
    own = Counter(clip.separator or "no name" for clip in clips if clip.family and not is_listed(clip.family))
    if own:
        named = ", ".join(f"{name} ({n} clips)" for name, n in own.most_common(MOST_NAMED))
        rest = f" and {len(own) - MOST_NAMED} more" if len(own) > MOST_NAMED else ""
        yield (
            f"separators whose names training/families.py does not know, each held out as a family of its own: {named}"
            f"{rest}; one that is built like another needs a name that says so, such as demucs-mine"
        )
    listed = {clip.name for clip in clips} | {line.rpartition(": ")[0] for line in left_out}
    for file in flags:
        unknown = [name for name in (row["clip"] for _, row in read_rows(file, ("clip", "flag"))) if name not in listed]
        if unknown:
            yield f"{file}: {len(unknown)} of its clips are in no manifest, such as {unknown[0]}: nothing was left out"
