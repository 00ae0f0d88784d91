"""How long a person waits for the first verdict: ``loradar detect`` in a fresh process.

Against a fresh process that only imports transformers' Wav2Vec2Model, and, through ONNX Runtime,
without torch. Run it alone with ``python benchmarks/first_verdict.py [--model FOLDER]``; ``make
bench`` calls `measure`, for the embedded detector.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import folder

from loradar.embedded import DETECTOR, DETECTOR_ID, detector_folder, is_installed

THREADS, ROUNDS = 2, 5
RATIO, ONNX_S = 1.5, 3.0
IMPORT = "from transformers import Wav2Vec2Model"
# `loradar ARGUMENTS`, and whether torch was imported on the way.
COMMAND = (
    "import sys; from loradar.cli.app import main\n"
    "sys.argv = ['loradar', *sys.argv[1:]]\n"
    "try: main()\n"
    "except SystemExit as end: code = end.code\n"
    "print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
)


def child(program: str, *arguments: str) -> tuple[float, str]:
    """Run a fresh Python; return its seconds and the last line of its standard error."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"first_verdict: {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return seconds, (done.stderr.splitlines() or [""])[-1]


def measure(model: str | None = None, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Return the rows for results.json."""
    if model is None and not is_installed(DETECTOR):
        print("first_verdict: no embedded detector: left out", file=sys.stderr)
        return []
    name = DETECTOR_ID if model is None else Path(model).resolve().name
    seconds: dict[str, list[float]] = {"import": [], "torch": [], "onnx": []}
    with tempfile.TemporaryDirectory() as room:
        (clip, *_), _ = folder.make_clips(Path(room), 1)
        export = _export(Path(model) if model else detector_folder(), Path(room) / "onnx", name)
        commands: dict[str, tuple[str, ...]] = {
            "import": (IMPORT,),
            "torch": (COMMAND, "detect", str(clip), *(("--model", model) if model else ())),
        }
        if export is not None:
            commands["onnx"] = (
                *(COMMAND, "detect", str(clip)),
                *("--model", str(export), "--engine", "onnx"),
            )
        imported = ""
        for turn in range(rounds + 1):
            for which, command in commands.items():
                spent, last = child(*command)
                if turn:  # the first fills the page cache
                    seconds[which].append(spent)
                if which == "onnx":
                    imported = last
    middle = {which: statistics.median(times) for which, times in seconds.items() if times}
    ratio = middle["torch"] / middle["import"]
    how = f"fresh processes, {THREADS} threads, median of {rounds} interleaved rounds"
    rows = [
        {
            "name": f"{name}, time to the first verdict over importing transformers' Wav2Vec2Model",
            "value": round(ratio, 3),
            "unit": "ratio",
            "target": RATIO,
            "better": "lower",
            "ok": ratio <= RATIO,
            "how": f"loradar detect, a clip of 1 s; {how}; {middle['torch']:.2f} against "
            f"{middle['import']:.2f} s",
        }
    ]
    if "onnx" in middle:
        without = imported == "False"
        rows.append(
            {
                "name": f"{name}, time to the first verdict through ONNX Runtime",
                "value": round(middle["onnx"], 3),
                "unit": "s",
                "target": ONNX_S,
                "better": "lower",
                "ok": middle["onnx"] <= ONNX_S and without,
                "how": f"loradar detect --engine onnx, a clip of 1 s; {how}; torch was "
                f"{'not ' if without else ''}imported",
            }
        )
    return rows


def _export(source: Path, out: Path, name: str) -> Path | None:
    """Export a model, in a process of its own; None without onnx."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        print("first_verdict: onnx is not installed: its row is left out", file=sys.stderr)
        return None
    child(COMMAND, "export", str(source), "--to", "onnx", "-o", str(out), "--no-int8")
    return out


def main() -> None:
    """Measure a model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--model", help="in place of the embedded detector")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    for row in measure(options.model, options.rounds):
        print(f"{row['name']}: {row['value']} {row['unit']}\n  {row['how']}", flush=True)


if __name__ == "__main__":
    main()
