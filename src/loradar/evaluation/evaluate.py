"""From a table of scored trials to the figures of one system, pooled and broken down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from loradar.errors import InputError
from loradar.evaluation.bootstrap import LEVEL, RESAMPLES, Resampler, percentile_interval
from loradar.evaluation.det import (
    BoolArray,
    FloatArray,
    WeightedEer,
    eer,
    eer_convex_hull,
    eer_tie_safe,
)
from loradar.evaluation.isotonic import min_cllr
from loradar.evaluation.metrics import act_dcf, auc, cllr, min_dcf

Block = dict[str, Any]
FIGURES = (
    *("eer", "eer_tie_safe", "eer_convex_hull", "eer_ci"),
    *("min_dcf", "act_dcf", "cllr", "min_cllr", "auc"),
)


def evaluate(
    table: pd.DataFrame,
    *,
    by: Sequence[str] = (),
    within: Sequence[str] = (),
    ood: Sequence[str] | None = None,
    ood_column: str | None = None,
    clusters: str | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute all figures of a system from its scored trials.

    Bona fide trials belong to every value of every column: the block of an attack, a corpus or any
    other value sets its spoofed trials against **all** bona fide trials of the table. (To compare
    the classes inside a corpus or under one transmission condition, use ``within``.)
    Values are those that spoofed trials have; a spoofed trial with an empty one is only in
    ``pooled``.

    Parameters
    ----------
    table : DataFrame
        One row a trial: ``score`` (higher is more bona fide), ``label`` (bonafide, spoof, or empty
        for unknown), and optionally ``llr``, ``attack``, ``corpus`` and other columns. Rows
        without a label or without a score are left out and counted.
    by : sequence of str
        Further columns to break down by; each gives ``by_COLUMN``.
    within : sequence of str
        Columns, such as a codec, that trials of both classes have: each gives ``within_COLUMN``,
        whose blocks hold the trials of both classes with that value and no others.
    ood : sequence of str, optional
        Values (attacks, groups, ...) whose EERs are averaged.
    ood_column : str, optional
        Their column; by default the only one in ``by``, or ``attack`` when ``by`` is empty.
    clusters : str, optional
        Column of clusters (pair, speaker) to resample by; by default trials are resampled.
    resamples, level, seed
        Bootstrap: number of draws (0: no intervals), coverage, seed.

    Returns
    -------
    dict
        ``{"pooled": BLOCK, "by_attack": {value: BLOCK}, "by_corpus": ..., "by_COLUMN": ...,
        "within_COLUMN": ..., "ood_average": {"eer", "eer_tie_safe", "eer_ci"}, "llr_from",
        "trials"}``, a BLOCK being ``{"eer", "eer_tie_safe", "eer_convex_hull", "eer_ci",
        "min_dcf", "act_dcf", "cllr", "min_cllr", "auc", "bonafide", "spoof", "llr_from"}``
        (`FIGURES`, the counts and what was read). Rates are fractions, Cllr
        and ``min_cllr`` (of ``score``) are in bits. A block that lacks a class holds None
        and the counts; so does ``ood_average`` when ``ood`` is not given. ``llr_from`` says what
        ``act_dcf`` and ``cllr`` read: ``llr``, ``score``, or ``mixed`` (``llr`` where filled).
        ``trials`` counts the rows used and left out. ``eer_ci`` is the interval of
        ``eer_tie_safe``: on scores with many ties ``eer`` may lie outside it.

    Raises
    ------
    InputError
        When a column is missing, a label unknown, a score infinite, or an ``ood`` value is not
        among the spoofed trials.
    """
    columns = list(dict.fromkeys(["attack", "corpus", *by]))
    ood_column = _ood_column(ood, ood_column, by)
    named = [*by, *within, *([clusters] if clusters else [])]
    _check_columns(table, named, ood_column if ood else None)
    trials, counts = _usable(table)
    real: BoolArray = (trials["label"] == "bonafide").to_numpy()
    score = trials["score"].to_numpy(np.float64)
    llr = trials["llr"].to_numpy(np.float64) if "llr" in trials else np.full(score.shape, np.nan)

    rows: dict[tuple[str, str], BoolArray] = {("pooled", ""): np.ones(len(trials), dtype=bool)}
    for column in dict.fromkeys([*columns, *([ood_column] if ood else [])]):
        if column in trials:
            for value, spoofed in _values(trials[column], real):
                rows[column, value] = spoofed | real
    for column in dict.fromkeys(within):
        rows |= {
            (f"within {column}", value): same
            for value, same in _values(trials[column], np.zeros(len(trials), dtype=bool))
        }
    averaged = [(ood_column, str(value)) for value in dict.fromkeys(ood or ())]
    for column, value in averaged:
        if (column, value) not in rows:
            known = ", ".join(name for where, name in rows if where == column) or "none"
            raise InputError(
                f"no spoofed trial has {column} = {value!r}, asked for in the OOD average "
                f"(there are: {known})"
            )

    blocks = {key: _block(score, llr, real, used) for key, used in rows.items()}
    average = _average([blocks[key] for key in averaged])
    if resamples and real.any() and not real.all():
        cluster = trials[clusters].to_numpy(object) if clusters else None
        drawn, drawn_average = _draws(
            score, real, rows, averaged, Resampler(real, cluster, seed=seed), resamples
        )
        for key, values in drawn.items():
            blocks[key]["eer_ci"] = _interval(values, level)
        if averaged:
            average["eer_ci"] = _interval(drawn_average, level)

    report: dict[str, Any] = {"pooled": blocks["pooled", ""]}
    for column in columns:
        report[f"by_{column}"] = {
            value: block for (where, value), block in blocks.items() if where == column
        }
    for column in dict.fromkeys(within):
        report[f"within_{column}"] = {
            value: block for (where, value), block in blocks.items() if where == f"within {column}"
        }
    report["ood_average"] = average
    report["llr_from"] = blocks["pooled", ""]["llr_from"]
    report["trials"] = counts
    return report


