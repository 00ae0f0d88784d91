"""Scored trials for ``loradar evaluate``, from a model or from a score file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loradar.cli.console import note, reporting
from loradar.corpora.manifest import Manifest
from loradar.embedded import DETECTOR_ID, names_detector
from loradar.errors import InputError
from loradar.files import check_writable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Conditions = dict[str, list[str]]


def check_windows(windows: str) -> None:
    """Refuse anything but ``all`` and ``first``.

    Raises
    ------
    InputError
        It is something else.
    """
    if windows not in ("all", "first"):
        raise InputError(f"--windows {windows}: give all or first")


def check_target(path: Path | None, *suffixes: str) -> None:
    """Refuse an output file that cannot be written or has another suffix, before the work.

    Raises
    ------
    InputError
        Says which.
    """
    if path is None:
        return
    if not path.name.lower().endswith(suffixes):
        raise InputError(f"{path}: the file's name must end in {' or '.join(suffixes)}")
    check_writable(path)


def is_model(target: Path) -> bool:
    """Whether it is a model's folder or the embedded detector's name; else it is a score file."""
    return names_detector(target) or target.is_dir()


def model_name(target: Path) -> str:
    """What tables and plots call a model or score file."""
    return DETECTOR_ID if names_detector(target) else target.name


def trials_of(
    target: Path,
    on: Path | None,
    manifest: Manifest | None,
    conditions: Conditions,
    *,
    windows: str,
    batch_size: int,
) -> pd.DataFrame:
    """Return one row a trial: from a model on a manifest's clips, or from a score file."""
    if manifest is None:
        return keep_rows(file_trials(target, None, None), conditions, target)
    if is_model(target):
        chosen = filtered(manifest, with_default_split(manifest, conditions))
        return model_trials(target, chosen, windows=windows, batch_size=batch_size)
    return file_trials(target, on, filtered(manifest, conditions))


def model_trials(
    folder: Path,
    manifest: Manifest,
    *,
    windows: str,
    batch_size: int,
    condition: str = "clean",
) -> pd.DataFrame:
    """Score a manifest's clips by a model; clips that cannot be read are counted aloud."""
    from loradar.audio.reading import SAMPLE_RATE
    from loradar.evaluation.conditions import under
    from loradar.inference.model import load_model
    from loradar.scoring.scores import score_manifest

    model = load_model(folder)
    with reporting() as progress:
        table = score_manifest(
            model,
            manifest,
            batch_size=batch_size,
            windows=windows,
            change=lambda samples, path: under(condition, samples, SAMPLE_RATE, path),
            progress=progress,
        )
    if model.calibration is None:
        # The llr column repeats the score then; actDCF and Cllr must say that they read scores.
        table = table.drop(columns=["llr"])
    errors = table[table["verdict"] == "ERROR"]
    if len(errors):
        note(f"{len(errors)} clips could not be read, first: {errors['reason'].iloc[0]}")
    return table


def with_default_split(manifest: Manifest, conditions: Conditions) -> Conditions:
    """Keep to the eval rows unless the user named a split or there are none."""
    if "split" in conditions or not (manifest.table["split"] == "eval").any():
        return conditions
    note("scoring the rows with split = eval (--where 'split=*' takes all)")
    return {**conditions, "split": ["eval"]}


def filtered(manifest: Manifest, conditions: Conditions) -> Manifest:
    """Return the rows that meet the conditions; ``*`` stands for any value."""
    wanted = {column: values for column, values in conditions.items() if values != ["*"]}
    return manifest.where(wanted) if wanted else manifest


def file_trials(path: Path, on: Path | None, manifest: Manifest | None) -> pd.DataFrame:
    """Read a score file, and give each trial of the manifest its score."""
    from loradar.evaluation.scorefile import join_manifest, read_scores

    scores = read_scores(path)
    if manifest is None or on is None:
        return scores
    folder = on if on.is_dir() else on.parent
    table, surplus = join_manifest(scores, manifest.table, folder)
    if surplus:
        note(f"{surplus} rows of {path} belong to no trial asked for: left out")
    return table


def negated(table: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Turn scores round that are higher for spoof.

    Raises
    ------
    InputError
        The file has LLRs, whose sign is known.
    """
    if "llr" in table and table["llr"].notna().any():
        raise InputError(f"{source}: has a column llr, which --negate cannot be meant for")
    return table.assign(score=-table["score"])


def keep_rows(table: pd.DataFrame, conditions: Conditions, source: Path) -> pd.DataFrame:
    """Filter a score file's own rows.

    Raises
    ------
    InputError
        A column is missing, or no row is left.
    """
    for column, values in conditions.items():
        if values == ["*"]:
            continue
        if column not in table:
            raise InputError(f"--where {column}: {source} has no such column")
        table = table[table[column].isin(values)]
    if table.empty:
        raise InputError(f"{source}: no trial is left after --where")
    return table.reset_index(drop=True)


def bonafide_and_spoof(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Split a table's scored, labelled trials into bona fide and spoof scores."""
    known = table[table["label"].isin(["bonafide", "spoof"]) & table["score"].notna()]
    real = (known["label"] == "bonafide").to_numpy()
    scores = known["score"].to_numpy(float)
    return scores[real], scores[~real]
