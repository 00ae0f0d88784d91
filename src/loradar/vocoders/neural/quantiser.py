"""Residual vector quantisation: each codebook codes what those before it left over."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Moving averages of the codebooks keep so much a step.
DECAY = 0.98
#: A code chosen less often than this a step (moving average) is placed anew.
DEAD = 0.2


class ResidualQuantiser(nn.Module):
    """Codebooks in a row, learned as moving averages of the vectors that chose them.

    SoundStream (Zeghidour et al. 2021, arXiv 2107.03312, section III-C): straight-through
    gradients, commitment loss, random vectors of the batch in place of codes nobody chooses. The
    codebooks are buffers, so that no optimiser touches them.

    Parameters
    ----------
    codebooks, size, width : int
        Codebooks in a row, codes in each, elements of a code.
    """

    def __init__(self, codebooks: int, size: int, width: int) -> None:
        super().__init__()
        self.codebooks = codebooks
        self.register_buffer("codes", torch.zeros(codebooks, size, width))
        self.register_buffer("sums", torch.zeros(codebooks, size, width))
        # All are dead at first: the first batch places them.
        self.register_buffer("counts", torch.zeros(codebooks, size))

    def forward(self, vectors: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
        """Quantise, and in training mode learn the codebooks.

        Parameters
        ----------
        vectors : Tensor, [B, N, width]
            What to quantise.
        used : Tensor of int, [B]
            Codebooks that each row may use, 1 to ``codebooks``.

        Returns
        -------
        quantised : Tensor, [B, N, width]
            The sum of the codes; its gradient goes to ``vectors`` as it is.
        commitment : Tensor, []
            Mean squared distance of every stage's input from its code, over the codebooks used.
        """
        rest = vectors
        quantised = torch.zeros_like(vectors)
        commitment = vectors.new_zeros(())
        for stage in range(self.codebooks):
            active = used > stage
            if not active.any():
                break
            chosen = self._look_up(stage, rest.detach(), active)
            commitment = commitment + F.mse_loss(rest[active], chosen[active])
            chosen = chosen * active[:, None, None]
            quantised = quantised + chosen
            rest = rest - chosen
        return vectors + (quantised - vectors).detach(), commitment / self.codebooks

    def encode(self, vectors: Tensor, count: int) -> Tensor:
        """Return the codes' numbers [count, B, N] of vectors [B, N, width]."""
        numbers, rest = [], vectors
        for stage in range(count):
            numbers.append(self._nearest(stage, rest))
            rest = rest - F.embedding(numbers[-1], self.get_buffer("codes")[stage])
        return torch.stack(numbers)

    def decode(self, numbers: Tensor) -> Tensor:
        """Return the vectors [B, N, width] that numbers [count, B, N] stand for."""
        codes = self.get_buffer("codes")
        return torch.stack([F.embedding(n, codes[i]) for i, n in enumerate(numbers)]).sum(0)

    def _nearest(self, stage: int, vectors: Tensor) -> Tensor:
        codes = self.get_buffer("codes")[stage]
        # ||v||^2 is the same for every code, so it does not choose.
        return (codes.square().sum(-1) - 2 * (vectors @ codes.T)).argmin(-1)

    @torch.no_grad()
    def _look_up(self, stage: int, vectors: Tensor, active: Tensor) -> Tensor:
        """Return each vector's code [B, N, width]; in training move the codebook afterwards."""
        if self.training and not self.get_buffer("counts")[stage].any():
            self._revive(stage, vectors[active].flatten(0, 1))
        numbers = self._nearest(stage, vectors)
        chosen = F.embedding(numbers, self.get_buffer("codes")[stage])
        if self.training:
            self._move(stage, vectors[active].flatten(0, 1), numbers[active].flatten())
        return chosen

    def _move(self, stage: int, vectors: Tensor, numbers: Tensor) -> None:
        """Update one codebook from the vectors [M, width] and the codes [M] they chose."""
        counts, sums = self.get_buffer("counts")[stage], self.get_buffer("sums")[stage]
        new = torch.bincount(numbers, minlength=counts.numel()).to(counts.dtype)
        counts.lerp_(new, 1 - DECAY)
        sums.lerp_(torch.zeros_like(sums).index_add_(0, numbers, vectors), 1 - DECAY)
        self.get_buffer("codes")[stage] = sums / counts.clamp_min(1e-6)[:, None]
        self._revive(stage, vectors)

    def _revive(self, stage: int, vectors: Tensor) -> None:
        """Put random vectors [M, width] of the batch in place of dead codes."""
        counts = self.get_buffer("counts")[stage]
        dead = (counts < DEAD).nonzero().flatten()
        if dead.numel() == 0:
            return
        # Torch's own generator, which the trainer seeds and saves.
        picks = vectors[torch.randint(len(vectors), (dead.numel(),))]
        self.get_buffer("codes")[stage, dead] = picks
        # As if chosen once a step, so that it has time to gather vectors of its own.
        counts[dead] = 1.0
        self.get_buffer("sums")[stage, dead] = picks
