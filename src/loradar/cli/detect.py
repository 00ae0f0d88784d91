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
    channels: str = typer.Option(
        "auto",
        "--channels",
        help="`apart`: a verdict a channel; `mix`: of their mean; `auto`: apart for calls.",
    ),
    hop: float | None = typer.Option(
        None,
        "--hop",
        min=0.05,
        help="Seconds from window to window. Default: two thirds of a window.",
    ),
    explain: bool = typer.Option(
        False, "--explain", help="Tell which frequency bands and experts the verdict rests on."
    ),
    plot: Path | None = typer.Option(
        None,
        "--plot",
        metavar="FILE|FOLDER",
        help="Draw waveform, spectrogram and timeline (PNG; for several clips a folder).",
    ),
    batch_size: int = typer.Option(16, "--batch-size", min=1, help="Windows a forward pass."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a clip and line."),
) -> None:
    """Judge whether clips are real human speech.

    Of any length: what changes midway is told as `00:31-00:37 spoof`, and the two sides of a call
    are judged apart.

    Exit code 0: all answered; 1: some could not be read; 2: none could, a path is not there, or a
    usage error.

    Example: `loradar detect clip.wav`, `loradar detect clip.mp3 --explain --plot clip.png`
    """
    import json

    from loradar.cli.console import write_output
    from loradar.cli.explaining import draw, explanation_lines, plot_targets
    from loradar.inference.explain import explain as explain_verdict
    from loradar.inference.judging import check_channels
    from loradar.inference.judging import detect as run
    from loradar.inference.model import load_model

    check_channels(channels)
    targets = plot_targets(plot, clips)
    loaded = load_model(model, engine=engine)
    answered = failed = missing = 0
    judged = run(loaded, clips, prior=prior, batch_size=batch_size, channels=channels, hop_s=hop)
    for verdict, target in zip(judged, targets, strict=True):
        if verdict.verdict == "ERROR":
            failed += 1
            missing += not Path(verdict.path).exists()
        else:
            answered += 1
        told = None
        if explain and verdict.windows:
            told = explain_verdict(loaded.detector, verdict)
        if target is not None and verdict.windows:
            draw(target, verdict, told)
        if as_json:
            more = {} if told is None else {"explanation": told.to_dict()}
            write_output(json.dumps({**verdict.to_dict(), **more}))
            continue
        lines = verdict_lines(verdict) + ([] if told is None else explanation_lines(told))
        write_output("\n".join(lines))
    # A path that is not there is a usage error even when other clips were answered.
    if missing or (failed and not answered):
        raise typer.Exit(2)
    if failed:
        raise typer.Exit(1)


def verdict_lines(verdict: Verdict) -> list[str]:
    """Lay a verdict out for a person: one line, then what holds from when to when."""
    reasons = "; ".join(verdict.reasons)
    if verdict.verdict == "ERROR":
        return [f"{verdict.path}: ERROR: {reasons.removeprefix(verdict.path + ': ')}"]
    line = (
        f"{verdict.path}: {verdict.verdict}  p_spoof {verdict.p_spoof:.3f}  "
        f"LLR {verdict.llr:+.2f}  {verdict.seconds:.1f} s"
    )
    lines = [line + (f"  ({reasons})" if reasons else "")]
    if not verdict.channels:
        return lines + _timeline(verdict)
    for number, channel in enumerate(verdict.channels, 1):
        lines.append(f"  channel {number}: {channel.verdict}  p_spoof {channel.p_spoof:.3f}")
        lines += _timeline(channel)
    return lines


def _timeline(verdict: Verdict) -> list[str]:
    """``00:31-00:37 spoof``, a line a stretch, where there is more than one."""
    rows: list[tuple[float, float, str, float | None]] = []
    end, digits = 0.0, 1 if verdict.seconds < 20 else 0
    for part in verdict.segments:
        name, p_spoof, start = _NAMES[part.verdict], part.p_spoof, part.start
        if round(start, digits) > round(end, digits):
            rows.append((end, start, "no speech", None))
        elif rows and rows[-1][2] == name:
            # Neighbours of one name are one line, with the surest of their numbers.
            start, _, _, before = rows.pop()
            p_spoof = max((p_spoof, before or 0.5), key=lambda p: abs(p - 0.5))
        rows.append((start, part.end, name, p_spoof))
        end = part.end
    if rows and round(verdict.seconds, digits) > round(end, digits):
        rows.append((end, verdict.seconds, "no speech", None))
    if len(rows) < 2:
        return []
    return [
        f"    {_clock(start, digits)}-{_clock(stop, digits)} "
        + (name if p_spoof is None else f"{name:<10} p_spoof {p_spoof:.3f}")
        for start, stop, name, p_spoof in rows
    ]


_NAMES = {"SPOOF": "spoof", "BONAFIDE": "human", "UNCERTAIN": "uncertain"}


def _clock(seconds: float, digits: int) -> str:
    minutes, rest = divmod(round(seconds, digits), 60)
    hours, minutes = divmod(int(minutes), 60)
    width = digits + 3 if digits else 2
    clock = f"{minutes:02d}:{rest:0{width}.{digits}f}"
    return f"{hours}:{clock}" if hours else clock
