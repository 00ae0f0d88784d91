"""A detector made ready for tracing: waveforms in, scores and gates out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from loradar.detector.filterbank_encoder import LogFilterbank
from loradar.detector.front_end import FrontEnd
from loradar.detector.log_spectrum import LogSpectrum
from loradar.detector.model import Detector
from loradar.detector.speech_encoder import LayerMix
from loradar.detector.whisper import LogMel
from loradar.inference.export.front_ends import (
    BlockFrontEnd,
    ConvLogFilterbank,
    ConvLogMel,
    ConvLogSpectrum,
    FixedMix,
)


class ScoreGraph(nn.Module):
    """Waveforms [B, S] to scores [B] and, for each router, the mean gates [B, E].

    Parameters
    ----------
    detector : Detector
        Taken over and changed: what is constant is folded (`fold`).
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = fold(detector)
        self.routers: list[str] = []
        self._gates: dict[str, Tensor] = {}
        if detector.mixture is not None:
            context: Any = detector.mixture.context
            # A trace keeps no records, so the routers tell them here.
            context.record = self._keep
            context.record_opening = self._keep_grown
            self.routers = list({**detector.mixture.routers, **detector.mixture.growth})
            self.routers = [name for name in self.routers if self._tells(name)]

    def forward(self, waveforms: Tensor) -> tuple[Tensor, ...]:
        """Score a batch of equal lengths; the gates follow in the order of ``routers``."""
        detector = self.detector
        self._gates = {}
        heard = detector.front_end(waveforms)
        if detector.encoder is None:
            logits = detector.backend(heard)
        else:
            features, _ = detector.encode(heard, None)
            logits = detector.judge(heard, features, None)
        return detector.score(logits), *(self._gates[name] for name in self.routers)

    def _tells(self, name: str) -> bool:
        mixture = self.detector.mixture
        assert mixture is not None
        return name in mixture.routers or len(mixture.growth[name].rows) > 0

    def _keep(self, name: str, routing: Any) -> None:
        self._gates[name] = routing.clip_gates()

    def _keep_grown(self, name: str, opening: Any) -> None:
        grown = opening.clip_gates()
        first = self._gates.get(name)
        self._gates[name] = torch.cat(
            [torch.ones_like(grown[:, :1]) if first is None else first, grown], dim=1
        )


def fold(detector: Detector) -> Detector:
    """Work out what does not depend on the input, in place.

    Plain LoRA is merged into the base; weight norms, the shares of a layer mix, and the linear
    steps from waveform to spectrum become constants. All is float32 afterwards.

    Returns
    -------
    Detector
        The same, in evaluation mode, without gradients.
    """
    detector.float().eval().requires_grad_(False)
    mixture = detector.mixture
    if mixture is not None and not mixture.config.routed and not mixture.config.grown:
        mixture.merge()
        detector.mixture = None
    for module in list(detector.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    detector.requires_grad_(False)
    width = 0 if detector.encoder is None else detector.encoder.width
    for parent in list(detector.modules()):
        for name, child in list(parent.named_children()):
            stand_in = _stand_in(child, width)
            if stand_in is not None:
                setattr(parent, name, stand_in.eval())
    return detector


def _stand_in(module: nn.Module, width: int) -> nn.Module | None:
    if isinstance(module, FrontEnd):
        return BlockFrontEnd(module)
    if isinstance(module, LogSpectrum):
        return ConvLogSpectrum(module)
    if isinstance(module, LogMel):
        return ConvLogMel(module)
    if isinstance(module, LogFilterbank):
        return ConvLogFilterbank(module)
    if isinstance(module, LayerMix):
        return FixedMix(module, width)
    return None
