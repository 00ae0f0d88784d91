"""Recipes: one validated YAML file says everything about a training run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loradar.audio.augmentation import AugmentationConfig
from loradar.audio.graft import WHOLE
from loradar.detector.config import (
    AdaptationConfig,
    BackendConfig,
    DetectorConfig,
    EncoderConfig,
    FrontEndConfig,
)
from loradar.errors import ConfigError, InputError
from loradar.training.attack_settings import MldgConfig, SpecialistsConfig
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


class DataConfig(_Section):
    """Where the clips are, which ones train, and how a batch is drawn.

    Attributes
    ----------
    corpus : str
        How to read ``path``: ``manifest`` or the name of a protocol reader such as
        ``asvspoof2019_la``, ``in_the_wild`` or ``folder``.
    path : str
        The manifest, or the corpus folder. Relative to the current folder.
    train, dev : dict
        Column -> allowed values (``*``: any); a clip belongs to the set when every column
        agrees. Where ``split`` is not named it is ``train`` and ``dev``.
    balance : {"none", "class", "corpus", "pair"}
        ``none``: every clip once an epoch. ``class``: half bona fide, half spoof.
        ``corpus``: as ``class``, and evenly within each corpus that holds both classes, so
        that knowing the corpus does not help. Clips of a corpus that holds one class alone are
        drawn in proportion to their number, or not at all with ``single_class = drop``.
        ``pair``: a spoofed clip, then the bona fide one with its ``pair_id``, with the same random
        crop and the same augmentation, so that the two differ in what made the copy and in nothing
        else. For copies that run in time with their sources (Wang and Yamagishi 2023, arXiv
        2309.06014, train on such pairs).
    even : str, optional
        A column, such as ``attack`` or ``group``: each of its values is drawn equally often among
        the spoofed clips (within each corpus, with ``corpus``), however many clips it has. Further
        clips (``also``) without that column are drawn as they would be.
    also : list of MoreData
        Further clips to train on; each takes a share of the draws, ``path`` the rest. Balanced
        like ``path``, each for itself.
    graft : float
        Share of the copies drawn in pairs that keep only a part of themselves on their source
        (`loradar.audio.graft`): a band, the magnitudes, the phases.
    graft_depth : tuple of float
        How much of a graft is taken, least and most; drawn anew for each. 1: all of it.
    buffer : int
        For shards (``corpus shard``) too large to jump about in: clips are read shard by shard, in
        a new order of shards each pass, and shuffled within so many at a time. 0 shuffles all.
        Not for ``corpus`` or ``pair`` as balance.
    window : int
        Samples (16 kHz) a clip is cropped or tiled to; 64,600 = 4.0375 s.
    preload : bool
        Keep the decoded clips in memory (float32: 64,000 bytes a second).
    workers : int or "auto"
        Processes that read and augment beside the training process; ``auto``: see
        `loradar.training.readers`. Their number changes no draw.
    """

    corpus: str = "manifest"
    path: str
    train: Conditions = {"split": "train"}
    dev: Conditions = {"split": "dev"}
    balance: Literal["none", "class", "corpus", "pair"] = "class"
    single_class: Literal["keep", "drop"] = "keep"
    # Left out where it is not given, so that recipes from before it keep their hash.
    even: str | None = Field(None, exclude_if=lambda even: even is None)
    also: tuple[MoreData, ...] = ()
    graft: float = Field(0.0, ge=0, le=1)
    graft_depth: GraftDepth = WHOLE
    buffer: int = Field(0, ge=0)
    window: int = Field(64_600, ge=400)
    preload: bool = False
    workers: Workers = "auto"

    @model_validator(mode="before")
    @classmethod
    def _own_splits(cls, values: Any) -> Any:
        return with_splits(values, "train", "dev")

    @model_validator(mode="after")
    def _shares(self) -> DataConfig:
        if self.also and self.balance == "none":
            raise ValueError("also draws by shares: set balance to class, corpus or pair")
        balances = {self.balance, *(more.balance for more in self.also)}
        if self.buffer and balances & {"corpus", "pair"}:
            raise ValueError("buffer reads in order: set balance to class or none")
        if self.even and (self.balance == "none" or self.buffer):
            raise ValueError(
                "even needs draws: set balance to class, corpus or pair, and buffer to 0"
            )
        if self.graft and "pair" not in balances:
            raise ValueError("graft needs copies in pairs: set balance to pair")
        if sum(more.share for more in self.also) >= 1:
            raise ValueError("the shares of also leave nothing for path: they must add up below 1")
        return self


class TrainingConfig(_Section):
    """How the weights are learnt.

    Attributes
    ----------
    steps, epochs : int or float, optional
        Length of training: optimiser steps, or passes over the training clips. One of the two.
    batch_size, accumulate : int
        Clips a pass and process, and passes a step.
    learning_rate, backend_learning_rate : float
        AdamW's peak rate; the second (default: the same) is for the back-end and layer mix.
    layer_decay : float
        Layer-wise rates for mode ``full``: each encoder block's is so many times that of the block
        above it (`loradar.training.rates.rates`). 1: all the same.
    weight_decay, schedule, warmup, max_gradient_norm, label_smoothing
        As usual; the decay spares biases and norms, warmup is a share of the steps.
    precision : {"fp32", "bf16", "fp16"}
        Of the forward and backward; weights stay float32.
    class_weights : {"none", "balanced"} or [spoof, bonafide]
        Weights of the cross-entropy. ``balanced``: inverse to the classes' share of the
        training clips; only without ``data.balance``, which would correct twice.
    mldg : MldgConfig, optional
        Train so that a step for some attacks helps on others too. Costs two passes a step.
    specialists : SpecialistsConfig, optional
        Train each expert on an attack of its own, then the routers.
    average : float
        The detector that is kept is the mean of the weights over so large a last share of the steps
        (`loradar.training.averaging`). 0: the weights after the last step.
    best_metric : {"eer", "cross_entropy", "last"}
        The dev figure that chooses the checkpoint; the cross-entropy is averaged within each
        class first. ``last``: the end of training, whatever the dev set says.
    evaluate_every : int, optional
        Steps between dev evaluations and checkpoints (default: a tenth of the run).
    log_every : int
        Steps between log lines.
    """

    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    batch_size: int = Field(16, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    backend_learning_rate: float | None = Field(None, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps")
    max_gradient_norm: float = Field(1.0, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] | tuple[float, float] = "none"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    mldg: MldgConfig | None = None
    # Left out where it is not given, so that recipes from before it keep their hash.
    specialists: SpecialistsConfig | None = Field(None, exclude_if=lambda given: given is None)
    average: float = Field(0.0, ge=0, le=1, description="share of the steps")
    best_metric: Literal["eer", "cross_entropy", "last"] = "eer"
    evaluate_every: int | None = Field(None, ge=1)
    log_every: int = Field(20, ge=1)

    @model_validator(mode="after")
    def _one_length(self) -> TrainingConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if self.mldg is not None and self.precision == "fp16":
            raise ValueError("mldg takes its gradients unscaled: set precision to bf16 or fp32")
        if self.mldg is not None and self.specialists is not None:
            raise ValueError("mldg and specialists are two ways to train: give one")
        if self.average and self.best_metric != "last":
            raise ValueError("average takes the end of training: set best_metric to last")
        return self


class EvaluationConfig(_Section):
    """How dev clips are scored.

    Attributes
    ----------
    batch_size : int
        Windows a forward pass.
    """

    batch_size: int = Field(default=16, ge=1)


class Recipe(_Section):
    """A training run. Unknown keys are errors.

    Attributes
    ----------
    name, seed
        What the run is called, and what everything random depends on.
    start : str, optional
        Folder of a trained detector (or ``loradar/embedded``) whose weights training goes on from,
        with a schedule of its own (a warm restart: Loshchilov and Hutter 2017, arXiv 1608.03983).
        Without it: the pre-trained encoder, and all else from random.
    encoder, front_end, adaptation, backend
        The detector; see `loradar.detector.config`.
    data, augmentation, training, evaluation
        The clips, and how they are used.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0)
    # Left out where it is not given, so that recipes from before it keep their hash.
    start: str | None = Field(None, exclude_if=lambda start: start is None)
    encoder: EncoderConfig
    front_end: FrontEndConfig = FrontEndConfig()
    adaptation: AdaptationConfig
    backend: BackendConfig
    data: DataConfig
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    training: TrainingConfig
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)

    @model_validator(mode="after")
    def _one_correction(self) -> Recipe:
        if self.training.class_weights == "balanced" and self.data.balance != "none":
            raise ValueError(
                "training.class_weights is balanced and data.balance is "
                f"{self.data.balance}: that corrects twice; set one of them to none"
            )
        return self

    @property
    def detector(self) -> DetectorConfig:
        """The model part of the recipe."""
        return DetectorConfig(
            encoder=self.encoder,
            front_end=self.front_end,
            adaptation=self.adaptation,
            backend=self.backend,
            window=self.data.window,
        )

    def to_yaml(self) -> str:
        """Return the recipe, every default filled in, as YAML text."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_recipe(path: Path | str, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe and apply ``key.sub=value`` overrides.

    Parameters
    ----------
    path : Path or str
        YAML file. A top-level ``base: other.yaml`` (beside it) is read first and merged under it.
    overrides : list of str, optional
        For instance ``["training.learning_rate=1e-4", "data.train.split=[train]"]``; values are
        read as YAML.

    Raises
    ------
    InputError
        The file is missing or not YAML.
    ConfigError
        A key is unknown or a value is not valid; the message names each.
    """
    return parse_recipe(read_values(path, overrides), source=str(path))


