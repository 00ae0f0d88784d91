"""``loradar demo``: the whole path on a small corpus, in minutes."""

from __future__ import annotations

from pathlib import Path

import typer


def demo(
    recipe: Path | None = typer.Option(
        None,
        "--recipe",
        metavar="FILE",
        help="Recipe of both trainings. Default: demo_embedded.yaml where the embedded encoder is "
        "installed, else demo.yaml.",
    ),
    out: Path = typer.Option(Path("runs/demo"), "-o", "--out", metavar="FOLDER"),
    corpus: Path | None = typer.Option(
        None, "--corpus", metavar="MANIFEST", help="Real speech. Default: the sandbox corpus."
    ),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change a recipe value; may be repeated."
    ),
) -> None:
    """Train moe_lora and full, compare them in- and out-of-domain, write a report.

    The sandbox corpus is synthetic: it proves the plumbing, not detection skill.

    Example: `loradar demo --corpus path/to/manifest.csv -o runs/mine`
    """
    from loradar.cli.console import logging_to, reporting
    from loradar.cli.showcase import run_showcase

    with reporting() as progress, logging_to():
        run_showcase(recipe or default_recipe(), out, corpus, overrides, progress)


def default_recipe() -> Path:
    """Return the demo's recipe: on the embedded encoder where there is one."""
    from loradar.embedded import ENCODER, is_installed

    return recipes_folder() / ("demo_embedded.yaml" if is_installed(ENCODER) else "demo.yaml")


def recipes_folder() -> Path:
    """Return where the recipes are: inside an installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parents[1] / "recipes"
