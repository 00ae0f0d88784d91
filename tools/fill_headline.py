#!/usr/bin/env python3
"""Write the inner folds' winners into a headline grid.

python tools/fill_headline.py recipes/grids/inner_embedded.yaml results/inner_embedded/choice.json \
    recipes/grids/headline_embedded.yaml

The rule is fixed before anything is scored on eval clips: in each fold, each method takes the
overrides of its winner in ``choice.json`` (`loradar compare` on the inner grid). A winner
``full.lr1e-3`` with ``training.learning_rate=1e-3`` gives the value ``full_learning_rate``; what a
winner does not override keeps the recipe's own setting.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from loradar.detector.config import AdaptationConfig, HuggingFaceEncoderConfig
from loradar.errors import InputError
from loradar.files import write_text
from loradar.training.recipe import read_values


def filled(inner: dict[str, Any], choice: dict[str, Any], headline: dict[str, Any],
           recipe: dict[str, Any]) -> dict[str, Any]:  # fmt: skip
    """Return ``headline`` with the winners' values.

    Parameters
    ----------
    inner, headline : dict
        The two grids.
    choice : dict
        What ``choice.json`` holds.
    recipe : dict
        Values of the recipe of both grids, for what a winner does not override.

    Raises
    ------
    InputError
        A fold has no choice, or its ``values`` name what no winner and no recipe gives.
    """
    for fold, block in headline["folds"].items():
        if fold not in choice["folds"]:
            raise InputError(f"no choice for fold {fold}: run the inner grid first")
        winners = choice["folds"][fold]["winners"]
        for method, winner in winners.items():
            given = dict(each.split("=", 1) for each in inner["variants"][winner])
            for name in block["values"]:
                setting = name.removeprefix(f"{method}_")
                if setting != name:
                    block["values"][name] = str(_value(setting, given, recipe, method))
    return headline


def _value(setting: str, given: dict[str, str], recipe: dict[str, Any], method: str) -> Any:
    for key, value in given.items():
        if key.rpartition(".")[2] == setting:
            return value
    adaptation = AdaptationConfig.model_validate({**recipe["adaptation"], "mode": method})
    encoder = HuggingFaceEncoderConfig.model_validate(recipe["encoder"]).model_dump()
    for section in (recipe["training"], adaptation.model_dump().get(method) or {}, encoder):
        if setting in section:
            return "null" if section[setting] is None else section[setting]
    raise InputError(f"{method}: neither its winner nor the recipe gives {setting}")


def main(arguments: list[str]) -> int:
    """Do what the module says; return the exit code."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    inner_path, choice_path, headline_path = map(Path, arguments)
    try:
        inner = yaml.safe_load(inner_path.read_text(encoding="utf-8"))
        text = headline_path.read_text(encoding="utf-8")
        choice = json.loads(choice_path.read_text(encoding="utf-8"))
        headline = yaml.safe_load(text)
        recipe = read_values(headline_path.parent / headline["recipe"])
        values = filled(inner, choice, headline, recipe)
    except (InputError, OSError, ValueError, KeyError) as error:
        print(f"fill_headline: {error}", file=sys.stderr)
        return 2
    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    write_text(headline_path, comment + yaml.safe_dump(values, sort_keys=False, width=100))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