def read_values(path: Path | str, overrides: list[str] | None = None) -> dict[str, Any]:
    """Read a recipe's values, not yet validated: bases merged, overrides applied."""
    values = _read_yaml(Path(path), ())
    for text in overrides or []:
        _override(values, text)
    return values


def parse_recipe(values: dict[str, Any], source: str = "recipe") -> Recipe:
    """Validate a recipe given as a plain mapping.

    Raises
    ------
    ConfigError
        Names every offending key in one line.
    """
    try:
        recipe = Recipe.model_validate(values)
        _ = recipe.detector
    except ValidationError as error:
        raise ConfigError(f"{source}: {explain(error)}") from None
    return recipe


def _read_yaml(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise ConfigError(f"{path}: its base leads back to itself")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a YAML recipe: {reason}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: a recipe is a mapping of sections (name, encoder, data, ...)")
    base = values.pop("base", None)
    if base is None:
        return values
    return _merge(_read_yaml(path.parent / str(base), (*above, path.resolve())), values)


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        # A section that names another type replaces the one below instead of mixing with it.
        old = merged.get(key)
        mixes = (
            isinstance(value, dict)
            and isinstance(old, dict)
            and not _names_another_kind(old, value)
        )
        merged[key] = _merge(old, value) if mixes and isinstance(old, dict) else value
    return merged


def _names_another_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    kinds = ("type", "mode", "name", "model_type")
    return any(key in new and old.get(key) != new[key] for key in kinds)


def _override(values: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text}: write KEY=VALUE, for instance training.steps=100")
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {text}: {section} holds a value, not a section")
    try:
        # An asterisk alone would be half a YAML alias.
        parsed = value if value == "*" else yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text}: the value is not valid YAML") from None
    # YAML 1.1 reads 1e-4 as text; people mean the number.
    if isinstance(parsed, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", parsed):
        parsed = float(parsed)
    place[last] = parsed
