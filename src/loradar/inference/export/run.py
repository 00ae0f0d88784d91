"""From a model's folder to a folder of ONNX files that were checked against it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from loradar import __version__
from loradar.detector.checkpoint import CONFIG, load_detector
from loradar.errors import ExportError
from loradar.files import atomic_path, sha256_of, write_json
from loradar.inference.export.parity import (
    TOLERANCE,
    Difference,
    Progress,
    clip_scores,
    equal_error_rate,
    probe_scores,
    probes,
)
from loradar.inference.export.trace import write_int8, write_onnx
from loradar.inference.onnx_engine import (
    FILES,
    FORMAT,
    FORMAT_VERSION,
    RECORD,
    OnnxDetector,
    need_onnx,
    open_session,
)


@dataclass(frozen=True)
class Trials:
    """Clips that engines are compared on.

    Attributes
    ----------
    load : callable
        Gives the samples [T] of every clip, anew at each call.
    labels : sequence of str
        ``bonafide``, ``spoof`` or empty.
    """

    load: Callable[[], Iterator[np.ndarray]]
    labels: Sequence[str] = field(default_factory=tuple)


def weights_hash(folder: Path) -> str:
    """Return the hash of the weights that a model's folder states."""
    record = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return str(record["weights_sha256"])


def export(
    folder: Path,
    out: Path,
    *,
    name: str,
    int8: bool = True,
    trials: Trials | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write ``model.onnx``, with ``int8`` also ``model.int8.onnx``, and their record.

    Nothing is written unless the float32 graph gives the detector's scores.

    Parameters
    ----------
    folder : Path
        The model.
    out : Path
        Folder of the export.
    name : str
        What verdicts call the model.
    int8 : bool
        Quantise too.
    trials : Trials, optional
        Clips to compare on beside `probes`; with labels of both classes the EER is given too.
    batch_size : int
        Windows a forward pass on ``trials``.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    dict
        The record, ``export.json``.

    Raises
    ------
    InputError
        onnx or onnxruntime is not installed.
    ExportError
        The detector cannot be written, or its graph's scores differ by more than `TOLERANCE`.
    """
    need_onnx()
    reference = load_detector(folder).float().eval()
    # Scored before the second copy is changed: what they share, if anything, is still whole.
    batches = probes(reference.window, reference.minimum_samples)
    judges = _Judges(batches, trials, batch_size, progress)
    wanted = judges.scores(reference, "torch")
    record: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "loradar_version": __version__,
        "model": name,
        "weights_sha256": weights_hash(folder),
        "window": reference.window,
        "files": {},
    }
    if trials is not None:
        record["eer_torch"] = equal_error_rate(wanted[-len(trials.labels) :], trials.labels)
    with ExitStack() as stack:
        float_path = stack.enter_context(atomic_path(out / FILES["float32"]))
        write_onnx(load_detector(folder), float_path)
        engine = OnnxDetector(open_session(float_path), reference.window)
        entry = judges.compare(engine, wanted, "onnx")
        if entry["difference"]["largest"] > TOLERANCE:
            raise ExportError(
                f"{name}: the ONNX graph's scores differ from torch's by up to "
                f"{entry['difference']['largest']:.2g}, more than {TOLERANCE:g}: nothing written"
            )
        record["files"]["float32"] = {"file": FILES["float32"], **entry}
        paths = {"float32": float_path}
        if int8:
            int8_path = stack.enter_context(atomic_path(out / FILES["int8"]))
            products = write_int8(float_path, int8_path)
            engine = OnnxDetector(open_session(int8_path), reference.window)
            entry = judges.compare(engine, wanted, "int8")
            record["files"]["int8"] = {"file": FILES["int8"], "products": products, **entry}
            paths["int8"] = int8_path
        for kind, path in paths.items():
            record["files"][kind] |= {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    if (folder / "calibration.json").is_file():
        with atomic_path(out / "calibration.json") as temporary:
            shutil.copyfile(folder / "calibration.json", temporary)
    # Last, because it vouches for the files.
    write_json(out / RECORD, record)
    return record


@dataclass(frozen=True)
class _Judges:
    """The clips on which every engine is scored."""

    batches: list[np.ndarray]
    trials: Trials | None
    batch_size: int
    progress: Progress | None

    def scores(self, scorer: Any, what: str) -> np.ndarray:
        """Score the probes, then the trials."""
        found = [probe_scores(scorer, self.batches)]
        if self.trials is not None:
            found.append(
                clip_scores(
                    scorer,
                    self.trials.load(),
                    batch_size=self.batch_size,
                    progress=self.progress,
                    total=len(self.trials.labels),
                    what=what,
                )
            )
        return np.concatenate(found)

    def compare(self, scorer: Any, wanted: np.ndarray, what: str) -> dict[str, Any]:
        """Return the difference from torch, on the trials where there are some, and the EER."""
        found = self.scores(scorer, what)
        entry: dict[str, Any] = {"difference": Difference.between(found, wanted).to_dict()}
        if self.trials is not None:
            count = len(self.trials.labels)
            entry["difference_on_clips"] = Difference.between(
                found[-count:], wanted[-count:]
            ).to_dict()
            entry["eer"] = equal_error_rate(found[-count:], self.trials.labels)
        return entry
