"""Encoders that read the waveform: Wav2Vec2, XLSR, XLS-R, HuBERT, WavLM."""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from loradar.detector.front_end import valid_samples
from loradar.detector.speech_encoder import LayerMix, SpeechEncoder


class StackEncoder(SpeechEncoder):
    """A transformers model with its layers in ``model.encoder.layers``.

    LayerDrop and the masking of features in training are switched off in every mode: a dropped
    layer would drop its adapters, and the masks come from numpy's global generator.

    Parameters
    ----------
    model : nn.Module
        The transformers model.
    layers : int, optional
        Keep the first so many transformer layers.
    learned_mix : bool
        Mix all layers instead of taking the last.
    """

    model: Any  # nn.Module, whose attributes are transformers' own

    def __init__(self, model: nn.Module, layers: int | None, *, learned_mix: bool) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        config.apply_spec_augment = False
        if hasattr(config, "layerdrop"):
            config.layerdrop = 0.0
        if hasattr(model, "masked_spec_embed"):
            self.model.masked_spec_embed.requires_grad_(False)  # serves those masks alone
        stack = self.model.encoder
        if layers is not None:
            stack.layers = stack.layers[:layers]
            config.num_hidden_layers = layers
        self.mix = LayerMix(len(stack.layers) + 1) if learned_mix else None
        self.width = config.hidden_size

    @abstractmethod
    def inputs(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return what the model reads, and its attention mask where there are ``lengths``."""

    def layers(self, waveforms: Tensor, lengths: Tensor | None) -> list[Tensor]:
        """Return the input of the first layer and the output of each, or the last output alone."""
        inputs, mask = self.inputs(waveforms, lengths)
        inputs = inputs.to(self.dtype)
        if self.mix is None:
            return [self.model(inputs, attention_mask=mask).last_hidden_state]
        found: list[Tensor] = []
        thread = threading.get_ident()

        def keep(output: Any) -> None:
            # Hooks hear every thread that runs the model.
            if threading.get_ident() == thread:
                found.append(_first(output))

        stack = self.model.encoder.layers
        # Own hooks: what transformers records differs between models and versions.
        hooks = [stack[0].register_forward_pre_hook(lambda _, given: keep(given))]
        for layer in stack:
            hooks.append(layer.register_forward_hook(lambda *call: keep(call[2])))
        try:
            self.model(inputs, attention_mask=mask)
        finally:
            for hook in hooks:
                hook.remove()
        return found


class WaveformEncoder(StackEncoder):
    """``Wav2Vec2Model``, ``HubertModel`` or ``WavLMModel``."""

    feature_encoder = ("feature_extractor", "feature_projection")

    def __init__(self, model: nn.Module, layers: int | None, *, learned_mix: bool) -> None:
        super().__init__(model, layers, learned_mix=learned_mix)
        config: Any = model.config
        if config.model_type == "wavlm":
            # Here, since it imports as much of transformers as all the rest together.
            from loradar.detector.wavlm import call_projections_as_modules

            call_projections_as_modules(model)
        # Group norm in the first convolution takes its statistics over time, padding included.
        self.supports_padding = config.feat_extract_norm == "layer"
        self._strides = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.hop = math.prod(config.conv_stride)

    def frames(self, samples: int) -> int:
        """Return the frames that so many samples give."""
        for kernel, stride in self._strides:
            samples = (samples - kernel) // stride + 1
        return samples

    def freeze_feature_encoder(self) -> None:
        """Freeze the convolutions; in training they would else ask a gradient of the waveform."""
        self.model.feature_extractor._freeze_parameters()

    def inputs(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the waveforms [B, S] and which samples [B, S] are valid."""
        mask = None if lengths is None else valid_samples(lengths, waveforms.shape[1]).long()
        return waveforms, mask


def _first(output: Any) -> Any:
    # WavLM's layers return (hidden states, position bias).
    return output[0] if isinstance(output, tuple) else output
