"""Whisper's encoder on clips of any length up to 30 s, with its log-mel input made in torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.audio_utils import mel_filter_bank

from loradar.detector.speech_encoder import LayerMix, SpeechEncoder
from loradar.errors import InputError

SAMPLE_RATE, POINTS, HOP = 16_000, 400, 160


class LogMel(nn.Module):
    """The input of Whisper (Radford et al. 2022, arXiv 2212.04356), without padding to 30 s.

    Parameters
    ----------
    bands : int
        Mel bands (80, or 128 for the large-v3 models).
    """

    filters: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        filters = mel_filter_bank(
            num_frequency_bins=POINTS // 2 + 1,
            num_mel_filters=bands,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("filters", torch.from_numpy(filters).float().T, persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map waveforms [B, S] to [B, bands, S // 160], each clip limited to 8 decades."""
        window = torch.hann_window(POINTS, device=waveforms.device)
        spectrum = torch.stft(waveforms, POINTS, HOP, window=window, return_complex=True)
        power = spectrum[..., :-1].abs().square()
        logs = (self.filters @ power).clamp_min(1e-10).log10()
        logs = torch.maximum(logs, logs.amax(dim=(1, 2), keepdim=True) - 8.0)
        return (logs + 4.0) / 4.0


class WhisperSpeechEncoder(SpeechEncoder):
    """Whisper's encoder, its positions cut to the clip.

    The model as published demands 30 s of input; here a clip of 4 s costs what 4 s cost.

    Parameters
    ----------
    model : nn.Module
        ``WhisperEncoder`` of transformers.
    layers : int, optional
        Keep the first so many transformer layers.
    learned_mix : bool
        Mix all layers instead of taking the last.
    """

    model: Any  # nn.Module, whose attributes are transformers' own
    supports_padding = False  # its attention takes no mask

    def __init__(self, model: nn.Module, layers: int | None, *, learned_mix: bool) -> None:
        super().__init__()
        self.model = model
        if layers is not None:
            self.model.layers = self.model.layers[:layers]
            self.model.config.encoder_layers = layers
        self.mel = LogMel(self.model.config.num_mel_bins)
        self.mix = LayerMix(len(self.model.layers) + 1) if learned_mix else None
        self.width = self.model.config.d_model
        self.hop = 2 * HOP

    def frames(self, samples: int) -> int:
        """Return the frames that so many samples give."""
        # The spectrogram reflects half a window at each end, so it needs more than that.
        return (samples // HOP + 1) // 2 if samples > POINTS // 2 else 0

    def freeze_feature_encoder(self) -> None:
        """Freeze the two convolutions."""
        self.model.conv1.requires_grad_(False)
        self.model.conv2.requires_grad_(False)

    def layers(self, waveforms: Tensor, lengths: Tensor | None) -> list[Tensor]:
        """Return the input of the first layer and the normalised or raw output of the others.

        The last entry has passed the encoder's final layer norm.
        """
        model, positions = self.model, self.model.embed_positions.weight
        frames = self.frames(waveforms.shape[1])
        if frames > len(positions):
            seconds = len(positions) * 2 * HOP / SAMPLE_RATE
            raise InputError(
                f"a window of {waveforms.shape[1] / SAMPLE_RATE:.1f} s is too long for Whisper, "
                f"which has positions for {seconds:g} s: cut it into shorter windows"
            )
        hidden = F.gelu(model.conv1(self.mel(waveforms).to(self.dtype)))
        hidden = F.gelu(model.conv2(hidden)).transpose(1, 2) + positions[:frames]
        hidden = F.dropout(hidden, model.dropout, model.training)
        found = [hidden]
        for layer in model.layers:
            hidden = layer(hidden, None)
            found.append(hidden)
        found[-1] = model.layer_norm(hidden)
        return found
