"""One training run: from a recipe to a checkpoint folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, set_seed
from transformers.utils import logging as hf_logging

from loradar.corpora.protocols import read_corpus
from loradar.detector.building import build_detector
from loradar.detector.checkpoint import save_detector
from loradar.detector.model import Detector
from loradar.detector.scorer import score_clips
from loradar.errors import ConfigError, LoradarError
from loradar.evaluation import calibration
from loradar.evaluation.det import eer
from loradar.evaluation.metrics import cross_entropy
from loradar.files import write_json, write_text
from loradar.training.averaging import WeightAverage
from loradar.training.callbacks import Diary, StepClock
from loradar.training.card import model_card
from loradar.training.dataset import ClipStore, DevClips, TrainingClips, collate
from loradar.training.domains import DomainClips, domains_of
from loradar.training.draws import DrawPlan, MixedPlan, class_indices, plan_draws
from loradar.training.folder import (
    RECIPE,
    distinct_clips,
    prepare_folder,
    require_apart,
    require_files,
)
from loradar.training.memory import peak_memory_mib
from loradar.training.mldg import MldgTrainer
from loradar.training.provenance import provenance
from loradar.training.recipe import Recipe
from loradar.training.sections import conditions
from loradar.training.shared_draws import SharedDraws, stream_key
from loradar.training.specialists import SpecialistTrainer, check_specialists
from loradar.training.start import draw_seed, start_from
from loradar.training.stream import arguments, steps_of, waiting_share
from loradar.training.trainer import DetectorTrainer

Progress = Callable[[int, int, str], None]
logger = logging.getLogger("loradar.training")
# Waiting for clips that is worth a line of advice: so large a share, and so long.
_MUCH_WAITING, _LONG_WAIT_S = 0.05, 30.0


@dataclass(frozen=True)
class RunResult:
    """What a run ends with.

    Attributes
    ----------
    folder : Path
        The checkpoint folder.
    metrics : dict
        What ``metrics.json`` holds.
    """

    folder: Path
    metrics: dict[str, Any]


def train(
    recipe: Recipe,
    folder: Path | str,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    draws: Path | None = None,
) -> RunResult:
    """Train a detector and write its checkpoint folder.

    Parameters
    ----------
    recipe : Recipe
        The run.
    folder : Path or str
        Where everything goes: ``config.json``, ``model.safetensors``, ``calibration.json``,
        ``recipe.yaml``, ``metrics.json``, ``README.md``, ``tensorboard/`` and ``checkpoints/``.
    resume : bool
        Go on from the newest complete checkpoint in ``folder``. On a CPU the result is bit for
        bit that of an unbroken run.
    progress : callable, optional
        Called with (done, total, what).
    draws : Path, optional
        A folder in which runs that draw the same clips leave augmented ones for each other
        (`loradar.training.shared_draws`). The result is the same.

    Raises
    ------
    InputError
        Clips are missing, a class is empty, the folder already holds a run and ``resume`` is
        off, or it holds none and ``resume`` is on.
    ConfigError
        ``resume`` with another recipe than the folder's, or a recipe that leaves nothing to
        train.
    LoradarError
        The loss or the weights are no longer finite.

    Returns
    -------
    RunResult
    """
    folder = Path(folder)
    checkpoint = prepare_folder(folder, recipe.to_yaml(), resume=resume)
    hf_logging.set_verbosity_error()
    set_seed(recipe.seed)

    manifest = read_corpus(recipe.data.corpus, recipe.data.path)
    dev = manifest.where(conditions(recipe.data.dev))
    parts = [manifest.where(conditions(recipe.data.train))]
    for more in recipe.data.also:
        parts.append(read_corpus(more.corpus, more.path).where(conditions(more.train)))
    training = distinct_clips(parts)
    require_apart(training, dev)
    require_files(training, dev)
    steps = steps_of(recipe.training, len(training.table))
    paths = [path for part in parts for path in part.table["path"]]
    store = ClipStore(paths, preload=recipe.data.preload, progress=progress)
    detector = build_detector(recipe.detector, seed=recipe.seed)
    started_from = start_from(detector, recipe.start) if recipe.start else None
    tables = [part.table for part in parts]
    seed = draw_seed(recipe.seed, started_from)
    plan = plan_draws(tables, recipe.data, seed)
    if not any(True for _ in detector.trained_parameters()):
        raise ConfigError(
            f"adaptation.mode {recipe.adaptation.mode} leaves nothing to train in "
            f"{recipe.encoder.type}: set it to full"
        )
    origin = provenance(recipe, detector)
    dev_labels = class_indices(dev.table, "dev")
    evaluates = len(set(dev_labels.tolist())) == 2
    options = arguments(
        recipe.training,
        folder=folder,
        steps=steps,
        evaluates=evaluates,
        seed=recipe.seed,
        workers=recipe.data.workers,
        eval_batch_size=recipe.evaluation.batch_size,
    )
    per_step = recipe.training.batch_size * recipe.training.accumulate * options.world_size
    length = steps * per_step
    kind, asked = _way(recipe, detector)
    if asked is not None and options.world_size > 1:
        raise ConfigError(f"training.{asked[0]} runs in one process: start it without torchrun")
    given: dict[str, Any] = {
        "window": recipe.data.window,
        "length": length,
        "graft": recipe.data.graft,
        "graft_depth": recipe.data.graft_depth,
        "shared": None if draws is None else _shared(draws, recipe, seed, paths, length),
    }
    clips = TrainingClips(store, plan, recipe.augmentation, **given)
    if asked is not None:
        domains = domains_of(tables, asked[1], f"training.{asked[0]}")
        clips = DomainClips(domains, store, plan, recipe.augmentation, **given)
    dev_store = ClipStore(dev.table["path"], preload=recipe.data.preload, progress=progress)
    dev_clips = DevClips(dev_store, dev_labels, window=recipe.data.window)

    # From here on there is a run to resume.
    write_text(folder / RECIPE, recipe.to_yaml())
    sizes = _sizes(detector)
    logger.info(
        "%s: %d training clips (%d bona fide, %d spoof), %d dev clips, %s of %s parameters train",
        recipe.name,
        plan.clips,
        int(plan.labels.sum()),
        int((1 - plan.labels).sum()),
        len(dev_clips),
        f"{sizes['trained_parameters']:,}",
        f"{sizes['parameters']:,}",
    )
    if not evaluates:
        logger.info("the dev set lacks a class: the last checkpoint is kept, without calibration")
    clock = StepClock()
    callbacks: list[TrainerCallback] = [Diary(folder / "tensorboard", progress), clock]
    if recipe.training.average:
        callbacks.append(WeightAverage(detector.trained_state, recipe.training.average))
    trainer = kind(
        detector,
        recipe,
        class_weights=_class_weights(recipe, plan),
        args=options,
        train_dataset=clips,
        eval_dataset=dev_clips if evaluates else None,
        data_collator=collate,
        callbacks=callbacks,
    )
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.monotonic() - started
    waiting = waiting_share(trainer.waits, clock.seconds)
    if waiting is not None and waiting > _MUCH_WAITING and sum(trainer.waits) > _LONG_WAIT_S:
        logger.info(
            "%.0f %% of the training went by waiting for clips: give data.workers=%d",
            100 * waiting,
            options.dataloader_num_workers + 1,
        )

    metrics: dict[str, Any] = {
        "steps": steps,
        "seconds": round(seconds, 1),
        # What a resumed run spent before is not in its seconds.
        "resumed_from": steps - len(clock.seconds),
        "step_seconds": _rounded(clock.median, 4),
        "waiting_share": _rounded(waiting, 4),
        "peak_memory_mib": _rounded(peak_memory_mib(), 1),
        "best_step": trainer.state.best_global_step or steps,
        **sizes,
        **origin,
        **({} if started_from is None else {"start_sha256": started_from}),
    }
    detector.eval()
    _require_finite(detector)
    if not trainer.is_world_process_zero():
        return RunResult(folder, metrics)
    save_detector(detector, folder)
    if evaluates:
        metrics.update(_calibrate(detector, dev_store, dev_labels, recipe, folder))
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "README.md", model_card(recipe, metrics))
    logger.info("wrote %s", folder)
    return RunResult(folder, metrics)


def _way(
    recipe: Recipe, detector: Detector
) -> tuple[type[DetectorTrainer], tuple[str, str] | None]:
    """Return the trainer, and the section (and its column) that must know attacks apart."""
    training = recipe.training
    if training.mldg is not None:
        return MldgTrainer, ("mldg", training.mldg.by)
    if training.specialists is not None:
        check_specialists(detector.mixture)
        return SpecialistTrainer, ("specialists", training.specialists.by)
    return DetectorTrainer, None


def _shared(draws: Path, recipe: Recipe, seed: int, paths: list[str], length: int) -> SharedDraws:
    """Return where the run's draws are shared with others that draw the same."""
    values = {
        # The dev set, and who reads, change no draw.
        "data": recipe.data.model_dump(mode="json", exclude={"dev", "workers", "preload"}),
        "augmentation": recipe.augmentation.model_dump(mode="json"),
        "seed": seed,
    }
    key = stream_key(values, paths)
    return SharedDraws(draws, key, length=length, window=recipe.data.window)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _require_finite(detector: Detector) -> None:
    for name, tensor in detector.trained_state().items():
        if not bool(torch.isfinite(tensor).all()):
            raise LoradarError(
                f"{name} is no longer finite: lower training.learning_rate, or train in fp32"
            )


