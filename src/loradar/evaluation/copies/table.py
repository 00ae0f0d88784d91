"""The evidence as a table of text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pandas as pd

from loradar.evaluation.copies.gather import REFERENCE, RTF, Findings
from loradar.evaluation.copies.summary import Estimate
from loradar.evaluation.table import NONE, interval, percent

# Measure, heading, digits, factor.
_COLUMNS = (
    ("log_mel_db", "log-mel dB", 2, 1.0),
    ("log_spectral_db", "LSD dB", 2, 1.0),
    ("mel_cepstral_db", "MCD dB", 2, 1.0),
    ("f0_correlation", "F0 corr.", 2, 1.0),
    ("voicing_agreement", "voicing %", 1, 100.0),
    (RTF, "RTF", 2, 1.0),
)


def evidence_frame(findings: Sequence[Findings], *, intervals: bool = True) -> pd.DataFrame:
    """Lay out findings as formatted text, one row an attack.

    Parameters
    ----------
    findings : sequence of Findings
        Of `gather`.
    intervals : bool
        Whether 95 % intervals stand beside the means.
    """
    rows = []
    for found in findings:
        row = {"attack": found.attack.name, "family": found.attack.family}
        for measure, heading, digits, factor in _COLUMNS:
            row[heading] = _cell(found.measures[measure], digits, factor, intervals)
        row["trivial EER %"] = NONE
        if found.trivial is not None:
            row["trivial EER %"] = percent(found.trivial.eer, 0)
            if intervals:
                row["trivial EER %"] += f" ({interval(found.trivial.interval, 0)})"
        row["verdict"] = _verdict(found)
        rows.append(row)
    return pd.DataFrame(rows)


def evidence_json(findings: Sequence[Findings]) -> dict[str, Any]:
    """Return findings as values that JSON can hold: rates as fractions, distances in dB."""
    return {
        found.attack.name: {
            "family": found.attack.family,
            "kind": "reference" if found.attack is REFERENCE else found.attack.kind,
            "aligned": found.attack.aligned,
            "verdict": found.verdict,
            "measures": {
                name: None if value is None else _estimate(value)
                for name, value in found.measures.items()
            },
            "trivial_eer": None
            if found.trivial is None
            else {"eer": found.trivial.eer, "ci": list(found.trivial.interval)},
            "copies": [dataclasses.asdict(copy) for copy in found.copies],
        }
        for found in findings
    }


def _estimate(value: Estimate) -> dict[str, Any]:
    return {"mean": value.mean, "ci": list(value.interval), "clips": value.clips}


def _cell(value: Estimate | None, digits: int, factor: float, intervals: bool) -> str:
    if value is None:
        return NONE
    text = f"{factor * value.mean:.{digits}f}"
    if not intervals:
        return text
    low, high = (f"{factor * limit:.{digits}f}" for limit in value.interval)
    return f"{text} ({low}–{high})"


def _verdict(found: Findings) -> str:
    failed = len(found.failures)
    if found.attack is REFERENCE:
        return "(the floor)"
    if failed == 0:
        return found.verdict
    note = f"{failed} of {len(found.copies)} failed"
    return f"{found.verdict}; {note}" if found.verdict else note
