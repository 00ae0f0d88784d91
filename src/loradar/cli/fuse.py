"""``loradar fuse``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from loradar.evaluation.fusion import Fusion


def fuse(
    scores: list[Path] = typer.Argument(
        ..., help="Score files of the same trials, two or more.", metavar="SCORES..."
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="FILE", help="Fused score file (CSV)."),
    on: Path | None = typer.Option(
        None, "--on", metavar="MANIFEST", help="Labels, where the score files have none."
    ),
    by: str | None = typer.Option(
        None,
        "--by",
        metavar="COLUMN",
        help="What the two halves may not share. Default: the speaker where known, else each clip.",
    ),
    prior: float = typer.Option(
        0.5, "--prior", min=0.001, max=0.999, help="Prior of spoof the fit is weighted for."
    ),
    use: Path | None = typer.Option(
        None, "--use", metavar="FILE", help="Apply weights that --save wrote; needs no labels."
    ),
    save: Path | None = typer.Option(
        None, "--save", metavar="FILE", help="Save the weights fitted on all trials (JSON)."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of text."),
) -> None:
    """Fuse several systems' scores into one log-likelihood ratio.

    Weights by logistic regression, none negative. Each half of the trials is fused by what was
    fitted on the other. Trials are those of the first file; the others must hold them too.

    Example: `loradar fuse a.csv b.csv -o fused.csv --save weights.json`
    """
    import json

    import numpy as np

    from loradar.cli.calibrate_scores import write_llrs
    from loradar.cli.console import note, write_output
    from loradar.cli.sources import read_source
    from loradar.cli.trials import check_target, file_trials
    from loradar.errors import InputError
    from loradar.files import write_json

    if len(scores) < 2:
        raise InputError("give two score files or more: one alone is for loradar calibrate")
    if use is not None and save is not None:
        raise InputError("--save would write what --use gave: leave one out")
    check_target(out, ".csv", ".csv.gz")
    check_target(save, ".json")
    names = _names(scores)
    table = file_trials(scores[0], on, None if on is None else read_source(on))
    matrix = _matrix(table, scores)
    report: dict[str, Any] = {}
    if use is not None:
        fusion = _read(use)
        if len(fusion.systems) != len(names):
            raise InputError(f"{use} weighs {len(fusion.systems)} systems, not {len(names)}")
        llr = fusion.llr(matrix)
    else:
        fusion, llr, report = _by_halves(table, matrix, names, by, prior)
    write_llrs(out, table.assign(score=llr), llr)
    if save is not None:
        write_json(save, fusion.to_dict())
    if as_json:
        write_output(json.dumps({"fusion": fusion.to_dict(), "systems": report}))
    else:
        write_output("\n".join(_lines(fusion, report)))
    missing = int((~np.isfinite(llr)).sum())
    if missing:
        note(f"{missing} trials lack a system's score: left empty")
    note(f"wrote {out}")


def _names(scores: list[Path]) -> list[str]:
    """Name systems by their files; by their folders too where file names are the same."""
    names = [path.name for path in scores]
    return names if len(set(names)) == len(names) else [str(path) for path in scores]


def _matrix(table: pd.DataFrame, scores: list[Path]) -> np.ndarray:
    """Return the scores of all systems, ``[N, systems]``, for the trials of the first."""
    import numpy as np

    from loradar.errors import InputError
    from loradar.evaluation.scorefile import join_manifest, read_scores

    columns = [table["score"].to_numpy(np.float64)]
    for path in scores[1:]:
        try:
            joined, _ = join_manifest(read_scores(path)[["path", "score"]], table[["path"]])
        except InputError as error:
            raise InputError(f"{path}, against the trials of {scores[0]}: {error}") from None
        columns.append(joined["score"].to_numpy(np.float64))
    return np.stack(columns, axis=1)


def _by_halves(
    table: pd.DataFrame, matrix: np.ndarray, names: list[str], by: str | None, prior: float
) -> tuple[Fusion, np.ndarray, dict[str, Any]]:
    """Fuse each half by the other, and fit on all for later; judge every system and the fusion."""
    import numpy as np

    from loradar.cli.calibrate_scores import default_by
    from loradar.evaluation.crossfit import judge
    from loradar.evaluation.det import eer
    from loradar.evaluation.fitting import labelled, split_halves
    from loradar.evaluation.fusion import cross_fused, fit_fusion

    complete = np.isfinite(matrix).all(axis=1)
    known = labelled(table.assign(score=np.where(complete, 0.0, np.nan)).reset_index(drop=True))
    rows = known.index.to_numpy()
    real = (known["label"] == "bonafide").to_numpy()
    first = split_halves(known, by or default_by(known))
    fusion = fit_fusion(matrix[rows], real, names, prior)
    llr = fusion.llr(matrix)
    llr[rows] = cross_fused(matrix[rows], real, names, first, prior)
    columns = {**dict(zip(names, matrix[rows].T, strict=True)), "fused": llr[rows]}
    report = {
        name: {"eer": eer(column[real], column[~real]), **judge(column, column, real)}
        for name, column in columns.items()
    }
    return fusion, llr, report


def _read(path: Path) -> Fusion:
    import json

    from loradar.errors import CheckpointError, InputError
    from loradar.evaluation.fusion import Fusion

    try:
        return Fusion.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: there are no such weights") from None
    except CheckpointError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no weights of a fusion: {error}") from None


def _lines(fusion: Fusion, report: dict[str, Any]) -> list[str]:
    weights = zip(fusion.weights, fusion.systems, strict=True)
    terms = " ".join(f"{weight:+.4f} {name}" for weight, name in weights)
    return [f"LLR = {terms} {fusion.intercept:+.4f}"] + [
        f"{name}: EER {100 * row['eer']:.2f} %, actDCF {row['act_dcf']:.4f} "
        f"({row['act_dcf_ratio']:.3f}x the least), Cllr {row['cllr']:.4f} "
        f"({row['cllr_ratio']:.3f}x)"
        for name, row in report.items()
    ]