def _ood_column(ood: Sequence[str] | None, column: str | None, by: Sequence[str]) -> str:
    if column is not None or not ood:
        return column or "attack"
    if len(by) > 1:
        raise InputError(
            f"the OOD values could belong to {' or '.join(by)}: say which column they are of"
        )
    return by[0] if by else "attack"


def _check_columns(table: pd.DataFrame, named: list[str], ood_column: str | None) -> None:
    for name in ["score", "label", *named, *([ood_column] if ood_column else [])]:
        if name not in table:
            hint = "; join the scores with a manifest" if name == "label" else ""
            raise InputError(
                f"the scored trials have no column '{name}' "
                f"(found: {', '.join(map(str, table.columns))}){hint}"
            )


def _usable(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the trials with a label and a score, and how many there are and are not."""
    label = table["label"].fillna("").astype(str)
    unknown = ~label.isin(["", "bonafide", "spoof"])
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise InputError(
            f"trial {row + 1}: the label {label.iloc[row]!r} is neither bonafide nor spoof"
        )
    for name in {"score", "llr"} & set(table.columns):
        infinite = np.isinf(table[name].to_numpy(np.float64))
        if infinite.any():
            row = int(np.flatnonzero(infinite)[0])
            raise InputError(f"trial {row + 1}: the {name} is infinite; score it again")
    scored = table["score"].notna()
    used = (label != "") & scored
    counts = {
        "used": int(used.sum()),
        "without_label": int((label == "").sum()),
        "bonafide_without_score": int(((label == "bonafide") & ~scored).sum()),
        "spoof_without_score": int(((label == "spoof") & ~scored).sum()),
    }
    return table.assign(label=label)[used].reset_index(drop=True), counts


def _values(cells: pd.Series[Any], real: BoolArray) -> list[tuple[str, BoolArray]]:
    """Return each filled value of the trials outside ``real``, sorted, and those that have it."""
    text = cells.astype(object).where(cells.notna(), "").astype(str).to_numpy()
    names = sorted({str(name) for name in text[~real]} - {""})
    return [(name, (text == name) & ~real) for name in names]


def _block(score: FloatArray, llr: FloatArray, real: BoolArray, used: BoolArray) -> Block:
    """Compute one block; its interval is filled in later."""
    bona, spoof = used & real, used & ~real
    block: Block = dict.fromkeys(FIGURES, None)
    block["bonafide"], block["spoof"] = int(bona.sum()), int(spoof.sum())
    filled = np.isfinite(llr)
    share = filled[used].mean() if used.any() else 0.0
    block["llr_from"] = {0.0: "score", 1.0: "llr"}.get(float(share), "mixed")
    if not (bona.any() and spoof.any()):
        return block
    ratio = np.where(filled, llr, score)
    # Sorted once: the metrics' own stable sorts then merely merge the two.
    of_real, of_fake = np.sort(score[bona]), np.sort(score[spoof])
    block["eer"] = eer(of_real, of_fake)
    block["eer_tie_safe"] = eer_tie_safe(of_real, of_fake)
    block["eer_convex_hull"] = eer_convex_hull(of_real, of_fake)
    block["min_dcf"] = min_dcf(of_real, of_fake)
    block["act_dcf"] = act_dcf(ratio[bona], ratio[spoof])
    block["cllr"] = cllr(ratio[bona], ratio[spoof])
    block["min_cllr"] = min_cllr(of_real, of_fake)
    block["auc"] = auc(of_real, of_fake)
    return block


def _average(blocks: list[Block]) -> Block:
    """Average the equal error rates of blocks; None where there is none, or one lacks a class."""
    average: Block = {"eer": None, "eer_tie_safe": None, "eer_ci": None}
    for name in ("eer", "eer_tie_safe"):
        rates = [block[name] for block in blocks]
        if rates and None not in rates:
            average[name] = float(np.mean(rates))
    return average


def _draws(
    score: FloatArray,
    real: BoolArray,
    rows: dict[tuple[str, str], BoolArray],
    averaged: list[tuple[str, str]],
    resampler: Resampler,
    resamples: int,
) -> tuple[dict[tuple[str, str], list[float]], list[float]]:
    """Return each block's resampled EERs, and those of the average, on the same draws."""
    # A condition may hold one class only: it has no rate.
    indices = {
        key: np.flatnonzero(used)
        for key, used in rows.items()
        if (used & real).any() and (used & ~real).any()
    }
    rates = {key: WeightedEer(score[index], real[index]) for key, index in indices.items()}
    drawn: dict[tuple[str, str], list[float]] = {key: [] for key in indices}
    mean: list[float] = []
    for weight in resampler.draw(resamples):
        for key, index in indices.items():
            drawn[key].append(rates[key](weight[index]))
        if averaged:
            mean.append(float(np.mean([drawn[key][-1] for key in averaged])))
    return drawn, mean


def _interval(values: list[float], level: float) -> list[float] | None:
    interval = percentile_interval(values, level)
    return None if interval is None else list(interval)
