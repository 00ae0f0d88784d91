"""``loradar grow``."""

from __future__ import annotations

from pathlib import Path

import typer


def grow(
    model: Path = typer.Argument(..., help="Model folder, or `loradar/embedded`.", metavar="MODEL"),
    data: Path = typer.Option(
        ...,
        "--data",
        metavar="MANIFEST",
        help="20 to 200 clips of the new attack: all its spoofed rows. Bona fide rows too, unless "
        "--replay has them. Rows with split=eval take no part.",
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="The grown model."),
    where: list[str] = typer.Option(
        [], "--where", metavar="COLUMN=VALUE,...", help="Use these rows of --data only."
    ),
    replay: Path | None = typer.Option(
        None, "--replay", metavar="MANIFEST", help="Clips from before, so that less is forgotten."
    ),
    replay_where: list[str] = typer.Option(
        [], "--replay-where", metavar="COLUMN=VALUE,...", help="Use these rows of --replay only."
    ),
    rank: int | None = typer.Option(None, "--rank", min=1, help="Default: that of the others."),
    experts: list[int] = typer.Option(
        [], "--expert", metavar="N", help="Train this one, grown or imported before; may repeat."
    ),
    gates_only: bool = typer.Option(
        False, "--gates-only", help="With --expert: train its gates alone."
    ),
    steps: int = typer.Option(150, "--steps", min=1, help="At most."),
    batch_size: int = typer.Option(16, "--batch-size", min=2, help="Clips a step."),
    learning_rate: float = typer.Option(2e-3, "--learning-rate", help="Peak."),
    evaluate_every: int = typer.Option(10, "--evaluate-every", min=1, help="Steps."),
    patience: int = typer.Option(
        4, "--patience", min=1, help="Looks at the held clips without a gain that end it."
    ),
    held: float = typer.Option(
        0.2, "--held", help="Share held back; rows with split=dev always are."
    ),
    replay_share: float = typer.Option(
        0.5, "--replay-share", help="Share of spoofed draws from --replay."
    ),
    keep: float = typer.Option(
        1.0, "--keep", min=0, help="Weight of staying with the old answers on all other clips."
    ),
    everything: bool = typer.Option(
        False, "--everything", help="Train every weight, and no expert: to compare."
    ),
    precision: str = typer.Option("fp32", "--precision", help="`fp32` or `bf16`."),
    augment: bool = typer.Option(True, help="As in the model's own training."),
    seed: int = typer.Option(0, "--seed", min=0, help="Decides what is held, and the draws."),
    as_json: bool = typer.Option(False, "--json", help="Print the figures as JSON."),
) -> None:
    """Teach a model a new attack: one expert more in each layer, everything else as it was.

    Before the first step the grown model is the old one bit for bit. Training ends when clips held
    back gain no more.

    Example: `loradar grow runs/mine --data new_attack.csv --replay old.csv -o runs/grown`
    """
    import json

    from loradar.cli.console import logging_to, reporting, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.models import model_folder, new_folder, shown_name
    from loradar.cli.sources import read_source
    from loradar.cli.trials import filtered
    from loradar.errors import InputError
    from loradar.training.growth.settings import GrowthSettings

    settings = GrowthSettings.of(
        rank=rank,
        experts=tuple(experts),
        gates_only=gates_only,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        evaluate_every=evaluate_every,
        patience=patience,
        held=held,
        replay_share=replay_share,
        keep=keep,
        everything=everything,
        precision=precision,
        augment=augment,
        seed=seed,
    )
    if replay_where and replay is None:
        raise InputError("--replay-where chooses rows of --replay: give it too")
    folder = model_folder(model)
    new_folder(out)
    clips = filtered(read_source(data), parse_where(where))
    old = None
    if replay is not None:
        old = filtered(read_source(replay), parse_where(replay_where, "--replay-where"))

    from loradar.detector.checkpoint import load_detector
    from loradar.training.growth.run import grow as run

    with reporting() as progress, logging_to():
        result = run(
            load_detector(folder),
            folder,
            out,
            clips,
            old,
            settings=settings,
            name=shown_name(model),
            progress=progress,
        )
    if as_json:
        write_output(json.dumps({"folder": str(result.folder), **result.metrics}))
