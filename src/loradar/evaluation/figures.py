"""Figures, drawn without matplotlib's global state so that servers and threads can use them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.special import ndtri

from loradar.errors import ConfigError
from loradar.evaluation.det import FloatArray, det_curve, eer_tie_safe
from loradar.files import atomic_path

# Okabe and Ito's palette: told apart by most colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DET_TICKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
MAX_POINTS = 2000


def det_plot(systems: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str = "") -> Figure:
    """Draw detection error trade-off curves on normal-deviate axes.

    Parameters
    ----------
    systems : mapping of str to (bonafide, spoof)
        Scores of each system, or of one system on each part of the data.
    title : str
        Title.

    Returns
    -------
    Figure
        Misses against false acceptances, in percent; a dot marks the equal error rate.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    ConfigError
        When there is no system.
    """
    if not systems:
        raise ConfigError("a DET plot needs at least one system")
    figure = blank_figure(5.6, 5.6 + 0.2 * ((len(systems) + 1) // 2))
    axes = figure.add_subplot()
    lowest = 1.0
    for index, (name, (bonafide, spoof)) in enumerate(systems.items()):
        far, frr, floor = _det_line(bonafide, spoof)
        rate = eer_tie_safe(bonafide, spoof)
        colour = COLOURS[index % len(COLOURS)]
        style = ("-", "--", ":")[index // len(COLOURS) % 3]
        label = plain(f"{name} (EER {100 * rate:.2f} %)")
        axes.plot(ndtri(far), ndtri(frr), style, color=colour, linewidth=1.6, label=label)
        shown = min(max(rate, floor), 1 - floor)
        axes.plot(ndtri(shown), ndtri(shown), "o", color=colour, markersize=5)
        lowest = min(lowest, floor, shown)
    start = max([tick for tick in DET_TICKS if tick < lowest], default=DET_TICKS[0])
    ticks = [tick for tick in DET_TICKS if tick >= start]
    limits = (ndtri(start), ndtri(0.9))
    axes.plot(limits, limits, color="#999999", linewidth=0.8, linestyle=(0, (2, 3)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(ticks), [f"{100 * tick:g}" for tick in ticks])
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel("spoof accepted (%)")
    axes.set_ylabel("bona fide rejected (%)")
    axes.set_title(plain(title))
    axes.grid(color="#dddddd", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def heat_map(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    row_label: str = "",
    column_label: str = "",
    unit: str = "",
) -> Figure:
    """Draw a matrix as coloured, numbered cells, for instance the load of experts by attack.

    Parameters
    ----------
    values : array_like
        Shape ``[R, C]``; NaN stands for no value and stays blank.
    rows, columns : sequence of str
        Names, ``R`` and ``C`` of them.
    title, row_label, column_label, unit : str
        Title, what the axes list, and what the colour means.

    Raises
    ------
    ConfigError
        When the names do not fit the matrix.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.shape != (len(rows), len(columns)) or matrix.size == 0:
        raise ConfigError(
            f"a heat map of {len(rows)} rows and {len(columns)} columns cannot show a matrix of "
            f"shape {matrix.shape}"
        )
    longest = max(len(name) for name in rows)
    figure = blank_figure(
        1.9 + 0.075 * longest + 0.62 * len(columns), 1.5 + 0.36 * max(len(rows), 3)
    )
    axes = figure.add_subplot()
    image = axes.imshow(matrix, cmap="cividis", aspect="auto")
    axes.set_xticks(range(len(columns)), [plain(name) for name in columns])
    axes.set_yticks(range(len(rows)), [plain(name) for name in rows])
    if max(len(name) for name in columns) > 5:
        axes.tick_params(axis="x", labelrotation=40)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")
    middle = (np.nanmin(matrix) + np.nanmax(matrix)) / 2 if np.isfinite(matrix).any() else 0.0
    for row, column in zip(*np.nonzero(np.isfinite(matrix)), strict=True):
        value = matrix[row, column]
        # Not quite white and black, which would follow the theme of a page (`svg.THEME`).
        colour = "#fefefe" if value < middle else "#010101"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_title(plain(title))
    axes.set_xlabel(plain(column_label))
    axes.set_ylabel(plain(row_label))
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.03)
    bar.set_label(plain(unit))
    return figure


def interval_plot(
    rows: Mapping[str, tuple[float, float | None, float | None, Sequence[float]]],
    *,
    title: str = "",
    label: str = "",
    chance: float | None = None,
) -> Figure:
    """Draw means with their intervals, one line below the other, and the values behind them.

    Parameters
    ----------
    rows : mapping of str to (mean, low, high, values)
        From the top down; ``low`` and ``high`` may be None.
    title, label : str
        Title, and what the horizontal axis shows.
    chance : float, optional
        Where to draw a thin line for what guessing gives.

    Raises
    ------
    ConfigError
        When there is no row.
    """
    if not rows:
        raise ConfigError("a plot of intervals needs at least one row")
    figure = blank_figure(6.4, 1.2 + 0.36 * max(len(rows), 2))
    axes = figure.add_subplot()
    if chance is not None:
        axes.axvline(chance, color="#999999", linewidth=0.8, linestyle=(0, (2, 3)))
    for place, (mean, low, high, values) in enumerate(rows.values()):
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=2.2)
        axes.plot(values, [place] * len(values), "o", color=COLOURS[1], markersize=3, alpha=0.7)
        axes.plot(mean, place, "D", color=COLOURS[0], markersize=6)
    axes.set_yticks(range(len(rows)), [plain(name) for name in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(plain(label))
    axes.set_title(plain(title))
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    return figure


def png_bytes(figure: Figure, dpi: int = 150) -> bytes:
    """Render a figure as PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    # No software version in the file: it would change the bytes between installations.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def save_png(path: Path | str, figure: Figure, dpi: int = 150) -> None:
    """Write a figure as a PNG file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(figure, dpi))


def plain(text: str) -> str:
    """Keep matplotlib from reading names as formulas ($) or as not for the legend (_)."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure (inches) that renders by itself."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _det_line(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[FloatArray, FloatArray, float]:
    """Return FAR and FRR of a drawable curve, and the smallest rate it can show.

    Rates of 0 and 1 lie at infinity on this scale; they are drawn at half a trial.
    """
    curve = det_curve(bonafide, spoof)
    floor = 0.5 / max(np.size(bonafide), np.size(spoof))
    if curve.frr.size > MAX_POINTS:
        # Even steps along the curve's length on the plot keep both sparse ends.
        shown = ndtri(np.clip(np.stack((curve.far, curve.frr)), floor, 1 - floor))
        length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(shown)).sum(axis=0))))
        wanted = np.linspace(0, length[-1], MAX_POINTS)
        kept = np.unique(np.searchsorted(length, wanted).clip(max=length.size - 1))
    else:
        kept = np.arange(curve.frr.size)
    clip = (floor, 1 - floor)
    return np.clip(curve.far[kept], *clip), np.clip(curve.frr[kept], *clip), float(floor)
