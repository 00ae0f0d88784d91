"""``loradar score``."""

from __future__ import annotations

from pathlib import Path

import typer

from loradar.errors import InputError


def score(
    source: Path = typer.Argument(
        ...,
        help="Manifest (CSV, Parquet), folder of audio, shards, hub:OWNER/NAME[:SPLIT] (a data set "
        "of the hub), or `-`: a list of files on standard input.",
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="FILE", help="Score file to write."),
    model: Path | None = typer.Option(
        None,
        "--model",
        metavar="FOLDER|ID",
        help="Folder that `loradar train` wrote. Default: `loradar/embedded`.",
    ),
    windows: str = typer.Option("all", "--windows", help="`all` or `first`."),
    batch_size: int = typer.Option(16, "--batch-size", min=1, help="Windows a forward pass."),
    precision: str = typer.Option(
        "float32",
        "--precision",
        help="`float32`; `bfloat16`: some two thirds faster where the processor has instructions "
        "for it, scores a few hundredths off; `int8`: for large encoders, linear maps in 8 bits.",
    ),
    prior: float = typer.Option(
        0.5, "--prior", min=0.001, max=0.999, help="Prior probability of spoof."
    ),
) -> None:
    """Score many clips: one row a clip, labels may be empty.

    A run that was stopped goes on with the same command. One bad file is a row with its reason.

    Example: `loradar score clips/ --model runs/demo/moe_lora -o scores.csv`,
    `find / -name '*.mp3' | loradar score - -o scores.csv`
    """
    from loradar.cli.console import note, reporting
    from loradar.cli.models import model_folder
    from loradar.cli.sources import clips_of
    from loradar.cli.trials import check_target, check_windows
    from loradar.embedded import DETECTOR_ID
    from loradar.files import sha256_of
    from loradar.inference.model import load_model
    from loradar.scoring.journal import score_files

    check_windows(windows)
    check_target(out, ".csv", ".csv.gz")
    weights = model_folder(model or Path(DETECTOR_ID)) / "model.safetensors"
    # Before the model, which takes seconds.
    clips, total = clips_of(source)
    loaded = load_model(model, precision=precision)
    with reporting("clips") as progress:
        done = score_files(
            loaded,
            clips,
            out,
            settings={"weights": sha256_of(weights), "precision": precision},
            prior=prior,
            batch_size=batch_size,
            first=windows == "first",
            progress=lambda count: progress(count, total, "scoring"),
        )
    if not done.files:
        raise InputError(f"{source}: no files to score")
    went_on = f", {done.before} of them by an earlier run" if done.before else ""
    failed = f", {done.errors} could not be read" if done.errors else ""
    note(f"wrote {out}: {done.files} clips{went_on}{failed}")
    if done.errors:
        raise typer.Exit(2 if done.errors == done.files else 1)
