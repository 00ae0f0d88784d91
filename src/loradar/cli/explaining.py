"""``loradar detect --explain`` and ``--plot``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from loradar.errors import InputError
from loradar.files import check_writable

if TYPE_CHECKING:
    from loradar.inference.explain import Effect, Explanation
    from loradar.inference.verdict import Verdict


def plot_targets(plot: Path | None, clips: list[Path]) -> list[Path | None]:
    """Return where each clip's picture goes: the file, or one a clip in a folder.

    Raises
    ------
    InputError
        It cannot be written, or one file is to hold several clips.
    """
    if plot is None:
        return [None] * len(clips)
    if plot.suffix.lower() == ".png" and not plot.is_dir():
        if len(clips) > 1:
            raise InputError(f"{plot}: one picture for {len(clips)} clips; give --plot a folder")
        check_writable(plot)
        return [plot]
    if plot.suffix and not plot.is_dir():
        raise InputError(f"{plot}: the file's name must end in .png; or give a folder")
    targets: list[Path | None] = []
    for clip in clips:
        # Whatever the clips are called, names stay apart: a.wav and a.mp3, x/a.wav and y/a.wav.
        stem = re.sub(r"[^\w.-]", "_", clip.name)[:100] or "clip"
        target, number = plot / f"{stem}.png", 2
        while target in targets:
            target, number = plot / f"{stem}.{number}.png", number + 1
        targets.append(target)
    check_writable(plot / "picture.png")
    return targets


def draw(target: Path, verdict: Verdict, explanation: Explanation | None) -> None:
    """Write a verdict's picture; the recording is read again, block by block."""
    from loradar.audio.streams import stream_audio
    from loradar.evaluation.figures import save_png
    from loradar.inference.picture import picture
    from loradar.inference.sketch import sketch

    blocks = (block.samples for block in stream_audio(verdict.path))
    save_png(target, picture(verdict, sketch(blocks, verdict.seconds), explanation), dpi=110)


def explanation_lines(explanation: Explanation) -> list[str]:
    """Lay an explanation out for a person."""
    windows = ", ".join(f"{w.start:.1f}-{w.end:.1f} s" for w in explanation.windows)
    lines = [f"    looked at {windows}; effect on the score, above 0 for human:"]
    lines += ["    bands    " + _ranked(explanation.bands)]
    if explanation.experts:
        lines += ["    experts  " + _ranked(explanation.experts)]
    return lines


def _ranked(effects: tuple[Effect, ...]) -> str:
    """The five largest, either way."""
    largest = sorted(effects, key=lambda effect: -abs(effect.effect))[:5]
    return "  ".join(f"{effect.name}: {effect.effect:+.3f}" for effect in largest)
