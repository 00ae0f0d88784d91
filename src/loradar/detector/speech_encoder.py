"""What every speech encoder gives to the detector, and the learnt mix of its layers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.front_end import valid_samples


class LayerMix(nn.Module):
    """Weighted mean over layers, the weights learnt (Yang et al. 2021, arXiv 2105.01051).

    Each layer is normalised over its features first: in pre-norm transformers the last layers
    are larger by orders of magnitude, and the weights would mean nothing.

    Parameters
    ----------
    layers : int
        Sequences to mix.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))

    def forward(self, layers: list[Tensor]) -> Tensor:
        """Mix tensors [B, T, D], one a layer, into [B, T, D]."""
        shares = self.weights.softmax(dim=0)
        mixed = torch.zeros_like(layers[0])
        for share, layer in zip(shares, layers, strict=True):
            mixed = mixed + share * F.layer_norm(layer, layer.shape[-1:])
        return mixed


class SpeechEncoder(nn.Module, ABC):
    """A transformer over speech: waveforms in, one feature vector every ``hop`` samples out.

    Attributes
    ----------
    model : nn.Module
        The transformers module; adapters go in here.
    mix : LayerMix or None
        Present when all layers are mixed, absent when the last one is taken.
    width : int
        Features of a frame.
    hop : int
        Samples from one frame to the next, mostly 320 (20 ms).
    supports_padding : bool
        Whether a clip in a padded batch gets what it gets alone.
    feature_encoder : tuple of str
        Where in ``model`` the convolutions before the transformer are, and the projection behind
        them; empty where there are none to be trained by themselves.
    """

    model: nn.Module
    mix: LayerMix | None
    width: int
    hop: int
    supports_padding: bool
    feature_encoder: tuple[str, ...] = ()

    @property
    def dtype(self) -> torch.dtype:
        """The precision the transformer computes in; its input is cast to it."""
        return next(self.model.parameters()).dtype

    @abstractmethod
    def frames(self, samples: int) -> int:
        """Return how many frames so many samples give; 0 or less when there are too few."""

    @abstractmethod
    def freeze_feature_encoder(self) -> None:
        """Keep the convolutions before the transformer fixed, and spare their backward."""

    @abstractmethod
    def layers(self, waveforms: Tensor, lengths: Tensor | None) -> list[Tensor]:
        """Return the sequences [B, T, D] that ``mix`` takes, or the last layer's output alone.

        ``lengths`` [B] is given only to encoders that support padding.
        """

    def frame_mask(self, lengths: Tensor | None, samples: int) -> Tensor | None:
        """Return [B, T], True on the frames of each clip, or None where all are valid."""
        if lengths is None:
            return None
        frames = torch.tensor([self.frames(int(n)) for n in lengths], device=lengths.device)
        return valid_samples(frames, self.frames(samples))

    def forward(
        self, waveforms: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Encode a batch.

        Parameters
        ----------
        waveforms : Tensor
            [B, S], 16 kHz, zero beyond each clip.
        lengths : Tensor, optional
            [B] samples of each clip; all S when None.

        Returns
        -------
        features : Tensor
            [B, T, D], in the waveforms' precision, whatever the transformer computes in.
        mask : Tensor or None
            [B, T], True on valid frames; None where all are valid.
        """
        layers = [layer.to(waveforms.dtype) for layer in self.layers(waveforms, lengths)]
        features = layers[-1] if self.mix is None else self.mix(layers)
        return features, self.frame_mask(lengths, waveforms.shape[1])
