"""One growth: from a model and clips of a new attack to a model with one expert more."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError
from transformers import EarlyStoppingCallback, set_seed
from transformers.utils import logging as hf_logging

from loradar.audio.augmentation import AugmentationConfig
from loradar.corpora.manifest import Manifest
from loradar.detector.checkpoint import save_detector
from loradar.detector.model import Detector
from loradar.detector.scorer import score_clips
from loradar.errors import ConfigError, InputError, LoradarError
from loradar.evaluation.det import eer
from loradar.files import atomic_path, check_writable, write_json, write_text
from loradar.moe_lora import MoeLora
from loradar.training.callbacks import Diary, StepClock
from loradar.training.dataset import ClipStore, DevClips, collate
from loradar.training.draws import class_indices
from loradar.training.folder import RECIPE
from loradar.training.growth.card import growth_section
from loradar.training.growth.clips import BONAFIDE, NAMES, NEW, OLD, Clips, divide, plan_growth
from loradar.training.growth.settings import GrowthSettings
from loradar.training.growth.trainer import GrowthClips, GrowthTrainer, kind_costs
from loradar.training.stream import arguments

Progress = Callable[[int, int, str], None]
logger = logging.getLogger("loradar.training")


@dataclass(frozen=True)
class GrowthResult:
    """What a growth ends with.

    Attributes
    ----------
    folder : Path
        The grown model.
    metrics : dict
        What ``metrics.json`` holds.
    """

    folder: Path
    metrics: dict[str, Any]


def grow(
    detector: Detector,
    source: Path,
    folder: Path,
    data: Manifest,
    replay: Manifest | None = None,
    *,
    settings: GrowthSettings,
    name: str = "",
    progress: Progress | None = None,
) -> GrowthResult:
    """Append an expert a layer, train it and its gates alone, and write the grown model.

    Parameters
    ----------
    detector : Detector
        The model; it is changed.
    source : Path
        The folder it comes from: its recipe's augmentation is used, its calibration stays.
    folder : Path
        Where the grown model goes.
    data : Manifest
        Clips of the new attack: its spoofed rows. Its bona fide rows are used too.
    replay : Manifest, optional
        Clips from before.
    settings : GrowthSettings
        How.
    name : str
        What the card calls the old model.
    progress : callable, optional
        Called with (done, total, what).

    Raises
    ------
    InputError
        The model has no experts, the folder is in use, or the clips do not do.
    ConfigError
        An expert to train is not there or is not a grown one, or the mixture cannot grow.
    LoradarError
        The loss or the weights are no longer finite.
    """
    started = time.monotonic()
    mixture = checked_mixture(detector, folder, settings)
    hf_logging.set_verbosity_error()
    set_seed(settings.seed)
    training, held = divide(data, replay, held=settings.held, seed=settings.seed)
    numbers = _prepare(detector, mixture, settings)
    # Of a new expert the gate is 0, so these are the old model's figures.
    held_store = ClipStore(held.table["path"], preload=True, progress=progress)
    before = held_figures(detector, held_store, held)
    trained = sum(p.numel() for p in detector.trained_parameters())
    logger.info("training: %s; held back: %s", _counted(training), _counted(held))
    what = f"expert {', '.join(map(str, numbers))}" if numbers else "everything"
    logger.info("%s trains: %s parameters", what, f"{trained:,}")
    with tempfile.TemporaryDirectory() as scratch:
        fitted = _fit(
            detector, training, held, held_store, source, Path(scratch), settings, progress
        )
    detector.eval()
    for key, tensor in detector.trained_state().items():
        if not bool(tensor.isfinite().all()):
            raise LoradarError(f"{key} is no longer finite: lower --learning-rate")
    if numbers and not settings.gates_only:
        _orient(detector, mixture, numbers, held_store, held)
    after = held_figures(detector, held_store, held)
    metrics: dict[str, Any] = {
        "grown_from": name or source.name,
        "experts": numbers,
        "seconds": round(time.monotonic() - started, 1),
        **fitted,
        "parameters": sum(p.numel() for p in detector.parameters()),
        "trained_parameters": trained,
        "clips": {"training": training.counts, "held": held.counts},
        "held_before": before,
        "held_after": after,
        "settings": settings.model_dump(mode="json"),
    }
    _write(detector, source, folder, metrics)
    logger.info("%s", _summary(before, after))
    if after["cross_entropy"] >= before["cross_entropy"]:
        logger.info("nothing was gained on the held clips: keep the old model")
    logger.info("wrote %s in %.0f s", folder, metrics["seconds"])
    return GrowthResult(folder, metrics)


def checked_mixture(detector: Detector, folder: Path, settings: GrowthSettings) -> MoeLora:
    """Return the experts of a model; complain when it cannot grow or ``folder`` is in use.

    Raises
    ------
    InputError
        It has no experts, or the folder is in use.
    ConfigError
        A new expert is wanted, and the mixture is of a kind that takes none.
    """
    if detector.mixture is None:
        raise InputError(
            f"the model has no experts (mode {detector.config.adaptation.mode}): only models of "
            "mode moe_lora or lora have"
        )
    if not settings.everything and not settings.experts:
        detector.mixture.config.growing(1)
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} holds other files: give -o a new folder")
    check_writable(folder / "config.json")
    return detector.mixture


def held_figures(detector: Detector, store: ClipStore, held: Clips) -> dict[str, Any]:
    """Return the EER (a fraction) of new and replayed attacks, and cross-entropies (nats)."""
    clips = (store[row] for row in range(len(store)))
    scores = np.array([clip.score for clip in score_clips(detector, clips)])
    real = scores[held.kinds == BONAFIDE]
    figures: dict[str, Any] = {}
    for kind in (NEW, OLD):
        spoof = scores[held.kinds == kind]
        if len(spoof):
            figures[f"eer of {NAMES[kind]}"] = float(eer(real, spoof))
    costs = kind_costs(scores, held.kinds)
    figures["cross_entropy"] = float(np.mean(list(costs.values())))
    figures |= {f"cross_entropy of {kind}": cost for kind, cost in costs.items()}
    return figures


def _prepare(detector: Detector, mixture: MoeLora, settings: GrowthSettings) -> list[int]:
    """Append or choose the experts; let their parameters alone ask for a gradient."""
    if settings.everything:
        detector.requires_grad_(True)
        detector.self_contained = True
        return []
    config = mixture.config
    for number in settings.experts:
        if not config.experts <= number < config.total:
            raise ConfigError(
                f"expert {number} does not train by itself: "
                f"only those grown or imported do ({_span(config.experts, config.total)})"
            )
        if number in config.frozen:
            raise ConfigError(f"expert {number} is frozen")
    detector.requires_grad_(False)
    numbers = list(settings.experts) or [mixture.add_expert(settings.rank)]
    for place in (number - mixture.config.experts for number in numbers):
        for gates in mixture.growth.values():
            gates.rows[place].requires_grad_(True)
        for adapter in mixture.adapters.values():
            adapter.grown[place].requires_grad_(not settings.gates_only)
    return numbers


def _span(first: int, end: int) -> str:
    return f"{first} to {end - 1}" if end > first else "there are none"


def _fit(
    detector: Detector,
    training: Clips,
    held: Clips,
    held_store: ClipStore,
    source: Path,
    scratch: Path,
    settings: GrowthSettings,
    progress: Progress | None,
) -> dict[str, Any]:
    """Train until the held clips gain no more; leave the best weights in the detector."""
    options = arguments(
        settings.training,
        folder=scratch,
        steps=settings.steps,
        evaluates=True,
        seed=settings.seed,
        workers=0,
        eval_batch_size=16,
    )
    window = settings.window or detector.config.window
    plan, table, is_new = plan_growth(
        training, replay_share=settings.replay_share, seed=settings.seed
    )
    clips = GrowthClips(
        is_new,
        ClipStore(table["path"], preload=True, progress=progress),
        plan,
        augmentation_of(source) if settings.augment else AugmentationConfig(),
        window=window,
        length=settings.steps * settings.batch_size * options.world_size,
    )
    labels = class_indices(held.table, "held")
    clock = StepClock()
    trainer = GrowthTrainer(
        detector,
        settings.training,
        keep=settings.keep,
        held_kinds=held.kinds,
        args=options,
        train_dataset=clips,
        eval_dataset=DevClips(held_store, labels, window=detector.config.window),
        data_collator=collate,
        callbacks=[
            Diary(scratch / "tensorboard", progress),
            clock,
            EarlyStoppingCallback(early_stopping_patience=settings.patience),
        ],
    )
    trainer.train()
    median = clock.median
    return {
        "steps": int(trainer.state.global_step),
        "best_step": int(trainer.state.best_global_step or trainer.state.global_step),
        "step_seconds": None if median is None else round(median, 4),
    }


def augmentation_of(source: Path) -> AugmentationConfig:
    """Return how a model's own training clips were augmented; not at all where it does not say.

    Raises
    ------
    ConfigError
        ``recipe.yaml`` is there and its section is not valid.
    """
    path = source / RECIPE
    if not path.is_file():
        return AugmentationConfig()
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        return AugmentationConfig.model_validate(recipe.get("augmentation") or {})
    except (yaml.YAMLError, AttributeError, ValidationError, LoradarError, UnicodeDecodeError):
        raise ConfigError(
            f"{path}: its augmentation section cannot be read: give --no-augment"
        ) from None


def _orient(
    detector: Detector, mixture: MoeLora, numbers: list[int], store: ClipStore, held: Clips
) -> None:
    """Let gates open to the positive side on the new attack, so that gate 1 means at work.

    tanh being odd, turning a gate and its ``B`` changes no answer.
    """
    mixture.reset_statistics()
    for _ in score_clips(detector, (store[row] for row in held.rows(NEW))):
        pass
    first = mixture.config.experts
    for name, opening in mixture.statistics().opening.items():
        for number in numbers:
            if opening[number - first, 0] < 0:
                mixture.turn(number, name)
    mixture.reset_statistics()


def _write(detector: Detector, source: Path, folder: Path, metrics: dict[str, Any]) -> None:
    """Write the folder; ``config.json``, which makes it a model, last."""
    for kept in ("calibration.json", RECIPE):
        if (source / kept).is_file():
            with atomic_path(folder / kept) as temporary:
                shutil.copyfile(source / kept, temporary)
    card = source / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else "# A grown detector\n"
    write_text(folder / "README.md", f"{text.rstrip()}\n\n{growth_section(metrics)}")
    write_json(folder / "metrics.json", metrics)
    save_detector(detector, folder)


def _counted(clips: Clips) -> str:
    return ", ".join(f"{count} {name}" for name, count in clips.counts.items() if count)


def _summary(before: dict[str, Any], after: dict[str, Any]) -> str:
    parts = []
    for name, value in before.items():
        if name.startswith("eer of "):
            parts.append(f"{name[4:]} {100 * value:.1f} -> {100 * after[name]:.1f} %")
    costs = f"cross-entropy {before['cross_entropy']:.3f} -> {after['cross_entropy']:.3f}"
    return f"held clips, EER {', '.join(parts)}; {costs}"
