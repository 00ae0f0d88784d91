"""``loradar detect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from loradar.inference.verdict import Verdict


def detect(
    clips: list[Path] = typer.Argument(..., help="Audio files.", metavar="CLIP..."),
    model: Path | None = typer.Option(
        None,
        "--model",
        metavar="FOLDER|ID",
        help="Folder that `loradar train` wrote. Default: `loradar/embedded`.",
    ),
    prior: float = typer.Option(
        0.5, "--prior", min=0.001, max=0.999, help="Prior probability of spoof."
    ),
    engine: str = typer.Option(
        "torch",
        "--engine",
        help="`torch`; `onnx` or `onnx-int8`: what `loradar export` wrote, without torch.",
    ),
    batch_size: int = typer.Option(16, "--batch-size", min=1, help="Windows a forward pass."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a clip and line."),
) -> None:
    """Judge whether clips are real human speech.

    Exit code 0: all answered; 1: some could not be read; 2: none could, or a usage error.

    Example: `loradar detect clip.wav`, `loradar detect --model runs/demo/moe_lora clip.wav`
    """
    import json

    from loradar.cli.console import write_output
    from loradar.inference.model import detect as run
    from loradar.inference.model import load_model

    loaded = load_model(model, engine=engine)
    answered = failed = missing = 0
    for verdict in run(loaded, clips, prior=prior, batch_size=batch_size):
        if verdict.verdict == "ERROR":
            failed += 1
            missing += not Path(verdict.path).exists()
        else:
            answered += 1
        write_output(
            json.dumps(verdict.to_dict()) if as_json else "\n".join(verdict_lines(verdict))
        )
    # A path that is not there is a usage error even when other clips were answered.
    if missing or (failed and not answered):
        raise typer.Exit(2)
    if failed:
        raise typer.Exit(1)


def verdict_lines(verdict: Verdict) -> list[str]:
    """Lay a verdict out for a person: one line, then the timeline."""
    reasons = "; ".join(verdict.reasons)
    if verdict.verdict == "ERROR":
        return [f"{verdict.path}: ERROR: {reasons.removeprefix(verdict.path + ': ')}"]
    line = (
        f"{verdict.path}: {verdict.verdict}  p_spoof {verdict.p_spoof:.3f}  "
        f"LLR {verdict.llr:+.2f}  {verdict.seconds:.1f} s"
    )
    lines = [line + (f"  ({reasons})" if reasons else "")]
    for part in verdict.segments:
        bar = "#" * round(20 * part.p_spoof)
        lines.append(
            f"    {_clock(part.start)}-{_clock(part.end)}  p_spoof {part.p_spoof:.3f}  {bar}"
        )
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):02d}:{rest:04.1f}"
