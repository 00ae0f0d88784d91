"""A run's folder: new, or one to go on in; and what must hold of its clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from loradar.corpora.manifest import Manifest
from loradar.errors import ConfigError, InputError

RECIPE = "recipe.yaml"


def prepare_folder(folder: Path, recipe: str, *, resume: bool) -> Path | None:
    """Check that a run may use ``folder``; return the checkpoint to go on from.

    Parameters
    ----------
    folder : Path
        The run's.
    recipe : str
        The recipe as YAML text, as ``recipe.yaml`` keeps it.
    resume : bool
        Whether to go on with the run that is there.

    Raises
    ------
    InputError
        The folder holds a run and ``resume`` is off, or none and it is on.
    ConfigError
        The run that is there has another recipe; the number of reading processes may differ.
    """
    checkpoints, kept = folder / "checkpoints", folder / RECIPE
    if not resume:
        if checkpoints.is_dir() or (folder / "model.safetensors").exists():
            raise InputError(f"{folder} already holds a run: give --resume, or another -o FOLDER")
        return None
    if not kept.exists():
        raise InputError(f"{folder} holds no run to resume: leave --resume out")
    if _what_counts(kept.read_text(encoding="utf-8")) != _what_counts(recipe):
        raise ConfigError(f"{kept} is another recipe than the one given: resume with the same one")
    return newest_checkpoint(checkpoints)


def _what_counts(recipe: str) -> Any:
    """Return a recipe without what changes no result: how many processes read."""
    values = yaml.safe_load(recipe)
    if isinstance(values, dict) and isinstance(values.get("data"), dict):
        values["data"].pop("workers", None)
    return values


def newest_checkpoint(checkpoints: Path) -> Path | None:
    """Return the newest checkpoint that was written whole, None where there is none."""
    found = []
    for path in checkpoints.glob("checkpoint-*"):
        # The trainer writes its state last; a kill while saving leaves a folder without it.
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            found.append((int(path.name.removeprefix("checkpoint-")), path))
        except (OSError, ValueError):
            continue
    return max(found)[1] if found else None


def distinct_clips(parts: Sequence[Manifest]) -> Manifest:
    """Return the clips of several manifests as one, each file once.

    Two shares of a mixture may draw on the same clips, for instance on the same real ones.
    """
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return Manifest(table.drop_duplicates("path"), source="training clips")


def require_apart(training: Manifest, dev: Manifest) -> None:
    """Raise InputError when a clip is in both sets."""
    shared = set(training.table["path"]) & set(dev.table["path"])
    if shared:
        raise InputError(
            f"{len(shared)} clips are in both the training and the dev set (first: "
            f"{min(shared)}): make data.train and data.dev exclude each other"
        )


def require_files(*manifests: Manifest) -> None:
    """Raise InputError when a clip's file is not there."""
    missing = [path for manifest in manifests for path in manifest.check_files()]
    if missing:
        raise InputError(
            f"{missing[0]}: no such file ({len(missing)} of the recipe's clips are missing): "
            "check data.path"
        )
