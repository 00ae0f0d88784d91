"""The training loop: one generator, optionally discriminators, resumable to the bit."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from loradar.errors import CheckpointError, ConfigError, LoradarError
from loradar.files import atomic_path
from loradar.training.vocoder.data import SpeechStore
from loradar.training.vocoder.discriminators import Discriminators
from loradar.training.vocoder.losses import (
    SpectralLoss,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)
from loradar.training.vocoder.recipe import VocoderRecipe
from loradar.vocoders.neural.base import NeuralVocoder
from loradar.vocoders.neural.config import build_vocoder

RESUME = "resume.pt"
_BETAS = (0.8, 0.99)
# What a resumed run may change: how long it goes on and how often it reports.
_FREE = {"minutes", "checkpoint_minutes", "evaluate_every", "log_every"}


class VocoderTrainer:
    """The state of a run, and how one step changes it.

    Everything random is drawn from the recipe's seed and the step's number, or from torch's
    generator, whose state is part of a checkpoint: a resumed run equals one never stopped.

    Parameters
    ----------
    recipe : VocoderRecipe
        The run.
    speech : SpeechStore
        Training clips.
    device : torch.device
        Where the models live.
    """

    def __init__(self, recipe: VocoderRecipe, speech: SpeechStore, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.speech, self.device = recipe, speech, device
        self.model = build_vocoder(recipe.model).to(device)
        self.mean_model = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.spectral = SpectralLoss().to(device)
        settings = recipe.training
        self.optimiser = _adam(self.model, settings.learning_rate)
        self.judges: Discriminators | None = None
        if settings.adversarial_after is not None:
            self.judges = Discriminators().to(device)
            self.judges_optimiser = _adam(self.judges, settings.discriminator_rate)
        self.step = 0
        self.seconds = 0.0
        self.segment = recipe.data.segment // self.model.hop * self.model.hop
        if self.segment == 0:
            raise ConfigError(
                f"data.segment: {recipe.data.segment} samples, less than the model's frame of "
                f"{self.model.hop}"
            )

    def start_from(self, model: NeuralVocoder) -> None:
        """Take over another model's weights; ConfigError when it is built otherwise."""
        if model.config != self.model.config:
            raise ConfigError("--start: those weights are of another model than the recipe's")
        self.model.load_state_dict(model.state_dict())
        self.mean_model.load_state_dict(model.state_dict())

    def train_step(self) -> dict[str, float]:
        """Take one step; return its losses and the norm of the generator's gradient."""
        began = time.monotonic()
        settings = self.recipe.training
        self.model.train()
        real = self.speech.batch(self.recipe.seed, self.step, settings.batch_size, self.segment)
        real = real.to(self.device)
        with self._autocast():
            output = self.model.training_output(real)
        losses = dict(output.losses)
        if output.waveform is not None:
            made = output.waveform.float()
            for name, loss in self.spectral(made, real).items():
                losses[name] = settings.spectral_weight * loss
            losses |= self._against_judges(made, real)
        report = {name: float(loss.detach()) for name, loss in losses.items()}
        own = [loss for name, loss in losses.items() if name != "judges"]
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(own).sum())
        report["norm"] = self._update(self.optimiser, self.model, settings.learning_rate, 0)
        self._follow()
        self.step += 1
        self.seconds += time.monotonic() - began
        return report

    def _against_judges(self, made: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Train the discriminators a step, then let them judge: losses of the generator."""
        settings = self.recipe.training
        start = settings.adversarial_after
        if self.judges is None or start is None or self.step < start:
            return {}
        with self._autocast():
            theirs, ours = self.judges(real), self.judges(made.detach())
        loss = discriminator_loss(theirs, ours)
        self.judges_optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._update(self.judges_optimiser, self.judges, settings.discriminator_rate, start)
        self.judges.requires_grad_(False)
        with self._autocast():
            with torch.no_grad():
                theirs = self.judges(real)
            ours = self.judges(made)
        self.judges.requires_grad_(True)
        return {
            "judges": loss.detach(),
            "adversarial": settings.adversarial_weight * adversarial_loss(ours),
            "features": settings.feature_weight * feature_loss(theirs, ours),
        }

    def _update(
        self, optimiser: torch.optim.Optimizer, model: nn.Module, peak: float, start: int
    ) -> float:
        settings = self.recipe.training
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm))
        if not math.isfinite(norm):
            raise LoradarError(
                f"training diverged at step {self.step}: the gradient is not finite; lower "
                "training.learning_rate and start again"
            )
        for group in optimiser.param_groups:
            group["lr"] = peak * schedule(
                self.step - start, settings.steps - start, settings.warmup
            )
        optimiser.step()
        return norm

    @torch.no_grad()
    def _follow(self) -> None:
        # Early weights are poor: the mean forgets them quickly, then ever more slowly.
        decay = min(self.recipe.training.ema, (1 + self.step) / (10 + self.step))
        for mean, weight in zip(self.mean_model.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(weight, 1 - decay)
        for kept, buffer in zip(self.mean_model.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.training.bf16)

    def save(self, folder: Path) -> None:
        """Write everything a bit-exact resume needs."""
        state: dict[str, Any] = {
            "recipe": self.recipe.model_dump(mode="json"),
            "step": self.step,
            "seconds": self.seconds,
            "random": torch.get_rng_state(),
            "model": self.model.state_dict(),
            "mean_model": self.mean_model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        if self.judges is not None:
            state["judges"] = self.judges.state_dict()
            state["judges_optimiser"] = self.judges_optimiser.state_dict()
        with atomic_path(folder / RESUME) as temporary:
            torch.save(state, temporary)

    def resume(self, folder: Path) -> None:
        """Go on from `save`'s file.

        Raises
        ------
        CheckpointError
            There is none, or it cannot be read.
        ConfigError
            It belongs to another recipe.
        """
        path = folder / RESUME
        if not path.is_file():
            raise CheckpointError(f"{path}: nothing to resume; leave --resume out")
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # whatever a damaged archive makes the reader raise
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{path}: cannot be read ({reason}); start again") from None
        changed = _differences(state["recipe"], self.recipe.model_dump(mode="json"))
        if changed:
            raise ConfigError(
                f"{path}: belongs to another recipe ({', '.join(changed)}); only the minutes and "
                "how often to report may change"
            )
        self.model.load_state_dict(state["model"])
        self.mean_model.load_state_dict(state["mean_model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.judges is not None:
            self.judges.load_state_dict(state["judges"])
            self.judges_optimiser.load_state_dict(state["judges_optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        torch.set_rng_state(state["random"].cpu())


def schedule(step: int, steps: int, warmup: int) -> float:
    """Return the share of the peak rate: a linear rise, then a cosine fall to a hundredth.

    Examples
    --------
    >>> [round(schedule(step, 1000, 100), 2) for step in (0, 99, 550, 1000)]
    [0.01, 1.0, 0.51, 0.01]
    """
    rise = min(1.0, (step + 1) / max(warmup, 1))
    through = min(max(step - warmup, 0) / max(steps - warmup, 1), 1.0)
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * through)))


def _adam(model: nn.Module, rate: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=rate, betas=_BETAS, weight_decay=0.01)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], under: str = "") -> list[str]:
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f"{under}{key}.")
        elif a != b and not (under == "training." and key in _FREE):
            found.append(f"{under}{key}")
    return found
