"""``loradar compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from loradar.evaluation.compare.runs import Run


def compare(
    runs: list[Path] = typer.Argument(
        ..., help="Folders that `loradar grid` made (or their runs.csv).", metavar="RUNS"
    ),
    main: str | None = typer.Option(
        None,
        "--variant",
        metavar="NAME",
        help="Set this variant against every other. Default: moe_lora, else the first trained one.",
    ),
    folds: str | None = typer.Option(
        None, "--folds", metavar="NAME,...", help="Use these folds only."
    ),
    clusters: str = typer.Option(
        "pair_id", "--clusters", metavar="COLUMN", help="Resample clips by `pair_id` or `speaker`."
    ),
    resamples: int = typer.Option(1000, "--resamples", min=1, help="Bootstrap draws."),
    out: Path | None = typer.Option(
        None,
        "-o",
        "--out",
        metavar="FOLDER",
        help="Also write comparison.md, .tex, .html and .json, and the plots, here.",
    ),
    choose_on: str = typer.Option(
        "matched",
        "--choose-on",
        metavar="CLIPS",
        help="Inner folds: choose by `matched` clips, or by `all`.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """Compare the variants of a grid: EERs in and out of domain, intervals, ratios, costs.

    For a grid of inner folds it prints the choice instead: mean cross-entropy on the groups left
    out, and the best variant of each fold.

    Example: `loradar compare runs/mini -o results/mini`
    """
    import json

    from loradar.cli.console import OUTPUT, note, reporting, write_output
    from loradar.evaluation.compare.choice import is_inner
    from loradar.evaluation.compare.compare import compare_runs
    from loradar.evaluation.compare.runs import find_runs
    from loradar.evaluation.compare.tables import caption, over_text, variants_text
    from loradar.evaluation.compare.write import OVER, remarks, summary, write_comparison
    from loradar.evaluation.table import rich_table

    found = find_runs(runs)
    if is_inner(found):
        _choice(found, choose_on, out, as_json)
        return
    with reporting() as progress:
        comparison = compare_runs(
            found,
            main=main,
            folds=None if folds is None else [name.strip() for name in folds.split(",")],
            clusters=clusters,
            resamples=resamples,
            progress=progress,
        )
    if out is not None:
        for path in write_comparison(out, comparison):
            note(f"wrote {path}")
    if as_json:
        write_output(json.dumps(summary(comparison)))
        return
    # One variant a column: the table has more figures than a terminal has columns.
    sideways = variants_text(comparison).set_index("variant").T.rename_axis("").reset_index()
    OUTPUT.print(rich_table(sideways, "Variants", caption(comparison)))
    if comparison["over"]:
        title = f"{comparison['main']} against the others"
        OUTPUT.print(rich_table(over_text(comparison), title, OVER))
    for line in remarks(comparison):
        note(line)


def _choice(runs: list[Run], on: str, out: Path | None, as_json: bool) -> None:
    """Print, and write where asked, what inner folds choose."""
    import json

    from loradar.cli.console import OUTPUT, note, write_output
    from loradar.errors import ConfigError
    from loradar.evaluation.compare.choice import SELECTIONS, choice_caption, choice_text, choose
    from loradar.evaluation.compare.write import write_choice
    from loradar.evaluation.table import rich_table

    if on not in SELECTIONS:
        raise ConfigError(f"--choose-on {on}: there are {', '.join(SELECTIONS)}")
    choice = choose(runs, on=on)
    if out is not None:
        for path in write_choice(out, choice):
            note(f"wrote {path}")
    if as_json:
        write_output(json.dumps(choice))
        return
    for fold, block in choice["folds"].items():
        title = f"Choice for fold {fold}: {block['winner']}"
        OUTPUT.print(rich_table(choice_text(choice, fold), title, choice_caption(choice, fold)))
    for line in choice["left_out"]:
        note(f"left out: {line}")
