"""What a grown model's card says about its growth."""

from __future__ import annotations

from typing import Any

_TEMPLATE = """## Grown

Expert {experts} was {what} for a new attack, from {new} of its clips{replay}; everything else is
as in {source}. On held clips, in percent:

| EER | before | after |
|---|---|---|
{rows}

Steps: {best} of {steps} taken, in {seconds:.0f} s. The calibration is the old model's.
"""


def growth_section(metrics: dict[str, Any]) -> str:
    """Return a section of Markdown about one growth.

    Parameters
    ----------
    metrics : dict
        What the grown model's ``metrics.json`` holds.
    """
    clips = metrics["clips"]["training"]
    before, after = metrics["held_before"], metrics["held_after"]
    rows = [
        f"| {name.removeprefix('eer of ')} | {100 * value:.1f} | {100 * after[name]:.1f} |"
        for name, value in before.items()
        if name.startswith("eer of ")
    ]
    old = clips["replayed attacks"]
    return _TEMPLATE.format(
        experts=", ".join(map(str, metrics["experts"])),
        what="trained" if metrics["settings"]["experts"] else "added",
        new=clips["new attack"],
        replay=f" and {old} of older attacks" if old else "",
        source=metrics["grown_from"],
        rows="\n".join(rows),
        best=metrics["best_step"],
        steps=metrics["steps"],
        seconds=metrics["seconds"],
    )
