"""Tables for people: rates in percent, Cllr in bits; for the terminal and for HTML reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from loradar.evaluation.evaluate import Block

NONE = "–"


def percent(rate: float | None, digits: int = 2) -> str:
    """Write a fraction as percent without the sign; a dash where there is none."""
    return NONE if rate is None else f"{100 * rate:.{digits}f}"


def interval(limits: Sequence[float] | None, digits: int = 2) -> str:
    """Write an interval of fractions as ``low–high`` in percent."""
    if limits is None:
        return NONE
    return f"{percent(limits[0], digits)}–{percent(limits[1], digits)}"


def blocks_frame(blocks: Mapping[str, Block], first: str, *, rate: str = "eer") -> pd.DataFrame:
    """Lay out blocks of `evaluate.evaluate` as formatted text, one row a block.

    Parameters
    ----------
    blocks : mapping of str to block
        A breakdown such as ``report["by_attack"]``.
    first : str
        Heading of the column of names.
    rate : str
        The equal error rate to show: ``eer`` (official) or ``eer_tie_safe``.
    """
    columns = [first, "EER %", "95 %", "minDCF", "actDCF", "min Cllr", "Cllr bits"]
    columns += ["bona fide", "spoof"]
    rows = [
        [
            name,
            percent(block[rate]),
            interval(block["eer_ci"]),
            *(_number(block[key]) for key in ("min_dcf", "act_dcf", "min_cllr", "cllr")),
            f"{block['bonafide']:,}",
            f"{block['spoof']:,}",
        ]
        for name, block in blocks.items()
    ]
    return pd.DataFrame(rows, columns=columns)


def rich_table(frame: pd.DataFrame, title: str = "", caption: str = "") -> Table:
    """Turn a frame of text into a table for the terminal; only its first column is left-aligned."""
    table = Table(
        title=escape(title) or None,
        caption=escape(caption) or None,
        title_justify="left",
        caption_justify="left",
    )
    for index, name in enumerate(frame.columns):
        table.add_column(escape(str(name)), justify="right" if index else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(escape(str(cell)) for cell in row))
    return table


def report_tables(report: Mapping[str, Any], title: str = "All trials") -> list[Table]:
    """Lay out a report of `evaluate.evaluate`: one table pooled, one for each breakdown.

    Breakdowns without a value are left out.
    """
    pooled = blocks_frame({"pooled": report["pooled"]}, "")
    average = report["ood_average"]
    if average["eer"] is not None:
        rates = [percent(average["eer"]), interval(average["eer_ci"])]
        pooled.loc[len(pooled)] = ["OOD average", *rates, *[""] * (len(pooled.columns) - 3)]
    tables = [rich_table(pooled, title, caption(report))]
    for name, blocks in report.items():
        kind, _, column = name.partition("_")
        if kind in ("by", "within") and blocks:
            heading = f"By {column} (against all bona fide trials)"
            if kind == "within":
                heading = f"Within each {column}"
            tables.append(rich_table(blocks_frame(blocks, column), heading))
    return tables


def caption(report: Mapping[str, Any]) -> str:
    """Say where actDCF and Cllr come from, and how many trials were left out."""
    source = {
        "llr": "the calibrated llr",
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


def mini_frame(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Set systems side by side on one fold of the mini benchmark, as formatted text.

    Tie-safe EERs in percent, since some baselines have many ties; matched clips unless said.

    Parameters
    ----------
    reports : mapping of str to dict
        Each system's `suites.mini.mini_report` on the same fold.
    """
    rows = []
    for name, report in reports.items():
        matched = report["matched"]
        average = matched["ood_average"]
        row = {
            "system": name,
            "ID": percent(None if matched["id"] is None else matched["id"]["eer_tie_safe"], 1),
            "OOD": percent(average["eer_tie_safe"], 1),
            "95 %": interval(average["eer_ci"], 1),
        }
        for group, block in matched["ood"].items():
            row[group] = percent(block["eer_tie_safe"], 1)
        row["within-corpus AUC"] = _number(average["within_corpus_auc"])
        for heading, selection in (
            ("OOD pair-disjoint", "pair_disjoint"),
            ("OOD without LJ", "matched_without_lj"),
            ("OOD all clips", "all"),
        ):
            row[heading] = percent(report[selection]["ood_average"]["eer_tie_safe"], 1)
        rows.append(row)
    return pd.DataFrame(rows).fillna(NONE)


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
