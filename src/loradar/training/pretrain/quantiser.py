"""Targets of masked prediction: a fixed random quantiser on log spectra.

BEST-RQ: Chiu et al. 2022, "Self-supervised learning with random-projection quantizer for speech
recognition", arXiv 2202.01855, section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.log_spectrum import BINS, HOP, log_spectrogram
from loradar.errors import ConfigError


class RandomQuantiser(nn.Module):
    """Projects frames at random and names the nearest of some random codes; never trained.

    Parameters
    ----------
    width : int
        Features of a frame.
    codes, code_size, codebooks : int
        Codes of a codebook, their dimension, and how many codebooks.
    seed : int
        Of projections and codes.
    """

    projections: Tensor
    codes: Tensor

    def __init__(
        self, width: int, *, codes: int, code_size: int, codebooks: int, seed: int
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        bound = (6 / (width + code_size)) ** 0.5  # Glorot and Bengio's uniform start
        uniform = torch.rand(codebooks, width, code_size, generator=generator)
        normal = torch.randn(codebooks, codes, code_size, generator=generator)
        self.register_buffer("projections", bound * (2 * uniform - 1))
        self.register_buffer("codes", F.normalize(normal, dim=-1))

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Map frames [B, T, width] to codes [B, T, codebooks], int64."""
        with torch.autocast(frames.device.type, enabled=False):
            projected = torch.einsum("btw,nws->btns", frames, self.projections)
            # Of unit vectors the nearest is the one with the largest product (eq. 1).
            return torch.einsum("btns,ncs->btnc", projected, self.codes).argmax(dim=-1)


class SpectrumTargets(nn.Module):
    """Codes of the log spectra at an encoder's frame rate.

    Parameters
    ----------
    hop : int
        Samples from one of the encoder's frames to the next.
    codes, code_size, codebooks, seed : int
        As in `RandomQuantiser`.

    Raises
    ------
    ConfigError
        The encoder's frames do not come every 10 ms or a multiple of it.
    """

    def __init__(self, hop: int, *, codes: int, code_size: int, codebooks: int, seed: int) -> None:
        super().__init__()
        if hop % HOP:
            raise ConfigError(
                f"objective.masked needs an encoder with frames every {HOP} samples or a multiple "
                f"of it, not every {hop}"
            )
        self.stack = hop // HOP
        self.quantiser = RandomQuantiser(
            self.stack * BINS, codes=codes, code_size=code_size, codebooks=codebooks, seed=seed
        )

    @torch.no_grad()
    def forward(self, waveforms: Tensor, frames: int) -> Tensor:
        """Map waveforms [B, S] to the codes [B, frames, codebooks] of what each frame covers."""
        logs = log_spectrogram(waveforms).transpose(1, 2)
        variance, mean = torch.var_mean(logs, dim=1, keepdim=True)
        logs = (logs - mean) * torch.rsqrt(variance + 1e-2)
        # The last frame of some encoders has a spectrum less.
        absent = max(0, frames * self.stack - logs.shape[1])
        logs = torch.cat([logs, logs[:, -1:].expand(-1, absent, -1)], dim=1)
        stacked = logs[:, : frames * self.stack].reshape(len(logs), frames, self.stack * BINS)
        return self.quantiser(stacked)  # type: ignore[no-any-return]
