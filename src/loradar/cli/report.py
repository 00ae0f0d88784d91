"""``loradar report``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd

    from loradar.cli.trials import Conditions
    from loradar.corpora.manifest import Manifest

SCORES, CELL = "scores.csv", "cell.json"
TEXTS = {
    "config.json": "model",
    "recipe.yaml": "recipe",
    "metrics.json": "training",
    "calibration.json": "calibration",
}
# A recipe of an import or a long curve would drown the page.
MOST_CHARACTERS = 20_000


def report(
    runs: list[Path] = typer.Argument(
        ...,
        help="Score files, model folders (with --on) or runs of a grid (their scores.csv).",
        metavar="RUN...",
    ),
    out: Path = typer.Option(
        ..., "-o", "--out", metavar="FILE", help="The report, one self-contained HTML file."
    ),
    on: Path | None = typer.Option(
        None,
        "--on",
        metavar="MANIFEST",
        help="Clips that models are scored on; labels of score files that have none.",
    ),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read --on as this public corpus, e.g. asvspoof2019_la."
    ),
    where: list[str] = typer.Option(
        [],
        "--where",
        metavar="COLUMN=VALUE,...",
        help="Use these rows only (a model: split=eval unless named).",
    ),
    by: list[str] = typer.Option(
        [], "--by", metavar="COLUMN", help="Break down by this column too; may be repeated."
    ),
    within: list[str] = typer.Option(
        [], "--within", metavar="COLUMN", help="Compare the classes inside each value of it."
    ),
    ood: str | None = typer.Option(
        None, "--ood", metavar="VALUE,...", help="Average the EER over these values of --by."
    ),
    clusters: str | None = typer.Option(
        None, "--clusters", metavar="COLUMN", help="Resample by this column, e.g. speaker."
    ),
    resamples: int = typer.Option(500, "--resamples", min=0, help="Bootstrap draws; 0: none."),
    clips: int = typer.Option(
        3, "--clips", min=0, help="Worst clips of each class to embed, with sound; 0: none."
    ),
    title: str = typer.Option("Detection report", "--title", help="Title of the page."),
) -> None:
    """Write a report on one or more systems as one HTML file that needs no network.

    Summary, table, DET curves, score histograms, bars by attack, calibration, experts, the worst
    clips to see and hear, configuration. It holds people's voices: mind whom you send it to, or
    give --clips 0.

    Example: `loradar report scores_a.csv scores_b.csv -o report.html`;
    `loradar report runs/mine --on manifest.csv -o report.html`
    """
    import sys
    from datetime import UTC, datetime

    from loradar.cli.console import note
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.cli.trials import check_target
    from loradar.errors import InputError

    check_target(out, ".html", ".htm")
    names = _names(runs)
    for run in runs:
        _check(run, on)
    if ood is not None and len(by) > 1:
        raise InputError("--ood takes its values from one column: give one --by")
    conditions = parse_where(where)
    manifest = None if on is None else read_source(on, corpus)

    from loradar.evaluation.report import write_report
    from loradar.evaluation.reporting.page import sections
    from loradar.evaluation.reporting.systems import System

    systems = []
    for name, run in zip(names, runs, strict=True):
        table = _trials(run, on, manifest, conditions)
        _require_both(name, table)
        systems.append(
            System.of(
                name,
                table,
                about=_about(run),
                sources=_sources(run, table),
                by=_breakdowns(table, by),
                within=within,
                ood=None if ood is None else [value.strip() for value in ood.split(",")],
                ood_column=by[0] if ood is not None and by else None,
                clusters=clusters,
                resamples=resamples,
            )
        )
    folders = [path.parent for path in (*([on] if on else []), *runs)]
    folders += [found.parent for run in runs if (found := _clips_of(run)) is not None]
    if clips and not any(_is_there(system.trials["path"], folders) for system in systems):
        note(
            "the clips were not found: the report has no sound (--on MANIFEST says where they lie)"
        )
    command = shlex.join(["loradar", *(Path(word).name or word for word in sys.argv[1:])])
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    parts = sections(systems, command=command, made=made, clips=clips, folders=folders)
    write_report(out, title, parts)
    note(f"wrote {out}")


def _names(runs: list[Path]) -> list[str]:
    """Name systems by their last path, runs of a grid (and equal names) by more of it."""
    from loradar.cli.trials import model_name
    from loradar.errors import InputError

    names = [
        "/".join(run.absolute().parts[-3:]) if (run / CELL).is_file() else model_name(run)
        for run in runs
    ]
    if len(set(names)) < len(names):
        names = ["/".join(run.parts[-3:]) for run in runs]
    if len(set(names)) < len(names):
        raise InputError("two of the runs have the same name: rename one of them")
    return names


def _check(run: Path, on: Path | None) -> None:
    from loradar.cli.trials import is_model
    from loradar.errors import InputError

    if is_model(run):
        if on is None and not (run / SCORES).is_file():
            raise InputError(f"{run}: holds no {SCORES}: say which clips, --on MANIFEST")
    elif not run.exists():
        raise InputError(f"{run}: no such score file, model folder or run")


def _trials(
    run: Path, on: Path | None, manifest: Manifest | None, conditions: Conditions
) -> pd.DataFrame:
    from loradar.cli.trials import file_trials, is_model, keep_rows, trials_of

    if is_model(run) and (manifest is None or _is_scored_alone(run)):
        run = run / SCORES
    table = None if is_model(run) else file_trials(run, None, None)
    if table is not None and "label" in table and (table["label"] != "").any():
        table = keep_rows(table, conditions, run)  # it has labels of its own
    else:
        table = trials_of(run, on, manifest, conditions, windows="all", batch_size=16)
    if run.name == SCORES:
        # A run of a grid lists every clip of the benchmark, scored or not.
        table = table[table["score"].notna()].reset_index(drop=True)
    return table


def _is_scored_alone(run: Path) -> bool:
    """Whether a run's folder holds scores and no model: a baseline of a grid."""
    return (run / SCORES).is_file() and not (run / "config.json").is_file()


