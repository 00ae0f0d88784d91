"""A route for adapters through WavLM.

WavLM's attention hands its projections' weights to ``F.multi_head_attention_forward`` and never
calls the projections themselves, so whatever wraps them is bypassed. `call_projections_as_modules`
replaces that inner step by an equal one that calls them. Injection's self-test proves the change.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.wavlm.modeling_wavlm import WavLMAttention


class ProjectedWavLMAttention(WavLMAttention):  # type: ignore[misc]
    """WavLM's attention with ``q_proj``, ``k_proj``, ``v_proj``, ``out_proj`` called as modules."""

    def torch_multi_head_self_attention(
        self, hidden_states: Tensor, attention_mask: Tensor | None, gated_position_bias: Tensor
    ) -> tuple[Tensor, None]:
        """Attend within each clip.

        Parameters
        ----------
        hidden_states : Tensor
            [B, T, D].
        attention_mask : Tensor or None
            [B, T], true on valid frames.
        gated_position_bias : Tensor
            [B * heads, T, T], added to the scores.

        Returns
        -------
        tuple
            [B, T, D], and None in place of the attention weights.
        """
        batch, frames, _ = hidden_states.shape
        shape = (batch, frames, self.num_heads, self.head_dim)
        query, key, value = (
            project(hidden_states).view(shape).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        bias = gated_position_bias.view(batch, self.num_heads, frames, frames).to(query.dtype)
        if attention_mask is not None:
            padding = ~attention_mask.bool()[:, None, None, :]
            bias = bias.masked_fill(padding, torch.finfo(bias.dtype).min)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), None


def call_projections_as_modules(model: nn.Module) -> None:
    """Let every WavLM attention of ``model`` call its projections, in place; weights stay."""
    for module in model.modules():
        if type(module) is WavLMAttention:
            module.__class__ = ProjectedWavLMAttention
