"""``loradar calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def calibrate(
    model: Path = typer.Argument(..., help="Model folder.", metavar="MODEL"),
    on: Path = typer.Option(
        ..., "--on", metavar="MANIFEST", help="Held-back clips: manifest or corpus folder."
    ),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read --on as this public corpus, e.g. asvspoof2019_la."
    ),
    where: list[str] = typer.Option(
        [], "--where", metavar="COLUMN=VALUE,...", help="Use these rows only (default split=dev)."
    ),
    by: str = typer.Option("speaker", "--by", help="What the two halves may not share."),
    right: float = typer.Option(
        0.9, "--right", min=0.5, max=0.999, help="Share of given verdicts that are to be right."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Report, and leave the model as it is."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of text."),
) -> None:
    """Calibrate a model on clips of your own, and set when it says UNCERTAIN.

    Scores become log-likelihood ratios, and verdicts are kept to what is right often enough at
    equal priors. Fitted on one half of the clips, checked on the other.

    Example: `loradar calibrate runs/mine --on calls.csv --where split=dev`
    """
    import json

    from loradar.cli.console import note, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.cli.trials import filtered, model_trials
    from loradar.evaluation.fitting import fit_and_check
    from loradar.files import write_json

    conditions = {"split": ["dev"], **parse_where(where)}
    clips = filtered(read_source(on, corpus), conditions)
    trials = model_trials(model, clips, windows="all", batch_size=16)
    calibration, report = fit_and_check(trials, by=by, right=right)
    if not dry_run:
        write_json(model / "calibration.json", calibration.to_dict())
    if as_json:
        write_output(json.dumps({"calibration": calibration.to_dict(), **report}))
    else:
        write_output("\n".join(_lines(report, calibration.to_dict())))
    if not dry_run:
        note(f"wrote {model / 'calibration.json'}")


def _lines(report: dict[str, Any], calibration: dict[str, Any]) -> list[str]:
    counts = {
        half: f"{report[half]['bonafide']} bona fide and {report[half]['spoof']} spoofed clips"
        for half in ("fitted", "checked")
    }
    thresholds, verdicts = calibration["thresholds"], report["verdicts"]
    lines = [
        f"LLR = {calibration['slope']:.3f} score {calibration['intercept']:+.3f}, "
        f"fitted on {counts['fitted']}",
        f"checked on {counts['checked']}: Cllr {report['cllr']:.3f} bits, "
        f"UNCERTAIN {100 * verdicts['uncertain']['share']:.1f} %",
    ]
    for name, sign in (("bonafide", ">="), ("spoof", "<=")):
        found, limit = verdicts[name], thresholds[name]
        if limit is None:
            lines.append(f"{name.upper()}: never given, the scores do not allow it")
        elif found["right"] is None:
            lines.append(f"{name.upper()} where LLR {sign} {limit:.2f}: not once when checked")
        else:
            lines.append(
                f"{name.upper()} where LLR {sign} {limit:.2f}: given {found['given']} times, "
                f"{100 * found['right']:.1f} % right at equal priors "
                f"(95 % bound {100 * found['low']:.1f} %)"
            )
    return lines
