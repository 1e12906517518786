"""What may be done to a stem after it was made or extracted, heavier than the common chain: alike for both classes.

A phase vocoder smears a stem much as a separator does, a room fills its pauses, a low-rate codec cuts its top, and what
takes hiss away masks the spectrum: where training shows them on extractions alone, or on neither, a true stem that went
through one is accused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import librosa
import numpy as np
import numpy.typing as npt
import soxr

from training import augment
from training.processors import edit, noise, space

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
KINDS = ("pitch_shift", "time_stretch", "reverb", "codec")
_CHANCE = (0.3, 0.3, 0.2, 0.2)
EDITS = {"reversed": 0.3, "images": 0.3, "steps": 0.15, "chopped": 0.25}
"""Shares, among what is edited, of what an editor or a poor converter does; a separator leaves no such trace."""
IMAGES_HZ = (11_025, 16_000, 22_050, 22_050, 32_000)
"""Rates from which poor converters play: of samplers, speech recordings and games."""
STEPS = (256, 512, 1024, 1024, 2048)
"""Samples of a block that has one gain."""
NARROW_HZ = (8_000, 8_000, 11_025, 16_000, 22_050)
"""Rates of old samplers, telephones and speech recordings."""
_NARROW_CODINGS = (
    ("", 0),
    ("aac", 96),
    ("aac", 128),
    ("aac", 256),
    ("mp3", 64),
    ("mp3", 128),
    ("vorbis", 96),
    ("opus", 64),
)
GATES = {"codec": 0.1, "own_level": 0.3, "as_sox": 0.28, "as_audacity": 0.07, "gated": 0.25}
"""Shares, among what is gated, of a coder that leaves islands, of gates told no noise, of two programs', of any.

