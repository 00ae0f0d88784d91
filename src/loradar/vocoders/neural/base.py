"""What every neural vocoder offers: one way to train it, one way to copy a clip with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from loradar.vocoders.neural.mel import LogMel


class VocoderConfig(BaseModel):
    """Base of the families' configurations: unknown keys are errors, values stay as they are.

    A sub-class adds ``family: Literal["..."] = "..."``, by which `loradar.vocoders.neural.config`
    tells them apart, and a model class is built from it alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass
class TrainingOutput:
    """What one training pass gives.

    Attributes
    ----------
    waveform : Tensor, [B, T] or None
        The resynthesis, which the trainer compares with its source (spectral, adversarial and
        feature-matching losses); None for models whose own losses say all.
    losses : dict of str to Tensor, []
        The model's own losses, weighted by the model, to be added.
    """

    waveform: Tensor | None
    losses: dict[str, Tensor] = field(default_factory=dict)


class NeuralVocoder(nn.Module, ABC):
    """A model that copies 16 kHz speech by way of a poorer representation.

    Attributes
    ----------
    hop : int
        Samples a frame of that representation; training segments are multiples of it.
    config : VocoderConfig
        What rebuilds the model.
    """

    hop: int
    config: VocoderConfig

    @abstractmethod
    def training_output(self, waveform: Tensor) -> TrainingOutput:
        """Run a training pass.

        Parameters
        ----------
        waveform : Tensor, [B, T]
            16 kHz speech; T is a multiple of ``hop``.
        """

    @abstractmethod
    def resynthesise(
        self, waveform: Tensor, settings: Mapping[str, Any], rng: np.random.Generator
    ) -> Tensor:
        """Copy one clip, without gradients.

        Parameters
        ----------
        waveform : Tensor, [1, T]
            16 kHz speech of any length T >= 1.
        settings : mapping
            The settings of this copy, as the family's attack draws them.
        rng : numpy Generator
            The source of everything random.

        Returns
        -------
        Tensor, [1, T]
            Aligned with the source.
        """


class MelVocoder(NeuralVocoder):
    """A vocoder that makes a waveform from a log-mel spectrogram.

    Parameters
    ----------
    mel : LogMel
        The analysis; ``hop`` is its hop.
    """

    def __init__(self, mel: LogMel) -> None:
        super().__init__()
        self.mel = mel
        self.hop = mel.hop

    @abstractmethod
    def generate(self, log_mel: Tensor, length: int) -> Tensor:
        """Make a waveform.

        Parameters
        ----------
        log_mel : Tensor, [B, bands, N]
            Natural log; frame n is centred at sample n * hop.
        length : int
            Samples wanted, at most N * hop.

        Returns
        -------
        Tensor, [B, length]
        """

    def training_output(self, waveform: Tensor) -> TrainingOutput:
        """Resynthesise ``waveform`` [B, T] from its own log-mel spectrogram."""
        with torch.no_grad():
            log_mel = self.mel(waveform)
        return TrainingOutput(self.generate(log_mel, waveform.shape[-1]))

    @torch.inference_mode()
    def resynthesise(
        self, waveform: Tensor, settings: Mapping[str, Any], rng: np.random.Generator
    ) -> Tensor:
        """Copy ``waveform`` [1, T] by way of its log-mel spectrogram, as `analyse` gives it."""
        return self.generate(self.analyse(waveform, settings, rng), waveform.shape[-1])

    def analyse(
        self, waveform: Tensor, settings: Mapping[str, Any], rng: np.random.Generator
    ) -> Tensor:
        """Return the log-mel spectrogram [1, bands, N] that a copy is made from.

        ``settings["acoustic"]``, where given and not None, degrades the spectrogram first as
        `loradar.vocoders.acoustic.degrade_log_mel` says: a stand-in for what the acoustic model
        of a text-to-speech system smooths away.
        """
        log_mel: Tensor = self.mel(waveform)
        if settings.get("acoustic") is not None:
            from loradar.vocoders.acoustic import degrade_log_mel

            rows = log_mel[0].T.double().numpy()
            rows = degrade_log_mel(rows, settings["acoustic"], rng)
            log_mel = torch.from_numpy(np.ascontiguousarray(rows.T)).to(log_mel.dtype)[None]
        return log_mel
