"""What happens to a waveform before the encoder: band limits, then zero mean and unit variance."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn

from loradar.detector.config import FrontEndConfig
from loradar.detector.fused import scoring
from loradar.detector.windowed_sinc import windowed_sinc

SAMPLE_RATE = 16_000
#: Taps of the filters: with a Hamming window, a transition band of some 50 Hz.
TAPS = 1025


def valid_samples(lengths: Tensor, size: int) -> Tensor:
    """Return the mask [B, size] that is True on the first ``lengths`` [B] places of each row."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


class FrontEnd(nn.Module):
    """Linear-phase filter without delay, then normalisation over each clip's own samples.

    Samples beyond a clip count as silence, so a clip in a padded batch gets what it gets alone.

    Parameters
    ----------
    config : FrontEndConfig
        Filter, band edges (Hz) and whether to normalise.
    """

    kernel: Tensor

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        self.normalise = config.normalise
        self.filters = config.filter != "none"
        if config.filter != "none":
            edges = [config.low_hz, config.high_hz][: 1 if config.filter == "highpass" else 2]
            taps = windowed_sinc(TAPS, edges, config.filter, SAMPLE_RATE)
            kernel = torch.from_numpy(taps.astype(np.float32))
            # Not saved: the configuration gives it.
            self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Filter and normalise.

        Parameters
        ----------
        waveforms : Tensor
            [B, S] at 16 kHz.
        lengths : Tensor, optional
            [B] valid samples of each row; all of them when None.

        Returns
        -------
        Tensor
            [B, S] float32, zero beyond each clip.
        """
        waveforms = waveforms.float()
        size = waveforms.shape[1]
        mask = None if lengths is None else valid_samples(lengths, size)
        if mask is not None:
            waveforms = waveforms.masked_fill(~mask, 0.0)
        if self.filters:
            fft_size = next_fast_len(size + TAPS - 1, real=True)
            spectrum = torch.fft.rfft(waveforms, fft_size) * torch.fft.rfft(self.kernel, fft_size)
            delay = (TAPS - 1) // 2
            waveforms = torch.fft.irfft(spectrum, fft_size)[:, delay : delay + size]
        if self.normalise:
            waveforms = _standardise(waveforms, mask)
        return waveforms if mask is None else waveforms.masked_fill(~mask, 0.0)


def _standardise(waveforms: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None and scoring() and waveforms.device.type == "cpu":
        # As `torch.var_mean` does it there, in float64, but in a quarter of its time. In float32
        # the last bit differs, and with it the noise in near silence: scores by up to 1e-4.
        wide = waveforms.double()
        mean = wide.mean(dim=1, keepdim=True)
        variance = (wide - mean).square_().mean(dim=1, keepdim=True).to(waveforms.dtype)
        mean = mean.to(waveforms.dtype)
    elif mask is None:
        variance, mean = torch.var_mean(waveforms, dim=1, correction=0, keepdim=True)
    else:
        count = mask.sum(1, keepdim=True)
        mean = (waveforms * mask).sum(1, keepdim=True) / count
        variance = ((waveforms - mean).square() * mask).sum(1, keepdim=True) / count
    # The same small term as Hugging Face's feature extractors: silence stays silence.
    return (waveforms - mean) * torch.rsqrt(variance + 1e-7)
