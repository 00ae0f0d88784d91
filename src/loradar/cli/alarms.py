"""``loradar alarms``."""

from __future__ import annotations

from pathlib import Path

import typer


def alarms(
    model: Path = typer.Argument(..., help="Model folder, or `loradar/embedded`.", metavar="MODEL"),
    on: list[Path] = typer.Option(
        ...,
        "--on",
        metavar="SOURCE",
        help="Human speech: manifest, folder of audio or of a corpus; may be repeated. Spoofed "
        "rows are left out.",
    ),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read --on as this public corpus, e.g. librispeech."
    ),
    where: list[str] = typer.Option(
        [], "--where", metavar="COLUMN=VALUE,...", help="Use these rows only."
    ),
    minutes: float = typer.Option(
        10.0,
        "--minutes",
        min=0,
        help="Join each voice's clips to recordings of so many minutes; 0: every file alone. "
        "Longer files stay as they are.",
    ),
    voice: str | None = typer.Option(
        None,
        "--voice",
        metavar="REGEX",
        help="What names a clip's voice in its path, e.g. `(sub[0-9]+[ab])`. Default: the "
        "manifest's speaker, else the folder.",
    ),
    prior: float = typer.Option(
        0.5, "--prior", min=0.001, max=0.999, help="Prior probability of spoof."
    ),
    engine: str = typer.Option("torch", "--engine", help="As for `loradar detect`."),
    batch_size: int = typer.Option(16, "--batch-size", min=1, help="Windows a forward pass."),
    out: Path | None = typer.Option(
        None, "-o", "--out", metavar="FOLDER", help="Write the results, and every recording's."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """Count false alarms an hour on human speech, with their exact Poisson interval.

    An alarm is a recording told SPOOF; beside it, stretches of the timelines that are called
    spoofed.

    Example: `loradar alarms loradar/embedded --on recordings/ -o alarms/`
    """
    import json
    import tempfile

    import pandas as pd

    from loradar.cli.console import OUTPUT, note, reporting, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.models import new_folder, shown_name
    from loradar.cli.sources import read_source
    from loradar.cli.trials import filtered
    from loradar.corpora.joined import joined_recordings, voices_by_pattern
    from loradar.errors import InputError
    from loradar.evaluation.table import rich_table
    from loradar.evaluation.timelines import alarm_report
    from loradar.evaluation.timelines_text import alarm_tables, markdown
    from loradar.files import write_json, write_text
    from loradar.inference.model import load_model
    from loradar.scoring.long_recordings import judge_human

    folder = None if out is None else new_folder(out, "results.json")
    rows = parse_where(where)
    clips = pd.concat([filtered(read_source(s, corpus), rows).table for s in on])
    clips = clips[clips["label"] != "spoof"].drop_duplicates("path", ignore_index=True)
    if clips.empty:
        raise InputError(f"{on[0]}: no human clip: all are spoofed")
    if voice is not None:
        clips["speaker"] = voices_by_pattern(clips["path"], voice)
    loaded = load_model(model, engine=engine)
    with tempfile.TemporaryDirectory(prefix="loradar-") as room, reporting("clips") as progress:
        recordings = joined_recordings(clips, 60 * minutes, Path(room))
        found, unreadable = judge_human(
            loaded,
            recordings,
            prior=prior,
            batch_size=batch_size,
            progress=lambda done, _, what: progress(done, len(clips), what),
        )
    if unreadable:
        note(f"{len(unreadable)} clips could not be read, first: {unreadable[0]}")
    tables = found.tables()
    report = {
        "model": shown_name(model),
        "sources": [str(source) for source in on],
        "clips": len(clips),
        "unreadable": unreadable,
        "minutes": minutes,
        "prior": prior,
        **alarm_report(tables),
    }
    shown = alarm_tables(report)
    if folder is not None:
        intro = (
            f"`{report['model']}` on {len(clips):,} clips of {report['voices']['of']} voices, "
            f"joined to recordings of {minutes:g} minutes; prior of spoof {prior:g}."
        )
        write_text(folder / "alarms.md", markdown("False alarms", intro, shown, NOTES))
        kept = ["name", "voice", "corpus", "seconds", "verdict", "llr", "reasons"]
        tables["recordings"][kept].to_csv(folder / "recordings.csv", index=False)
        write_text(folder / "verdicts.jsonl", "\n".join(found.lines) + "\n")
        write_json(folder / "results.json", report)
    if as_json:
        write_output(json.dumps(report))
        return
    for title, frame in shown.items():
        OUTPUT.print(rich_table(frame, title))
    voices = report["voices"]
    write_output(f"{voices['count']} of {voices['of']} voices have an alarm")
    if folder is not None:
        write_output(f"wrote {folder}")


NOTES = """In brackets: exact 95 % intervals (Garwood for rates, Clopper and Pearson for shares), \
which take alarms as independent; those of one voice are not. Hours are of recordings with an \
answer."""
