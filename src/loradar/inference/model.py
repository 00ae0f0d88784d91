"""A detector ready to judge: weights, calibration and name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loradar.audio.reading import load_audio
from loradar.detector.scorer import WindowScorer, score_clips
from loradar.embedded import DETECTOR, DETECTOR_ID, detector_folder, is_installed, names_detector
from loradar.errors import CheckpointError, InputError
from loradar.evaluation.calibration import Calibration
from loradar.inference.onnx_engine import (
    check_source,
    find_export,
    load_onnx,
    need_runtime,
    read_export,
)
from loradar.inference.quality import reasons_against
from loradar.inference.verdict import Verdict, decide

#: Engines beside torch, and the precision that each takes from an export.
PRECISIONS = {"onnx": "float32", "onnx-int8": "int8"}
NO_MODEL = "no model: give --model, or run make demo"


@dataclass(frozen=True)
class Model:
    """A detector with what is needed to read its scores.

    Attributes
    ----------
    detector : WindowScorer
        A `loradar.detector.Detector` in evaluation mode, or `OnnxDetector`.
    calibration : Calibration or None
        Score -> LLR.
    name : str
        What verdicts call it.
    """

    detector: WindowScorer
    calibration: Calibration | None
    name: str


def best_device() -> str:
    """Return ``cuda`` where there is one, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_model(
    folder: Path | str | None, device: str | None = None, engine: str = "torch"
) -> Model:
    """Load a checkpoint folder, or the detector inside the package.

    Parameters
    ----------
    folder : Path or str or None
        The folder that ``loradar train`` wrote; None or ``loradar/embedded`` for the embedded
        detector.
    device : str, optional
        Default: a GPU where there is one.
    engine : {"torch", "onnx", "onnx-int8"}
        ``onnx`` runs what ``loradar export`` wrote, on the CPU and without torch.

    Raises
    ------
    InputError
        The folder does not exist, no model was given and none is embedded, the engine is unknown
        or not installed, or there is no export.
    CheckpointError
        The folder is incomplete, altered, or of a newer format.
    """
    if engine != "torch" and engine not in PRECISIONS:
        raise InputError(f"--engine {engine}: give torch, {' or '.join(PRECISIONS)}")
    if folder is None and not is_installed(DETECTOR):
        raise InputError(NO_MODEL)
    if folder is None or names_detector(folder):
        folder, name = detector_folder(), DETECTOR_ID
    else:
        folder = Path(folder)
        name = folder.resolve().name
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such model folder: give the folder that loradar train wrote"
        )
    if engine != "torch":
        need_runtime()
        return _load_export(folder, name, engine)
    from loradar.detector.checkpoint import load_detector

    detector = load_detector(folder, device=device or best_device()).eval()
    return Model(detector, read_calibration(folder), name)


def _load_export(folder: Path, name: str, engine: str) -> Model:
    precision = PRECISIONS[engine]
    place = find_export(folder)
    if place == folder:
        name = str(read_export(folder).get("model") or name)
    else:
        check_source(place, folder)
    calibration = read_calibration(folder) or read_calibration(place)
    return Model(load_onnx(place, precision), calibration, name)


def read_calibration(folder: Path) -> Calibration | None:
    """Return the folder's calibration, None where it has none.

    Raises
    ------
    CheckpointError
        ``calibration.json`` is there and cannot be understood.
    """
    path = folder / "calibration.json"
    if not path.exists():
        return None
    try:
        return Calibration.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not a calibration: {error}") from None


def detect(
    model: Model, paths: Iterable[Path | str], *, prior: float = 0.5, batch_size: int = 16
) -> Iterator[Verdict]:
    """Judge clips one after the other.

    Parameters
    ----------
    model : Model
        See `load_model`.
    paths : iterable of Path or str
        Audio files. One that cannot be read gives an ERROR verdict; the rest go on.
    prior : float
        Prior probability of spoof, in (0, 1).
    batch_size : int
        Windows a forward pass.

    Yields
    ------
    Verdict
        In the order given.
    """
    for path in paths:
        try:
            samples = load_audio(path)
        except InputError as error:
            yield Verdict(str(path), "ERROR", reasons=(str(error),), model=model.name)
            continue
        yield judge(model, samples, path=str(path), prior=prior, batch_size=batch_size)


def judge(
    model: Model,
    samples: np.ndarray,
    *,
    path: str = "",
    prior: float = 0.5,
    batch_size: int = 16,
) -> Verdict:
    """Judge samples already in memory.

    Parameters
    ----------
    model : Model
        See `load_model`.
    samples : ndarray of float32, [T]
        16 kHz mono in [-1, 1].
    path : str
        What the verdict calls the clip.
    prior, batch_size
        See `detect`.

    Returns
    -------
    Verdict
    """
    (scores,) = score_clips(model.detector, [samples], batch_size=batch_size)
    return decide(
        path,
        scores,
        calibration=model.calibration,
        prior=prior,
        reasons=reasons_against(samples),
        model=model.name,
    )
