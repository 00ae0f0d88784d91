"""Augmentations in series, from a validated configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loradar.audio.augmentation.ambience import Ambience
from loradar.audio.augmentation.channels import (
    Companding,
    Gain,
    LowPass,
    Noise,
    RandomFilter,
    Room,
)
from loradar.audio.augmentation.clipping import Clipping
from loradar.audio.augmentation.effects import Effect, Samples
from loradar.audio.augmentation.links import Codec, Telephone
from loradar.audio.augmentation.rawboost import RawBoost
from loradar.audio.augmentation.recordings import Background, RecordedRoom
from loradar.audio.augmentation.silence import Trim
from loradar.audio.augmentation.speed import Speed
from loradar.audio.augmentation.studio import Compression, Suppression

EFFECTS: dict[str, type[Effect]] = {
    kind.effect_name: kind
    for kind in (
        RawBoost,
        Noise,
        RandomFilter,
        LowPass,
        Room,
        Companding,
        Gain,
        Codec,
        Telephone,
        Speed,
        Suppression,
        Compression,
        Ambience,
        Background,
        RecordedRoom,
        Clipping,
        Trim,
    )
}


class AugmentationStep(BaseModel):
    """One step of a chain.

    Attributes
    ----------
    name : str
        A key of `EFFECTS`.
    probability : float
        How often the step is taken.
    params : dict
        Fields of the effect; the missing ones are filled with its defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    probability: float = Field(default=1.0, ge=0, le=1)
    params: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("name"), str):
            return values
        name, params = values["name"], values.get("params") or {}
        if name not in EFFECTS:
            raise ValueError(f"no augmentation is called {name!r}; there are {', '.join(EFFECTS)}")
        if not isinstance(params, dict):
            raise ValueError(f"{name}: params is a mapping of parameter to value")
        known = ", ".join(EFFECTS[name].model_fields)
        for key in params:
            if key not in EFFECTS[name].model_fields:
                raise ValueError(f"{name} has no parameter {key!r}; it takes {known}")
        try:
            effect = EFFECTS[name].model_validate(params)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{name}: {where}: {message}") from None
        return {**values, "params": effect.model_dump(mode="json")}

    @property
    def effect(self) -> Effect:
        """The step's effect, ready to apply."""
        return EFFECTS[self.name].model_validate(self.params)


class AugmentationConfig(BaseModel):
    """An ordered list of steps; empty changes nothing.

    Examples
    --------
    >>> config = AugmentationConfig(steps=[{"name": "noise", "probability": 0.5}])
    >>> config.steps[0].params["snr_db"]
    [10.0, 40.0]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: tuple[AugmentationStep, ...] = ()


class Augmentation:
    """A chain of effects; a callable that can be sent to other processes.

    Parameters
    ----------
    config : AugmentationConfig
        The steps.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        self._steps = [(step.probability, step.effect) for step in config.steps]

    def __call__(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return augmented samples.

        Parameters
        ----------
        samples : ndarray of float32, [T]
            Left as they are.
        sample_rate : int
            Hertz.
        rng : numpy.random.Generator
            Equal generators give equal results.

        Returns
        -------
        ndarray of float32, [T]
        """
        result = samples.astype(np.float32)
        for probability, effect in self._steps:
            if rng.random() < probability:
                result = effect.apply(result, sample_rate, rng)
        return result


def build_augmentation(config: AugmentationConfig) -> Augmentation:
    """Return the callable for a configuration."""
    return Augmentation(config)
