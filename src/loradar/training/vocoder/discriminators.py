"""Small discriminators: how a waveform looks at several periods, and at several resolutions.

After HiFi-GAN (Kong, Kim and Bae 2020, section 2.3: multi-period) and UnivNet (Jang et al. 2021,
section 2.3: multi-resolution spectrogram), with a tenth of their channels or less.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from loradar.vocoders.neural.mel import stft

PERIODS = (2, 3, 5, 7)
RESOLUTIONS = (256, 512, 1024)


class PeriodDiscriminator(nn.Module):
    """Strided convolutions along the columns of a waveform folded into rows of ``period``."""

    def __init__(self, period: int, channels: tuple[int, ...] = (16, 32, 64, 64)) -> None:
        super().__init__()
        self.period = period
        inward = (1, *channels)
        # The kernel is one column wide, so columns can be batch entries of a 1-D convolution.
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv1d(a, b, 5, stride=3, padding=2))
            for a, b in zip(inward, channels, strict=False)
        )
        self.judge = weight_norm(nn.Conv1d(channels[-1], 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Map [B, T] to the activations of each layer, the judgement last."""
        batch, length = waveform.shape
        x = F.pad(waveform, (0, -length % self.period))
        x = x.view(batch, -1, self.period).transpose(1, 2).reshape(batch * self.period, 1, -1)
        return _through(x, self.layers, self.judge)


class SpectrumDiscriminator(nn.Module):
    """Strided 2-D convolutions on a compressed complex spectrogram."""

    def __init__(self, n_fft: int, channels: tuple[int, ...] = (16, 32, 32)) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("taper", torch.hann_window(n_fft), persistent=False)
        first, second, third = channels
        self.layers = nn.ModuleList(
            [
                # A wide first stride along frequency: full resolution would cost most of the time.
                weight_norm(nn.Conv2d(2, first, (8, 3), stride=(4, 1), padding=(2, 1))),
                weight_norm(nn.Conv2d(first, second, 3, stride=2, padding=1)),
                weight_norm(nn.Conv2d(second, third, 3, stride=(2, 1), padding=1)),
            ]
        )
        self.judge = weight_norm(nn.Conv2d(third, 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Map [B, T] to the activations of each layer, the judgement last."""
        spectrum = stft(waveform, self.n_fft, self.n_fft // 4, self.get_buffer("taper"))
        parts = torch.stack((spectrum.real, spectrum.imag), dim=1)
        # The cube root of the magnitude brings quiet partials within reach of loud ones.
        power = parts.square().sum(1, keepdim=True) + 1e-6
        return _through(parts * power.pow(-1 / 3), self.layers, self.judge)


class Discriminators(nn.Module):
    """All of them: four periods and three resolutions, 0.2 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
            [
                *(PeriodDiscriminator(period) for period in PERIODS),
                *(SpectrumDiscriminator(n_fft) for n_fft in RESOLUTIONS),
            ]
        )

    def forward(self, waveform: Tensor) -> list[list[Tensor]]:
        """Map [B, T] to each discriminator's activations, its judgement last."""
        return [judge(waveform) for judge in self.judges]


def _through(x: Tensor, layers: nn.ModuleList, judge: nn.Module) -> list[Tensor]:
    seen = []
    for layer in layers:
        x = F.leaky_relu(layer(x), 0.1)
        seen.append(x)
    seen.append(judge(x))
    return seen
