"""From encoder features to two logits."""

from __future__ import annotations

from torch import Tensor, nn

from loradar.detector.aasist import AasistBackend
from loradar.detector.config import BackendConfig


class LinearBackend(nn.Module):
    """Mean over the valid frames, then one linear layer.

    Parameters
    ----------
    width : int
        Features of the encoder.
    dropout : float
        Before the linear layer.
    """

    supports_padding = True
    minimum_frames = 1

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(width, 2)

    def embed(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map features [B, T, width] and a mask [B, T] of valid frames to means [B, width]."""
        if mask is None:
            return features.mean(dim=1)
        valid = mask.unsqueeze(-1)
        return features.masked_fill(~valid, 0.0).sum(dim=1) / valid.sum(dim=1)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map features [B, T, width] to logits [B, 2]."""
        return self.output(self.drop(self.embed(features, mask)))  # type: ignore[no-any-return]


def build_backend(config: BackendConfig, width: int) -> AasistBackend | LinearBackend:
    """Make the back-end for features of ``width``."""
    options = {} if config.dropout is None else {"dropout": config.dropout}
    if config.name == "aasist":
        return AasistBackend(width, **options)
    return LinearBackend(width, **options)
