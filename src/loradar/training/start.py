"""Going on from a trained detector: another run's weights as the start of this one."""

from __future__ import annotations

from pathlib import Path

import torch

from loradar.detector.checkpoint import base_hash, load_detector
from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.model import Detector
from loradar.embedded import detector_folder, names_detector
from loradar.errors import ConfigError
from loradar.files import sha256_of


def start_folder(start: str) -> Path:
    """Return the folder that a recipe's ``start`` names: a run's, or ``loradar/embedded``."""
    return detector_folder() if names_detector(start) else Path(start)


def start_from(detector: Detector, start: str) -> str:
    """Give a detector that was just built the weights of a trained one.

    Parameters
    ----------
    detector : Detector
        As its recipe builds it. Changed in place.
    start : str
        The trained detector's folder, or ``loradar/embedded``. A CNN that stands beside it is left
        behind.

    Returns
    -------
    str
        SHA-256 of the weights that it starts from.

    Raises
    ------
    CheckpointError
        The folder holds no detector, or an altered one.
    ConfigError
        The trained detector has other tensors or another base encoder than the recipe's.
    """
    folder = start_folder(start)
    old = load_detector(folder)
    theirs, ours = old.whole_state(), detector.whole_state()
    # A CNN beside it was trained by itself, and stays behind: no recipe trains the two together.
    theirs = {name: tensor for name, tensor in theirs.items() if not name.startswith("branches.")}
    shapes = [{name: tuple(t.shape) for name, t in state.items()} for state in (theirs, ours)]
    if shapes[0] != shapes[1]:
        first = min(name for name, _ in shapes[0].items() ^ shapes[1].items())
        raise ConfigError(
            f"start: {start} has another architecture than the recipe ({first} differs): take "
            f"encoder, adaptation and backend from {folder / 'recipe.yaml'}"
        )
    encoder = detector.config.encoder
    # An inline encoder begins at random, and comes along.
    named = isinstance(encoder, HuggingFaceEncoderConfig) and encoder.id is not None
    bases = {base_hash(each.base_tensors()) for each in (old, detector)}
    if named and detector.keeps_encoder and len(bases) > 1:
        raise ConfigError(
            f"start: {start} was trained on another base encoder than the recipe's encoder.id"
        )
    with torch.no_grad():
        for name, place in ours.items():
            place.copy_(theirs[name])
    return sha256_of(folder / "model.safetensors")


def draw_seed(seed: int, start_sha256: str | None) -> int:
    """Return the seed of a run's draws: its own, and where it starts from, so that no draw repeats.

    Examples
    --------
    >>> draw_seed(3, None), draw_seed(3, "00ff") != draw_seed(3, "00fe")
    (3, True)
    """
    return seed if start_sha256 is None else (int(start_sha256[:15], 16) << 32) + seed
