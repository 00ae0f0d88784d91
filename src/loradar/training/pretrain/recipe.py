"""Recipes of pre-training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loradar.audio.augmentation import AugmentationConfig
from loradar.audio.graft import WHOLE
from loradar.detector.config import FrontEndConfig, HuggingFaceEncoderConfig
from loradar.errors import ConfigError
from loradar.training.recipe import EvaluationConfig, TrainingConfig, read_values
from loradar.training.sections import (
    Conditions,
    GraftDepth,
    MoreData,
    Workers,
    with_splits,
)
from loradar.training.validation import explain


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PretrainEncoder(_Section):
    """The encoder to train.

    Attributes
    ----------
    config : dict, optional
        A transformers configuration with ``model_type``; weights start at random.
    id : str, optional
        Instead: go on with these weights (a local folder, or a name on the hub).
    revision : str, optional
        Branch, tag or commit on the hub.
    spec_augment : bool
        Random strips of the spectrogram set to zero; ``loradar-spectral`` alone has them.
    weights : {"float32", "float16"}
        Precision of the weights file.
    """

    config: dict[str, Any] | None = None
    id: str | None = None
    revision: str | None = None
    spec_augment: bool = True
    weights: Literal["float32", "float16"] = "float32"

    @property
    def source(self) -> HuggingFaceEncoderConfig:
        """What `loradar.detector.encoders.build_encoder` takes: all layers are given out."""
        return HuggingFaceEncoderConfig(
            id=self.id, config=self.config, revision=self.revision, layer_mix="learned"
        )

    @model_validator(mode="after")
    def _valid(self) -> PretrainEncoder:
        _ = self.source
        return self


class MaskedObjective(_Section):
    """Predict, at masked frames, codes of a fixed random quantiser (BEST-RQ).

    Attributes
    ----------
    weight : float
        Of this loss in the sum.
    share : float
        Share of the frames to mask, about.
    span_seconds : float
        Length of a masked stretch.
    codes, code_size, codebooks : int
        Codes of a codebook, their dimension, and how many codebooks there are.
    """

    weight: float = Field(1.0, gt=0)
    share: float = Field(0.4, gt=0, lt=1)
    span_seconds: float = Field(0.2, gt=0)
    codes: int = Field(1024, ge=2)
    code_size: int = Field(16, ge=1)
    codebooks: int = Field(1, ge=1)


class ArtifactObjective(_Section):
    """Tell which attack, if any, made a clip.

    Attributes
    ----------
    attack_weight : float
        Of the cross-entropy over "none" and the attacks.
    real_weight : float
        Of the cross-entropy of real or not.
    pooling : {"attentive", "mean"}
        Over time, after a learned mix of the layers.
    label_smoothing : float
        Of both.
    """

    attack_weight: float = Field(1.0, ge=0)
    real_weight: float = Field(1.0, ge=0)
    pooling: Literal["attentive", "mean"] = "attentive"
    label_smoothing: float = Field(0.05, ge=0, lt=1)

    @model_validator(mode="after")
    def _weighs(self) -> ArtifactObjective:
        if self.attack_weight + self.real_weight == 0:
            raise ValueError("attack_weight and real_weight are both 0; leave artifact out")
        return self


class ObjectiveConfig(_Section):
    """What is learnt: one of the two, or both at once."""

    masked: MaskedObjective | None = None
    artifact: ArtifactObjective | None = None

    @model_validator(mode="after")
    def _some(self) -> ObjectiveConfig:
        if self.masked is None and self.artifact is None:
            raise ValueError("give masked, artifact, or both")
        return self


class PretrainData(_Section):
    """Where the clips are, and how they are drawn.

    Half of each batch are real clips, each followed by a copy of it (a row of the same
    ``pair_id``), cropped at the same place; the attacks are drawn evenly. A spoofed clip without
    source stands beside a real one of its corpus.

    Attributes
    ----------
    corpus, path, train, dev, also, window, preload, workers
        As in `loradar.training.recipe.DataConfig`.
    without : dict
        Column -> values; training clips that hold one of them are left out, in every manifest.
        The dev set keeps them, and they are measured apart (``eer_left_out``).
    same_augmentation : bool
        A clip and its copy are augmented alike, instead of each for itself.
    graft : float
        Share of the copies that keep only a part of themselves on their source
        (`loradar.audio.graft`).
    graft_depth : tuple of float
        How much of a graft is taken, least and most; drawn anew for each. 1: all of it.
    dev_clips : int
        Dev clips to measure on: a third real ones, the attacks evenly.
    """

    corpus: str = "manifest"
    path: str
    train: Conditions = {"split": "train"}
    dev: Conditions = {"split": "dev"}
    without: Conditions = {}
    also: tuple[MoreData, ...] = ()
    window: int = Field(44_800, ge=400)
    same_augmentation: bool = False
    graft: float = Field(0.0, ge=0, le=1)
    graft_depth: GraftDepth = WHOLE
    dev_clips: int = Field(600, ge=1)
    preload: bool = False
    workers: Workers = "auto"

    @model_validator(mode="before")
    @classmethod
    def _own_splits(cls, values: Any) -> Any:
        return with_splits(values, "train", "dev")

    @model_validator(mode="after")
    def _shares(self) -> PretrainData:
        if sum(more.share for more in self.also) >= 1:
            raise ValueError("the shares of also leave nothing for path: they must add up below 1")
        return self


class PretrainTraining(TrainingConfig):
    """As `TrainingConfig`; the end of training is kept, and classes are balanced by the draws.

    ``backend_learning_rate`` is that of the heads; ``label_smoothing`` is part of the objective.
    ``mldg``, ``specialists`` and ``average`` are for detectors.
    """

    class_weights: Literal["none"] = "none"
    best_metric: Literal["last"] = "last"
    label_smoothing: Literal[0] = 0
    mldg: None = None
    specialists: None = Field(None, exclude=True)
    average: Literal[0] = 0

    @model_validator(mode="after")
    def _pairs(self) -> PretrainTraining:
        if self.batch_size % 2:
            raise ValueError(f"batch_size is {self.batch_size}; clips come in pairs: make it even")
        return self


class PretrainRecipe(_Section):
    """A pre-training run. Unknown keys are errors.

    Attributes
    ----------
    name, seed
        What the run is called, and what everything random depends on.
    encoder, front_end
        What is trained, and the band limits before it.
    objective
        What it learns.
    data, augmentation, training, evaluation
        The clips, and how they are used.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0)
    encoder: PretrainEncoder
    front_end: FrontEndConfig = FrontEndConfig(filter="bandpass")
    objective: ObjectiveConfig
    data: PretrainData
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    training: PretrainTraining
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)

    def to_yaml(self) -> str:
        """Return the recipe, every default filled in, as YAML text."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_pretrain_recipe(path: Path | str, overrides: list[str] | None = None) -> PretrainRecipe:
    """Read a recipe and apply ``key.sub=value`` overrides, as `loradar.training.recipe` does.

    Raises
    ------
    InputError
        The file is missing or not YAML.
    ConfigError
        A key is unknown or a value is not valid; the message names each.
    """
    return parse_pretrain_recipe(read_values(path, overrides), source=str(path))


def parse_pretrain_recipe(values: dict[str, Any], source: str = "recipe") -> PretrainRecipe:
    """Validate a recipe given as a plain mapping; ConfigError names every offending key."""
    try:
        return PretrainRecipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explain(error)}") from None
