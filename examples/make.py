"""Make the example clips: ``python -m examples.make``.

A voice-like stem from a glottal pulse train through moving formants, the same stem produced, a mix of it with drums,
bass and chords, and the voice pulled out of such a mix by a mask that errs as separators' do, 4.5 dB good. Nothing is
recorded and nobody's audio is used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import lfilter

from training import effects
from training.separators import surrogate

RATE_HZ = 44_100
SECONDS = 10.0
HERE = Path(__file__).resolve().parent
Wave = npt.NDArray[np.float32]

# First four formants in Hz of five vowels (G. E. Peterson and H. L. Barney, JASA 24, 1952; the fourth is a guess).
VOWELS_HZ = {
    "a": (730, 1090, 2440, 3400),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3700),
    "o": (570, 840, 2410, 3300),
    "u": (300, 870, 2240, 3200),
}
BANDWIDTHS_HZ = (80, 100, 140, 250)
MELODY = "57a 60e 62i 64o 62a .. 60u 57e 55a 57i .. 64a 62e 60o 57a .."  # MIDI note and vowel; two dots are a rest


def voice(rng: np.random.Generator) -> Wave:
    """Return a sung line, (n, 1): pulses, breath and consonants through formants, over a microphone's noise floor.

    Args:
        rng: of vibrato, breath and noise.
    """
    notes = MELODY.split()
    n_note = int(SECONDS * RATE_HZ / len(notes))
    out = []
    for note in notes:
        if note == "..":
            out.append(np.zeros(n_note))
            continue
        out.append(_note(440 * 2 ** ((int(note[:-1]) - 69) / 12), VOWELS_HZ[note[-1]], n_note, rng))
    dry = np.concatenate(out)
    dry = dry / np.abs(dry).max() * 0.5 + 2e-5 * rng.standard_normal(len(dry))
    return dry.astype(np.float32)[:, None]


def _note(pitch_hz: float, formants_hz: tuple[int, ...], n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    t = np.arange(n) / RATE_HZ
    drift = lfilter([0.0005], [1, -0.9995], rng.standard_normal(n))
    vibrato = 0.012 * np.minimum(1, t / 0.25) * np.sin(2 * np.pi * 5.4 * t + rng.uniform(0, 6))
    phase = np.cumsum(pitch_hz * (1 + vibrato + 0.01 * drift)) / RATE_HZ
    pulse = (phase % 1) ** 2 * (1 - phase % 1) * 6.75  # an open phase that ends in a sharp closure
    breath = rng.standard_normal(n) * (0.02 + 0.05 * pulse)
    source = np.diff(pulse, prepend=0.0) + breath
    envelope = np.minimum(1, t / 0.04) * np.minimum(1, (t[-1] - t) / 0.12) * rng.uniform(0.6, 1.0)
    sung = source * envelope
    for formant, bandwidth in zip(formants_hz, BANDWIDTHS_HZ, strict=True):
        sung = sung + 1.5 * _resonance(sung, formant * rng.uniform(0.97, 1.03), bandwidth)
    consonant = rng.standard_normal(n) * np.exp(-(((t - 0.03) / 0.02) ** 2)) * rng.uniform(0.02, 0.2)
    return sung + _resonance(consonant, rng.uniform(5000, 9000), 2500)


def _resonance(x: npt.NDArray[np.float64], centre_hz: float, bandwidth_hz: float) -> npt.NDArray[np.float64]:
    radius = np.exp(-np.pi * bandwidth_hz / RATE_HZ)
    gain = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(4 * np.pi * centre_hz / RATE_HZ) + radius**2)
    return np.asarray(lfilter([gain], [1, -2 * radius * np.cos(2 * np.pi * centre_hz / RATE_HZ), radius**2], x))


def backing(n: int, rng: np.random.Generator) -> Wave:
    """Return drums, bass and chords, (n, 2).

    Args:
        n: samples.
        rng: of the drums' noise.
    """
    t = np.arange(n) / RATE_HZ
    out = np.zeros((n, 2))
    beat = int(0.5 * RATE_HZ)
    for k, start in enumerate(range(0, n, beat // 2)):
        s = np.arange(min(beat, n - start)) / RATE_HZ
        hat = rng.standard_normal((len(s), 2)) * np.exp(-s / 0.025)[:, None] * 0.06
        out[start : start + len(s)] += lfilter([1, -0.95], [1], hat, axis=0)
        if k % 4 == 0:
            kick = np.sin(2 * np.pi * (45 * s + 6 * (1 - np.exp(-s / 0.03)))) * np.exp(-s / 0.15)
            out[start : start + len(s)] += (0.5 * kick)[:, None]
        if k % 4 == 2:
            out[start : start + len(s)] += rng.standard_normal((len(s), 2)) * (0.16 * np.exp(-s / 0.09))[:, None]
    chords = ((45, 57, 60, 64), (41, 57, 60, 65), (48, 55, 60, 64), (43, 55, 59, 62))
    bar = 4 * beat
    for k, start in enumerate(range(0, n, bar)):
        s = t[start : start + bar] - t[start]
        fade = np.minimum(1, s / 0.02) * np.minimum(1, (s[-1] + 0.02 - s) / 0.05)
        for j, note in enumerate(chords[k % 4]):
            hz = 440 * 2 ** ((note - 69) / 12)
            tone = sum(np.sin(2 * np.pi * hz * h * s + j * h) / h**1.3 for h in range(1, 24) if hz * h < 20_000)
            pan = 0.5 if j == 0 else 0.2 + 0.25 * j
            part = (0.12 if j == 0 else 0.05) * tone * fade
            out[start : start + bar] += np.stack([part * (1 - pan), part * pan], 1) * 2
    return np.asarray(out, np.float32)


def main() -> None:
    """Write the four clips."""
    rng = np.random.default_rng(7)
    dry = voice(rng)
    stereo = np.repeat(dry, 2, axis=1)
    wet = effects.produce(stereo, "wet", np.random.default_rng(11)).wave[: len(dry)]
    sung, others = wet / np.abs(wet).max() * np.float32(0.35), np.float32(0.6) * backing(len(wet), rng)
    mix = sung + others
    pulled, _ = surrogate.separate(sung, others, np.random.default_rng(0))
    for name, wave in {"dry_voice": dry, "wet_voice": wet, "mix": mix, "separated_voice": pulled}.items():
        quiet = wave / max(1.0, np.abs(wave).max() / 0.9)
        soundfile.write(HERE / f"{name}.flac", quiet, RATE_HZ, subtype="PCM_16")


if __name__ == "__main__":
    main()