At its defaults the second program's is next to nothing: more of its rows would teach that any quiet ground is gated.
"""
_TOLD = {"as_sox": noise.gate_as_sox, "as_audacity": noise.gate_as_audacity}
_EDIT: dict[str, Callable[[Wave, float, np.random.Generator], Wave]] = {
    "reversed": lambda wave, amount, rng: wave[::-1],
    "images": lambda wave, rate_hz, rng: edit.with_images(wave, int(rate_hz), int(rng.integers(2))),
    "steps": lambda wave, depth_db, rng: edit.in_steps(wave, depth_db, int(rng.choice(STEPS)), rng),
    "chopped": lambda wave, least_db, rng: edit.chopped(wave, least_db),
}
MOST_BEFORE = 4096
WMA_KBPS = (48, 64, 96, 128, 160, 192)
_CODINGS = (("mp3", 48), ("mp3", 64), ("mp3", 64), ("mp3", 80), ("opus", 48), ("aac", 64), ("vorbis", 64))


@dataclass(frozen=True)
class Rework:
    """A drawn rework.

    Args:
        kind: one of :data:`KINDS`, of :data:`EDITS`, of :data:`GATES`, ``narrow`` or ``cleaned``.
        amount: semitones of a shift, rate of a stretch, strength of a room or of noise reduction, sampling rate in Hz
            of a narrow band and of images, depth in dB of steps, level in dB of what is cut out; 0 for a codec.
        n_fft, hop: of the phase vocoder or of what takes noise out.
        codec, bitrate_kbps: of the codec; empty for none after a narrow band.
        seed: of the room, the noise, or where frames of WMA begin.
    """

    kind: str
    amount: float
    n_fft: int
    hop: int
    codec: str
    bitrate_kbps: int
    seed: int


def draw(rng: np.random.Generator) -> Rework:
    """Draw a rework.

    Args:
        rng: source of randomness.
    """
    kind = str(rng.choice(KINDS, p=_CHANCE))
    sign = 1 if rng.random() < 0.5 else -1
    amounts = {
        "pitch_shift": sign * float(np.exp(rng.uniform(np.log(0.2), np.log(5.0)))),
        "time_stretch": 1.0 + sign * float(rng.uniform(0.02, 0.2)),
        "reverb": float(rng.uniform(0.15, 1.0)),
        "codec": 0.0,
    }
    n_fft = int(rng.choice([1024, 2048, 2048, 4096]))
    codec, bitrate_kbps = _CODINGS[int(rng.integers(len(_CODINGS)))]
    hop = n_fft // int(rng.choice([4, 4, 8]))
    return Rework(kind, amounts[kind], n_fft, hop, codec, bitrate_kbps, int(rng.integers(2**31)))


def draw_edited(rng: np.random.Generator) -> Rework:
    """Draw what an editor or a poor converter does.

    Args:
        rng: source of randomness.
    """
    kind = str(rng.choice([*EDITS], p=[*EDITS.values()]))
    amounts = {
        "reversed": 0.0,
        "images": float(rng.choice(IMAGES_HZ)),
        "steps": float(rng.uniform(1.0, 9.0)),
        "chopped": -float(rng.uniform(18.0, 50.0)),
    }
    return Rework(kind, amounts[kind], 0, 0, "", 0, int(rng.integers(2**31)))


def draw_narrow(rng: np.random.Generator) -> Rework:
    """Draw a narrow band and what codes it.

    Args:
        rng: source of randomness.
    """
    codec, bitrate_kbps = _NARROW_CODINGS[int(rng.integers(len(_NARROW_CODINGS)))]
    return Rework("narrow", float(rng.choice(NARROW_HZ)), 0, 0, codec, bitrate_kbps, 0)


def draw_gated(rng: np.random.Generator) -> Rework:
    """Draw what opens and closes each bin of the spectrum by itself: noise reduction above all, or a coder that does.

    Args:
        rng: source of randomness.
    """
    kind = str(rng.choice([*GATES], p=[*GATES.values()]))
    if kind == "codec":
        return Rework(kind, 0.0, 0, 0, "wma", int(rng.choice(WMA_KBPS)), int(rng.integers(2**31)))
    if kind in _TOLD:
        return Rework(kind, float(rng.uniform(0.0, 1.0)), 0, 0, "", 0, int(rng.integers(2**31)))
    return _denoising(kind, rng)


def draw_cleaned(rng: np.random.Generator) -> Rework:
    """Draw a noise reduction that goes smoothly from frame to frame.

    Args:
        rng: source of randomness.
    """
    return _denoising("cleaned", rng)


def _denoising(kind: str, rng: np.random.Generator) -> Rework:
    n_fft = int(rng.choice([1024, 2048, 2048, 4096]))
    hop = n_fft // int(rng.choice([2, 4, 4]))
    return Rework(kind, float(rng.uniform(0.1, 1.0)), n_fft, hop, "", 0, int(rng.integers(2**31)))


def apply(wave: Wave, rework: Rework, rooms: Sequence[Wave] = ()) -> Wave:
    """Apply a rework.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
        rework: what to do.
        rooms: measured impulse responses for a room; without any one is simulated.

    Returns:
        float32 (about n, 1 or 2) at 44.1 kHz.
    """
    if rework.kind == "reverb":
        made = space.reverb(
            np.repeat(wave, 2 // wave.shape[1], 1), rework.amount, np.random.default_rng(rework.seed), rooms
        )
        return made if wave.shape[1] == 2 else made[:, :1].copy()
    if rework.kind in _EDIT:
        return np.ascontiguousarray(_EDIT[rework.kind](wave, rework.amount, np.random.default_rng(rework.seed)))
    if rework.kind in ("gated", "cleaned"):
        rng = np.random.default_rng(rework.seed)
        return noise.clean(wave, rework.amount, rework.kind == "gated", rework.n_fft, rework.hop, rng)
    if rework.kind == "own_level":
        rng = np.random.default_rng(rework.seed)
        return noise.gate_by_own_level(wave, rework.amount, rework.n_fft, rework.hop, rng)
    if rework.kind in _TOLD:
        gate, rng = _TOLD[rework.kind], np.random.default_rng(rework.seed)
        return _within(wave, rework.seed, lambda longer: gate(longer, rework.amount, rng))
    if rework.kind == "narrow":
        wave = band_limited(wave, int(rework.amount))
        if not rework.codec:
            return wave
    if rework.kind in ("codec", "narrow"):
        code = partial(augment.code, codec=rework.codec, bitrate_kbps=rework.bitrate_kbps)
        loud = augment.at_peak(wave)
        return _within(loud, rework.seed, code) if rework.codec == "wma" else code(loud)
    vocoder = {"n_fft": rework.n_fft, "hop_length": rework.hop}
    if rework.kind == "pitch_shift":
        out = librosa.effects.pitch_shift(wave.T, sr=RATE_HZ, n_steps=rework.amount, res_type="soxr_hq", **vocoder)
    else:
        out = librosa.effects.time_stretch(wave.T, rate=rework.amount, **vocoder)
    return np.ascontiguousarray(out.T, np.float32)


def _within(wave: Wave, seed: int, hand: Callable[[Wave], Wave]) -> Wave:
    """Treat a passage as one from the middle of a file: where the hand's frames begin is drawn, and no edge shows."""
    before = MOST_BEFORE + int(np.random.default_rng(seed).integers(MOST_BEFORE))
    longer = np.pad(wave, ((before, MOST_BEFORE), (0, 0)), "reflect")
    return hand(longer)[before : before + len(wave)].copy()


def band_limited(wave: Wave, rate_hz: int) -> Wave:
    """Return a wave as it is after being sampled at a lower rate.

    Args:
        wave: float32 (n, channels) at 44.1 kHz.
        rate_hz: rate to go to and back from.

    Returns:
        The same shape.
    """
    there = soxr.resample(wave, RATE_HZ, rate_hz, "VHQ")
    back = np.asarray(soxr.resample(there, rate_hz, RATE_HZ, "VHQ"), np.float32)
    return librosa.util.fix_length(back, size=len(wave), axis=0)
