"""The ONNX file of a detector: tracing, and dynamic int8."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from loradar.detector.model import Detector
from loradar.errors import ExportError
from loradar.inference.export.graph import ScoreGraph

OPSET = 18
WAVEFORMS, SCORE, GATES = "waveforms", "score", "gates:"
#: What dynamic int8 quantises. Convolutions stay float32: ONNX Runtime's integer ones are slower
#: than its float ones, and those that stand for Fourier transforms and filters need the precision.
QUANTISED = ["MatMul", "Gemm"]
#: Routers stay float32 where they are products of their own: a rounded logit is another expert.
ROUTERS = re.compile(r"/(moe_router|moe_grown|router|grown_gates)/")


def write_onnx(detector: Detector, path: Path) -> None:
    """Write a detector as ONNX: batch and length are free.

    Parameters
    ----------
    detector : Detector
        Taken over and changed (`loradar.inference.export.graph.fold`).
    path : Path
        The file.

    Raises
    ------
    ExportError
        It holds an operation that ONNX has not.
    """
    graph = ScoreGraph(detector).eval()
    names = [SCORE, *(GATES + name for name in graph.routers)]
    axes: dict[str, dict[int, str]] = {name: {0: "batch"} for name in names}
    axes[WAVEFORMS] = {0: "batch", 1: "samples"}
    # Two clips: with one, operations would take its batch axis for one of size 1.
    example = torch.linspace(-0.1, 0.1, 2 * detector.window).reshape(2, -1).sin()
    try:
        with torch.no_grad(), _quiet():
            # By tracing: the exporter through torch.export needs minutes for AASIST's node counts,
            # which are the length divided and rounded five times over.
            torch.onnx.export(
                graph,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[WAVEFORMS],
                output_names=names,
                dynamic_axes=axes,
            )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(f"this detector cannot be written as ONNX: {reason}") from None


def write_int8(source: Path, path: Path) -> int:
    """Write a float32 ONNX file with int8 weights, activations quantised as they come.

    Returns
    -------
    int
        How many products of matrices were quantised.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(source, load_external_data=False).graph
    chosen = [node.name for node in graph.node if ROUTERS.search(node.name)]
    with _quiet():
        quantize_dynamic(
            source,
            path,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=QUANTISED,
            nodes_to_exclude=chosen,
        )
    nodes = onnx.load(path, load_external_data=False).graph.node
    return sum(node.op_type in ("MatMulInteger", "DynamicQuantizeMatMul") for node in nodes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence notes on constants in traces and on preparing graphs; the check of parity judges."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