def _class_weights(recipe: Recipe, plan: DrawPlan | MixedPlan) -> torch.Tensor | None:
    weights = recipe.training.class_weights
    if weights == "none":
        return None
    if weights == "balanced":
        counts = np.bincount(plan.labels, minlength=2)
        return torch.tensor(counts.sum() / (2.0 * counts), dtype=torch.float32)
    return torch.tensor(weights, dtype=torch.float32)


def _sizes(detector: Detector) -> dict[str, int]:
    return {
        "parameters": sum(p.numel() for p in detector.parameters()),
        "trained_parameters": sum(p.numel() for p in detector.parameters() if p.requires_grad),
    }


def _calibrate(
    detector: Detector, dev: ClipStore, labels: np.ndarray, recipe: Recipe, folder: Path
) -> dict[str, float]:
    """Fit score -> LLR on the dev clips, scored as ``loradar detect`` does; return dev figures."""
    clips = (dev[row] for row in range(len(dev)))
    found = score_clips(detector, clips, batch_size=recipe.evaluation.batch_size)
    scores = np.array([clip.score for clip in found])
    write_json(folder / "calibration.json", calibration.fit(scores, labels == 1).to_dict())
    bonafide, spoof = scores[labels == 1], scores[labels == 0]
    return {
        "dev_eer": float(eer(bonafide, spoof)),
        "dev_cross_entropy": cross_entropy(bonafide, spoof),
    }
