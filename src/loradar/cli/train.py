"""``loradar train``."""

from __future__ import annotations

from pathlib import Path

import typer


def train(
    recipe: Path = typer.Argument(..., help="Recipe (YAML), for instance recipes/paper.yaml."),
    out: Path | None = typer.Option(
        None, "-o", "--out", help="Folder for the run. Default: runs/NAME.", metavar="FOLDER"
    ),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change a recipe value; may be repeated."
    ),
    resume: bool = typer.Option(False, "--resume", help="Go on from the last checkpoint."),
    as_json: bool = typer.Option(False, "--json", help="Print the run's figures as JSON."),
) -> None:
    """Train a detector from a recipe.

    Example: `loradar train recipes/mini_fold_a.yaml --set adaptation.mode=full -o runs/full`
    """
    import json

    from loradar.cli.console import logging_to, reporting, write_output
    from loradar.training.recipe import read_recipe
    from loradar.training.run import train as run

    parsed = read_recipe(recipe, overrides)
    folder = out or Path("runs") / parsed.name
    with reporting() as progress, logging_to(folder / "train.log"):
        result = run(parsed, folder, resume=resume, progress=progress)
    if as_json:
        write_output(json.dumps({"folder": str(result.folder), **result.metrics}))
