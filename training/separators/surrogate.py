"""Surrogate separations: ideal masks, corrupted the ways real separators err, with the SDR known by construction.

What was measured on the corpus says these matter most for separators never seen: they break the rule "this source
is separated", for every true stem gets an extraction of itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
N_FFTS = (512, 1024, 2048, 2048, 4096, 4096, 6144)
MASKS = ("ratio", "ratio", "magnitude", "binary", "phase_sensitive", "complex", "complex", "mapping")


def sdr_db(reference: Wave, estimate: Wave) -> float:
    """Return 10 log10 of signal over error energy, over all samples and channels, in dB, clipped to -30..60.

    Args:
        reference: true stem, shape (n, channels).
        estimate: extraction, same shape.
    """
    signal = float(np.sum(reference.astype(np.float64) ** 2))
    error = float(np.sum((reference.astype(np.float64) - estimate) ** 2))
    return float(np.clip(10 * np.log10((signal + 1e-12) / (error + 1e-12)), -30, 60))


def separate(target: Wave, interference: Wave, rng: np.random.Generator) -> tuple[Wave, float]:
    """Extract ``target`` from its sum with ``interference`` by a randomly corrupted ideal mask.

    Args:
        target: true stem, float32 (n, 2) at 44.1 kHz, not silent.
        interference: the rest of the mix, same shape.
        rng: draws the kind of mask, its resolution and its errors.

    Returns:
        The estimate, shape (n, 2), and its SDR in dB.
    """
    n = len(target)
    level = float(np.sqrt(np.mean(target**2)) / (np.sqrt(np.mean(interference**2)) + 1e-9))
    interference = interference * np.float32(level * 10 ** (rng.uniform(-6, 8) / 20))
    n_fft = int(rng.choice(N_FFTS))
    hop = n_fft // int(rng.choice([2, 4, 4, 4]))
    s, v = (spectrum_of(wave, n_fft, hop) for wave in (target, interference))
    x = s + v
    swap = rng.random() < 0.25  # the residual: what is left when the others are estimated and taken away
    estimate = _estimate(v, s, x, rng, n_fft) if swap else _estimate(s, v, x, rng, n_fft)
    if swap:
        estimate = x - estimate
    wave = wave_of(estimate, n_fft, hop, n)
    if rng.random() < 0.45:
        wave = _strided_images(wave, target + interference, rng)
    if rng.random() < 0.15:
        wave = _chunk_seams(wave, rng)
    wave = np.ascontiguousarray(wave, dtype=np.float32)
    return wave, sdr_db(target, wave)


def spectrum_of(wave: Wave, n_fft: int, hop: int) -> torch.Tensor:
    """Return the short-time spectrum under a Hann window, complex (channels, n_fft // 2 + 1, frames).

    Args:
        wave: float32 (n, channels).
        n_fft, hop: in samples.
    """
    samples = torch.from_numpy(np.ascontiguousarray(wave.T))
    return torch.stft(samples, n_fft, hop, window=torch.hann_window(n_fft), return_complex=True)


def wave_of(spectrum: torch.Tensor, n_fft: int, hop: int, n: int) -> Wave:
    """Return the float32 wave (n, channels) of a spectrum as :func:`spectrum_of` makes it.

    Args:
        spectrum: complex (channels, n_fft // 2 + 1, frames).
        n_fft, hop, n: in samples.
    """
    wave = torch.istft(spectrum, n_fft, hop, window=torch.hann_window(n_fft), length=n)
    return wave.numpy().T.astype(np.float32)


def smooth(values: torch.Tensor, frames: int, bins: int) -> torch.Tensor:
    """Return the mean over neighbouring bins and frames, fewer at the edges.

    Args:
        values: real (channels, bins, frames).
        frames, bins: how many on either side.
    """
    for kernel, padding in (((2 * bins + 1, 1), (bins, 0)), ((1, 2 * frames + 1), (0, frames))):
        if max(padding):
            values = torch.nn.functional.avg_pool2d(values, kernel, 1, padding, count_include_pad=False)
    return values


def _noise(shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    """Noise with unit deviation and a random correlation over time and frequency."""
    noise = torch.from_numpy(rng.standard_normal(tuple(shape), dtype=np.float32))
    noise = smooth(noise, int(rng.integers(0, 4)), int(rng.integers(0, 6)))
    return noise / (noise.std() + 1e-6)


def _estimate(s: torch.Tensor, v: torch.Tensor, x: torch.Tensor, rng: np.random.Generator, n_fft: int) -> torch.Tensor:
    kind = str(rng.choice(MASKS))
    severity = float(rng.uniform(0.1, 1.0))
    leak = 10 ** (-float(rng.uniform(10, 45)) / 20)
    frames, bins = int(rng.integers(0, 3)), int(rng.integers(0, 4))
    s_hat = smooth(s.abs(), frames, bins) * torch.exp(_noise(s.shape, rng) * (0.9 * severity))
    v_hat = smooth(v.abs(), frames, bins) * torch.exp(_noise(v.shape, rng) * (0.9 * severity))
    s_hat, v_hat = s_hat + leak * v.abs(), v_hat + leak * s.abs()
    eps = 1e-8
    power = float(rng.choice([0.7, 1.0, 1.0, 2.0, 2.0]))
    ratio = s_hat**power / (s_hat**power + v_hat**power + eps)
    if rng.random() < 0.5:  # one mask for both channels
        ratio = ratio.mean(0, keepdim=True).expand_as(ratio)
    if kind == "binary":
        ratio = (ratio > float(rng.uniform(0.3, 0.7))).float()
    if kind == "phase_sensitive":
        true = torch.clamp((s * x.conj()).real / (x.abs() ** 2 + eps), 0, 1)
        ratio = torch.clamp(true + 0.25 * severity * _noise(s.shape, rng), 0, 1)
    ratio = _shape_mask(ratio, rng, n_fft, kind)
    if kind == "magnitude":
        s_est = torch.minimum(s_hat, x.abs() * 1.5) * torch.exp(1j * x.angle())
    elif kind == "complex":
        wrong = torch.complex(_noise(s.shape, rng), _noise(s.shape, rng)) * (0.35 * severity)
        s_est = (s + leak * v) * (1 + wrong) * ratio ** float(rng.choice([0.0, 0.3, 1.0]))
    elif kind == "mapping":  # a network that draws the spectrum itself: blurred magnitude, nearly right phase
        phase = torch.exp(1j * (s.angle() + 0.6 * severity * _noise(s.shape, rng)))
        s_est = (smooth(s.abs(), frames, bins) + leak * v.abs()) * phase
    else:
        s_est = ratio * x
    return _band_limit(s_est, x, rng, n_fft)


def _shape_mask(ratio: torch.Tensor, rng: np.random.Generator, n_fft: int, kind: str) -> torch.Tensor:
    if rng.random() < 0.3:  # bands: the mask was drawn at a coarser resolution
        width = int(rng.choice([2, 4, 8, 16]))
        n_bins = ratio.shape[1] // width * width
        coarse = ratio[:, :n_bins].reshape(ratio.shape[0], -1, width, ratio.shape[2]).mean(2)
        ratio = torch.cat([coarse.repeat_interleave(width, 1), ratio[:, n_bins:]], 1)
    if rng.random() < 0.3:
        ratio = smooth(ratio, int(rng.integers(0, 3)), int(rng.integers(0, 3)))
    if rng.random() < 0.35:
        ratio = torch.where(ratio < float(rng.uniform(0.02, 0.3)), torch.zeros_like(ratio), ratio)
    if rng.random() < 0.35:
        ratio = ratio.clamp_min(10 ** (-float(rng.uniform(15, 60)) / 20))
    if rng.random() < 0.2 and kind != "binary":
        ratio = ratio ** float(rng.uniform(0.5, 2.0))
    return ratio


def _band_limit(s_est: torch.Tensor, x: torch.Tensor, rng: np.random.Generator, n_fft: int) -> torch.Tensor:
    draw = rng.random()
    if draw < 0.6:
        return s_est
    cut = int(float(rng.uniform(11_000, 18_000)) / RATE_HZ * n_fft)
    out = s_est.clone()
    if draw < 0.8:
        out[:, cut:] = 0
    else:  # above the network's range the mean of the mask is carried on
        mask = s_est[:, cut - 16 : cut].abs().mean(1) / (x[:, cut - 16 : cut].abs().mean(1) + 1e-8)
        out[:, cut:] = x[:, cut:] * mask.clamp(0, 1)[:, None]
    return out


def _strided_images(wave: Wave, mix: Wave, rng: np.random.Generator) -> Wave:
    """Traces of strided transposed convolution: images of the lower bands above them, and steady tones."""
    stride = int(rng.choice([2, 4, 4, 8, 16]))
    n = len(wave) // stride * stride
    source = wave if rng.random() < 0.7 else mix
    low = source[:n].reshape(-1, stride, 2).mean(1)
    kernel = rng.standard_normal((stride * 2, 1)).astype(np.float32)
    kernel /= np.abs(kernel).sum()
    image = np.zeros((n + 2 * stride, 2), np.float32)
    for k in range(2 * stride):
        image[k : k + n : stride] += low * kernel[k]
    out = wave.copy()
    out[:n] += image[:n] * np.float32(10 ** (-float(rng.uniform(12, 45)) / 20)) * stride
    if rng.random() < 0.5:
        level = float(np.sqrt(np.mean(wave**2)))
        t = np.arange(len(wave), dtype=np.float64)[:, None]
        for _ in range(int(rng.integers(1, 4))):
            k = int(rng.integers(1, stride + 1))
            tone = np.cos(np.pi * 2 * t * k / (2 * stride) + rng.uniform(0, 6.28))
            out += (tone * level * 10 ** (-float(rng.uniform(40, 75)) / 20)).astype(np.float32)
    return out


def _chunk_seams(wave: Wave, rng: np.random.Generator) -> Wave:
    out = wave.copy()
    step = int(rng.uniform(0.5, 2.5) * RATE_HZ)
    for start in range(step, len(out), step):
        out[start : start + step] *= np.float32(10 ** (rng.uniform(-0.8, 0.8) / 20))
    return out
