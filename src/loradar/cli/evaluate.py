"""``loradar evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd

    from loradar.corpora.manifest import Manifest

# An EER that no system has but one whose scores are higher for spoof.
_TURNED = 2 / 3


def evaluate(
    targets: list[Path] = typer.Argument(
        ...,
        help="Model folder, `loradar/embedded`, or score file (CSV or text: path, score). Several "
        "with --suite.",
        metavar="MODEL|SCORES",
    ),
    on: Path | None = typer.Option(
        None,
        "--on",
        metavar="MANIFEST",
        help="The clips: manifest, corpus folder, shards, or hub:OWNER/NAME[:SPLIT].",
    ),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read --on as this public corpus, e.g. asvspoof2019_la."
    ),
    where: list[str] = typer.Option(
        [],
        "--where",
        metavar="COLUMN=VALUE,...",
        help="Use these rows only. A model is scored on split=eval unless a split is given here "
        "or the manifest has no eval rows; split=* takes all.",
    ),
    by: list[str] = typer.Option(
        [], "--by", metavar="COLUMN", help="Break down by this column too; may be repeated."
    ),
    within: list[str] = typer.Option(
        [],
        "--within",
        metavar="COLUMN",
        help="Compare the classes inside each value of this column, e.g. a codec.",
    ),
    ood: str | None = typer.Option(
        None, "--ood", metavar="VALUE,...", help="Average the EER over these values of --by."
    ),
    clusters: str | None = typer.Option(
        None, "--clusters", metavar="COLUMN", help="Resample by this column, e.g. speaker."
    ),
    resamples: int = typer.Option(1000, "--resamples", min=0, help="Bootstrap draws; 0: none."),
    suite: str | None = typer.Option(
        None,
        "--suite",
        help="The mini benchmark's own table: `mini_fold_a`, `mini_fold_b`, `mini_without_GROUP`, "
        "or `mini` for models that were trained on none of its clips.",
    ),
    conditions: str | None = typer.Option(
        None,
        "--conditions",
        metavar="LIST|all",
        help="Score a model's clips under these conditions too: codecs, noise, telephone, ...",
    ),
    asv: Path | None = typer.Option(
        None,
        "--asv",
        metavar="FILE",
        help="Scores of a speaker verification system (key,score): adds t-DCF and t-EER.",
    ),
    negate: bool = typer.Option(
        False,
        "--negate",
        help="The score file's scores are higher for spoof: turn them round (--save-scores keeps "
        "them so).",
    ),
    spans: Path | None = typer.Option(
        None,
        "--spans",
        metavar="FILE",
        help="Spoofed spans (path,start,end) or a manifest with spoof_segments: judges a file of "
        "scored segments, or the lines of `detect --json`.",
    ),
    windows: str = typer.Option(
        "all", "--windows", help="`all`: mean over windows; `first`: the first alone."
    ),
    batch_size: int = typer.Option(16, "--batch-size", min=1, help="Windows a forward pass."),
    save_scores: Path | None = typer.Option(
        None, "--save-scores", metavar="FILE", help="Write the score file here."
    ),
    plot: Path | None = typer.Option(
        None, "--plot", metavar="FILE", help="Write a DET plot (PNG)."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """Measure a model or a score file: EER, minDCF, actDCF, Cllr, with intervals.

    Higher scores mean more bona fide. Rates are fractions in JSON, percent in the table.

    Example: `loradar evaluate runs/demo/moe_lora --on manifest.csv --by attack --ood A17,A18`
    """
    import json

    from loradar.cli.conditions import run_conditions
    from loradar.cli.console import OUTPUT, note, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.cli.trials import (
        bonafide_and_spoof,
        check_target,
        check_windows,
        filtered,
        is_model,
        model_name,
        negated,
        trials_of,
        with_default_split,
    )
    from loradar.errors import InputError

    if spans is not None:
        from loradar.cli.spans import run_spans

        others = on or where or by or within or asv or suite or plot or conditions or negate
        if len(targets) > 1 or others:
            raise InputError("--spans takes one file of scored segments, and only --json beside it")
        run_spans(targets[0], spans, as_json=as_json)
        return
    check_windows(windows)
    check_target(save_scores, ".csv", ".csv.gz")
    check_target(plot, ".png")
    if ood is not None and len(by) > 1:
        raise InputError("--ood takes its values from one column: give one --by")
    for target in targets:
        if not is_model(target) and not target.exists():
            raise InputError(f"{target}: no such model folder or score file")
        if on is None and (is_model(target) or suite):
            raise InputError("say which clips: --on MANIFEST")
    if negate and (suite is not None or is_model(targets[0])):
        raise InputError("--negate is for one score file: models give their scores the right way")
    rows = parse_where(where)
    if suite is not None and on is not None:
        if rows or by or within or ood or clusters or plot or conditions or asv:
            raise InputError(
                "--suite sets its own rows and breakdowns: leave out --where, --by, --within, "
                "--ood, --clusters, --plot, --conditions and --asv"
            )
        clips = read_source(on, corpus)
        _suite(suite, targets, on, clips, windows, batch_size, resamples, save_scores, as_json)
        return
    if len(targets) > 1:
        raise InputError("give one model or score file; several only with --suite")
    (target,) = targets
    manifest = None if on is None else read_source(on, corpus)
    if conditions is not None:
        if manifest is None or not is_model(target):
            raise InputError("--conditions change the clips: give a model, and --on MANIFEST")
        if by or within or ood or plot or save_scores or asv:
            raise InputError(
                "--conditions goes without --by, --within, --ood, --plot, --asv and --save-scores"
            )
        chosen = filtered(manifest, with_default_split(manifest, rows))
        names = [name.strip() for name in conditions.split(",")]
        options = {"clusters": clusters, "resamples": resamples}
        run_conditions(names, target, chosen, windows, batch_size, options, as_json=as_json)
        return
    verification = None
    if asv is not None:
        from loradar.evaluation.tandem_file import read_asv_scores, tandem_report

        verification = read_asv_scores(asv)
    table = trials_of(target, on, manifest, rows, windows=windows, batch_size=batch_size)
    if negate:
        table = negated(table, target)
    _save(save_scores, table)

    from loradar.evaluation.evaluate import evaluate as compute

    report = compute(
        table,
        by=by,
        within=within,
        ood=None if ood is None else [value.strip() for value in ood.split(",")],
        clusters=clusters,
        resamples=resamples,
    )
    if verification is not None:
        report["tandem"] = tandem_report(*bonafide_and_spoof(table), verification)
    if plot is not None:
        from loradar.evaluation.figures import det_plot, save_png

        save_png(plot, det_plot({model_name(target): bonafide_and_spoof(table)}))
    if (report["pooled"]["eer"] or 0.0) > _TURNED:
        note("most spoof trials score above the bona fide ones: are they the wrong way (--negate)?")
    if as_json:
        write_output(json.dumps(report))
    else:
        from loradar.evaluation.table import report_tables

        for part in report_tables(report, title=str(target)):
            OUTPUT.print(part)
        for name, value in report.get("tandem", {}).items():
            write_output(f"{name.replace('_', ' ')}: {value:.4f}")
    _end(table)


def _suite(
    suite: str,
    targets: list[Path],
    on: Path,
    manifest: Manifest,
    windows: str,
    batch_size: int,
    resamples: int,
    save_scores: Path | None,
    as_json: bool,
) -> None:
    import json

    from loradar.cli.console import OUTPUT, write_output
    from loradar.cli.suites import clips_to_score, run_suite
    from loradar.cli.trials import file_trials, is_model, model_name, model_trials
    from loradar.errors import InputError

    chosen = clips_to_score(suite, manifest)
    if save_scores is not None and len(targets) > 1:
        raise InputError("--save-scores goes with one model")
    if len({model_name(target) for target in targets}) < len(targets):
        raise InputError("two of the models have the same name: rename one of the folders")
    scored = {
        model_name(target): model_trials(target, chosen, windows=windows, batch_size=batch_size)
        if is_model(target)
        else file_trials(target, on, chosen)
        for target in targets
    }
    for table in scored.values():
        _save(save_scores, table)
    report, frame = run_suite(suite, manifest, scored, resamples=resamples)
    if as_json:
        write_output(json.dumps(report))
        return
    from loradar.evaluation.table import rich_table

    # One system a column: the table has more figures than a terminal has columns.
    sideways = frame.set_index("system").T.rename_axis("EER %").reset_index()
    OUTPUT.print(rich_table(sideways, f"{suite}: tie-safe EER in percent, matched clips"))


def _save(path: Path | None, table: pd.DataFrame) -> None:
    if path is not None:
        from loradar.evaluation.scorefile import write_scores
        from loradar.scoring.scores import without_gates

        write_scores(path, without_gates(table))


def _end(table: pd.DataFrame) -> None:
    """End with the exit code that unreadable clips ask for."""
    errors = int((table["verdict"] == "ERROR").sum()) if "verdict" in table else 0
    if errors:
        raise typer.Exit(2 if errors == len(table) else 1)
