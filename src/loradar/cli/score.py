"""``loradar score``."""

from __future__ import annotations

from pathlib import Path

import typer


def score(
    source: Path = typer.Argument(..., help="Manifest (CSV, Parquet) or folder of audio."),
    out: Path = typer.Option(..., "-o", "--out", metavar="FILE", help="Score file to write."),
    model: Path | None = typer.Option(
        None,
        "--model",
        metavar="FOLDER|ID",
        help="Folder that `loradar train` wrote. Default: `loradar/embedded`.",
    ),
    windows: str = typer.Option("all", "--windows", help="`all` or `first`."),
    batch_size: int = typer.Option(16, "--batch-size", min=1, help="Windows a forward pass."),
    prior: float = typer.Option(
        0.5, "--prior", min=0.001, max=0.999, help="Prior probability of spoof."
    ),
) -> None:
    """Score many clips: one row a clip, labels may be empty.

    Example: `loradar score clips/ --model runs/demo/moe_lora -o scores.csv`
    """
    from loradar.cli.console import note, reporting
    from loradar.cli.sources import read_source
    from loradar.cli.trials import check_target, check_windows
    from loradar.evaluation.scorefile import write_scores
    from loradar.inference.model import load_model
    from loradar.scoring.scores import score_manifest, without_gates

    check_windows(windows)
    check_target(out, ".csv", ".csv.gz")
    loaded = load_model(model)
    manifest = read_source(source)
    with reporting() as progress:
        table = score_manifest(
            loaded,
            manifest,
            batch_size=batch_size,
            windows=windows,
            prior=prior,
            progress=progress,
        )
    write_scores(out, without_gates(table))
    errors = int((table["verdict"] == "ERROR").sum())
    note(f"wrote {out}: {len(table)} clips" + (f", {errors} could not be read" if errors else ""))
    if errors:
        raise typer.Exit(2 if errors == len(table) else 1)
