"""``loradar corpus``: public corpora, made ones, and spoofed copies of real ones."""

from __future__ import annotations

from pathlib import Path

import typer

from loradar.cli import copies, corpora

app = typer.Typer(help="Read, check and make corpora.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Read, check and make corpora."""


@app.command("make")
def make(
    what: str = typer.Argument(..., help="`sandbox`.", metavar="sandbox"),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="Folder to make."),
    seed: int = typer.Option(0, "--seed", min=0, help="Equal seeds give equal corpora."),
) -> None:
    """Render the sandbox corpus: synthetic speakers, and attacks through classical vocoders.

    It proves plumbing, not detection skill.

    Example: `loradar corpus make sandbox -o corpus/`
    """
    from loradar.errors import InputError

    if what != "sandbox":
        raise InputError(f"corpus make {what}: the only corpus that can be made is sandbox")

    from loradar.cli.console import note, reporting
    from loradar.corpora.sandbox import make_sandbox

    with reporting() as progress:
        manifest = make_sandbox(out, seed=seed, progress=progress)
    note(f"wrote {out / 'manifest.csv'}: {len(manifest)} clips")


app.command("list")(corpora.list_corpora)
app.command("info")(corpora.info)
app.command("prepare")(corpora.prepare)
app.command("check")(corpora.check)
app.command("shard")(corpora.shard)
app.command("copies")(copies.copies)
app.command("attacks")(copies.attacks)
