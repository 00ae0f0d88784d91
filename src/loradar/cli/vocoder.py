"""``loradar vocoder``: training the neural vocoders."""

from __future__ import annotations

from pathlib import Path

import typer

from loradar.cli.evidence import evidence

app = typer.Typer(help="Train the neural vocoders that make copies.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Train the neural vocoders that make copies."""


@app.command()
def train(
    recipe: Path = typer.Argument(..., help="Recipe (YAML), e.g. recipes/vocoder_istft.yaml."),
    out: Path | None = typer.Option(
        None, "-o", "--out", help="Folder for the run. Default: runs/NAME.", metavar="FOLDER"
    ),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change a recipe value; may be repeated."
    ),
    resume: bool = typer.Option(False, "--resume", help="Go on from the last checkpoint."),
    start: Path | None = typer.Option(
        None, "--start", metavar="WEIGHTS", help="Begin with these weights (.safetensors)."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the run's figures as JSON."),
) -> None:
    """Train a vocoder from a recipe.

    Example: `loradar vocoder train recipes/vocoder_istft.yaml --set data.path=clips.csv`
    """
    import json

    from loradar.cli.console import logging_to, reporting, write_output
    from loradar.training.vocoder.recipe import read_vocoder_recipe
    from loradar.training.vocoder.run import train_vocoder

    parsed = read_vocoder_recipe(recipe, overrides)
    folder = out or Path("runs") / parsed.name
    with reporting() as progress, logging_to(folder / "train.log"):
        result = train_vocoder(parsed, folder, progress=progress, resume=resume, start=start)
    if as_json:
        write_output(json.dumps({"folder": str(result.folder), **result.metrics}))


app.command("evidence")(evidence)
