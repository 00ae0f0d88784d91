"""The residual block of the spectrogram CNN and of the spectral encoder's stem."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.fused import conv_norm


class Residual(nn.Module):
    """Two 3x3 convolutions with pre-activation (He et al. 2016, arXiv 1603.05027).

    Parameters
    ----------
    before, after : int
        Channels.
    stride : int or (int, int)
        Of the first convolution, over frequency and time.
    """

    def __init__(self, before: int, after: int, stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.strides = (stride, stride) if isinstance(stride, int) else stride
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.shortcut = (
            nn.Conv2d(before, after, 1, bias=False)
            if before != after or self.strides != (1, 1)
            else None
        )

    def forward(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map [B, before, F, T] to [B, after, F', T'].

        ``mask`` [B, 1, 1, T] is 1 on valid places and 0 on padding, for strides that keep T: the
        convolutions then see there the zeros that they see beyond the end of a clip.
        """
        active = F.relu(self.norm1(maps), inplace=True)
        skip = maps
        if self.shortcut is not None:
            # Thinned first: torch 2.13's backward of a strided 1x1 convolution writes beyond its
            # memory for channels-last maps of few channels on two threads or more (AVX-512).
            skip = self.shortcut(active[..., :: self.strides[0], :: self.strides[1]])
        # In place wherever the tensor is fresh: on a processor half of the time goes into memory.
        inner = conv_norm(self.conv1, self.norm2, active if mask is None else active * mask)
        inner = F.relu(inner, inplace=True)
        return self.conv2(inner if mask is None else inner * mask).add_(skip)  # type: ignore[no-any-return]
