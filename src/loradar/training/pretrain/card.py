"""The card that goes with a pre-trained encoder."""

from __future__ import annotations

from typing import Any

from loradar.training.pretrain.recipe import PretrainRecipe

_TEMPLATE = """# {name}

A speech encoder pre-trained with Loradar, to train detectors of machine-made speech on.

| | |
|---|---|
| model | {kind}, {parameters:,} parameters |
| objective | {objective} |
| front end | {front_end} |
| training data | `{data}`, {train} |
| attacks heard | {attacks} |
| left out | {without} |
| steps, seed | {steps}, {seed} |
| time | {seconds:.0f} s, {rate:.2f} s a step |

{figures}

Use it in a recipe of `loradar train`:

    encoder:
      type: huggingface
      id: FOLDER

`heads.safetensors` holds what was trained beside it. No licence is implied for the data it was
trained on.
"""
_SHOWN = {
    "masked_accuracy": "masked frames guessed",
    "masked_chance": "the most frequent code",
    "attack_accuracy": "attack named, mean over attacks and real speech",
    "attack_chance": "by chance",
    "eer": "EER of real or not",
    "eer_left_out": "EER on attacks left out of training",
}


def encoder_card(recipe: PretrainRecipe, metrics: dict[str, Any], kind: str) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    recipe : PretrainRecipe
        The run.
    metrics : dict
        What ``metrics.json`` holds.
    kind : str
        The model type.
    """
    names = (
        ("masked prediction", recipe.objective.masked),
        ("artifact", recipe.objective.artifact),
    )
    shown = [
        f"| {what} | {100 * metrics[key]:.1f} % |" for key, what in _SHOWN.items() if key in metrics
    ]
    return _TEMPLATE.format(
        name=recipe.name,
        kind=kind,
        parameters=metrics["parameters"],
        objective=" and ".join(name for name, part in names if part is not None),
        front_end=recipe.front_end.filter,
        data=recipe.data.path,
        train=_listed(recipe.data.train) or "all rows",
        attacks=", ".join(metrics["attacks"]) or "none",
        without=_listed(recipe.data.without) or "nothing",
        steps=metrics["steps"],
        seed=recipe.seed,
        seconds=metrics["seconds"],
        rate=metrics["seconds_per_step"],
        figures="\n".join(["| dev set | |", "|---|---|", *shown]),
    )


def _listed(conditions: dict[str, str | list[str]]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in conditions.items())
