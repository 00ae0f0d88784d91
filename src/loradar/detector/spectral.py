"""``loradar-spectral``: a convolutional stem on the fine log spectrogram, then a transformer.

The stem is that of the spectrogram CNN, with its fine frequency resolution kept to the end; the
transformer has the attention blocks that adapters go into. Torch alone: `loradar.detector.
spectral_model` is the same for transformers, whose import takes as long as a whole first verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.front_end import valid_samples
from loradar.detector.fused import conv_norm
from loradar.detector.log_spectrum import BINS, Count
from loradar.detector.residual import Residual
from loradar.detector.rotary import rotate, rotations
from loradar.detector.spectrogram_cnn import mask_spectrogram

MODEL_TYPE = "loradar-spectral"


class SpectralSizes(Protocol):
    """What a configuration tells the modules here."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    stem_channels: list[int]
    frame_spectra: int
    hidden_dropout: float
    attention_dropout: float
    apply_spec_augment: bool
    layer_norm_eps: float
    initializer_range: float


@dataclass
class SpectralConfig:
    """Sizes of a spectral model.

    Attributes
    ----------
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size : int
        Of the transformer.
    stem_channels : list of int
        Channels of the stem's three residual blocks; the first convolution has the first.
    frame_spectra : int
        Spectra (10 ms) a frame: 2 or 4.
    hidden_dropout, attention_dropout : float
        Dropout after each sub-layer, and of attention weights.
    apply_spec_augment : bool
        In training, set random strips of the spectrogram to zero. Detectors switch it off.
    layer_norm_eps, initializer_range : float
        As usual.

    Raises
    ------
    ValueError
        Values that do not fit one another.
    """

    model_type: ClassVar[str] = MODEL_TYPE

    hidden_size: int = 192
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    intermediate_size: int = 576
    stem_channels: list[int] = field(default_factory=lambda: [32, 64, 96])
    frame_spectra: int = 4
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    apply_spec_augment: bool = True
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        self.stem_channels = list(self.stem_channels)
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be divisible by twice num_attention_heads "
                f"({self.num_attention_heads})"
            )
        if len(self.stem_channels) != 3:
            raise ValueError(f"stem_channels holds {len(self.stem_channels)} numbers, not 3")
        if self.frame_spectra not in (2, 4):
            raise ValueError(f"frame_spectra is {self.frame_spectra}, not 2 or 4")

    def to_dict(self) -> dict[str, Any]:
        """Return every value by its name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what to write: all of it, so that a later change of a default alters no file."""
        return {**self.to_dict(), "model_type": self.model_type}


