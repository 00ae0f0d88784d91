"""Where a run comes from: its encoder, the code's commit, its recipe's hash."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import loradar
from loradar.detector.checkpoint import base_hash
from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.model import Detector
from loradar.training.recipe import Recipe


def provenance(recipe: Recipe, detector: Detector) -> dict[str, str | None]:
    """Return what ``metrics.json`` says of a run's origin.

    Parameters
    ----------
    recipe : Recipe
        The run.
    detector : Detector
        As built, before training: mode ``full`` changes what is hashed.

    Returns
    -------
    dict
        ``encoder`` (its id; None for a random start or a whole baseline), ``encoder_sha256``
        (`loradar.detector.checkpoint.base_hash`; None for a baseline), ``recipe_sha256``
        (`recipe_hash`), ``commit`` (`commit`), ``loradar_version``.
    """
    encoder, sha = recipe.encoder, None
    if detector.encoder is not None:
        sha = base_hash(detector.base_tensors())
    return {
        "encoder": encoder.id if isinstance(encoder, HuggingFaceEncoderConfig) else None,
        "encoder_sha256": sha,
        "recipe_sha256": recipe_hash(recipe),
        "commit": commit(),
        "loradar_version": loradar.__version__,
    }


def recipe_hash(recipe: Recipe) -> str:
    """Return the SHA-256 of a recipe, defaults filled in, less its name and seed.

    Runs that differ in nothing but the seed share it, and how many processes read.
    """
    values = recipe.model_dump(mode="json", exclude={"name", "seed"})
    values["data"]["workers"] = 0
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def commit() -> str | None:
    """Return the commit that the package's source is at, ``+changes`` behind it where it differs.

    Where the package is not a checkout of its repository, as in a container: what the environment
    variable ``LORADAR_COMMIT`` says, or None.
    """
    source = Path(loradar.__file__).parent
    head = _git(source, "rev-parse", "HEAD")
    # An environment may lie inside somebody else's repository.
    if head is None or _git(source, "ls-files", "--error-unmatch", "__init__.py") is None:
        return os.environ.get("LORADAR_COMMIT") or None
    return head + ("+changes" if _git(source, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *command: str) -> str | None:
    """Return what git prints in ``folder``; None where it fails or is not there."""
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None
