"""The log-mel front end that the mel-input vocoders and the losses share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FLOOR = 1e-5


class LogMel(nn.Module):
    """Natural log of the magnitude mel spectrogram.

    Frame n is centred at sample n * hop (zeros beyond the ends), so that [B, T] gives
    ``T // hop + 1`` frames. Triangles are equally spaced on the mel scale
    ``2595 log10(1 + f / 700)`` (O'Shaughnessy 1987) and have height 1.

    Parameters
    ----------
    bands, n_fft, hop, window : int
        Mel bands; samples of a transform, between frames, and of the Hann window.
    f_min, f_max : float
        Edges in hertz.
    sample_rate : int
        Hertz.
    """

    def __init__(
        self,
        bands: int = 80,
        n_fft: int = 1024,
        hop: int = 256,
        window: int = 1024,
        f_min: float = 0.0,
        f_max: float = 8000.0,
        sample_rate: int = 16_000,
    ) -> None:
        super().__init__()
        self.bands, self.n_fft, self.hop, self.window = bands, n_fft, hop, window
        filters = mel_filters(bands, n_fft, f_min, f_max, sample_rate)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("taper", torch.hann_window(window), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map [B, T] to [B, bands, T // hop + 1]."""
        magnitude = self.magnitude(waveform)
        return (self.get_buffer("filters") @ magnitude).clamp_min(FLOOR).log()

    def magnitude(self, waveform: Tensor) -> Tensor:
        """Map [B, T] to the magnitude spectrogram [B, n_fft // 2 + 1, T // hop + 1]."""
        spectrum = stft(waveform, self.n_fft, self.hop, self.get_buffer("taper"))
        # The floor keeps the root's gradient finite in digital silence.
        power = spectrum.real.square() + spectrum.imag.square()
        return power.clamp_min(1e-14).sqrt()


def spreading(filters: Tensor) -> Tensor:
    """Return the pseudo-inverse [bins, bands] of filters [bands, bins], to spread bands."""
    wide = filters.double()
    # By way of the small Gram matrix: a decomposition of the filters themselves takes a second.
    inverse: Tensor = wide.T @ torch.linalg.pinv(wide @ wide.T, hermitian=True)
    return inverse.float()


def stft(waveform: Tensor, n_fft: int, hop: int, window: Tensor) -> Tensor:
    """Return the centred short-time spectrum [B, n_fft // 2 + 1, T // hop + 1] of [B, T]."""
    return torch.stft(
        waveform,
        n_fft,
        hop,
        win_length=window.numel(),
        window=window,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )


def mel_filters(bands: int, n_fft: int, f_min: float, f_max: float, sample_rate: int) -> Tensor:
    """Return triangular filters [bands, n_fft // 2 + 1] of height 1."""

    def to_mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    mels = torch.linspace(to_mel(f_min), to_mel(f_max), bands + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bins = torch.linspace(0.0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    # Bands narrower than a bin would be empty: they take the nearest bin.
    empty = filters.sum(1) == 0
    nearest = (bins - edges[1:-1, None]).abs().argmin(1)
    filters[empty, nearest[empty]] = 1.0
    return filters.float()
