"""``loradar corpus copies``, ``loradar corpus attacks``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from loradar.corpora.copies import Copies


def copies(
    source: Path = typer.Argument(..., help="Manifest (CSV, Parquet) or folder of real speech."),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="Folder to make."),
    attacks: str = typer.Option(
        "all",
        "--attacks",
        metavar="LIST",
        help="Attacks or families (`loradar corpus attacks`); a name of both is the family's.",
    ),
    per_clip: int = typer.Option(
        1, "--per-clip", min=1, help="Copies a clip, by attacks in turn; many means all."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Equal seeds give equal copies."),
    seconds: float | None = typer.Option(
        None, "--seconds", help="Cut clips to their most energetic part, this long."
    ),
    channels: str = typer.Option(
        "none", "--channels", metavar="LIST", help="Channels for source and copies; all; none."
    ),
    where: list[str] = typer.Option(
        [], "--where", metavar="COL=V[,V...]", help="Copy only such rows; may be repeated."
    ),
    without: list[str] = typer.Option(
        [], "--without", metavar="COL=V[,V...]", help="Leave such rows out; may be repeated."
    ),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read the folder as this corpus, e.g. librispeech."
    ),
    audio_format: str = typer.Option("flac", "--format", help="`flac` or `wav`, 16 kHz, 16 bits."),
    workers: int | None = typer.Option(
        None, "--workers", min=1, help="Processes. Default: the cores."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what was made as JSON."),
) -> None:
    """Make spoofed copies of real speech through vocoders and codecs, as a ready manifest.

    A run that was stopped goes on when the same command is given again. Exit code 0: all made;
    1: something was skipped (FOLDER/skipped.csv); 2: nothing made, or a usage error.

    Example: `loradar corpus copies calls/ -o copies/ --attacks all --per-clip 3`
    """
    import json
    import time

    from loradar.cli.console import logging_to, note, reporting, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.corpora.copies import make_copies

    manifest = read_source(source, corpus)
    if where:
        manifest = manifest.where(parse_where(where))
    if without:
        manifest = manifest.without(parse_where(without, "--without"))
    started = time.monotonic()
    with reporting("clips") as progress, logging_to():
        result = make_copies(
            manifest,
            out,
            attacks=_listed(attacks),
            per_clip=per_clip,
            seed=seed,
            seconds=seconds,
            channels=_listed(channels),
            audio_format=audio_format,
            workers=workers,
            progress=progress,
        )
    elapsed = time.monotonic() - started
    summary = _summary(result, out)
    if as_json:
        rate = round(result.made / elapsed, 3)
        write_output(json.dumps({**summary, "clips_per_s": rate}))
    lost = f"; {len(result.skipped)} skipped: {out / 'skipped.csv'}" if result.skipped else ""
    speed = f"{result.made} clips in {elapsed:.0f} s, {result.made / elapsed:.2f} clips/s"
    note(
        f"wrote {summary['manifest']}: {summary['clips']} clips, {summary['copies']} copies "
        f"({speed if result.made else 'all there already'}){lost}"
    )
    if result.skipped:
        raise typer.Exit(1)


def attacks() -> None:
    """List the attacks and channels, and why some cannot run here."""
    from loradar.cli.console import write_output
    from loradar.corpora.copies.channels import CHANNELS, choose_channels
    from loradar.vocoders.attacks import ATTACKS

    for attack in ATTACKS.values():
        needs = f"needs {', '.join(sorted(attack.needs))}" if attack.needs else ""
        told = [attack.family, attack.kind, needs, "" if attack.aligned else "not aligned"]
        reason = attack.missing()
        told.append(f"not here: {reason}" if reason else "")
        write_output(f"{attack.name:<18} {'; '.join(part for part in told if part)}")
    there, absent = choose_channels(["all"])
    write_output(f"channels: {', '.join(name for name in CHANNELS if name in there)}")
    for line in absent:
        write_output(line)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _summary(result: Copies, out: Path) -> dict[str, object]:
    table = result.manifest.table
    by_attack = table[table["label"] == "spoof"]["attack"].value_counts(sort=False)
    return {
        "manifest": str(out / "manifest.csv"),
        "clips": int((table["label"] == "bonafide").sum()),
        "copies": int((table["label"] == "spoof").sum()),
        "by_attack": {str(name): int(count) for name, count in by_attack.items()},
        "skipped": len(result.skipped),
    }
