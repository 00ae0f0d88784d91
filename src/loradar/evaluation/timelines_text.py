"""The measures of `loradar.evaluation.timelines` as tables and Markdown for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from loradar.evaluation.compare.write import markdown_table
from loradar.evaluation.table import NONE, percent

Report = Mapping[str, Any]
Tables = dict[str, pd.DataFrame]

_SPLICE_NAMES = {
    "hard": "hard cut",
    "crossfade": "crossfade",
    "pause": "with pauses",
    "turn": "call, one turn",
    "side": "call, one side",
}


def share_text(share: Report) -> str:
    """Write ``43 (30–57)``: percent and its interval."""
    if share["share"] is None:
        return NONE
    low, high = (percent(limit, 0) for limit in share["ci"])
    return f"{percent(share['share'], 0)} ({low}–{high})"


def rate_text(rate: Report) -> str:
    """Write ``0.7 (0.1–2.0)``: events an hour and their interval."""
    if rate["an_hour"] is None:
        return NONE
    low, high = rate["ci"]
    return f"{rate['an_hour']:.2f} ({low:.2f}–{high:.2f})"


def splice_tables(report: Report) -> Tables:
    """Lay out what ``loradar splices`` found: title -> table of text."""
    splices = {_SPLICE_NAMES[name]: block for name, block in report["by_splice"].items()}
    lengths = {
        length if length == "several" else f"{length} s": block
        for length, block in report["by_length"].items()
    }
    minutes = f"{report['amount']['long_seconds'] / 60:g} minutes"
    found = {
        "Spoofed stretches, by splice": _blocks(splices, "splice"),
        "Spoofed stretches, by length (not in calls)": _blocks(lengths, "length"),
        "By background (not in calls)": _blocks(report["by_background"], "background"),
        "Human stretches in their place": _human(report["human"], "put in"),
    }
    if report["long"]:
        block = report["long"]
        heading = f"One spoofed sentence of 4 s in {minutes}"
        found[heading] = _blocks({f"in {minutes}": block}, "")
        found[f"{minutes.capitalize()} of human speech"] = _human(block["human"], "put in")
    return found


def alarm_tables(report: Report) -> Tables:
    """Lay out what ``loradar alarms`` found."""
    rows = {"all": report["all"], **report["by_corpus"]}
    return {"False alarms on human speech": _human(rows, "")}


def markdown(title: str, intro: str, tables: Tables, notes: str) -> str:
    """Write tables as a page."""
    parts = [f"# {title}", intro]
    for heading, table in tables.items():
        parts += [f"## {heading}", markdown_table(table).strip()]
    return "\n\n".join([*parts, notes]) + "\n"


def _blocks(blocks: Mapping[str, Report], first: str) -> pd.DataFrame:
    rows = []
    for name, block in blocks.items():
        error = block["error_s"]
        known = error["median"] is not None
        rows.append(
            {
                first: name,
                "recordings": f"{block['recordings']:,}",
                "told SPOOF %": share_text(block["detected"]),
                "stretches alone %": share_text(block["alone"]),
                "stretches found %": share_text(block["stretches"]),
                "error s": f"{error['median']:.2f}, {error['p90']:.2f}" if known else NONE,
                "EER % of time": percent(block["timeline_eer"]["time"], 1),
                "of 0.64 s": percent(block["timeline_eer"]["0.64"], 1),
                "windows, of time": percent(block["window_eer"]["time"], 1),
            }
        )
    return pd.DataFrame(rows)


def _human(blocks: Mapping[str, Report], first: str) -> pd.DataFrame:
    rows = [
        {
            first: {"other": "other recordings", "same": "the same speaker", "none": "nothing"}.get(
                name, name
            ),
            "recordings": f"{block['flagged']['of']:,}",
            "hours": f"{block['recordings']['hours']:.2f}",
            "told SPOOF %": share_text(block["flagged"]),
            "recordings an hour": rate_text(block["recordings"]),
            "stretches an hour": rate_text(block["stretches"]),
            "uncertain %": share_text(block["uncertain"]),
            "no answer": f"{block['unanswered']['count']:,}",
        }
        for name, block in blocks.items()
    ]
    return pd.DataFrame(rows)
