"""``loradar calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from loradar.corpora.manifest import Manifest
    from loradar.evaluation.calibration import Calibration
    from loradar.evaluation.crossfit import Costs

CALIBRATION = "calibration.json"


def calibrate(
    model: Path = typer.Argument(
        ...,
        help="Model folder, `loradar/embedded` (with -o), or score file.",
        metavar="MODEL|SCORES",
    ),
    on: Path | None = typer.Option(
        None,
        "--on",
        metavar="MANIFEST",
        help="A model: held-back clips. A score file: labels, where it has none.",
    ),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read --on as this public corpus, e.g. asvspoof2019_la."
    ),
    where: list[str] = typer.Option(
        [],
        "--where",
        metavar="COLUMN=VALUE,...",
        help="Use these rows only (a model: split=dev unless named).",
    ),
    by: str | None = typer.Option(
        None,
        "--by",
        metavar="COLUMN",
        help="What the two halves may not share. Default: speaker (a score file without: clip).",
    ),
    method: str | None = typer.Option(
        None,
        "--method",
        help="`logistic` (a straight line; a model's default), `isotonic` (PAV) or `spline` "
        "(monotone; a score file's default).",
    ),
    right: float | None = typer.Option(
        None,
        "--right",
        min=0.5,
        max=0.999,
        help="A model: share of given verdicts that are to be right. Default: 0.9.",
    ),
    out: Path | None = typer.Option(
        None,
        "-o",
        "--out",
        metavar="FOLDER|FILE",
        help="A model: make a calibrated copy here. A score file: write it with llr and p_spoof.",
    ),
    prior: float = typer.Option(
        0.5, "--prior", min=0.001, max=0.999, help="SCORES: prior of spoof to weigh the fit for."
    ),
    cost: list[str] = typer.Option(
        [],
        "--cost",
        metavar="P_SPOOF,C_MISS,C_FA",
        help="Tell the threshold for this prior and these costs, and what comes of it; may be "
        "repeated.",
    ),
    learn_on: Path | None = typer.Option(
        None,
        "--learn-on",
        metavar="SCORES",
        help="Fit on this other score file instead. A model: say, on what models like it say of "
        "attacks that each of them left out.",
    ),
    check_on: Path | None = typer.Option(
        None,
        "--check-on",
        metavar="SCORES",
        help="A model with --learn-on: fit on all of that, and check on this score file.",
    ),
    conditions: str | None = typer.Option(
        None,
        "--conditions",
        metavar="LIST|all",
        help="A model with --on: learn on each clip as it is and under these, too: mp3_64k, "
        "telephone, noise_10_db, ...",
    ),
    save_scores: Path | None = typer.Option(
        None,
        "--save-scores",
        metavar="FILE",
        help="A model with --on: write the scores it was fitted on, for --learn-on.",
    ),
    use: Path | None = typer.Option(
        None, "--use", metavar="FILE", help="SCORES: apply a saved calibration; needs no labels."
    ),
    save: Path | None = typer.Option(
        None, "--save", metavar="FILE", help="SCORES: save the calibration fitted on all trials."
    ),
    plot: Path | None = typer.Option(
        None, "--plot", metavar="FILE", help="SCORES: draw reliability and Tippett curves (PNG)."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Report, and leave the model as it is."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of text."),
) -> None:
    """Calibrate a model on clips of your own, or a score file.

    Scores become log-likelihood ratios. A model: fitted on one half of the clips, checked on the
    other; verdicts are kept to what is right often enough. A score file: each half by the other.

    Example: `loradar calibrate runs/mine --on calls.csv --where split=dev`;
    `loradar calibrate runs/mine --on calls.csv --conditions telephone,noise_10_db`;
    `loradar calibrate loradar/embedded --on calls.csv -o runs/for_calls`;
    `loradar calibrate runs/mine --learn-on left_out_scores.csv`;
    `loradar calibrate scores.csv -o calibrated.csv --cost 0.05,1,10 --plot calibration.png`
    """
    import json

    from loradar.cli.calibrate_scores import parse_costs
    from loradar.cli.console import note, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.cli.trials import check_target, file_trials, filtered, is_model, keep_rows
    from loradar.embedded import detector_folder, names_detector
    from loradar.errors import InputError
    from loradar.evaluation.conditions import choose_conditions
    from loradar.evaluation.fitting import fit_and_check
    from loradar.evaluation.scorefile import write_scores
    from loradar.files import write_json

    if not is_model(model):
        if not model.exists():
            raise InputError(f"{model}: no such model folder or score file")
        if dry_run:
            raise InputError("--dry-run is for models: without -o a score file stays as it is")
        if check_on is not None or right is not None:
            raise InputError("--check-on and --right are for models: a score file gets no verdicts")
        if conditions is not None or save_scores is not None:
            raise InputError("--conditions and --save-scores are for models with --on MANIFEST")
        _scores(
            model,
            on,
            corpus,
            where,
            method,
            by,
            prior,
            cost,
            learn_on,
            use,
            save,
            out,
            plot,
            as_json,
        )
        return
    if (on is None) == (learn_on is None):
        raise InputError("say which clips: --on MANIFEST, or their scores: --learn-on SCORES")
    if use or save or plot:
        raise InputError("--use, --save and --plot are for score files")
    if check_on is not None and (learn_on is None or cost):
        raise InputError("--check-on goes with --learn-on, and without --cost")
    if on is None and (conditions is not None or save_scores is not None):
        raise InputError("--conditions and --save-scores go with --on MANIFEST")
    check_target(save_scores, ".csv", ".csv.gz")
    names = choose_conditions((conditions or "clean").split(","))
    costs = parse_costs(cost) if cost else []
    source = detector_folder() if names_detector(model) else model
    target = None if dry_run else _target(source, out)
    check: pd.DataFrame | None = None
    if learn_on is not None:
        trials = keep_rows(file_trials(learn_on, None, None), parse_where(where), learn_on)
        if check_on is not None:
            check = keep_rows(file_trials(check_on, None, None), parse_where(where), check_on)
    elif on is not None:
        clips = filtered(read_source(on, corpus), {"split": ["dev"], **parse_where(where)})
        trials = _scored(model, clips, names, by or "speaker")
        if save_scores is not None:
            write_scores(save_scores, trials)
    calibration, report = fit_and_check(
        trials, by=by or "speaker", right=right or 0.9, method=method or "logistic", check=check
    )
    report["operating_points"] = _points(trials, by or "speaker", calibration, costs)
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


def _scored(model: Path, clips: Manifest, conditions: list[str], by: str) -> pd.DataFrame:
    """Score the clips under each condition; a trial's path begins with its condition."""
    import pandas as pd

    from loradar.cli.console import note
    from loradar.cli.trials import model_trials

    found = []
    for name in conditions:
        if len(conditions) > 1:
            note(f"condition {name}")
        trials = model_trials(model, clips, windows="all", batch_size=16, condition=name)
        if len(conditions) > 1:
            if by in trials:
                # A clip whose name is not known stays on one side under all conditions.
                unknown = trials[by].fillna("").astype(str) == ""
                trials[by] = trials[by].where(~unknown, trials["path"])
            trials = trials.assign(path=f"{name}:" + trials["path"], condition=name)
        found.append(trials)
    return pd.concat(found, ignore_index=True)


