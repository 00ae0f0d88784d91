"""A detector's folder in transformers: ``pipeline("audio-classification", model=FOLDER)``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForAudioClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from loradar.detector.checkpoint import FORMAT, load_detector
from loradar.detector.model import BONAFIDE, SPOOF, Detector
from loradar.detector.pretrained import register_models
from loradar.detector.scorer import cut
from loradar.evaluation.calibration import Calibration
from loradar.inference.model import read_calibration

#: Windows a forward pass.
BATCH = 16


class LoradarConfig(PreTrainedConfig):  # type: ignore[misc]
    """A checkpoint's ``config.json``; its keys become attributes."""

    model_type = FORMAT


class LoradarForAudioClassification(PreTrainedModel):  # type: ignore[misc]
    """A detector as transformers calls it; made by `from_pretrained`.

    Parameters
    ----------
    config : LoradarConfig
        Of the folder.
    detector : Detector
        The model.
    calibration : Calibration, optional
        Score -> LLR.
    """

    config_class = LoradarConfig
    main_input_name = "input_values"

    def __init__(
        self, config: LoradarConfig, detector: Detector, calibration: Calibration | None = None
    ) -> None:
        super().__init__(config)
        self.detector = detector
        self.calibration = calibration

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *_: Any, config: LoradarConfig | None = None, **__: Any
    ) -> LoradarForAudioClassification:
        """Load a checkpoint's folder; other options of transformers are not needed and ignored.

        Raises
        ------
        CheckpointError
            The folder is incomplete, altered or of a newer format.
        """
        if config is None:
            config = LoradarConfig.from_pretrained(folder)
        detector = load_detector(folder)
        model = cls(config, detector, read_calibration(Path(folder)))
        model.eval()
        return model

    @torch.no_grad()
    def forward(
        self, input_values: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> SequenceClassifierOutput:
        """Classify clips.

        Parameters
        ----------
        input_values : Tensor
            [B, S] at 16 kHz.
        attention_mask : Tensor, optional
            [B, S], 1 on the samples of each clip, which come first; all of them when None.

        Returns
        -------
        SequenceClassifierOutput
            ``logits`` [B, 2], spoof and bona fide: the mean over windows as ``loradar score`` cuts
            them, and half the calibrated LLR, with either sign, where there is a calibration: their
            softmax is p_spoof at the prior 0.5.
        """
        lengths = [input_values.shape[1]] * len(input_values)
        if attention_mask is not None:
            lengths = attention_mask.sum(dim=1).tolist()
        rows = [
            self._clip_logits(clip[: int(length)].float().cpu().numpy())
            for clip, length in zip(input_values, lengths, strict=True)
        ]
        return SequenceClassifierOutput(logits=torch.stack(rows).to(input_values.device))

    def _clip_logits(self, samples: np.ndarray) -> Tensor:
        pieces = [piece for _, piece in cut(samples, self.detector.window)]
        device = next(self.detector.parameters()).device
        batches = [
            torch.from_numpy(np.stack(pieces[place : place + BATCH])).to(device)
            for place in range(0, len(pieces), BATCH)
        ]
        logits: Tensor = torch.cat([self.detector(batch).float() for batch in batches]).mean(dim=0)
        if self.calibration is not None:
            llr = float(self.calibration.llr([float(logits[BONAFIDE] - logits[SPOOF])])[0])
            logits = torch.tensor([-llr / 2, llr / 2])
        return logits.cpu()


def register() -> None:
    """Make transformers know folders of detectors and of our encoders; once before they load."""
    register_models()
    AutoConfig.register(FORMAT, LoradarConfig, exist_ok=True)
    AutoModelForAudioClassification.register(
        LoradarConfig, LoradarForAudioClassification, exist_ok=True
    )
