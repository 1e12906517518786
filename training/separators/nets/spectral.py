"""Separators on the spectrogram with a U-Net or a recurrent trunk: Spleeter, Open-Unmix and TFC-TDF styles."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

EPS = 1e-8


class Stft(nn.Module):
    """Short-time Fourier transform of (batch, channels, n) with a Hann window, and its inverse.

    Args:
        n_fft: window length in samples.
        hop: step in samples.
    """

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """Return the complex spectrum, shape (..., n_fft / 2 + 1, frames)."""
        flat = wave.reshape(-1, wave.shape[-1])
        spec = torch.stft(flat, self.n_fft, self.hop, window=self.window, return_complex=True)
        return spec.reshape(*wave.shape[:-1], *spec.shape[1:])

    def inverse(self, spec: torch.Tensor, length: int) -> torch.Tensor:
        """Return waves of ``length`` samples, shape (..., length)."""
        flat = spec.reshape(-1, *spec.shape[-2:])
        wave = torch.istft(flat, self.n_fft, self.hop, window=self.window, length=length)
        return wave.reshape(*spec.shape[:-2], length)


class SpleeterUNet(nn.Module):
    """Soft masks by a strided 5x5 convolutional U-Net that sees the spectrogram up to a cut-off.

    Args:
        n_stems: stems out.
        n_fft, hop: spectrogram resolution in samples.
        n_bins: bins the network sees; 1024 of 4096 is 11 kHz, as the released models have.
        channels: of the first layer; doubled at each.
        depth: layers down.
        above: ``zeros`` or ``average``, what the mask is above the cut-off.

    Source: R. Hennequin et al., Spleeter: a fast and efficient music source separation tool, JOSS 2020.
    """

    def __init__(
        self,
        n_stems: int,
        n_fft: int = 4096,
        hop: int = 1024,
        n_bins: int = 1024,
        channels: int = 8,
        depth: int = 5,
        above: str = "zeros",
    ) -> None:
        super().__init__()
        self.stft, self.n_bins, self.depth, self.above, self.n_stems = Stft(n_fft, hop), n_bins, depth, above, n_stems
        widths = [2] + [channels * 2 ** min(k, 3) for k in range(depth)]
        self.down = nn.ModuleList(nn.Conv2d(widths[k], widths[k + 1], 5, 2, 2) for k in range(depth))
        self.down_norm = nn.ModuleList(nn.BatchNorm2d(widths[k + 1]) for k in range(depth))
        self.up = nn.ModuleList()
        self.up_norm = nn.ModuleList()
        for k in reversed(range(depth)):
            wide = widths[k + 1] * (1 if k == depth - 1 else 2)
            self.up.append(nn.ConvTranspose2d(wide, max(widths[k], channels), 5, 2, 2, 1))
            self.up_norm.append(nn.BatchNorm2d(max(widths[k], channels)))
        self.head = nn.Conv2d(channels, 2 * n_stems, 5, padding=2)

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """Separate mixes (batch, 2, n) into (batch, stems, 2, n)."""
        spec = self.stft(mix)
        x = torch.log1p(30 * spec.abs()[:, :, : self.n_bins])
        frames = x.shape[-1]
        x = functional.pad(x, (0, -frames % 2**self.depth))
        skips = []
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            x = functional.leaky_relu(norm(conv(x)), 0.2)
            skips.append(x)
        x = skips.pop()
        for k, (conv, norm) in enumerate(zip(self.up, self.up_norm, strict=True)):
            x = norm(functional.relu(conv(x if k == 0 else torch.cat([x, skips.pop()], 1))))
        raw = torch.sigmoid(self.head(x))[..., :frames]
        raw = raw.reshape(raw.shape[0], self.n_stems, 2, *raw.shape[2:])
        power = raw**2 + EPS / self.n_stems  # Spleeter's ratio of powers
        mask = power / (power.sum(1, keepdim=True) + EPS)
        rest = spec.shape[2] - self.n_bins
        if self.above == "average":
            tail = mask.mean(3, keepdim=True).expand(-1, -1, -1, rest, -1)
        else:
            tail = mask.new_zeros(*mask.shape[:3], rest, frames)
        return self.stft.inverse(torch.cat([mask, tail], 3) * spec[:, None], mix.shape[-1])


class OpenUnmix(nn.Module):
    """Magnitude masks by a bidirectional LSTM over frames, with the mixture's phase.

    Args:
        n_stems: stems out.
        n_fft, hop: spectrogram resolution in samples.
        max_bin: bins the trunk sees; the mask covers all.
        hidden: width.
        n_layers: LSTM layers.
        wiener: refine the stems' magnitudes by one ratio of powers, as the released separator does.

    Source: F.-R. Stoter et al., Open-Unmix: a reference implementation for music source separation, JOSS 2019.
    """

    def __init__(
        self,
        n_stems: int,
        n_fft: int = 4096,
        hop: int = 1024,
        max_bin: int = 1487,
        hidden: int = 96,
        n_layers: int = 2,
        wiener: bool = False,
    ) -> None:
        super().__init__()
        self.stft, self.max_bin, self.n_stems, self.wiener = Stft(n_fft, hop), max_bin, n_stems, wiener
        n_bins = n_fft // 2 + 1
        self.mean = nn.Parameter(torch.zeros(max_bin))
        self.scale = nn.Parameter(torch.ones(max_bin))
        self.into = nn.Linear(2 * max_bin, hidden, bias=False)
        self.norm1 = nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(hidden, hidden // 2, n_layers, batch_first=True, bidirectional=True)
        self.middle = nn.Linear(2 * hidden, hidden, bias=False)
        self.norm2 = nn.BatchNorm1d(hidden)
        self.out = nn.Linear(hidden, n_stems * n_bins)  # one mask for both channels
        self.out_scale = nn.Parameter(torch.ones(n_stems * n_bins))

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """Separate mixes (batch, 2, n) into (batch, stems, 2, n)."""
        spec = self.stft(mix)
        magnitude = spec.abs()
        batch, _, n_bins, frames = magnitude.shape
        x = (torch.log1p(30 * magnitude[:, :, : self.max_bin]).permute(0, 3, 1, 2) + self.mean) * self.scale
        x = self.into(x.reshape(batch, frames, -1))
        x = torch.tanh(self.norm1(x.transpose(1, 2)).transpose(1, 2))
        x = torch.cat([x, self.lstm(x)[0]], -1)
        x = functional.relu(self.norm2(self.middle(x).transpose(1, 2)).transpose(1, 2))
        mask = functional.relu(self.out(x) * 0.1 + self.out_scale * 0.5)
        mask = mask.reshape(batch, frames, self.n_stems, n_bins).permute(0, 2, 3, 1)[:, :, None]
        if self.wiener:
            power = mask**2 + EPS
            mask = power / power.sum(1, keepdim=True)
        return self.stft.inverse(mask * spec[:, None], mix.shape[-1])


class _TfcTdf(nn.Module):
    """A densely repeated 3x3 convolution over time and frequency, plus a bottleneck along frequency."""

    def __init__(self, channels: int, n_bins: int, bottleneck: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(2, channels), nn.GELU())
                for _ in "ab"
            )
        )
        self.tdf = nn.Sequential(
            nn.Linear(n_bins, n_bins // bottleneck, bias=False),
            nn.GroupNorm(2, channels),
            nn.GELU(),
            nn.Linear(n_bins // bottleneck, n_bins, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape (batch, channels, frames, bins)."""
        x = self.conv(x)
        return x + self.tdf(x)


