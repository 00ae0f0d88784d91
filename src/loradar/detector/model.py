"""The detector: front end, speech encoder with its adapters, back-end, and what stands beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from loradar.detector.config import DetectorConfig
from loradar.detector.front_end import FrontEnd
from loradar.detector.listener import Listener
from loradar.detector.log_spectrum import SharedSpectrum
from loradar.detector.quantised import halve, quantise_linears
from loradar.detector.side_by_side import side_by_side
from loradar.detector.spectral_encoder import SpectralEncoder
from loradar.detector.spectrogram_cnn import SpectrogramCnn
from loradar.detector.speech_encoder import SpeechEncoder
from loradar.errors import InputError
from loradar.moe_lora import MoeLora, MoeLoraConfig

#: Order of the logits.
SPOOF, BONAFIDE = 0, 1
#: What `Detector.set_precision` takes.
PRECISIONS = ("float32", "bfloat16", "int8")
#: Parameters up to which a batch on a processor is scored in parts side by side. Threads share the
#: products of larger models well, and Ctrl-C would have to wait for a part.
SMALL = 30_000_000
_MODEL = "encoder.model."  # before the names of the encoder's own tensors


class Detector(nn.Module):
    """Waveforms in, two logits out.

    Made by `build_detector` or `load_detector`.

    Attributes
    ----------
    encoder : SpeechEncoder or None
        None for the baselines, which read the waveform themselves.
    backend : nn.Module
        `AasistBackend`, `LinearBackend`, or a whole baseline.
    branches : nn.ModuleList of SpectrogramCnn
        Fixed models beside them, whose logits are added (`BranchConfig`).
    mixture : MoeLora or None
        The adapters in the encoder.
    listener : Listener or None
        What their routers hear beside the hidden state (``cue_size`` above 0).
    precision : str
        What `score_windows` computes in; see `set_precision`.
    self_contained : bool
        Whether the encoder is no longer the one its configuration names, so that it has to be
        saved with the rest.
    """

    def __init__(
        self, config: DetectorConfig, encoder: SpeechEncoder | None, backend: nn.Module
    ) -> None:
        super().__init__()
        self._config = config
        self.front_end = FrontEnd(config.front_end)
        self.encoder = encoder
        self.backend: Any = backend
        beside = [SpectrogramCnn().requires_grad_(False) for _ in config.branches]
        self.branches = nn.ModuleList(beside)
        if beside and isinstance(encoder, SpectralEncoder):
            encoder.spectrum = beside[0].spectrum = SharedSpectrum()
        self.mixture: MoeLora | None = None
        self.listener: Listener | None = None
        self.precision = "float32"
        self.self_contained = False
        self._mixture_config: MoeLoraConfig | None = None
        # References to the encoder's own tensors, kept from before adapters are put in.
        self._minimum: int | None = None
        self._base = {} if encoder is None else dict(encoder.model.named_parameters())
        self._base_buffers = (
            set() if encoder is None else {f"{_MODEL}{n}" for n, _ in encoder.model.named_buffers()}
        )
        # The parts of a fixed encoder that are trained all the same.
        self._open: tuple[str, ...] = ()
        if encoder is not None and config.trains_feature_encoder:
            self._open = encoder.feature_encoder

    @property
    def config(self) -> DetectorConfig:
        """What rebuilds it, experts that came, went or were frozen since included."""
        if self.mixture is not None and self.mixture.config is not self._mixture_config:
            self._mixture_config = self.mixture.config
            self._config = self._config.with_mixture(self._mixture_config)
        return self._config

    @property
    def keeps_encoder(self) -> bool:
        """Whether the encoder's own weights are fixed."""
        return self.encoder is not None and self.config.adaptation.keeps_encoder

    @property
    def supports_padding(self) -> bool:
        """Whether clips of unequal length may share a batch."""
        encoder = self.encoder is not None and self.encoder.supports_padding
        return bool(encoder and self.backend.supports_padding and not self.branches)

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify a batch.

        Parameters
        ----------
        waveforms : Tensor
            [B, S] float, 16 kHz.
        lengths : Tensor, optional
            [B] samples of each clip; all S when None. Unequal lengths need `supports_padding`.

        Returns
        -------
        Tensor
            Logits [B, 2]: index 0 spoof, 1 bona fide.

        Raises
        ------
        InputError
            A shape or length that this detector cannot take.
        """
        waveforms, lengths = self._check(waveforms, lengths)
        waveforms = self.front_end(waveforms, lengths)
        if self.encoder is None:
            return self._joined(self.backend(waveforms), waveforms)
        return self.judge(waveforms, *self.encode(waveforms, lengths))

    def judge(self, heard: Tensor, features: Tensor, mask: Tensor | None) -> Tensor:
        """Return logits [B, 2] of what the front end [B, S] and the encoder [B, T, D] gave."""
        return self._joined(self.backend(features, mask), heard)

    def _joined(self, logits: Tensor, heard: Tensor) -> Tensor:
        """Add the branches' logits."""
        for branch, config in zip(self.branches, self._config.branches, strict=True):
            logits = logits + config.scale * branch(heard)
        return logits

    def encode(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return features [B, T, D] and frame mask of what the front end gave, [B, S]."""
        encoder = self.encoder
        assert encoder is not None
        if self.mixture is None:
            return encoder(waveforms, lengths)  # type: ignore[no-any-return]
        cue = None if self.listener is None else self.listener(waveforms, lengths)
        with self.mixture.mask(encoder.frame_mask(lengths, waveforms.shape[1]), cue):
            return encoder(waveforms, lengths)  # type: ignore[no-any-return]

    def _check(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Cut common padding, drop lengths that are all equal, and refuse what cannot work."""
        if waveforms.ndim != 2:
            raise InputError(
                f"waveforms must be [batch, samples], not of shape {tuple(waveforms.shape)}"
            )
        sizes = [waveforms.shape[1]] * len(waveforms)
        if lengths is not None:
            sizes = [int(n) for n in lengths.tolist()]
            if len(sizes) != len(waveforms) or max(sizes) > waveforms.shape[1]:
                raise InputError(
                    f"lengths must hold {len(waveforms)} values of at most {waveforms.shape[1]}"
                )
            waveforms = waveforms[:, : max(sizes)]
        if min(sizes, default=0) < self.minimum_samples:
            raise InputError(
                f"a clip of {min(sizes, default=0)} samples is too short for this detector: "
                f"it needs {self.minimum_samples}; tile short clips to the window"
            )
        if len(set(sizes)) == 1:
            return waveforms, None
        if not self.supports_padding:
            raise InputError(
                "clips of unequal length in one batch: this detector takes no padding mask; "
                f"cut or tile every clip to one window ({self.config.window} samples)"
            )
        return waveforms, torch.tensor(sizes, device=waveforms.device)

    @property
    def minimum_samples(self) -> int:
        """The shortest clip, in samples, that gives an answer."""
        if self._minimum is None:
            self._minimum = self._shortest()
        return self._minimum

    def _shortest(self) -> int:
        if self.encoder is None:
            return int(self.backend.minimum_samples)
        low, high = 0, 1 << 20
        while high - low > 1:
            middle = (low + high) // 2
            enough = self.encoder.frames(middle) >= self.backend.minimum_frames
            low, high = (low, middle) if enough else (middle, high)
        if self.branches:
            high = max(high, SpectrogramCnn.minimum_samples)
        return high if self.listener is None else max(high, self.listener.minimum_samples)

    @staticmethod
    def score(logits: Tensor) -> Tensor:
        """Return logit(bona fide) - logit(spoof), [B]: higher is more bona fide."""
        return logits[:, BONAFIDE] - logits[:, SPOOF]

    @property
    def window(self) -> int:
        """Samples of a window, as in the configuration."""
        return self.config.window

    def score_windows(self, batch: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Score windows of equal length; the model must be in evaluation mode.

        Parameters
        ----------
        batch : ndarray of float32, [B, S]
            16 kHz.

        Returns
        -------
        scores : ndarray, [B]
            See `score`.
        gates : dict
            Router -> mean gates [B, E].
        """
        size = sum(parameter.numel() for parameter in self.parameters())
        if size > SMALL or next(self.parameters()).device.type != "cpu":
            return self._score_part(batch)
        return side_by_side(self._score_part, batch)

    @torch.inference_mode()
    def _score_part(self, batch: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        device = next(self.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision != "float32"):
            logits = self(torch.from_numpy(batch).to(device))
        scores = self.score(logits.float())
        gates = self.mixture.gates() if self.mixture is not None else {}
        rows = {name: value.float().cpu().numpy() for name, value in gates.items()}
        return scores.cpu().numpy(), rows

    def set_precision(self, precision: str) -> Detector:
        """Choose what `score_windows` computes in, for good.

        Parameters
        ----------
        precision : {"float32", "bfloat16", "int8"}
            ``bfloat16`` (autocast) is faster where the processor has instructions for it, and a
            little off. ``int8`` is that, and the encoder's linear maps in 8 bits (`Int8Linear`):
            for large encoders on a processor. They take no gradient any more.

        Returns
        -------
        Detector
            Itself.

        Raises
        ------
        InputError
            An unknown precision, or int8 where it cannot be had.
        """
        if precision not in PRECISIONS:
            raise InputError(f"precision {precision}: give {', '.join(PRECISIONS)}")
        if PRECISIONS.index(precision) < PRECISIONS.index(self.precision):
            raise InputError(f"the weights are in {self.precision}: load the model anew for more")
        if precision == "int8" and self.precision != "int8":
            if self.encoder is None:
                raise InputError("precision int8: this detector has no encoder to quantise")
            if next(self.parameters()).device.type != "cpu":
                raise InputError("precision int8 is for processors; on a GPU give bfloat16")
            try:
                quantise_linears(self.encoder.model)
            except (AttributeError, NotImplementedError, RuntimeError) as error:
                raise InputError(
                    f"precision int8: this PyTorch cannot multiply in 8 bits ({error}): "
                    "give bfloat16"
                ) from None
            kept = {id(parameter) for parameter in self.encoder.model.parameters()}
            self._base = {name: p for name, p in self._base.items() if id(p) in kept}
        if precision != "float32" and self.encoder is not None:
            halve(self.encoder.model)
        self.precision = precision
        return self

    def auxiliary_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of the mixture's losses of the last forward, and each of them."""
        if self.mixture is None:
            return next(self.parameters()).new_zeros(()), {}
        return self.mixture.auxiliary_loss()

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that training changes."""
        return (p for p in self.parameters() if p.requires_grad)

    def trained_state(self) -> dict[str, Tensor]:
        """Return every tensor that is not the fixed base: adapters, layer mix, back-end, buffers.

        The tensors are the model's own, not copies.
        """
        # What is open is not the base's any more, whether it trains now or not.
        fixed = {
            id(p)
            for name, p in self._base.items()
            if not p.requires_grad and not self._is_open(_MODEL + name)
        }
        skip = {n for n in self._base_buffers if self.keeps_encoder and not self._is_open(n)}
        return {
            name: tensor
            for name, tensor in self.whole_state().items()
            if id(tensor) not in fixed and name not in skip
        }

    def whole_state(self) -> dict[str, Tensor]:
        """Return every tensor of the model, each once; the model's own, not copies."""
        state: dict[str, Tensor] = {}
        seen: set[int] = set()
        for name, tensor in self.state_dict(keep_vars=True).items():
            if id(tensor) not in seen:
                seen.add(id(tensor))
                state[name] = tensor
        return state

    def base_tensors(self) -> dict[str, Tensor]:
        """Return the encoder's own tensors under the names they had before injection.

        Parameters, and the buffers that are saved with them (statistics of batch norms). Without
        those of a feature encoder that is trained.
        """
        buffers = {n: t for n, t in self.whole_state().items() if n in self._base_buffers}
        tensors: dict[str, Tensor] = {**self._base}
        tensors |= {n.removeprefix(_MODEL): t for n, t in buffers.items()}
        return {n: t for n, t in tensors.items() if not self._is_open(_MODEL + n)}

    def _is_open(self, name: str) -> bool:
        return name.startswith(tuple(f"{_MODEL}{part}." for part in self._open))

    def train(self, mode: bool = True) -> Detector:
        """Switch to training or evaluation.

        What is fixed stays in evaluation (no dropout, no batch statistics): in a fixed encoder the
        adapters that train alone, a back-end without a parameter that does, and branches.
        """
        super().train(mode)
        if not mode:
            return self
        if not any(parameter.requires_grad for parameter in self.backend.parameters()):
            self.backend.eval()
        self.branches.eval()
        if self.keeps_encoder and self.encoder is not None:
            self.encoder.model.eval()
            for part in self._open:
                module = self.encoder.model.get_submodule(part)
                # Not where an expert is grown: its statistics would follow the new clips.
                module.train(any(parameter.requires_grad for parameter in module.parameters()))
            if self.mixture is not None:
                self.mixture.train()
        return self
