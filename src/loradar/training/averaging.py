"""The mean of a run's last weights, in place of the last ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from loradar.errors import CheckpointError

MEANS = "average.safetensors"


class WeightAverage(TrainerCallback):  # type: ignore[misc]
    """Averages the trained tensors over the last steps; at the end the model has the means.

    Flat regions of the loss, where the mean of a path lies, are found to carry over to new domains
    better than its end: Cha et al. 2021, arXiv 2102.08604 (SWAD, here without its search for where
    to begin); Izmailov et al. 2018, arXiv 1803.05407. Batch normalisation's running figures are
    averaged like weights.

    Parameters
    ----------
    tensors : callable
        Returns the tensors by name: the model's own, not copies.
    share : float
        The last share of the steps, above 0 and at most 1.
    """

    def __init__(self, tensors: Callable[[], dict[str, Tensor]], share: float) -> None:
        self.share = share
        self._tensors = tensors
        self._means: dict[str, Tensor] = {}
        self._count = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Go on with what a checkpoint holds.

        Raises
        ------
        CheckpointError
            The checkpoint is behind the first step to average, and holds no means.
        """
        self._count = self._averaged(state, state.global_step)
        if self._count:
            path = _beside(args, state)
            if not path.is_file():
                raise CheckpointError(f"{path}: missing, so the averages cannot go on")
            current = self._floats()
            self._means = {k: v.to(current[k].device) for k, v in load_file(path).items()}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take the weights after a step in."""
        count = self._averaged(state, state.global_step)
        if not count:
            return
        self._count = count
        with torch.no_grad():
            for name, tensor in self._floats().items():
                if count == 1:
                    self._means[name] = tensor.detach().clone()
                else:
                    self._means[name].lerp_(tensor.detach(), 1.0 / count)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Leave the means beside the checkpoint, for a run that is resumed."""
        if self._count and state.is_world_process_zero:
            save_file({k: v.cpu() for k, v in self._means.items()}, _beside(args, state))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Give the model the means."""
        if not self._count:
            return
        with torch.no_grad():
            for name, tensor in self._floats().items():
                tensor.copy_(self._means[name])

    def _averaged(self, state: TrainerState, step: int) -> int:
        """Return how many steps are in the mean after ``step``."""
        steps = int(state.max_steps)
        return max(0, step - round((1.0 - self.share) * steps))

    def _floats(self) -> dict[str, Tensor]:
        return {k: v for k, v in self._tensors().items() if v.is_floating_point()}


def _beside(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / MEANS
