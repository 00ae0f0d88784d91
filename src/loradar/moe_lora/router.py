"""The router: which experts work at each position, and how much."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.errors import InputError
from loradar.moe_lora.config import MoeLoraConfig


@dataclass(frozen=True)
class Routing:
    """What a router decided for one batch. P is ``[B, T]`` (frame) or ``[B]`` (utterance).

    Attributes
    ----------
    logits : Tensor
        ``[*P, E]``, float32 at least, without noise and temperature.
    scores : Tensor
        ``[*P, E]``: the logits with noise and temperature, of which the softmax is taken.
    selected : Tensor
        ``[*P, E]`` bool: the k experts chosen at each position.
    gates : Tensor
        ``[*P, E]``: weights of the experts, 0 where not selected.
    config : MoeLoraConfig
        The router's settings.
    valid : Tensor or None
        ``[*P]`` bool: positions that count in losses and statistics; None means all.
    """

    logits: Tensor
    scores: Tensor
    selected: Tensor
    gates: Tensor
    config: MoeLoraConfig
    valid: Tensor | None

    @property
    def probabilities(self) -> Tensor:
        """``[*P, E]``: softmax over all experts.

        Not cached: statistics ask for it without gradients, losses with them.
        """
        return self.scores.softmax(-1)

    def clip_gates(self) -> Tensor:
        """Return the mean gates of each clip over its valid frames, ``[B, E]``, detached.

        Zeros for a clip without any. Frames without a batch axis are one clip.
        """
        return clip_means(self.gates, self.valid, self.config.granularity)

    def assigned(self, numbers: Tensor | None) -> Routing:
        """Return the routing with one expert a clip, as told, at gate 1.

        Parameters
        ----------
        numbers : Tensor or None
            ``[B]`` int; counted on from 0 again where there are fewer experts. None: as it is.

        Raises
        ------
        InputError
            When there is not one number for each clip.
        """
        if numbers is None:
            return self
        if numbers.shape != self.logits.shape[:1]:
            raise InputError(
                f"{list(numbers.shape)} experts are assigned where the router sees clips of shape "
                f"{list(self.logits.shape[:1])}; give one number for each clip"
            )
        one = F.one_hot(numbers % self.logits.shape[-1], self.logits.shape[-1]).bool()
        if self.logits.ndim == 3:
            one = one.unsqueeze(1)
        one = one.expand_as(self.logits)
        return replace(self, selected=one, gates=one.to(self.gates.dtype))


class Router(nn.Module):
    """Linear router with a softmax over the k largest logits.

    Logits and softmax are float32 whatever the model's type is (float64 for float64 input): in
    bfloat16 two experts whose logits differ by less than 1 % would tie.

    Parameters
    ----------
    features : int
        Size of the input's last axis.
    config : MoeLoraConfig
        ``experts``, ``top_k``, ``granularity``, ``temperature``, ``noise``, ``renormalise`` and
        ``cue_size`` are used.
    device, dtype : optional
        Of the weight.

    Attributes
    ----------
    weight : nn.Parameter
        ``[E, features]``, uniform within ``1 / sqrt(features)`` at the start.
    cue_weight : nn.Parameter or None
        ``[E, cue_size]``, zero at the start.
    """

    def __init__(
        self,
        features: int,
        config: MoeLoraConfig,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(
            torch.empty(config.experts, features, device=device, dtype=dtype)
        )
        self.cue_weight: nn.Parameter | None = None
        if config.cue_size:
            self.cue_weight = nn.Parameter(self.weight.new_empty(config.experts, config.cue_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight anew; that of the cue is zero."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        nn.init.uniform_(self.weight, -bound, bound)
        if self.cue_weight is not None:
            nn.init.zeros_(self.cue_weight)

    @property
    def rows(self) -> Tensor:
        """``weight``, without a gradient for the rows of frozen experts."""
        return held(self.weight, self.config, dim=0)

    def extra_repr(self) -> str:
        """Describe the router for ``print(model)``."""
        experts, features = self.weight.shape
        return f"{features} -> {experts}, top {self.config.top_k}, {self.config.granularity}"

    def forward(
        self, inputs: Tensor, mask: Tensor | None = None, cue: Tensor | None = None
    ) -> Routing:
        """Route a batch.

        Parameters
        ----------
        inputs : Tensor
            ``[B, T, features]``; for frame routing any ``[..., features]``.
        mask : Tensor, optional
            ``[B, T]`` bool, True at valid frames. The others never vote in utterance means.
        cue : Tensor, optional
            ``[B, cue_size]``; see `route`.

        Returns
        -------
        Routing

        Raises
        ------
        InputError
            When ``mask`` does not have the shape of the input's frames, or utterance routing gets
            an input without a time axis.
        """
        return self.route(self.logits(inputs), mask, cue)

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the logits of each frame, ``[..., E]``, in float32 at least."""
        dtype = torch.promote_types(inputs.dtype, torch.float32)
        with torch.autocast(inputs.device.type, enabled=False):
            return F.linear(inputs.to(dtype), self.rows.to(dtype))

    def route(
        self, logits: Tensor, mask: Tensor | None = None, cue: Tensor | None = None
    ) -> Routing:
        """Choose experts by the logits of each frame; see `forward`.

        Parameters
        ----------
        logits : Tensor
            ``[B, T, E]`` (frame routing: any ``[..., E]``), from `logits`.
        mask : Tensor, optional
            ``[B, T]`` bool.
        cue : Tensor, optional
            ``[B, cue_size]``, heard in all frames of a clip; without one, or where ``cue_size`` is
            0, the hidden state decides alone.

        Raises
        ------
        InputError
            When ``cue`` is not one row of ``cue_size`` numbers for each clip.
        """
        config = self.config
        if cue is not None and self.cue_weight is not None:
            logits = logits + self._heard(cue, logits)
        mask = checked_mask(mask, logits)
        if config.granularity == "utterance":
            logits, mask = pool(logits, mask)
        scores = logits
        if config.noise and self.training:
            scores = scores + config.noise * torch.randn_like(scores)
        if config.temperature != 1:
            scores = scores / config.temperature
        # topk and not a threshold: among equal logits exactly k are chosen.
        chosen = scores.detach().topk(config.top_k, sorted=False).indices
        selected = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, chosen, 1)
        if config.renormalises:
            # The softmax over the chosen logits is the full softmax divided by its chosen part.
            gates = scores.masked_fill(~selected, -torch.inf).softmax(-1)
        else:
            gates = scores.softmax(-1) * selected
        return Routing(logits, scores, selected, gates, config, mask)

    def _heard(self, cue: Tensor, logits: Tensor) -> Tensor:
        """Return what the cue adds to logits ``[B, T, E]``: ``[B, 1, E]``."""
        assert self.cue_weight is not None
        wanted = [logits.shape[0], self.cue_weight.shape[1]]
        if logits.ndim != 3 or list(cue.shape) != wanted:
            raise InputError(
                f"the cue has shape {list(cue.shape)} where frames of shape "
                f"{list(logits.shape[:-1])} need {wanted}"
            )
        rows = held(self.cue_weight, self.config, dim=0)
        with torch.autocast(cue.device.type, enabled=False):
            return F.linear(cue.to(logits.dtype), rows.to(logits.dtype)).unsqueeze(1)