class TfcTdf(nn.Module):
    """Complex spectra drawn by a U-Net that holds real and imaginary parts as channels and stops at ``dim_f`` bins.

    Args:
        n_stems: stems out.
        n_fft, hop: spectrogram resolution in samples.
        dim_f: bins the network sees and draws; above them is silence, as the released models have it.
        channels: at full resolution; ``growth`` more at each level.
        growth: channels added at each level.
        depth: levels down, each halving time and frequency.
        bottleneck: how much narrower the middle of the frequency layer is.
        as_mask: multiply the mixture's complex spectrum instead of drawing the stem's.

    Source: W. Choi et al., Investigating U-Nets with various intermediate blocks for spectrogram-based singing voice
    separation, ISMIR 2020; M. Kim et al., KUIELab-MDX-Net, 2021, the ending as in its third version.
    """

    def __init__(
        self,
        n_stems: int,
        n_fft: int = 4096,
        hop: int = 1024,
        dim_f: int = 1408,
        channels: int = 10,
        growth: int = 10,
        depth: int = 3,
        bottleneck: int = 32,
        as_mask: bool = False,
    ) -> None:
        super().__init__()
        self.stft, self.dim_f, self.depth, self.n_stems, self.as_mask = Stft(n_fft, hop), dim_f, depth, n_stems, as_mask
        widths = [channels + growth * k for k in range(depth + 1)]
        self.into = nn.Conv2d(4, channels, 1)
        blocks = [_TfcTdf(widths[k], dim_f // 2**k, bottleneck // 2 ** min(k, 2)) for k in range(depth + 1)]
        self.encoders, self.middle = nn.ModuleList(blocks[:-1]), blocks[-1]
        self.down = nn.ModuleList(nn.Conv2d(widths[k], widths[k + 1], 2, 2) for k in range(depth))
        self.up = nn.ModuleList(nn.ConvTranspose2d(widths[k + 1], widths[k], 2, 2) for k in reversed(range(depth)))
        self.decoders = nn.ModuleList(
            _TfcTdf(widths[k], dim_f // 2**k, bottleneck // 2 ** min(k, 2)) for k in reversed(range(depth))
        )
        self.out = nn.Conv2d(channels + 4, 4 * n_stems, 1)
        self.unit = n_fft**0.5 / 2  # about the level of a bin of a mix of unit power
        self._begin_with_shares()

    def _begin_with_shares(self) -> None:
        """Let every stem start as its share of the mix: a short training then need not find the mix first."""
        with torch.no_grad():
            self.out.weight *= 0.1
            self.out.bias.zero_()
            for k in range(4 * self.n_stems):
                if not self.as_mask:
                    self.out.weight[k, k % 4] += 1 / self.n_stems
                elif k % 2 == 0:
                    self.out.bias[k] = 1 / self.n_stems

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """Separate mixes (batch, 2, n) into (batch, stems, 2, n)."""
        spec = self.stft(mix)[:, :, : self.dim_f] / self.unit
        frames = spec.shape[-1]
        parts = torch.view_as_real(spec).permute(0, 1, 4, 3, 2).flatten(1, 2)  # (batch, channel x part, frames, bins)
        parts = functional.pad(parts, (0, 0, 0, -frames % 2**self.depth))
        x = first = self.into(parts)
        skips = []
        for block, down in zip(self.encoders, self.down, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for block, up in zip(self.decoders, self.up, strict=True):
            x = block(up(x) * skips.pop())
        x = self.out(torch.cat([parts, x * first], 1))[:, :, :frames]
        x = x.reshape(x.shape[0], self.n_stems, 2, 2, *x.shape[2:]).permute(0, 1, 2, 5, 4, 3)
        drawn = torch.view_as_complex(x.contiguous()) * (1.0 if self.as_mask else self.unit)
        if self.as_mask:
            drawn = drawn * spec[:, None] * self.unit
        rest = self.stft.n_fft // 2 + 1 - self.dim_f
        return self.stft.inverse(functional.pad(drawn, (0, 0, 0, rest)), mix.shape[-1])
