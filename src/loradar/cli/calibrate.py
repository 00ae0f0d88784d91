"""``loradar calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

CALIBRATION = "calibration.json"


def calibrate(
    model: Path = typer.Argument(
        ..., help="Model folder, or `loradar/embedded` (with -o).", metavar="MODEL"
    ),
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
    out: Path | None = typer.Option(
        None, "-o", "--out", metavar="FOLDER", help="Leave MODEL; make a calibrated copy here."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Report, and leave the model as it is."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of text."),
) -> None:
    """Calibrate a model on clips of your own, and set when it says UNCERTAIN.

    Scores become log-likelihood ratios, and verdicts are kept to what is right often enough at
    equal priors. Fitted on one half of the clips, checked on the other.

    Example: `loradar calibrate runs/mine --on calls.csv --where split=dev`;
    `loradar calibrate loradar/embedded --on calls.csv -o runs/for_calls`
    """
    import json

    from loradar.cli.console import note, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.cli.trials import filtered, model_trials
    from loradar.embedded import detector_folder, names_detector
    from loradar.evaluation.fitting import fit_and_check
    from loradar.files import write_json

    source = detector_folder() if names_detector(model) else model
    target = None if dry_run else _target(source, out)
    conditions = {"split": ["dev"], **parse_where(where)}
    clips = filtered(read_source(on, corpus), conditions)
    trials = model_trials(model, clips, windows="all", batch_size=16)
    calibration, report = fit_and_check(trials, by=by, right=right)
    if target is not None:
        write_json(target / CALIBRATION, calibration.to_dict())
        if target != source:
            _copy(source, target)
    if as_json:
        write_output(json.dumps({"calibration": calibration.to_dict(), **report}))
    else:
        write_output("\n".join(_lines(report, calibration.to_dict())))
    if target is not None:
        note(f"wrote {target / CALIBRATION if out is None else target}")


def _target(source: Path, out: Path | None) -> Path:
    """Where the calibration goes: found out before the clips are scored."""
    from loradar.embedded import holds
    from loradar.errors import InputError
    from loradar.files import check_writable

    target = source if out is None else out
    if holds(target):
        raise InputError(
            f"{target} is part of the installed package, which stays as it is: give -o FOLDER "
            "for a calibrated copy, or --dry-run"
        )
    if out is not None:
        if out.is_dir() and any(out.iterdir()):
            raise InputError(f"{out} holds other files: give -o a new folder")
        check_writable(out / CALIBRATION)
    return target


def _copy(source: Path, target: Path) -> None:
    """Copy the rest of a model; its configuration last, because that makes it one."""
    import shutil

    from loradar.files import atomic_path

    for name in ("README.md", "recipe.yaml", "metrics.json", "model.safetensors", "config.json"):
        if (source / name).is_file():
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source / name, temporary)


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
