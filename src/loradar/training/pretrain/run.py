"""One pre-training run: from a recipe to an encoder folder."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import set_seed
from transformers.utils import logging as hf_logging

from loradar.detector.encoders import build_encoder
from loradar.detector.pretrained import save_model
from loradar.detector.waveform_encoder import StackEncoder
from loradar.errors import ConfigError, InputError, LoradarError
from loradar.files import atomic_path, write_json, write_text
from loradar.training.callbacks import Diary
from loradar.training.dataset import ClipStore, DevClips, collate
from loradar.training.folder import RECIPE, prepare_folder
from loradar.training.pretrain.card import encoder_card
from loradar.training.pretrain.data import PairedClips, PretrainSets, read_sets
from loradar.training.pretrain.figures import Figures
from loradar.training.pretrain.model import PretrainModel
from loradar.training.pretrain.pairs import PairPlan, attack_classes
from loradar.training.pretrain.recipe import PretrainRecipe
from loradar.training.pretrain.trainer import PretrainTrainer
from loradar.training.run import Progress, RunResult
from loradar.training.stream import arguments, steps_of

HEADS = "heads.safetensors"
logger = logging.getLogger("loradar.training")


def pretrain(
    recipe: PretrainRecipe,
    folder: Path | str,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> RunResult:
    """Pre-train an encoder and write its folder.

    Parameters
    ----------
    recipe : PretrainRecipe
        The run.
    folder : Path or str
        Gets ``config.json`` and ``model.safetensors``, which ``encoder.id: FOLDER`` loads,
        ``heads.safetensors``, ``recipe.yaml``, ``metrics.json``, ``README.md``, ``tensorboard/``
        and ``checkpoints/``.
    resume : bool
        Go on from the newest complete checkpoint in ``folder``. On a CPU the result is bit for
        bit that of an unbroken run.
    progress : callable, optional
        Called with (done, total, what).

    Raises
    ------
    InputError
        Clips are missing, the folder already holds a run and ``resume`` is off, or it holds none
        and ``resume`` is on.
    ConfigError
        ``resume`` with another recipe than the folder's, or an encoder that does not fit.
    LoradarError
        The loss or the weights are no longer finite.
    """
    folder = Path(folder)
    checkpoint = prepare_folder(folder, recipe.to_yaml(), resume=resume)
    hf_logging.set_verbosity_error()
    set_seed(recipe.seed)
    data = recipe.data
    sets = read_sets(data, recipe.seed)
    plan = PairPlan(
        sets.parts, sets.shares, seed=recipe.seed, same_augmentation=data.same_augmentation
    )
    if recipe.objective.artifact is not None and not plan.attacks:
        raise InputError("objective.artifact needs spoofed clips, and the training set has none")
    model = build_model(recipe, len(plan.attacks))
    trainer = _trainer(recipe, folder, sets, plan, model, progress)

    # From here on there is a run to resume.
    write_text(folder / RECIPE, recipe.to_yaml())
    size = sum(p.numel() for p in model.encoder.model.parameters())
    logger.info(
        "%s: %d training clips, %d attacks, %d dev clips; %s of %s parameters",
        recipe.name,
        len(sets.training),
        len(plan.attacks),
        len(sets.dev),
        model.encoder.model.config.model_type,
        f"{size:,}",
    )
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.monotonic() - started
    _require_finite(model)
    steps, done = trainer.state.max_steps, _steps_before(checkpoint)
    figures = trainer.evaluate(metric_key_prefix="final")
    metrics = {
        "steps": steps,
        "seconds": round(seconds, 1),
        "seconds_per_step": round(seconds / max(1, steps - done), 3),
        "parameters": size,
        "attacks": list(plan.attacks),
        **_renamed(figures),
    }
    if trainer.is_world_process_zero():
        _write(recipe, model, metrics, folder)
        logger.info("wrote %s", folder)
    return RunResult(folder, metrics)


def build_model(recipe: PretrainRecipe, attacks: int) -> PretrainModel:
    """Make the encoder and its heads; the random weights depend on the recipe's seed alone.

    Raises
    ------
    ConfigError
        An encoder that does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        encoder = build_encoder(recipe.encoder.source)
        if not isinstance(encoder, StackEncoder):
            raise ConfigError("encoder: Whisper's cannot be pre-trained here")
        if encoder.frames(recipe.data.window) < 1:
            raise ConfigError(
                f"data.window: {recipe.data.window} samples are too few for this encoder"
            )
        encoder.model.config.apply_spec_augment = recipe.encoder.spec_augment and hasattr(
            encoder.model, "stem"
        )
        return PretrainModel(
            encoder, recipe.front_end, recipe.objective, attacks=attacks, seed=recipe.seed
        )


def _trainer(
    recipe: PretrainRecipe,
    folder: Path,
    sets: PretrainSets,
    plan: PairPlan,
    model: PretrainModel,
    progress: Callable[[int, int, str], None] | None,
) -> PretrainTrainer:
    data, training = recipe.data, recipe.training
    steps = steps_of(training, len(sets.training))
    options = arguments(
        training,
        folder=folder,
        steps=steps,
        evaluates=True,
        seed=recipe.seed,
        workers=data.workers,
        eval_batch_size=recipe.evaluation.batch_size,
    )
    store = ClipStore(sets.paths, preload=data.preload, progress=progress)
    clips = PairedClips(
        store,
        plan,
        recipe.augmentation,
        window=data.window,
        length=steps * training.batch_size * training.accumulate * options.world_size,
        graft=data.graft,
        graft_depth=data.graft_depth,
    )
    dev_store = ClipStore(sets.dev.table["path"], preload=data.preload, progress=progress)
    classes = attack_classes(sets.dev.table, plan.attacks)
    names = sets.dev.table["attack"].to_numpy(object)
    return PretrainTrainer(
        model,
        recipe,
        args=options,
        train_dataset=clips,
        eval_dataset=DevClips(dev_store, classes, window=data.window),
        data_collator=collate,
        compute_metrics=Figures(recipe.objective, plan.attacks, names),
        callbacks=[Diary(folder / "tensorboard", progress)],
    )


def _steps_before(checkpoint: Path | None) -> int:
    return 0 if checkpoint is None else int(checkpoint.name.removeprefix("checkpoint-"))


def _renamed(figures: dict[str, Any]) -> dict[str, Any]:
    kept = ("masked_", "attack_", "eer")
    named = {name.removeprefix("final_"): value for name, value in figures.items()}
    return {name: value for name, value in named.items() if name.startswith(kept)}


def _require_finite(model: PretrainModel) -> None:
    for name, tensor in model.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise LoradarError(
                f"{name} is no longer finite: lower training.learning_rate, or train in fp32"
            )


def _write(
    recipe: PretrainRecipe, model: PretrainModel, metrics: dict[str, Any], folder: Path
) -> None:
    encoder = model.encoder.model
    heads = {n: t.detach().cpu().contiguous() for n, t in model.head_state().items()}
    with atomic_path(folder / HEADS) as temporary:
        save_file(heads, temporary, metadata={"attacks": json.dumps(metrics["attacks"])})
    save_model(encoder, folder, dtype=getattr(torch, recipe.encoder.weights))
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "README.md", encoder_card(recipe, metrics, encoder.config.model_type))
