"""Matched pairs: songs of a catalogue are mixed, separated, and each estimate laid beside the stem it is of."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from tqdm import tqdm

from provenance import audio
from provenance.errors import UnreadableAudio
from training import effects
from training.catalogue import Clip
from training.catalogue.table import COLUMNS
from training.separators import cache
from training.separators.errors import DiskFull, SeparatorError, tell
from training.separators.mixes import by_kind, kind_of, of_one_recording
from training.separators.networks import STEMS as KINDS
from training.separators.records import Record, Shelf, sources_of
from training.separators.script import ACCOMPANIMENT
from training.separators.separator import RATE_HZ, Piece, Separator
from training.separators.surrogate import sdr_db

Wave = npt.NDArray[np.float32]
_SILENT_RMS = 1e-4
_LEAST_DIFFERENCE = 1e-2
"""Level of what a residual differs by from the direct output, over its own, from which it is a clip of its own."""


@dataclass(frozen=True)
class Settings:
    """What is made of each song.

    Args:
        seconds: length of an excerpt; shorter songs give themselves whole.
        n_excerpts: of each song, spread over it where there is most to hear.
        p_effects: share of the excerpts whose stems go through an effects chain before they are mixed.
        residuals: also the mix less the other estimates, which is how some tools make a stem.
        seed: of gains and chains.

    Raises:
        SeparatorError: no length, no excerpt, or a share that is none.
    """

    seconds: float = 10.0
    n_excerpts: int = 1
    p_effects: float = 0.0
    residuals: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.seconds < float("inf") and self.n_excerpts >= 1 and 0 <= self.p_effects <= 1):
            raise SeparatorError(
                f"found {self.n_excerpts} excerpts of {self.seconds:g} s, {self.p_effects:g} of them with effects; "
                "needed: one at least, longer than 0 s, and a share from 0 to 1"
            )


@dataclass(frozen=True)
class Built:
    """What a run left in its folder.

    Args:
        n_rows: of the manifest.
        n_separated: rows of the manifest that are outputs of this run's separators.
        n_earlier: rows of the manifest that other runs made.
        problems: one line for each thing that was left out, with the number of songs it was left out of.
        notes: which rows of earlier runs are no longer in the manifest.
    """

    n_rows: int
    n_separated: int
    n_earlier: int
    problems: list[str]
    notes: list[str]


@dataclass
class Stem:
    """A true stem of a song: one clip, or the sum of those of its kind.

    Args:
        wave: float32 (n, 2).
        clips: what it was made of.
        wetness: of all of them, or ``unknown``.
        applied: effects it went through here, in order.
    """

    wave: Wave
    clips: list[Clip]
    wetness: str
    applied: tuple[tuple[str, float], ...] = field(default=())


def build(
    clips: Sequence[Clip],
    separators: Sequence[Separator],
    out: Path,
    settings: Settings | None = None,
    rooms: Sequence[Wave] = (),
    struck: Collection[Path] = (),
) -> Built:
    """Separate a catalogue's songs into ``out/manifest.csv``, or what is missing of it.

    Each song's rows are a file of their own, written when its clips are; a kill at any time loses the song in hand.
    Rows of other runs into the same folder stay in the manifest as long as their clips are there and the files of
    their songs are the same.

    Args:
        clips: the catalogue; songs with at least two kinds of studio stem are mixed.
        separators: which.
        out: folder of clips, rows, cache and manifest.
        settings: what is made of each song.
        rooms: measured impulse responses for the reverberation of stems processed before they are mixed.
        struck: files that the catalogue lists and must not be used: no earlier row of them is kept.

    Raises:
        SeparatorError: two separators of one name, before anything is made.
        DiskFull: nothing else stops the run.
    """
    settings = settings or Settings()
    named = Counter(_safe(separator.name) for separator in separators)
    for separator in separators:
        if named[_safe(separator.name)] > 1:
            raise SeparatorError(
                f"found two separators named {separator.name}, whose clips would replace one another; needed: a name "
                f"in brackets for one of them, as in demucs[{separator.name}-cli]+cli:MODEL"
            )
    songs: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.origin == "studio" and not clip.oracle and clip.set_name not in ("fx_pairs", "rir"):
            songs[clip.song].append(clip)
    todo = {song: found for song, found in sorted(songs.items()) if len({kind_of(c.stem) for c in found}) > 1}
    single = sorted(set(songs) - set(todo))
    problems: list[str] = []
    if single:
        problems.append(f"{len(single)} songs have stems of one kind only, such as {single[0]}; needed: two, to mix")
    (out / "rows").mkdir(parents=True, exist_ok=True)
    cache.sweep([out, _clips_of(out), out / "rows", out / "cache"])
    shelf = Shelf(out, songs, struck)
    made: list[Record] = []
    with tqdm(todo.items(), desc="songs", unit="song", disable=None, smoothing=0.1) as bar:
        for song, found in bar:
            bar.set_postfix_str(song[:24])
            parts = sorted(f"{c.name} {c.path.stat().st_size} {c.path.stat().st_mtime_ns}" for c in found)
            names = "|".join([*sorted(s.identity for s in separators), repr(settings), *parts])
            file = out / "rows" / f"{hashlib.sha256(names.encode()).hexdigest()[:24]}.json"
            record = shelf.find(file)
            if record is None:
                record = _song(song, found, separators, out, settings, rooms)
                shelf.put(file, record)
                shelf.write()
            made.append(record)
    rows = Shelf(out, songs, struck).write()  # read anew: another run may have been at work in the folder
    own = {row["clip"]: row["origin"] for record in made for row in record.rows}
    problems += tell((record.song, line) for record in made for line in record.problems)
    n_earlier = sum(row["clip"] not in own for row in rows)
    n_separated = sum(origin == "separated" for origin in own.values())
    return Built(len(rows), n_separated, n_earlier, problems, shelf.explain_gone(rows))


def _song(
    song: str,
    clips: list[Clip],
    separators: Sequence[Separator],
    out: Path,
    settings: Settings,
    rooms: Sequence[Wave],
) -> Record:
    """Rows of a song, and what went wrong with it."""
    sources = sources_of(clips)
    stems, problems = _read(clips)
    if len(stems) < 2:
        problems.append(f"found {len(stems)} usable stems; needed: two, to mix; left out")
        return Record(song, sources, [], problems)
    rng = np.random.default_rng([settings.seed, int(hashlib.sha256(song.encode()).hexdigest()[:8], 16)])
    total = min(len(stem.wave) for stem in stems.values())
    rows: list[dict[str, str]] = []
    failures: list[str] = []
    for start in _places(stems, total, settings):
        n = min(int(settings.seconds * RATE_HZ), total)
        part = {k: Stem(s.wave[start : start + n], s.clips, s.wetness) for k, s in stems.items()}
        part = {k: s for k, s in part.items() if not _is_silent(s.wave)}
        if len(part) < 2:
            continue
        processed = rng.random() < settings.p_effects
        if processed:
            part = {k: _processed(s, rng, rooms) for k, s in part.items()}
        piece = Piece(np.sum([s.wave for s in part.values()], axis=0, dtype=np.float32), clips[0].song, start)
        used = [s for s in separators if s.keeps or not processed]  # finished outputs are of the stems as they were
        made, lines, quiet = _excerpt(song, piece, part, used, out, settings)
        rows += made
        failures += [line for line in lines if line not in failures]
        problems += [line for line in quiet if line not in problems]
    return Record(song, sources, rows, problems + failures, whole=not failures)


def _read(clips: list[Clip]) -> tuple[dict[str, Stem], list[str]]:
    stems: dict[str, Stem] = {}
    produced = [clip for clip in clips if clip.set_name != "dry"]  # else raw tracks would stand beside stems of them
    used, problems = of_one_recording(produced or clips)
    for clip in sorted(used, key=lambda c: c.name):
        try:
            _, wave = audio.read(clip.path)
        except UnreadableAudio as error:
            problems.append(str(error))
            continue
        if not len(wave) or float(np.abs(wave).max()) < 1e-3:
            problems.append(f"{clip.path}: silent; the stem is left out")
            continue
        wave = wave if wave.shape[1] == 2 else np.repeat(wave, 2, 1)
        kind = kind_of(clip.stem)
        if kind not in stems:
            stems[kind] = Stem(wave, [clip], clip.wetness)
            continue
        old = stems[kind]
        n = min(len(old.wave), len(wave))
        wetness = clip.wetness if clip.wetness == old.wetness else "unknown"
        stems[kind] = Stem(old.wave[:n] + wave[:n], [*old.clips, clip], wetness)
    return stems, problems


def _places(stems: dict[str, Stem], total: int, settings: Settings) -> list[int]:
    """Starts of the excerpts: in equal parts of the song, in each where the quietest stem is loudest."""
    n = min(int(settings.seconds * RATE_HZ), total)
    step = RATE_HZ // 2
    energy = []
    for stem in stems.values():
        power = np.concatenate([[0.0], np.cumsum(np.sum(stem.wave[:total].astype(np.float64) ** 2, 1))])
        starts = np.arange(0, total - n + 1, step)
        energy.append(np.log10(power[starts + n] - power[starts] + 1e-6))
    score = np.min(energy, axis=0)
    parts = np.array_split(np.arange(len(starts)), min(settings.n_excerpts, len(starts)))
    return [int(starts[part[np.argmax(score[part])]]) for part in parts]


def _processed(stem: Stem, rng: np.random.Generator, rooms: Sequence[Wave]) -> Stem:
    made = effects.produce(stem.wave, str(rng.choice(["hybrid", "wet"])), rng, rooms)
    return Stem(made.wave, stem.clips, made.processing if stem.wetness == "dry" else "unknown", made.effects)


def _excerpt(
    song: str, piece: Piece, stems: dict[str, Stem], separators: Sequence[Separator], out: Path, settings: Settings
) -> tuple[list[dict[str, str]], list[str], list[str]]:
    """Rows of an excerpt, what failed, and where a separator gave silence: that it gives again."""
    name = f"{song[:40]}-{hashlib.sha256(np.ascontiguousarray(piece.mix).tobytes()).hexdigest()[:8]}"
    rows, failures, quiet = [], [], []
    references: dict[str, str] = {}
    for kind, stem in stems.items():
        references[kind] = _save(out, f"{name}__{kind}__studio", stem.wave)
        rows.append(_row(references[kind], kind, stem, piece, "studio"))
    for separator in separators:
        try:
            estimates = cache.separate(separator, piece, out / "cache")
        except SeparatorError as error:
            if isinstance(error, DiskFull):
                raise
            failures.append(str(error))
            continue
        usable = (*KINDS, ACCOMPANIMENT) if settings.residuals else KINDS
        if not set(estimates) & set(usable):
            given, needed = ", ".join(sorted(estimates)), ", ".join(usable)
            failures.append(f"{separator.name}: gave {given}; needed: one of {needed}; left out")
        if all(map(_is_silent, estimates.values())):  # of which what is left is the mix as it was
            quiet.append(f"{separator.name}: gave silence; left out")
            continue
        estimates, n_outputs = by_kind(estimates)
        if set(estimates) == {"vocals", "other"} < set(stems):  # its other is all but the voice, and no stem
            estimates[ACCOMPANIMENT] = estimates.pop("other")
        alone = set(estimates) <= {"vocals", ACCOMPANIMENT}
        for kind, stem in stems.items():
            found = {"direct": estimates[kind]} if kind in estimates else {}
            others = [wave for other, wave in estimates.items() if other != kind and other != ACCOMPANIMENT]
            if settings.residuals and set(stems) <= set(estimates):
                found["residual"] = piece.mix - np.sum(others, axis=0, dtype=np.float32)
            elif settings.residuals and kind == "vocals" and ACCOMPANIMENT in estimates and alone:
                found["residual"] = piece.mix - estimates[ACCOMPANIMENT]
            if len(found) == 2 and _is_same(*found.values()):  # estimates that add up to the mix leave themselves
                del found["residual"]
            for how, wave in found.items():
                if how == "direct" and _is_silent(wave):
                    quiet.append(f"{separator.name}: gave silence for {kind}, which sounds; left out")
                    continue
                clip = _save(out, f"{name}__{kind}__{separator.name}-{how}", wave)
                row = _row(clip, kind, stem, piece, "separated")
                row |= {
                    "separator": separator.name,
                    "reference": references[kind],
                    "sdr_db": f"{sdr_db(stem.wave, wave):.2f}",
                }
                several = f"sum of {n_outputs[kind]} outputs" if n_outputs.get(kind, 1) > 1 else ""
                row["note"] = "; ".join(filter(None, (how, several, row["note"])))
                rows.append(row)
    return rows, failures, quiet


def _is_silent(wave: Wave) -> bool:
    return float(np.sqrt(np.mean(wave**2))) < _SILENT_RMS


def _is_same(one: Wave, other: Wave) -> bool:
    return float(np.mean((one - other) ** 2)) < _LEAST_DIFFERENCE**2 * float(np.mean(one**2))


def _clips_of(out: Path) -> Path:
    """The folder of clips, named after the run: names in the manifests of two runs must differ."""
    return out / f"{out.resolve().name}-clips"


def _save(out: Path, name: str, wave: Wave) -> str:
    """Write a clip under a safe name, in 24 bits or, beyond full scale, as floats; return its path below ``out``."""
    safe = _safe(name)
    kind, coding = ("flac", "PCM_24") if float(np.abs(wave).max(initial=0.0)) < 0.999 else ("wav", "FLOAT")
    file = _clips_of(out) / f"{safe}.{kind}"
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        soundfile.write(part, wave, RATE_HZ, coding)
        os.replace(part, file)
    except (OSError, soundfile.LibsndfileError) as error:
        part.unlink(missing_ok=True)
        raise DiskFull(
            f"{file.parent}: cannot be written ({error}); what is there is kept: see that the disk has room"
        ) from error
    return file.relative_to(out).as_posix()


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)


def _row(clip: str, kind: str, stem: Stem, piece: Piece, origin: str) -> dict[str, str]:
    first = stem.clips[0]
    applied = f"effects {json.dumps(stem.applied)}" if stem.applied else ""
    bundled = f"sum of {len(stem.clips)} tracks" if len(stem.clips) > 1 else ""
    return dict.fromkeys(COLUMNS, "") | {
        "clip": clip,
        "set": "pairs",
        "song_id": first.song,
        "stem": kind,
        "origin": origin,
        "wetness": stem.wetness,
        "sample_rate": str(RATE_HZ),
        "channels": "2",
        "duration_s": f"{len(stem.wave) / RATE_HZ:.3f}",
        "source_codec": first.codec,
        "source_repo": first.repo,
        "source_path": first.source_path or first.name,
        "source_commit": first.commit,
        "offset_s": f"{piece.start / RATE_HZ:.3f}",
        "licence": first.licence,
        "note": "; ".join(filter(None, (bundled, applied))),
    }
