"""What a grown model's card says about its growth."""

from __future__ import annotations

from typing import Any

_TEMPLATE = """## Grown

{what} for a new attack, from {new} of its clips{replay}{rest} {source}. On held clips, in percent:

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
    old, experts = clips["replayed attacks"], ", ".join(map(str, metrics["experts"]))
    how = "trained" if metrics["settings"]["experts"] else "added"
    return _TEMPLATE.format(
        what=f"Expert {experts} was {how}" if experts else "Every weight was trained",
        rest="; everything else is\nas in" if experts else "; it was",
        new=clips["new attack"],
        replay=f" and {old} of older attacks" if old else "",
        source=metrics["grown_from"],
        rows="\n".join(rows),
        best=metrics["best_step"],
        steps=metrics["steps"],
        seconds=metrics["seconds"],
    )
