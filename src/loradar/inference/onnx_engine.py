"""A detector in ONNX Runtime: no torch is imported."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loradar.embedded import DETECTOR_ID, holds
from loradar.errors import CheckpointError, InputError
from loradar.files import sha256_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

RECORD = "export.json"
FORMAT, FORMAT_VERSION = "loradar-onnx", 1
#: File of each precision.
FILES = {"float32": "model.onnx", "int8": "model.int8.onnx"}
#: Where ``loradar export`` writes inside a model's folder unless told otherwise.
SUBFOLDER = "onnx"
#: Names of the graph's input and outputs; the gates' have the router's name behind.
WAVEFORMS, SCORE, GATES = "waveforms", "score", "gates:"
MISSING = "ONNX Runtime is not installed: pip install 'loradar[onnx]'"


@dataclass(frozen=True)
class OnnxDetector:
    """Scores windows; stands in for a `loradar.detector.Detector`.

    Safe to call from several threads.

    Attributes
    ----------
    session : InferenceSession
        ONNX Runtime's.
    window : int
        Samples of a window.
    """

    session: InferenceSession
    window: int

    def score_windows(self, batch: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return scores [B] of windows [B, S] (16 kHz), and by router the mean gates [B, E]."""
        names = [output.name for output in self.session.get_outputs()]
        scores, *gates = self.session.run(None, {WAVEFORMS: np.ascontiguousarray(batch, "f4")})
        routers = [name.removeprefix(GATES) for name in names[1:]]
        return scores, dict(zip(routers, gates, strict=True))


def need_onnx() -> None:
    """Refuse at once where the extra is not installed.

    Raises
    ------
    InputError
        Says what to install.
    """
    if find_spec("onnx") is None:
        raise InputError(MISSING)
    need_runtime()


def need_runtime() -> None:
    """Refuse where ONNX Runtime is not installed; `need_onnx` is for writing."""
    if find_spec("onnxruntime") is None:
        raise InputError(MISSING)


def open_session(path: Path) -> InferenceSession:
    """Open an ONNX file on the CPU, with as many threads as OMP_NUM_THREADS says.

    Raises
    ------
    CheckpointError
        The file cannot be run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    threads = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(threads) if threads.isdigit() else 0
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no base class of its errors
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: ONNX Runtime cannot run it: {reason}") from None


def find_export(folder: Path) -> Path:
    """Return the folder of an export: ``folder`` itself, or ``onnx/`` in a model's folder.

    Raises
    ------
    InputError
        There is none; says how to make it.
    """
    for place in (folder, folder / SUBFOLDER):
        if (place / RECORD).is_file():
            return place
    if holds(folder):
        raise InputError(
            f"{DETECTOR_ID} has no ONNX export: run loradar export {DETECTOR_ID} --to onnx "
            "-o FOLDER, then give --model FOLDER"
        )
    raise InputError(f"{folder}: no ONNX export there: run loradar export {folder} --to onnx")


def load_onnx(folder: Path, precision: str = "float32") -> OnnxDetector:
    """Load an export.

    Parameters
    ----------
    folder : Path
        What `find_export` gives.
    precision : {"float32", "int8"}
        Which of its files.

    Raises
    ------
    CheckpointError
        A file is missing, altered or of a newer format.
    InputError
        ONNX Runtime is not installed.
    """
    need_runtime()
    record = read_export(folder)
    entry = record["files"].get(precision)
    if entry is None:
        raise CheckpointError(f"{folder}: was exported without {precision}")
    path = folder / entry["file"]
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing; export the model again")
    if sha256_of(path) != entry["sha256"]:
        raise CheckpointError(f"{path}: altered: its SHA-256 is not the one in {RECORD}")
    return OnnxDetector(open_session(path), int(record["window"]))


def check_source(place: Path, folder: Path) -> None:
    """Refuse an export that was made of other weights than its model's folder has now.

    Raises
    ------
    CheckpointError
        Says to export again.
    """
    try:
        now = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # a folder without a readable model has nothing to compare with
    made_of = read_export(place).get("weights_sha256")
    if isinstance(now, dict) and made_of != now.get("weights_sha256"):
        raise CheckpointError(
            f"{place}: was made of other weights than {folder} has now: "
            f"run loradar export {folder} --to onnx again"
        )


def read_export(folder: Path) -> dict[str, Any]:
    """Read an export's record.

    Raises
    ------
    CheckpointError
        It is not one, or of a newer format.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not the record of an ONNX export")
    if not isinstance(record.get("files"), dict) or not isinstance(record.get("window"), int):
        raise CheckpointError(f"{path}: files or window is missing; export the model again")
    if record.get("format_version", 0) > FORMAT_VERSION:
        raise CheckpointError(f"{path}: written by a newer Loradar: upgrade to read it")
    return record
