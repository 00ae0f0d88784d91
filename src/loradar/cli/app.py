"""The ``loradar`` command: its sub-commands, and how errors end."""

from __future__ import annotations

import os
import sys

import typer

from loradar import __version__
from loradar.cli import (
    alarms,
    augment,
    calibrate,
    compare,
    corpus,
    demo,
    detect,
    evaluate,
    experts,
    export,
    fuse,
    grid,
    grow,
    import_weights,
    pretrain,
    report,
    score,
    splices,
    submission,
    train,
    vocoder,
)
from loradar.cli.allocator import keep_freed_memory
from loradar.cli.console import complain
from loradar.errors import LoradarError

app = typer.Typer(
    name="loradar",
    help="Tell real human speech from machine-made speech.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"loradar {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Tell real human speech from machine-made speech."""


app.command("train")(train.train)
app.command("pretrain")(pretrain.pretrain)
app.command("grid")(grid.grid)
app.command("compare")(compare.compare)
app.command("grow")(grow.grow)
app.add_typer(experts.app, name="experts")
app.command("evaluate")(evaluate.evaluate)
app.command("detect")(detect.detect)
app.command("score")(score.score)
app.command("splices")(splices.splices)
app.command("alarms")(alarms.alarms)
app.command("export")(export.export)
app.command("calibrate")(calibrate.calibrate)
app.command("fuse")(fuse.fuse)
app.command("report")(report.report)
app.command("submission")(submission.submission)
app.command("augment")(augment.augment)
app.command("import")(import_weights.import_weights)
app.add_typer(corpus.app, name="corpus")
app.add_typer(vocoder.app, name="vocoder")
app.command("demo")(demo.demo)


def main() -> None:
    """Run the command line; user errors end as one line and exit code 2, Ctrl-C as 130."""
    # The Trainer would otherwise ask a hub, at import, about integrations that are not used here.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    keep_freed_memory()
    try:
        app()
    except LoradarError as error:
        complain(str(error))
        sys.exit(2)
    except OSError as error:
        # A file or folder that cannot be read or written, a full disk.
        complain(str(error))
        sys.exit(2)
