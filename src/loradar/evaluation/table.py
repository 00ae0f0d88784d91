"""Tables for the terminal: rates in percent, Cllr in bits."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from loradar.evaluation.evaluate import Block

NONE = "–"


def percent(rate: float | None, digits: int = 2) -> str:
    """Write a fraction as percent without the sign; a dash where there is none."""
    return NONE if rate is None else f"{100 * rate:.{digits}f}"


def interval(limits: list[float] | tuple[float, float] | None, digits: int = 2) -> str:
    """Write an interval of fractions as ``low-high`` in percent."""
    if limits is None:
        return NONE
    return f"{percent(limits[0], digits)}–{percent(limits[1], digits)}"


def report_tables(report: dict[str, Any], title: str = "") -> list[Table]:
    """Lay out a report of `evaluate.evaluate`: one table pooled, one for each breakdown.

    Breakdowns without a value are left out.
    """
    tables = [_table(title or "All trials", "", {"pooled": report["pooled"]})]
    average = report["ood_average"]
    if average["eer"] is not None:
        tables[0].add_row(
            "OOD average", percent(average["eer"]), interval(average["eer_ci"]), *[""] * 5
        )
    for name, blocks in report.items():
        if name.startswith("by_") and blocks:
            column = name.removeprefix("by_")
            tables.append(_table(f"By {column} (against all bona fide trials)", column, blocks))
    tables[-1].caption = _caption(report)
    return tables


def _table(title: str, first: str, blocks: dict[str, Block]) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(first)
    for name in ("EER %", "95 %", "minDCF", "actDCF", "Cllr bits", "bona fide", "spoof"):
        table.add_column(name, justify="right")
    for name, block in blocks.items():
        table.add_row(
            name,
            percent(block["eer"]),
            interval(block["eer_ci"]),
            *(_number(block[key]) for key in ("min_dcf", "act_dcf", "cllr")),
            f"{block['bonafide']:,}",
            f"{block['spoof']:,}",
        )
    return table


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _caption(report: dict[str, Any]) -> str:
    """Say where actDCF and Cllr come from, and which trials were left out."""
    source = {
        "llr": "calibrated llr",
        "score": "the raw score (not calibrated)",
        "mixed": "llr where there is one, else the raw score",
    }
    parts = [f"actDCF and Cllr from {source[report['llr_from']]}."]
    counts = report["trials"]
    unscored = counts["bonafide_without_score"] + counts["spoof_without_score"]
    if unscored:
        parts.append(f"Left out for want of a score: {unscored}.")
    if counts["without_label"]:
        parts.append(f"Left out for want of a label: {counts['without_label']}.")
    return " ".join(parts)
