"""Separators on samples: Wave-U-Net and Conv-TasNet styles."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class WaveUNet(nn.Module):
    """A one-dimensional U-Net over samples; the last stem is the mix less the others.

    Args:
        n_stems: stems out.
        channels: added at each level.
        depth: levels, each halving the rate.
        upsampling: ``linear`` (as published) or ``strided`` (transposed convolution, which leaves images).
        stride: of each level.
        down, up: kernel lengths in samples.

    Source: D. Stoller et al., Wave-U-Net: a multi-scale neural network for end-to-end audio source separation,
    ISMIR 2018.
    """

    def __init__(
        self,
        n_stems: int,
        channels: int = 10,
        depth: int = 7,
        upsampling: str = "linear",
        stride: int = 2,
        down: int = 15,
        up: int = 5,
    ) -> None:
        super().__init__()
        if upsampling not in ("linear", "strided"):
            raise ValueError(f"found upsampling {upsampling!r}; needed: linear or strided")
        self.n_stems, self.depth, self.stride, self.upsampling = n_stems, depth, stride, upsampling
        widths = [2] + [channels * (k + 1) for k in range(depth + 1)]
        self.down = nn.ModuleList(nn.Conv1d(widths[k], widths[k + 1], down, padding=down // 2) for k in range(depth))
        self.middle = nn.Conv1d(widths[depth], widths[depth + 1], down, padding=down // 2)
        self.grow = nn.ModuleList(
            nn.ConvTranspose1d(widths[k + 2], widths[k + 2], 2 * stride, stride, stride // 2)
            if upsampling == "strided"
            else nn.Identity()
            for k in reversed(range(depth))
        )
        self.up = nn.ModuleList(
            nn.Conv1d(widths[k + 2] + widths[k + 1], widths[k + 1], up, padding=up // 2) for k in reversed(range(depth))
        )
        self.out = nn.Conv1d(channels + 2, 2 * (n_stems - 1), 1)

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """Separate mixes (batch, 2, n) into (batch, stems, 2, n)."""
        n = mix.shape[-1]
        padded = functional.pad(mix, (0, -n % self.stride**self.depth))
        x = padded
        skips = []
        for conv in self.down:
            x = functional.leaky_relu(conv(x), 0.2)
            skips.append(x)
            x = x[..., :: self.stride]  # decimation without a low-pass, as published
        x = functional.leaky_relu(self.middle(x), 0.2)
        for grow, conv in zip(self.grow, self.up, strict=True):
            skip = skips.pop()
            if self.upsampling == "linear":
                x = functional.interpolate(x, size=skip.shape[-1], mode="linear", align_corners=True)
            else:
                x = grow(x)[..., : skip.shape[-1]]
                x = functional.pad(x, (0, skip.shape[-1] - x.shape[-1]))
            x = functional.leaky_relu(conv(torch.cat([x, skip], 1)), 0.2)
        stems = self.out(torch.cat([x, padded], 1))[..., :n].reshape(mix.shape[0], self.n_stems - 1, 2, n)
        return torch.cat([stems, (mix - stems.sum(1))[:, None]], 1)


class ConvTasNet(nn.Module):
    """Masks on a learned filter bank of a few samples' length.

    Args:
        n_stems: stems out.
        n_filters, length: the filter bank; its step is half its length.
        channels: of the bottleneck.
        hidden: of each block.
        n_blocks, n_repeats: dilated blocks in a row, and how often.

    Source: Y. Luo and N. Mesgarani, Conv-TasNet: surpassing ideal time-frequency magnitude masking, 2019; the
    two-channel form for music of A. Defossez et al., 2019.
    """

    def __init__(
        self,
        n_stems: int,
        n_filters: int = 64,
        length: int = 20,
        channels: int = 32,
        hidden: int = 64,
        n_blocks: int = 7,
        n_repeats: int = 2,
    ) -> None:
        super().__init__()
        self.n_stems, self.length = n_stems, length
        self.encode = nn.Conv1d(2, n_filters, length, length // 2, bias=False)
        self.into = nn.Sequential(nn.GroupNorm(1, n_filters), nn.Conv1d(n_filters, channels, 1))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, hidden, 1),
                nn.PReLU(),
                nn.GroupNorm(1, hidden),
                nn.Conv1d(hidden, hidden, 3, padding=2**k, dilation=2**k, groups=hidden),
                nn.PReLU(),
                nn.GroupNorm(1, hidden),
                nn.Conv1d(hidden, channels, 1),
            )
            for _ in range(n_repeats)
            for k in range(n_blocks)
        )
        self.mask = nn.Sequential(nn.PReLU(), nn.Conv1d(channels, n_stems * n_filters, 1), nn.ReLU())
        self.decode = nn.ConvTranspose1d(n_filters, 2, length, length // 2, bias=False)

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """Separate mixes (batch, 2, n) into (batch, stems, 2, n)."""
        batch, _, n = mix.shape
        step = self.length // 2
        padded = functional.pad(mix, (step, step + -n % step))
        code = functional.relu(self.encode(padded))
        x = self.into(code)
        for block in self.blocks:
            x = x + block(x)
        masked = self.mask(x).reshape(batch * self.n_stems, -1, x.shape[-1]) * code.repeat_interleave(self.n_stems, 0)
        return self.decode(masked)[..., step : step + n].reshape(batch, self.n_stems, 2, n)
