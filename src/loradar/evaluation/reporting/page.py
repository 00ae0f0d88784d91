"""The report of one or more systems, section by section."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from loradar.evaluation.calibration_figures import reliability_plot, tippett_plot
from loradar.evaluation.figures import det_plot
from loradar.evaluation.report import Section
from loradar.evaluation.reporting.clips import worst_clips
from loradar.evaluation.reporting.environment import environment
from loradar.evaluation.reporting.figures import attack_bars, expert_maps, histogram
from loradar.evaluation.reporting.summary import summary
from loradar.evaluation.reporting.systems import System, best
from loradar.evaluation.table import blocks_frame, caption, interval, percent

MEANING = (
    "EER: the error rate where real recordings called fake and fake ones passed are equally "
    "frequent (interpolated; ties count half). minDCF: the least cost at 5 % spoof, a passed fake "
    "costing ten times a false alarm; actDCF: the cost of deciding by the claimed "
    "probabilities. Cllr: the cost of those probabilities, min Cllr the least it could be."
)
# The one that the intervals belong to; the official one differs where trials are few.
RATE = "eer_tie_safe"
# Breakdowns whose values are one class each, or names of files: never bars.
BARS = ("by_attack", "by_group", "by_corpus")


def sections(
    systems: Sequence[System],
    *,
    command: str,
    made: str,
    clips: int = 3,
    folders: Sequence[Path] = (),
) -> list[Section]:
    """Write a report.

    Parameters
    ----------
    systems : sequence of System
        One or more, each with trials of both classes.
    command, made : str
        See `environment.environment`.
    clips : int
        How many of the worst clips of each class and system are shown; 0: none.
    folders : sequence of Path
        Where relative paths of clips are looked for.

    Returns
    -------
    list of Section
        For `report.write_report`.
    """
    parts = [summary(systems), _table(systems), _curves(systems)]
    bars = [part for name in _distinct(systems) if (part := _bars(systems, name)) is not None]
    parts += bars
    parts += [_breakdown(systems, name) for name in _others(systems)]
    parts.append(_calibration(systems))
    for system in systems:
        maps = expert_maps(system.usable)
        if maps:
            text = ["The mean gate of each expert (a column) by attack, one map a router."]
            parts.append(Section(f"Experts of {system.name}", text=text, figures=maps))
    if clips:
        parts += [_clips(system, clips, folders) for system in systems]
    parts.append(environment(systems, command, made))
    return parts


def _table(systems: Sequence[System]) -> Section:
    pooled = {system.name: system.report["pooled"] for system in systems}
    frame = blocks_frame(pooled, "system", rate=RATE)
    rows = [system for system in systems if system.report["ood_average"]["eer"] is not None]
    if rows:
        averages = {system.name: system.report["ood_average"] for system in rows}
        frame["OOD EER %"] = [
            f"{percent(averages[name][RATE])} ({interval(averages[name]['eer_ci'])})"
            if name in averages
            else ""
            for name in frame["system"]
        ]
    said = dict.fromkeys(caption(system.report) for system in systems)
    return Section("Figures", table=frame, table_caption=MEANING, text=list(said))


def _curves(systems: Sequence[System]) -> Section:
    curves = det_plot({system.name: system.classes() for system in systems})
    figures = [
        (
            curves,
            "Detection error trade-off: how many fakes pass for each share of real recordings "
            "called fake, on normal-deviate axes; dots mark equal error rates.",
        )
    ]
    figures += [
        (
            histogram(system.classes(), system.name),
            f"Scores of {system.name}, higher is more bona fide; dotted: the equal error rate's "
            "threshold. The less the two overlap, the better.",
        )
        for system in systems
    ]
    return Section("Errors and scores", figures=figures)


def _distinct(systems: Sequence[System]) -> list[str]:
    """Breakdowns for bars; groups that are the attacks by another name are left out."""
    names = list(BARS)
    if all(s.report.get("by_group") == s.report.get("by_attack") for s in systems):
        names.remove("by_group")
    return names


def _bars(systems: Sequence[System], name: str) -> Section | None:
    column = name.removeprefix("by_")
    rates = {}
    for system in systems:
        blocks = system.report.get(name, {})
        found = {
            value: (block[RATE], block["eer_ci"])
            for value, block in blocks.items()
            if block[RATE] is not None
        }
        if len(found) > 1:
            rates[system.name] = found
    if not rates:
        return None
    top = best([system for system in systems if system.name in rates])
    figure = attack_bars(rates, "EER (%)")
    note = f"EER by {column} against all bona fide trials; lines are 95 % intervals."
    return Section(
        f"By {column}",
        figures=[(figure, note)],
        table=blocks_frame(top.report[name], column, rate=RATE),
        table_caption=top.name if len(systems) > 1 else "",
    )


def _others(systems: Sequence[System]) -> list[str]:
    """Breakdowns that were asked for and are no bars; OOD values are attacks or groups."""
    names = dict.fromkeys(name for system in systems for name in system.report)
    return [
        name for name in names if name.partition("_")[0] in ("by", "within") and name not in BARS
    ]


def _breakdown(systems: Sequence[System], name: str) -> Section:
    kind, _, column = name.partition("_")
    blocks = {
        (value if len(systems) == 1 else f"{value}, {system.name}"): block
        for system in systems
        for value, block in system.report.get(name, {}).items()
    }
    heading = f"By {column}" if kind == "by" else f"Within each {column}"
    return Section(heading, table=blocks_frame(dict(sorted(blocks.items())), column, rate=RATE))


def _calibration(systems: Sequence[System]) -> Section:
    llrs = {
        f"{system.name}" + ("" if system.calibrated else " (raw scores)"): system.classes(
            "llr" if system.calibrated else "score"
        )
        for system in systems
    }
    rows = []
    for system in systems:
        pooled = system.report["pooled"]
        rows.append(
            {
                "system": system.name,
                "read from": "llr" if system.calibrated else "score",
                "actDCF / minDCF": _ratio(pooled["act_dcf"], pooled["min_dcf"]),
                "Cllr / min Cllr": _ratio(pooled["cllr"], pooled["min_cllr"]),
            }
        )
    return Section(
        "Calibration",
        text=["1 is perfect; loradar calibrate brings it near, on recordings like those it saw."],
        table=pd.DataFrame(rows),
        figures=[
            (
                reliability_plot(llrs),
                "Reliability at even odds: on the dotted line, what is claimed to be fake with "
                "some probability is fake as often.",
            ),
            (
                tippett_plot(llrs),
                "Tippett plot: the share of each class whose evidence for a real recording is at "
                "least so strong.",
            ),
        ],
    )


def _ratio(actual: float, least: float) -> str:
    return f"{actual / least:.3f}" if least else "–"


def _clips(system: System, number: int, folders: Sequence[Path]) -> Section:
    column = "llr" if system.calibrated else "score"
    return Section(
        f"Worst clips of {system.name}",
        text=["Where the evidence is strongest for the wrong side: listen before you trust it."],
        clips=worst_clips(system.usable, column, number, folders),
    )
