"""``loradar calibrate SCORES``: log-likelihood ratios for a score file, judged by halves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from loradar.evaluation.calibration import Calibration
    from loradar.evaluation.crossfit import Costs

STALE = ("BONAFIDE", "SPOOF", "UNCERTAIN")


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a score file.

    Attributes
    ----------
    method : str
        See `loradar.evaluation.fitting.fit_by`.
    by : str or None
        What the halves may not share; None: the speaker where there is a column of it.
    prior : float
        Prior of spoof that the fit is weighted for.
    costs : list of str
        ``P_SPOOF,C_MISS,C_FA`` each.
    learn_on : Path or None
        Another score file to fit on.
    use : Path or None
        A saved calibration to apply.
    save : Path or None
        Where to save the calibration fitted on all trials.
    out : Path or None
        Where to write the calibrated score file.
    plot : Path or None
        Where to draw reliability and Tippett curves.
    """

    method: str
    by: str | None
    prior: float
    costs: list[str]
    learn_on: Path | None
    use: Path | None
    save: Path | None
    out: Path | None
    plot: Path | None


def calibrate_scores(table: pd.DataFrame, asked: Asked) -> dict[str, Any]:
    """Calibrate, write what was asked for, and report.

    Parameters
    ----------
    table : DataFrame
        The score file's trials.
    asked : Asked
        Options.

    Returns
    -------
    dict
        ``method``, ``fitted`` (what on), ``judged`` (None where there are no labels) and
        ``operating_points``.

    Raises
    ------
    InputError
        Labels are missing where they are needed, or a file cannot be read or written.
    """
    from loradar.cli.trials import check_target
    from loradar.errors import InputError
    from loradar.files import write_json

    if asked.learn_on is not None and asked.use is not None:
        raise InputError("give --learn-on or --use: both say where the calibration comes from")
    if asked.save is not None and asked.use is not None:
        raise InputError("--save would write what --use gave: leave one out")
    costs = parse_costs(asked.costs)
    check_target(asked.save, ".json")
    check_target(asked.out, ".csv", ".csv.gz")
    check_target(asked.plot, ".png")
    if asked.use is None and asked.learn_on is None:
        llr, report, calibration = _by_halves(table, asked)
    else:
        calibration, fitted = _given(asked)
        llr = calibration.llr(table["score"])
        report = {"fitted": fitted, **_judged(table, llr)}
    report = {"method": _name(calibration), **report}
    report["operating_points"] = _points(table, llr, costs)
    if asked.save is not None:
        write_json(asked.save, calibration.to_dict())
    if asked.out is not None:
        write_llrs(asked.out, table, llr)
    if asked.plot is not None:
        _plot(asked.plot, table, llr)
    return report


def parse_costs(texts: list[str]) -> list[Costs]:
    """Read ``P_SPOOF,C_MISS,C_FA``; without any, the costs of ASVspoof 5.

    Raises
    ------
    InputError
        A text is not three numbers, or they make no sense.
    """
    from loradar.errors import ConfigError, InputError
    from loradar.evaluation.crossfit import DEFAULT_COSTS, Costs
    from loradar.evaluation.metrics import bayes_threshold

    found = []
    for text in texts:
        try:
            costs = Costs(*(float(part) for part in text.split(",")))
            bayes_threshold(*costs)
        except (TypeError, ValueError, ConfigError) as error:
            raise InputError(f"--cost {text}: write P_SPOOF,C_MISS,C_FA ({error})") from None
        found.append(costs)
    return found or [DEFAULT_COSTS]


def default_by(table: pd.DataFrame) -> str | None:
    """Return what the halves may not share: the speaker where one is known, else None."""
    known = "speaker" in table and bool((table["speaker"].fillna("") != "").any())
    return "speaker" if known else None


def lines(report: Mapping[str, Any]) -> list[str]:
    """Write a report for people."""
    text = [f"calibration: {report['method']}, fitted on {report['fitted']}"]
    compared = report.get("compared")
    if compared is not None:
        rows = {"raw scores": compared["raw"], **compared["methods"]}
        text.append(f"minDCF {compared['min_dcf']:.4f}, min-Cllr {compared['min_cllr']:.4f} bits")
    elif report["judged"] is not None:
        rows = {"raw scores": report["raw"], "calibrated": report["judged"]}
    else:
        rows = {}
    if rows:
        text.append(f"{'':12}{'actDCF':>8}{'/minDCF':>10}{'Cllr':>8}{'/min-Cllr':>11}")
    text += [
        f"{name:12}{row['act_dcf']:8.4f}{row['act_dcf_ratio']:9.3f}x"
        f"{row['cllr']:8.4f}{row['cllr_ratio']:10.3f}x"
        for name, row in rows.items()
    ]
    return [*text, *point_lines(report["operating_points"])]


