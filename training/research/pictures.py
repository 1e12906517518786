"""The pictures of ``docs/artefacts.md``, from synthetic audio: ``python -m training.research.pictures``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import numpy.typing as npt
import typer

from examples import make
from provenance import envelope, frontend
from provenance.audio import SAMPLE_RATE_HZ
from provenance.evidence import cycles
from training.separators import classical

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Wave = npt.NDArray[np.float32]
SECONDS = 4
N = SECONDS * SAMPLE_RATE_HZ
NAMES = ("holes", "cutoff", "comb", "cycles", "pauses", "phase", "seam", "onsets")


def song() -> tuple[Wave, Wave, Wave]:
    """Return four seconds of a made-up voice, of what accompanies it, and of their mix, (n, 2) each."""
    rng = np.random.default_rng(7)
    voice = np.repeat(make.voice(rng), 2, axis=1)
    backing = 0.35 * make.backing(len(voice), rng)
    start = int(1.5 * SAMPLE_RATE_HZ)
    one, two = (w[start : start + N].astype(np.float32) for w in (voice, backing))
    return one, two, one + two


def tones() -> Wave:
    """Return four seconds of harmonics with vibrato over a smooth hiss, (n, 2): what holes show up in."""
    t = np.arange(N) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * np.cumsum(220 * (1 + 0.02 * np.sin(2 * np.pi * 5 * t))) / SAMPLE_RATE_HZ
    voiced = np.sum([np.sin(k * phase) / k for k in range(1, 36)], axis=0) * 0.2
    hiss = 0.01 * np.random.default_rng(3).standard_normal(N)
    return np.repeat((voiced + hiss).astype(np.float32)[:, None], 2, axis=1)


def struck() -> Wave:
    """Return four seconds of bursts of noise that begin at once and fade, (n, 2): what onsets show up in."""
    t = np.arange(N) / SAMPLE_RATE_HZ
    bursts = np.random.default_rng(5).standard_normal(N) * np.exp(-(t % 0.4) / 0.05)
    return np.repeat((0.3 * bursts).astype(np.float32)[:, None], 2, axis=1)


def upsampled(wave: Wave, level_db: float = -40.0) -> Wave:
    """Return a wave with the output of five transposed convolutions of random weights beneath it, each of stride four.

    Args:
        wave: (n, 2).
        level_db: of what is added, relative to the wave.
    """
    rng = np.random.default_rng(11)
    hidden = rng.standard_normal(len(wave) // cycles.BLOCK + 8)
    for _ in range(5):
        spread = np.zeros(4 * len(hidden))
        spread[::4] = hidden
        hidden = np.convolve(spread, rng.standard_normal(8), mode="same")
    beneath = hidden[: len(wave), None] / hidden.std() * np.sqrt(np.mean(wave**2)) * 10 ** (level_db / 20)
    return np.asarray(wave + beneath, np.float32)


def masked(target: Wave, mix: Wave, power: float = 2.0) -> Wave:
    """Return the target as an ideal mask pulls it out of the mix: the mask is right, the mix's phase stays.

    Args:
        target: true stem, (n, 2).
        mix: (n, 2).
        power: exponent; higher closes harder.
    """
    out = np.zeros_like(mix)
    for channel in range(2):
        x = frontend.stft(np.ascontiguousarray(mix[:, channel]))
        s = np.abs(frontend.stft(np.ascontiguousarray(target[:, channel])))
        v = np.abs(frontend.stft(np.ascontiguousarray(mix[:, channel] - target[:, channel])))
        mask = s**power / (s**power + v**power + 1e-12)
        for i, frame in enumerate(np.fft.irfft(x * mask, n=frontend.N_FFT, axis=1) * (frontend.N_FFT / 4)):
            out[i * frontend.HOP : i * frontend.HOP + frontend.N_FFT, channel] += frame
    return out


def strided(wave: Wave, stride: int = 32, level_db: float = -50.0) -> Wave:
    """Return a wave with what a transposed convolution of untuned weights adds: images of low bands, and steady lines.

    Args:
        wave: (n, 2).
        stride: samples an input step becomes.
        level_db: of the images.
    """
    rng = np.random.default_rng(1)
    low = wave[: len(wave) // stride * stride].reshape(-1, stride, 2).mean(axis=1) + 0.05
    kernel = rng.standard_normal(stride)
    image = (low[:, None] * kernel[None, :, None]).reshape(-1, 2) * 10 ** (level_db / 20)
    return (wave[: len(image)] + image).astype(np.float32)


def draw(name: str, out: Path) -> None:
    """Draw one picture.

    Args:
        name: one of :data:`NAMES`.
        out: PNG file.
    """
    voice, _, mix = song()
    if name == "phase":
        _draw_phase(voice, masked(voice, mix, 1.0), mix, out)
    elif name == "holes":
        sung, other = tones(), 12 * (mix - voice)
        hard = masked(sung, sung + other, 6.0)
        _draw_pair(sung, hard, "recorded", "through a mask that closes hard", out, top_khz=8.0)
    elif name == "cutoff":
        cut = masked(voice, mix)
        spectrum = np.fft.rfft(cut, axis=0)
        spectrum[int(11_025 * SECONDS) :] = 0
        ended = np.fft.irfft(spectrum, n=len(cut), axis=0).astype(np.float32)
        _draw_pair(voice, ended, "recorded", "from a network that ends at 11 kHz", out)
    elif name == "comb":
        _draw_pair(voice, strided(voice), "recorded", "after strided upsampling: lines at multiples of 1378 Hz", out)
    elif name == "cycles":
        _draw_cycles(voice, upsampled(voice), out)
    elif name == "pauses":
        pulled = classical.separate(mix, "vocals", 1.0)
        _draw_pair(
            voice,
            pulled,
            "recorded: pauses hold a microphone's noise",
            "pulled out blindly: pauses hold the drums",
            out,
        )
    elif name == "seam":
        stepped = voice * np.where(np.arange(N) < N // 2, 1.0, 0.55)[:, None].astype(np.float32)
        _draw_pair(voice, stepped, "recorded", "two chunks joined at 2 s, each at a level of its own", out)
    elif name == "onsets":
        hits = struck()
        _draw_onsets(hits, masked(hits, hits + 6 * (mix - voice)), out)
    else:
        raise ValueError(f"found picture {name!r}; needed: {', '.join(NAMES)}")


def _draw_pair(one: Wave, two: Wave, title_one: str, title_two: str, out: Path, top_khz: float = 22.05) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
    for axis, wave, title in zip(axes, (one, two), (title_one, title_two), strict=True):
        level = frontend.analyse(wave).level
        axis.imshow(
            level.T, origin="lower", aspect="auto", vmin=-80, vmax=30, cmap="magma",
            extent=(0, SECONDS, 0, 22.05), interpolation="nearest",
        )  # fmt: skip
        axis.set_ylim(0, top_khz)
        axis.set(title=title, xlabel="s")
    axes[0].set_ylabel("kHz")
    figure.savefig(out, dpi=60, pil_kwargs={"optimize": True})
    plt.close(figure)


def _draw_cycles(one: Wave, two: Wave, out: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
    titles = ("recorded", "with what five strides of four leave, 40 dB below")
    for axis, wave, title in zip(axes, (one, two), titles, strict=True):
        height = np.nanmean(cycles.lines(np.ascontiguousarray(wave[:, 0])), axis=0)
        hz = np.arange(1, len(height) + 1) * SAMPLE_RATE_HZ / cycles.BLOCK
        axis.bar(hz, height, width=24)
        axis.axhline(1.0, color="black", linewidth=0.8)
        axis.set(title=title, xlabel="rate of the power's wavering, Hz")
    axes[0].set_ylabel("times chance")
    figure.savefig(out, dpi=60, pil_kwargs={"optimize": True})
    plt.close(figure)


def _draw_onsets(one: Wave, two: Wave, out: Path) -> None:
    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    begin, n, before = 2 * SAMPLE_RATE_HZ, 40, 20
    for wave, label in ((one, "struck"), (two, "through a mask over frames of 46 ms")):
        level = envelope.levels(envelope.power(np.ascontiguousarray(wave[:, 0])))[3]
        first = begin // envelope.HOP - before
        axis.plot((np.arange(n) - before) * envelope.HOP / SAMPLE_RATE_HZ * 1000, level[first : first + n], label=label)
    axis.set(xlabel="ms", ylabel="dB below the loud frames, 2.6 to 5.2 kHz")
    axis.legend()
    figure.savefig(out, dpi=72)
    plt.close(figure)


def _draw_phase(true: Wave, pulled: Wave, mix: Wave, out: Path) -> None:
    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    x = frontend.stft(np.ascontiguousarray(mix[:, 0]))
    for wave, label in ((true, "recorded stem"), (pulled, "stem pulled out of the mix")):
        s = frontend.stft(np.ascontiguousarray(wave[:, 0]))
        ratio = np.abs(s) / (np.abs(x) + 1e-12)
        weak = (ratio > 0.02) & (ratio < 0.3) & (np.abs(x) > np.abs(x).max() * 10**-3.5)
        axis.hist(
            np.angle(s[weak] * x[weak].conj()), 61, range=(-np.pi, np.pi), density=True, histtype="step", label=label
        )
    axis.set(xlabel="phase of the stem against the mix where the stem is weak, radians", ylabel="density", yscale="log")
    axis.legend()
    figure.savefig(out, dpi=72)
    plt.close(figure)


def main(out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("docs/pictures")) -> None:
    """Draw every picture of ``docs/artefacts.md``."""
    out.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        draw(name, out / f"{name}.png")
        print(out / f"{name}.png")


if __name__ == "__main__":
    typer.run(main)
