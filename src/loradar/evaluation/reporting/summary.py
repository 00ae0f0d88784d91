"""The summary: key figures and sentences for readers who know none of the terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loradar.evaluation.det import eer_point
from loradar.evaluation.report import Fact, Section
from loradar.evaluation.reporting.systems import System, best
from loradar.evaluation.table import NONE, interval, percent

FEW = 100
# Above this, claimed probabilities mislead: the cost is a quarter over the least possible.
MISLEADING = 1.25


def summary(systems: Sequence[System]) -> Section:
    """Write the summary of one or more systems.

    Parameters
    ----------
    systems : sequence of System
        Each with trials of both classes.
    """
    top = best(systems)
    pooled = top.report["pooled"]
    text = [_rates(top)]
    if len(systems) > 1:
        text.insert(0, _ranking(systems, top))
    hardest = _hardest(top)
    if hardest:
        text.append(hardest)
    text.append(_probabilities(top))
    text += _cautions(top)
    return Section("Summary", text=text, facts=_facts(top, pooled))


def _facts(top: System, pooled: dict[str, Any]) -> list[Fact]:
    ratio = _ratio(pooled)
    return [
        Fact("equal error rate", f"{percent(pooled['eer_tie_safe'])} %", _between(pooled)),
        Fact(
            "recordings",
            f"{pooled['bonafide'] + pooled['spoof']:,}",
            f"{pooled['bonafide']:,} real, {pooled['spoof']:,} fake",
        ),
        Fact("told apart (AUC)", f"{100 * pooled['auc']:.1f} %", "50 % is guessing"),
        Fact(
            "probabilities",
            NONE if ratio is None else f"{ratio:.2f}x",
            "cost over the least possible; 1 is perfect",
        ),
    ]


def _between(pooled: dict[str, Any]) -> str:
    return "" if pooled["eer_ci"] is None else f"95 %: {interval(pooled['eer_ci'])} %"


def _rates(top: System) -> str:
    bonafide, spoof = top.classes()
    threshold = eer_point(bonafide, spoof).threshold
    called_fake = 100 * float(np.mean(bonafide < threshold))
    passed = 100 * float(np.mean(spoof >= threshold))
    return (
        f"With {top.name} set so that both mistakes are equally frequent, of 100 recordings of "
        f"real people about {_count(called_fake)} would be called fake, and of 100 fake ones about "
        f"{_count(passed)} would pass as real."
    )


def _count(share: float) -> str:
    return f"{share:.0f}" if share >= 2 else f"{share:.1f}"


def _ranking(systems: Sequence[System], top: System) -> str:
    others = [system for system in systems if system is not top]
    high = top.report["pooled"]["eer_ci"]
    close = [
        system.name
        for system in others
        if high is None
        or system.report["pooled"]["eer_ci"] is None
        or system.report["pooled"]["eer_ci"][0] <= high[1]
    ]
    text = f"Of {len(systems)} systems {top.name} makes the fewest mistakes."
    if close:
        text += (
            f" Its lead over {', '.join(close)} may be chance: the 95 % intervals of their error "
            "rates overlap or are missing."
        )
    return text


def _hardest(top: System) -> str:
    blocks = {
        name: block
        for name, block in top.report["by_attack"].items()
        if block["eer_tie_safe"] is not None
    }
    if len(blocks) < 2:
        return ""
    worst = max(blocks, key=lambda name: blocks[name]["eer_tie_safe"])
    easiest = min(blocks, key=lambda name: blocks[name]["eer_tie_safe"])
    return (
        "How well it does depends on the attack: the equal error rate is "
        f"{percent(blocks[easiest]['eer_tie_safe'])} % for {easiest} and "
        f"{percent(blocks[worst]['eer_tie_safe'])} % for {worst}. An attack that is not in this "
        "test may be harder than any of these."
    )


def _ratio(pooled: dict[str, Any]) -> float | None:
    least = pooled["min_cllr"]
    return pooled["cllr"] / least if least else None


def _probabilities(top: System) -> str:
    ratio = _ratio(top.report["pooled"])
    if not top.calibrated:
        return (
            "Its scores are not calibrated here: read them as an order, not as probabilities "
            "(loradar calibrate)."
        )
    if ratio is None or ratio <= MISLEADING:
        return "Its probabilities can be read as they are, on recordings like these."
    return (
        f"Its probabilities mislead on these recordings: they cost {ratio:.1f} times what its own "
        "scores allow. Calibrate it on recordings like these (loradar calibrate)."
    )


def _cautions(top: System) -> list[str]:
    pooled, counts = top.report["pooled"], top.report["trials"]
    found = []
    if min(pooled["bonafide"], pooled["spoof"]) < FEW:
        found.append("Few recordings: another sample may give quite other figures.")
    missing = counts["bonafide_without_score"] + counts["spoof_without_score"]
    if missing:
        share = 100 * missing / (missing + counts["used"])
        found.append(f"{missing:,} recordings ({share:.1f} %) have no score and are left out.")
    return found
