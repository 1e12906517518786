"""True stems to mix, and whole songs to measure separators on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from provenance import audio
from provenance.errors import UnreadableAudio
from training import catalogue
from training.catalogue import Clip, names
from training.separators.errors import SeparatorError
from training.separators.networks import STEMS as KINDS
from training.separators.script import ACCOMPANIMENT
from training.separators.surrogate import sdr_db

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100


@dataclass
class Stems:
    """True stems to train on and whole songs to measure on.

    Args:
        by_kind: stem name to waves, int16 (n, 2) at 44.1 kHz.
        songs: names of what was trained on.
        repositories: where it came from.
        held_out: song to its stems, each float32 (n, 2), of songs not trained on.
        failures: one line for each file that could not be used.
    """

    by_kind: dict[str, list[npt.NDArray[np.int16]]]
    songs: list[str]
    repositories: list[str]
    held_out: dict[str, dict[str, Wave]]
    failures: list[str]


def is_trained_on(song: str) -> bool:
    """Whether a song of a paired set is trained on: half of them by hash; the others measure."""
    return hashlib.sha256(song.encode()).digest()[0] % 2 == 0


def kind_of(stem: str) -> str:
    """Return which of the four stems an instrument counts as.

    >>> kind_of("lead vocals"), kind_of("snare"), kind_of("piano")
    ('vocals', 'drums', 'other')
    """
    kind = names.kind_of(stem)
    return kind if kind in KINDS else "other"


def of_one_recording(clips: Sequence[Clip]) -> tuple[list[Clip], list[str]]:
    """Return the clips of one recording of a song, and a line on others that the catalogue has under its name.

    A song may be listed twice, by two data sets or under two names: summed, each would be an echo of the other. Clips
    of one source in one folder are of one recording; those of other folders too, unless two stems are there again.

    Args:
        clips: of one song.
    """
    takes: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        takes[clip.repo, str(PurePosixPath(clip.source_path).parent)].append(clip)
    kinds = {take: {kind_of(clip.stem) for clip in of_take} for take, of_take in takes.items()}
    best = max(takes, key=lambda take: (len(kinds[take]), len(takes[take])), default=None)
    if best is None or len(kinds[best]) < 2:
        return list(clips), []
    others = [take for take in takes if take != best and (take[0] != best[0] or len(kinds[take] & kinds[best]) > 1)]
    if not others:
        return list(clips), []
    where = " and ".join(", ".join(filter(None, take)) for take in others)
    return (
        [clip for take, of_take in takes.items() if take not in others for clip in of_take],
        [f"found it again as {where}; of {', '.join(filter(None, best))} alone is it mixed"],
    )


def by_kind(estimates: Mapping[str, Wave]) -> tuple[dict[str, Wave], dict[str, int]]:
    """Return estimates with guitar, piano and the like added to that of the stem they count as, where there is one.

    The true stem holds them too: without them an estimate of ``other`` would be laid beside more than it is of.

    Args:
        estimates: stem name to estimate.

    Returns:
        The estimates, and of how many outputs each is the sum.
    """
    own = (*KINDS, ACCOMPANIMENT)
    found = {name: wave for name, wave in estimates.items() if name in own or kind_of(name) not in estimates}
    number = dict.fromkeys(found, 1)
    for name, wave in estimates.items():
        if name not in found:
            found[kind_of(name)] = found[kind_of(name)] + wave
            number[kind_of(name)] += 1
    return found, number


def gather(manifests: Sequence[Path], flags: Sequence[Path] = (), max_s: float = 10.0) -> Stems:
    """Read the true stems of manifests.

    Args:
        manifests: as for :func:`training.catalogue.load`; sets ``dry`` and ``fx_pairs`` are left out.
        flags: as for :func:`training.catalogue.load`.
        max_s: kept of each file, in seconds: the loudest passage of the first minute.

    Raises:
        SeparatorError: stems of fewer than two kinds, of which no mix can be made.
    """
    clips, left_out = catalogue.load(manifests, flags)
    gone = [line for line in left_out if line.endswith("no such file")]  # what is no true stem is not missed
    found = Stems({kind: [] for kind in KINDS}, [], [], {}, gone)
    songs: set[str] = set()
    repositories: set[str] = set()
    for clip in clips:
        if clip.origin != "studio" or clip.oracle or clip.set_name in ("dry", "fx_pairs", "rir"):
            continue
        try:
            _, wave = audio.read(clip.path, max_s=60.0)
        except UnreadableAudio as error:
            found.failures.append(str(error))
            continue
        if len(wave) < RATE_HZ or float(np.abs(wave).max()) < 1e-3:
            continue
        wave = _loudest(wave if wave.shape[1] == 2 else np.repeat(wave, 2, 1), int(max_s * RATE_HZ))
        if clip.set_name == "pairs" and not is_trained_on(clip.song):
            found.held_out.setdefault(clip.song, {})[kind_of(clip.stem)] = wave
            continue
        found.by_kind[kind_of(clip.stem)].append(np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16))
        songs.add(clip.song)
        repositories.add(clip.repo)
    kinds = [kind for kind, waves in found.by_kind.items() if waves]
    if len(kinds) < 2:
        raise SeparatorError(
            f"found true stems of {', '.join(kinds) or 'no kind'} only; needed: two of {', '.join(KINDS)} to mix"
        )
    found.songs, found.repositories = sorted(songs), sorted(repositories - {""})
    return found


def _loudest(wave: Wave, n: int) -> Wave:
    if len(wave) <= n:
        return wave
    energy = np.concatenate([[0.0], np.cumsum(np.sum(wave.astype(np.float64) ** 2, 1))])
    start = int(np.argmax(energy[n:] - energy[:-n]))
    return wave[start : start + n].copy()


def draw(stems: Stems, n_mixes: int, length: int, rng: np.random.Generator) -> torch.Tensor:
    """Draw stems to mix, shape (n_mixes, stems, 2, length): any songs, random gains, now and then one missing."""
    out = np.zeros((n_mixes, len(KINDS), 2, length), np.float32)
    for batch in out:
        for k, kind in enumerate(KINDS):
            if not stems.by_kind[kind] or rng.random() < 0.1:
                continue
            for _ in range(3):
                wave = stems.by_kind[kind][int(rng.integers(len(stems.by_kind[kind])))]
                start = int(rng.integers(0, max(1, len(wave) - length + 1)))
                part = np.resize(wave[start : start + length], (length, 2)).astype(np.float32).T / 32767
                level = float(np.sqrt(np.mean(part**2)))
                if level > 1e-4:
                    break
            gain = 10 ** (rng.uniform(-8, 4) / 20) * (0.1 / max(level, 1e-2)) ** float(rng.uniform(0, 1))
            part = part[::-1] if rng.random() < 0.5 else part
            batch[k] = part * np.float32(gain * rng.choice([-1, 1]))
    return torch.from_numpy(out)


def measure(separate: Callable[[Wave], dict[str, Wave]], stems: Stems, seed: int = 0) -> dict[str, Any]:
    """Return the median SDR in dB of each stem over mixes of held-out songs, and how many mixes there were.

    Args:
        separate: mix to estimates.
        stems: with at least one held-out song of two stems.
        seed: of the gains of the mixes.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    n_mixes = 0
    for song in sorted(stems.held_out):
        parts = stems.held_out[song]
        if len(parts) < 2:
            continue
        length = min(len(wave) for wave in parts.values())
        parts = {kind: wave[:length] * np.float32(10 ** (rng.uniform(-3, 3) / 20)) for kind, wave in parts.items()}
        estimates = separate(np.sum(list(parts.values()), axis=0, dtype=np.float32))
        n_mixes += 1
        for kind, wave in parts.items():
            if float(np.sqrt(np.mean(wave**2))) > 1e-3:
                found[kind].append(sdr_db(wave, estimates[kind]))
    return {
        "sdr_db": {kind: round(float(np.median(values)), 2) for kind, values in found.items() if values},
        "n_mixes": n_mixes,
    }
