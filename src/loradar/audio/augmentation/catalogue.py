"""Every augmentation by a name of its own, for people who want to hear what they do."""

from __future__ import annotations

from typing import Any

from loradar.audio.augmentation.chain import AugmentationConfig, AugmentationStep
from loradar.audio.augmentation.codecs import available_codecs


def catalogue(noises: str | None = None, rooms: str | None = None) -> dict[str, AugmentationStep]:
    """Return each effect, with its usual ranges, under the name of the variant it is.

    Parameters
    ----------
    noises, rooms : str, optional
        Folders of recordings and of room responses; without them these effects are left out.

    Returns
    -------
    dict of str to AugmentationStep
        For instance ``rawboost_4``, ``music``, ``opus``.

    Raises
    ------
    ValueError
        A folder is not there, or holds no audio.
    """
    steps: dict[str, AugmentationStep] = {}

    def add(name: str, effect: str, **params: Any) -> None:
        steps[name] = AugmentationStep(name=effect, params=params)

    for algorithm in range(1, 9):
        add(f"rawboost_{algorithm}", "rawboost", algorithm=algorithm)
    add("noise", "noise")
    for kind in ("music", "babble", "hum"):
        add(kind, "ambience", kinds=[kind])
    if noises is not None:
        add("background", "background", folder=noises)
    add("room", "room")
    if rooms is not None:
        add("recorded_room", "recorded_room", folder=rooms)
    for codec in available_codecs():
        add(codec, "codec", codecs=[codec])
    add("telephone", "telephone")
    for law in ("mu", "a"):
        add(f"companding_{law}", "companding", laws=[law])
    add("low_pass", "low_pass")
    add("filter", "filter")
    add("slower", "speed", factor=[0.9, 0.9])
    add("faster", "speed", factor=[1.1, 1.1])
    add("gain", "gain")
    for kind in ("hard", "soft"):
        add(f"clipping_{kind}", "clipping", kinds=[kind])
    add("suppression", "suppression")
    add("compression", "compression")
    add("trim", "trim")
    add("trim_pauses", "trim", places=["ends", "pauses"])
    return steps


def recipe_steps(config: AugmentationConfig) -> dict[str, AugmentationStep]:
    """Return the steps of a configuration under names of their own: ``noise``, ``noise_2``."""
    steps: dict[str, AugmentationStep] = {}
    for step in config.steps:
        name, number = step.name, 1
        while name in steps:
            number += 1
            name = f"{step.name}_{number}"
        steps[name] = step
    return steps
