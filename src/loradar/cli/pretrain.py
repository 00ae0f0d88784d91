"""``loradar pretrain``."""

from __future__ import annotations

from pathlib import Path

import typer


def pretrain(
    recipe: Path = typer.Argument(..., help="Recipe (YAML), e.g. recipes/pretrain_spectral.yaml."),
    out: Path | None = typer.Option(
        None, "-o", "--out", help="Folder for the run. Default: runs/NAME.", metavar="FOLDER"
    ),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change a recipe value; may be repeated."
    ),
    resume: bool = typer.Option(False, "--resume", help="Go on from the last checkpoint."),
    as_json: bool = typer.Option(False, "--json", help="Print the run's figures as JSON."),
) -> None:
    """Pre-train a speech encoder on real speech and its copies (`loradar corpus copies`).

    Example: `loradar pretrain recipes/pretrain_spectral.yaml --set data.path=copies/manifest.csv`
    """
    import json

    from loradar.cli.console import logging_to, reporting, write_output
    from loradar.training.pretrain.recipe import read_pretrain_recipe
    from loradar.training.pretrain.run import pretrain as run

    parsed = read_pretrain_recipe(recipe, overrides)
    folder = out or Path("runs") / parsed.name
    with reporting() as progress, logging_to(folder / "train.log"):
        result = run(parsed, folder, resume=resume, progress=progress)
    if as_json:
        write_output(json.dumps({"folder": str(result.folder), **result.metrics}))
