"""Tables of runs and of variants, as formatted text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from loradar.evaluation.table import NONE, interval, percent

Estimate = Mapping[str, Any]


def runs_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Format the table of `runs.runs_frame`: rates in percent, a dash where there is nothing."""
    text = pd.DataFrame({"run": [f"{v}/{f}/{s}" for v, f, s in _keys(frame)]})
    text["state"] = frame["status"]
    for heading, column in (
        ("ID EER %", "id_eer"),
        ("OOD", "ood_average"),
        ("pair-disjoint", "ood_pair_disjoint"),
        ("all clips", "ood_all_clips"),
    ):
        text[heading] = [percent(_value(rate), 1) for rate in frame[column]]
    for heading, column, form in (
        ("within-corpus AUC", "within_corpus_auc", "{:.3f}"),
        ("trained", "trained_parameters", "{:,.0f}"),
        ("step s", "step_seconds", "{:.3f}"),
        ("peak MiB", "peak_memory_mib", "{:,.0f}"),
        ("min", "minutes", "{:.1f}"),
    ):
        text[heading] = [number(_value(cell), form) for cell in frame[column]]
    return text


def variants_text(comparison: Mapping[str, Any]) -> pd.DataFrame:
    """Set the variants of `compare.compare_runs` into the paper's table, one row each.

    Rates are percent: in-domain, each out-of-domain group and the averages, with intervals for
    the figures that claims rest on; then what training took.
    """
    groups = list(dict.fromkeys(g for v in comparison["variants"].values() for g in v["ood"]))
    rows = []
    for name, variant in comparison["variants"].items():
        row = {"variant": name, "seeds": _seeds(variant), "ID": with_interval(variant["id_eer"])}
        row |= {group: mean(variant["ood"].get(group)) for group in groups}
        row["OOD average"] = with_interval(variant["ood_average"])
        row["sd over seeds"] = percent((variant["ood_average"] or {}).get("seed_sd"), 1)
        row["pair-disjoint"] = with_interval(variant["ood_pair_disjoint"])
        row["without LJ"] = mean(variant["ood_without_lj"])
        row["all clips"] = mean(variant["ood_all_clips"])
        row["within-corpus AUC"] = number(variant["within_corpus_auc"], "{:.3f}")
        row["trained parameters"] = number(variant["trained_parameters"], "{:,.0f}")
        row["step s"] = number(variant["step_seconds"], "{:.3f}")
        row["peak MiB"] = number(variant["peak_memory_mib"], "{:,.0f}")
        rows.append(row)
    return pd.DataFrame(rows)


def groups_text(comparison: Mapping[str, Any]) -> pd.DataFrame:
    """Set the out-of-domain groups into a table with intervals, one row a variant."""
    groups = list(dict.fromkeys(g for v in comparison["variants"].values() for g in v["ood"]))
    return pd.DataFrame(
        [
            {
                "variant": name,
                **{group: with_interval(variant["ood"].get(group)) for group in groups},
            }
            for name, variant in comparison["variants"].items()
        ]
    )


def over_text(comparison: Mapping[str, Any]) -> pd.DataFrame:
    """Set what the main variant is against each other one into a table, one row each.

    Ratios of average out-of-domain EERs, and differences in percentage points: negative where
    the main variant is better.
    """
    rows = []
    for name, block in comparison["over"].items():
        apart, everything = block["ood_pair_disjoint"], block["ood_all_clips"]
        rows.append(
            {
                "against": name,
                "seeds": str(len(block["seeds"])),
                "ratio": number(block["ratio"], "{:.3f}"),
                "95 %": _limits(block["low"], block["high"], "{:.3f}"),
                "points": _points(block),
                "points, pair-disjoint": _points(apart),
                "points, all clips": _points(everything),
                "points, ID": _points(block["id_eer"]),
                "within-corpus AUC": number(block["within_corpus_auc_difference"], "{:+.3f}"),
                "holds": "yes" if block["holds"] else "no",
            }
        )
    return pd.DataFrame(rows)


def caption(comparison: Mapping[str, Any]) -> str:
    """Say what the figures are and how their intervals were made."""
    unit = comparison["clusters"]
    drawn = f"seeds and clusters of {unit}" if unit else "seeds alone (no clip scores were kept)"
    return (
        f"Tie-safe EER in percent on matched clips unless said, mean over folds "
        f"({', '.join(comparison['folds'])}), groups and seeds; 95 % intervals from "
        f"{comparison['resamples']:,} paired bootstrap draws of {drawn}."
    )


def mean(estimate: Estimate | None) -> str:
    """Write an estimate's mean in percent."""
    return percent(None if estimate is None else estimate["mean"], 1)


def with_interval(estimate: Estimate | None) -> str:
    """Write an estimate as ``mean (low–high)`` in percent."""
    if estimate is None or estimate["low"] is None:
        return mean(estimate)
    return f"{mean(estimate)} ({interval((estimate['low'], estimate['high']), 1)})"


def number(value: float | None, form: str) -> str:
    """Format a number; a dash where there is none."""
    return NONE if value is None else form.format(value)


def _points(block: Estimate | None) -> str:
    """Write a difference of rates in percentage points, with its interval."""
    if block is None or block["difference"] is None:
        return NONE
    text = f"{100 * block['difference']:+.1f}"
    low, high = block["difference_low"], block["difference_high"]
    if low is None or high is None:
        return text
    return f"{text} ({_limits(100 * low, 100 * high, '{:+.1f}')})"


def _limits(low: float | None, high: float | None, form: str) -> str:
    if low is None or high is None:
        return NONE
    # "to", since a dash between signed numbers reads as another minus.
    return f"{form.format(low)} to {form.format(high)}"


def _seeds(variant: Mapping[str, Any]) -> str:
    return str(len(variant["seeds"])) if variant["kind"] == "train" else NONE


def _keys(frame: pd.DataFrame) -> list[tuple[str, str, int]]:
    return list(frame[["variant", "fold", "seed"]].itertuples(index=False, name=None))


def _value(cell: object) -> float | None:
    return None if cell is None or pd.isna(cell) else float(cell)  # type: ignore[arg-type, call-overload]
