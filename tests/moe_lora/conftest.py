from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """One head of attention over ``[B, T, width]``; T may be padded on the right."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            self.add_module(name, nn.Linear(width, width))

    def forward(self, hidden_states: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key = self.q_proj(hidden_states), self.k_proj(hidden_states)
        scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -1e9)
        return self.out_proj(scores.softmax(-1) @ self.v_proj(hidden_states))


class Encoder(nn.Module):
    """A frozen stack of attention blocks, each called with its input as a keyword."""

    def __init__(self, width: int = 8, blocks: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Attention(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.checkpoint: Callable[..., Tensor] | None = None
        self.requires_grad_(False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            if self.checkpoint is None:
                x = x + layer(hidden_states=self.norm(x), mask=mask)
            else:
                x = x + self.checkpoint(layer, self.norm(x), mask)
        return x


@pytest.fixture
def make_encoder() -> Callable[..., Encoder]:
    torch.manual_seed(0)
    return Encoder


@pytest.fixture
def stir() -> Callable[..., None]:
    """Give adapters of a handle a ``B`` that is not zero."""

    def run(mixture, std: float = 0.3) -> None:
        for adapter in mixture.adapters.values():
            nn.init.normal_(adapter.B, std=std)

    return run