def point_lines(points: list[dict[str, float]]) -> list[str]:
    """Write operating points (`crossfit.operating_point`), a line each."""
    text = []
    for point in points:
        line = (
            f"P_spoof {point['p_spoof']:g}, C_miss {point['c_miss']:g}, C_fa {point['c_fa']:g}: "
            f"accept at LLR >= {point['threshold']:.3f}"
        )
        if "miss" in point:
            line += (
                f": {100 * point['miss']:.2f} % of bona fide rejected, "
                f"{100 * point['false_accept']:.2f} % of spoof accepted"
            )
        text.append(line)
    return text


def _by_halves(table: pd.DataFrame, asked: Asked) -> tuple[np.ndarray, dict[str, Any], Calibration]:
    """Fit on each half for the other, and on all for later; rows without label by the latter."""
    import numpy as np

    from loradar.evaluation.crossfit import compare_methods, cross_fitted, judge
    from loradar.evaluation.fitting import METHODS, fit_by, labelled, split_halves

    known = labelled(table)
    by = asked.by or default_by(known)
    first = split_halves(known, by)
    score = known["score"].to_numpy(np.float64)
    real = (known["label"] == "bonafide").to_numpy()
    crossed = cross_fitted(asked.method, score, real, first, asked.prior)
    calibration = fit_by(asked.method, score, real, asked.prior)
    llr = calibration.llr(table["score"])
    llr[table.index.get_indexer(known.index)] = crossed
    others = [name for name in METHODS if name != asked.method]
    compared = compare_methods(score, real, first, methods=others, p_spoof=asked.prior)
    chosen = judge(crossed, score, real)
    compared["methods"] = {asked.method: chosen, **compared["methods"]}
    fitted = f"each half for the other ({by or 'clip'}s apart), {len(known):,} trials"
    return llr, {"fitted": fitted, "judged": chosen, "compared": compared}, calibration


def _given(asked: Asked) -> tuple[Calibration, str]:
    """Return a calibration from another corpus's scores, or one that was saved."""
    import json

    import numpy as np

    from loradar.errors import CheckpointError, InputError
    from loradar.evaluation.calibration import Calibration
    from loradar.evaluation.fitting import fit_by, labelled
    from loradar.evaluation.scorefile import read_scores

    if asked.learn_on is not None:
        known = labelled(read_scores(asked.learn_on))
        real = (known["label"] == "bonafide").to_numpy()
        score = known["score"].to_numpy(np.float64)
        return fit_by(asked.method, score, real, asked.prior), f"{asked.learn_on}"
    try:
        values = json.loads(Path(str(asked.use)).read_text(encoding="utf-8"))
        return Calibration.from_dict(values), f"{asked.use}"
    except FileNotFoundError:
        raise InputError(f"{asked.use}: there is no such calibration") from None
    except (OSError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise InputError(f"{asked.use}: not a calibration: {error}") from None


def _name(calibration: Calibration) -> str:
    return "logistic" if calibration.curve is None else calibration.curve.method


def _classes(table: pd.DataFrame, llr: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the scored, labelled trials and which of them are bona fide; None without both."""
    import numpy as np

    if "label" not in table:
        return None
    used = table["label"].isin(["bonafide", "spoof"]).to_numpy() & np.isfinite(llr)
    real = (table["label"] == "bonafide").to_numpy()
    return (used, real) if (used & real).any() and (used & ~real).any() else None


def _judged(table: pd.DataFrame, llr: np.ndarray) -> dict[str, Any]:
    from loradar.evaluation.crossfit import judge

    found = _classes(table, llr)
    if found is None:
        return {"judged": None}
    used, real = found
    score = table["score"].to_numpy(float)[used]
    return {"judged": judge(llr[used], score, real[used]), "raw": judge(score, score, real[used])}


def _points(table: pd.DataFrame, llr: np.ndarray, costs: list[Costs]) -> list[dict[str, float]]:
    from loradar.evaluation.crossfit import operating_point
    from loradar.evaluation.metrics import bayes_threshold

    found = _classes(table, llr)
    if found is None:
        return [{**cost._asdict(), "threshold": bayes_threshold(*cost)} for cost in costs]
    used, real = found
    return [operating_point(llr[used], real[used], cost) for cost in costs]


def write_llrs(path: Path, table: pd.DataFrame, llr: np.ndarray) -> None:
    """Write a score file with these LLRs, empty where they are NaN."""
    from loradar.evaluation.calibration import posterior
    from loradar.evaluation.scorefile import write_scores

    done = table.assign(llr=llr, p_spoof=posterior(llr))
    if "verdict" in done:
        # Verdicts of another calibration would contradict the new numbers.
        done["verdict"] = done["verdict"].where(~done["verdict"].isin(STALE), "")
    write_scores(path, done)


def _plot(path: Path, table: pd.DataFrame, llr: np.ndarray) -> None:
    from loradar.errors import InputError
    from loradar.evaluation.calibration_figures import calibration_plot
    from loradar.evaluation.figures import save_png

    found = _classes(table, llr)
    if found is None:
        raise InputError("--plot needs labels: give --on MANIFEST")
    used, real = found
    score = table["score"].to_numpy(float)
    parts = {"raw scores": score, "calibrated": llr}
    systems = {name: (values[used & real], values[used & ~real]) for name, values in parts.items()}
    save_png(path, calibration_plot(systems))
