"""What studios clean a noisy take with, for :mod:`training.research.after`: spectral gates mask as separators do.

Each lays hiss under a stem, 50 dB below its level as of a microphone in a quiet room, and cleans it again: by filters
of FFmpeg, and by SoX's ``noisered``, which is told what the noise is. So is what goes by the name of
Audacity's noise reduction, which is not Audacity itself but this project's own code after its algorithm, at its
defaults (:func:`training.processors.noise.noise_reduction`).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import soundfile

from provenance.audio import SAMPLE_RATE_HZ
from training import augment
from training.processors.noise import noise_reduction

Wave = npt.NDArray[np.float32]
HISS_DB = -50.0
SOX = "sox"
_BLOCK = 4096
_SEED = 11


def cleaners() -> tuple[dict[str, Callable[[Wave], Wave]], list[str]]:
    """Return what hiss is laid under and cleaned by, by name, and which programs are not installed.

    Each takes and returns float32 (n, 1 or 2) at 44.1 kHz and leaves its input as it is.
    """
    found: dict[str, Callable[[Wave], Wave]] = {
        "hiss": lambda wave: with_hiss(wave)[0],
        "hiss, FFmpeg's afftdn at 12 dB": lambda wave: _denoised(wave, 12),
        "hiss, FFmpeg's afftdn at 30 dB": lambda wave: _denoised(wave, 30),
        "hiss, FFmpeg's anlmdn": lambda wave: filtered(with_hiss(wave)[0], "anlmdn", "s=0.0001"),
        "hiss, FFmpeg's agate": _gated,
        "hiss, Audacity's noise reduction": lambda wave: noise_reduction(*with_hiss(wave)),
    }
    if shutil.which(SOX) is None:
        return found, [SOX]
    return found | {
        "hiss, SoX's noisered at 0.1": lambda wave: _noise_reduced(wave, 0.1),
        "hiss, SoX's noisered at 0.21": lambda wave: _noise_reduced(wave, 0.21),
    }, []


def with_hiss(wave: Wave) -> tuple[Wave, Wave]:
    """Return a stem over hiss between white and pink, and a further second of that hiss.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz; it is not changed.
    """
    noise = np.random.default_rng(_SEED).standard_normal((len(wave) + SAMPLE_RATE_HZ, wave.shape[1]))
    hiss = augment.tinted(noise, 0.5, 50.0)
    hiss = np.asarray(hiss / hiss.std() * _level(wave) * 10 ** (HISS_DB / 20), np.float32)
    return wave + hiss[: len(wave)], hiss[len(wave) :]


def filtered(wave: Wave, name: str, arguments: str) -> Wave:
    """Run a filter of FFmpeg, through PyAV.

    Args:
        wave: float32 (n, 1 or 2) at 44.1 kHz.
        name, arguments: of the filter, as FFmpeg's documentation has them.

    Returns:
        float32 of as many channels.
    """
    layout = "stereo" if wave.shape[1] == 2 else "mono"
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=SAMPLE_RATE_HZ, format="fltp", layout=layout, time_base=Fraction(1, SAMPLE_RATE_HZ)
    )
    form = f"sample_fmts=fltp:channel_layouts={layout}:sample_rates={SAMPLE_RATE_HZ}"
    last = source
    for step in (graph.add(name, arguments), graph.add("aformat", form), graph.add("abuffersink")):
        last.link_to(step)
        last = step
    graph.configure()
    blocks = []
    for start in (*range(0, len(wave), _BLOCK), None):
        frame = None
        if start is not None:
            block = np.ascontiguousarray(wave[start : start + _BLOCK].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, start
        source.push(frame)
        while True:
            try:
                blocks.append(last.pull().to_ndarray())
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    return np.ascontiguousarray(np.concatenate(blocks, 1).T, np.float32)


def _level(wave: Wave) -> float:
    return float(np.sqrt(np.mean(wave**2))) + 1e-9


def _denoised(wave: Wave, less_db: int) -> Wave:
    floor_db = float(np.clip(20 * np.log10(_level(wave)) + HISS_DB, -80, -20))  # what the filter takes
    return filtered(with_hiss(wave)[0], "afftdn", f"nr={less_db}:nf={floor_db:.0f}")


def _gated(wave: Wave) -> Wave:
    threshold = _level(wave) * 10 ** (-25 / 20)
    return filtered(with_hiss(wave)[0], "agate", f"threshold={threshold:.6f}:range=0.01:attack=5:release=120")


def _noise_reduced(wave: Wave, amount: float) -> Wave:
    noisy, hiss = with_hiss(wave)
    with tempfile.TemporaryDirectory() as folder:
        before, alone, profile, after = (
            f"{folder}/{name}" for name in ("before.wav", "hiss.wav", "profile", "after.wav")
        )
        soundfile.write(before, noisy, SAMPLE_RATE_HZ, "FLOAT")
        soundfile.write(alone, hiss, SAMPLE_RATE_HZ, "FLOAT")
        floats = ("-e", "floating-point", "-b", "32")
        for command in (
            (SOX, alone, "-n", "noiseprof", profile), (SOX, before, *floats, after, "noisered", profile, str(amount)),
        ):  # fmt: skip
            subprocess.run(command, check=True, capture_output=True, timeout=600)
        made: Wave = soundfile.read(after, dtype="float32", always_2d=True)[0]
        return made
