"""What pipelines make of a separator's estimates: masks drawn from them and laid over the mix.

Spleeter, Open-Unmix and Demucs' older command share the mix out by Wiener-like masks; networks of the RoFormer and MDX
kinds give complex masks of limited resolution. Both leave errors that hang on the mix, with the quality of the
separator whose estimates they are drawn from; one run of it gives all of them.

Source: A. Liutkus and R. Badeau, Generalized Wiener filtering with fractional power spectrograms, ICASSP 2015;
W.-T. Lu et al., Music source separation with band-split RoPE transformer, ICASSP 2024 (complex masks).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from training.separators.surrogate import smooth, spectrum_of, wave_of

Wave = npt.NDArray[np.float32]
KINDS = {"wiener": "spectrogram_mask", "phase_of_mix": "spectrogram_mask", "complex": "complex_mask"}
"""Ways of masking, and the kind of separator that each stands for."""
_EPS = 1e-8


def draw(rng: np.random.Generator, but: str = "") -> str:
    """Draw a way of masking.

    Args:
        rng: draws.
        but: one that was taken already.
    """
    return str(rng.choice([kind for kind in KINDS if kind != but]))


def apply(estimates: dict[str, Wave], mix: Wave, how: str, rng: np.random.Generator) -> dict[str, Wave]:
    """Mask a mix by what a separator made of it.

    Args:
        estimates: stem name to estimate, float32 (n, 2) at 44.1 kHz; for ``wiener`` two or more.
        mix: what was separated, (n, 2).
        how: ``wiener``: the estimates' magnitudes to a power share the mix out; ``phase_of_mix``: each estimate's
            magnitude with the phase of the mix; ``complex``: the complex factor that brings the mix nearest to the
            estimate within a few bins and frames, without which it were the estimate itself.
        rng: draws resolution, power and smoothing.

    Returns:
        The same names, float32 (n, 2).

    Raises:
        ValueError: no such way.
    """
    n_fft = int(rng.choice([1024, 2048, 2048, 4096, 4096, 6144]))
    hop = n_fft // 4 if rng.random() < 0.7 else min(441, n_fft // 2)
    x = spectrum_of(mix, n_fft, hop)
    spectra = {name: spectrum_of(wave, n_fft, hop) for name, wave in estimates.items()}
    if how == "wiener":
        power, joint = float(rng.choice([1.0, 2.0])), bool(rng.random() < 0.3)
        parts = {name: s.abs() ** power for name, s in spectra.items()}
        if joint:
            parts = {name: p.mean(0, keepdim=True).expand_as(p) for name, p in parts.items()}
        total = torch.stack(list(parts.values())).sum(0) + _EPS
        masked = {name: x * (p / total) for name, p in parts.items()}
    elif how == "phase_of_mix":
        phase = torch.polar(torch.ones_like(x.real), x.angle())
        most = float(rng.uniform(1.0, 2.0)) * x.abs()
        masked = {name: torch.minimum(s.abs(), most) * phase for name, s in spectra.items()}
    elif how == "complex":
        frames, bins = int(rng.integers(0, 2)), int(rng.integers(1, 4))
        among = smooth(x.abs() ** 2, frames, bins) + _EPS
        masked = {}
        for name, s in spectra.items():
            product = s * x.conj()
            masked[name] = torch.complex(*(smooth(p, frames, bins) for p in (product.real, product.imag))) / among * x
    else:
        raise ValueError(f"found the way {how!r}; needed: one of {', '.join(KINDS)}")
    return {name: wave_of(s, n_fft, hop, len(mix)) for name, s in masked.items()}
