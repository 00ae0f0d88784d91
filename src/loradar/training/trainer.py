"""The Hugging Face `Trainer`, fitted to detectors: loss, optimiser groups, small checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import EvalPrediction, Trainer, TrainingArguments

from loradar.detector.model import BONAFIDE, SPOOF, Detector
from loradar.errors import CheckpointError, LoradarError
from loradar.evaluation.det import eer
from loradar.training.recipe import Recipe

WEIGHTS = "model.safetensors"


class _Task(nn.Module):
    """The detector as the Trainer sees it: it would write into a model's own ``config``."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, waveforms: Tensor) -> Tensor:
        return cast(Tensor, self.detector(waveforms))


class DetectorTrainer(Trainer):  # type: ignore[misc]
    """Trains a `Detector` by weighted cross-entropy plus the mixture's auxiliary losses.

    Parameters
    ----------
    detector : Detector
        The model.
    recipe : Recipe
        Learning rates, label smoothing.
    class_weights : Tensor, optional
        [2] weights of (spoof, bona fide).
    **kwargs
        Passed on to `transformers.Trainer`.
    """

    def __init__(
        self,
        detector: Detector,
        recipe: Recipe,
        *,
        class_weights: Tensor | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model=_Task(detector), compute_metrics=dev_metrics, **kwargs)
        self.detector = detector
        self.recipe = recipe
        self.class_weights = class_weights
        self._terms: dict[str, list[Tensor]] = {}

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the loss (and, when asked, the logits [B, 2])."""
        logits = model(inputs["waveforms"])
        weights = self.class_weights
        loss = F.cross_entropy(
            logits.float(),
            inputs["labels"],
            weight=None if weights is None else weights.to(logits.device),
            label_smoothing=self.recipe.training.label_smoothing if model.training else 0.0,
        )
        if model.training:
            extra, terms = self.detector.auxiliary_loss()
            self._note("cross_entropy", loss)
            for name, value in terms.items():
                self._note(name, value)
            loss = loss + extra
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def _note(self, name: str, value: Tensor) -> None:
        self._terms.setdefault(name, []).append(value.detach())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the mean of each loss term since the last line."""
        if "loss" in logs and self._terms:
            means = {name: float(torch.stack(v).mean()) for name, v in self._terms.items()}
            logs = {**logs, **{f"loss_{name}": mean for name, mean in means.items()}}
            self._terms = {}
        super().log(logs, start_time)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with no decay on biases and norms, and the back-end's own learning rate."""
        if getattr(self, "optimizer", None) is None:
            training = self.recipe.training
            base = training.learning_rate
            head = training.backend_learning_rate or base
            groups: dict[tuple[float, float], list[nn.Parameter]] = {}
            for name, parameter in self.detector.named_parameters():
                if not parameter.requires_grad:
                    continue
                rate = base if name.startswith("encoder.model.") else head
                decay = training.weight_decay if parameter.ndim > 1 else 0.0
                groups.setdefault((rate, decay), []).append(parameter)
            self.optimizer = torch.optim.AdamW(
                [
                    {"params": members, "lr": rate, "weight_decay": decay}
                    for (rate, decay), members in groups.items()
                ],
                lr=base,
            )
        return cast(torch.optim.Optimizer, self.optimizer)

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        # The dataset is already the stream of draws in order.
        return SequentialSampler(self.train_dataset)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_trained(self.detector), folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        restore(self.detector, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        # By step: the stored path is relative to the folder the run was started from.
        checkpoint = f"checkpoint-{self.state.best_global_step}"
        restore(self.detector, Path(self.args.output_dir) / checkpoint)


def _trained(detector: Detector) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in detector.trained_state().items()}


def restore(detector: Detector, checkpoint: Path) -> None:
    """Load the trained tensors of a trainer checkpoint into ``detector``.

    Raises
    ------
    CheckpointError
        The file is missing, or its tensors are not those that this recipe trains.
    """
    path = checkpoint / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{checkpoint}: no {WEIGHTS} in this checkpoint")
    tensors = load_file(path)
    expected = detector.trained_state()
    if tensors.keys() != expected.keys() or any(
        tensors[k].shape != v.shape for k, v in expected.items()
    ):
        raise CheckpointError(
            f"{path}: its tensors are not those of this recipe; resume with the recipe that made it"
        )
    with torch.no_grad():
        for key, value in expected.items():
            value.copy_(tensors[key])


def dev_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Return EER (fraction) and the cross-entropy (nats, mean of the two classes' means).

    Raises
    ------
    LoradarError
        A score is not finite.
    """
    logits = np.asarray(prediction.predictions, dtype=np.float64)
    labels = np.asarray(prediction.label_ids)
    if not np.isfinite(logits).all():
        raise LoradarError(
            "training diverged: the model gives no finite scores on dev clips; "
            "lower training.learning_rate, or train in fp32"
        )
    scores = logits[:, BONAFIDE] - logits[:, SPOOF]
    bonafide, spoof = scores[labels == 1], scores[labels == 0]
    cost = (np.logaddexp(0, -bonafide).mean() + np.logaddexp(0, spoof).mean()) / 2
    return {"eer": float(eer(bonafide, spoof)), "cross_entropy": float(cost)}


def arguments(recipe: Recipe, *, folder: Path, steps: int, evaluates: bool) -> TrainingArguments:
    """Translate a recipe's ``training`` section into `transformers.TrainingArguments`.

    Parameters
    ----------
    recipe : Recipe
        The run.
    folder : Path
        Where the trainer keeps its checkpoints and TensorBoard events.
    steps : int
        Optimiser steps of the whole run.
    evaluates : bool
        Whether there is a dev set with both classes.

    Returns
    -------
    TrainingArguments
    """
    training = recipe.training
    every = min(steps, training.evaluate_every or max(1, steps // 10))
    chooses = evaluates and training.best_metric != "last"
    schedule = {"constant": "constant_with_warmup"}.get(training.schedule, training.schedule)
    translated = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=recipe.evaluation.batch_size,
        gradient_accumulation_steps=training.accumulate,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        lr_scheduler_type=schedule,
        warmup_steps=round(training.warmup * steps),
        max_grad_norm=training.max_gradient_norm,
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
        dataloader_num_workers=recipe.data.workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        label_names=["labels"],
        seed=recipe.seed,
        data_seed=recipe.seed,
    )
    # One GPU a process (torchrun gives several): DataParallel's copies would lose the mixture's
    # routings.
    translated._n_gpu = min(translated.n_gpu, 1)
    return translated