def _clips_of(run: Path) -> Path | None:
    """Return the manifest that a grid scored a run on, seen from here or from the grid."""
    import json

    try:
        named = Path(json.loads((run / CELL).read_text(encoding="utf-8"))["on"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    places = (Path.cwd(), *run.absolute().parents)
    return next((found for place in places if (found := place / named).exists()), None)


def _is_there(paths: pd.Series[str], folders: list[Path]) -> bool:
    """Whether the first of the clips is there: one look is enough to tell."""
    from loradar.audio.archives import is_clip

    first = Path(str(paths.iloc[0]))
    return any(is_clip(folder / first) for folder in (Path(), *folders))


def _require_both(name: str, table: pd.DataFrame) -> None:
    from loradar.errors import InputError
    from loradar.evaluation.fitting import labelled

    missing = {"bonafide", "spoof"} - set(labelled(table)["label"])
    if missing:
        raise InputError(f"{name}: no scored {min(missing)} trial; a report needs both classes")


def _breakdowns(table: pd.DataFrame, by: list[str]) -> list[str]:
    """Add the benchmark's groups where trials have them and nothing else was asked for."""
    grouped = "group" in table and not by and table["group"].nunique() > 1
    return ["group"] if grouped else by


def _about(run: Path) -> dict[str, str]:
    if not run.is_dir():
        return {}
    found = {}
    for name, heading in TEXTS.items():
        path = run / name
        if path.is_file():
            found[heading] = path.read_text(encoding="utf-8", errors="replace")[:MOST_CHARACTERS]
    return found


def _sources(run: Path, table: pd.DataFrame) -> dict[str, str]:
    from loradar.files import sha256_of

    found = {"trials": f"{len(table):,}"}
    for path in (run, run / SCORES, run / "model.safetensors"):
        if path.is_file():
            found[f"SHA-256 of {path.name}"] = sha256_of(path)
    return found
