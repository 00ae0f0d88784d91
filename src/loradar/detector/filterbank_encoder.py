"""Wav2Vec2-BERT on a mel filterbank in the manner of Kaldi, or on fine log spectra."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from loradar.detector.front_end import valid_samples
from loradar.detector.log_spectrum import BINS, FRONT_END, LogSpectrum
from loradar.detector.waveform_encoder import StackEncoder
from loradar.errors import ConfigError

SAMPLE_RATE, WINDOW, HOP, POINTS, BANDS = 16_000, 400, 160, 512, 80
MEL, LOG_SPECTRUM = "mel", "log_spectrum"  # what `FRONT_END` may say


class LogFilterbank(nn.Module):
    """The input of Wav2Vec2-BERT: 80 log-mel bands, normalised over each clip, two frames a step.

    Equals ``SeamlessM4TFeatureExtractor``; an odd last frame, which it pads and masks, is left
    out.
    """

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filter_bank(
            num_frequency_bins=POINTS // 2 + 1,
            num_mel_filters=BANDS,
            min_frequency=20.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        window = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64).pow(0.85).float()
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)
        self.register_buffer("window", window, persistent=False)

    def forward(self, waveforms: Tensor, lengths: Tensor | None) -> Tensor:
        """Map waveforms [B, S] to [B, frames // 2, 160]; rubbish beyond ``lengths`` [B]."""
        frames = waveforms.unfold(1, WINDOW, HOP) * 2.0**15
        frames = frames - frames.mean(dim=-1, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        spectrum = torch.fft.rfft((frames - 0.97 * before) * self.window, POINTS)
        logs = (spectrum.abs().square() @ self.filters).clamp_min(2.0**-23).log()  # [B, F, 80]
        logs = _normalise(logs, None if lengths is None else (lengths - WINDOW) // HOP + 1)
        pairs = logs.shape[1] // 2
        return logs[:, : 2 * pairs].reshape(len(logs), pairs, 2 * BANDS)


def _normalise(logs: Tensor, frames: Tensor | None) -> Tensor:
    """Give each band of each clip zero mean and unit variance over its ``frames`` [B]."""
    # In float64, so that rounding in the sums does not depend on the padding.
    logs = logs.double()
    if frames is None:
        variance, mean = torch.var_mean(logs, dim=1, keepdim=True)
    else:
        valid = valid_samples(frames, logs.shape[1]).unsqueeze(-1)
        count = frames.view(-1, 1, 1)
        mean = (logs * valid).sum(1, keepdim=True) / count
        variance = ((logs - mean).square() * valid).sum(1, keepdim=True) / (count - 1)
    return ((logs - mean) * torch.rsqrt(variance + 1e-7)).float()


class FilterbankEncoder(StackEncoder):
    """``Wav2Vec2BertModel``; its projections are ``linear_q``, ``_k``, ``_v`` and ``_out``.

    It reads `LogFilterbank`, or, where its configuration says ``loradar_front_end:
    log_spectrum``, frames of one or more fine log spectra: as many as
    ``feature_projection_input_dim`` has room for, 224 values each.
    """

    supports_padding = True

    def __init__(self, model: nn.Module, layers: int | None, *, learned_mix: bool) -> None:
        super().__init__(model, layers, learned_mix=learned_mix)
        kind, width = front_end_of(model), self.model.config.feature_projection_input_dim
        self.spectrum = kind == LOG_SPECTRUM
        if self.spectrum and (width < BINS or width % BINS):
            raise ConfigError(
                f"feature_projection_input_dim is {width}; the log spectrum gives {BINS} values "
                f"every 10 ms: set it to {BINS} or {2 * BINS}"
            )
        if not self.spectrum and width != 2 * BANDS:
            raise ConfigError(
                f"feature_projection_input_dim is {width}, but the mel filterbank gives "
                f"{2 * BANDS} values (for the fine spectrum: {FRONT_END}: {LOG_SPECTRUM})"
            )
        self._stack = width // BINS if self.spectrum else 2
        self.filterbank = LogSpectrum(self._stack) if self.spectrum else LogFilterbank()
        self.hop = self._stack * HOP

    def frames(self, samples: int) -> int:
        """Return the frames that so many samples give."""
        window = POINTS if self.spectrum else WINDOW
        return ((samples - window) // HOP + 1) // self._stack

    def freeze_feature_encoder(self) -> None:
        """Freeze the projection of the filterbank; there are no convolutions before it."""
        self.model.feature_projection.requires_grad_(False)

    def inputs(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the frames [B, T, D] and which of them [B, T] are valid."""
        mask = self.frame_mask(lengths, waveforms.shape[1])
        return self.filterbank(waveforms, lengths), None if mask is None else mask.long()


def front_end_of(model: nn.Module) -> str:
    """Return what a model's configuration says it reads; ConfigError for an unknown front end."""
    kind = getattr(model.config, FRONT_END, MEL)
    if kind not in (MEL, LOG_SPECTRUM):
        raise ConfigError(f"{FRONT_END} is {kind!r}; there are {MEL} and {LOG_SPECTRUM}")
    return str(kind)
