"""How an expert is grown."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loradar.errors import ConfigError
from loradar.training.recipe import TrainingConfig
from loradar.training.validation import explain


class GrowthSettings(BaseModel):
    """Settings of ``loradar grow``.

    Attributes
    ----------
    rank : int, optional
        Rank of the new expert; None for that of the others.
    experts : tuple of int
        Train these experts, grown or imported before, instead of appending one.
    gates_only : bool
        With ``experts``: train their gates alone.
    steps, batch_size, learning_rate : int, int, float
        Length and peak rate of training (AdamW, warm-up, cosine).
    evaluate_every, patience : int
        Steps between looks at the held clips, and how many looks without a better cross-entropy
        end the training. The best look is kept.
    held : float
        Share of the clips of each kind held back for these looks, where the manifest has no dev
        clips of its own.
    replay_share : float
        Share of the spoofed draws that come from the replay set, where it has spoofed clips.
    keep : float
        Weight of the divergence from the old model's answers on all clips but the new attack's.
    everything : bool
        Train every weight instead of an expert: what growing is to be compared with.
    precision : {"fp32", "bf16"}
        Of the forward and backward; weights stay float32.
    augment : bool
        Augment as in the model's own training, where its folder says how.
    window : int, optional
        Samples of a training crop; None for the model's own.
    seed : int
        What is held, the draws and the start depend on it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int | None = Field(None, ge=1)
    experts: tuple[int, ...] = ()
    gates_only: bool = False
    steps: int = Field(150, ge=1)
    batch_size: int = Field(16, ge=2)
    learning_rate: float = Field(2e-3, gt=0)
    evaluate_every: int = Field(10, ge=1)
    patience: int = Field(4, ge=1)
    held: float = Field(0.2, gt=0, lt=1)
    replay_share: float = Field(0.5, gt=0, lt=1)
    keep: float = Field(1.0, ge=0)
    everything: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    augment: bool = True
    window: int | None = Field(None, ge=400)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> GrowthSettings:
        if self.gates_only and not self.experts:
            raise ValueError("gates_only trains the gates of experts that are there: name them")
        if self.experts and self.rank is not None:
            raise ValueError("rank is for a new expert; experts trains those that are there")
        if self.everything and (self.experts or self.rank is not None):
            raise ValueError("everything trains all weights and adds no expert: name none")
        return self

    @classmethod
    def of(cls, **values: Any) -> GrowthSettings:
        """Validate settings.

        Raises
        ------
        ConfigError
            Names each setting that is not valid, in one line.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(explain(error).replace("recipe: ", "")) from None

    @property
    def training(self) -> TrainingConfig:
        """The same as a recipe's ``training`` section."""
        return TrainingConfig.model_validate(
            {
                "steps": self.steps,
                "batch_size": self.batch_size,
                "learning_rate": self.learning_rate,
                "warmup": 0.1,
                "evaluate_every": self.evaluate_every,
                "log_every": self.evaluate_every,
                "best_metric": "cross_entropy",
                "precision": self.precision,
            }
        )
