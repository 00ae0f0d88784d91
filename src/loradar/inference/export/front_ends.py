"""What reads the waveform, as plain convolutions: ONNX has no fast Fourier transform for it.

Each module stands in for one of `loradar.detector`, takes any number of samples and gives the same
numbers up to rounding. Kernels are made in float64 and rounded once.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector import filterbank_encoder, log_spectrum, whisper
from loradar.detector.filterbank_encoder import LogFilterbank
from loradar.detector.front_end import TAPS, FrontEnd
from loradar.detector.log_spectrum import LogSpectrum
from loradar.detector.speech_encoder import LayerMix
from loradar.detector.whisper import LogMel

#: Samples that one step of the block filter gives; a wider block computes more zeros.
BLOCK = 256


def _kernel(rows: NDArray[np.float64]) -> Tensor:
    """Return rows [N, taps] as the weight [N, 1, taps] of a convolution."""
    return torch.from_numpy(rows.astype(np.float32)).unsqueeze(1)


def _fourier(
    bins: NDArray[np.intp], points: int, window: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return cosine rows, then sine rows, [2 * bins, taps], of the windowed transform."""
    angles = 2 * np.pi / points * bins[:, None] * np.arange(len(window))
    return np.concatenate([np.cos(angles) * window, np.sin(angles) * window])


def _power(waveforms: Tensor, kernel: Tensor, hop: int) -> Tensor:
    """Return squared magnitudes [B, bins, frames] of waveforms [B, S]."""
    both = F.conv1d(waveforms.unsqueeze(1), kernel, stride=hop).square()
    real, imaginary = both.chunk(2, dim=1)
    return real + imaginary


class BlockFrontEnd(nn.Module):
    """`FrontEnd`: the filter as a product of blocks of samples with a banded matrix."""

    matrix: Tensor

    def __init__(self, source: FrontEnd) -> None:
        super().__init__()
        self.normalise = source.normalise
        self.filters = source.filters
        if source.filters:
            taps = source.kernel.double().cpu().numpy()[::-1]
            rows = np.zeros((BLOCK, BLOCK + TAPS - 1))
            for row in range(BLOCK):
                rows[row, row : row + TAPS] = taps
            self.register_buffer("matrix", _kernel(rows))

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map waveforms [B, S] to [B, S]; without ``lengths``."""
        if self.filters:
            # A block more at the end, so that whole blocks cover every sample.
            half = (TAPS - 1) // 2
            padded = F.pad(waveforms.unsqueeze(1), (half, half + BLOCK))
            blocks = F.conv1d(padded, self.matrix, stride=BLOCK)
            waveforms = blocks.transpose(1, 2).flatten(1)[:, : waveforms.shape[1]]
        if self.normalise:
            centred = waveforms - waveforms.mean(dim=1, keepdim=True)
            variance = centred.square().mean(dim=1, keepdim=True)
            waveforms = centred * torch.rsqrt(variance + 1e-7)
        return waveforms


class ConvLogSpectrum(nn.Module):
    """`LogSpectrum`."""

    kernel: Tensor

    def __init__(self, source: LogSpectrum) -> None:
        super().__init__()
        self.stack = source.stack
        window = torch.hann_window(log_spectrum.WINDOW, dtype=torch.float64).numpy()
        bins = np.arange(log_spectrum.FIRST_BIN, log_spectrum.LAST_BIN + 1)
        # Magnitudes do not tell where in the 512 points the window lies.
        self.register_buffer("kernel", _kernel(_fourier(bins, log_spectrum.POINTS, window)))
        self.margin = (log_spectrum.POINTS - log_spectrum.WINDOW) // 2

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map waveforms [B, S] to [B, T, stack * 224]; without ``lengths``."""
        inner = waveforms[:, self.margin : waveforms.shape[1] - self.margin]
        power = _power(inner, self.kernel, log_spectrum.HOP)
        logs = torch.log(power.sqrt() + log_spectrum.FLOOR)
        logs = (logs - logs.mean(dim=(1, 2), keepdim=True)).transpose(1, 2)
        return _stacked(logs, self.stack)


class ConvLogMel(nn.Module):
    """`LogMel`, Whisper's input."""

    kernel: Tensor
    filters: Tensor

    def __init__(self, source: LogMel) -> None:
        super().__init__()
        window = torch.hann_window(whisper.POINTS, dtype=torch.float64).numpy()
        bins = np.arange(whisper.POINTS // 2 + 1)
        self.register_buffer("kernel", _kernel(_fourier(bins, whisper.POINTS, window)))
        self.register_buffer("filters", source.filters)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map waveforms [B, S] to [B, bands, S // 160]."""
        half = whisper.POINTS // 2
        padded = F.pad(waveforms.unsqueeze(1), (half, half), mode="reflect").squeeze(1)
        power = _power(padded, self.kernel, whisper.HOP)[:, :, :-1]
        logs = (self.filters @ power).clamp_min(1e-10).log10()
        logs = torch.maximum(logs, logs.amax(dim=(1, 2), keepdim=True) - 8.0)
        return (logs + 4.0) / 4.0


class ConvLogFilterbank(nn.Module):
    """`LogFilterbank`: mean, pre-emphasis and window are linear, so one matrix does all three."""

    kernel: Tensor
    filters: Tensor

    def __init__(self, source: LogFilterbank) -> None:
        super().__init__()
        size = filterbank_encoder.WINDOW
        steps = np.eye(size) - 1 / size
        emphasis = np.eye(size) - 0.97 * np.eye(size, k=-1)
        emphasis[0, 0] -= 0.97
        bins = np.arange(filterbank_encoder.POINTS // 2 + 1)
        rows = _fourier(bins, filterbank_encoder.POINTS, source.window.double().cpu().numpy())
        self.register_buffer("kernel", _kernel(2.0**15 * rows @ emphasis @ steps))
        self.register_buffer("filters", source.filters)

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map waveforms [B, S] to [B, frames // 2, 160]; without ``lengths``."""
        power = _power(waveforms, self.kernel, filterbank_encoder.HOP).transpose(1, 2)
        logs = (power @ self.filters).clamp_min(2.0**-23).log().double()
        logs = logs - logs.mean(dim=1, keepdim=True)
        variance = logs.square().sum(dim=1, keepdim=True) / (logs.shape[1] - 1)
        return _stacked((logs * torch.rsqrt(variance + 1e-7)).float(), 2)


class FixedMix(nn.Module):
    """`LayerMix`, its shares worked out."""

    def __init__(self, source: LayerMix, width: int) -> None:
        super().__init__()
        self.shares: list[float] = source.weights.detach().double().softmax(dim=0).tolist()
        self.width = width

    def forward(self, layers: list[Tensor]) -> Tensor:
        """Mix tensors [B, T, D], one a layer, into [B, T, D]."""
        mixed = self.shares[0] * F.layer_norm(layers[0], (self.width,))
        for share, layer in zip(self.shares[1:], layers[1:], strict=True):
            mixed = mixed + share * F.layer_norm(layer, (self.width,))
        return mixed


def _stacked(frames: Tensor, stack: int) -> Tensor:
    """Join every ``stack`` neighbours of [B, T, D]: [B, T // stack, stack * D]."""
    if stack == 1:
        return frames
    kept = frames[:, : frames.shape[1] // stack * stack]
    return kept.reshape(kept.shape[0], -1, stack * int(frames.shape[2]))
