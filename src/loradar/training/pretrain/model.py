"""An encoder with the heads that pre-train it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.config import FrontEndConfig
from loradar.detector.front_end import FrontEnd
from loradar.detector.waveform_encoder import StackEncoder
from loradar.training.pretrain.masking import masked_input, span_mask
from loradar.training.pretrain.quantiser import SpectrumTargets
from loradar.training.pretrain.recipe import ArtifactObjective, MaskedObjective, ObjectiveConfig

SAMPLE_RATE = 16_000
_ENCODER = "encoder.model."


class MaskedHead(nn.Module):
    """Predicts the codes of masked frames.

    Parameters
    ----------
    encoder : StackEncoder
        Whose frames.
    config : MaskedObjective
        Shares and sizes.
    seed : int
        Of the quantiser.
    """

    def __init__(self, encoder: StackEncoder, config: MaskedObjective, seed: int) -> None:
        super().__init__()
        self.config = config
        self.targets = SpectrumTargets(
            encoder.hop,
            codes=config.codes,
            code_size=config.code_size,
            codebooks=config.codebooks,
            seed=seed,
        )
        self.span = max(1, round(config.span_seconds * SAMPLE_RATE / encoder.hop))
        self.vector = nn.Parameter(0.1 * torch.randn(encoder.width))
        self.norm = nn.LayerNorm(encoder.width)
        self.output = nn.Linear(encoder.width, config.codebooks * config.codes)

    def mask(self, batch: int, frames: int) -> Tensor:
        """Draw a mask [B, T]; always the same one in evaluation."""
        generator = None if self.training else torch.Generator().manual_seed(0)
        return span_mask(
            batch, frames, share=self.config.share, span=self.span, generator=generator
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames [M, D] to logits [M, codebooks, codes]."""
        logits = self.output(self.norm(frames))
        return logits.unflatten(1, (self.config.codebooks, self.config.codes))  # type: ignore[no-any-return]


class ArtifactHead(nn.Module):
    """Pools a clip and says which attack made it, and whether any did.

    Parameters
    ----------
    width : int
        Features of a frame.
    attacks : int
        How many there are to tell apart, "none" not counted.
    config : ArtifactObjective
        The kind of pooling.
    """

    def __init__(self, width: int, attacks: int, config: ArtifactObjective) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1) if config.pooling == "attentive" else None
        self.attack = nn.Linear(width, attacks + 1)
        self.real = nn.Linear(width, 2)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features [B, T, D] to logits of attack [B, attacks + 1] and real-or-not [B, 2]."""
        if self.score is None:
            pooled = features.mean(dim=1)
        else:
            pooled = (self.score(features).softmax(dim=1) * features).sum(dim=1)
        return self.attack(pooled), self.real(pooled)


class PretrainModel(nn.Module):
    """Front end, encoder and heads.

    Parameters
    ----------
    encoder : StackEncoder
        With a learned mix of its layers.
    front_end : FrontEndConfig
        Filter and normalisation of the waveform.
    objective : ObjectiveConfig
        Which heads there are.
    attacks : int
        Attacks to tell apart.
    seed : int
        Of the quantiser.
    """

    def __init__(
        self,
        encoder: StackEncoder,
        front_end: FrontEndConfig,
        objective: ObjectiveConfig,
        *,
        attacks: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.front_end = FrontEnd(front_end)
        self.encoder = encoder
        masked, artifact = objective.masked, objective.artifact
        self.masked = None if masked is None else MaskedHead(encoder, masked, seed)
        self.artifact = None if artifact is None else ArtifactHead(encoder.width, attacks, artifact)

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Predict.

        In training one pass serves both objectives; in evaluation the artifact head hears the
        clip unmasked.

        Parameters
        ----------
        waveforms : Tensor
            [B, S] at 16 kHz.

        Returns
        -------
        dict
            With masks: ``mask`` [B, T], ``codes`` [M, codebooks] of the masked frames in the
            order of the mask, and their ``guesses`` [M, codebooks, codes]. With artifacts:
            ``attack`` [B, attacks + 1] and ``real`` [B, 2].
        """
        waveforms = self.front_end(waveforms)
        found: dict[str, Tensor] = {}
        layers: list[Tensor] | None = None
        if self.masked is not None:
            frames = self.encoder.frames(waveforms.shape[1])
            mask = self.masked.mask(len(waveforms), frames).to(waveforms.device)
            with masked_input(self.encoder.model.encoder, mask, self.masked.vector):
                layers = self.encoder.layers(waveforms, None)
            found["mask"] = mask
            found["codes"] = self.masked.targets(waveforms, frames)[mask]
            found["guesses"] = self.masked(layers[-1][mask])
        if self.artifact is not None:
            if layers is None or not self.training:
                layers = self.encoder.layers(waveforms, None)
            assert self.encoder.mix is not None
            found["attack"], found["real"] = self.artifact(self.encoder.mix(layers))
        return found

    def head_state(self) -> dict[str, Tensor]:
        """Return every tensor that is not the encoder's own."""
        return {n: t for n, t in self.state_dict().items() if not n.startswith(_ENCODER)}

    def head_parameters(self) -> set[nn.Parameter]:
        """Return the parameters that are not the encoder's own."""
        return {p for n, p in self.named_parameters() if not n.startswith(_ENCODER)}


def masked_loss(found: dict[str, Tensor]) -> Tensor:
    """Return the cross-entropy of the masked frames' codes, in nats."""
    return F.cross_entropy(found["guesses"].float().flatten(0, 1), found["codes"].flatten())
