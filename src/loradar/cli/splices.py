"""``loradar splices``."""

from __future__ import annotations

from pathlib import Path

import typer


def splices(
    model: Path = typer.Argument(..., help="Model folder, or `loradar/embedded`.", metavar="MODEL"),
    on: Path = typer.Option(
        ..., "--on", metavar="MANIFEST", help="Labelled clips, human and spoofed."
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="Folder to make."),
    where: list[str] = typer.Option(
        [],
        "--where",
        metavar="COLUMN=VALUE,...",
        help="Use these rows only: split=eval unless a split is given here or there are no such "
        "rows.",
    ),
    background: Path | None = typer.Option(
        None,
        "--background",
        metavar="SOURCE",
        help="Human recordings to splice into: manifest or folder. Default: the human clips of "
        "--on, joined.",
    ),
    per_cell: int = typer.Option(
        10, "--per-cell", min=1, help="Recordings a splice, length and kind of stretch."
    ),
    seconds: float = typer.Option(60.0, "--seconds", min=10, help="Length of a recording."),
    long: int = typer.Option(
        20, "--long", min=0, help="Long recordings with one spoofed sentence, and as many without."
    ),
    minutes: float = typer.Option(10.0, "--minutes", min=0.5, help="Length of those."),
    seed: int = typer.Option(0, "--seed", min=0, help="Equal seeds give equal recordings."),
    prior: float = typer.Option(
        0.5, "--prior", min=0.001, max=0.999, help="Prior probability of spoof."
    ),
    engine: str = typer.Option("torch", "--engine", help="As for `loradar detect`."),
    batch_size: int = typer.Option(16, "--batch-size", min=1, help="Windows a forward pass."),
    keep: bool = typer.Option(False, "--keep", help="Keep the recordings (FLAC) to hear them."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """Measure how well spoofed stretches in long recordings are found and placed.

    Clips are spliced into human speech by hard cuts, crossfades and with pauses, for 1, 2 and 4 s
    and several times; one turn or all of one side of a call; one sentence in ten minutes. As many
    recordings with human stretches in their place, and with none, tell the false alarms.

    Writes results.json, splices.md, recordings.csv, verdicts.jsonl and spans.csv.

    Example: `loradar splices loradar/embedded --on manifest.csv -o splices/`
    """
    import json
    import tempfile
    from dataclasses import asdict

    from loradar.cli.console import OUTPUT, reporting, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.models import new_folder, shown_name
    from loradar.cli.sources import read_source
    from loradar.cli.trials import filtered, with_default_split
    from loradar.corpora.joined import voices_of
    from loradar.corpora.spliced import Amount, Splicer
    from loradar.evaluation.table import rich_table
    from loradar.evaluation.timelines import splice_report
    from loradar.evaluation.timelines_text import markdown, splice_tables
    from loradar.files import write_json, write_text
    from loradar.inference.model import load_model
    from loradar.scoring.long_recordings import judge_spliced

    folder = new_folder(out, "results.json")
    manifest = read_source(on)
    clips = filtered(manifest, with_default_split(manifest, parse_where(where)))
    voices = None
    if background is not None:
        table = read_source(background).table
        table = table[table["label"] != "spoof"]
        voices = {str(k): v.tolist() for k, v in table.groupby(voices_of(table))["path"]}
    amount = Amount(per_cell, seconds, long, 60 * minutes)
    splicer = Splicer(clips.table, amount, seed, voices)
    loaded = load_model(model, engine=engine)
    with tempfile.TemporaryDirectory() as room, reporting("recordings") as progress:
        found = judge_spliced(
            loaded,
            splicer,
            folder if keep else Path(room),
            prior=prior,
            batch_size=batch_size,
            keep=keep,
            progress=progress,
        )
    tables = found.tables()
    report = {
        "model": shown_name(model),
        "clips": str(on),
        "background": None if background is None else str(background),
        "seed": seed,
        "prior": prior,
        "amount": asdict(amount),
        **splice_report(tables),
    }
    shown = splice_tables(report)
    intro = (
        f"`{report['model']}` on {len(splicer)} recordings spliced from {len(clips)} clips of "
        f"`{on.name}` into {'their human clips' if background is None else f'`{background.name}`'}"
        f", seed {seed}, prior of spoof {prior:g}."
    )
    write_text(folder / "splices.md", markdown("Spliced speech", intro, shown, NOTES))
    tables["recordings"].drop(columns=["voice", "corpus"]).to_csv(
        folder / "recordings.csv", index=False
    )
    spans = tables["truth"]
    spans[spans["spoof"]][["path", "start", "end"]].to_csv(folder / "spans.csv", index=False)
    write_text(folder / "verdicts.jsonl", "\n".join(found.lines) + "\n")
    write_json(folder / "results.json", report)
    if as_json:
        write_output(json.dumps(report))
        return
    for title, frame in shown.items():
        OUTPUT.print(rich_table(frame, title))
    write_output(f"wrote {folder}")


NOTES = """In brackets: exact 95 % intervals, which take recordings as independent; clips recur, \
so the true ones are somewhat wider. *Stretches alone*: told as spoofed when heard alone, the most \
that can be found. *Found*: the timeline calls a part of it spoofed; *error*: of those, how far \
the call's start and end are from the true ones (median, 90 %). *EER*: of the timeline's stretches \
over time and over segments of 0.64 s, and of the windows over time, with the human twins' \
recordings. Every clip is levelled to -26 dB; cuts are made where it is quiet."""
