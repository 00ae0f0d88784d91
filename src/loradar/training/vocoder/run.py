"""A whole run: data, loop, evaluation on held-out speakers, files."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from loradar.corpora.manifest import read_manifest
from loradar.errors import ConfigError
from loradar.files import write_json, write_text
from loradar.training.vocoder.data import Progress, SpeechStore, read_speech
from loradar.training.vocoder.loop import RESUME, VocoderTrainer
from loradar.training.vocoder.losses import mel_distance
from loradar.training.vocoder.recipe import VocoderRecipe
from loradar.vocoders.neural.base import NeuralVocoder
from loradar.vocoders.neural.mel import LogMel
from loradar.vocoders.neural.weights import read_vocoder, save_vocoder

WEIGHTS = "vocoder.safetensors"
_DEV_SAMPLES = 96_000  # of a dev clip at most

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VocoderRun:
    """What a run left.

    Attributes
    ----------
    folder : Path
        Holds ``vocoder.safetensors`` (float16, to ship), ``resume.pt``, ``recipe.yaml``,
        ``metrics.json`` and ``train.log``.
    metrics : dict
        ``steps``, ``minutes``, ``hours`` of speech, ``mel_distance`` on the dev clips.
    """

    folder: Path
    metrics: dict[str, float]


def train_vocoder(
    recipe: VocoderRecipe,
    folder: Path,
    *,
    progress: Progress,
    resume: bool = False,
    start: Path | None = None,
) -> VocoderRun:
    """Train a vocoder, or go on with one.

    Parameters
    ----------
    recipe : VocoderRecipe
        The run.
    folder : Path
        Where it writes.
    progress : callable
        Called with (done, total, what).
    resume : bool
        Go on from the folder's last checkpoint.
    start : Path, optional
        Weights to begin with (a ``.safetensors`` of the same model).

    Raises
    ------
    ConfigError
        The folder holds a run and ``resume`` is False, or recipe and checkpoint disagree.
    InputError
        The manifest or a clip cannot be read.
    """
    if (folder / RESUME).exists() and not resume:
        raise ConfigError(f"{folder}: holds a run already; give --resume, or another folder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    manifest = read_manifest(recipe.data.path)
    data = recipe.data
    speech = read_speech(manifest, "train", hours=data.hours, seed=recipe.seed, progress=progress)
    dev = read_speech(
        manifest,
        "dev",
        hours=data.hours,
        most=data.dev_clips,
        seed=recipe.seed,
        progress=progress,
    )
    trainer = VocoderTrainer(recipe, speech, device)
    if start is not None:
        trainer.start_from(read_vocoder(start).to(device))
    if resume:
        trainer.resume(folder)
    write_text(folder / "recipe.yaml", recipe.to_yaml())
    size = sum(p.numel() for p in trainer.model.parameters())
    log.info("%s: %s parameters, %.2f h of speech", recipe.name, f"{size:,}", speech.hours)
    _loop(trainer, dev, folder, progress)
    return VocoderRun(folder, _keep(trainer, dev, folder))


def _loop(trainer: VocoderTrainer, dev: SpeechStore, folder: Path, progress: Progress) -> None:
    settings = trainer.recipe.training
    kept, sums, count = time.monotonic(), dict[str, float](), 0
    while trainer.step < settings.steps:
        if settings.minutes is not None and trainer.seconds >= 60 * settings.minutes:
            log.info("stopping after %.1f minutes", trainer.seconds / 60)
            break
        losses = trainer.train_step()
        progress(trainer.step, settings.steps, "training")
        sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
        count += 1
        if trainer.step % settings.log_every == 0:
            means = "  ".join(f"{name} {value / count:.3f}" for name, value in sums.items())
            log.info("step %d  %s  (%.1f min)", trainer.step, means, trainer.seconds / 60)
            sums, count = {}, 0
        if trainer.step % settings.evaluate_every == 0:
            log.info("step %d  dev mel distance %.4f", trainer.step, dev_distance(trainer, dev))
        if time.monotonic() - kept >= 60 * settings.checkpoint_minutes:
            _keep(trainer, dev, folder)
            kept = time.monotonic()


def _keep(trainer: VocoderTrainer, dev: SpeechStore, folder: Path) -> dict[str, float]:
    metrics = {
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 2),
        "hours": round(trainer.speech.hours, 3),
        "mel_distance": round(dev_distance(trainer, dev), 5),
    }
    recipe = trainer.recipe
    info = {"name": recipe.name, "seed": recipe.seed, **metrics}
    save_vocoder(trainer.mean_model, folder / WEIGHTS, info)
    write_json(folder / "metrics.json", metrics)
    trainer.save(folder)
    log.info("kept %s at step %d", folder / WEIGHTS, trainer.step)
    return metrics


def dev_distance(trainer: VocoderTrainer, dev: SpeechStore) -> float:
    """Return the mean absolute log-mel difference of dev clips and their copies."""
    model: NeuralVocoder = trainer.mean_model
    mel = LogMel().to(trainer.device)
    rng = np.random.default_rng(trainer.recipe.seed)
    distances = []
    for clip in dev.clips:
        samples = clip[:_DEV_SAMPLES].astype(np.float32) / 32768
        real = torch.from_numpy(samples)[None].to(trainer.device)
        with torch.inference_mode():
            distances.append(float(mel_distance(mel, model.resynthesise(real, {}, rng), real)))
    return float(np.mean(distances))
