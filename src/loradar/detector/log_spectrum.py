"""The fine log spectrogram: what the spectrogram CNN and our own encoders read."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from loradar.detector.front_end import valid_samples
from loradar.detector.fused import magnitudes, scoring

#: Points of the FFT, samples of the window (25 ms) and of the hop (10 ms).
POINTS, WINDOW, HOP = 512, 400, 160
#: Bins kept of the 257, both ends included: 62.5 to 7,031 Hz. What lies beyond tells how a clip
#: was recorded, not what made it.
FIRST_BIN, LAST_BIN = 2, 225
BINS = LAST_BIN - FIRST_BIN + 1
#: Added to magnitudes before the logarithm; unit-variance noise has magnitude 12.
FLOOR = 1e-3


#: The key of a transformers configuration that says what its model reads.
FRONT_END = "loradar_front_end"

Count = TypeVar("Count", int, Tensor)


def spectra_of(samples: Count) -> Count:
    """Return how many spectra so many samples give; 0 or less when there are too few."""
    return (samples - POINTS) // HOP + 1


def log_spectrogram(waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return log magnitudes with each clip's mean removed.

    Parameters
    ----------
    waveforms : Tensor
        [B, S] at 16 kHz, S >= 512.
    lengths : Tensor, optional
        [B] samples of each clip; all S when None.

    Returns
    -------
    Tensor
        [B, 224, (S - 512) // 160 + 1], zero beyond each clip.
    """
    window = torch.hann_window(WINDOW, device=waveforms.device)
    spectrum = torch.stft(waveforms, POINTS, HOP, WINDOW, window, center=False, return_complex=True)
    logs = torch.log(magnitudes(spectrum[:, FIRST_BIN : LAST_BIN + 1]) + FLOOR)
    if lengths is None:
        return logs - logs.mean(dim=(1, 2), keepdim=True)
    spectra = spectra_of(lengths)
    valid = valid_samples(spectra, logs.shape[2]).unsqueeze(1)
    mean = (logs * valid).sum(dim=(1, 2), keepdim=True) / (BINS * spectra.view(-1, 1, 1))
    return (logs - mean) * valid


class LogSpectrum(nn.Module):
    """Waveforms to frames of one or more neighbouring log spectra.

    Parameters
    ----------
    stack : int
        Spectra a frame, 10 ms each; left-over ones at the end are left out.
    """

    def __init__(self, stack: int = 1) -> None:
        super().__init__()
        self.stack = stack

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map waveforms [B, S] and, where padded, ``lengths`` [B] to [B, T, stack * 224]."""
        logs = log_spectrogram(waveforms, lengths).transpose(1, 2)
        frames = logs.shape[1] // self.stack
        return logs[:, : frames * self.stack].reshape(len(logs), frames, self.stack * BINS)


class SharedSpectrum(LogSpectrum):
    """A `LogSpectrum` for two models that hear the same waveforms, one after the other.

    When scoring, the second gets what was found for the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[Tensor, Tensor] | None = None

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map waveforms as `LogSpectrum` does."""
        if lengths is not None or not scoring():
            return super().forward(waveforms, lengths)
        # Given once and then forgotten, so that nothing is held between two batches.
        last, self._last = self._last, None
        if last is not None and last[0] is waveforms:
            return last[1]
        found = super().forward(waveforms)
        self._last = (waveforms, found)
        return found
