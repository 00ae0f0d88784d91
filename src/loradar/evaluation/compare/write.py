"""The comparison for readers: Markdown, LaTeX, one HTML page with plots, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from loradar.evaluation.compare.choice import choice_caption, choice_text
from loradar.evaluation.compare.compare import ENOUGH_SEEDS
from loradar.evaluation.compare.tables import caption, groups_text, over_text, variants_text
from loradar.evaluation.figures import heat_map, interval_plot, save_png
from loradar.evaluation.report import Section, write_report
from loradar.files import write_json, write_text

TITLE = "Comparison of variants"
OVER = (
    "Ratio of average OOD EERs and differences in points, negative where it is better. A gain "
    "holds when the ratio's interval is below 1 and the gain is there on pair-disjoint clips and "
    "within corpora too."
)
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "–": "--",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def write_comparison(folder: Path, comparison: Mapping[str, Any]) -> list[Path]:
    """Write ``comparison.md``, ``.tex``, ``.html`` and ``.json``, and the plots, into ``folder``.

    Parameters
    ----------
    folder : Path
        Made when missing.
    comparison : mapping
        Of `compare.compare_runs`.

    Returns
    -------
    list of Path
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"comparison.{suffix}" for suffix in ("md", "tex", "html", "json")]
    plots = figures(comparison)
    write_text(paths[0], markdown(comparison))
    write_text(paths[1], latex(comparison))
    write_report(paths[2], TITLE, _sections(comparison, plots))
    write_json(paths[3], summary(comparison))
    for name, (figure, _) in plots.items():
        paths.append(folder / f"{name}.png")
        save_png(paths[-1], figure)
    return paths


def write_choice(folder: Path, choice: Mapping[str, Any]) -> list[Path]:
    """Write ``choice.md`` and ``choice.json`` of `choice.choose` into ``folder``."""
    paths = [folder / "choice.md", folder / "choice.json"]
    parts = []
    for fold, block in choice["folds"].items():
        parts += [markdown_table(choice_text(choice, fold)), choice_caption(choice, fold)]
        parts += [f"Chosen for fold {fold}: **{block['winner']}**."]
    parts += [f"Left out: {line}." for line in choice["left_out"]]
    write_text(paths[0], "\n\n".join(parts) + "\n")
    write_json(paths[1], choice)
    return paths


def summary(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison as JSON values, with the headline's short keys in front.

    ``MAIN_over_OTHER`` (``ratio``, ``low``, ``high``, ...), ``average_ood_eer`` and ``id_eer``
    (variant -> ``mean``, ``low``, ``high``), ``seeds``, ``folds``; then all of
    `compare.compare_runs`.
    """
    short: dict[str, Any] = {
        f"{comparison['main']}_over_{name}": block for name, block in comparison["over"].items()
    }
    for key, figure in (("average_ood_eer", "ood_average"), ("id_eer", "id_eer")):
        short[key] = {
            name: {limit: variant[figure][limit] for limit in ("mean", "low", "high")}
            for name, variant in comparison["variants"].items()
            if variant[figure] is not None
        }
    return {**short, **{key: value for key, value in comparison.items() if key != "over"}}


def markdown(comparison: Mapping[str, Any]) -> str:
    """Write the tables as Markdown."""
    parts = [markdown_table(variants_text(comparison)), caption(comparison), *remarks(comparison)]
    if comparison["over"]:
        parts += [f"**{comparison['main']}** against the others. {OVER}"]
        parts += [markdown_table(over_text(comparison))]
    parts += ["By group:", markdown_table(groups_text(comparison))]
    return "\n\n".join(parts) + "\n"


def latex(comparison: Mapping[str, Any]) -> str:
    """Write the tables as LaTeX (booktabs)."""
    parts = [f"% {caption(comparison)}", latex_table(variants_text(comparison))]
    parts += [f"% {line}" for line in remarks(comparison)]
    if comparison["over"]:
        parts += [f"% {comparison['main']} against the others. {OVER}"]
        parts += [latex_table(over_text(comparison))]
    return "\n".join(parts) + "\n"


def markdown_table(frame: pd.DataFrame) -> str:
    """Write a table of text as Markdown; only its first column is left-aligned."""
    head = [str(name) for name in frame.columns]
    rule = ["---", *["--:"] * (len(head) - 1)]
    rows = [head, rule, *frame.itertuples(index=False, name=None)]
    return "\n".join(
        f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in row)} |" for row in rows
    )


def latex_table(frame: pd.DataFrame) -> str:
    """Write a table of text as a LaTeX ``tabular`` with booktabs' rules."""

    def line(cells: tuple[Any, ...]) -> str:
        return " & ".join(str(cell).translate(_LATEX) for cell in cells) + r" \\"

    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(frame.columns) - 1)}}}",
            r"\toprule",
            line(tuple(frame.columns)),
            r"\midrule",
            *(line(row) for row in frame.itertuples(index=False, name=None)),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def figures(comparison: Mapping[str, Any]) -> dict[str, tuple[Figure, str]]:
    """Draw the plots: name -> figure and caption."""
    variants = comparison["variants"]
    shown = {
        name: (each["mean"], each["low"], each["high"], each["by_seed"])
        for name, variant in variants.items()
        if (each := variant["ood_average"]) is not None
    }
    found = {
        "average_ood_eer": (
            interval_plot(
                {name: tuple(_percent(value) for value in row) for name, row in shown.items()},
                label="average OOD EER (%), matched clips",
                chance=50.0,
            ),
            "Average out-of-domain EER of each variant: mean, 95 % interval, and a dot a seed.",
        )
    }
    groups = list(dict.fromkeys(group for variant in variants.values() for group in variant["ood"]))
    if groups:
        rates = [
            [100 * each["mean"] if (each := v["ood"].get(g)) else np.nan for g in groups]
            for v in variants.values()
        ]
        found["by_group"] = (
            heat_map(rates, list(variants), groups, unit="EER (%)"),
            "EER of each variant on each out-of-domain group.",
        )
    return found


def remarks(comparison: Mapping[str, Any]) -> list[str]:
    """Say what a reader must know before believing the table, one line each."""
    lines = []
    few = [
        name
        for name, variant in comparison["variants"].items()
        if variant["kind"] == "train" and len(variant["seeds"]) < ENOUGH_SEEDS
    ]
    if few:
        lines.append(
            f"Fewer than {ENOUGH_SEEDS} seeds, so that intervals are too narrow: {', '.join(few)}."
        )
    lines += [f"Left out: {line}." for line in comparison["left_out"]]
    return lines


def _sections(
    comparison: Mapping[str, Any], plots: Mapping[str, tuple[Figure, str]]
) -> list[Section]:
    sections = [
        Section(
            "Variants",
            text=remarks(comparison),
            table=variants_text(comparison),
            table_caption=caption(comparison),
            figures=list(plots.values()),
        )
    ]
    if comparison["over"]:
        sections.append(
            Section(
                f"{comparison['main']} against the others",
                table=over_text(comparison),
                table_caption=OVER,
            )
        )
    sections.append(Section("By group", table=groups_text(comparison)))
    return sections


def _percent(value: Any) -> Any:
    if value is None:
        return None
    return [100 * each for each in value] if isinstance(value, list) else 100 * value
