"""``loradar evaluate --conditions``: one model under codecs, noise, filters and levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loradar.corpora.manifest import Manifest


def run_conditions(
    names: list[str],
    model: Path,
    manifest: Manifest,
    windows: str,
    batch_size: int,
    options: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Score the clips under each condition and print EERs side by side.

    Parameters
    ----------
    names : list of str
        Keys of `loradar.evaluation.conditions.CONDITIONS`, or ``all``.
    model : Path
        Model folder.
    manifest : Manifest
        The clips.
    windows, batch_size
        See `loradar.scoring.scores.score_manifest`.
    options : dict
        Of `loradar.evaluation.evaluate.evaluate`.
    as_json : bool
        Print ``{"by_condition": {name: block}}``; each block with ``over_clean``, its EER over the
        clean one (None where that is 0).
    """
    import json

    from loradar.cli.console import OUTPUT, note, write_output
    from loradar.cli.trials import model_trials
    from loradar.evaluation.conditions import choose_conditions
    from loradar.evaluation.evaluate import evaluate
    from loradar.evaluation.table import blocks_frame, rich_table

    blocks: dict[str, dict[str, Any]] = {}
    for name in choose_conditions(names):
        note(f"condition {name}")
        table = model_trials(
            model, manifest, windows=windows, batch_size=batch_size, condition=name
        )
        blocks[name] = evaluate(table, **options)["pooled"]
        clean = blocks["clean"]["eer"]
        blocks[name]["over_clean"] = blocks[name]["eer"] / clean if clean else None
    if as_json:
        write_output(json.dumps({"by_condition": blocks}))
        return
    frame = blocks_frame(blocks, "condition")
    ratios = [block["over_clean"] for block in blocks.values()]
    frame["over clean"] = ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
    OUTPUT.print(rich_table(frame, f"{model}: each condition on both classes"))
