"""The model card that goes with a checkpoint."""

from __future__ import annotations

from typing import Any

from loradar.training.recipe import Recipe

_TEMPLATE = """# {name}

A speech anti-spoofing detector trained with Loradar: it gives
a score that is higher the more a clip looks like real human speech.

| | |
|---|---|
| encoder | {encoder} |
| adaptation | {mode} |
| back-end | {backend} |
| front end | {front_end} |
| parameters (trained) | {parameters:,} ({trained:,}) |
| training data | `{data}`, {train} |
| steps, seed | {steps}, {seed} |
| dev EER | {dev} |

Use it:

    loradar detect --model FOLDER clip.wav

## Limits

Calibrated on its own dev set, if at all; on other speech, channels and attacks the scores mean
less. Spoofs unlike those it was trained on may pass. Do not act on one score alone. No licence is
implied for the data it was trained on.
"""


def model_card(recipe: Recipe, metrics: dict[str, Any]) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    recipe : Recipe
        The run.
    metrics : dict
        What ``metrics.json`` holds.
    """
    encoder = recipe.encoder.model_dump()
    named = encoder.get("id") or encoder.get("variant") or "inline configuration, random start"
    eer = metrics.get("dev_eer")
    return _TEMPLATE.format(
        name=recipe.name,
        encoder=f"{recipe.encoder.type}: {named}",
        mode=recipe.adaptation.mode,
        backend=recipe.backend.name,
        front_end=recipe.front_end.filter,
        parameters=metrics["parameters"],
        trained=metrics["trained_parameters"],
        data=recipe.data.path,
        train=", ".join(f"{k} = {v}" for k, v in recipe.data.train.items()) or "all rows",
        steps=metrics["steps"],
        seed=recipe.seed,
        dev="not measured" if eer is None else f"{100 * eer:.2f} %",
    )
