"""The Hugging Face `Trainer`, fitted to streams of draws: small checkpoints, loss terms logged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from loradar.errors import CheckpointError
from loradar.training.readers import reading_processes
from loradar.training.recipe import TrainingConfig
from loradar.training.sections import Workers

WEIGHTS = "model.safetensors"


class StreamTrainer(Trainer):  # type: ignore[misc]
    """Trains on a dataset that is the whole run in order; saves the trained tensors alone.

    Parameters
    ----------
    model : nn.Module
        What is trained.
    tensors : callable
        Returns the tensors to save and restore, by name: the model's own, not copies.
    **kwargs
        Passed on to `transformers.Trainer`.

    Attributes
    ----------
    waits : list of float
        How long each step waited for its clips, s.
    """

    def __init__(
        self, model: nn.Module, tensors: Callable[[], dict[str, Tensor]], **kwargs: Any
    ) -> None:
        super().__init__(model=model, **kwargs)
        # The Diary says what a person needs; the Trainer's own printer would write raw dicts.
        self.remove_callback(PrinterCallback)
        self._tensors = tensors
        self._terms: dict[str, list[Tensor]] = {}
        self.waits: list[float] = []

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Fetch the clips of a step, and measure how long that takes."""
        started = time.perf_counter()
        batches = super().get_batch_samples(*args, **kwargs)
        self.waits.append(time.perf_counter() - started)
        return batches

    def note(self, name: str, value: Tensor) -> None:
        """Keep a term of the loss for the next log line."""
        self._terms.setdefault(name, []).append(value.detach())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the mean of each loss term since the last line."""
        if "loss" in logs and self._terms:
            means = {name: float(torch.stack(v).mean()) for name, v in self._terms.items()}
            logs = {**logs, **{f"loss_{name}": mean for name, mean in means.items()}}
            self._terms = {}
        super().log(logs, start_time)

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        # The dataset is already the stream of draws in order.
        return SequentialSampler(self.train_dataset)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {k: v.detach().cpu().contiguous() for k, v in self._tensors().items()}
        save_file(tensors, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        restore(self._tensors(), Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        # By step: the stored path is relative to the folder the run was started from.
        checkpoint = f"checkpoint-{self.state.best_global_step}"
        restore(self._tensors(), Path(self.args.output_dir) / checkpoint)


def waiting_share(waits: Sequence[float], steps: Sequence[float]) -> float | None:
    """Return the share of training in which the model had no clips to work on.

    Parameters
    ----------
    waits, steps : sequence of float
        Seconds that each step waited and worked. The first of each is left out: readers start then.

    Returns
    -------
    float or None
        Waiting over waiting and work; None where there is one step or none.
    """
    waited, worked = sum(waits[1:]), sum(steps[1:])
    return waited / (waited + worked) if worked > 0 else None


def restore(expected: dict[str, Tensor], checkpoint: Path) -> None:
    """Copy the tensors of a trainer checkpoint into ``expected``.

    Raises
    ------
    CheckpointError
        The file is missing, or its tensors are not those that this recipe trains.
    """
    path = checkpoint / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{checkpoint}: no {WEIGHTS} in this checkpoint")
    tensors = load_file(path)
    if tensors.keys() != expected.keys() or any(
        tensors[k].shape != v.shape for k, v in expected.items()
    ):
        raise CheckpointError(
            f"{path}: its tensors are not those of this recipe; resume with the recipe that made it"
        )
    with torch.no_grad():
        for key, value in expected.items():
            value.copy_(tensors[key])


def adamw(
    parameters: Iterable[tuple[float, nn.Parameter]], training: TrainingConfig
) -> torch.optim.AdamW:
    """Return AdamW over (rate, parameter) pairs, with no decay on biases and norms."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for rate, parameter in parameters:
        if parameter.requires_grad:
            decay = training.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "lr": rate, "weight_decay": decay}
            for (rate, decay), members in groups.items()
        ],
        lr=training.learning_rate,
    )


def steps_of(training: TrainingConfig, clips: int) -> int:
    """Return the optimiser steps of a run over so many training clips."""
    if training.steps is not None:
        return training.steps
    passes = (training.epochs or 1.0) * clips
    return max(1, math.ceil(passes / (training.batch_size * training.accumulate)))


def arguments(
    training: TrainingConfig,
    *,
    folder: Path,
    steps: int,
    evaluates: bool,
    seed: int,
    workers: Workers,
    eval_batch_size: int,
) -> TrainingArguments:
    """Translate a recipe's ``training`` section to `transformers.TrainingArguments`.

    Parameters
    ----------
    training : TrainingConfig
        The section.
    folder : Path
        Where the trainer keeps its checkpoints.
    steps : int
        Optimiser steps of the whole run.
    evaluates : bool
        Whether there is a dev set to measure on.
    seed : int
        The run's.
    workers : int or "auto"
        Processes that read clips, see `reading_processes`.
    eval_batch_size : int
        Clips a forward pass of an evaluation.

    Returns
    -------
    TrainingArguments
    """
    every = min(steps, training.evaluate_every or max(1, steps // 10))
    chooses = evaluates and training.best_metric != "last"
    schedule = {"constant": "constant_with_warmup"}.get(training.schedule, training.schedule)
    translated = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=eval_batch_size,
        gradient_accumulation_steps=training.accumulate,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        lr_scheduler_type=schedule,
        warmup_steps=round(training.warmup * steps),
        max_grad_norm=training.max_gradient_norm,
        # Said outright, or bf16 is refused on a processor.
        use_cpu=not torch.accelerator.is_available(),
        bf16=training.precision == "bf16",
        fp16=training.precision == "fp16",
        eval_strategy="steps" if evaluates else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=chooses,
        metric_for_best_model=f"eval_{training.best_metric}" if chooses else None,
        greater_is_better=False if chooses else None,
        logging_steps=training.log_every,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_num_workers=reading_processes(workers),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        label_names=["labels"],
        seed=seed,
        data_seed=seed,
    )
    # One GPU a process (torchrun gives several): DataParallel's copies would lose the mixture's
    # routings.
    translated._n_gpu = min(translated.n_gpu, 1)
    return translated