class SpectralStem(nn.Module):
    """5x5 convolution with stride 2, pooling, three residual blocks; time is kept from then on."""

    def __init__(self, config: SpectralSizes) -> None:
        super().__init__()
        first, second, third = config.stem_channels
        self.pool = config.frame_spectra // 2
        self.conv = nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.blocks = nn.ModuleList(
            [
                Residual(first, first, 1),
                Residual(first, second, (2, 1)),
                Residual(second, third, (2, 1)),
            ]
        )
        self.last_norm = nn.BatchNorm2d(third)
        self.width = third * (BINS // 16)

    def frames(self, spectra: Count) -> Count:
        """Return the frames that so many spectra give."""
        return (spectra + 1) // 2 // self.pool

    def forward(self, spectrum: Tensor, frames: Tensor | None = None) -> Tensor:
        """Map a spectrogram [B, T, 224], zero beyond each clip, to [B, T', width].

        ``frames`` [B] of each clip are given for padded batches.
        """
        # The layout that the convolutions are fastest in, here by a fifth.
        spectrum = spectrum.transpose(1, 2).unsqueeze(1)
        spectrum = spectrum.contiguous(memory_format=torch.channels_last)
        maps = conv_norm(self.conv, self.norm, spectrum)
        # Pooled first, which is the same and leaves a quarter to rectify.
        maps = F.relu(F.max_pool2d(maps, (2, self.pool)), inplace=True)
        mask = None
        if frames is not None:
            mask = valid_samples(frames, maps.shape[3])[:, None, None].to(maps.dtype)
        for block in self.blocks:
            maps = block(maps, mask)
        maps = F.relu(self.last_norm(maps), inplace=True)  # [B, third, 14, T']
        return maps.permute(0, 3, 1, 2).flatten(2)


class SpectralAttention(nn.Module):
    """Self-attention with rotary positions; the four projections are called as modules."""

    def __init__(self, config: SpectralSizes) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.dropout = config.attention_dropout
        self.q_proj = nn.Linear(size, size)
        self.k_proj = nn.Linear(size, size)
        self.v_proj = nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)

    def forward(self, hidden: Tensor, turns: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """Attend within each clip: hidden [B, T, D], mask [B, 1, 1, T] of valid frames."""
        batch, frames, _ = hidden.shape
        shape = (batch, frames, self.heads, -1)
        query, key, value = (
            project(hidden).view(shape).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = F.scaled_dot_product_attention(
            rotate(query, *turns),
            rotate(key, *turns),
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return cast(Tensor, self.out_proj(mixed.transpose(1, 2).flatten(2)))


class SpectralLayer(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: SpectralSizes) -> None:
        super().__init__()
        size = config.hidden_size
        self.attention_norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.attention = SpectralAttention(config)
        self.feed_norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.feed_in = nn.Linear(size, config.intermediate_size)
        self.feed_out = nn.Linear(config.intermediate_size, size)
        self.drop = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden: Tensor, turns: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        attended = self.attention(self.attention_norm(hidden), turns, mask)
        hidden = hidden + self.drop(attended)
        fed = self.feed_out(F.gelu(self.feed_in(self.feed_norm(hidden))))
        return hidden + cast(Tensor, self.drop(fed))


class SpectralStack(nn.Module):
    """The transformer blocks and a last norm."""

    def __init__(self, config: SpectralSizes) -> None:
        super().__init__()
        self.head_width = config.hidden_size // config.num_attention_heads
        self.layers = nn.ModuleList(SpectralLayer(config) for _ in range(config.num_hidden_layers))
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map [B, T, D] and a mask [B, T] of valid frames to [B, T, D]."""
        turns = rotations(hidden.shape[1], self.head_width, hidden.device)
        wide = None if mask is None else mask[:, None, None]
        for layer in self.layers:
            hidden = layer(hidden, turns, wide)
        return cast(Tensor, self.layer_norm(hidden))


class SpectralBody(nn.Module):
    """What both faces of the model share; the weights have the same names in both."""

    config: Any
    stem: SpectralStem
    feature_projection: nn.Linear
    drop: nn.Dropout
    encoder: SpectralStack

    def _make(self, config: SpectralSizes) -> None:
        self.stem = SpectralStem(config)
        self.feature_projection = nn.Linear(self.stem.width, config.hidden_size)
        self.drop = nn.Dropout(config.hidden_dropout)
        self.encoder = SpectralStack(config)

    def freeze_stem(self) -> None:
        """Keep the stem fixed, the statistics of its batch norms included."""
        self.stem.requires_grad_(False)
        self.stem.eval()

    def train(self, mode: bool = True) -> Any:
        """Switch to training or evaluation; a fixed stem stays in evaluation."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.stem.parameters()):
            self.stem.eval()
        return self

    def encode(self, spectra: Tensor, valid: Tensor | None) -> Tensor:
        """Encode log spectrograms.

        Parameters
        ----------
        spectra : Tensor
            [B, T, 224] of `loradar.detector.log_spectrum`, zero beyond each clip.
        valid : Tensor, optional
            [B, T], true on the spectra of each clip; all of them when None.

        Returns
        -------
        Tensor
            [B, T', hidden_size].
        """
        if self.training and self.config.apply_spec_augment:
            spectra = mask_spectrogram(spectra.transpose(1, 2)).transpose(1, 2)
        frames = None if valid is None else self.stem.frames(valid.sum(1))
        hidden = self.drop(self.feature_projection(self.stem(spectra, frames)))
        mask = None if frames is None else valid_samples(frames, hidden.shape[1])
        return cast(Tensor, self.encoder(hidden, mask))


class Encoded(NamedTuple):
    """What a `SpectralNetwork` returns, named as in transformers."""

    last_hidden_state: Tensor


class SpectralNetwork(SpectralBody):
    """Log spectrograms in, one vector every 20 or 40 ms out.

    Parameters
    ----------
    config : SpectralConfig
        Sizes. Fresh weights are drawn from torch's global generator, as transformers would.
    """

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        self.config = config
        self._make(config)
        self.apply(self._draw)

    @torch.no_grad()
    def _draw(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            nn.init.zeros_(module.bias)

    def forward(self, input_features: Tensor, attention_mask: Tensor | None = None) -> Encoded:
        """Encode log spectrograms [B, T, 224] as `encode` does."""
        return Encoded(self.encode(input_features, attention_mask))
