"""Tables of runs and of variants, as formatted text for people."""

from __future__ import annotations

import pandas as pd

from loradar.evaluation.table import NONE, percent


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


def number(value: float | None, form: str) -> str:
    """Format a number; a dash where there is none."""
    return NONE if value is None else form.format(value)


def _keys(frame: pd.DataFrame) -> list[tuple[str, str, int]]:
    return list(frame[["variant", "fold", "seed"]].itertuples(index=False, name=None))


def _value(cell: object) -> float | None:
    return None if cell is None or pd.isna(cell) else float(cell)  # type: ignore[arg-type, call-overload]
