"""A flow-matching vocoder: from shaped noise to speech in a few steps, guided by log-mel frames.

Rectified flow (Liu et al. 2022; Lipman et al. 2022, "Flow matching for generative modeling",
section 4.1) between noise and the short-time spectrum of speech, both divided by the envelope that
the log-mel spectrogram tells: the noise begins with the right envelope (PriorGrad, Lee et al. 2021)
and loud and quiet regions count alike (RFWave, Liu et al. 2024). The network estimates the speech
itself and is judged on its waveform by spectral losses too (WaveFM, Luo et al. 2025): regression
alone needs far longer to find the phase.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from loradar.vocoders.neural.base import MelVocoder, TrainingOutput, VocoderConfig
from loradar.vocoders.neural.blocks import ConvNeXt
from loradar.vocoders.neural.istft import inverse_stft
from loradar.vocoders.neural.mel import LogMel, stft

#: Steps from noise to speech when the settings of a copy name none.
STEPS = 8
_WAVES = 16  # sinusoids that tell the network the time, and as many cosines
_QUIET, _LOUDEST = 1e-2, 1e2  # magnitudes, where 1 is usual: a floor of what is seen, a bound
#: Mean of a Rayleigh variable over its root mean square: mel bands hold means of magnitudes.
_MEAN_OF_RMS = math.sqrt(math.pi) / 2


class FlowConfig(VocoderConfig):
    """A flow-matching vocoder.

    Attributes
    ----------
    bands, n_fft, hop : int
        Of the log-mel input and of the spectra; ``hop`` divides ``n_fft`` four times or more.
    width, hidden, blocks, kernel : int
        Channels of the stack, of its pointwise layers, number of blocks, frames a block sees.
    regression : float
        Weight of the squared error of the estimated spectrum.
    """

    family: Literal["flow"] = "flow"
    bands: int = Field(80, ge=8)
    n_fft: int = Field(1024, ge=64)
    hop: int = Field(256, ge=16)
    width: int = Field(224, ge=8)
    hidden: int = Field(448, ge=8)
    blocks: int = Field(7, ge=1)
    kernel: int = Field(7, ge=1)
    regression: float = Field(1.0, ge=0)

    @model_validator(mode="after")
    def _whole_hops(self) -> FlowConfig:
        if self.n_fft % self.hop or self.n_fft < 4 * self.hop:
            raise ValueError(f"hop {self.hop} does not divide n_fft {self.n_fft} 4 times or more")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; it must be odd")
        return self


class FlowVocoder(MelVocoder):
    """Log-mel frames and noise -> estimate of the speech, some times over -> waveform.

    With speech x1, noise x0 (the spectrum of white noise) and time t in [0, 1], the state is
    x_t = (1 - t) x0 + t x1. The estimate is a gain on every bin of the state, which keeps what is
    right or noise-like in it, plus a spectrum of magnitudes and phases of the network's own.
    """

    config: FlowConfig

    def __init__(self, config: FlowConfig) -> None:
        super().__init__(LogMel(config.bands, config.n_fft, config.hop, config.n_fft))
        self.config = config
        self.bins = config.n_fft // 2 + 1
        width = config.width
        self.embed_mel = nn.Conv1d(config.bands, width, config.kernel, padding="same")
        self.embed_state = nn.Linear(3 * self.bins, width)
        self.embed_time = nn.Sequential(nn.Linear(2 * _WAVES, 64), nn.SiLU())
        # Every block is told the time anew, by an offset (DiffWave, Kong et al. 2020).
        self.offsets = nn.Linear(64, config.blocks * width)
        self.norm = nn.LayerNorm(width)
        self.stack = nn.ModuleList(
            ConvNeXt(width, config.hidden, config.kernel, scale=1.0 / config.blocks)
            for _ in range(config.blocks)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * self.bins))
        self.register_buffer("spread", _spread(self.mel.get_buffer("filters")), persistent=False)

    def training_output(self, waveform: Tensor) -> TrainingOutput:
        """Estimate ``waveform`` [B, T] from states at a random time for each row."""
        with torch.no_grad():
            log_mel = self.mel(waveform)
            envelope = self._envelope(log_mel)
            speech = self._spectrum(waveform) / envelope
            # One time in each of B equal parts: every batch sees the whole path.
            order = torch.randperm(len(waveform), device=waveform.device)
            time = (order + torch.rand(len(waveform), device=waveform.device)) / len(waveform)
            share = time[:, None, None]
            state = (1 - share) * self._white(torch.randn_like(waveform)) + share * speech
        estimate = self._estimate(state, time, log_mel)
        # Early states tell no phase, and their mean speech is silence: they count little here.
        error = (share * torch.view_as_real(estimate - speech).flatten(2)).square().mean()
        made = self._waveform(estimate * envelope, waveform.shape[-1])
        return TrainingOutput(made, {"flow": self.config.regression * error})

    def generate(self, log_mel: Tensor, length: int, noise: Tensor | None = None) -> Tensor:
        """Make a waveform by steps of equal length along the path.

        Every step estimates the speech and goes on from a new state, made of the estimate and
        fresh noise (Song et al. 2023, "Consistency models", algorithm 1). Going on with the old
        noise, as Euler steps do, makes copies louder and louder: an estimate of one likely phase,
        unlike a mean over all, is not independent of the noise it was made from.

        Parameters
        ----------
        log_mel : Tensor, [B, bands, N]
            Natural log; frame n is centred at sample n * hop.
        length : int
            Samples wanted, at most N * hop.
        noise : Tensor, [steps, B, length], optional
            White, of unit variance; `STEPS` steps by torch's generator when None.

        Returns
        -------
        Tensor, [B, length]
        """
        if noise is None:
            noise = torch.randn(STEPS, len(log_mel), length, device=log_mel.device)
        # Frames that centre on samples 0, hop, ... up to length // hop are all that one needs.
        log_mel = log_mel[..., : length // self.hop + 1]
        speech: Tensor | float = 0.0
        for step, fresh in enumerate(noise):
            share = step / len(noise)
            state = (1 - share) * self._white(fresh) + share * speech
            time = torch.full((len(log_mel),), share, device=log_mel.device)
            speech = self._estimate(state, time, log_mel)
        return self._waveform(speech * self._envelope(log_mel), length)

    @torch.inference_mode()
    def resynthesise(
        self, waveform: Tensor, settings: Mapping[str, Any], rng: np.random.Generator
    ) -> Tensor:
        """Copy ``waveform`` [1, T] by way of its log-mel spectrogram.

        ``settings["steps"]`` is the number of steps (default: `STEPS`); ``settings["acoustic"]``
        as in `MelVocoder`.
        """
        log_mel = self.analyse(waveform, settings, rng)
        size = (int(settings.get("steps", STEPS)), *waveform.shape)
        noise = torch.from_numpy(rng.standard_normal(size, dtype=np.float32))
        return self.generate(log_mel, waveform.shape[-1], noise)

    def _estimate(self, state: Tensor, time: Tensor, log_mel: Tensor) -> Tensor:
        """Map the state [B, N, bins], times [B] and log-mel to the speech [B, N, bins]."""
        # At unit variance: x0 and x1 have it, and are independent.
        state = state * (time.square() + (1 - time).square()).rsqrt()[:, None, None]
        sizes = state.abs().clamp_min(_QUIET).log()
        x = self.embed_state(torch.cat([state.real, state.imag, sizes], dim=-1))
        x = self.norm(x + self.embed_mel(log_mel).transpose(1, 2))
        offsets = self.offsets(self.embed_time(_waves(time)))[:, None]
        for block, offset in zip(
            self.stack, offsets.chunk(self.config.blocks, dim=-1), strict=True
        ):
            x = block(x + offset)
        gain, magnitude, phase = self.head(x).float().split(self.bins, dim=-1)
        magnitude = magnitude.exp().clamp_max(_LOUDEST)
        own = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())
        estimate: Tensor = gain * state + own
        return estimate

    def _envelope(self, log_mel: Tensor) -> Tensor:
        """Return the standard deviation [B, N, bins] of a bin's real part that log-mel tells."""
        means: Tensor = log_mel.exp().transpose(1, 2) @ self.get_buffer("spread").T
        return means / (_MEAN_OF_RMS * math.sqrt(2))

    def _spectrum(self, waveform: Tensor) -> Tensor:
        """Return the short-time spectrum [B, N, bins] of a waveform [B, T]."""
        taper = self.mel.get_buffer("taper")
        return stft(waveform, self.config.n_fft, self.hop, taper).transpose(1, 2)

    def _white(self, noise: Tensor) -> Tensor:
        """Return the spectrum [B, N, bins] of white noise [B, T], its real parts of variance 1."""
        # A bin of white noise has the window's energy, half of it in the real part.
        return self._spectrum(noise) / self.mel.get_buffer("taper").square().sum().div(2).sqrt()

    def _waveform(self, spectrum: Tensor, length: int) -> Tensor:
        return inverse_stft(spectrum, self.mel.get_buffer("taper"), self.hop, length)


def _waves(time: Tensor) -> Tensor:
    """Map times [B] to sines and cosines [B, 2 * _WAVES] of rising frequency."""
    turns = 2 ** torch.linspace(-2, 5, _WAVES, device=time.device)
    angles = 2 * math.pi * time[:, None] * turns
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _spread(filters: Tensor) -> Tensor:
    """Return the map [bins, bands] from bands' sums to the mean magnitude around each bin."""
    weights = filters.T.clone()
    bare = (weights.sum(1) == 0).nonzero().flatten()
    covered = (weights.sum(1) > 0).nonzero().flatten()
    nearest = covered[(bare[:, None] - covered).abs().argmin(1)]
    weights[bare] = weights[nearest]
    return weights / weights.sum(1, keepdim=True) / filters.sum(1)