def held(stacked: Tensor, config: MoeLoraConfig, dim: int) -> Tensor:
    """Return what is stacked by expert along ``dim``, without a gradient for the frozen ones."""
    frozen = [number for number in config.frozen if number < config.experts]
    if not frozen or not stacked.requires_grad:
        return stacked
    parts = stacked.chunk(config.experts, dim)
    return torch.cat([p.detach() if e in frozen else p for e, p in enumerate(parts)], dim)


def part(stacked: nn.Parameter, config: MoeLoraConfig, stay: list[int], dim: int) -> nn.Parameter:
    """Return a new parameter of the experts that stay, of what is stacked along ``dim``."""
    parts = stacked.detach().chunk(config.experts, dim)
    kept = torch.cat([parts[number] for number in stay], dim)
    return nn.Parameter(kept, requires_grad=stacked.requires_grad)


def clip_means(values: Tensor, valid: Tensor | None, granularity: str) -> Tensor:
    """Return the mean of ``[*P, n]`` over each clip's valid frames, ``[B, n]``, detached.

    Zeros for a clip without any. Frames without a batch axis are one clip.
    """
    values = values.detach()
    if valid is not None:
        values = values.masked_fill(~valid.unsqueeze(-1), 0)
    if granularity == "utterance":
        return values
    if values.ndim < 3:
        values = values.reshape(1, -1, values.shape[-1])
        valid = None if valid is None else valid.reshape(1, -1)
    if valid is None:
        return values.mean(1)
    return values.sum(1) / valid.sum(1, keepdim=True).clamp(min=1)


def checked_mask(mask: Tensor | None, logits: Tensor) -> Tensor | None:
    """Return ``mask`` as bool where ``logits`` are.

    Raises
    ------
    InputError
        When it does not have the shape of the frames.
    """
    if mask is None:
        return None
    if mask.shape != logits.shape[:-1]:
        raise InputError(
            f"the frame mask has shape {list(mask.shape)} but the router sees frames of shape "
            f"{list(logits.shape[:-1])}; give one value for each frame of the encoder"
        )
    return mask.to(device=logits.device, dtype=torch.bool)


def pool(logits: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Average ``[B, T, E]`` over valid frames: ``[B, E]``, and which clips have any, ``[B]``.

    The router is linear, so this equals the logits of the mean frame.
    """
    if logits.ndim != 3:
        raise InputError(
            f"utterance routing needs input of shape [batch, time, features], not "
            f"{logits.ndim} axes"
        )
    if mask is None:
        return logits.mean(1), None
    # Filled and not multiplied by 0: padding may hold NaN.
    total = logits.masked_fill(~mask.unsqueeze(-1), 0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp(min=1), mask.any(1)
