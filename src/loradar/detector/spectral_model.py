"""`loradar.detector.spectral` as a model of transformers, for ``AutoModel`` and ``AutoConfig``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput

from loradar.detector.spectral import MODEL_TYPE, SpectralBody, SpectralConfig

_SIZES = tuple(item.name for item in fields(SpectralConfig))


class SpectralModelConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of a `SpectralModel`.

    Parameters
    ----------
    **values
        Those of `loradar.detector.spectral.SpectralConfig`, and what every configuration of
        transformers takes.
    """

    model_type = MODEL_TYPE

    def __init__(self, **values: Any) -> None:
        sizes = {name: values.pop(name) for name in _SIZES if name in values}
        for name, value in SpectralConfig(**sizes).to_dict().items():
            setattr(self, name, value)
        super().__init__(**values)


class SpectralModel(SpectralBody, PreTrainedModel):  # type: ignore[misc]
    """Log spectrograms in, one vector every 20 or 40 ms out."""

    config_class = SpectralModelConfig
    base_model_prefix = "spectral"
    main_input_name = "input_features"

    def __init__(self, config: SpectralModelConfig) -> None:
        super().__init__(config)
        self._make(config)
        PreTrainedModel.post_init(self)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            PreTrainedModel._init_weights(self, module)

    def forward(
        self, input_features: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutput:
        """Encode log spectrograms [B, T, 224], whose ``attention_mask`` [B, T] tells what is valid.

        Returns
        -------
        BaseModelOutput
            ``last_hidden_state`` [B, T', hidden_size].
        """
        return BaseModelOutput(last_hidden_state=self.encode(input_features, attention_mask))
