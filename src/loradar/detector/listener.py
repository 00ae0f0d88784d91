"""What routers hear beside the hidden state: a learned filter bank on the waveform."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.front_end import SAMPLE_RATE, valid_samples
from loradar.detector.log_spectrum import HOP, WINDOW
from loradar.detector.windowed_sinc import windowed_sinc

#: Added to energies before the logarithm; waveforms have unit variance.
FLOOR = 1e-6


class Listener(nn.Module):
    """Log energies of a few learned bands over a clip, normalised among themselves.

    The hidden state of a deep block has lost what a recording's channel and a vocoder leave in the
    waveform; a router that hears it can choose experts by it (routers with a filter bank of their
    own: Interspeech 2026, paper 1778).

    Parameters
    ----------
    bands : int
        Numbers it gives of a clip. The filters start as neighbouring bands of equal width between
        80 and 7,000 Hz, 25 ms long, and are trained.
    """

    #: One position of the filters.
    minimum_samples = WINDOW

    def __init__(self, bands: int) -> None:
        super().__init__()
        edges = np.linspace(80.0, 7_000.0, bands + 1)
        taps = [
            windowed_sinc(WINDOW - 1, pair, "bandpass", SAMPLE_RATE) for pair in pairwise(edges)
        ]
        weight = torch.from_numpy(np.stack(taps).astype(np.float32))
        self.weight = nn.Parameter(F.pad(weight, (0, 1)).unsqueeze(1))
        self.norm = nn.LayerNorm(bands)

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map waveforms [B, S] to cues [B, bands]; beyond ``lengths`` [B] nothing is heard."""
        energy: Tensor = F.conv1d(waveforms.unsqueeze(1), self.weight, stride=HOP).square()
        if lengths is None:
            mean = energy.mean(-1)
        else:
            places = (lengths - WINDOW) // HOP + 1
            heard = valid_samples(places, energy.shape[-1]).unsqueeze(1)
            mean = (energy * heard).sum(-1) / places.unsqueeze(1)
        return self.norm(torch.log(mean + FLOOR))  # type: ignore[no-any-return]
