"""What a person sees of a run: readable lines, and TensorBoard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from loradar.errors import LoradarError

Progress = Callable[[int, int, str], None]
logger = logging.getLogger("loradar.training")

# Name in the logs, what a person reads, and the factor before it.
_DEV_FIGURES = (
    ("eval_eer", "dev EER {:.2f} %", 100),
    ("eval_cross_entropy", "dev cross-entropy {:.4f}", 1),
    ("eval_attack_accuracy", "dev attack accuracy {:.1f} %", 100),
    ("eval_masked_accuracy", "dev masked accuracy {:.1f} %", 100),
)


class Diary(TrainerCallback):  # type: ignore[misc]
    """Writes one readable line a log event, feeds TensorBoard and the progress display.

    Parameters
    ----------
    folder : Path
        Where the TensorBoard events go.
    progress : callable, optional
        Called with (step, steps, what) after each step.

    Raises
    ------
    LoradarError
        The loss is no longer finite.
    """

    def __init__(self, folder: Path, progress: Progress | None = None) -> None:
        self.progress = progress
        self.folder = folder
        self.writer: SummaryWriter | None = None
        self.started = time.monotonic()
        self.first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock, and TensorBoard in the first of several processes."""
        if state.is_world_process_zero:
            self.writer = SummaryWriter(str(self.folder))
        self.started = time.monotonic()
        self.first_step = state.global_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Advance the progress display; have the last step evaluated like the others."""
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps, "training")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Write one line, for instance ``step 40/400  loss 0.612  rate 9.1e-05  0.52 s/step``."""
        logs = logs or {}
        for name, value in logs.items():
            if self.writer is not None and isinstance(value, int | float):
                self.writer.add_scalar(name, value, state.global_step)
        if "loss" in logs and not np.isfinite(logs["loss"]):
            raise LoradarError(
                f"the loss is {logs['loss']} at step {state.global_step}: "
                "lower training.learning_rate, or train in fp32"
            )
        parts = [f"step {state.global_step}/{state.max_steps}"]
        figures = [show.format(by * logs[name]) for name, show, by in _DEV_FIGURES if name in logs]
        if figures:
            parts += figures
        elif "loss" in logs:
            parts.append(f"loss {logs['loss']:.4f}")
            terms = {n.removeprefix("loss_"): v for n, v in logs.items() if n.startswith("loss_")}
            if len(terms) > 1:
                parts += [f"{name} {value:.4f}" for name, value in terms.items()]
            parts.append(f"rate {logs.get('learning_rate', 0.0):.2e}")
            done = max(1, state.global_step - self.first_step)
            parts.append(f"{(time.monotonic() - self.started) / done:.2f} s/step")
        else:
            return
        if state.is_world_process_zero:
            logger.info("  ".join(parts))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()


class StepClock(TrainerCallback):  # type: ignore[misc]
    """Measures optimiser steps: forward, backward and update, without reading clips."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    @property
    def median(self) -> float | None:
        """The median step in s; None before the first."""
        return float(np.median(self.seconds)) if self.seconds else None

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock."""
        self._began = _now()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop the clock."""
        self.seconds.append(_now() - self._began)


def _now() -> float:
    """Return the time once the accelerator has caught up."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