def _scores(
    path: Path,
    on: Path | None,
    corpus: str | None,
    where: list[str],
    method: str | None,
    by: str | None,
    prior: float,
    cost: list[str],
    learn_on: Path | None,
    use: Path | None,
    save: Path | None,
    out: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    import json

    from loradar.cli.calibrate_scores import Asked, calibrate_scores, lines
    from loradar.cli.console import note, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.cli.trials import trials_of

    manifest = None if on is None else read_source(on, corpus)
    table = trials_of(path, on, manifest, parse_where(where), windows="all", batch_size=1)
    report = calibrate_scores(
        table, Asked(method or "spline", by, prior, cost, learn_on, use, save, out, plot)
    )
    write_output(json.dumps(report) if as_json else "\n".join(lines(report)))
    for written in (out, save, plot):
        if written is not None:
            note(f"wrote {written}")


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


def _points(
    trials: pd.DataFrame, by: str, calibration: Calibration, costs: list[Costs]
) -> list[dict[str, float]]:
    """Say where to decide for these costs, and what came of it on the half that checks."""
    import numpy as np

    from loradar.evaluation.crossfit import operating_point
    from loradar.evaluation.fitting import labelled, split_halves

    if not costs:
        return []
    known = labelled(trials)
    checked = known[~split_halves(known, by)]
    llr = calibration.llr(checked["score"].to_numpy(np.float64))
    real = (checked["label"] == "bonafide").to_numpy()
    return [operating_point(llr, real, each) for each in costs]


def _lines(report: dict[str, Any], calibration: dict[str, Any]) -> list[str]:
    counts = {
        half: f"{report[half]['bonafide']} bona fide and {report[half]['spoof']} spoofed clips"
        for half in ("fitted", "checked")
    }
    from loradar.cli.calibrate_scores import point_lines

    thresholds, verdicts = calibration["thresholds"], report["verdicts"]
    line = f"LLR = {calibration['slope']:.3f} score {calibration['intercept']:+.3f}"
    if "curve" in calibration:
        line = f"LLR by a curve ({calibration['curve']['method']})"
    lines = [
        f"{line}, fitted on {counts['fitted']}",
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
    return [*lines, *point_lines(report["operating_points"])]
