"""A detector ready to judge: weights, calibration and name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from loradar.detector.scorer import WindowScorer
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
    folder: Path | str | None,
    device: str | None = None,
    engine: str = "torch",
    precision: str = "float32",
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
    precision : {"float32", "bfloat16", "int8"}
        Of torch's arithmetic. bfloat16 takes about half the time where the processor has
        instructions for it, and moves scores by some hundredths; int8 takes the linear maps of a
        large encoder in half of that again.

    Raises
    ------
    InputError
        The folder does not exist, no model was given and none is embedded, the engine is unknown
        or not installed, there is no export, or the precision is unknown.
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
    detector.set_precision(precision)
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
