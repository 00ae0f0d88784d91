"""Figures of log-likelihood ratios: whether they are to be believed, and how far they reach."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from loradar.errors import ConfigError
from loradar.evaluation.calibration import posterior
from loradar.evaluation.det import FloatArray, checked_scores
from loradar.evaluation.figures import COLOURS, blank_figure, plain

BINS = 12
# Wilson's bounds need a few trials a bin before they say anything.
LEAST_A_BIN = 5
TIPPETT_RANGE = 15.0
TIPPETT_POINTS = 400

Systems = Mapping[str, tuple[ArrayLike, ArrayLike]]


def reliability(
    bonafide_llr: ArrayLike, spoof_llr: ArrayLike, bins: int = BINS
) -> tuple[FloatArray, FloatArray]:
    """Compare what the LLRs claim with what happened, both classes weighing the same.

    Parameters
    ----------
    bonafide_llr, spoof_llr : array_like
        Shapes ``[Nb]`` and ``[Ns]``.
    bins : int
        At most; few trials make fewer. They hold equally much of the weight; those of fewer than
        `LEAST_A_BIN` trials are left out.

    Returns
    -------
    claimed, observed : ndarray
        Mean posterior of spoof at equal priors, and the weighted share of spoof, one a bin.

    Raises
    ------
    InputError
        When a class is empty or a value is not finite.
    """
    real = checked_scores(bonafide_llr, "bona fide")
    fake = checked_scores(spoof_llr, "spoof")
    bins = min(bins, max(2, (real.size + fake.size) // (2 * LEAST_A_BIN)))
    claim = posterior(np.concatenate((real, fake)))
    weight = np.repeat([0.5 / real.size, 0.5 / fake.size], [real.size, fake.size])
    is_fake = np.arange(claim.size) >= real.size
    # By the value, not the rank: tied trials share a bin.
    order = np.argsort(claim, kind="stable")
    edges = claim[order][
        np.searchsorted(np.cumsum(weight[order]), np.linspace(0, 1, bins + 1)[1:-1]).clip(
            max=claim.size - 1
        )
    ]
    place = np.searchsorted(np.unique(edges), claim, side="left")
    total = np.bincount(place, weight)
    kept = np.bincount(place) >= LEAST_A_BIN
    total = np.where(kept, total, 1.0)
    claimed = np.bincount(place, weight * claim) / total
    observed = np.bincount(place, weight * is_fake) / total
    return claimed[kept], observed[kept]


def reliability_plot(systems: Systems, title: str = "") -> Figure:
    """Draw claimed against observed shares of spoof; on the diagonal a claim holds.

    Parameters
    ----------
    systems : mapping of str to (bonafide, spoof)
        LLRs of each system.
    title : str
        Title.

    Raises
    ------
    InputError
        When a class is empty or a value is not finite.
    ConfigError
        When there is no system.
    """
    figure = _figure(systems, 5.2, 5.0)
    _draw_reliability(figure.add_subplot(), systems)
    return _finish(figure, systems, title)


def tippett_plot(systems: Systems, title: str = "") -> Figure:
    """Draw the share of each class whose LLR reaches at least a value; see `reliability_plot`.

    Bona fide trials below 0 and spoofed ones above it are evidence for the wrong side; the
    further the curves of the two classes lie apart, the better.
    """
    figure = _figure(systems, 5.6, 4.2)
    _draw_tippett(figure.add_subplot(), systems)
    return _finish(figure, systems, title)


def calibration_plot(systems: Systems, title: str = "") -> Figure:
    """Draw both side by side; see `reliability_plot` and `tippett_plot`."""
    figure = _figure(systems, 10.0, 4.8)
    left, right = figure.subplots(1, 2)
    _draw_reliability(left, systems)
    _draw_tippett(right, systems)
    return _finish(figure, systems, title)


def _figure(systems: Systems, width: float, height: float) -> Figure:
    if not systems:
        raise ConfigError("a calibration plot needs at least one system")
    return blank_figure(width, height + 0.2 * ((len(systems) + 1) // 2))


def _finish(figure: Figure, systems: Systems, title: str) -> Figure:
    axes = figure.axes[0]
    lines = [axes.plot([], [], color=_colour(place))[0] for place in range(len(systems))]
    figure.legend(
        lines,
        [plain(name) for name in systems],
        loc="outside lower center",
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    if title:
        figure.suptitle(plain(title))
    return figure


def _draw_reliability(axes: Axes, systems: Systems) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=(0, (2, 3)))
    for place, (bonafide, spoof) in enumerate(systems.values()):
        claimed, observed = reliability(bonafide, spoof)
        axes.plot(claimed, observed, "o-", color=_colour(place), markersize=4, linewidth=1.4)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel("spoof, as claimed")
    axes.set_ylabel("spoof, as it was")
    axes.grid(color="#dddddd", linewidth=0.6)


def _draw_tippett(axes: Axes, systems: Systems) -> None:
    reach = 1.0
    for place, (bonafide, spoof) in enumerate(systems.values()):
        both = [checked_scores(bonafide, "bona fide"), checked_scores(spoof, "spoof")]
        reach = max(reach, float(np.abs(np.concatenate(both)).max()))
        grid = np.linspace(-TIPPETT_RANGE, TIPPETT_RANGE, TIPPETT_POINTS)
        for llr, style in zip(both, ("-", "--"), strict=True):
            share = 1 - np.searchsorted(np.sort(llr), grid, side="left") / llr.size
            axes.plot(grid, share, style, color=_colour(place), linewidth=1.5)
    reach = min(1.05 * reach, TIPPETT_RANGE)
    axes.axvline(0, color="#999999", linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set(xlim=(-reach, reach), ylim=(-0.02, 1.02))
    axes.set_xlabel("LLR at least (natural logarithm)")
    axes.set_ylabel("share: bona fide —, spoof - -")
    axes.grid(color="#dddddd", linewidth=0.6)


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
