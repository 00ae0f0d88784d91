"""Recipes of vocoder training: one validated YAML file says everything about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loradar.errors import ConfigError
from loradar.training.recipe import read_values
from loradar.training.validation import explain
from loradar.vocoders.neural.config import AnyVocoderConfig


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VocoderData(_Section):
    """The speech to learn from.

    Attributes
    ----------
    path : str
        A manifest; its bona fide clips of ``split`` train and dev are used.
    hours : float
        Speech kept in memory (16 bit: 115 MB an hour), a random subset of the clips.
    dev_clips : int
        Dev clips compared at each evaluation, a random subset.
    segment : int
        Samples (16 kHz) of a training segment; cut to whole frames of the model.
    """

    path: str
    hours: float = Field(5.0, gt=0)
    dev_clips: int = Field(10, ge=1)
    segment: int = Field(8192, ge=1024)


class VocoderTraining(_Section):
    """How the weights are learnt.

    Attributes
    ----------
    steps : int
        Length of the run, and of the learning rate's schedule.
    minutes : float, optional
        Stop there at the latest, counted over resumed parts too; ``--resume`` with more minutes
        goes on.
    batch_size : int
        Segments a step.
    learning_rate, discriminator_rate : float
        AdamW's peak rates; both rise over ``warmup`` steps of their start and fall by a cosine to
        a hundredth at the end.
    adversarial_after : int, optional
        Steps of spectral losses alone; None: never adversarial (no discriminators are made).
    spectral_weight, adversarial_weight, feature_weight : float
        Of the losses that compare waveforms; the model's own losses carry their own.
    max_gradient_norm : float
        The generator's gradient is scaled down to it.
    ema : float
        Decay of the running mean of the weights, which is what is evaluated and shipped.
    bf16 : bool
        Forward passes in bfloat16 where torch thinks it safe; weights and losses stay float32.
    checkpoint_minutes, evaluate_every
        Minutes between checkpoints; steps between dev evaluations.
    """

    steps: int = Field(ge=1)
    minutes: float | None = Field(None, gt=0)
    batch_size: int = Field(8, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    discriminator_rate: float = Field(5e-4, gt=0)
    warmup: int = Field(200, ge=0)
    adversarial_after: int | None = Field(None, ge=0)
    spectral_weight: float = Field(1.0, ge=0)
    adversarial_weight: float = Field(1.0, ge=0)
    feature_weight: float = Field(2.0, ge=0)
    max_gradient_norm: float = Field(5.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    bf16: bool = False
    checkpoint_minutes: float = Field(3.0, gt=0)
    evaluate_every: int = Field(500, ge=1)
    log_every: int = Field(50, ge=1)


class VocoderRecipe(_Section):
    """A vocoder training run. Unknown keys are errors.

    Attributes
    ----------
    name, seed
        What the run is called, and what everything random depends on.
    model
        The vocoder, of one of the families in `loradar.vocoders.neural.config`.
    data, training
        The speech, and how it is learnt from.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0)
    model: AnyVocoderConfig
    data: VocoderData
    training: VocoderTraining

    def to_yaml(self) -> str:
        """Return the recipe, every default filled in, as YAML text."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_vocoder_recipe(path: Path | str, overrides: list[str] | None = None) -> VocoderRecipe:
    """Read a recipe and apply ``key.sub=value`` overrides, as `loradar.training.recipe` does.

    Raises
    ------
    InputError
        The file is missing or not YAML.
    ConfigError
        A key is unknown or a value is not valid; the message names each.
    """
    return parse_vocoder_recipe(read_values(path, overrides), source=str(path))


def parse_vocoder_recipe(values: dict[str, Any], source: str = "recipe") -> VocoderRecipe:
    """Validate a recipe given as a plain mapping; ConfigError names every offending key."""
    try:
        return VocoderRecipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explain(error)}") from None
