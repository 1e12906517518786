"""Separate a catalogue into pairs: ``python -m training.separators.run MANIFEST... --separator SPEC --out DIR``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training import catalogue
from training.catalogue import CatalogueError, Clip
from training.catalogue.clips import read_rows
from training.separators.build import Settings, build
from training.separators.errors import SeparatorError
from training.separators.separator import Separator, Wave, check_device, open_separator

_ABOUT = (
    "Mix excerpts of the songs of a catalogue, separate them, and write each output beside the true stem of the same "
    "seconds, as a manifest that training.fit reads. What is done is kept: the same command goes on where it stopped "
    "and tries again what failed; another one into the same folder adds its rows. Exit code 0 when done, 1 when "
    "something was left out and --strict was given, 2 when the command could not run or every separation failed."
)
_SPEC = (
    "a separator; given again for each further one: demucs:MODEL[@REPOSITORY], openunmix:MODEL, torchaudio, "
    "net:FOLDER, script:FILE.py, command[NAME]:TEMPLATE with {input} and {output}, or folder[NAME]:PATH; +cli at the "
    "end of the first part writes as command-line tools do: rescaled where it would clip, in 16 bits"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the separators over the songs; 0 done, 1 done with problems under ``--strict``, 2 nothing separated."""
    parser = argparse.ArgumentParser(prog="python -m training.separators.run", description=_ABOUT)
    parser.add_argument(
        "manifests", nargs="+", type=Path, help="manifests, as `python -m training.catalogue` writes them"
    )
    parser.add_argument("--separator", action="append", required=True, metavar="SPEC", help=_SPEC)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pairs and their manifest")
    parser.add_argument("--flags", nargs="*", type=Path, default=[], help="CSV files of clips to leave out")
    parser.add_argument("--seconds", type=float, default=Settings.seconds, help="length of an excerpt")
    parser.add_argument("--excerpts", type=int, default=Settings.n_excerpts, help="of each song")
    parser.add_argument("--effects", type=float, default=Settings.p_effects, help="share mixed of processed stems")
    parser.add_argument("--no-residuals", action="store_true", help="direct outputs only")
    parser.add_argument("--device", default="cpu", help="where torch computes, such as cuda")
    parser.add_argument("--threads", type=int, default=0, help="of torch; its own choice by default")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn: excerpts, and the chains of --effects")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where anything was left out")
    given = parser.parse_args(arguments)
    if given.threads:
        import torch

        torch.set_num_threads(given.threads)
    try:
        settings = Settings(given.seconds, given.excerpts, given.effects, not given.no_residuals, given.seed)
        check_device(given.device)
        clips, left_out = catalogue.load(given.manifests, given.flags)
        separators, problems = _open(given.separator, given.device)
        rooms = _rooms(given.manifests) if given.effects else ()
        built = build(clips, separators, given.out, settings, rooms, _struck(given.manifests, clips))
    except (SeparatorError, CatalogueError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or given.out}: {error.strerror}; what is done is kept, run it again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; what is done is kept in {given.out}: the same command goes on", file=sys.stderr)
        return 130
    problems += [line for line in left_out if line.endswith("no such file")] + built.problems
    for line in problems + built.notes:
        print(line, file=sys.stderr)
    earlier = f", {built.n_earlier} of them kept of earlier runs" if built.n_earlier else ""
    print(f"{built.n_rows} rows of {given.out / 'manifest.csv'}{earlier}; {len(problems)} problems")
    if not built.n_separated:
        print("nothing was separated: there is no output of a stem that a song has", file=sys.stderr)
        return 2
    return 1 if given.strict and problems else 0


def _rooms(manifests: Sequence[Path]) -> Sequence[Wave]:
    from training.examples import read_rooms  # it brings librosa along

    return read_rooms(tuple(str(file) for file in catalogue.rooms(manifests)))


def _struck(manifests: Sequence[Path], clips: Sequence[Clip]) -> set[Path]:
    """Files that are listed and are no true stem to use: flagged, or said to be something else by now."""
    listed = {file.parent / row["clip"] for file in manifests for _, row in read_rows(file, catalogue.REQUIRED)}
    return listed - {clip.path for clip in clips if clip.origin == "studio"}


def _open(specs: Sequence[str], device: str) -> tuple[list[Separator], list[str]]:
    """Open what can be opened; one that is not installed is reported once and the others run."""
    opened: list[Separator] = []
    problems: list[str] = []
    for spec in specs:
        try:
            opened.append(open_separator(spec, device))
        except SeparatorError as error:
            problems.append(str(error))
    if not opened:
        raise SeparatorError("; ".join(problems))
    return opened, problems


if __name__ == "__main__":
    sys.exit(main())
