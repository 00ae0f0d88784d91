"""The runs of a grid as they lie on disk: one folder a run, ``VARIANT/FOLD/SEED``.

``cell.json`` says what the run is, ``suite.json`` what the fold's suite says of it, ``scores.csv``
how it scored each clip, ``metrics.json`` what training took, ``failed.json`` why it failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from loradar.errors import InputError
from loradar.evaluation.suites.mini import GROUPS

CELL, SUITE, SCORES = "cell.json", "suite.json", "scores.csv"
METRICS, FAILED, RUNS = "metrics.json", "failed.json", "runs.csv"
#: Of ``metrics.json``: what a run was made of.
ORIGIN = ("encoder", "encoder_sha256", "commit", "recipe_sha256")

Kind = Literal["train", "model", "baseline"]
Status = Literal["done", "failed", "half-finished", "to do"]


@dataclass(frozen=True)
class Run:
    """One run of a grid.

    Attributes
    ----------
    variant, fold : str
        What is compared, and the part of the benchmark it was trained and judged on.
    seed : int
        Of everything random; 0 for what is not trained.
    kind : {"train", "model", "baseline"}
        Trained from a recipe, scored as it was, or a baseline of the suite.
    folder : Path
        Where it lies.
    status : {"done", "failed", "half-finished", "to do"}
        How far it has come.
    reason : str
        Why it failed.
    report : dict
        ``suite.json`` (`loradar.evaluation.suites.mini.mini_report`); empty unless done.
    metrics : dict
        ``metrics.json``; empty where nothing was trained.
    """

    variant: str
    fold: str
    seed: int
    kind: Kind
    folder: Path
    status: Status = "to do"
    reason: str = ""
    report: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call it: ``VARIANT/FOLD/SEED``."""
        return f"{self.variant}/{self.fold}/{self.seed}"


def read_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises
    ------
    InputError
        It holds no run, or a file of it cannot be understood.
    """
    cell = _read(folder / CELL)
    if cell is None:
        raise InputError(f"{folder}: holds no run of a grid (no {CELL})")
    report, failed = _read(folder / SUITE), _read(folder / FAILED)
    status: Status = "to do"
    if report is not None:
        status = "done"
    elif failed is not None:
        status = "failed"
    elif (folder / "recipe.yaml").exists():
        status = "half-finished"
    try:
        return Run(
            variant=str(cell["variant"]),
            fold=str(cell["fold"]),
            seed=int(cell["seed"]),
            kind=cell["kind"],
            folder=folder,
            status=status,
            reason=str(failed.get("reason", "")) if status == "failed" and failed else "",
            report=report or {},
            metrics=_read(folder / METRICS) or {},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / CELL}: not the description of a run ({error!r})") from None


def find_runs(roots: Iterable[Path]) -> list[Run]:
    """Read all runs of grid folders.

    Parameters
    ----------
    roots : iterable of Path
        Folders that ``loradar grid`` made, or their ``runs.csv``.

    Returns
    -------
    list of Run
        In the order of each folder's ``runs.csv``, those that are not in it last.

    Raises
    ------
    InputError
        A folder holds no run, two hold the same one, or a run cannot be read.
    """
    runs: dict[str, Run] = {}
    for root in roots:
        folder = root.parent if root.name == RUNS else root
        if not folder.is_dir():
            raise InputError(f"{root}: no such folder of runs")
        order = _order(folder / RUNS)
        places = sorted(
            (path.parent for path in folder.glob(f"*/*/*/{CELL}")),
            key=lambda place: (order.get(place.relative_to(folder).as_posix(), len(order)), place),
        )
        found = [read_run(place) for place in places]
        if not found:
            raise InputError(f"{root}: holds no runs: give a folder that loradar grid made")
        for run in found:
            if run.name in runs:
                raise InputError(
                    f"{run.name} is in {runs[run.name].folder} and in {run.folder}: rename a "
                    "variant of one of the grids"
                )
            runs[run.name] = run
    return list(runs.values())


def runs_frame(runs: Sequence[Run], root: Path) -> pd.DataFrame:
    """Set runs into one table, one row each, in the order given.

    Parameters
    ----------
    runs : sequence of Run
        The runs.
    root : Path
        The grid's folder; the column ``folder`` is relative to it.

    Returns
    -------
    DataFrame
        ``variant,fold,seed,status``, rates as fractions (tie-safe EERs on matched clips unless
        the name says otherwise; ``ood_GROUP`` empty where the fold trains on the group), what
        training took and was made of, ``reason`` and ``folder``.
    """
    columns = ["variant", "fold", "seed", "status", "id_eer"]
    columns += [f"ood_{group}" for group in GROUPS]
    columns += ["ood_average", "within_corpus_auc", "ood_pair_disjoint", "ood_without_lj"]
    columns += ["ood_all_clips", "trained_parameters", "parameters", "step_seconds"]
    columns += ["peak_memory_mib", "minutes", "steps", "resumed_from"]
    columns += ["dev_eer", "dev_cross_entropy", "ood_cross_entropy", "ood_cross_entropy_all_clips"]
    columns += [*ORIGIN, "reason", "folder"]
    return pd.DataFrame([_row(run, root) for run in runs], columns=columns)


def _order(path: Path) -> dict[str, int]:
    """Return the place of each run's folder in ``runs.csv``; nothing where that cannot be read."""
    try:
        folders = pd.read_csv(path)["folder"]
    except (OSError, ValueError, KeyError):
        return {}
    return {str(folder): place for place, folder in enumerate(folders)}


def _row(run: Run, root: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "variant": run.variant,
        "fold": run.fold,
        "seed": run.seed,
        "status": run.status,
        "reason": run.reason,
        "folder": run.folder.relative_to(root).as_posix(),
    }
    seconds = run.metrics.get("seconds")
    row["minutes"] = None if seconds is None else round(seconds / 60, 2)
    for name in ("trained_parameters", "parameters", "step_seconds", "peak_memory_mib"):
        row[name] = run.metrics.get(name)
    for name in ("steps", "resumed_from", "dev_eer", "dev_cross_entropy", *ORIGIN):
        row[name] = run.metrics.get(name)
    if not run.report:
        return row
    matched = run.report["matched"]
    row["id_eer"] = (matched["id"] or {}).get("eer_tie_safe")
    row |= {f"ood_{name}": block["eer_tie_safe"] for name, block in matched["ood"].items()}
    row["ood_average"] = matched["ood_average"]["eer_tie_safe"]
    row["ood_cross_entropy"] = matched["ood_average"].get("cross_entropy")
    everything = run.report["all"]["ood_average"]
    row["ood_cross_entropy_all_clips"] = everything.get("cross_entropy")
    row["within_corpus_auc"] = matched["ood_average"]["within_corpus_auc"]
    for column, selection in (
        ("ood_pair_disjoint", "pair_disjoint"),
        ("ood_without_lj", "matched_without_lj"),
        ("ood_all_clips", "all"),
    ):
        row[column] = run.report[selection]["ood_average"]["eer_tie_safe"]
    return row


def _read(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value
