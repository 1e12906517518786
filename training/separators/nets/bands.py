"""Band-split separators: complex masks from attention or recurrence along time and along bands."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from training.separators.nets.spectral import Stft


def split_bands(n_bins: int, narrow: int, n_bands: int) -> list[int]:
    """Return the widths of bands over ``n_bins`` bins, narrow at first and then ever wider.

    Args:
        n_bins: how many bins there are.
        narrow: width in bins of the first bands.
        n_bands: about how many bands are wanted, more than two.

    >>> sum(split_bands(1025, 8, 24)) == 1025
    True
    """
    n_narrow = n_bands // 3
    widths = [narrow] * n_narrow
    rest = n_bins - narrow * n_narrow
    weights = [1.18**k for k in range(n_bands - n_narrow)]
    widths += [max(narrow, int(rest * w / sum(weights))) for w in weights]
    surplus = sum(widths) - n_bins
    widths[-1] -= surplus
    if widths[-1] <= 0:
        raise ValueError(f"found {n_bands} bands of {narrow} bins or more; needed: fewer or narrower for {n_bins} bins")
    return widths


def _rotate(x: torch.Tensor) -> torch.Tensor:
    """Turn pairs of features by angles that grow with the position (rotary embedding, J. Su et al., 2021)."""
    n, dim = x.shape[-2:]
    hz = 10_000 ** (-torch.arange(0, dim, 2, device=x.device) / dim)
    angle = torch.arange(n, device=x.device)[:, None] * hz[None]
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class _Attention(nn.Module):
    """Gated attention with rotary positions and a feed-forward layer, over the last but one axis."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.RMSNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.gate = nn.Linear(dim, heads)
        self.out = nn.Linear(dim, dim, bias=False)
        self.feed = nn.Sequential(nn.RMSNorm(dim), nn.Linear(dim, 3 * dim), nn.GELU(), nn.Linear(3 * dim, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape (batch, positions, dim)."""
        y = self.norm(x)
        batch, n, dim = y.shape
        q, k, v = self.qkv(y).reshape(batch, n, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        z = functional.scaled_dot_product_attention(_rotate(q), _rotate(k), v)
        z = z * torch.sigmoid(self.gate(y)).transpose(1, 2)[..., None]
        x = x + self.out(z.transpose(1, 2).reshape(batch, n, dim))
        return x + self.feed(x)


class _Recurrence(nn.Module):
    """A residual bidirectional LSTM over the last but one axis."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape (batch, positions, dim)."""
        return x + self.out(self.lstm(self.norm(x))[0])


class BandSplit(nn.Module):
    """Complex masks from features of bands, modelled along time and along bands in turn.

    Args:
        n_stems: stems out.
        kind: ``roformer`` (attention with rotary positions) or ``rnn`` (LSTM).
        n_fft, hop: spectrogram resolution in samples.
        n_bands, narrow: how many bands, and the width in bins of the lowest.
        dim: features of each band.
        depth: pairs of layers.
        heads: of the attention.

    Source: Y. Luo and J. Yu, Music source separation with band-split RNN, 2022; W.-T. Lu et al., Music source
    separation with band-split RoPE transformer, 2023.
    """

    def __init__(
        self,
        n_stems: int,
        kind: str = "roformer",
        n_fft: int = 2048,
        hop: int = 512,
        n_bands: int = 30,
        narrow: int = 6,
        dim: int = 32,
        depth: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.stft, self.n_stems = Stft(n_fft, hop), n_stems
        self.widths = split_bands(n_fft // 2 + 1, narrow, n_bands)
        layer = {"roformer": _Attention, "rnn": _Recurrence}[kind]
        self.into = nn.ModuleList(nn.Sequential(nn.RMSNorm(4 * w), nn.Linear(4 * w, dim)) for w in self.widths)
        self.over_time = nn.ModuleList(layer(dim, heads) for _ in range(depth))
        self.over_bands = nn.ModuleList(layer(dim, heads) for _ in range(depth))
        self.norm = nn.RMSNorm(dim)
        self.out = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 4 * w * n_stems)) for w in self.widths
        )

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """Separate mixes (batch, 2, n) into (batch, stems, 2, n)."""
        spec = self.stft(mix)
        batch, channels, _, frames = spec.shape
        parts = torch.view_as_real(spec).permute(0, 3, 2, 1, 4).flatten(3)  # (batch, frames, bins, channel x part)
        bands = [b.flatten(2) for b in parts.split(self.widths, 2)]
        x = torch.stack([into(b) for into, b in zip(self.into, bands, strict=True)], 1)
        n_bands, dim = x.shape[1], x.shape[3]
        for along_time, along_bands in zip(self.over_time, self.over_bands, strict=True):
            x = along_time(x.reshape(batch * n_bands, frames, dim)).reshape(batch, n_bands, frames, dim)
            x = x.transpose(1, 2).reshape(batch * frames, n_bands, dim)
            x = along_bands(x).reshape(batch, frames, n_bands, dim).transpose(1, 2)
        x = self.norm(x)
        masks = [
            out(x[:, k]).reshape(batch, frames, self.n_stems, width, channels, 2)
            for k, (out, width) in enumerate(zip(self.out, self.widths, strict=True))
        ]
        mask = torch.view_as_complex(torch.cat(masks, 3).permute(0, 2, 4, 3, 1, 5).contiguous())
        return self.stft.inverse(mask * spec[:, None], mix.shape[-1])
