"""A verdict as a picture: waveform, spectrogram, timeline, and what it rests on."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from loradar.evaluation.figures import COLOURS, blank_figure, plain
from loradar.inference.explain import BANDS, Effect, Explanation
from loradar.inference.sketch import Sketch
from loradar.inference.verdict import Verdict

#: Of what speaks for bona fide and for spoof.
BONAFIDE_COLOUR, SPOOF_COLOUR = COLOURS[0], COLOURS[1]
#: Colour and name of a stretch of the timeline.
_STRETCHES = {
    "SPOOF": (SPOOF_COLOUR, "spoof"),
    "BONAFIDE": (BONAFIDE_COLOUR, "human"),
    "UNCERTAIN": ("#999999", "uncertain"),
}
_INK, _GRID = "#444444", "#dddddd"


def picture(verdict: Verdict, sound: Sketch, explanation: Explanation | None = None) -> Figure:
    """Draw a verdict.

    Parameters
    ----------
    verdict : Verdict
        With its windows.
    sound : Sketch
        Of the same recording.
    explanation : Explanation, optional
        Adds the effect of each band beside the spectrogram, and that of each expert.

    Returns
    -------
    Figure
    """
    figure = blank_figure(11.0 if explanation else 9.0, 6.2)
    shares = {"width_ratios": [4, 1]} if explanation else {}
    grid = figure.add_gridspec(3, 2 if explanation else 1, height_ratios=[1.0, 2.0, 1.3], **shares)
    wave = figure.add_subplot(grid[0, 0])
    spectrum = figure.add_subplot(grid[1, 0], sharex=wave)
    line = figure.add_subplot(grid[2, 0], sharex=wave)
    _draw_sound(wave, spectrum, sound)
    _draw_timeline(line, verdict, sound.seconds)
    if explanation is not None:
        _draw_bands(figure.add_subplot(grid[1, 1], sharey=spectrum), explanation)
        if explanation.experts:
            _draw_experts(figure.add_subplot(grid[2, 1]), explanation.experts)
        wave.set_title(
            "shaded: the windows that the effects are measured on", fontsize=8, loc="right"
        )
        for window in explanation.windows:
            wave.axvspan(window.start, window.end, color="#E69F00", alpha=0.18, linewidth=0)
    figure.suptitle(plain(_headline(verdict)), fontsize=10, x=0.01, ha="left")
    return figure


def _headline(verdict: Verdict) -> str:
    name = verdict.path if len(verdict.path) < 60 else "..." + verdict.path[-57:]
    line = f"{name}: {verdict.verdict}"
    if verdict.p_spoof is not None and verdict.llr is not None:
        line += f", p_spoof {verdict.p_spoof:.3f}, LLR {verdict.llr:+.2f}"
    return line + (f"  ({'; '.join(verdict.reasons)})" if verdict.reasons else "")


def _draw_sound(wave: Any, spectrum: Any, sound: Sketch) -> None:
    times = np.linspace(0, sound.seconds, len(sound.low))
    wave.fill_between(times, sound.low, sound.high, color=_INK, linewidth=0.3)
    peak = max(float(np.abs([sound.low, sound.high]).max()), 1e-3)
    wave.set(xlim=(0, sound.seconds), ylim=(-1.05 * peak, 1.05 * peak), ylabel="sample")
    wave.tick_params(labelbottom=False)
    spectrum.imshow(
        sound.level_db,
        origin="lower",
        aspect="auto",
        extent=(0, sound.seconds, 0, 8),
        cmap="magma",
        vmin=-80,
        vmax=0,
        interpolation="nearest",
    )
    spectrum.set(ylabel="kHz", yticks=range(0, 9, 2))
    spectrum.tick_params(labelbottom=False)


def _draw_timeline(axes: Any, verdict: Verdict, seconds: float) -> None:
    """One step a window at its middle part, and the stretches as bars on the ground."""
    channels = verdict.channels or (verdict,)
    for number, channel in enumerate(channels):
        windows = channel.windows
        if not windows:
            continue
        middles = [(window.start + window.end) / 2 for window in windows]
        edges = [0.0, *((a + b) / 2 for a, b in itertools.pairwise(middles)), seconds]
        label = f"channel {number + 1}" if verdict.channels else None
        axes.stairs(
            [window.p_spoof for window in windows],
            edges,
            baseline=None,
            color=_INK if number == 0 else COLOURS[2],
            linewidth=1.4,
            label=label,
        )
    named: set[str] = set()
    for part in verdict.segments:
        colour, name = _STRETCHES[part.verdict]
        label = None if name in named else name
        named.add(name)
        axes.axvspan(part.start, part.end, color=colour, alpha=0.22, linewidth=0, label=label)
    axes.axhline(0.5, color="#999999", linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set(ylim=(-0.02, 1.02), ylabel="p_spoof", xlabel="s", xlim=(0, seconds))
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    if verdict.channels or named:
        axes.legend(fontsize=8, frameon=False, ncols=5, loc="lower left", bbox_to_anchor=(0, 1))


def _draw_bands(axes: Any, explanation: Explanation) -> None:
    middles = [(low + high) / 2000 for low, high in itertools.pairwise(BANDS)]
    effects = [band.effect for band in explanation.bands]
    axes.barh(middles, effects, height=0.42, color=_colours(effects))
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set(xlabel="effect on the score")
    axes.set_title("bands: spoof < 0 < human", fontsize=9)
    axes.tick_params(labelleft=False)
    axes.set_ylim(0, 8)


def _draw_experts(axes: Any, experts: tuple[Effect, ...]) -> None:
    effects = [expert.effect for expert in experts]
    axes.bar([expert.name for expert in experts], effects, color=_colours(effects))
    axes.axhline(0, color="#999999", linewidth=0.8)
    axes.set(xlabel="expert", ylabel="effect on the score")
    axes.yaxis.set_label_position("right")
    axes.yaxis.tick_right()


def _colours(effects: list[float]) -> list[str]:
    return [BONAFIDE_COLOUR if effect > 0 else SPOOF_COLOUR for effect in effects]
