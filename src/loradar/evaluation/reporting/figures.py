"""The figures of a report that are its own: histograms, bars by attack, maps of experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from loradar.errors import ConfigError
from loradar.evaluation.det import eer_point
from loradar.evaluation.figures import COLOURS, blank_figure, heat_map, plain
from loradar.evaluation.reporting.systems import Classes

BINS = 60
MOST_ROWS = 40


def histogram(classes: Classes, title: str = "", label: str = "score") -> Figure:
    """Draw both classes' scores, each class as shares of its own, and the EER threshold.

    Parameters
    ----------
    classes : (bonafide, spoof)
        Scores.
    title, label : str
        Title, and what the scores are.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    threshold = eer_point(*classes).threshold
    both = np.concatenate(classes)
    # Outliers would leave one bar in the middle; they count in the outermost bins.
    low, high = np.quantile(both, [0.001, 0.999])
    if low == high:
        low, high = low - 1, high + 1
    edges = np.linspace(low, high, min(BINS, 8 + both.size // 10) + 1)
    figure = blank_figure(6.2, 3.4)
    axes = figure.add_subplot()
    for scores, name, colour in zip(classes, ("bona fide", "spoof"), COLOURS, strict=False):
        share = 100 * np.histogram(np.clip(scores, low, high), edges)[0] / scores.size
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(share, edges, color=colour, linewidth=1.4, label=name)
    axes.axvline(threshold, color="#999999", linewidth=1.0, linestyle=(0, (2, 3)))
    axes.set_xlim(low, high)
    axes.set_xlabel(plain(label))
    axes.set_ylabel("share of the class (%)")
    axes.set_title(plain(title))
    axes.legend(frameon=False, fontsize=8)
    return figure


def attack_bars(
    systems: Mapping[str, Mapping[str, tuple[float, Sequence[float] | None]]], label: str = ""
) -> Figure:
    """Draw an error rate for each attack and system, with its interval.

    Parameters
    ----------
    systems : mapping of str to (attack -> (rate, interval))
        Fractions; the interval may be None. Attacks come in the order of the first system's
        rates, the hardest first, `MOST_ROWS` at most.
    label : str
        What the bars show.

    Raises
    ------
    ConfigError
        When there is no system or no attack.
    """
    if not systems or not next(iter(systems.values())):
        raise ConfigError("bars need at least one system and one attack")
    first = next(iter(systems.values()))
    attacks = sorted(first, key=lambda name: -first[name][0])[:MOST_ROWS]
    figure = blank_figure(6.4, 1.1 + (0.2 + 0.16 * len(systems)) * max(len(attacks), 2))
    axes = figure.add_subplot()
    thick = 0.8 / len(systems)
    for place, (name, rates) in enumerate(systems.items()):
        colour = COLOURS[place % len(COLOURS)]
        shown = [row for row, attack in enumerate(attacks) if attack in rates]
        middle = [row + (place - (len(systems) - 1) / 2) * thick for row in shown]
        values = [100 * rates[attacks[row]][0] for row in shown]
        axes.barh(middle, values, 0.92 * thick, color=colour, label=plain(name))
        for y, row in zip(middle, shown, strict=True):
            limits = rates[attacks[row]][1]
            if limits is not None:
                axes.plot(100 * np.asarray(limits), [y, y], color="#000000", linewidth=1.2)
    axes.set_yticks(range(len(attacks)), [plain(name) for name in attacks])
    axes.set_ylim(len(attacks) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel(plain(label))
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    if len(systems) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def expert_maps(trials: pd.DataFrame) -> list[tuple[Figure, str]]:
    """Draw one heat map a router: mean gate of each expert for bona fide clips and each attack.

    Parameters
    ----------
    trials : DataFrame
        Scored trials with columns ``gate:ROUTER:EXPERT``; without any there is no map.
    """
    columns = [str(name) for name in trials if str(name).startswith("gate:")]
    if not columns:
        return []
    attack = trials["attack"] if "attack" in trials else pd.Series("", index=trials.index)
    attack = attack.fillna("").replace("", "spoof")
    classes = attack.where(trials["label"] == "spoof", "bonafide")
    means = trials.groupby(classes)[columns].mean()
    attacks = [name for name in means.index if name != "bonafide"]
    means = means.loc[[*[n for n in means.index if n == "bonafide"], *attacks]]
    figures = []
    for router in dict.fromkeys(name.rpartition(":")[0] for name in columns):
        own = [name for name in columns if name.rpartition(":")[0] == router]
        figure = heat_map(
            means[own].to_numpy(float),
            [str(name) for name in means.index],
            [name.rpartition(":")[2] for name in own],
            row_label="attack",
            column_label="expert",
            unit="mean gate",
        )
        figures.append((figure, f"Router of {router.removeprefix('gate:')}"))
    return figures
